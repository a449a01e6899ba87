"""Whatever runs and people write is text on every page, and never does anything."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.conftest import Person
from tests.web.browsing.stage import Visitor
from tests.web.house import Web

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCRIPTS = (
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(2)">',
    "</pre><svg onload=alert(3)>",
    "<iframe srcdoc='<script>parent.alert(4)</script>'></iframe>",
    "<meta http-equiv=refresh content='0; url=/signin'>",
    "{{ 7 * 7 }}",
)
ESCAPES = (
    "\x1b]0;title\x07\x1b[31mred\x1b[0m",
    "\x1b[2J\x1b[H\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "bell \x07 null \x00 bad \udcff",
)


async def is_harmless(visitor: Visitor) -> None:
    """No element came of it, and it was not obeyed."""
    for selector in ("main script", "main img", "main iframe", "main meta", "svg[onload]"):
        await visitor.misses(selector)


async def test_output_is_shown_as_text(ana: Visitor, ben: Person, tmp_path: Path) -> None:
    file = tmp_path / "shouted"
    lines = "\n".join([*SCRIPTS, *ESCAPES, "the end", ""])
    file.write_bytes(lines.encode("utf-8", "surrogateescape"))
    run_id = await ben.starts(f"/run loud file={file}")
    await ana.opens_run(run_id)
    await ana.sees("#log", "the end")
    for script in SCRIPTS:
        await ana.sees("#log", script)
    shown = await ana.at("#log").text_content() or ""
    assert "\nred\n" in shown
    assert not set(shown) & {"\x1b", "\x07", "\x00"}
    await is_harmless(ana)
    # What comes while the page is open goes another way than what was there before.
    await ana.page.reload()
    await ana.sees("#log", "the end")
    await is_harmless(ana)


async def test_arguments_branches_and_answers_are_text(web: Web, ana: Visitor) -> None:
    await ana.opens()
    await ana.page.get_by_text("Start a run").click()
    await ana.page.get_by_label("Workflow").first.select_option("failing")
    branch = "x<svg/onload=alert(1)>"
    await ana.page.get_by_label("Arguments").fill(f'branch={branch} note="{SCRIPTS[0]}"')
    await ana.page.get_by_role("button", name="Start", exact=True).click()
    await ana.shown_run()
    await ana.sees("#state", "failed")
    await ana.sees("dd", SCRIPTS[0])
    await ana.sees("main", branch)
    await is_harmless(ana)
    await ana.opens(f"/runs/{'%3Cscript%3Ealert(1)%3C'}script%3E")
    await ana.sees("[role=alert]", "<script>alert(1)<script>")
    await ana.opens("/?workflow=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    await expect(ana.page.get_by_label("Workflow").last).to_have_value(
        '"><script>alert(1)</script>'
    )
    await is_harmless(ana)


async def test_what_others_named_and_wrote_is_text(web: Web, ana: Visitor) -> None:
    for state in ("failed", "paused", "unproven"):
        run_id = web.put(
            state,
            notice=SCRIPTS[1],
            branch=SCRIPTS[2],
            changed_name=SCRIPTS[0],
            **({"error": SCRIPTS[0]} if state != "paused" else {}),
        )
        await ana.opens_run(run_id)
        await ana.sees(".notice", SCRIPTS[1])
        await is_harmless(ana)
    await ana.opens()
    await ana.sees("#live", SCRIPTS[0])
    await is_harmless(ana)
