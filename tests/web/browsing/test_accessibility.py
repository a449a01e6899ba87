"""Every page in every state, light and dark, large and small: for those who do not see it too."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped] # it has none
from playwright.async_api import Browser, FloatRect, ViewportSize, expect

from tests.conftest import Person
from tests.web.browsing.stage import (
    DESK,
    DESK_TWICE_AS_LARGE,
    NARROW,
    PHONE,
    Scheme,
    Visitor,
    empty_repository,
    visiting,
    watched,
)
from tests.web.house import Web, opened

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOOKS: tuple[tuple[Scheme, ViewportSize], ...] = (("light", DESK), ("dark", PHONE))
# Half as large again as usual.
LARGE = 24
# https://www.w3.org/TR/WCAG22/#target-size-minimum
LEAST_PIXELS = 24
STATES = (
    *("pending", "working", "silent", "paused", "failed"),
    *("completed", "cancelled", "stopping", "unproven"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def still(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Web]:
    """A Baton in which every run stays in the state in which it was put there."""
    place = tmp_path_factory.mktemp("still")
    async with opened(watched(place, empty_repository(place))) as web:
        yield web


@pytest_asyncio.fixture(loop_scope="session")
async def eva(still: Web, chromium: Browser) -> AsyncIterator[Visitor]:
    """Somebody who signed in there."""
    async with visiting(chromium, still.base) as visitor:
        await visitor.takes_session(still, "operator")
        yield visitor


async def is_accessible(visitor: Visitor) -> None:
    """Axe has nothing to say, and everything fits."""
    for scheme, size in LOOKS:
        await visitor.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await visitor.page.set_viewport_size(size)
        found = await Axe().run(visitor.page)
        assert found.violations_count == 0, (scheme, size, found.generate_report())
    await fits(visitor)


async def fits(visitor: Visitor) -> None:
    """On no screen does anybody have to scroll sideways."""
    for size in (PHONE, NARROW, DESK_TWICE_AS_LARGE, DESK):
        await visitor.page.set_viewport_size(size)
        assert not await visitor.is_wider_than_shown(), size


async def test_signing_in(stranger: Visitor) -> None:
    await stranger.opens()
    await is_accessible(stranger)
    await stranger.opens("/signin?ticket=wrong")
    await stranger.sees("#failed", "opens nothing")
    await is_accessible(stranger)


async def test_the_list_without_runs(eva: Visitor) -> None:
    await eva.opens("/?workflow=none")
    await eva.sees(".empty", "no runs like that")
    await eva.page.get_by_text("Start a run").click()
    await is_accessible(eva)


async def test_the_list_with_runs_in_every_state(still: Web, eva: Visitor) -> None:
    for state in STATES:
        still.put(state, branch="b" * 80, workflow="deploy-" + "w" * 50)
    await eva.opens()
    await expect(eva.at(".run").nth(len(STATES) - 1)).to_be_visible()
    await is_accessible(eva)


async def test_a_run_in_every_state(still: Web, eva: Visitor) -> None:
    for state in STATES:
        run_id = still.put(state, notice="Its worktree was gone and was made again.")
        await eva.opens_run(run_id)
        await is_accessible(eva)


async def test_the_question_before_a_cancel(still: Web, eva: Visitor) -> None:
    run_id = still.put("working")
    await eva.opens_run(run_id)
    await eva.at("#cancel").click()
    await eva.has_focus("#no")
    await is_accessible(eva)
    await eva.opens(f"/runs/{run_id}/cancel")
    await is_accessible(eva)


async def test_answers(still: Web, eva: Visitor) -> None:
    run_id = still.put("paused")
    await eva.opens_run(run_id)
    await eva.at("#resume").click()
    await eva.is_told("Passed gate")
    await is_accessible(eva)
    await eva.opens(f"/runs/{'x' * 60}")
    await eva.sees("[role=alert]", "There is no run")
    await is_accessible(eva)


async def test_a_run_with_output_and_attempts(web: Web, ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run flaky")
    await ben.sees_status(run_id, "failed")
    await ben.says(f"/resume {run_id}")
    await ben.sees_status(run_id, "completed")
    await ana.opens_run(run_id)
    await ana.page.get_by_text("The same in words").click()
    await is_accessible(ana)


async def test_many_steps_and_long_lines_fit(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts(f"/run many note={'n' * 300} branch={'long-' * 20}name")
    await ben.sees_status(run_id, "completed")
    await ana.opens_run(run_id)
    await fits(ana)


async def test_everything_grows_with_the_letters_that_somebody_chose(
    ana: Visitor, ben: Person
) -> None:
    run_id = await ben.starts("/run flaky")
    await ben.sees_status(run_id, "failed")
    browser = await ana.context.new_cdp_session(ana.page)
    await browser.send("Page.setFontSizes", {"fontSizes": {"standard": LARGE, "fixed": LARGE}})
    for path in ("/", "/signin", f"/runs/{run_id}"):
        await ana.opens(path)
        await expect(ana.at("body")).to_have_css("font-size", f"{LARGE}px")
        await fits(ana)
    for row in range(2):
        name = await ana.at(".timeline li").nth(row).bounding_box()
        bar = await ana.at(".timeline svg > rect").nth(row).bounding_box()
        assert name
        assert bar
        assert middle(bar) == pytest.approx(middle(name), abs=2)


def middle(box: FloatRect) -> float:
    return box["y"] + box["height"] / 2


async def test_whatever_is_pressed_is_large_enough_for_a_finger(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    await ana.page.set_viewport_size(PHONE)
    for path in ("/", f"/runs/{run_id}", "/runs/nothing-here"):
        await ana.opens(path)
        for one in await ana.at("a:not(.skip), button, summary, input, select").all():
            box = await one.bounding_box()
            assert box is None or box["height"] >= LEAST_PIXELS, await one.inner_text()


async def test_a_moment_of_a_long_run_is_seen_on_a_phone(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run flaky")
    await ben.sees_status(run_id, "failed")
    await ana.page.set_viewport_size(PHONE)
    await ana.opens_run(run_id)
    bar = ana.at(".timeline svg > rect").first
    fill = await bar.evaluate("(bar) => getComputedStyle(bar).fill")
    await expect(bar).to_have_css("stroke", fill)
    await expect(bar).to_have_css("stroke-width", "1px")


async def test_light_and_dark_differ(ana: Visitor) -> None:
    await ana.opens()
    grounds = set()
    for scheme, _ in LOOKS:
        await ana.page.emulate_media(color_scheme=scheme)
        grounds.add(await ana.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == len(LOOKS)


async def test_the_path_of_the_keyboard(ana: Visitor, ben: Person) -> None:
    run_id = await ben.starts("/run gated")
    await ben.sees_status(run_id, "paused")
    await ana.opens_run(run_id)
    stops = []
    for _ in range(7):
        await ana.page.keyboard.press("Tab")
        stops.append(
            await ana.page.evaluate(
                "document.activeElement.ariaLabel || document.activeElement.innerText.trim()"
            )
        )
    assert stops[:6] == [
        "To the content",
        "Baton",
        "Sign out",
        "All runs",
        f"Resume run gated {run_id}",
        f"Cancel run gated {run_id}",
    ]
    await ana.opens_run(run_id)
    await ana.page.keyboard.press("Tab")
    await ana.page.keyboard.press("Enter")
    await ana.page.keyboard.press("Tab")
    await expect(ana.page.get_by_role("link", name="All runs")).to_be_focused()
