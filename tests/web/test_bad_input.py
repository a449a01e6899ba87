"""Whatever is sent: a problem or a plain page comes back, nothing is done, the log stays clean."""

import io
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.web.asking import Answered, Asking, Browser
from tests.web.house import Web
from tests.web.raw import connected, reply_of, request, sends

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGEST = 1024**2
LONGEST_HEADER = 4096
"""More than this a proxy may refuse to pass on."""
_TRACES = re.compile(r"Traceback|File \"|sqlite3|sqlalchemy|\.py\b|site-packages", re.IGNORECASE)


def assert_problem(answer: Answered, *statuses: int) -> dict[str, Any]:
    """A problem that tells nothing of Baton's inside."""
    assert answer.status in statuses, (answer.status, answer.text)
    assert answer.kind == "application/problem+json"
    body: dict[str, Any] = answer.json
    assert {"type", "title", "status", "detail", "outcome", "reply"} <= set(body)
    assert not _TRACES.search(answer.text), answer.text
    return body


def assert_plain_page(answer: Answered, *statuses: int) -> str:
    """The same for a browser."""
    assert answer.status in statuses, (answer.status, answer.text)
    assert answer.kind == "text/html"
    assert not _TRACES.search(answer.text), answer.text
    return answer.text


@pytest_asyncio.fixture(loop_scope="module")
async def script(web: Web) -> Asking:
    return await web.script()


# --- bodies ----------------------------------------------------------------------------------

BODIES: dict[str, bytes] = {
    "no JSON": b"{",
    "words": b"resume it",
    "nothing": b"",
    "a list": b"[]",
    "a string": b'"quick"',
    "a number": b"1",
    "null": b"null",
    "not UTF-8": b'{"workflow": "\xff\xfe"}',
    "NUL": b"\x00",
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000,
    "two objects": b"{}{}",
    "a form": b"workflow=quick",
    "a number too long": b'{"workflow": ' + b"9" * 5000 + b"}",
    "no workflow": b"{}",
    "a workflow of another type": b'{"workflow": 5}',
    "a workflow that is null": b'{"workflow": null}',
    "an unknown field": b'{"workflow": "quick", "frob": 1}',
    "an unknown field that is no text": b'{"workflow": "quick", "\\ud800": 1}',
    "a half character": b'{"workflow": "\\ud800"}',
    "a key that is half a character": b'{"workflow": "quick", "arguments": {"\\udfff": "x"}}',
    "a value that is half a character": b'{"workflow": "quick", "arguments": {"a": "\\udfff"}}',
    "a NUL in a value": b'{"workflow": "quick", "arguments": {"a": "\\u0000"}}',
    "a key twice": b'{"workflow": "quick", "arguments": {"a": "1", "a": "2"}}',
    "a field twice": b'{"workflow": "quick", "workflow": "slow"}',
    "a number as value": b'{"workflow": "quick", "arguments": {"a": 1}}',
    "arguments in a list": b'{"workflow": "quick", "arguments": ["a"]}',
    "no name of a key": b'{"workflow": "quick", "arguments": {"": "x"}}',
    "a key with a blank": b'{"workflow": "quick", "arguments": {"a b": "x"}}',
    "a key that is no key": b'{"workflow": "quick", "arguments": {"a=b": "x"}}',
    "an empty branch": b'{"workflow": "quick", "branch": ""}',
    "a branch with a NUL": b'{"workflow": "quick", "branch": "a\\u0000"}',
    "a name too long": json.dumps({"workflow": "x" * 65}).encode(),
    "a value too long": json.dumps(
        {"workflow": "quick", "arguments": {"a": "x" * 32_769}}
    ).encode(),
    "too many values": json.dumps(
        {"workflow": "quick", "arguments": {f"a{n}": "x" * 900 for n in range(40)}}
    ).encode(),
}


@pytest.mark.parametrize("kind", BODIES)
async def test_a_body_that_cannot_be_used(web: Web, script: Asking, kind: str) -> None:
    json_only = script.having(Content_Type="application/json")
    answer = await json_only.post("/api/runs", data=BODIES[kind])
    body = assert_problem(answer, 422)
    assert body["outcome"] == "invalid"
    assert web.audited(actor=f"api:{script.name}", outcome="started") == []


CLAIMS: dict[str, bytes] = {
    "a negative epoch": b'{"epoch": -1}',
    "an epoch too large": b'{"epoch": 2147483649}',
    "an epoch as text": b'{"epoch": "2"}',
    "a fraction": b'{"epoch": 2.5}',
    "true": b'{"epoch": true}',
    "endless": b'{"epoch": 1e999}',
    "no number": b'{"epoch": NaN}',
    "a list": b"[2]",
    "an unknown field": b'{"epoch": 2, "force": true}',
    "not UTF-8": b"\xff",
    "a form": b"epoch=2",
}


