"""One card per run: it tells the truth, heals, keeps quiet, and belongs to one process."""

import asyncio
import itertools
import os
import re
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from bot.bootstrap import serving
from bot.conversation import Author, Conversation, Door, Message
from bot.keeper import EDIT_SECONDS, Desk
from tests.conftest import FAST, Person
from tests.slack.conftest import installation_in, talking
from tests.slack.double import Slack, Slow
from tests.slack.payloads import buttons_of, click
from tests.slack.stage import (
    Stage,
    assert_clean_log,
    cards,
    copy_of,
    in_slack,
    labels,
    mentions,
    more_channels,
    news,
    nodes,
    on_stage,
    words,
)
from tests.test_recovery import another

BETWEEN_EDITS = 1.1
"""The keeper waits for 1.2 s; clocks and loops are given a little."""

DATE = re.compile(r"<!date\^(\d+)\^\{ago\}\|[^<>|]+>")
OPEN = ["Resume", "Cancel", "Log"]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits follow each other faster than Slack would like, where their spacing is no matter."""
    monkeypatch.setattr(Desk.__init__, "__defaults__", (0.2,))


def times_of_edits(slack: Slack, channel: str) -> list[float]:
    calls = slack.called("chat.update")
    return [call.at for call in calls if call.values["channel"] == channel]


# --- what it says ----------------------------------------------------------------------------


async def test_a_run_has_one_message_that_tells_all_there_is(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        run_id = await stage.starts("quick")
        card = await stage.shows(run_id, "completed, all 2 steps done")
        run = await stage.gets(run_id, lambda run: run.final)
        for wanted in ("quick", run_id, "2 of 2 steps done", "ana in Slack", run.branch, "took "):
            assert wanted in words(card)
        dates = [found for node in nodes(card.blocks) for found in DATE.findall(str(node))]
        assert str(int(run.requested.at)) in dates
        assert "completed" in card.text
        assert (labels(card), card.thread_ts) == ([], None)
        assert card.edits
        assert len(cards(slack, run_id)) == 1


async def test_buttons_fit_the_state_of_a_settled_run(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    more_channels(slack, "C3")
    async with on_stage(slack, tmp_path, repository) as stage:
        paused = await stage.starts("gated", channel="C1")
        failed = await stage.starts("failing", channel="C2")
        completed = await stage.starts("quick", channel="C3")
        assert labels(await stage.shows(paused, "waits at step 1 of 3, ask: Go?")) == OPEN
        assert labels(await stage.shows(failed, "failed at step 1 of 1, no: exit code 3")) == OPEN
        assert labels(await stage.shows(completed, "completed")) == []


async def test_buttons_fit_the_state_of_a_live_run(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    steps = [{"name": "wait", "run": f"trap '' TERM; echo > {ready}; sleep 300"}]
    workflows = {"deaf": {"repository": str(repository), "steps": steps}}
    sections: dict[str, Any] = {"runner": FAST | {"grace_seconds": 3}, "workflows": workflows}
    async with on_stage(slack, tmp_path, repository, concurrency=1, **sections) as stage:
        running = await stage.starts("deaf", channel="C1")
        card = await stage.shows(running, "running step 1 of 1, wait")
        await asyncio.to_thread(ready.read_text)
        assert labels(card) == ["Cancel", "Log"]
        pending = await stage.starts("deaf", channel="C2")
        waiting = await stage.shows(pending, "waiting for a free worker")
        assert labels(waiting) == ["Cancel", "Log"]
        await stage.says(f"cancel {pending}", channel="C2")
        await stage.says(f"cancel {running}")
        assert labels(await stage.shows(running, "its processes are being stopped")) == ["Log"]
        assert labels(await stage.shows(running, "cancelled, worktree free")) == []
        assert labels(await stage.shows(pending, "cancelled, worktree free")) == []


async def test_a_lease_that_expires_reaches_the_card(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        claimed = in_slack("/run quick", worker="here:1:vanished")
        answer = await stage.service.dispatcher.handle(claimed)
        assert answer
        run_id = str(answer.run_id)
        assert labels(await stage.shows(run_id, "running step 1 of 2")) == ["Cancel", "Log"]
        card = await stage.shows(run_id, "interrupted", "has not been heard of")
        assert labels(card) == OPEN
        await slack.until(lambda: news(slack, run_id))
        assert await slack.send(click(card, buttons_of(card.blocks)["Resume"], user="U2"))
        await stage.shows(run_id, "completed")


# --- when it is edited -----------------------------------------------------------------------


@pytest.mark.heavy
async def test_edits_are_coalesced_and_spaced_in_each_channel(
    slack: Slack, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Desk.__init__, "__defaults__", (EDIT_SECONDS,))
    steps = [{"name": f"step {number}", "run": "sleep 0.3"} for number in range(8)]
    workflows = {"many": {"repository": str(repository), "steps": steps}}
    async with on_stage(slack, tmp_path, repository, workflows=workflows) as stage:
        both = [await stage.starts("many") for _ in range(2)]
        for run_id in both:
            await stage.shows(run_id, "8 of 8 steps done", "completed", seconds=20)
            assert len(cards(slack, run_id)) == 1
    edits = times_of_edits(slack, "C1")
    gaps = [after - before for before, after in itertools.pairwise(edits)]
    assert len(edits) >= 2
    assert min(gaps) >= BETWEEN_EDITS
    assert len(edits) < 2 * len(steps)


@pytest.mark.heavy
async def test_channels_do_not_wait_for_each_other(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        slack.fail("chat.postMessage", Slow(4))
        stuck = await stage.starts("quick", channel="C1")
        await slack.until(lambda: cards(slack, stuck))
        free = await stage.starts("quick", channel="C2")
        await stage.shows(free, "completed", seconds=3)
        assert not cards(slack, stuck)[0].edits
        await stage.shows(stuck, "completed")


async def test_what_changes_elsewhere_reaches_the_card(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        run_id = await stage.starts("gated")
        await stage.shows(run_id, "waits at step 1 of 3")
        await stage.ben.says(f"/resume {run_id}")
        await stage.shows(run_id, "waits at step 2 of 3", "Sure?")

        other = another(stage.installation)
        cli = Message(
            text=f"cancel {run_id}",
            conversation=Conversation("cli:cy"),
            author=Author("cli:cy"),
            door=Door.CLI,
        )
        await other.dispatcher(other.inline_store()).handle(cli)
        other.database.close()
        card = await stage.shows(run_id, "cancelled, worktree free")
        assert (labels(card), len(cards(slack, run_id))) == ([], 1)
        await slack.until(lambda: "cancelled" in words(news(slack, run_id)[-1]))


# --- late clicks -----------------------------------------------------------------------------


async def test_a_late_click_is_told_privately_what_happened_instead(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        run_id = await stage.starts("gated")
        card = await stage.shows(run_id, "waits at step 1 of 3")
        old = copy_of(card)
        await stage.says(f"cancel {run_id}")
        await stage.shows(run_id, "cancelled, worktree free")
        assert labels(card) == []
        await stage.current()

        card.change(time.monotonic(), old.text, old.blocks)  # the last edit got lost
        told = await stage.clicks(old, "Resume", user="U2")
        assert (told.ephemeral, told.user) == (True, "U2")
        assert "was cancelled by ana" in told.text
        assert labels(await stage.shows(run_id, "cancelled, worktree free")) == []
        told = await stage.clicks(old, "Cancel", user="U2")
        assert "already cancelled by ana" in told.text
        assert len(cards(slack, run_id)) == 1


async def test_a_button_of_one_gate_does_not_pass_the_next(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        run_id = await stage.starts("gated")
        first = copy_of(await stage.shows(run_id, "waits at step 1 of 3"))
        assert await slack.send(click(first, buttons_of(first.blocks)["Resume"]))
        second = await stage.shows(run_id, "waits at step 2 of 3")
        for label in ("Resume", "Cancel"):
            told = await stage.clicks(first, label, user="U2")
            assert told.ephemeral
            assert "moved on" in told.text
        run = await stage.gets(run_id, lambda run: True)
        assert (run.status, run.steps_done) == ("paused", 1)
        assert await slack.send(click(second, buttons_of(second.blocks)["Resume"], user="U2"))
        await stage.shows(run_id, "completed")


# --- what stands beside it -------------------------------------------------------------------


async def test_only_what_matters_is_a_new_message_and_one_of_them_calls_the_requester(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        run_id = await stage.starts("flaky", user="U2")
        card = await stage.shows(run_id, "failed at step 2 of 3")
        await slack.until(lambda: len(news(slack, run_id)) == 1)
        await stage.says(f"resume {run_id}")
        await stage.shows(run_id, "completed")
        await slack.until(lambda: len(news(slack, run_id)) == 2)
        await stage.current()
        failed, completed = news(slack, run_id)
        assert "failed at step 2" in words(failed)
        assert "completed" in words(completed)
        assert [mentions(one) for one in (card, failed, completed)] == [[], ["U2"], []]
        (answer,) = [one for one in slack.posted if one not in (card, failed, completed)]
        assert "Resuming flaky" in words(answer)
        assert {one.thread_ts for one in (failed, completed, answer)} == {card.ts}


async def test_a_deleted_card_is_posted_again(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        run_id = await stage.starts("gated")
        old = await stage.shows(run_id, "waits at step 1 of 3")
        await stage.current()
        slack.remove(old)
        await stage.ben.says(f"/resume {run_id}")
        card = await stage.shows(run_id, "waits at step 2 of 3")
        await stage.current()
        assert cards(slack, run_id) == [old, card]
        assert await slack.send(click(card, buttons_of(card.blocks)["Resume"]))
        await stage.shows(run_id, "completed")
        assert not card.deleted


# --- more than one life, more than one process -----------------------------------------------


@pytest.mark.heavy
async def test_a_card_that_fell_behind_while_baton_was_down_converges(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        run_id = await stage.starts("gated")
        card = await stage.shows(run_id, "waits at step 1 of 3")
        await stage.current()
    async with serving(another(stage.installation), concurrency=0) as service:
        await Person(service, "ben").says(f"/cancel {run_id}")
    assert "waits at step 1" in words(card)
    begun = time.monotonic()
    async with talking(another(stage.installation)):
        await slack.until(lambda: "cancelled, worktree free" in words(card), seconds=5)
        await slack.until(lambda: "cancelled" in words(news(slack, run_id)[-1]), seconds=5)
        assert time.monotonic() - begun < 5
    assert (labels(card), cards(slack, run_id)) == ([], [card])
    assert_clean_log(tmp_path / "state")


async def two_at_once(slack: Slack, one: Stage, two: Stage) -> list[str]:
    """Runs that both Batons hear of at the same time."""
    begun = [await one.starts("gated", channel=channel) for channel in ("C1", "C2")]
    for run_id in begun:
        await two.shows(run_id, "waits at step 1 of 3")
        await slack.until(lambda run_id=run_id: news(slack, run_id))  # type: ignore[misc]
    await two.current()
    return begun


async def test_two_batons_keep_one_card_and_one_takes_over(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    mine = installation_in(tmp_path, repository, slack)
    theirs = another(mine)
    async with talking(theirs) as second, AsyncExitStack() as life_of_first:
        first = await life_of_first.enter_async_context(talking(mine))
        await slack.connected(4)
        two = Stage(slack, second, theirs)
        begun = await two_at_once(slack, Stage(slack, first, mine), two)
        await life_of_first.aclose()
        for run_id in begun:
            await two.ben.says(f"/resume {run_id}")
            await two.shows(run_id, "waits at step 2 of 3")
            await slack.until(lambda run_id=run_id: len(news(slack, run_id)) == 2)  # type: ignore[misc]
        for run_id in begun:
            assert len(cards(slack, run_id)) == 1
            assert len(news(slack, run_id)) == 2
    assert_clean_log(tmp_path / "state")
