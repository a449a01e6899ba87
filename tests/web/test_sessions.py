"""Sessions: what opens one, what it may, and when it comes to its end."""

import asyncio
import getpass
import time
from contextlib import suppress
from pathlib import Path

import pytest

from adapters.web import guard, streams
from adapters.web.guard import Guard
from bot.access import Role
from tests.conftest import DEADLINE_SECONDS
from tests.discord.house import kept_locked
from tests.web.asking import Answered, Browser, Stream, signed_in, with_cookie
from tests.web.house import Web, installation_for, opened
from tests.web.test_guard import is_in, sql
from tests.web.test_signin import link_of


def cookie_of(browser: Browser) -> str:
    return browser.asking.headers["Cookie"].partition("=")[2]


# --- what opens one --------------------------------------------------------------------------


async def test_a_token_in_an_address_opens_nothing(fresh: Web) -> None:
    secret = await fresh.token("admin", "long-lived")
    answer = await fresh.asking.get(f"/signin?ticket={secret}")
    assert (answer.status, answer.cookie) == (403, None)
    assert secret not in answer.text
    assert (await fresh.asking.get(link_of(fresh))).status == 303
    assert (await fresh.asking.get(link_of(fresh))).status == 403
    assert (await signed_in(fresh.asking, secret)).csrf


async def test_a_ticket_is_no_token(fresh: Web) -> None:
    ticket = link_of(fresh).partition("=")[2]
    answer = await fresh.asking.post("/signin", data={"token": ticket})
    assert (answer.status, answer.cookie) == (403, None)
    assert (await fresh.asking.get(link_of(fresh))).status == 303


