"""Discord sends each interaction and each message to every replica: one effect, one answer."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.discord.double import Call, Discord, Interaction, SentMessage
from tests.discord.payloads import autocomplete, click, mention, slash
from tests.discord.seen import is_over, title_of
from tests.replicas.house import Replica, Town, discord_room, log_of, place_runs, two
from tests.replicas.seen import discord_answers as said_of
from tests.replicas.seen import discord_cards as cards

pytestmark = pytest.mark.heavy

ROUNDS = 50
AT_ONCE = 10
SLOW_SECONDS = 2.0
"""Longer than Baton lets Discord wait without a sign."""
TAKEN_BEFORE = 40060


@dataclass(frozen=True)
class Round:
    """A run for each of the ways, in one channel."""

    room: str
    slashed: str
    clicked: str
    ended: str
    mentioned: str


def rounds(replica: Replica, first: int, many: int) -> list[Round]:
    states = ("failed", "failed", "paused", "failed")
    columns = [place_runs(replica.database, "discord", state, many) for state in states]
    return [
        Round(discord_room(number), *ids) for number, ids in enumerate(zip(*columns, strict=True))
    ]


def card(discord: Discord, run_id: str) -> SentMessage:
    (found,) = cards(discord, run_id)
    return found


def calls_about(discord: Discord, interaction: Interaction) -> list[Call]:
    """Everything that anybody asked of Discord in the name of an interaction."""
    return [call for call in discord.calls if interaction.token in call.path]


def is_said(call: Call) -> bool:
    """Whether this is a first answer that says something, and no promise of one."""
    return call.method == "POST" and (call.body or {}).get("type") in {4, 7}


async def heard_by_both(first: Replica, second: Replica, many: int) -> None:
    """Wait until each has received so many deliveries."""
    async with asyncio.timeout(20):
        while len(first.received) < many or len(second.received) < many:
            await asyncio.sleep(0.02)


async def asked_twice(discord: Discord, interactions: Sequence[Interaction]) -> None:
    """Wait until each replica has tried to answer each of these."""
    await discord.until(
        lambda: all(len(one.responses) + len(one.refused) >= 2 for one in interactions), 20
    )


async def one_wave(town: Town, first: Replica, second: Replica, number: int) -> Counter[bool]:
    """Some rounds at once; how often the first replica was the faster one at what."""
    discord: Any = town.discord
    wave = rounds(first, number, AT_ONCE)
    await first.opens([run_id for one in wave for run_id in (one.clicked, one.ended)])
    begun = len(discord.posted)
    for each in (first, second):
        each.received.clear()
    slashes, clicks, asks, typing = [], [], [], []
    for one in wave:
        slashes.append(slash("resume", {"run": one.slashed}, channel=one.room))
        clicks.append(click(card(discord, one.clicked), "Resume"))
        asks.append(click(card(discord, one.ended), "Cancel"))
        typing.append(autocomplete("resume", {"run": ""}, "run", channel=one.room))
    said = [mention(f"resume {one.mentioned}", channel=one.room) for one in wave]
    sent = await asyncio.gather(
        *(discord.interact(payload) for payload in [*slashes, *clicks, *asks, *typing]),
        *(discord.say(message) for message in said),
    )
    slashed, clicked = sent[:AT_ONCE], sent[AT_ONCE : 2 * AT_ONCE]
    asked, typed = sent[2 * AT_ONCE : 3 * AT_ONCE], sent[3 * AT_ONCE : 4 * AT_ONCE]
    await asked_twice(discord, [*asked, *typed])
    confirmed = [await discord.interact(click(one.original, "Cancel run")) for one in asked]
    deliveries = 4 * AT_ONCE
    await heard_by_both(first, second, deliveries)
    await discord.until(lambda: all(map(is_over, [*slashed, *clicked, *confirmed])))
    await first.answered()
    await first.settled()

    # Each was received twice, and once only there was something to do.
    for own, other in ((first.received, second.received), (second.received, first.received)):
        assert sorted(key for key, _ in own) == sorted(key for key, _ in other)
        assert len(own) == deliveries
    fresh = [key for key, fresh in [*first.received, *second.received] if fresh]
    assert len(fresh) == len(set(fresh)) == deliveries

    for one in wave:
        for run_id in (one.slashed, one.clicked, one.mentioned):
            assert await first.words(run_id, "resume") == ["resumed"]
            assert (await first.run(run_id)).epoch == 3
            (public,) = said_of(discord, run_id)
            assert public.content.startswith("Resuming")
            assert not public.ephemeral
        assert await first.words(one.ended, "cancel") == ["cancelled"]
    for interaction, one in zip(confirmed, wave, strict=True):
        public, private = sorted(said_of(discord, one.ended), key=lambda said: said.ephemeral)
        assert (public.ephemeral, private.ephemeral) == (False, True)
        assert private is interaction.original
        assert private.content.startswith("Cancelled")
        assert private.components == []
    # Whoever came second at what everybody may answer was refused, and let it be.
    for interaction in [*asked, *typed]:
        assert interaction.refused == [TAKEN_BEFORE]
        statuses = sorted(call.status for call in calls_about(discord, interaction))
        assert statuses in ([200, 400], [204, 400]), calls_about(discord, interaction)
    for interaction in [*slashed, *clicked, *confirmed]:
        answers = [call for call in calls_about(discord, interaction) if is_said(call)]
        assert len(answers) <= 1, answers
        assert len(interaction.responses) == 1
        assert interaction.followups == []
        # Where this machine is slow, each may have promised that an answer will come.
        assert set(interaction.refused) <= {TAKEN_BEFORE}
    assert all(one.choices for one in typed)
    new = [one for one in discord.posted[begun:] if not one.deleted]
    shown = [one for one in new if title_of(one) is None]
    assert len(shown) == 5 * AT_ONCE, [one.content for one in shown]
    return Counter(fresh for _, fresh in first.received)


async def test_what_discord_sends_to_both_is_done_and_answered_once(town: Town) -> None:
    faster: Counter[bool] = Counter()
    async with two(town) as (first, second):
        for number in range(0, ROUNDS, AT_ONCE):
            faster += await one_wave(town, first, second, number)
    # Else this would prove nothing of two.
    assert min(faster[True], faster[False]) > ROUNDS // 10, faster
    print(f"of {faster.total()} deliveries the first replica was the first at {faster[True]}")  # noqa: T201 - a figure


# --- one of the two is slow --------------------------------------------------------------------


def slowed(
    replica: Replica, what: str, wait: Callable[[], Awaitable[object]], *, afterwards: bool = False
) -> None:
    """This replica's dispatcher waits before it does this, or before it tells what came of it."""
    dispatcher: Any = replica.service.dispatcher
    do = getattr(dispatcher, what)

    async def slowly(*words: Any, **more: Any) -> Any:
        if not afterwards:
            await wait()
        found = await do(*words, **more)
        if afterwards:
            await wait()
        return found

    setattr(dispatcher, what, slowly)


