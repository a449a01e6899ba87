"""A run's life as somebody at its page sees it, who never reloads."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from tests.conftest import Person
from tests.web.browsing.stage import COUNTED, HIDDEN, Visitor, asked
from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="session")

GATHERED_MILLISECONDS = 3000


async def starts(visitor: Visitor, workflow: str, arguments: str = "") -> None:
    """Start a run by the form."""
    await visitor.opens()
    await visitor.page.get_by_text("Start a run").click()
    await visitor.page.get_by_label("Workflow").first.select_option(workflow)
    await visitor.page.get_by_label("Arguments").fill(arguments)
    await visitor.page.get_by_role("button", name="Start", exact=True).click()


async def loads(visitor: Visitor) -> int:
    """How often the page was loaded since it was marked, which no refresh in place undoes."""
    marked: bool = await visitor.page.evaluate("window.marked === true")
    await visitor.page.evaluate("window.marked = true")
    return 0 if marked else 1


async def test_a_run_is_started_and_watched_to_its_end(ana: Visitor, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    await starts(ana, "watched", f"first={first} second={second}")
    run_id = await ana.shown_run()
    await loads(ana)
    await ana.sees("#state", "running step 1 of 2, build")
    await ana.sees("#log", "building")
    first.touch()
    await ana.sees("#state", "running step 2 of 2, test")
    await expect(ana.page.get_by_role("img", name="1 of 2 steps done")).to_be_visible()
    await ana.sees("#log", "built\n── step 2 of 2, test ──\ntesting")
    second.touch()
    await ana.sees("#state", "completed, all 2 steps done")
    await ana.sees("#log", "tested")
    await expect(ana.page).to_have_title(f"completed: watched {run_id} · Baton")
    await ana.misses("#actions")
    assert await loads(ana) == 0


async def test_what_cannot_be_started_keeps_what_was_typed(web: Web, ana: Visitor) -> None:
    await starts(ana, "quick", "note='one two")
    await ana.is_told("A quotation mark is left open. Nothing started.")
    typed = ana.page.get_by_label("Arguments")
    await expect(typed).to_have_value("note='one two")
    await typed.fill("note='one two'")
    await typed.press("Enter")
    run_id = await ana.shown_run()
    assert (await web.run(run_id)).arguments == {"note": "one two"}


async def test_the_list_shows_runs_as_they_come_and_change(ana: Visitor, ben: Person) -> None:
    await ana.opens(f"/?conversation=terminal:{ben.name}")
    await ana.sees("#live", "There are no runs like that")
    await loads(ana)
    run_id = await ben.starts("/run gated branch=login")
    row = f"#row-{run_id}"
    await ana.sees(row, "waits at step 1 of 3, ask: Go?")
    await ana.sees(row, "login")
    newer = await ben.starts("/run failing")
    await expect(ana.at(".run .badge")).to_have_text(["failed", "paused"])
    await ben.says(f"/cancel {run_id}")
    await expect(ana.at(".run .badge")).to_have_text(["failed", "cancelled"])
    assert await loads(ana) == 0
    await ana.page.get_by_role("navigation", name="State").get_by_text("failed").click()
    await expect(ana.at(".run")).to_have_count(1)
    await ana.sees(".run", newer)


async def test_cancel_is_asked_about_and_then_done(web: Web, ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run slow")
    await ana.opens_run(run_id)
    await ana.sees("#log", "waiting")
    await ana.page.get_by_role("button", name=f"Cancel run slow {run_id}").click()
    dialog = ana.page.get_by_role("dialog", name="Cancel this run?")
    await expect(dialog).to_contain_text("It cannot be resumed.")
    await dialog.get_by_role("button", name="Keep running").click()
    await expect(dialog).to_be_hidden()
    assert not (await web.run(run_id)).final
    await ana.at("#cancel").click()
    await dialog.get_by_role("button", name="Cancel run").click()
    await ana.is_told(f"Cancelled slow {run_id}")
    await ana.sees("#state", "cancelled, worktree free")
    await ana.sees(".history", f"Cancelled by {ana.name} on the web page")


async def test_what_is_open_stays_open_when_a_notice_goes(
    web: Web, ana: Visitor, ben: Person
) -> None:
    run_id = await ben.starts("/run slow")
    await ana.opens_run(run_id)
    await ana.sees("#log", "waiting")
    run = await web.run(run_id)
    assert await web.service.store.write(lambda tx: tx.work.notice(run, "One change was left."))
    await ana.sees("#notice", "One change was left.")
    await ana.page.get_by_text("The same in words").click()
    await ana.page.evaluate("document.getElementById('log').marked = true")
    await ben.says(f"/cancel {run_id}")
    await ana.sees("#ended", f"Cancelled by {ben.name} in a terminal")
    await ana.misses("#notice")
    assert await ana.page.evaluate("document.getElementById('log').marked")
    assert await ana.page.evaluate("document.querySelector('#of-steps details').open")


async def test_cancel_by_keyboard_alone(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run slow")
    await ana.opens_run(run_id)
    await ana.at("#cancel").focus()
    for key in ("Enter", "Space"):
        await ana.page.keyboard.press(key)
        await ana.has_focus("#no")
        await ana.page.keyboard.press("Escape")
        await expect(ana.at("#sure")).to_be_hidden()
        await ana.has_focus("#cancel")
    await ana.page.keyboard.press("Enter")
    await ana.page.keyboard.press("Tab")
    await ana.has_focus("#yes")
    await ana.page.keyboard.press("Enter")
    await ana.sees("#state", "cancelled, worktree free")
    await ana.has_focus("#answer")


async def test_the_page_changes_behind_an_open_question(
    ana: Visitor, ben: Person, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run_id = await ben.starts(f"/run watched first={first} second={second}")
    await ana.opens_run(run_id)
    await ana.at("#cancel").click()
    first.touch()
    await ana.sees("#state", "running step 2 of 2, test")
    second.touch()
    await ana.sees("#state", "completed")
    await ana.has_focus("#no")
    await ana.at("#yes").click()
    await ana.is_told("had already completed")
    await ana.misses("#sure")


async def test_resume_goes_on_at_the_failed_step(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run flaky")
    await ben.sees_status(run_id, "failed")
    await ana.opens_run(run_id)
    await ana.sees("#state", "failed at step 2 of 3, two: exit code 1")
    await ana.page.get_by_role("button", name=f"Resume run flaky {run_id}").click()
    await ana.is_told("Resuming", "1 of 3 steps are kept")
    await ana.sees("#state", "completed, all 3 steps done")
    await ana.sees("#log", "attempt 2")
    await ana.page.get_by_text("The same in words").click()
    await ana.sees("details li:nth-child(2)", "two, attempt 1: did not complete, exit code 1")


async def test_a_gate_is_passed_and_the_next_one_declined(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    await ana.opens_run(run_id)
    await ana.sees("#state", "Go?")
    await ana.at("#resume").click()
    await ana.is_told("Passed gate ask of")
    await ana.sees("#state", "Sure?")
    await ana.sees("#actions", "Cancel declines it")
    await ana.at("#cancel").click()
    await ana.page.get_by_role("button", name="Cancel run", exact=True).click()
    await ana.sees("#state", "cancelled, worktree free")


async def test_each_new_state_is_spoken(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    await ana.opens_run(run_id)
    spoken = ana.at("#spoken[role=status]")
    await expect(spoken).to_have_text("")
    await ben.says(f"/resume {run_id}")
    await expect(spoken).to_have_text("waits at step 2 of 3, ask again: Sure?")
    await ben.says(f"/resume {run_id}")
    await expect(spoken).to_have_text("completed, all 3 steps done")


async def test_a_change_of_state_on_the_list_is_spoken(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    await ana.page.clock.install()
    await ana.opens(f"/?conversation=terminal:{ben.name}")
    await ben.says(f"/cancel {run_id}")
    await ana.sees(f"#row-{run_id}", "cancelled")
    await ana.page.clock.fast_forward(GATHERED_MILLISECONDS)
    await expect(ana.at("#spoken")).to_have_text(f"gated {run_id}: cancelled, worktree free")


async def test_many_changes_at_once_are_one_short_sentence(
    web: Web, ana: Visitor, ben: Person
) -> None:
    ids = [web.put("paused", workflow="flood") for _ in range(5)]
    await ana.page.clock.install()
    await ana.opens("/?workflow=flood")
    await ana.page.evaluate(HIDDEN, True)
    for run_id in ids:
        await ben.says(f"/cancel {run_id}")
    await ana.page.evaluate(HIDDEN, False)
    await expect(ana.at(".run .badge")).to_have_text(["cancelled"] * len(ids))
    await ana.page.clock.fast_forward(GATHERED_MILLISECONDS)
    await expect(ana.at("#spoken")).to_have_text("5 runs changed")


@pytest.mark.parametrize("listed", [False, True])
async def test_an_age_that_grows_is_not_spoken(web: Web, ana: Visitor, listed: bool) -> None:
    run_id = web.put("silent", workflow="aged")

    async def age(route: Route) -> None:
        answer = await route.fetch()
        body = (await answer.text()).replace("heard of for 1 min", "heard of for 7 min")
        await route.fulfill(response=answer, body=body)

    path = "/?workflow=aged" if listed else f"/runs/{run_id}"
    await ana.page.clock.install()
    await ana.opens(path)
    await ana.sees("#live", "heard of for 1 min")
    await ana.page.route(f"{ana.base}{path}", age)
    await ana.page.evaluate(HIDDEN, False)
    await ana.sees("#live", "heard of for 7 min")
    await ana.page.clock.run_for(GATHERED_MILLISECONDS)
    await expect(ana.at("#spoken")).to_be_empty()


async def test_the_list_stays_where_it_is_when_the_row_with_the_focus_goes(
    web: Web, ana: Visitor, ben: Person
) -> None:
    ids = [web.put("paused", workflow="tall") for _ in range(30)]
    await ana.opens("/?workflow=tall&status=paused")
    await ana.at(f"#run-{ids[-1]}").focus()
    await ben.says(f"/cancel {ids[-1]}")
    await ana.has_focus("#main")
    assert await ana.page.evaluate("scrollY") == 0


async def test_the_log_of_a_run_that_settled_is_left_alone(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run failing")
    await ben.sees_status(run_id, "failed")
    await ana.page.add_init_script(COUNTED)
    await ana.page.clock.install()
    await ana.opens_run(run_id)
    for _ in range(20):
        await ana.page.clock.run_for(1000)
        await ana.page.evaluate("Promise.allSettled(asked).then(() => null)")
    # A last look, and what is asked anew when the stream opens and every 15 seconds.
    assert 1 <= await asked(ana) <= 10


async def test_what_was_written_last_is_shown_after_the_run_has_settled(
    ana: Visitor, tmp_path: Path, ben: Person
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run_id = await ben.starts(f"/run watched first={first} second={second}")
    await ana.opens_run(run_id)
    await ana.sees("#log", "building")
    over = asyncio.Event()

    async def late(route: Route) -> None:
        if over.is_set():
            await route.fallback()
            return
        await over.wait()
        await route.fulfill(headers={"Log-Next-Offset": route.request.url.rpartition("=")[2]})

    log = re.compile(r"/log\?")
    await ana.page.route(log, late)
    async with ana.page.expect_request(log):
        pass
    first.touch()
    second.touch()
    await ana.sees("#state", "completed")
    await ana.misses("#live[data-grows]")
    over.set()
    await ana.sees("#log", "tested")


async def test_focus_selection_and_open_parts_outlast_a_change(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run flaky")
    await ben.sees_status(run_id, "failed")
    await ana.opens_run(run_id)
    await ana.page.get_by_text("The same in words").click()
    await ana.at("#log").select_text()
    await ana.at("#log").focus()
    await ben.says(f"/resume {run_id}")
    await ana.sees("#state", "completed")
    await ana.has_focus("#log")
    await expect(ana.at("details li").last).to_contain_text("three, attempt 1")
    await expect(ana.at("details li").last).to_be_visible()
    assert "step 1 of 3" in await ana.page.evaluate("getSelection().toString()")


async def test_what_went_well_is_not_told_for_ever(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    await ana.page.clock.install()
    await ana.opens_run(run_id)
    await ana.at("#resume").click()
    await ana.is_told("Passed gate")
    await ana.sees("#state", "Sure?")
    await ana.page.clock.fast_forward(6000)
    await ben.says(f"/cancel {run_id}")
    await ana.sees("#state", "cancelled")
    await ana.misses("#answer")