@pytest.mark.parametrize("kind", CLAIMS)
async def test_a_condition_that_cannot_be_used(web: Web, script: Asking, kind: str) -> None:
    run_id = web.put("failed")
    json_only = script.having(Content_Type="application/json")
    answer = await json_only.post(f"/api/runs/{run_id}/resume", data=CLAIMS[kind])
    assert (await web.run(run_id)).status == "failed"
    assert assert_problem(answer, 422)["outcome"] == "invalid"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x", ""]
)
async def test_a_body_of_another_kind(web: Web, script: Asking, kind: str) -> None:
    """Whatever a browser can send without asking first is not taken for JSON."""
    typed = script.having(Content_Type=kind)
    answer = await typed.post("/api/runs", data=b'{"workflow": "quick"}')
    assert assert_problem(answer, 415, 422)["outcome"] == "invalid"


async def chunks(first: bytes) -> AsyncIterator[bytes]:
    """More than is read, without telling beforehand."""
    yield first
    for _ in range(LARGEST // 65_536):
        yield b"x" * 65_536


@pytest.mark.parametrize("path", ["/api/runs", "/api/runs/aaaaaaaa/cancel"])
async def test_a_body_too_large(script: Asking, path: str) -> None:
    once = script.having(Content_Type="application/json", Connection="close")
    declared = await once.post(path, headers={"Content-Length": str(LARGEST + 1)})
    assert assert_problem(declared, 413)["outcome"] == "invalid"
    chunked = await once.post(path, data=chunks(b'{"workflow": "'))
    assert assert_problem(chunked, 413)["outcome"] == "invalid"


@pytest.mark.parametrize("path", ["/signin", "/runs"])
async def test_a_form_too_large(web: Web, path: str) -> None:
    browser = await web.browser()
    form = browser.asking.having(
        Content_Type="application/x-www-form-urlencoded", Connection="close", Accept="text/html"
    )
    declared = await form.post(path, headers={"Content-Length": str(LARGEST + 1)})
    assert declared.status == 413, declared.text
    chunked = await form.post(path, data=chunks(b"csrf="))
    assert_plain_page(chunked, 413)


async def test_the_largest_body_is_read(web: Web, script: Asking) -> None:
    json_only = script.having(Content_Type="application/json")
    whole = b'{"workflow": "quick"}'
    assert (await json_only.post("/api/runs", data=io.BytesIO(whole.rjust(LARGEST)))).status == 200


# --- addresses -------------------------------------------------------------------------------

NAMES: dict[str, str] = {
    "a path": "../../etc/passwd",
    "a path, encoded": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "a slash": "%2F",
    "a back slash": "..%5c..%5cetc",
    "SQL": quote("' OR 1=1; DROP TABLE runs; --"),
    "a script": quote("<script>alert(1)</script>"),
    "a shell": quote("$(touch /tmp/x);`id`"),
    "a verb": "x%20branch=y",
    "an option": "--json",
    "a NUL": "abcd%00efgh",
    "bytes": "%ff%fe",
    "a half character": "%ed%a0%80",
    "a line break": "abcd%0d%0aSet-Cookie:%20x=1",
    "right to left": quote("\u202eabcd"),
    "a percent sign": "%",
    "broken encoding": "%zz",
    "an emoji": quote("\U0001f642" * 10),
    "a template": quote("{{7*7}}"),
    "long": "a" * 60_000,
    "wide": quote("\u00fc" * 5000),
}


@pytest.mark.parametrize("kind", NAMES)
async def test_a_name_that_is_none(web: Web, script: Asking, kind: str) -> None:
    for method, path in (("GET", ""), ("GET", "/logs"), ("GET", "/history"), ("POST", "/cancel")):
        answer = await script.ask(method, f"/api/runs/{NAMES[kind]}{path}")
        # What is longer than a request line may be is refused before Baton sees it.
        if kind == "long" and answer.kind == "text/plain":
            assert answer.status == 400
        else:
            assert_problem(answer, 404, 405, 422)
    assert web.audited(outcome="cancelled", actor=f"api:{script.name}") == []


@pytest.mark.parametrize("kind", NAMES)
async def test_a_page_of_a_name_that_is_none(web: Web, kind: str) -> None:
    browser = await web.browser()
    inside = Browser(browser.asking.having(Accept="text/html"), browser.csrf)
    for path in ("", "/cancel", "/log", "/log.txt"):
        answer = await inside.get(f"/runs/{NAMES[kind]}{path}")
        assert answer.status in {303, 400, 404, 405, 422}, answer.text
        if answer.status == 303:
            assert re.match(r"/(runs/|$)", answer.headers["Location"])
            assert not answer.headers["Location"].startswith("//")
            assert len(answer.headers["Location"]) < LONGEST_HEADER
        assert "Set-Cookie" not in answer.headers
        assert "<script>alert" not in answer.text
        assert not _TRACES.search(answer.text)
    answer = await inside.send(f"/runs/{NAMES[kind]}/cancel", epoch="2")
    assert answer.status in {400, 404, 405, 422}


QUERIES = [
    "%ff=%fe",
    "workflow=%ff%fe",
    "status=%00",
    "limit=1&limit=2",
    "after=%F0%9F%99%82",
    "&&&=",
    "limit=" + "9" * 5000,
    "=".join("a" * 3000),
    "limit=1;DROP",
    "status[]=failed",
    "workflow=%00",
    "conversation=%27%20OR%201=1",
    "after=" + quote("0x1p3-' OR 1=1 --"),
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:30])
async def test_a_query_that_makes_no_sense(web: Web, script: Asking, query: str) -> None:
    answer = await script.get(f"/api/runs?{query}")
    if answer.status == 200:
        assert set(answer.json) == {"runs", "next"}
    else:
        assert_problem(answer, 422)
    browser = await web.browser("viewer")
    page = await browser.asking.having(Accept="text/html").get(f"/?{query}")
    assert page.status in {200, 422}
    assert not _TRACES.search(page.text)


