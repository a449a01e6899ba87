"""Baton stands still or is down while its page is open: what is told, and how often it is asked."""

import re
from contextlib import suppress

import pytest
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Route, expect

from tests.conftest import Person
from tests.web.browsing.stage import COUNTED, HIDDEN, Visitor, asked
from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="session")

HURRIED = """AbortSignal.timeout = ((real) => (wait) =>
    real.call(AbortSignal, wait / 20))(AbortSignal.timeout);"""
BROKEN = """window.streams = [];
    window.EventSource = class {
        static CLOSED = 2;
        constructor() { streams.push(this); }
        addEventListener() {}
    };"""
REFUSED = """window.streams = [];
    window.EventSource = class {
        static CLOSED = 2;
        readyState = 2;
        constructor() { streams.push(this); setTimeout(() => this.onerror()); }
        addEventListener() {}
    };"""
ERRORS = "setInterval(() => streams.forEach((one) => one.onerror()), 2000)"
STEADY_MILLISECONDS, SELDOM_MILLISECONDS = 15_000, 30_000


class Standing:
    """What takes requests and does not answer them, until it goes on."""

    def __init__(self, visitor: Visitor, path: str, method: str = "GET") -> None:
        self._visitor, self._method = visitor, method
        self._address = re.compile(rf"{visitor.base}{path}(\?.*)?$")
        self._kept: list[Route] = []

    async def begins(self) -> None:
        await self._visitor.page.route(self._address, self._keep)

    async def _keep(self, route: Route) -> None:
        if route.request.method == self._method:
            self._kept.append(route)
        else:
            await route.fallback()

    async def ends(self) -> None:
        await self._visitor.page.unroute(self._address, self._keep)
        for route in self._kept:
            with suppress(PlaywrightError):  # the page waits for it no longer
                await route.abort()


async def test_a_page_notices_that_baton_stands_still(ana: Visitor, ben: Person) -> None:
    await ana.page.add_init_script(HURRIED)
    await ana.opens()
    await ana.sees("h1", "Runs")
    standing = Standing(ana, "/")
    await standing.begins()
    run_id = await ben.starts("/run quick")
    await ana.sees("#lost", "Baton does not answer; this page may be out of date.")
    await standing.ends()
    await expect(ana.at("#lost")).to_be_empty()
    await ana.sees("#live", run_id)


async def test_the_log_goes_on_after_baton_stood_still(ana: Visitor, ben: Person) -> None:
    await ana.page.add_init_script(HURRIED)
    run_id = await ben.starts("/run slow")
    standing = Standing(ana, rf"/runs/{run_id}/log")
    await standing.begins()
    async with ana.page.expect_event(
        "requestfailed", lambda request: request.url.startswith(f"{ana.base}/runs/{run_id}/log")
    ):
        await ana.opens_run(run_id)
    await standing.ends()
    await ana.sees("#log", "waiting")


async def test_a_form_that_is_not_answered_may_be_done_or_not(ana: Visitor, ben: Person) -> None:
    await ana.page.add_init_script(HURRIED)
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    await ana.opens_run(run_id)
    standing = Standing(ana, rf"/runs/{run_id}/resume", "POST")
    await standing.begins()
    await ana.at("#resume").click()
    await ana.is_told("Baton did not answer, so that it may be done or not.")
    await standing.ends()
    await ana.at("#resume").click()
    await ana.is_told("Passed gate ask")


async def test_while_baton_is_down_it_is_asked_less_and_less_often(ana: Visitor) -> None:
    await ana.page.add_init_script(COUNTED)
    await ana.page.add_init_script(BROKEN)
    await ana.page.clock.install()
    await ana.opens()
    await ana.page.evaluate(f"window.down = true; asked.length = 0; {ERRORS}")
    await ana.page.clock.run_for(300_000)
    # After 2, 4, 8 and 16 seconds, then every 30.
    assert 10 <= await asked(ana) <= 16
    await ana.sees("#lost", "Baton does not answer")
    await ana.page.evaluate("window.down = false")
    await ana.page.clock.fast_forward(SELDOM_MILLISECONDS)
    await expect(ana.at("#lost")).to_be_empty()
    # Whoever listens again, as a real stream does then, hears of the next time.
    await ana.page.evaluate("streams.forEach((one) => one.onopen())")
    await ana.page.clock.run_for(1000)
    await ana.page.evaluate("window.down = true; asked.length = 0")
    await ana.page.clock.run_for(STEADY_MILLISECONDS)
    assert 2 <= await asked(ana) <= 6


async def test_where_too_many_listen_a_page_tries_less_and_less_often(ana: Visitor) -> None:
    await ana.page.add_init_script(COUNTED)
    await ana.page.add_init_script(REFUSED)
    await ana.page.clock.install()
    await ana.opens()
    await ana.page.evaluate("asked.length = 0")
    await ana.page.clock.run_for(300_000)
    assert 10 <= await ana.page.evaluate("streams.length") <= 16
    # It looks every 15 seconds, as every page does.
    assert 5 <= await asked(ana) <= 22


async def test_a_page_that_is_no_list_and_no_run_asks_nothing(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    others = []
    for path in ("/signin?ticket=wrong", f"/runs/{run_id}/cancel", "/runs/nothing-here"):
        other = await ana.another_tab()
        await other.page.add_init_script(COUNTED)
        await other.page.clock.install()
        await other.opens(path)
        others.append(other)
    await ana.opens_run(run_id)
    await ben.says(f"/resume {run_id}")
    await ana.sees("#state", "Sure?")
    for other in others:
        await other.page.clock.run_for(60_000)
        assert await asked(other) == 0, other.page.url


async def test_a_page_that_nobody_sees_asks_once_when_it_is_shown(
    ana: Visitor, ben: Person
) -> None:
    await ana.page.add_init_script(COUNTED)
    await ana.page.clock.install()
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    other = await ana.another_tab()
    await other.opens_run(run_id)
    await ana.opens(f"/?conversation=terminal:{ben.name}")
    await ana.page.clock.run_for(1000)
    await ana.page.evaluate(HIDDEN, True)
    await ana.page.evaluate("asked.length = 0")
    for question in ("Sure?", "completed"):
        await ben.says(f"/resume {run_id}")
        await other.sees("#state", question)
    await ana.page.clock.run_for(60_000)
    assert await asked(ana) == 0
    await ana.page.evaluate(HIDDEN, False)
    await ana.sees(f"#row-{run_id}", "completed")
    assert await asked(ana) == 1


async def test_a_page_that_nobody_sees_closes_with_its_session(web: Web, ana: Visitor) -> None:
    async with ana.page.expect_response(lambda one: one.request.resource_type == "fetch"):
        await ana.opens()
    await ana.page.evaluate(HIDDEN, True)
    assert (await web.baton("token", "revoke", ana.name))[0] == 0
    await ana.is_at_sign_in()
