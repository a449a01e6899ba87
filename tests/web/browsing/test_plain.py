"""Everything works in a browser without JavaScript: pages are loaded and forms are sent."""

import pytest
from playwright.async_api import expect

from tests.conftest import Person
from tests.web.browsing.stage import Visitor
from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_signing_in_and_out(web: Web, plain: Visitor) -> None:
    await plain.context.clear_cookies()
    await plain.opens()
    await plain.page.get_by_label("Token").fill(await web.token("operator", "paula"))
    await plain.page.get_by_role("button", name="Sign in").click()
    await plain.sees(".who", "paula, operator")
    await plain.page.get_by_role("button", name="Sign out").click()
    await plain.is_at_sign_in()


async def test_starting_a_run(web: Web, plain: Visitor, ben: Person) -> None:
    await plain.opens()
    await plain.page.get_by_text("Start a run").click()
    await plain.page.get_by_label("Workflow").first.select_option("quick")
    await plain.page.get_by_label("Arguments").fill("note='one two'")
    await plain.page.get_by_role("button", name="Start", exact=True).click()
    run_id = await plain.shown_run()
    await ben.sees_status(run_id, "completed")
    await (
        plain.page.get_by_role("link", name="Look again")
        .or_(plain.page.get_by_role("link", name="All runs"))
        .first.click()
    )
    await plain.sees("main", "completed, all 2 steps done")
    assert web.audited(run_id=run_id, verb="run") == [
        ("run", "started", "web", f"web:{plain.name}")
    ]


async def test_what_cannot_be_started_is_told_and_what_was_typed_kept(plain: Visitor) -> None:
    await plain.opens()
    await plain.page.get_by_text("Start a run").click()
    workflow = plain.page.get_by_label("Workflow").first
    await workflow.select_option("gated")
    arguments = plain.page.get_by_label("Arguments")
    await arguments.fill("note='one \"two")
    await arguments.press("Enter")
    await plain.is_told("A quotation mark is left open. Nothing started.")
    await expect(workflow).to_have_value("gated")
    await expect(arguments).to_have_value("note='one \"two")


async def test_cancelling_after_the_question(plain: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run slow")
    await ben.sees(run_id, lambda run: run.attempt == 1)
    await plain.opens_run(run_id)
    await plain.at("#cancel").click()
    await plain.sees("h1", "Cancel this run?")
    await plain.page.get_by_role("link", name="Keep running").click()
    await expect(plain.page).to_have_url(f"{plain.base}/runs/{run_id}")
    await plain.at("#cancel").click()
    await plain.page.get_by_role("button", name="Cancel run").click()
    await plain.is_told(f"Cancelled slow {run_id}")
    await ben.sees_status(run_id, "cancelled")
    await plain.opens_run(run_id)
    await plain.sees("#state", "cancelled, worktree free")


async def test_resuming_and_the_answer(plain: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run flaky")
    await ben.sees_status(run_id, "failed")
    await plain.opens_run(run_id)
    await plain.at("#resume").click()
    await plain.is_told("Resuming", "1 of 3 steps are kept")
    await ben.sees_status(run_id, "completed")
    await plain.opens_run(run_id)
    await plain.sees("#log", "attempt 2")


async def test_whoever_comes_too_late_is_told_who_was_faster(plain: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    await plain.opens_run(run_id)
    await ben.says(f"/cancel {run_id}")
    await plain.at("#resume").click()
    await plain.is_told(f"was cancelled by {ben.name} in a terminal", "Nothing changed.")


async def test_a_click_twice_has_one_effect(web: Web, plain: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    await plain.opens_run(run_id)
    await plain.at("#resume").dblclick()
    await plain.is_told("Passed gate ask")
    assert web.audited(run_id=run_id, verb="resume") == [
        ("resume", "resumed", "web", f"web:{plain.name}")
    ]
    assert (await web.run(run_id)).epoch == 2


async def test_an_answer_that_is_loaded_again_leads_back_to_the_run(
    plain: Visitor, ben: Person
) -> None:
    run_id = await ben.starts("/run flaky")
    await ben.sees_status(run_id, "failed")
    await plain.opens_run(run_id)
    await plain.at("#resume").click()
    await plain.is_told("Resuming")
    await plain.page.goto(plain.page.url)
    await plain.sees("h1", run_id)
