"""One envelope of Slack's reaches both replicas, or the other one later: one effect, one answer."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.replicas.house import Replica, Town, place_runs, slack_room, two
from tests.replicas.seen import slack_answers, slack_cards
from tests.slack.double import Slack
from tests.slack.payloads import buttons_of, click, mention, slash
from tests.slack.records import Json

pytestmark = pytest.mark.heavy

ROUNDS = 50
AT_ONCE = 25
DOORS = ("slash", "button", "mention", "private")


def envelope(slack: Slack, door: str, run_id: str, number: int) -> Json:
    """What somebody does at this door about a run."""
    room = slack_room(number)
    match door:
        case "slash":
            return slash("/resume", run_id, channel=room)
        case "button":
            (card,) = slack_cards(slack, run_id)
            return click(card, buttons_of(card.blocks)["Resume"])
        case "mention":
            return mention(f"resume {run_id}", channel=room)
        case _:
            return slash("/baton", f"history {run_id}", channel=room)


async def one_wave(
    town: Town, first: Replica, second: Replica, number: int, *, later: bool
) -> Counter[bool]:
    """Some envelopes of each kind, all at once; how often the first replica was the faster one."""
    slack: Any = town.slack
    one, two = slack.connections
    runs = {door: place_runs(first.database, "slack", "failed", AT_ONCE) for door in DOORS}
    await first.opens([run_id for ids in runs.values() for run_id in ids])
    for each in (first, second):
        each.received.clear()
    envelopes = [
        envelope(slack, door, run_id, index)
        for door, ids in runs.items()
        for index, run_id in enumerate(ids)
    ]
    if later:
        # Each is delivered to one, in turns, and comes again to the other.
        ways = [(one, two) if turn % 2 else (two, one) for turn in range(len(envelopes))]
        sent = [slack.send(each, way[0]) for each, way in zip(envelopes, ways, strict=True)]
        assert all(await asyncio.gather(*sent))
        again = [
            slack.redeliver(each, 1, way[1]) for each, way in zip(envelopes, ways, strict=True)
        ]
        assert all(await asyncio.gather(*again))
    else:
        sent = [slack.send(each, way) for each in envelopes for way in (one, two)]
        assert all(await asyncio.gather(*sent))
    await first.answered()
    await first.settled()

    keys = sorted(key for key, _ in first.received)
    assert keys == sorted(key for key, _ in second.received)
    assert len(keys) == len(set(keys)) == len(envelopes)
    fresh = [key for key, fresh in [*first.received, *second.received] if fresh]
    assert sorted(fresh) == keys
    for door, ids in runs.items():
        for run_id in ids:
            words = await first.words(run_id, "resume")
            (said,) = slack_answers(slack, run_id)
            if door == "private":
                assert words == []
                assert len(await first.words(run_id, "history")) == 1
            else:
                assert words == ["resumed"]
                assert (await first.run(run_id)).epoch == 3
                assert said.text.startswith("Resuming")
    return Counter(fresh for _, fresh in first.received)


@pytest.mark.parametrize("later", [False, True])
async def test_what_slack_sends_to_both_is_done_and_answered_once(town: Town, later: bool) -> None:
    """At once, or first to one of them and then to the other."""
    faster: Counter[bool] = Counter()
    async with two(town) as (first, second):
        for number in range(0, ROUNDS, AT_ONCE):
            faster += await one_wave(town, first, second, number, later=later)
    # Else this would prove nothing of two.
    assert min(faster[True], faster[False]) > ROUNDS // 10, faster
    print(f"of {faster.total()} deliveries the first replica was the first at {faster[True]}")  # noqa: T201 - a figure
