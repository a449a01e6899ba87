"""What Slack sends again, what Baton answers again: one effect and one answer, whatever dies."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.slack.inbound import CommandNames, message_of
from bot.bootstrap import Installation
from bot.conversation import message_json
from store.database import open_database
from tests.slack.conftest import ACCESS, installation_in
from tests.slack.doomed import AFTER, ANSWERED, BEFORE, POINTS, RECEIVED
from tests.slack.double import Slack, Slow, person
from tests.slack.payloads import buttons_of, click, direct_message, mention, slash
from tests.slack.records import Json, Shown
from tests.slack.scenes import (
    WAYS,
    Scene,
    cards_of,
    open_cards,
    place_run,
    playing,
    use_shortcut,
)
from tests.store.factories import get, write

ROOT = Path(__file__).parent.parent.parent
HEALED_WITHIN_SECONDS = 5
GONE = "here:1:gone"


@pytest.fixture
async def scene(slack: Slack, installation: Installation) -> AsyncIterator[Scene]:
    async with playing(slack, installation) as scene:
        yield scene


async def resumed_once(scene: Scene, run_id: str) -> None:
    """The run was resumed by one event, and one message tells so."""
    assert [word for word, _, _ in await scene.audit(run_id, "resume")] == ["resumed"]
    assert (await scene.run(run_id)).epoch == 3
    (said,) = scene.said()
    assert (said.how, said.text.split()[0]) == ("thread", "Resuming")


# --- sent again ----------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["mention", "thread"])
async def test_an_event_that_comes_again_later(scene: Scene, door: str) -> None:
    (run_id,) = await scene.has("failed")
    event = await WAYS[door](scene, "resume", run_id, "U1")
    await scene.does(event)
    for retry in (1, 2, 3):
        assert await scene.slack.redeliver(event, retry)
    await scene.answered()
    await resumed_once(scene, run_id)
    assert len(scene.received()) == 1


async def test_an_event_that_comes_again_while_it_is_worked_on(scene: Scene) -> None:
    (run_id,) = await scene.has("failed")
    scene.listen()
    scene.slack.fail("users.info", Slow(0.5))
    event = mention(f"resume {run_id}")
    assert await scene.slack.send(event)
    for retry in (1, 2, 3):
        connection = scene.slack.connections[retry % 2]
        assert await scene.slack.redeliver(event, retry, connection)
    assert scene.said() == []
    assert (await scene.run(run_id)).status == "failed"
    await scene.answered()
    await resumed_once(scene, run_id)


async def test_an_event_that_comes_over_both_connections_at_once(scene: Scene) -> None:
    (run_id,) = await scene.has("failed")
    scene.listen()
    event = direct_message(f"resume {run_id}")
    sent = [
        scene.slack.redeliver(event, retry, scene.slack.connections[retry % 2])
        for retry in range(8)
    ]
    assert all(await asyncio.gather(*sent))
    await scene.answered()
    assert [word for word, _, _ in await scene.audit(run_id, "resume")] == ["resumed"]
    assert sorted(said.how for said in scene.said()) == ["direct", "thread"]


@pytest.mark.parametrize("door", ["slash", "rooted", "button", "shortcut"])
@pytest.mark.parametrize("lose_ack", [False, True])
async def test_the_same_envelope_twice(scene: Scene, door: str, lose_ack: bool) -> None:
    (run_id,) = await scene.has("failed")
    envelope = await WAYS[door](scene, "resume", run_id, "U1")
    scene.listen()
    first, second = scene.slack.connections
    await scene.slack.send(envelope, first, lose_ack=lose_ack)
    assert await scene.slack.redeliver(envelope, connection=second)
    await scene.answered()
    await resumed_once(scene, run_id)


@pytest.mark.parametrize("verb", ["help", "status", "resume zzzzzzzz", "frobnicate"])
async def test_a_private_answer_is_not_given_twice_either(scene: Scene, verb: str) -> None:
    await scene.has("failed")
    event = mention(verb)
    scene.listen()
    assert await scene.slack.send(event, lose_ack=True) is None
    assert await scene.slack.redeliver(event)
    await scene.answered()
    assert await scene.slack.redeliver(event, 2)
    await scene.answered()
    assert len(scene.said()) == len(scene.recorded()) == 1


async def test_the_same_shortcut_twice_shows_one_answer(scene: Scene) -> None:
    (run_id,) = await scene.has("failed")
    envelope = use_shortcut(scene, run_id, "U1")
    scene.listen()
    sent = [scene.slack.redeliver(envelope, 0, one) for one in scene.slack.connections]
    assert all(await asyncio.gather(*sent))
    await scene.answered()
    assert len(scene.said()) == 1


async def test_two_clicks_are_two_deliveries(scene: Scene) -> None:
    """Else the tests above would pass on a Baton that drops whatever looks alike."""
    (run_id,) = await scene.has("failed")
    clicks = [await WAYS["button"](scene, "resume", run_id, "U1") for _ in range(2)]
    (public,) = await scene.does(clicks[0])
    (private,) = await scene.does(clicks[1])
    assert (public.how, private.how) == ("thread", "private")
    assert "already claimed by ana" in private.text


# --- killed --------------------------------------------------------------------------------------


class House:
    """Where Baton is killed and comes back: a directory, and a Slack that outlives it."""

    def __init__(self, directory: Path, slack: Slack) -> None:
        self.directory, self.slack = directory, slack
        self.run_id = ""

    def installation(self, **sections: Any) -> Installation:
        return installation_in(
            self.directory, self.directory / "repository", self.slack, **sections
        )

    async def dies(self, point: str, act: Callable[[], Json]) -> Json:
        """A Baton shows the card of a failed run, and dies of what somebody does."""
        database = self.installation().database
        self.run_id = place_run(database, "failed")
        write(database, lambda tx: open_cards(tx, [self.run_id]))
        database.close()
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.slack.doomed"),
            *(str(self.directory), self.slack.base, point),
            cwd=ROOT,
        )
        try:
            await self.slack.connected(2, seconds=30)
            await self.slack.until(lambda: self.news)
            envelope = act()
            sending = asyncio.create_task(self.slack.send(envelope))
            assert await asyncio.wait_for(child.wait(), 20) == -signal.SIGKILL
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        sending.cancel()
        await self.slack.connected(0)
        return envelope

    def epoch(self) -> int:
        """What the dead Baton left in the database."""
        database = self.installation().database
        epoch = get(database, self.run_id).epoch
        database.close()
        return epoch

    @property
    def news(self) -> list[str]:
        wanted = f"deploy {self.run_id} failed"
        return [one.text for one in self.slack.posted if one.text.startswith(wanted)]

    def seen(self, start: str) -> list[str]:
        """Everything that people saw, before and after, that begins so."""
        slack = self.slack
        shown: list[Shown] = [*slack.posted, *slack.ephemerals, *slack.responses]
        return [one.text for one in shown if one.text.startswith(start)]

    @asynccontextmanager
    async def comes_back(self, **sections: Any) -> AsyncIterator[Scene]:
        async with playing(self.slack, self.installation(**sections)) as scene:
            yield scene

    async def healed(self, scene: Scene) -> None:
        """Every answer is given, and the one card is true, within 5 s."""
        async with asyncio.timeout(HEALED_WITHIN_SECONDS):
            await scene.answered()
            await scene.settled()
        (card,) = cards_of(self.slack, self.run_id)
        run = await scene.run(self.run_id)
        assert ("waiting for a free worker" in card.text) == (run.status == "running")
        assert list(buttons_of(card.blocks)) == ["Cancel", "Log"]
        assert len(self.news) == 1


@pytest.fixture
def house(tmp_path: Path, repository: Path, slack: Slack) -> House:
    return House(tmp_path, slack)


def doing(house: House, door: str) -> Callable[[], Json]:
    """What somebody does at this door to resume the run."""

    def act() -> Json:
        (card,) = cards_of(house.slack, house.run_id)
        if door == "button":
            return click(card, buttons_of(card.blocks)["Resume"])
        if door == "mention":
            return mention(f"resume {house.run_id}", thread_ts=card.ts)
        return slash("/resume", house.run_id)

    return act


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_costs_neither_effect_nor_answer(
    tmp_path: Path, repository: Path, point: str
) -> None:
    async with asyncio.TaskGroup() as rounds:
        for door in ("slash", "mention", "button"):
            rounds.create_task(killed(tmp_path / door, repository, point, door))


async def killed(directory: Path, repository: Path, point: str, door: str) -> None:
    directory.mkdir()
    (directory / "repository").symlink_to(repository)
    async with Slack() as slack:
        house = House(directory, slack)
        envelope = await house.dies(point, doing(house, door))
        assert len(house.seen("Resuming")) == (1 if point == ANSWERED else 0)
        assert house.epoch() == (3 if point in {AFTER, ANSWERED} else 2)
        async with house.comes_back() as scene:
            if door == "mention":
                assert await slack.redeliver(envelope)
            await house.healed(scene)
            resumes = await scene.audit(house.run_id, "resume")
            assert [(word, actor) for word, _, actor in resumes] == [("resumed", "slack:U1")]
            assert (await scene.run(house.run_id)).epoch == 3
            assert len(house.seen("Resuming")) == 1
            assert len(scene.received()) == 1


async def test_a_stored_refusal_is_told_once(house: House) -> None:
    await house.dies(AFTER, lambda: mention("resume zzzzzzzz"))
    assert house.seen("There is no run") == []
    async with house.comes_back() as scene:
        await scene.answered()
        assert [word for _, word, _, _ in scene.recorded()] == ["not_found"]
    assert len(house.seen("There is no run")) == 1


async def test_who_lost_the_role_meanwhile_still_gets_the_first_answer(house: House) -> None:
    event = await house.dies(AFTER, doing(house, "mention"))
    without_ana = {**ACCESS, "operators": ["slack:U2"]}
    async with house.comes_back(access=without_ana) as scene:
        assert await house.slack.redeliver(event)
        await house.healed(scene)
        assert await house.slack.redeliver(event, 2)
        await scene.answered()
        assert len(house.seen("Resuming")) == 1
        assert house.seen("You may not") == []
        assert [word for _, word, _, _ in scene.recorded()] == ["resumed"]
        # A new wish of hers is another matter.
        said = await scene.told(mention(f"cancel {house.run_id}"))
        assert said.text.startswith("You may not cancel runs here")


async def test_a_role_by_channel_counts_after_a_kill_as_before(house: House) -> None:
    by_channel = {"operators": ["slack:U2", "slack-channel:C1"]}
    await house.dies(RECEIVED, doing(house, "slash"))
    async with house.comes_back(access=by_channel) as scene:
        await house.healed(scene)
        assert [word for word, _, _ in await scene.audit(house.run_id, "resume")] == ["resumed"]


async def test_a_guest_is_not_everyone_after_a_kill_either(house: House) -> None:
    house.slack.users["U1"] = person("ana", is_restricted=True)
    await house.dies(RECEIVED, doing(house, "slash"))
    async with house.comes_back(access={"operators": ["everyone"]}) as scene:
        await scene.answered()
        assert [word for _, word, _, _ in scene.recorded()] == ["denied"]
        assert (await scene.run(house.run_id)).status == "failed"


async def test_a_name_is_known_after_a_kill_too(house: House) -> None:
    """Losers are told who won by name, so the winner's is recorded whoever carries it out."""
    await house.dies(BEFORE, doing(house, "mention"))
    async with house.comes_back() as scene:
        await house.healed(scene)
        assert (await scene.run(house.run_id)).changed.name == "ana"


