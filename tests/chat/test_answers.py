"""Whatever door somebody takes: what changes nothing is told to nobody but them."""

from tests.chat.platforms import (
    at_every_door,
    on_every_platform,
    wherever_one_may_mistype,
    wherever_one_speaks,
)
from tests.chat.scenes import Said, Scene

REFUSALS = {
    ("resume", "working"): ("already_running", "deploy {} is already running"),
    ("resume", "completed"): ("not_resumable", "deploy {} completed"),
    ("resume", "cancelled"): ("not_resumable", "deploy {} was cancelled by ben"),
    ("cancel", "completed"): ("already_finished", "deploy {} had already completed"),
    ("cancel", "cancelled"): ("already_cancelled", "deploy {} was already cancelled by ben"),
}
LOOKS = {
    "status": "deploy {} failed at step 2 of 3",
    "logs": "deploy {} has no output yet",
    "history": "History of deploy {}",
}
ABOUT_NO_RUN = [
    ("help", "shown", "What I understand:"),
    ("run", "invalid", "Which workflow?"),
    ("run nope", "invalid", "There is no workflow “nope”."),
    ("resume zzzzzzzz", "not_found", "There is no run “zzzzzzzz” here."),
    ("cancel zzzzzzzz", "not_found", "There is no run “zzzzzzzz” here."),
    ("logs zzzzzzzz", "not_found", "There is no run “zzzzzzzz” here."),
    ("resume", "nothing_here", "There is nothing to resume in this conversation."),
    ("cancel", "nothing_here", "There is nothing to cancel in this conversation."),
    ("status", "nothing_here", "There is nothing to show in this conversation."),
]


def told_alone(scene: Scene, door: str, said: list[Said], user: str | None = None) -> str:
    """The text of the one answer, which nobody but its asker sees."""
    (only,) = said
    assert only.beside == scene.told_alone(door, user or scene.ana)
    return only.text


@at_every_door
async def test_what_changes_nothing(scene: Scene, door: str) -> None:
    (run_id,) = await scene.has("failed", **scene.home(door, scene.ana).columns)
    # What somebody is about to do, with what they see before them, ...
    asked = [await scene.way(door, verb, run_id, scene.ana) for verb, _ in REFUSALS]
    for move, ((verb, state), (word, reply)) in zip(asked, REFUSALS.items(), strict=True):
        # ... comes when the run is elsewhere.
        scene.become(run_id, state)
        text = told_alone(scene, door, await scene.does(move))
        assert text.startswith(reply.format(run_id))
        event = (word, scene.doors[door], scene.actor(scene.ana))
        assert (await scene.audit(run_id, verb))[-1] == event
        status = {"working": "running"}.get(state, state)
        assert (await scene.run(run_id)).status == status


@at_every_door
async def test_looks(scene: Scene, door: str) -> None:
    (run_id,) = await scene.has("failed", **scene.home(door, scene.ana).columns)
    for verb, reply in LOOKS.items():
        if (door, verb) in scene.cannot:
            continue
        move = await scene.way(door, verb, run_id, scene.ana)
        text = told_alone(scene, door, await scene.does(move))
        assert text.startswith(reply.format(run_id))
        event = ("shown", scene.doors[door], scene.actor(scene.ana))
        assert (await scene.audit(run_id, verb))[0] == event


@wherever_one_speaks
async def test_answers_about_no_run(scene: Scene, door: str) -> None:
    run_id = scene.place_run("failed", **scene.next_door.columns)
    listed = f"{run_id}  deploy  failed at step 2 of 3"
    listed = "There are no runs yet." if door in scene.fenced else listed
    asked = [*ABOUT_NO_RUN, ("runs", "shown", listed)]
    asked = [one for one in asked if (door, one[0]) not in scene.cannot]
    for text, word, reply in asked:
        verb, _, rest = text.partition(" ")
        said = await scene.does(await scene.way(door, verb, rest, scene.ana))
        assert told_alone(scene, door, said).startswith(reply)
        actor = scene.actor(scene.ana)
        assert scene.recorded()[-1] == (verb, word, scene.doors[door], actor)
    assert len(scene.recorded()) == len(asked)


