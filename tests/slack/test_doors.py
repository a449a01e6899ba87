"""Every way into Baton from Slack ends in the same outcomes, and tells the right people."""

from collections.abc import AsyncIterator, Callable

import pytest

from bot.bootstrap import Installation
from tests.slack.double import Slack
from tests.slack.payloads import (
    bot_message,
    channel_message,
    click,
    direct_message,
    event_envelope,
    mention,
    options_of,
    shortcut,
    slash,
)
from tests.slack.records import BOT, Json
from tests.slack.scenes import (
    DIRECT,
    DOOR_WORDS,
    SPOKEN,
    THREAD,
    WAYS,
    Said,
    Scene,
    become,
    choose,
    place_run,
    playing,
    use_shortcut,
)

CHANGES = {
    ("resume", "failed"): ("resumed", "running", "Resuming deploy {}"),
    ("resume", "paused"): ("resumed", "running", "Passed gate ship? of deploy {}"),
    ("cancel", "failed"): ("cancelled", "cancelled", "Cancelled deploy {}"),
    ("cancel", "paused"): ("cancelled", "cancelled", "Cancelled deploy {}"),
    ("cancel", "working"): ("cancelled", "cancelled", "Cancelled deploy {}; stopping"),
}
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


@pytest.fixture
async def scene(slack: Slack, installation: Installation) -> AsyncIterator[Scene]:
    async with playing(slack, installation) as scene:
        yield scene


def told_one_person(door: str, said: list[Said], user: str = "U1") -> str:
    """The text of the one answer, which nobody but its asker sees."""
    (only,) = said
    if door == "direct":
        assert (only.how, only.place[0]) == ("direct", DIRECT[user])
    else:
        assert (only.how, only.user, only.place[0]) == ("private", user, "C1")
    return only.text


@pytest.mark.parametrize("door", WAYS)
@pytest.mark.parametrize(("verb", "state"), CHANGES)
async def test_a_change(scene: Scene, door: str, verb: str, state: str) -> None:
    (run_id,) = await scene.has("failed")
    envelope = await WAYS[door](scene, verb, run_id, "U1")
    become(scene.database, run_id, state)
    public, *private = await scene.does(envelope)

    word, after, reply = CHANGES[verb, state]
    assert await scene.audit(run_id, verb) == [(word, DOOR_WORDS[door], "slack:U1")]
    assert (await scene.run(run_id)).status == after
    assert (public.how, public.place) == ("thread", ("C1", scene.card(run_id).ts))
    assert public.text.startswith(reply.format(run_id))
    if door == "direct":  # spoken elsewhere, so it is answered there as well
        assert told_one_person(door, private) == public.text
    else:
        assert private == []


@pytest.mark.parametrize("door", WAYS)
async def test_what_changes_nothing(scene: Scene, door: str) -> None:
    (run_id,) = await scene.has("failed")
    # What somebody is about to do, with what they see before them, ...
    asked = [await WAYS[door](scene, verb, run_id, "U1") for verb, _ in REFUSALS]
    for envelope, ((verb, state), (word, reply)) in zip(asked, REFUSALS.items(), strict=True):
        # ... comes when the run is elsewhere.
        become(scene.database, run_id, state)
        said = await scene.does(envelope)
        assert told_one_person(door, said).startswith(reply.format(run_id))
        assert (await scene.audit(run_id, verb))[-1] == (word, DOOR_WORDS[door], "slack:U1")
        status = {"working": "running"}.get(state, state)
        assert (await scene.run(run_id)).status == status


@pytest.mark.parametrize("door", WAYS)
async def test_looks(scene: Scene, door: str) -> None:
    (run_id,) = await scene.has("failed")
    for verb, reply in LOOKS.items():
        if (door, verb) in {("button", "status"), ("button", "history"), ("shortcut", "history")}:
            continue  # there is nothing to click for this
        envelope = (
            use_shortcut(scene, run_id, "U1")
            if (door, verb) == ("shortcut", "status")
            else await WAYS[door](scene, verb, run_id, "U1")
        )
        text = told_one_person(door, await scene.does(envelope))
        assert text.startswith(reply.format(run_id))
        assert (await scene.audit(run_id, verb))[0] == ("shown", DOOR_WORDS[door], "slack:U1")


ABOUT_NO_RUN = [
    ("help", "shown", "What I understand:"),
    ("runs", "shown", "{}  deploy  failed at step 2 of 3"),
    ("run", "invalid", "Which workflow?"),
    ("run nope", "invalid", "There is no workflow “nope”."),
    ("resume zzzzzzzz", "not_found", "There is no run “zzzzzzzz” here."),
    ("cancel zzzzzzzz", "not_found", "There is no run “zzzzzzzz” here."),
    ("logs zzzzzzzz", "not_found", "There is no run “zzzzzzzz” here."),
    ("resume", "nothing_here", "There is nothing to resume in this conversation."),
    ("cancel", "nothing_here", "There is nothing to cancel in this conversation."),
    ("status", "nothing_here", "There is nothing to show in this conversation."),
]