async def test_a_ticket_outlives_a_database_that_is_busy(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.sqlite._BUSY_SECONDS", 0.2)
    async with opened(installation_for(tmp_path, repository)) as web:
        with kept_locked(web.database):
            answer = await web.asking.get(link_of(web))
            assert (answer.status, answer.cookie) == (429, None)
            assert "ask again in a moment" in answer.text
        answer = await web.asking.get(link_of(web))
        assert await is_in((await with_cookie(web.asking, answer)).asking)
        assert (await web.asking.get(link_of(web))).status == 403


def is_secure(answer: Answered) -> bool:
    assert answer.cookie is not None
    return bool(answer.cookie["secure"])


async def test_a_cookie_is_secure_where_there_is_a_certificate(
    tmp_path: Path, repository: Path
) -> None:
    server = {"public_url": "https://baton.example"}
    async with opened(installation_for(tmp_path, repository, server=server)) as web:
        token = {"token": await web.token("viewer", "both")}
        port = web.base.rpartition(":")[2]
        secure = {
            host: is_secure(await web.asking.having(Host=host).post("/signin", data=token))
            for host in ("baton.example", f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}")
        }
        assert [host for host, it_is in secure.items() if it_is] == ["baton.example"]


# --- what it may -----------------------------------------------------------------------------


async def test_a_session_of_the_local_link_has_at_most_what_being_local_gives_now(
    fresh: Web,
) -> None:
    answer = await fresh.asking.get(link_of(fresh))
    local = cookie_of(await with_cookie(fresh.asking, answer))
    token = cookie_of(await fresh.browser("operator"))
    for role in Role:
        guard = Guard(fresh.service.store, role)
        found = await guard.of_cookie(local)
        assert (found.role if found else Role.NONE) == role
        caller = await guard.of_cookie(token)
        assert caller is not None
        assert caller.role is Role.OPERATOR


@pytest.mark.parametrize("local", ["none", "viewer"])
async def test_a_session_of_the_local_link_heeds_what_is_configured_anew(
    tmp_path: Path, repository: Path, local: str
) -> None:
    async with opened(installation_for(tmp_path, repository)) as web:
        browser = await with_cookie(web.asking, await web.asking.get(link_of(web)))
    anew = installation_for(tmp_path, repository, access={"local": local})
    async with opened(anew) as web:
        # A free port is another one now, which the name of the cookie has in it.
        asking = web.asking.having(
            Cookie=f"baton_{web.base.rpartition(':')[2]}={cookie_of(browser)}"
        )
        page = await asking.get("/")
        if local == "none":
            assert (page.status, page.headers["Location"]) == (303, "/signin")
        else:
            assert page.status == 200
            assert ", viewer" in page.text
            run_id = web.put("failed")
            refused = await asking.post(f"/runs/{run_id}/cancel", data={"csrf": browser.csrf})
            assert refused.status == 403


async def test_who_came_by_the_link_can_be_signed_out_by_name(fresh: Web) -> None:
    browser = await with_cookie(fresh.asking, await fresh.asking.get(link_of(fresh)))
    other = await fresh.browser("viewer", "stays")
    await fresh.revoke(getpass.getuser())
    assert not await is_in(browser.asking)
    assert await is_in(other.asking)


async def test_a_page_that_is_used_counts_as_a_use_of_its_token(
    fresh: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "USED_SECONDS", 0)
    browser = await fresh.browser("viewer", "reads")
    sql(fresh, "UPDATE tokens SET last_used_at = 1")
    assert await is_in(browser.asking)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await _used_lately(fresh):
            await asyncio.sleep(0.01)


async def _used_lately(web: Web) -> bool:
    (token,) = await web.service.store.read(lambda tx: tx.keys.tokens())
    return (token.last_used_at or 0) > time.time() - 60


async def test_whom_the_lists_name_has_buttons_with_any_token(
    tmp_path: Path, repository: Path
) -> None:
    access = {"operators": ["web:ana"]}
    async with opened(installation_for(tmp_path, repository, access=access)) as web:
        ana, ben = await web.browser("viewer", "ana"), await web.browser("viewer", "ben")
        run_id = web.put("failed")
        path = f"/runs/{run_id}"
        assert f'action="{path}/resume"' in (await ana.get(path)).text
        assert f'action="{path}/resume"' not in (await ben.get(path)).text
        assert "ana, operator" in (await ana.get("/")).text
        assert (await ana.send(f"{path}/resume", epoch="2")).status == 200
        assert web.audited(run_id=run_id) == [("resume", "resumed", "web", "web:ana")]


# --- its end ---------------------------------------------------------------------------------


async def test_whoever_signs_in_again_leaves_no_session_behind(fresh: Web) -> None:
    secret = await fresh.token("viewer", "again")
    first, elsewhere = await fresh.browser("operator"), await signed_in(fresh.asking, secret)
    second = await signed_in(first.asking, secret)
    assert not await is_in(first.asking)
    assert await is_in(second.asking)
    assert await is_in(elsewhere.asking)
    third = await with_cookie(fresh.asking, await second.asking.get(link_of(fresh)))
    assert not await is_in(second.asking)
    assert await is_in(third.asking)


async def test_whoever_fails_to_sign_in_again_stays_in(fresh: Web) -> None:
    browser = await fresh.browser()
    answer = await browser.asking.post("/signin", data={"token": "baton_mistyped"})
    assert answer.status == 403
    assert await is_in(browser.asking)


async def to_the_end(stream: Stream) -> None:
    with suppress(EOFError):
        while await stream.run():
            pass


async def test_a_stream_ends_soon_after_its_reader_signed_out_whatever_goes_on(
    fresh: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.5)
    script, browser = await fresh.script(), await fresh.browser()

    async def go_on() -> None:
        while True:
            await script.post(f"/api/runs/{fresh.put('failed')}/cancel")

    going_on = asyncio.create_task(go_on())
    try:
        async with browser.asking.stream("/events") as stream:
            for _ in range(3):
                assert await stream.run()
            assert (await browser.send("/signout")).status == 303
            signed_out = time.monotonic()
            async with asyncio.timeout(DEADLINE_SECONDS):
                await to_the_end(stream)
            # Besides the time of the beat, there is only what it takes to write this out.
            assert time.monotonic() - signed_out < 0.5 + 2
            assert not going_on.done()
    finally:
        going_on.cancel()
        await asyncio.gather(going_on, return_exceptions=True)
