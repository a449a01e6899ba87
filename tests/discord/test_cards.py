"""One card per run: it tells the truth, heals, keeps quiet, and belongs to one process."""

import asyncio
import itertools
import os
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from bot.bootstrap import serving
from bot.conversation import Author, Conversation, Door, Message
from bot.keeper import EDIT_SECONDS, Desk
from tests.conftest import FAST, Person
from tests.discord.double import Discord, SentMessage, Slow
from tests.discord.house import become, installation_in, talking
from tests.discord.payloads import click, slash
from tests.discord.records import CHANNEL, CHANNEL_2, THREAD
from tests.discord.stage import (
    Stage,
    assert_clean_log,
    cards,
    copy_of,
    labels,
    news,
    on_stage,
)
from tests.test_recovery import another

BETWEEN_EDITS = 1.1
"""The keeper waits for 1.2 s; clocks and loops are given a little."""

OPEN = ["Resume", "Cancel", "Log"]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits follow each other faster than Discord would like, where that is no matter."""
    monkeypatch.setattr(Desk.__init__, "__defaults__", (0.2,))
    monkeypatch.setattr("adapters.discord.api._UNREACHABLE_SECONDS", 0.2)


def times_of_edits(discord: Discord, channel: str) -> list[float]:
    return [call.at for call in discord.called("PATCH", f"/channels/{channel}/messages/*")]


# --- what it says ----------------------------------------------------------------------------


async def test_a_run_has_one_message_that_tells_all_there_is(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository) as stage:
        run_id = await stage.starts("quick")
        card = await stage.shows(run_id, "completed, all 2 steps done")
        run = await stage.gets(run_id, lambda run: run.final)
        for wanted in ("quick", run_id, "2 of 2 steps done", "ana in Discord", "took "):
            assert wanted in card.content
        assert run.branch in card.content
        moments = [int(at) for at in re.findall(r"<t:(\d+):R>", card.content)]
        assert moments == [int(run.requested.at), int(run.changed.at)]
        assert (labels(card), card.channel, card.pinged) == ([], CHANNEL, set())
        assert card.edits
        assert cards(discord, run_id) == [card]


async def test_buttons_fit_the_state_of_a_settled_run(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository) as stage:
        paused = await stage.starts("gated", channel=CHANNEL)
        failed = await stage.starts("failing", channel=CHANNEL_2)
        completed = await stage.starts("quick", channel=THREAD)
        private = await stage.starts("gated", guild=None)
        assert labels(await stage.shows(paused, "waits at step 1 of 3, ask: Go?")) == OPEN
        assert labels(await stage.shows(failed, "failed at step 1 of 1, no: exit code 3")) == OPEN
        in_thread = await stage.shows(completed, "completed")
        direct = await stage.shows(private, "waits at step 1 of 3, ask: Go?")
        assert (labels(in_thread), in_thread.channel) == ([], THREAD)
        assert (labels(direct), direct.channel) == (OPEN, "601")
        await stage.cancels(direct)
        assert labels(await stage.shows(private, "cancelled, worktree free")) == []


async def test_buttons_fit_the_state_of_a_live_run(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    steps = [{"name": "wait", "run": f"trap '' TERM; echo > {ready}; sleep 300"}]
    workflows = {"deaf": {"repository": str(repository), "steps": steps}}
    sections: dict[str, Any] = {"runner": FAST | {"grace_seconds": 3}, "workflows": workflows}
    async with on_stage(discord, tmp_path, repository, concurrency=1, **sections) as stage:
        running = await stage.starts("deaf")
        card = await stage.shows(running, "running step 1 of 1, wait")
        await asyncio.to_thread(ready.read_text)
        assert labels(card) == ["Cancel", "Log"]
        pending = await stage.starts("deaf", channel=CHANNEL_2)
        waiting = await stage.shows(pending, "waiting for a free worker")
        assert labels(waiting) == ["Cancel", "Log"]
        await stage.cancels(waiting)
        await stage.cancels(card)
        assert labels(await stage.shows(running, "its processes are being stopped")) == ["Log"]
        assert labels(await stage.shows(running, "cancelled, worktree free")) == []
        assert labels(await stage.shows(pending, "cancelled, worktree free")) == []


async def test_a_lease_that_expires_reaches_the_card(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    runner = FAST | {"heartbeat_seconds": 0.3, "lease_seconds": 1}
    async with on_stage(discord, tmp_path, repository, runner=runner) as stage:
        claimed = Message(
            text="/run quick",
            conversation=Conversation("discord:700:500"),
            author=Author("discord:1", name="ana"),
            door=Door.DISCORD_SLASH,
            worker="here:1:vanished",
        )
        answer = await stage.service.dispatcher.handle(claimed)
        assert answer
        run_id = str(answer.run_id)
        assert labels(await stage.shows(run_id, "running step 1 of 2")) == ["Cancel", "Log"]
        card = await stage.shows(run_id, "interrupted", "has not been heard of")
        assert labels(card) == OPEN
        await discord.until(lambda: news(discord, run_id))
        await stage.told(click(card, "Resume", "2"))
        await stage.shows(run_id, "completed")


# --- when it is edited -----------------------------------------------------------------------


@pytest.mark.heavy
async def test_edits_are_coalesced_and_spaced_in_each_channel(
    discord: Discord, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Desk.__init__, "__defaults__", (EDIT_SECONDS,))
    steps = [{"name": f"step {number}", "run": "sleep 0.3"} for number in range(6)]
    workflows = {"many": {"repository": str(repository), "steps": steps}}
    async with on_stage(discord, tmp_path, repository, workflows=workflows) as stage:
        both = [await stage.starts("many") for _ in range(2)]
        for run_id in both:
            await stage.shows(run_id, "6 of 6 steps done", "completed", seconds=20)
            assert len(cards(discord, run_id)) == 1
    edits = times_of_edits(discord, CHANNEL)
    gaps = [after - before for before, after in itertools.pairwise(edits)]
    assert len(edits) >= 2
    assert min(gaps) >= BETWEEN_EDITS
    assert len(edits) < 2 * len(steps)


@pytest.mark.heavy
async def test_channels_do_not_wait_for_each_other(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository) as stage:
        discord.fail("POST", f"/channels/{CHANNEL}/messages", Slow(2))
        stuck = await stage.starts("quick")
        await discord.until(lambda: cards(discord, stuck))
        free = await stage.starts("quick", channel=CHANNEL_2)
        await stage.shows(free, "completed", seconds=1.8)
        assert not cards(discord, stuck)[0].edits
        await stage.shows(stuck, "completed")


async def test_what_changes_elsewhere_reaches_the_card(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository) as stage:
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
        assert (labels(card), len(cards(discord, run_id))) == ([], 1)
        await discord.until(lambda: "cancelled" in news(discord, run_id)[-1].content)


# --- late clicks -----------------------------------------------------------------------------


async def test_a_late_click_is_told_privately_what_happened_instead(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("paused")
        card = stage.card(run_id)
        old = copy_of(card)
        await stage.told(slash("cancel", {"run": run_id}))
        await stage.shows(run_id, "cancelled, worktree free")
        await stage.current()
        assert labels(card) == []

        card.content, card.components = old.content, old.components  # its last edit got lost
        told = await stage.private(click(old, "Resume", "2"))
        assert f"deploy {run_id} was cancelled by ana in Discord" in told
        assert labels(await stage.shows(run_id, "cancelled, worktree free")) == []
        told = await stage.private(click(old, "Cancel", "2"))
        assert "already cancelled by ana" in told
        assert cards(discord, run_id) == [card]


async def test_a_button_of_one_gate_does_not_pass_the_next(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository) as stage:
        run_id = await stage.starts("gated")
        first = copy_of(await stage.shows(run_id, "waits at step 1 of 3"))
        await stage.told(click(first, "Resume"))
        second = await stage.shows(run_id, "waits at step 2 of 3")
        for label in ("Resume", "Cancel"):
            assert "has moved on" in await stage.private(click(first, label, "2"))
        run = await stage.run(run_id)
        assert (run.status, run.steps_done) == ("paused", 1)
        await stage.told(click(second, "Resume", "2"))
        await stage.shows(run_id, "completed")


async def test_a_question_that_was_overtaken_cancels_nothing(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        asked = await stage.told(click(stage.card(run_id), "Cancel"))
        assert asked.original
        await stage.told(slash("resume", {"run": run_id}, user="2"))
        become(stage.database, run_id, "failed")
        late = await stage.told(click(asked.original, "Cancel run"))
        assert late.original is asked.original
        assert "has moved on" in asked.original.content
        assert (labels(asked.original), asked.original.ephemeral) == ([], True)
        assert (await stage.run(run_id)).status == "failed"


# --- what stands beside it -------------------------------------------------------------------


async def test_only_what_matters_is_a_new_message_and_one_of_them_calls_the_requester(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    discord.nonce_seconds = 0
    async with on_stage(discord, tmp_path, repository) as stage:
        run_id = await stage.starts("flaky", user="2")
        card = await stage.shows(run_id, "failed at step 2 of 3")
        await discord.until(lambda: len(news(discord, run_id)) == 1)
        old = copy_of(card)
        said = await stage.does(slash("resume", {"run": run_id}))
        await stage.shows(run_id, "completed")
        await discord.until(lambda: len(news(discord, run_id)) == 2)
        assert "there is nothing to resume" in await stage.private(click(old, "Resume"))
        await stage.answered()
        await stage.current()
        failed, completed = news(discord, run_id)
        assert "failed at step 2" in failed.content
        assert "completed" in completed.content
        assert [one.pinged for one in (card, failed, completed)] == [set(), {"user:2"}, set()]
        ((how, text),) = [(one.how, one.text) for one in said]
        assert (how, text.split()[:2]) == ("channel", ["Resuming", "flaky"])
        assert {one.reference for one in (failed, completed)} == {card.id}


async def test_a_run_calls_nobody_whatever_its_words(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    evil = "@everyone @here <@2> <@!2> <@&900> <#500> [x](https://e.example) **b** `c`"
    discord.grant("MENTION_EVERYONE")
    steps = [{"name": "ask", "gate": evil}, {"name": evil[:60], "gate": "Sure?"}]
    workflows = {"evil": {"repository": str(repository), "steps": steps}}
    async with on_stage(discord, tmp_path, repository, workflows=workflows) as stage:
        run_id = await stage.starts("evil")
        await stage.shows(run_id, "waits at step 1 of 2")
        await stage.told(click(stage.card(run_id), "Resume"))
        await stage.shows(run_id, "waits at step 2 of 2")
        await stage.told(slash("status", {"run": run_id}))
        await discord.until(lambda: len(news(discord, run_id)) == 2)
        await stage.answered()
    called = [one.pinged for one in discord.posted if one.pinged]
    assert called == [{"user:1"}]
    assert not any(re.search(r"(?<!\\)<[@#]", one.content) for one in but_calls(discord))


def but_calls(discord: Discord) -> list[SentMessage]:
    return [one for one in discord.posted if not one.pinged]


# --- more than one life, more than one process -----------------------------------------------


async def test_a_card_that_fell_behind_while_baton_was_down_converges(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository) as stage:
        run_id = await stage.starts("gated")
        card = await stage.shows(run_id, "waits at step 1 of 3")
        await stage.current()
    async with serving(another(stage.installation), concurrency=0) as service:
        await Person(service, "ben").says(f"/cancel {run_id}")
    assert "waits at step 1" in card.content
    async with talking(another(stage.installation)):
        await discord.until(lambda: "cancelled, worktree free" in card.content, 5)
        await discord.until(lambda: "cancelled" in news(discord, run_id)[-1].content, 5)
    assert (labels(card), cards(discord, run_id)) == ([], [card])
    assert_clean_log(tmp_path / "state", discord)


async def test_the_first_click_on_an_old_button_works(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        resumed, cancelled, looked = await stage.has("failed", "failed", "failed")
        shown = [stage.card(run_id) for run_id in (resumed, cancelled, looked)]
        offered = await stage.told(slash("resume"))
    async with talking(another(stage.installation), concurrency=0) as service:
        await discord.connected(1)
        later = Stage(discord, service, stage.installation)
        await later.told(click(shown[0], "Resume"))
        assert (await later.run(resumed)).status == "running"
        await later.cancels(shown[1])
        assert (await later.run(cancelled)).status == "cancelled"
        assert "has no output yet" in await later.private(click(shown[2], "Log"))
        assert offered.original
        await later.chooses(offered.original, looked)
        assert (await later.run(looked)).status == "running"
    assert_clean_log(tmp_path / "state", discord)


async def two_at_once(discord: Discord, one: Stage, two: Stage) -> list[str]:
    """Runs that both Batons hear of at the same time."""
    begun = [await one.starts("gated", channel=channel) for channel in (CHANNEL, CHANNEL_2)]
    for run_id in begun:
        await two.shows(run_id, "waits at step 1 of 3")
        await discord.until(lambda run_id=run_id: news(discord, run_id))  # type: ignore[misc]
    await two.current()
    return begun


async def test_two_batons_keep_one_card_and_one_takes_over(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    mine = installation_in(tmp_path, repository, discord)
    theirs = another(mine)
    async with talking(theirs) as second, AsyncExitStack() as life_of_first:
        first = await life_of_first.enter_async_context(talking(mine))
        await discord.connected(2)
        two = Stage(discord, second, theirs)
        begun = await two_at_once(discord, Stage(discord, first, mine), two)
        await life_of_first.aclose()
        for run_id in begun:
            await two.ben.says(f"/resume {run_id}")
            await two.shows(run_id, "waits at step 2 of 3")
            await discord.until(lambda run_id=run_id: len(news(discord, run_id)) == 2)  # type: ignore[misc]
        for run_id in begun:
            assert len(cards(discord, run_id)) == 1
            assert len(news(discord, run_id)) == 2
    assert_clean_log(tmp_path / "state", discord)
