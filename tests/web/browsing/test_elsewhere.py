"""What others do meanwhile: how soon it is seen, and what a click that comes too late is told."""

import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.conftest import Person
from tests.web.browsing.stage import Visitor, visiting
from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEEN_WITHIN_SECONDS = 2.0
ROUNDS = 4
CLICK_WHEN_IT_IS_BACK = """() => new Promise((resolve) => {
    const look = () => {
        const button = document.querySelector("[id='resuming-2'] button");
        if (button) { button.click(); resolve(); }
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true });
    look();
})"""


async def seconds_until_seen(
    visitor: Visitor, change: Callable[[], Coroutine[Any, Any, Any]], selector: str, text: str
) -> float:
    """From when the change was made, whoever made it having been told so, until it is shown."""
    await change()
    made = time.monotonic()
    await visitor.sees(selector, text)
    return time.monotonic() - made


@pytest.mark.alone
async def test_the_command_line_is_seen_within_two_seconds(
    web: Web, ana: Visitor, ben: Person
) -> None:
    one, taken = await ana.another_tab(), []
    await ana.opens()
    for _ in range(ROUNDS):
        run_id = await ben.starts("/run gated")
        await ben.sees_status(run_id, "paused")
        await one.opens_run(run_id)
        await one.sees("#state", "Go?")

        change = partial(web.baton, "cancel", run_id)
        taken.append(await seconds_until_seen(one, change, "#state", "cancelled"))
        await ana.sees(f"#row-{run_id}", "cancelled")
    assert max(taken) < SEEN_WITHIN_SECONDS, taken


@pytest.mark.alone
async def test_a_terminal_is_seen_within_two_seconds(ana: Visitor, ben: Person) -> None:
    await ana.opens()
    taken = []
    for _ in range(ROUNDS):
        run_id = await ben.starts("/run gated")
        row = f"#row-{run_id}"
        await ana.sees(row, "Go?")
        change = partial(ben.says, f"/resume {run_id}")
        taken.append(await seconds_until_seen(ana, change, row, "Sure?"))
    assert max(taken) < SEEN_WITHIN_SECONDS, taken


async def test_whoever_resumes_too_late_is_told_who_was_faster(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run failing")
    await ben.sees_status(run_id, "failed")
    await ana.opens_run(run_id)
    await ana.stays_behind()
    await ben.says(f"/resume {run_id}")
    await ben.sees(run_id, lambda run: run.epoch == 2 and run.status == "failed")
    await ana.at("#resume").click()
    await ana.is_told("has moved on since you looked", "the worker", "Nothing changed.")
    await ana.sees(".history", f"Resumed by {ben.name} in a terminal")


async def test_whoever_resumes_what_runs_is_told_who_was_faster(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    await ana.opens_run(run_id)
    await ana.stays_behind()
    for _ in range(2):
        await ben.says(f"/resume {run_id}")
        await ben.sees(run_id, lambda run: run.status in {"paused", "completed"})
    await ben.sees_status(run_id, "completed")
    await ana.at("#resume").click()
    await ana.is_told("there is nothing to resume")
    await ana.misses("#resume")


async def test_whoever_cancels_too_late_is_told_who_was_faster(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run slow")
    await ana.opens_run(run_id)
    await ana.at("#cancel").click()
    await ana.stays_behind()
    await ben.says(f"/cancel {run_id}")
    await ana.at("#yes").click()
    await ana.is_told(f"was already cancelled by {ben.name} in a terminal", "Nothing changed.")
    await ana.sees(".history", f"Cancelled by {ben.name} in a terminal")


async def test_the_answer_to_a_question_that_came_too_late_stays_live(
    ana: Visitor, ben: Person
) -> None:
    run_id = await ben.starts("/run failing")
    await ben.sees_status(run_id, "failed")
    await ana.opens(f"/runs/{run_id}/cancel")
    await ben.says(f"/resume {run_id}")
    await ben.sees(run_id, lambda run: run.epoch == 2 and run.status == "failed")
    await ana.page.get_by_role("button", name="Cancel run").click()
    await ana.is_told("has moved on since you looked", "Nothing changed.")
    await ben.says(f"/resume {run_id}")
    resumed = ana.at(".history").get_by_text(f"Resumed by {ben.name} in a terminal")
    await expect(resumed).to_have_count(2)
    await expect(ana.page).to_have_title(f"failed: failing {run_id} · Baton")


async def test_a_click_twice_has_one_effect(web: Web, ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    await ana.opens_run(run_id)
    await ana.at("#resume").dblclick()
    await ana.is_told("Passed gate ask")
    await ana.sees("#state", "Sure?")
    assert web.audited(run_id=run_id, verb="resume") == [
        ("resume", "resumed", "web", f"web:{ana.name}")
    ]


async def test_a_click_on_what_came_this_moment_was_meant_for_what_was_there_before(
    web: Web, ana: Visitor, ben: Person
) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    await ana.opens_run(run_id)
    await ana.at("#resume").click()
    await ana.page.evaluate(CLICK_WHEN_IT_IS_BACK)
    await ana.sees("#state", "Sure?")
    assert (await web.run(run_id)).epoch == 2


async def test_two_tabs_follow_each_other_and_one_goes_on_alone(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    other = await ana.another_tab()
    await ana.opens_run(run_id)
    await other.opens_run(run_id)
    await ana.at("#resume").click()
    await other.sees("#state", "Sure?")
    await expect(other.at("#told")).to_be_empty()
    await ana.page.close()
    await ben.says(f"/resume {run_id}")
    await other.sees("#state", "completed")


async def test_two_people_who_click_at_once_have_one_effect(
    web: Web, ana: Visitor, ben: Person, chromium: Browser
) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    async with visiting(chromium, web.base) as carl:
        await carl.takes_session(web, "operator")
        for one in (ana, carl):
            await one.opens_run(run_id)
            await one.stays_behind()
        await ana.at("#resume").click()
        await carl.at("#resume").click()
        await ana.is_told("Passed gate ask")
        await carl.is_told("Nothing changed.", f"gated {run_id}")
        await carl.sees(".history", f"Resumed by {ana.name} on the web page")