@pytest.mark.parametrize("door", SPOKEN)
async def test_answers_about_no_run(scene: Scene, door: str) -> None:
    elsewhere = "slack:T1:C2"
    run_id = place_run(scene.database, "failed", conversation=elsewhere, channel=elsewhere)
    for text, word, reply in ABOUT_NO_RUN:
        verb, _, rest = text.partition(" ")
        said = await scene.does(await WAYS[door](scene, verb, rest, "U1"))
        assert told_one_person(door, said).startswith(reply.format(run_id))
        assert scene.recorded()[-1] == (verb, word, DOOR_WORDS[door], "slack:U1")
    assert len(scene.recorded()) == len(ABOUT_NO_RUN)


@pytest.mark.parametrize("door", [door for door in SPOKEN if door != "direct"])
async def test_what_is_no_command_is_invalid(scene: Scene, door: str) -> None:
    said = await scene.does(await WAYS[door](scene, "resum", "abcd", "U1"))
    text = told_one_person(door, said)
    assert text.startswith("“resum” is not a command. Did you mean resume?")
    assert scene.recorded() == [("", "invalid", DOOR_WORDS[door], "slack:U1")]


@pytest.mark.parametrize("door", WAYS)
async def test_a_viewer_may_not_change_anything(scene: Scene, door: str) -> None:
    (run_id,) = await scene.has("failed")
    for verb in ("resume", "cancel"):
        said = await scene.does(await WAYS[door](scene, verb, run_id, "U3"))
        text = told_one_person(door, said, "U3")
        assert text.startswith(f"You may not {verb} here: it needs the role operator")
        assert "your role is viewer" in text
        assert "Your id for the access list is slack:U3." in text
        assert (await scene.run(run_id)).status == "failed"
        assert scene.recorded()[-1] == (verb, "denied", DOOR_WORDS[door], "slack:U3")


@pytest.mark.parametrize("door", WAYS)
async def test_whom_no_list_names_may_nothing(scene: Scene, door: str) -> None:
    (run_id,) = await scene.has("failed")
    verb = "status" if door == "shortcut" else "resume"
    envelope = (
        use_shortcut(scene, run_id, "U9")
        if door == "shortcut"
        else await WAYS[door](scene, verb, run_id, "U9")
    )
    text = told_one_person(door, await scene.does(envelope), "U9")
    assert "no access list names you" in text
    assert "Your id for the access list is slack:U9." in text
    assert (await scene.run(run_id)).status == "failed"
    assert scene.recorded() == [(verb, "denied", DOOR_WORDS[door], "slack:U9")]


@pytest.mark.parametrize("door", SPOKEN)
@pytest.mark.parametrize("verb", ["resume", "cancel"])
async def test_several_runs_give_a_choice_that_is_carried_out(
    scene: Scene, door: str, verb: str
) -> None:
    asked = await WAYS[door](scene, verb, "", "U1")
    place = {"direct": "D1", "thread": f"C1:{THREAD}"}.get(door, "C1")
    where = {"conversation": f"slack:T1:{place}", "channel": f"slack:T1:{place[:2]}"}
    first = place_run(scene.database, "failed", **where)
    (second,) = await scene.has("failed", **where)

    offered = await scene.does(asked)
    assert told_one_person(door, offered).startswith("Which one? Nothing changed.")
    assert scene.recorded() == [(verb, "ambiguous", DOOR_WORDS[door], "slack:U1")]
    assert len(options_of(offered[0].shown.blocks)) == 2

    (public,) = await scene.does(choose(offered[0], second, "U1"))
    taken_away = [one for one in scene.slack.responses if one.body.get("delete_original")]
    assert len(taken_away) == (0 if door == "direct" else 1)
    root = place.partition(":")[2] or scene.card(second).ts
    assert public.place == (place[:2], root)
    word = {"resume": "resumed", "cancel": "cancelled"}[verb]
    assert await scene.audit(second, verb) == [(word, "slack-button", "slack:U1")]
    assert (await scene.run(first)).status == "failed"


