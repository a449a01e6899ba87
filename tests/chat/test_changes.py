"""Whatever door somebody takes: what changed a run is told to everybody, once, by its card."""

import pytest

from tests.chat.platforms import at_every_door, on_every_platform, wherever_one_speaks
from tests.chat.scenes import Said, Scene, Where

CHANGES = {
    ("resume", "failed"): ("resumed", "running", "Resuming deploy {}"),
    ("resume", "paused"): ("resumed", "running", "Passed gate ship? of deploy {}"),
    ("cancel", "failed"): ("cancelled", "cancelled", "Cancelled deploy {}"),
    ("cancel", "paused"): ("cancelled", "cancelled", "Cancelled deploy {}"),
    ("cancel", "working"): ("cancelled", "cancelled", "Cancelled deploy {}; stopping"),
}
WORDS = {"resume": "resumed", "cancel": "cancelled"}


def told_in(places: list[Where], said: list[Said]) -> str:
    """What was said in all these places, and nowhere else."""
    assert [one.where for one in said] == places
    (text,) = {one.text for one in said}
    return text


@at_every_door
@pytest.mark.parametrize(("verb", "state"), CHANGES)
async def test_a_change(scene: Scene, door: str, verb: str, state: str) -> None:
    (run_id,) = await scene.has("failed", **scene.home(door, scene.ana).columns)
    move = await scene.way(door, verb, run_id, scene.ana)
    scene.become(run_id, state)
    said = await scene.does(move)

    word, after, reply = CHANGES[verb, state]
    assert await scene.audit(run_id, verb) == [(word, scene.doors[door], scene.actor(scene.ana))]
    assert (await scene.run(run_id)).status == after
    text = told_in(scene.told_of_change(door, verb, run_id), said)
    assert text.startswith(reply.format(run_id))


@wherever_one_speaks
async def test_a_word_alone_means_the_one_run_that_fits(scene: Scene, door: str) -> None:
    where = scene.here("direct") if door == "direct" else scene.home(door, scene.ana)
    (run_id,) = await scene.has("failed", **where.columns)
    said = await scene.does(await scene.way(door, "resume", "", scene.ana))
    assert told_in(scene.told_of_change(door, "resume", run_id), said).startswith("Resuming")
    event = ("resumed", scene.doors[door], scene.actor(scene.ana))
    assert await scene.audit(run_id, "resume") == [event]


@on_every_platform
async def test_the_thread_of_a_card_means_its_run_alone(scene: Scene) -> None:
    first = scene.place_run("failed")
    (second,) = await scene.has("failed")
    said = await scene.does(await scene.way("thread", "resume", "", scene.ana))
    told_in(scene.told_of_change("thread", "resume", second), said)
    assert (await scene.run(first)).status == "failed"
    assert (await scene.run(second)).status == "running"


@wherever_one_speaks
@pytest.mark.parametrize("verb", ["resume", "cancel"])
async def test_several_runs_give_a_choice_that_is_carried_out(
    scene: Scene, door: str, verb: str
) -> None:
    asked = await scene.way(door, verb, "", scene.ana)
    first = scene.place_run("failed", **scene.here(door).columns)
    (second,) = await scene.has("failed", **scene.here(door).columns)

    (offered,) = await scene.does(asked)
    assert offered.beside == scene.told_on_the_spot(door)
    assert offered.text.startswith("Which one? Nothing changed.")
    actor = scene.actor(scene.ana)
    assert scene.recorded() == [(verb, "ambiguous", scene.doors[door], actor)]
    assert scene.offers(offered) == 2

    said = await scene.does(await scene.choose(offered, verb, second))
    assert scene.left_open() == (door in scene.stays_open)
    told_in(scene.told_of_choice(door, verb, second), said)
    assert await scene.audit(second, verb) == [(WORDS[verb], scene.doors["button"], actor)]
    assert (await scene.run(first)).status == "failed"


@wherever_one_speaks
async def test_a_started_run_gets_one_card(scene: Scene, door: str) -> None:
    move = await scene.way(door, "run", "quick", scene.ana)
    (said,) = await scene.does(move)
    assert said.beside == scene.told_on_the_spot(door)
    await scene.settled()
    ((run_id, conversation),) = [
        (run.id, run.conversation) for run in await scene.read(lambda tx: tx.runs.recent(9, None))
    ]
    assert said.text.startswith(f"Started quick {run_id}: 2 steps")
    assert (conversation, scene.card_spot(run_id)) == scene.starts_at(door, move)
    assert scene.said() == [said]
    event = ("started", scene.doors[door], scene.actor(scene.ana))
    assert await scene.audit(run_id, "run") == [event]


@pytest.mark.parametrize("door", ["slash", "mention"])
@on_every_platform
async def test_who_speaks_elsewhere_is_told_too(scene: Scene, door: str) -> None:
    (run_id,) = await scene.has("failed")
    said = await scene.does(scene.from_next_door(door, "resume", run_id))
    told_in(scene.told_next_door(door, run_id), said)


@on_every_platform
async def test_a_change_is_told_once_and_the_card_follows(scene: Scene) -> None:
    resumed, cancelled = await scene.has("failed", "paused")
    (first,) = await scene.does(await scene.way("slash", "resume", resumed, scene.ana))
    (second,) = await scene.does(await scene.way("mention", "cancel", cancelled, scene.ana))
    await scene.settled()
    assert [first.text.split()[0], second.text.split()[0]] == ["Resuming", "Cancelled"]
    assert scene.said() == [second]
    assert "waiting for a free worker" in scene.card_text(resumed)
    assert "cancelled, worktree free" in scene.card_text(cancelled)


@on_every_platform
async def test_a_direct_message_may_call_baton_by_its_name(scene: Scene) -> None:
    (run_id,) = await scene.has("failed", **scene.home("direct", scene.ana).columns)
    said = await scene.does(scene.by_name(f"resume {run_id}"))
    told_in(scene.told_of_change("direct", "resume", run_id), said)
