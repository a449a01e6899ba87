"""What people and processes wrote is shown as they wrote it, and is nothing but text."""

import asyncio
import json
import re
import string
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.asking import Answered, Asking, Browser
from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}"


def evil_run(web: Web) -> str:
    """A run in which everything that anybody can write is evil."""
    return web.put(
        "failed",
        workflow=EVIL,
        branch=EVIL,
        base=EVIL,
        error=f"exit code 1: {EVIL}",
        notice=EVIL,
        arguments=json.dumps({"a": EVIL}),
        requested_name=EVIL,
        changed_name=EVIL,
        conversation="slack:T1:C1",
    )


class Tags(HTMLParser):
    """Every tag of a page with its attributes, as a browser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def assert_only_ours(page: Answered) -> None:
    """The page has the tags of its templates, and none that came with the text."""
    assert page.status < 500, page.text
    for tag, attributes in Tags(page.text).found:
        assert tag not in {"iframe", "object", "embed", "base"}
        assert not [name for name in attributes if name.startswith("on")], attributes
        if tag in {"script", "img"}:
            assert str(attributes["src"]).startswith("/static/"), attributes
        for link in ("href", "action"):
            assert str(attributes.get(link) or "/").startswith(("/", "#")), attributes


async def test_a_page_shows_text_as_text(web: Web) -> None:
    run_id = evil_run(web)
    path = web.installation.workshop.log_path(run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{EVIL}\n\x1b[31mred\x1b]0;owned\x07\x9b1m\n</pre><script>alert(3)</script>\n")
    browser = await web.browser()
    for page in ("/", f"/runs/{run_id}", f"/runs/{run_id}/cancel", f"/?workflow={run_id}"):
        shown = await browser.get(page)
        assert shown.status == 200
        assert_only_ours(shown)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown.text), page
    assert "{{7*7}}" in (await browser.get(f"/runs/{run_id}")).text


async def test_what_is_typed_comes_back_as_text(web: Web) -> None:
    browser = await web.browser()
    for fields in (
        {"workflow": EVIL, "arguments": ""},
        {"workflow": "quick", "arguments": EVIL},
        {"workflow": "quick", "arguments": f"branch={EVIL}"},
    ):
        page = await browser.send("/runs", **fields)
        assert page.status == 422
        assert_only_ours(page)
    for query in ("workflow", "conversation", "status", "after"):
        assert_only_ours(await browser.asking.get(f"/?{query}=%3Cscript%3Ealert(1)%3C/script%3E"))


async def test_the_log_has_neither_what_was_said_nor_tokens(web: Web) -> None:
    script = await web.script()
    said = {"workflow": "quick", "arguments": {"note": "said-in-confidence"}}
    assert (await script.post("/api/runs", json=said)).status == 200
    await script.get("/api/runs/said-in-confidence")
    await web.asking.having(Authorization="Bearer said-in-confidence").get("/api/runs")
    await web.asking.post("/signin", data={"token": "said-in-confidence"})
    text = web.log_text()
    assert "said-in-confidence" not in text
    assert "baton_" not in text
    assert script.headers["Authorization"].removeprefix("Bearer ") not in text


# --- anything at all -------------------------------------------------------------------------

_RAW = st.text(string.printable + "\u202e\u00fc\x00\U0001f642", max_size=40)
_PIECES = st.one_of(
    st.sampled_from(["runs", "api", "..", ".", "", "cancel", "resume", "logs", "static", "events"]),
    _RAW,
)
_PATHS = st.lists(_PIECES, max_size=5).map(lambda pieces: "/" + "/".join(pieces))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _RAW,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_RAW, inner, max_size=3),
    max_leaves=6,
)
_BODIES = st.one_of(st.binary(max_size=60), _VALUES)
_METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"])


def as_bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return json.dumps(body).encode()


def quoted(path: str) -> str:
    """Every byte that is no letter as %XX, slashes aside."""
    return quote(path, safe="/.")


async def assert_harmless(
    asking: Asking, browser: Browser, method: str, path: str, body: Any
) -> None:
    """Whatever it is, it has its answer, and that tells nothing."""
    written = as_bytes(body)
    answers = [
        await asking.ask(
            method, quoted(path), data=written, headers={"Content-Type": "application/json"}
        ),
        await browser.asking.ask(method, quoted(path), headers={"Accept": "text/html"}),
    ]
    for answer in answers:
        assert answer.status < 500, (method, path, body, answer.text)
        assert b"Traceback" not in answer.content
        assert b'File "/' not in answer.content
    if path.startswith("/api/") and answers[0].status >= 400 and method != "HEAD":
        assert answers[0].kind == "application/problem+json", (method, path, answers[0].text)


async def _explored(web: Web, examples: int) -> None:
    """Ask for so many things that nobody thought of; Hypothesis waits in a thread of its own."""
    script, browser = await web.script(), await web.browser()
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(method=_METHODS, path=_PATHS, body=_BODIES)
    def explore(method: str, path: str, body: Any) -> None:
        if path.rstrip("/").endswith("events") or path.startswith("//"):
            return
        asked = assert_harmless(script, browser, method, path, body)
        asyncio.run_coroutine_threadsafe(asked, loop).result(30)

    await asyncio.to_thread(explore)
    web.assert_clean_log()


async def test_nothing_that_is_sent_breaks_anything(web: Web) -> None:
    await _explored(web, 80)


@pytest.mark.soak
async def test_nothing_that_is_sent_breaks_anything_for_long(web: Web) -> None:
    await _explored(web, 20_000)


async def test_a_line_of_the_log_that_is_cut_says_so(web: Web) -> None:
    browser, run_id = await web.browser("viewer"), web.put("failed")
    path = web.installation.workshop.log_path(run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole, long = "w" * 4000, "l" * 4001
    path.write_text(f"{whole}\n{long}\nend\n")
    part = await browser.get(f"/runs/{run_id}/log")
    assert part.text.splitlines() == [whole, f"{long[:4000]}…", "end"]
    assert f"{long[:4000]}…\nend" in (await browser.get(f"/runs/{run_id}")).text
