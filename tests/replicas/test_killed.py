"""A replica is killed with many commands in flight: each has one effect and one answer."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.records import Due
from tests.chat.scenes import open_cards
from tests.discord.double import Discord
from tests.discord.payloads import mention as discord_mention
from tests.discord.payloads import slash as discord_slash
from tests.replicas.house import (
    QUICK,
    Replica,
    Town,
    assert_clean_log,
    child,
    discord_room,
    left,
    place_runs,
    replica,
    slack_room,
)
from tests.replicas.seen import discord_answers, slack_answers
from tests.slack.double import Slack
from tests.slack.payloads import mention as slack_mention
from tests.slack.payloads import slash as slack_slash
from tests.slack.records import Json

pytestmark = pytest.mark.heavy

IN_FLIGHT = 25
"""So many in each platform."""
WAYS = ("slash", "mention", "private")
HEALED_SECONDS = 15


@dataclass
class Wish:
    """What somebody asked about a run of its own."""

    run_id: str
    way: str
    payload: Json
    verb: str = "resume"
    outcome: str = "resumed"
    sending: "asyncio.Task[Any] | None" = field(default=None)


def wishes(platform: str, ids: Sequence[str]) -> list[Wish]:
    """One for each run, in all ways by turns."""
    made = []
    for number, run_id in enumerate(ids):
        way = WAYS[number % len(WAYS)]
        payload = _payload(platform, way, run_id, number)
        private = ("history", "shown") if way == "private" else ("resume", "resumed")
        made.append(Wish(run_id, way, payload, *private))
    return made


def _payload(platform: str, way: str, run_id: str, number: int) -> Json:
    if platform == "discord":
        room = discord_room(number)
        if way == "mention":
            return discord_mention(f"resume {run_id}", channel=room)
        verb = "resume" if way == "slash" else "history"
        return discord_slash(verb, {"run": run_id}, channel=room)
    room = slack_room(number)
    if way == "mention":
        return slack_mention(f"resume {run_id}", channel=room)
    if way == "slash":
        return slack_slash("/resume", run_id, channel=room)
    return slack_slash("/baton", f"history {run_id}", channel=room)


@pytest.fixture
def hurried(town: Town) -> Town:
    """Replicas that are soon taken for gone."""
    return replace(town, pace=dict(QUICK))


ROUNDS = [*range(3), *(pytest.param(one, marks=pytest.mark.soak) for one in range(3, 20))]


@pytest.mark.parametrize("seed", ROUNDS)
async def test_a_kill_with_fifty_commands_in_flight_costs_and_doubles_nothing(
    hurried: Town, seed: int
) -> None:
    dice = random.Random(seed)
    discord, slack = hurried.discord, hurried.slack
    assert discord is not None
    assert slack is not None
    hurried.has_rooms()
    async with child(hurried, "one") as doomed:
        await hurried.connected(1)
        first_line = slack.connections[0]
        async with replica(hurried, "two") as other:
            await hurried.connected(2)
            ids = [
                place_runs(other.database, platform, "failed", IN_FLIGHT)
                for platform in ("discord", "slack")
            ]
            await other.write(lambda tx: open_cards(tx, [*ids[0], *ids[1]]))
            await other.settled()
            in_discord, in_slack = wishes("discord", ids[0]), wishes("slack", ids[1])
            begun = len(slack.calls)
            for wish in in_slack:
                sent = slack.send(wish.payload, first_line, seconds=60)
                wish.sending = asyncio.create_task(sent)
            sending = [
                discord.say(one.payload) if one.way == "mention" else discord.interact(one.payload)
                for one in in_discord
            ]
            await asyncio.gather(*sending)
            # Between any two of its calls.
            calls = begun + dice.randrange(IN_FLIGHT)
            await slack.until(lambda: len(slack.calls) >= calls)
            await doomed.kill()
            unknown = left(other.database)
            said_before = {wish.run_id: len(slack_answers(slack, wish.run_id)) for wish in in_slack}
            again = await redelivered(slack, in_slack)
            async with asyncio.timeout(HEALED_SECONDS):
                await other.answered()
                await heard(other, in_discord, in_slack)
            await other.settled()
            await has_one_effect(other, [*in_discord, *in_slack])
        assert not [one for one in discord.posted if one.loading and not one.deleted]
    assert_clean_log(hurried)
    assert_answered_once(discord, in_discord)
    said = Counter(len(slack_answers(slack, wish.run_id)) for wish in in_slack)
    lost = sum(1 for due in unknown.values() if due.owner.split(":")[0] != other.name.split(":")[0])
    print(f"round {seed}: {lost} were left, {again} came again, answers in Slack {dict(said)}")  # noqa: T201 - a figure
    for wish in in_slack:
        answers = slack_answers(slack, wish.run_id)
        twice = wish.way == "private" and said_before[wish.run_id] == 1 and was_left(unknown, wish)
        assert len(answers) == 1 or (twice and len(answers) == 2), (wish, answers)


def was_left(unknown: dict[str, Due], wish: Wish) -> bool:
    """Whether the killed one was about to note that this answer had been taken.

    What one person alone sees in Slack can neither be looked for nor be named, so it is said again.
    """
    return any(key.endswith(str(wish.payload["payload"].get("trigger_id"))) for key in unknown)


async def redelivered(slack: Slack, wishes: Sequence[Wish]) -> int:
    """Slack brings to somebody else what was not acknowledged; how much that was."""
    (line,) = slack.connections if len(slack.connections) == 1 else [slack.connections[-1]]
    again = 0
    for wish in wishes:
        assert wish.sending is not None
        acked = wish.sending.done() and wish.sending.result() is not None
        wish.sending.cancel()
        # An event may come again though it was acknowledged.
        if not acked or wish.way == "mention":
            assert await slack.redeliver(wish.payload, 1, line)
        again += not acked
    return again


async def heard(other: Replica, *wishes: Sequence[Wish]) -> None:
    """Wait until each wish is in the audit."""
    asked = [wish for some in wishes for wish in some]
    while not all([await other.words(one.run_id, one.verb) for one in asked]):
        await asyncio.sleep(0.05)
    await other.answered()


async def has_one_effect(other: Replica, wishes: Sequence[Wish]) -> None:
    for wish in wishes:
        assert await other.words(wish.run_id, wish.verb) == [wish.outcome]
        epoch = (await other.run(wish.run_id)).epoch
        assert epoch == (3 if wish.verb == "resume" else 2)


def assert_answered_once(discord: Discord, wishes: Sequence[Wish]) -> None:
    for wish in wishes:
        answers = discord_answers(discord, wish.run_id)
        assert len(answers) == 1, (wish.way, [one.content for one in answers])
        public = not answers[0].ephemeral and answers[0].guild is not None
        assert public == (wish.way != "private")