@pytest.mark.parametrize("verb", ["resume", "cancel"])
async def test_the_shortcut_on_other_messages_of_a_thread_gives_a_choice(
    scene: Scene, verb: str
) -> None:
    where = {"conversation": f"slack:T1:C1:{THREAD}", "channel": "slack:T1:C1"}
    second = place_run(scene.database, "failed", **where)
    await scene.has("failed", **where)
    news = scene.slack.posted[-1]
    offered = await scene.told(shortcut(news, callback_id="baton_run"))
    assert (offered.how, offered.user) == ("private", "U1")
    wanted = f"baton:{verb}:shortcut"
    options = options_of(offered.shown.blocks).items()
    (picked,) = [one for label, one in options if second in label and one["action_id"] == wanted]
    (public,) = await scene.does(click(offered.shown, picked, user="U1"))
    assert public.place == ("C1", THREAD)
    word = {"resume": "resumed", "cancel": "cancelled"}[verb]
    assert await scene.audit(second, verb) == [(word, "slack-shortcut", "slack:U1")]


@pytest.mark.parametrize("place", ["D1", f"C1:{THREAD}"])
async def test_the_shortcut_on_a_card_is_about_its_run(scene: Scene, place: str) -> None:
    where = {"conversation": f"slack:T1:{place}", "channel": f"slack:T1:{place[:2]}"}
    other = place_run(scene.database, "failed", **where)
    (over,) = await scene.has("completed", **where)
    offered = await scene.told(use_shortcut(scene, over, "U1"))
    assert offered.text.startswith(f"deploy {over} completed")
    assert other not in str(offered.shown.blocks)


@pytest.mark.parametrize("door", SPOKEN)
async def test_a_word_alone_means_the_one_run_that_fits(scene: Scene, door: str) -> None:
    place = "D1" if door == "direct" else "C1"
    where = {"conversation": f"slack:T1:{place}", "channel": f"slack:T1:{place}"}
    (run_id,) = await scene.has("failed", **where)
    (public,) = await scene.does(await WAYS[door](scene, "resume", "", "U1"))
    assert public.place == (place, scene.card(run_id).ts)
    assert await scene.audit(run_id, "resume") == [("resumed", DOOR_WORDS[door], "slack:U1")]


async def test_the_thread_of_a_card_means_its_run_alone(scene: Scene) -> None:
    first = place_run(scene.database, "failed")
    (second,) = await scene.has("failed")
    envelope = mention("resume", thread_ts=scene.card(second).ts)
    (public,) = await scene.does(envelope)
    assert public.place == ("C1", scene.card(second).ts)
    assert (await scene.run(first)).status == "failed"


@pytest.mark.parametrize("door", SPOKEN)
async def test_a_started_run_gets_one_card(scene: Scene, door: str) -> None:
    envelope = await WAYS[door](scene, "run", "quick", "U1")
    told = told_one_person(door, await scene.does(envelope))
    await scene.settled()
    ((run_id, conversation),) = [
        (run.id, run.conversation) for run in await scene.read(lambda tx: tx.runs.recent(9, None))
    ]
    assert told.startswith(f"Started quick {run_id}: 2 steps")
    card = scene.card(run_id)
    event = envelope["payload"].get("event") or {}
    thread = {"mention": event.get("ts"), "thread": event.get("thread_ts")}.get(door)
    assert (card.channel, card.thread_ts) == ("D1" if door == "direct" else "C1", thread)
    assert conversation == ":".join(["slack", "T1", card.channel, *([thread] if thread else [])])
    assert len(scene.said()) == 1
    assert await scene.audit(run_id, "run") == [("started", DOOR_WORDS[door], "slack:U1")]


async def test_who_speaks_elsewhere_is_told_privately_too(scene: Scene) -> None:
    (run_id,) = await scene.has("failed")
    public, private = await scene.does(slash("/resume", run_id, channel="C2"))
    assert (public.how, public.place) == ("thread", ("C1", scene.card(run_id).ts))
    assert (private.how, private.place[0], private.user) == ("private", "C2", "U1")
    assert private.text == public.text


async def test_a_change_is_told_once_and_the_card_follows(scene: Scene) -> None:
    resumed, cancelled = await scene.has("failed", "paused")
    await scene.does(slash("/resume", resumed))
    (first,) = scene.said()
    await scene.does(mention(f"cancel {cancelled}"))
    (second,) = scene.said()
    await scene.settled()
    assert [first.text.split()[0], second.text.split()[0]] == ["Resuming", "Cancelled"]
    assert scene.said() == [second]
    assert "waiting for a free worker" in scene.card(resumed).text
    assert "cancelled, worktree free" in scene.card(cancelled).text


async def test_no_private_answer_hides_in_a_thread_that_nobody_began(scene: Scene) -> None:
    """Slack shows ephemeral messages only in active threads (docs.slack.dev: postEphemeral)."""
    (run_id,) = await scene.has("working")
    for act in (mention("help"), mention("run nope"), use_shortcut(scene, run_id, "U1")):
        assert (await scene.told(act)).shown.thread_ts is None
    assert (await scene.told(mention("help", thread_ts=THREAD))).shown.thread_ts == THREAD