METHODS = ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", "PROPFIND", "get"]


@pytest.mark.parametrize("method", METHODS)
async def test_a_method_that_is_not_taken(web: Web, script: Asking, method: str) -> None:
    run_id = web.put("failed")
    proof = f"Authorization: {script.headers['Authorization']}"
    for path in (f"/api/runs/{run_id}", f"/api/runs/{run_id}/cancel", "/api/events"):
        asked = request(web.base, f"{method} {path} HTTP/1.1", proof)
        reply = await sends(web.base, asked)
        assert reply.status in {400, 405}, reply.content
        if reply.status == 405:
            assert "\r\nallow: " in reply.head
    assert (await web.run(run_id)).status == "failed"


@pytest.mark.parametrize("path", ["/api/runs/", "/api/", "//api/runs", "/api//runs", "/runs/"])
async def test_nobody_is_sent_on_to_another_address(web: Web, script: Asking, path: str) -> None:
    """Whoever follows takes the token along, and behind a proxy in the clear."""
    for method in ("GET", "POST"):
        answer = await script.ask(method, path)
        assert "Location" not in answer.headers, answer.headers["Location"]
        assert answer.status in {404, 405}


async def test_a_browser_is_told_with_a_page(web: Web) -> None:
    browser = web.asking.having(Accept="text/html,application/xhtml+xml")
    assert_plain_page(await browser.get("/nothing"), 404)
    assert_plain_page(await browser.ask("DELETE", "/signin"), 405)
    assert_problem(await browser.get("/api/nothing"), 404)
    assert_problem(await web.asking.get("/nothing"), 404)


# --- bytes -----------------------------------------------------------------------------------

WRITTEN: dict[str, bytes] = {
    "no request": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    "an old version": b"GET /signin HTTP/1.0\r\n\r\n",
    "no number of bytes": b"POST /signin HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n",
    "too few bytes": b"POST /signin HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
    "a number of another script": (
        b"POST /signin HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \xb2\r\n\r\n"
    ),
    "two lengths": (
        b"POST /signin HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\n"
        b"Content-Length: 5\r\nConnection: close\r\n\r\naaaaa"
    ),
    "no chunks": (
        b"POST /signin HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    ),
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    "a whole address": (
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    ),
}


@pytest.mark.parametrize("kind", WRITTEN)
async def test_bytes_that_are_no_request(web: Web, kind: str) -> None:
    reply = await sends(web.base, WRITTEN[kind])
    assert reply.status < 500, reply.content
    assert reply.status != 200, reply.content
    assert not _TRACES.search(reply.content.decode("latin-1"))
    assert (await web.asking.get("/healthz")).status == 200


async def test_slow_clients_keep_nobody_waiting(web: Web, script: Asking) -> None:
    """Two hundred are in the middle of their request; others are answered."""
    begun = b"POST /api/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 30\r\n"
    slow = [connected(web.base) for _ in range(200)]
    opened = [await one.__aenter__() for one in slow]
    try:
        for _, writer in opened:
            writer.write(begun)
        assert (await script.get("/api/runs")).status == 200
        first, writer = opened[0]
        writer.write(b'Content-Type: application/json\r\nConnection: close\r\n\r\n{"workflow": ')
        await writer.drain()
        assert (await script.get("/api/runs")).status == 200
        writer.write(b'"quick"} ' + b" " * 8)
        assert (await reply_of(first)).status == 401
    finally:
        for one in slow:
            await one.__aexit__(None, None, None)
    assert (await web.asking.get("/healthz")).status == 200
