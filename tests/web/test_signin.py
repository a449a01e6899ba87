"""Signing in: with the link of a local start, with a token, and without end by nobody."""

import asyncio
import getpass
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from adapters.web.attempts import Attempts
from tests.store.factories import Clock
from tests.web.asking import Asking, signed_in, with_cookie
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
    assert (await fresh.asking.get(link_of(fresh))).status == 303
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
    attempts = Attempts(clock)
    for clock.now in range(10):
        assert attempts.begin("a")
    assert not attempts.begin("a")
    assert attempts.begin("b")
    clock.now = 60.5
    assert attempts.begin("a")
    assert not attempts.begin("a")


def test_who_succeeds_uses_up_no_attempt() -> None:
    attempts = Attempts(Clock(0))
    for _ in range(30):
        assert attempts.begin("a")
        attempts.forgive("a")


def test_one_house_has_no_more_attempts_for_its_many_addresses() -> None:
    attempts = Attempts(Clock(0))
    assert [attempts.begin(f"2001:db8::{n}") for n in range(12)] == [True] * 10 + [False] * 2
    assert attempts.begin("2001:db8:0:1::1")


def test_an_address_of_the_old_kind_is_its_own_household_however_it_is_written() -> None:
    attempts = Attempts(Clock(0))
    assert [attempts.begin("::ffff:203.0.113.7") for _ in range(11)][-1] is False
    assert not attempts.begin("203.0.113.7")
    assert attempts.begin("::ffff:198.51.100.7")


def test_many_addresses_do_not_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.web.attempts._MOST_ADDRESSES", 20)
    attempts = Attempts(Clock(0))
    for number in range(15):
        attempts.begin(f"old-{number}")
    assert [attempts.begin("a") for _ in range(11)][-1] is False
    for number in range(10):
        attempts.begin(f"new-{number}")
    assert not attempts.begin("a")


async def test_nobody_tries_more_by_trying_all_at_once(fresh: Web) -> None:
    at_once = (fresh.asking.post("/signin", data={"token": f"baton_{n}"}) for n in range(60))
    statuses = Counter(answer.status for answer in await asyncio.gather(*at_once))
    assert statuses == {403: 10, 429: 50}


async def test_no_other_site_uses_up_the_attempts_of_this_one(fresh: Web) -> None:
    secret = await fresh.token("operator", "right")
    image = fresh.asking.having(Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="image")
    for number in range(30):
        assert (await image.get(f"/signin?ticket=none-{number}")).status == 403
    assert (await signed_in(fresh.asking, secret)).csrf
    assert (await fresh.asking.get(link_of(fresh))).status == 303


async def test_who_signs_in_or_fails_to_is_audited(fresh: Web) -> None:
    browser = await fresh.browser("viewer", "seen")
    for number in range(3):
        await fresh.asking.post("/signin", data={"token": f"baton_{number}"})
    await browser.send("/signout")
    assert fresh.audited() == [
        ("sign-in", "shown", "web", "web:seen"),
        ("sign-in", "denied", "web", "web:?"),
        ("sign-out", "shown", "web", "web:seen"),
    ]
    told = [one["event"] for one in fresh.logged() if one["event"].startswith("web.signin")]
    assert told == ["web.signin_completed"] + ["web.signin_rejected"] * 3
    counted = (await fresh.asking.get("/metrics")).text
    assert 'baton_sign_ins_total{door="web",outcome="denied"} ' in counted


async def test_two_batons_on_one_machine_sign_nobody_out(
    fresh: Web, tmp_path_factory: pytest.TempPathFactory, repository: Path
) -> None:
    place = tmp_path_factory.mktemp("other")
    async with opened(installation_for(place, repository)) as other:
        here = await signed_in(fresh.asking, await fresh.token("viewer", "here"))
        there = await signed_in(other.asking, await other.token("viewer", "there"))
        both = "; ".join(one.asking.headers["Cookie"] for one in (here, there))
        for asking in (fresh.asking, other.asking):
            assert (await asking.having(Cookie=both).get("/")).status == 200


async def test_who_came_for_a_run_sees_it_once_signed_in(fresh: Web) -> None:
    secret, run_id = await fresh.token("viewer", "linked"), fresh.put("failed")
    sent = await fresh.asking.get(f"/runs/{run_id}/cancel")
    assert sent.headers["Location"] == f"/signin?to=/runs/{run_id}"
    form = await fresh.asking.get(sent.headers["Location"])
    assert f'name="to" value="/runs/{run_id}"' in form.text
    fields = {"token": secret, "to": f"/runs/{run_id}"}
    assert (await fresh.asking.post("/signin", data=fields)).headers["Location"] == fields["to"]


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/runs/../signout", "/runs/abcd\r\nX: y", "x"]
)
async def test_nobody_is_sent_elsewhere_once_signed_in(fresh: Web, to: str) -> None:
    fields = {"token": await fresh.token("viewer", "linked"), "to": to}
    assert (await fresh.asking.post("/signin", data=fields)).headers["Location"] == "/"


async def test_only_digests_are_kept(fresh: Web) -> None:
    link = link_of(fresh)
    code, said = await fresh.baton("token", "create", "kept", "--role", "operator")
    assert code == 0, said
    secret = said.split()[-1]
    script = fresh.with_token(secret)
    run_id = fresh.put("failed")
    assert (await script.post(f"/api/runs/{run_id}/resume")).status == 200
    browser = await signed_in(fresh.asking, secret)
    cookie = browser.asking.headers["Cookie"].partition("=")[2]
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
