"""What stands before every request, and what every answer tells a browser."""

import re
from typing import Any

import pytest

from tests.store.factories import now_of
from tests.web.asking import Answered, Asking, signed_in
from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def assert_guarded(answer: Answered, *, may_be_kept: bool = False) -> None:
    """The headers that every answer has, whatever it is."""
    for name, value in HEADERS.items():
        assert answer.headers.get(name) == value, (name, answer.headers)
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in answer.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert not re.search(r"unsafe|\*|https?:", str(policy))
    assert "Server" not in answer.headers
    if not may_be_kept:
        assert answer.headers["Cache-Control"] == "no-store"


KINDS: dict[str, tuple[int, str, str, dict[str, str]]] = {
    "a redirect": (303, "GET", "/", {}),
    "the sign-in page": (200, "GET", "/signin", {}),
    "a page that is not there": (404, "GET", "/nothing", {}),
    "an API path that is not there": (404, "GET", "/api/nothing", {}),
    "no token": (401, "GET", "/api/runs", {}),
    "no token for a stream": (401, "GET", "/api/events", {}),
    "no session for a stream": (303, "GET", "/events", {}),
    "another method": (405, "DELETE", "/api/runs", {}),
    "another host": (421, "GET", "/", {"Host": "evil.example"}),
    "another site": (403, "POST", "/signin", {"Origin": "http://evil.example"}),
    "too large": (413, "POST", "/api/runs", {"Content-Length": "1048577", "Connection": "close"}),
    "the description": (200, "GET", "/api/openapi.json", {}),
    "health": (200, "GET", "/healthz", {}),
    "metrics": (200, "GET", "/metrics", {}),
    "no static file": (404, "GET", "/static/none.js", {}),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_answer_is_guarded(web: Web, kind: str) -> None:
    status, method, path, headers = KINDS[kind]
    answer = await web.asking.ask(method, path, headers=headers)
    assert answer.status == status, answer.text
    assert_guarded(answer, may_be_kept=path.startswith("/static/"))


@pytest.mark.parametrize("file", ["baton.js", "baton.css", "icon.svg"])
async def test_static_files_are_guarded_too(web: Web, file: str) -> None:
    answer = await web.asking.get(f"/static/{file}")
    assert answer.status == 200
    assert_guarded(answer, may_be_kept=True)


async def test_pages_are_guarded_and_run_nothing_inline(web: Web) -> None:
    browser = await web.browser("admin")
    run_id = web.put("failed")
    for path in ("/", f"/runs/{run_id}", f"/runs/{run_id}/cancel", "/runs/nothere", "/signin"):
        page = await browser.get(path)
        assert_guarded(page)
        assert page.kind == "text/html"
        for script in re.findall(r"<script\b[^>]*>(.*?)</script>", page.text, re.DOTALL):
            assert script == ""
        assert not re.search(r"<style\b|\sstyle=|\son[a-z]+=|javascript:", page.text)
        assert re.findall(r'(?:src|href|action)="(?:https?:)?//', page.text) == []


@pytest.mark.parametrize("path", ["/api/events", "/events"])
async def test_streams_are_guarded(web: Web, path: str) -> None:
    asking = await web.script("viewer") if path == "/api/events" else (await web.browser()).asking
    async with asking.stream(path) as stream:
        assert stream.answer.status == 200
        assert_guarded(Answered(200, stream.answer.headers, b""), may_be_kept=True)
        assert stream.answer.headers["Cache-Control"] in {"no-store", "no-cache"}
        assert stream.answer.headers["Content-Type"].startswith("text/event-stream")


# --- hosts and origins -----------------------------------------------------------------------

FOREIGN_HOSTS = ["evil.example", "127.0.0.1.evil.example", "", "[", "[::1", "127.0.0.2", "a@b", "*"]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
async def test_another_name_is_refused(web: Web, host: str) -> None:
    script = (await web.script()).having(Host=host)
    run_id = web.put("failed")
    for method, path in (("GET", "/api/runs"), ("POST", f"/api/runs/{run_id}/cancel")):
        answer = await script.ask(method, path)
        assert answer.status in {400, 421}, answer.text
    assert (await web.run(run_id)).status == "failed"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:80", "[::1]:8642"])
async def test_a_name_of_this_machine_is_taken(web: Web, host: str) -> None:
    assert (await web.asking.having(Host=host).get("/healthz")).status == 200


async def test_whatever_watches_over_baton_asks_by_address(web: Web) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await web.asking.having(Host="10.0.0.7:8642").get(path)).status in {200, 503}


FOREIGN: list[dict[str, str]] = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://["},
    {"Origin": "http://127.0.0.1\u2100"},
    {"Origin": "x" * 5000},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda headers: ascii(headers)[:60])
async def test_what_another_site_sends_is_not_done(web: Web, headers: dict[str, str]) -> None:
    browser, script = await web.browser(), await web.script()
    run_id = web.put("failed")
    page = await browser.asking.post(
        f"/runs/{run_id}/cancel", data={"csrf": browser.csrf, "epoch": "2"}, headers=headers
    )
    assert page.status == 403, page.text
    answer = await script.post(f"/api/runs/{run_id}/cancel", headers=headers)
    assert answer.status == 403
    assert (answer.kind, answer.json["outcome"]) == ("application/problem+json", "denied")
    assert_guarded(answer)
    assert (await web.run(run_id)).status == "failed"


