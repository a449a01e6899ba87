"""A replica is frozen for longer than others wait for it, and thawed.

Meanwhile the other one has taken over what it was about to do: nothing is done or said twice.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.chat.scenes import become, open_cards
from tests.discord.payloads import mention as discord_mention
from tests.discord.payloads import slash as discord_slash
from tests.replicas.doomed import (
    ANNOUNCING,
    CARRIED_OUT,
    EDITING,
    IN_TRANSACTION,
    POSTING,
    RECEIVED,
    SAID,
)
from tests.replicas.house import (
    QUICK,
    Child,
    Replica,
    Town,
    assert_clean_log,
    child,
    discord_room,
    hurry_database,
    left,
    place_runs,
    replica,
    slack_room,
)
from tests.replicas.seen import (
    discord_answers,
    discord_card_is_true,
    discord_cards,
    discord_news,
    slack_answers,
    slack_card_is_true,
    slack_cards,
    slack_news,
)
from tests.slack.double import Slow
from tests.slack.payloads import mention as slack_mention
from tests.slack.payloads import slash as slack_slash
from tests.slack.records import Json

pytestmark = pytest.mark.heavy
SOAK = pytest.mark.soak

WAYS = ("slash", "mention", "private")
DONE_SECONDS = 10


@pytest.fixture
def hurried(town: Town) -> Town:
    """Replicas that are soon taken for gone."""
    return replace(town, pace=dict(QUICK))


@asynccontextmanager
async def with_one_frozen(
    town: Town, point: str = "", many: int = 1
) -> AsyncIterator[tuple[Child, Replica]]:
    """A child that freezes at a point, and a replica that is well."""
    town.has_rooms()
    async with child(town, "one", point=point, many=many) as frozen:
        await town.connected(1)
        async with replica(town, "two") as other:
            await town.connected(2)
            yield frozen, other
    assert_clean_log(town)


async def thawed(town: Town, frozen: Child, other: Replica) -> None:
    """Let it go on, and wait until it has done whatever it wants to do."""
    town.armed.unlink(missing_ok=True)
    frozen.thaw()
    slack = town.slack
    assert slack is not None
    (run_id,) = place_runs(other.database, "slack", "failed", 1)
    # What it takes after all that waited for it, it answers after that.
    assert await slack.send(slack_slash("/baton", f"status {run_id}"), slack.connections[0])
    await slack.until(lambda: slack_answers(slack, run_id))
    # What it puts off, it puts off for a second.
    await asyncio.sleep(1.2)
    await other.answered()
    await other.settled()


# --- deliveries --------------------------------------------------------------------------------


def envelopes(ids: Sequence[str]) -> list[tuple[str, Json]]:
    """What is asked of each run: in Slack of the first three, in Discord of the others."""
    first, second, third, fourth, fifth, sixth = ids
    return [
        ("slack", slack_slash("/resume", first, channel=slack_room(0))),
        ("slack", slack_mention(f"resume {second}", channel=slack_room(1))),
        ("slack", slack_slash("/baton", f"history {third}", channel=slack_room(2))),
        ("discord", discord_slash("resume", {"run": fourth}, channel=discord_room(0))),
        ("discord", discord_mention(f"resume {fifth}", channel=discord_room(1))),
        ("discord", discord_slash("history", {"run": sixth}, channel=discord_room(2))),
    ]


async def sent(town: Town, asked: Sequence[tuple[str, Json]]) -> list["asyncio.Task[Any]"]:
    """All of it at once; Slack's to the first connection, Discord's to everybody."""
    slack, discord = town.slack, town.discord
    assert slack is not None
    assert discord is not None
    sending = []
    for platform, payload in asked:
        if platform == "slack":
            # A replica that is frozen acknowledges nothing.
            deliver = slack.send(payload, slack.connections[0], seconds=60)
            sending.append(asyncio.create_task(deliver))
        elif "content" in payload:
            await discord.say(payload)
        else:
            await discord.interact(payload)
    return sending


def answers(town: Town, run_id: str) -> list[str]:
    """Everything that people are told about a run, by its first word."""
    slack, discord = town.slack, town.discord
    assert slack is not None
    assert discord is not None
    said = [*slack_answers(slack, run_id)]
    found = [one.text for one in said]
    found += [one.content for one in discord_answers(discord, run_id)]
    return [text.split()[0] for text in found]


def comes_later(replica: Replica) -> None:
    """Let the other one be the first to receive whatever is sent to both."""
    dispatcher: Any = replica.service.dispatcher
    receive = dispatcher.receive

    async def later(message: Any) -> bool:
        await asyncio.sleep(0.5)
        fresh: bool = await receive(message)
        return fresh

    dispatcher.receive = later


@pytest.mark.parametrize(
    "point", [pytest.param(RECEIVED, marks=SOAK), pytest.param(CARRIED_OUT, marks=SOAK), SAID]
)
async def test_what_the_other_one_took_over_is_not_done_or_said_again(
    hurried: Town, point: str
) -> None:
    async with with_one_frozen(hurried, point, 6) as (frozen, other):
        ids = [
            *place_runs(other.database, "slack", "failed", 3),
            *place_runs(other.database, "discord", "failed", 3),
        ]
        await other.write(lambda tx: open_cards(tx, ids))
        await other.settled()
        hurried.armed.touch()
        comes_later(other)
        sending = await sent(hurried, envelopes(ids))
        await frozen.frozen()
        assert len(left(other.database)) == 6
        async with asyncio.timeout(DONE_SECONDS):
            await other.answered()
        told = {run_id: answers(hurried, run_id) for run_id in ids}
        await thawed(hurried, frozen, other)
        for task in sending:
            task.cancel()
        words = [await other.words(run_id, "resume") for run_id in ids]
        assert words == [["resumed"], ["resumed"], []] * 2
    assert {run_id: answers(hurried, run_id) for run_id in ids} == told
    if point == SAID:
        # What one person alone sees in Slack can neither be looked for nor be named.
        assert told.pop(ids[2]) == ["History", "History"]
    assert all(len(said) == 1 for said in told.values()), told


async def test_what_a_frozen_replica_has_locked_keeps_nothing_else_waiting(
    hurried: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry_database(monkeypatch)
    slack = hurried.slack
    assert slack is not None
    async with with_one_frozen(hurried, IN_TRANSACTION) as (frozen, other):
        early, locked = place_runs(other.database, "slack", "failed", 2)
        await other.write(lambda tx: open_cards(tx, [early, locked]))
        await other.settled()
        hurried.armed.touch()
        slack.fail("users.info", Slow(20))  # so that it gets no further with the first
        first = slack_mention(f"resume {early}", channel=slack_room(0))
        assert await slack.send(first, slack.connections[0])
        second = slack_slash("/resume", locked, channel=slack_room(1))
        # It may stand still just before it tells Slack that it has this.
        sending = asyncio.create_task(slack.send(second, slack.connections[0]))
        await frozen.frozen()
        assert len(left(other.database)) == 2
        async with asyncio.timeout(DONE_SECONDS):
            await other.answered()
        await sending
        await thawed(hurried, frozen, other)
        for run_id in (early, locked):
            assert await other.words(run_id, "resume") == ["resumed"]
    assert [answers(hurried, run_id) for run_id in (early, locked)] == [["Resuming"]] * 2


# --- cards -------------------------------------------------------------------------------------


async def opened(other: Replica, state: str) -> list[str]:
    """A run in each platform, which gets its card; the child keeps that."""
    ids = [
        run_id
        for one in ("slack", "discord")
        for run_id in place_runs(other.database, one, state, 1)
    ]
    await other.opens_elsewhere(ids)
    return ids


async def cards_are_true(town: Town, other: Replica, ids: Sequence[str]) -> None:
    """Each run has one card, which is true, and nothing was announced twice."""
    slack, discord = town.slack, town.discord
    assert slack is not None
    assert discord is not None
    for run_id in ids:
        run = await other.run(run_id)
        if run.conversation.startswith("slack"):
            assert len(slack_cards(slack, run_id)) == 1
            told = slack_news(slack, run_id)
            assert slack_card_is_true(slack, run), slack_cards(slack, run_id)
        else:
            assert len(discord_cards(discord, run_id)) == 1
            told = [one.content for one in discord_news(discord, run_id)]
            assert discord_card_is_true(discord, run), discord_cards(discord, run_id)
        assert len(told) == len(set(told)), told


async def test_an_edit_that_comes_late_is_made_good(hurried: Town) -> None:
    """The frozen one was about to show an older state than the other one showed meanwhile."""
    async with with_one_frozen(hurried, EDITING, 2) as (frozen, other):
        ids = await opened(other, "paused")
        await other.settled()
        hurried.armed.touch()
        for run_id in ids:
            become(other.database, run_id, "claimed")
        await frozen.frozen()
        for run_id in ids:
            become(other.database, run_id, "cancelled")
        async with asyncio.timeout(DONE_SECONDS):
            await other.settled()
        await cards_are_true(hurried, other, ids)
        await thawed(hurried, frozen, other)
        await cards_are_true(hurried, other, ids)


@pytest.mark.parametrize("point", [pytest.param(POSTING, marks=SOAK), ANNOUNCING])
async def test_what_the_other_one_posted_is_not_posted_again(hurried: Town, point: str) -> None:
    """The frozen one had noted that it was about to."""
    async with with_one_frozen(hurried, point, 2) as (frozen, other):
        if point == POSTING:
            hurried.armed.touch()
            ids = await opened(other, "failed")
        else:
            ids = await opened(other, "paused")
            await other.settled()
            hurried.armed.touch()
            for run_id in ids:
                become(other.database, run_id, "failed")
        await frozen.frozen()
        # Else Discord itself would know that both posted the same.
        for run_id in ids:
            become(other.database, run_id, "completed")
        async with asyncio.timeout(DONE_SECONDS):
            await other.settled()
        await cards_are_true(hurried, other, ids)
        await thawed(hurried, frozen, other)
        for run_id in ids:
            become(other.database, run_id, "cancelled")
        await other.settled()
        await cards_are_true(hurried, other, ids)


# --- at any moment -----------------------------------------------------------------------------

ROUNDS = [0, *(pytest.param(one, marks=SOAK) for one in range(1, 20))]
MANY = 12


@pytest.mark.parametrize("seed", ROUNDS)
async def test_a_freeze_at_any_moment_costs_and_doubles_nothing(
    hurried: Town, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """With commands in flight; what one person alone sees in Slack is another matter."""
    hurry_database(monkeypatch)
    dice = random.Random(seed)
    slack, discord = hurried.slack, hurried.discord
    assert slack is not None
    assert discord is not None
    async with with_one_frozen(hurried) as (frozen, other):
        ids = [
            *place_runs(other.database, "slack", "failed", MANY),
            *place_runs(other.database, "discord", "failed", MANY),
        ]
        await other.write(lambda tx: open_cards(tx, ids))
        await other.settled()
        asked = [
            *(
                ("slack", slack_slash("/resume", run_id, channel=slack_room(number)))
                for number, run_id in enumerate(ids[:MANY])
            ),
            *(
                ("discord", discord_slash("resume", {"run": run_id}, channel=discord_room(number)))
                for number, run_id in enumerate(ids[MANY:])
            ),
        ]
        calls = len(slack.calls) + dice.randrange(MANY)
        sending = await sent(hurried, asked)
        await slack.until(lambda: len(slack.calls) >= calls)
        frozen.freeze()
        # To Slack nobody is there; whoever typed a command, types it again.
        await asyncio.sleep(1)
        line = slack.connections[-1]
        for task, (_, payload) in zip(sending, asked, strict=False):
            if not task.done():
                task.cancel()
                await asyncio.sleep(0)
                assert await slack.redeliver(payload, 1, line)
        async with asyncio.timeout(2 * DONE_SECONDS):
            await other.answered()
            while not all([await other.words(run_id, "resume") for run_id in ids]):
                await asyncio.sleep(0.05)
            await other.answered()
        for run_id in dice.sample(ids, MANY):
            become(other.database, run_id, "cancelled")
        await other.settled()
        await thawed(hurried, frozen, other)
        for task in sending:
            task.cancel()
        words = [await other.words(run_id, "resume") for run_id in ids]
        assert words == [["resumed"]] * len(ids)
        await cards_are_true(hurried, other, ids)
    said = {run_id: answers(hurried, run_id) for run_id in ids}
    assert {run_id: one for run_id, one in said.items() if one != ["Resuming"]} == {}
