"""Signing in: with the link of a local start, with a token, and without end by nobody."""

import asyncio
import getpass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapters.web.guard import Failures
from tests.store.factories import Clock
from tests.web.asking import COOKIE, Asking, signed_in, with_cookie
from tests.web.house import Web, installation_for, opened


def link_of(web: Web) -> str:
    """The path of the link in what Baton says when it starts."""
    address = web.told.split()[-1]
    parts = urlsplit(address)
    assert parts.query.startswith("ticket=")
    return f"{parts.path}?{parts.query}"


async def test_the_link_of_a_local_start_opens_once(fresh: Web) -> None:
    answer = await fresh.asking.get(link_of(fresh))
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    browser = await with_cookie(fresh.asking, answer)
    assert f"{getpass.getuser()}, admin" in (await browser.get("/")).text
    again = await fresh.asking.get(link_of(fresh))
    assert again.status == 403
    assert again.cookie is None
    assert "That opens nothing" in again.text
    assert (await browser.get("/")).status == 200


async def test_of_many_who_follow_the_link_one_gets_in(fresh: Web) -> None:
    answers = await asyncio.gather(*(fresh.asking.get(link_of(fresh)) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [303, 403, 403, 403, 403]


@pytest.mark.parametrize(("local", "role"), [("operator", "operator"), ("viewer", "viewer")])
async def test_the_link_gives_what_the_command_line_may(
    tmp_path: Path, repository: Path, local: str, role: str
) -> None:
    installation = installation_for(tmp_path, repository, access={"local": local})
    async with opened(installation) as web:
        browser = await with_cookie(web.asking, await web.asking.get(link_of(web)))
        assert f"{getpass.getuser()}, {role}" in (await browser.get("/")).text
        answer = await browser.send("/runs", workflow="quick")
        assert answer.status == (403 if role == "viewer" else 303)


async def test_there_is_no_link_where_the_command_line_may_nothing(
    tmp_path: Path, repository: Path
) -> None:
    installation = installation_for(tmp_path, repository, access={"local": "none"})
    async with opened(installation) as web:
        assert "ticket" not in web.told
        assert web.told == f"The web page is at {web.base}/."


async def tries(asking: Asking, times: int) -> list[int]:
    """Fail to sign in so often; the statuses."""
    return [
        (await asking.post("/signin", data={"token": f"baton_{number}"})).status
        for number in range(times)
    ]


async def test_nobody_can_try_without_end(fresh: Web) -> None:
    secret = await fresh.token("operator", "right")
    statuses = await tries(fresh.asking, 12)
    assert statuses == [403] * 10 + [429] * 2
    late = await fresh.asking.post("/signin", data={"token": secret})
    assert late.status == 429
    assert "Too many failed attempts" in late.text
    assert late.cookie is None
    assert (await fresh.asking.get(link_of(fresh))).status == 429
    # Scripts are not kept out by it.
    assert (await fresh.with_token(secret).get("/api/runs")).status == 200


async def test_a_made_up_address_gives_no_more_attempts(fresh: Web) -> None:
    statuses = []
    for number in range(14):
        asking = fresh.asking.having(X_Forwarded_For=f"192.0.2.{number}")
        statuses += await tries(asking, 1)
    assert statuses[-1] == 429


def test_after_a_minute_one_may_try_again() -> None:
    clock = Clock(0)
    failures = Failures(clock)
    for clock.now in range(10):
        assert not failures.too_many("a")
        failures.note("a")
    assert failures.too_many("a")
    assert not failures.too_many("b")
    clock.now = 60.5
    assert not failures.too_many("a")
    failures.note("a")
    assert failures.too_many("a")


async def test_only_digests_are_kept(fresh: Web) -> None:
    link = link_of(fresh)
    code, said = await fresh.baton("token", "create", "kept", "--role", "operator")
    assert code == 0, said
    secret = said.split()[-1]
    script = fresh.with_token(secret)
    run_id = fresh.put("failed")
    assert (await script.post(f"/api/runs/{run_id}/resume")).status == 200
    browser = await signed_in(fresh.asking, secret)
    cookie = browser.asking.headers["Cookie"].removeprefix(f"{COOKIE}=")
    ticketed = await fresh.asking.get(link)
    assert ticketed.cookie is not None
    await fresh.asking.post("/signin", data={"token": secret[:-1]})
    assert fresh.log_text()
    secrets = [secret, cookie, link.partition("=")[2], ticketed.cookie.value, browser.csrf]
    for file in fresh.state.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        for one in secrets:
            assert one.encode() not in content, file
            assert one.removeprefix("baton_").encode() not in content, file
    fresh.assert_clean_log()


async def test_a_token_that_was_pasted_with_blanks_opens(fresh: Web) -> None:
    secret = await fresh.token("operator", "pasted")
    assert (await signed_in(fresh.asking, f" {secret}\n")).csrf


async def test_the_token_does_not_come_back_in_the_page(fresh: Web) -> None:
    page = await fresh.asking.post("/signin", data={"token": "baton_mistyped<script>"})
    assert page.status == 403
    assert "mistyped" not in page.text.replace("used up, or mistyped", "")
    assert "<script>" not in page.text.replace('<script src="/static/baton.js" defer></script>', "")


async def test_behind_a_certificate_cookies_travel_by_it_alone(
    tmp_path: Path, repository: Path
) -> None:
    server = {"public_url": "https://baton.example"}
    async with opened(installation_for(tmp_path, repository, server=server)) as web:
        outside = web.asking.having(Host="baton.example")
        answer = await outside.post("/signin", data={"token": await web.token("viewer", "far")})
        assert answer.cookie is not None
        assert answer.cookie["secure"]
        assert answer.cookie["httponly"]
        assert "max-age=" in answer.headers["Strict-Transport-Security"]
        assert (await outside.get("/healthz")).status == 200
        assert (await outside.having(Host="other.example").get("/signin")).status == 421
        own = {"Origin": "https://baton.example"}
        browser = await with_cookie(outside, answer)
        run_id = web.put("failed")
        page = await browser.asking.post(
            f"/runs/{run_id}/cancel", data={"csrf": browser.csrf}, headers=own
        )
        assert page.status == 403
        assert "web:far" in page.text