@pytest.mark.parametrize("origin", ["", "null"])
async def test_what_our_own_page_sends_is_done(web: Web, origin: str) -> None:
    """Some browsers do not tell from where a form comes, but that it is our own page's."""
    browser = await web.browser()
    own = {"Origin": origin or web.base, "Sec-Fetch-Site": "same-origin"}
    run_id = web.put("failed")
    page = await browser.asking.post(
        f"/runs/{run_id}/cancel", data={"csrf": browser.csrf, "epoch": "2"}, headers=own
    )
    assert page.status == 200
    assert (await web.run(run_id)).status == "cancelled"


# --- forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/runs", "/runs/{}/resume", "/runs/{}/cancel", "/signout"])
async def test_a_form_that_is_not_ours_is_not_taken(web: Web, path: str) -> None:
    browser, other = await web.browser(), await web.browser()
    run_id = web.put("failed")
    known = await web.service.store.read(lambda tx: len(tx.runs.recent(None, None)))
    for proof in (None, "", "0" * 64, other.csrf, "\u00fc"):
        fields = {"workflow": "quick"} | ({} if proof is None else {"csrf": proof})
        page = await browser.asking.post(path.format(run_id), data=fields)
        assert page.status == 403, proof
        assert page.kind == "text/html"
    assert (await web.run(run_id)).status == "failed"
    assert await web.service.store.read(lambda tx: len(tx.runs.recent(None, None))) == known
    assert (await browser.get("/")).status == 200


async def test_a_viewer_is_refused_by_the_form_as_well(web: Web) -> None:
    browser = await web.browser("viewer", "just-looks")
    run_id = web.put("failed")
    page = await browser.send(f"/runs/{run_id}/cancel", epoch="2")
    assert page.status == 403
    assert "web:just-looks" in page.text
    assert (await web.run(run_id)).status == "failed"
    tried = web.audited(actor="web:just-looks", verb="cancel")
    assert tried == [("cancel", "denied", "web", "web:just-looks")]


async def test_what_is_done_on_a_page_is_told_of_the_web(web: Web) -> None:
    browser = await web.browser("operator", "clicks")
    run_id = web.put("failed")
    page = await browser.send(f"/runs/{run_id}/resume", epoch="2")
    assert page.status == 200
    assert web.audited(run_id=run_id) == [("resume", "resumed", "web", "web:clicks")]
    late = await browser.send(f"/runs/{run_id}/resume", epoch="2")
    assert late.status == 409
    assert "already" in late.text


# --- cookies ---------------------------------------------------------------------------------


async def test_the_cookie_is_for_our_pages_alone(web: Web) -> None:
    secret = await web.token("operator", "cookie")
    answer = await web.asking.post("/signin", data={"token": secret})
    cookie = answer.cookie
    assert cookie is not None
    assert cookie["httponly"]
    assert cookie["samesite"].lower() in {"lax", "strict"}
    assert (cookie["path"], cookie["domain"], cookie["secure"]) == ("/", "", "")
    assert 0 < int(cookie["max-age"]) <= 7 * 86400
    assert len(cookie.value) >= 40
    assert cookie.value != secret
    assert secret not in str(answer.headers)
    assert answer.headers["Location"] == "/"


async def test_a_cookie_opens_no_api_and_a_token_no_page(web: Web) -> None:
    browser, script = await web.browser(), await web.script()
    assert (await browser.get("/api/runs")).status == 401
    for path in ("/", "/events", "/runs/x", "/runs/x/log", "/runs/x/log.txt"):
        answer = await script.get(path)
        assert (answer.status, answer.headers["Location"]) == (303, "/signin")


FORGED = ["", "x", "x" * 5000, "\u00fc", "../..", "'; DROP TABLE sessions; --"]


@pytest.mark.parametrize("value", FORGED, ids=lambda value: ascii(value[:20]))
async def test_a_cookie_that_nobody_gave_opens_nothing(web: Web, value: str) -> None:
    name = (await web.browser()).asking.headers["Cookie"].partition("=")[0]
    asking = web.asking.having(Cookie=f"{name}={value}")
    assert (await asking.get("/")).headers["Location"] == "/signin"


def sql(web: Web, statement: str, *values: Any) -> Any:
    with web.database.connect() as connection, connection.begin():
        return connection.exec_driver_sql(statement, values)


async def is_in(asking: Asking) -> bool:
    answer = await asking.get("/")
    assert answer.status == 200 or answer.headers["Location"] == "/signin"
    return answer.status == 200


async def test_whoever_signed_out_is_out(web: Web) -> None:
    browser = await web.browser()
    answer = await browser.send("/signout")
    assert (answer.status, answer.headers["Location"]) == (303, "/signin")
    assert answer.cookie is not None
    assert answer.cookie.value == ""
    assert not await is_in(browser.asking)


async def test_a_session_comes_to_its_end(web: Web) -> None:
    browser = await web.browser("operator", "expires")
    assert await is_in(browser.asking)
    sql(web, "UPDATE sessions SET expires_at = ? WHERE name = 'expires'", now_of(web.database))
    assert not await is_in(browser.asking)
    await web.browser()
    with web.database.connect() as connection:
        left = connection.exec_driver_sql("SELECT count(*) FROM sessions WHERE name = 'expires'")
        assert left.scalar() == 0


async def test_a_revoked_token_ends_every_session_of_it(web: Web) -> None:
    secret = await web.token("operator", "ends")
    first, second = await signed_in(web.asking, secret), await signed_in(web.asking, secret)
    other = await web.browser()
    await web.revoke("ends")
    assert not await is_in(first.asking)
    assert not await is_in(second.asking)
    assert await is_in(other.asking)
    answer = await web.asking.post("/signin", data={"token": secret})
    assert answer.status == 403
    await web.token("operator", "ends")
    assert not await is_in(first.asking)