async def idle() -> None:
    await asyncio.sleep(SLOW_SECONDS)


@pytest.mark.parametrize("afterwards", [False, True])
async def test_a_question_that_comes_late_does_not_undo_its_answer(
    town: Town, afterwards: bool
) -> None:
    """Whether the late one sees that the run is over, or looked before it was."""
    discord: Any = town.discord
    let_go = asyncio.Event()
    async with two(town) as (first, second):
        slowed(second, "to_confirm", let_go.wait, afterwards=afterwards)
        (run_id,) = place_runs(first.database, "discord", "paused", 1)
        await first.opens([run_id])
        asked = await discord.interact(click(card(discord, run_id), "Cancel"))
        await discord.until(lambda: asked.answered)
        confirmed = await discord.interact(click(asked.original, "Cancel run"))
        await discord.until(lambda: is_over(confirmed))
        await first.answered()
        let_go.set()
        await asked_twice(discord, [asked])
        await first.settled()
    assert asked.refused == [TAKEN_BEFORE]
    assert asked.original.content.startswith("Cancelled")
    assert asked.original.components == []
    methods = [call.method for call in calls_about(discord, asked)]
    assert methods == (["POST", "POST"] if afterwards else ["POST", "POST", "GET"])


@pytest.mark.parametrize("slow", ["loser", "winner", "both"])
async def test_a_slow_replica_adds_nothing(town: Town, slow: str) -> None:
    """Both give Discord a sign in time, and Discord takes one of the two."""
    discord: Any = town.discord
    async with two(town) as (first, second):

        async def comes_second() -> None:
            while len(first.received) < 3:
                await asyncio.sleep(0.01)

        slowed(second, "receive", comes_second if slow == "winner" else idle)
        if slow != "loser":
            slowed(first, "handle", idle)
        ids = place_runs(first.database, "discord", "failed", 3)
        await first.opens(ids)
        payloads = [
            slash("resume", {"run": ids[0]}, channel=discord_room(0)),
            click(card(discord, ids[1]), "Resume"),
            slash("history", {"run": ids[2]}, channel=discord_room(2)),
        ]
        asked = await asyncio.gather(*(discord.interact(payload) for payload in payloads))
        await discord.until(lambda: all(map(is_over, asked)))
        await heard_by_both(first, second, len(asked))
        await first.answered()
        await first.settled()
        assert [await first.words(run_id, "resume") for run_id in ids] == [
            ["resumed"],
            ["resumed"],
            [],
        ]
    for run_id, interaction, private in zip(ids, asked, (False, False, True), strict=True):
        (answer,) = said_of(discord, run_id)
        assert answer.ephemeral is private
        assert len(interaction.responses) == 1
        assert set(interaction.refused) <= {TAKEN_BEFORE}
        assert interaction.followups == []
    assert "reply.defer_rejected" not in {entry["event"] for entry in log_of(town)}