# --- too late ------------------------------------------------------------------------------------


def left_over(scene: Scene, envelope: Json, age_seconds: float) -> None:
    """A process that is gone received this so long ago, and has not answered."""
    scene.slack.give_out(envelope["payload"])
    message = message_of(envelope["payload"], CommandNames())
    assert message is not None
    assert message.delivery is not None
    key, stored = message.delivery, message_json(message)
    database = scene.database
    long_ago = open_database(database.url, database.terms, lambda: time.time() - age_seconds)
    assert write(long_ago, lambda tx: tx.deliveries.receive(key, stored, GONE))
    long_ago.close()


@pytest.mark.parametrize("age_seconds", [61, 2000])
async def test_what_waited_too_long_is_told_so_and_has_no_effect(
    scene: Scene, age_seconds: float
) -> None:
    (run_id,) = await scene.has("failed")
    scene.listen()
    for door in ("slash", "mention", "direct", "button"):
        left_over(scene, await WAYS[door](scene, "resume", run_id, "U1"), age_seconds)
    await scene.answered()
    said = scene.said()
    assert sorted(one.how for one in said) == ["direct", "private", "private", "private"]
    for one in said:
        assert one.text.startswith("Baton restarted")
        assert "nothing changed" in one.text
    # A response_url is good for half an hour; later answers come by the bot's token.
    assert len(scene.slack.responses) == (2 if age_seconds < 1800 else 0)
    run = await scene.run(run_id)
    assert (run.status, run.epoch) == ("failed", 2)
    assert [word for _, word, _, _ in scene.recorded()] == ["error"] * 4


async def test_what_did_not_wait_long_is_carried_out(scene: Scene) -> None:
    (run_id,) = await scene.has("failed")
    scene.listen()
    left_over(scene, slash("/resume", run_id), 30)
    await scene.answered()
    await resumed_once(scene, run_id)
