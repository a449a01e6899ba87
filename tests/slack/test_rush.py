"""Many people at once: one of them wins, all of them are answered, and Slack never waits."""

import asyncio
import statistics
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from bot.bootstrap import Installation
from tests.slack.double import Channel, Slack
from tests.slack.payloads import buttons_of, click, mention, slash
from tests.slack.records import Json
from tests.slack.scenes import Scene, become, choose, place_run, playing

AT_ONCE = 64
IN_FLIGHT = 200
ROUNDS = 3
SLOWEST_ACK_SECONDS = 0.3
CHANNELS = [f"C{number}" for number in range(1, 21)]


@pytest.fixture
async def scene(slack: Slack, installation: Installation) -> AsyncIterator[Scene]:
    for name in CHANNELS:
        slack.channels[name] = Channel(name)
    async with playing(slack, installation) as scene:
        yield scene


def wishes(scene: Scene, run_id: str) -> list[Json]:
    """Everybody's wish to resume one run, by command, in its thread, and with its button."""
    card = scene.card(run_id)
    button = buttons_of(card.blocks)["Resume"]
    made: list[Json] = []
    for number in range(AT_ONCE):
        user = ("U1", "U2")[number // 3 % 2]
        match number % 3:
            case 0:
                made.append(slash("/resume", run_id, user=user))
            case 1:
                made.append(mention(f"resume {run_id}", user=user, thread_ts=card.ts))
            case _:
                made.append(click(card, button, user=user))
    return made


@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_of_64_who_resume_one_run_one_does_and_all_are_told(
    scene: Scene, round_: int
) -> None:
    (run_id,) = await scene.has("failed")
    everybody = wishes(scene, run_id)
    # Each round somebody else is first.
    everybody = everybody[round_:] + everybody[:round_]
    scene.listen()
    assert all(await asyncio.gather(*(scene.slack.send(one) for one in everybody)))
    await scene.answered()

    events = await scene.audit(run_id, "resume")
    outcomes = Counter(word for word, _, _ in events)
    assert outcomes == {"resumed": 1, "already_running": AT_ONCE - 1}
    assert len({(door, actor) for _, door, actor in events}) == 6
    winner = next(actor for word, _, actor in events if word == "resumed")
    name = {"slack:U1": "ana", "slack:U2": "ben"}[winner]

    said = scene.said()
    (public,) = [one for one in said if one.how != "private"]
    assert public.place == ("C1", scene.card(run_id).ts)
    assert public.text.startswith(f"Resuming deploy {run_id}")
    private = [one for one in said if one.how == "private"]
    assert len(private) == AT_ONCE - 1
    for one in private:
        assert one.text.startswith(f"deploy {run_id} was already claimed by {name} ")
    losers = Counter(actor for word, _, actor in events if word != "resumed")
    assert Counter(f"slack:{one.user}" for one in private) == losers
    assert (await scene.run(run_id)).epoch == 3


async def test_a_choice_made_too_late_is_told_who_was_faster(scene: Scene) -> None:
    first = place_run(scene.database, "failed")
    (second,) = await scene.has("failed")
    offered = await scene.told(slash("/resume", user="U1"))
    await scene.does(slash("/resume", first, user="U2"))
    late = await scene.told(choose(offered, first, "U1"))
    assert (late.how, late.user) == ("private", "U1")
    assert late.text.startswith(f"deploy {first} was already claimed by ben in Slack")
    assert [word for word, _, _ in await scene.audit(first, "resume")] == [
        "resumed",
        "already_running",
    ]
    assert (await scene.run(second)).status == "failed"


async def test_a_click_on_an_outdated_card_changes_nothing_and_mends_it(scene: Scene) -> None:
    (run_id,) = await scene.has("failed")
    card = scene.card(run_id)
    outdated = click(card, buttons_of(card.blocks)["Resume"], user="U1")
    await scene.does(slash("/resume", run_id, user="U2"))
    become(scene.database, run_id, "failed")  # it fails again, under its new claim
    late = await scene.told(outdated)
    assert "has moved on since you looked (you saw its claim 2, it is at 3)" in late.text
    assert [word for word, _, _ in await scene.audit(run_id, "resume")][1:] == ["not_resumable"]
    await scene.settled()
    assert buttons_of(card.blocks)["Resume"]["value"] == f"{run_id}:3"
    (public,) = await scene.does(click(card, buttons_of(card.blocks)["Resume"], user="U1"))
    assert public.how == "thread"


def failed_runs(scene: Scene) -> list[tuple[str, str]]:
    """Ten failed runs in each of twenty channels, with the channel of each."""
    places = [CHANNELS[number % len(CHANNELS)] for number in range(IN_FLIGHT)]
    return [
        (
            place_run(
                scene.database,
                "failed",
                conversation=f"slack:T1:{place}",
                channel=f"slack:T1:{place}",
            ),
            place,
        )
        for place in places
    ]


async def acknowledged(scene: Scene) -> list[float]:
    """Resume 200 runs in 20 channels at once; how long each acknowledgement took."""
    runs = failed_runs(scene)
    ids = [run_id for run_id, _ in runs]
    scene.listen()
    sent = [slash("/resume", run_id, channel=place) for run_id, place in runs]
    acks = await asyncio.gather(*(scene.slack.send(one) for one in sent))
    await scene.answered()
    seen = [await scene.run(run_id) for run_id in ids]
    assert {run.status for run in seen} == {"running"}
    assert len(scene.said()) == IN_FLIGHT
    return [ack.seconds for ack in acks if ack]


@pytest.mark.alone
async def test_slack_never_waits_however_much_is_going_on(scene: Scene) -> None:
    slowest = []
    for _ in range(ROUNDS):
        seconds = await acknowledged(scene)
        assert len(seconds) == IN_FLIGHT
        slowest.append(statistics.quantiles(seconds, n=100)[98])
    assert statistics.median(slowest) < SLOWEST_ACK_SECONDS, slowest


@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
async def test_a_connection_that_is_renewed_loses_nothing(scene: Scene, reason: str) -> None:
    runs = failed_runs(scene)
    old = scene.slack.connections
    sent = []
    for number, (run_id, place) in enumerate(runs):
        envelope = slash("/resume", run_id, channel=place)
        sent.append(asyncio.create_task(scene.slack.send(envelope)))
        if number == IN_FLIGHT // 2:
            await scene.slack.disconnect(reason, old[0])
    assert all(await asyncio.gather(*sent))
    await scene.answered()
    seen = [await scene.run(run_id) for run_id, _ in runs]
    assert {run.status for run in seen} == {"running"}
    assert len(scene.said()) == IN_FLIGHT
    await scene.slack.connected(2)
    if reason == "refresh_requested":
        assert old[0] not in scene.slack.connections