@pytest.mark.parametrize("door", SPOKEN)
async def test_another_team_is_another_world(scene: Scene, door: str) -> None:
    where = {"conversation": "slack:T2:C9", "channel": "slack:T2:C9"}
    run_id = place_run(scene.database, "failed", **where)
    for verb in ("resume", "cancel", "status", "logs", "history"):
        said = await scene.does(await WAYS[door](scene, verb, run_id, "U1"))
        assert told_one_person(door, said).startswith(f"There is no run “{run_id}” here.")
        assert scene.recorded()[-1] == (verb, "not_found", DOOR_WORDS[door], "slack:U1")
    assert run_id not in (await scene.told(slash("/baton", "runs"))).text
    assert (await scene.run(run_id)).status == "failed"


def edited(envelope: Json) -> Json:
    """The same words, once their author has changed them."""
    envelope["payload"]["event"]["edited"] = {"user": "U1", "ts": "1700000000.000001"}
    return envelope


def changed(text: str) -> Json:
    """Slack tells that a message was edited."""
    event = {"type": "message", "subtype": "message_changed", "channel": "D1", "channel_type": "im"}
    said = {"type": "message", "user": "U1", "text": text, "ts": "1700000000.000001"}
    return event_envelope({**event, "message": said, "previous_message": said})


TALK: dict[str, Callable[[], Json]] = {
    "in a channel": lambda: channel_message("resume"),
    "in a thread": lambda: channel_message("cancel", thread_ts="1600000000.000100"),
    "about Baton": lambda: mention(f"let us ask <@{BOT}> resume"),
    "about Baton at the end": lambda: mention(f"resume <@{BOT}>"),
    "to somebody beside Baton": lambda: mention(f"<@U2> resume it with <@{BOT}>"),
    "chatter in a direct message": lambda: direct_message("stop the deploy please"),
    "a sentence that begins with a verb": lambda: direct_message("cancel that, I am sorry"),
    "nothing in a direct message": lambda: direct_message(""),
    "of a bot in a channel": lambda: bot_message("resume"),
    "of a bot in a direct message": lambda: bot_message("resume", channel="D1"),
    "of a bot that mentions": lambda: bot_message(f"<@{BOT}> resume", kind="app_mention"),
    "edited mention": lambda: edited(mention("resume")),
    "edited direct message": lambda: edited(direct_message("resume")),
    "told of an edit": lambda: changed("resume"),
}


async def test_plain_talk_is_none_of_our_business(scene: Scene) -> None:
    (run_id,) = await scene.has("failed")
    before = len(scene.slack.posted)
    for how, talk in TALK.items():
        assert await scene.does(talk()) == [], how
    assert scene.received() == []
    # What comes later is answered, and nothing before it was.
    (later,) = await scene.does(mention("help"))
    assert later.text.startswith("What I understand:")
    assert len(scene.slack.posted) == before
    assert scene.recorded() == [("help", "shown", "slack-mention", "slack:U1")]
    assert (await scene.run(run_id)).status == "failed"


async def test_a_direct_message_may_call_baton_by_its_name(scene: Scene) -> None:
    (run_id,) = await scene.has("failed")
    public, direct = await scene.does(direct_message(f"<@{BOT}> resume {run_id}"))
    assert (public.how, direct.how) == ("thread", "direct")


async def test_a_click_for_another_teams_run_finds_nothing(scene: Scene) -> None:
    """Slack vouches for the value of a button only as long as nobody else can post for Baton."""
    (run_id,) = await scene.has("failed")
    where = {"conversation": "slack:T2:C9", "channel": "slack:T2:C9"}
    foreign = place_run(scene.database, "failed", **where)
    envelope = await WAYS["button"](scene, "resume", run_id, "U1")
    envelope["payload"]["actions"][0]["value"] = f"{foreign}:2"
    text = told_one_person("button", await scene.does(envelope))
    assert text.startswith(f"There is no run “{foreign}” here.")
    assert (await scene.run(foreign)).status == "failed"


async def test_a_forged_click_is_answered_like_a_wrong_word(scene: Scene) -> None:
    (run_id,) = await scene.has("failed")
    for value in (
        "no run",
        "abcd:x",
        "'; DROP TABLE runs; --:1",
        "é" * 300,
        f"{run_id}:1000000000",
    ):
        envelope = await WAYS["button"](scene, "cancel", run_id, "U1")
        envelope["payload"]["actions"][0]["value"] = value
        text = told_one_person("button", await scene.does(envelope))
        assert text.startswith("There is no run")
    assert (await scene.run(run_id)).status == "failed"