@wherever_one_may_mistype
async def test_what_is_no_command_is_invalid(scene: Scene, door: str) -> None:
    said = await scene.does(await scene.way(door, "resum", "abcd", scene.ana))
    text = told_alone(scene, door, said)
    assert text.startswith("“resum” is not a command. Did you mean resume?")
    assert scene.recorded() == [("", "invalid", scene.doors[door], scene.actor(scene.ana))]


@at_every_door
async def test_a_viewer_may_not_change_anything(scene: Scene, door: str) -> None:
    (run_id,) = await scene.has("failed", **scene.home(door, scene.cleo).columns)
    for verb in ("resume", "cancel"):
        said = await scene.does(await scene.way(door, verb, run_id, scene.cleo))
        text = told_alone(scene, door, said, scene.cleo)
        assert text.startswith(f"You may not {verb} runs here: that needs the role operator")
        assert "your role is viewer" in text
        actor = scene.actor(scene.cleo)
        assert f"Your id for the access list is {actor}." in text
        assert (await scene.run(run_id)).status == "failed"
        assert scene.recorded()[-1] == (verb, "denied", scene.doors[door], actor)


@at_every_door
async def test_whom_no_list_names_may_nothing(scene: Scene, door: str) -> None:
    (run_id,) = await scene.has("failed", **scene.home(door, scene.zoe).columns)
    verb = scene.first_move.get(door, "resume")
    said = await scene.does(await scene.way(door, verb, run_id, scene.zoe))
    text = told_alone(scene, door, said, scene.zoe)
    assert "no access list names you" in text
    actor = scene.actor(scene.zoe)
    assert f"Your id for the access list is {actor}." in text
    assert (await scene.run(run_id)).status == "failed"
    assert scene.recorded() == [(verb, "denied", scene.doors[door], actor)]


@wherever_one_speaks
async def test_another_tenant_is_another_world(scene: Scene, door: str) -> None:
    run_id = scene.place_run("failed", **scene.abroad.columns)
    for verb in ("resume", "cancel", "status", "logs", "history"):
        said = await scene.does(await scene.way(door, verb, run_id, scene.ana))
        text = told_alone(scene, door, said)
        assert text.startswith(f"There is no run “{run_id}” here.")
        event = (verb, "not_found", scene.doors[door], scene.actor(scene.ana))
        assert scene.recorded()[-1] == event
    said = await scene.does(await scene.way(door, "runs", "", scene.ana))
    assert run_id not in told_alone(scene, door, said)
    assert (await scene.run(run_id)).status == "failed"


@on_every_platform
async def test_plain_talk_is_none_of_our_business(scene: Scene) -> None:
    (run_id,) = await scene.has("failed")
    before = scene.seen_by_all()
    for how, talk in scene.talk().items():
        assert await scene.does(talk) == [], how
    assert scene.received() == []
    # What comes later is answered, and nothing before it was.
    said = await scene.does(await scene.way("mention", "help", "", scene.ana))
    assert told_alone(scene, "mention", said).startswith("What I understand:")
    assert scene.seen_by_all() == before
    actor = scene.actor(scene.ana)
    assert scene.recorded() == [("help", "shown", scene.doors["mention"], actor)]
    assert (await scene.run(run_id)).status == "failed"


@on_every_platform
async def test_a_click_for_another_tenants_run_finds_nothing(scene: Scene) -> None:
    """Platforms vouch for a button only as long as nobody else can post for Baton."""
    (run_id,) = await scene.has("failed")
    foreign = scene.place_run("failed", **scene.abroad.columns)
    click = await scene.way("button", "resume", run_id, scene.ana)
    said = await scene.does(scene.forged(click, f"{foreign}:2"))
    text = told_alone(scene, "button", said)
    assert text.startswith(f"There is no run “{foreign}” here.")
    assert (await scene.run(foreign)).status == "failed"


@on_every_platform
async def test_a_forged_click_is_answered_like_a_wrong_word(scene: Scene) -> None:
    (run_id,) = await scene.has("failed")
    for value in (
        "no run",
        "abcd:x",
        "'; DROP TABLE runs; --:1",
        "é" * 300,
        f"{run_id}:1000000000",
    ):
        click = await scene.way("button", "cancel", run_id, scene.ana)
        text = told_alone(scene, "button", await scene.does(scene.forged(click, value)))
        assert text.startswith(scene.to_forged)
    assert (await scene.run(run_id)).status == "failed"
