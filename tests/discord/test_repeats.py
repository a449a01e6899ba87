"""What Discord sends again, what Baton answers again: one effect and one answer."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bot.conversation import Author, Conversation, Door, Message
from bot.keeper import Desk
from tests.discord.api import perform
from tests.discord.double import Discord, Interaction
from tests.discord.house import (
    become,
    installation_in,
    kept_locked,
    key_of,
    left_over,
    place_run,
    process,
)
from tests.discord.messages import Asked
from tests.discord.payloads import autocomplete, click, mention, slash
from tests.discord.records import APP, CHANNEL
from tests.discord.stage import Stage, is_taken_back, more_channels, news, on_stage

NOWHERE = "nowhere"
"""No point: a Baton that nothing happens to."""


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long here."""
    monkeypatch.setattr("adapters.discord.api._UNREACHABLE_SECONDS", 0.2)
    monkeypatch.setattr("bot.patience._AGAIN_SECONDS", 0.2)
    monkeypatch.setattr(Desk.__init__, "__defaults__", (0.1,))


async def resumed_once(stage: Stage, run_id: str) -> None:
    """The run was resumed by one event, and one message tells so."""
    assert [word for word, _, _ in await stage.audit(run_id, "resume")] == ["resumed"]
    assert (await stage.run(run_id)).epoch == 3
    (said,) = stage.said()
    assert (said.how, said.text.split()[0]) == ("channel", "Resuming")
    # Discord would drop what it was told before; it was told once.
    told = [call.body.get("data") or call.body for call in stage.discord.called("POST")]
    assert [one.get("content") for one in told].count(said.text) == 1


async def passed_by(stage: Stage) -> None:
    """Whatever Discord sent before was heard, since this came after it."""
    heard = stage._heard
    asked = await stage.discord.interact(slash("resume", {"run": "zzzzzzzz"}, user="3"))
    await stage.discord.until(lambda: asked.answered)
    await stage.answered()
    assert asked.original
    asked.original.deleted = True
    assert stage._heard == heard


# --- sent again ----------------------------------------------------------------------------------


def resume_by(stage: Stage, door: str, run_id: str) -> dict[str, Any]:
    """What somebody does at this door to resume the run."""
    match door:
        case "slash":
            return slash("resume", {"run": run_id})
        case "button":
            return click(stage.card(run_id), "Resume")
        case _:
            return mention(f"resume {run_id}")


@pytest.mark.parametrize("door", ["slash", "button"])
async def test_an_interaction_that_comes_again_later(
    discord: Discord, tmp_path: Path, repository: Path, door: str
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        stage.listen()
        asked = await stage.told(resume_by(stage, door, run_id))
        await stage.answered(1)
        for _ in range(3):
            await discord.redeliver(asked)
        await passed_by(stage)
        await resumed_once(stage, run_id)
        assert len(asked.responses) == 1


@pytest.mark.parametrize("door", ["slash", "button"])
@pytest.mark.parametrize("deferred", [False, True])
async def test_an_interaction_that_comes_again_while_it_is_worked_on(
    discord: Discord, tmp_path: Path, repository: Path, door: str, deferred: bool
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        stage.listen()
        with kept_locked(stage.database):
            asked = await discord.interact(resume_by(stage, door, run_id))
            for _ in range(3):
                await discord.redeliver(asked)
            if deferred:
                await discord.until(lambda: asked.responses)
        await stage.answered(1)
        await passed_by(stage)
        await resumed_once(stage, run_id)
        assert is_taken_back(asked) == deferred


async def test_a_message_that_comes_again(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        stage.listen()
        message = mention(f"resume {run_id}")
        await asyncio.gather(*(discord.say(message) for _ in range(8)))
        await stage.answered(1)
        await discord.say(message)
        await passed_by(stage)
        await resumed_once(stage, run_id)


@pytest.mark.parametrize("text", ["help", "status", "resume zzzzzzzz", "frobnicate"])
async def test_a_private_answer_is_not_given_twice_either(
    discord: Discord, tmp_path: Path, repository: Path, text: str
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        await stage.has("failed")
        stage.listen()
        message = mention(text)
        for _ in range(3):
            await discord.say(message)
        await stage.answered(1)
        await discord.say(message)
        await passed_by(stage)
        assert [one.how for one in stage.said()] == ["direct"]
        assert len(discord.called("POST", "/channels/601/messages")) == 1


async def test_two_clicks_are_two_deliveries(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    """Else the tests above would pass on a Baton that drops whatever looks alike."""
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        clicks = [click(stage.card(run_id), "Resume") for _ in range(2)]
        (public,) = await stage.does(clicks[0])
        (private,) = await stage.does(clicks[1])
        assert (public.how, private.how) == ("channel", "private")
        assert "already claimed by ana" in private.text


# --- sent to two processes -----------------------------------------------------------------------


async def test_two_processes_that_hear_the_same_do_it_once_and_answer_once(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with (
        on_stage(discord, tmp_path, repository, concurrency=0) as stage,
        process(tmp_path, discord.base, NOWHERE),
    ):
        await discord.connected(2, 30)
        ids = await stage.has(*["failed"] * 12)
        await stage.current()
        stage.listen()
        spoken = [mention(f"resume {run_id}", "2") for run_id in ids[:4]]
        done = [slash("resume", {"run": run_id}) for run_id in ids[4:8]]
        done += [click(stage.card(run_id), "Resume") for run_id in ids[8:]]
        looks = [slash("status", {"run": run_id}, "3") for run_id in ids]
        questions = [click(stage.card(ids[0]), "Cancel"), click(stage.card(ids[1]), "Log", "3")]
        typing = [autocomplete("resume", {"run": ""}, "run") for _ in range(4)]
        every = [*done, *looks, *questions, *typing]
        await asyncio.gather(*(discord.say(one) for one in spoken))
        asked = await asyncio.gather(*(discord.interact(one) for one in every))
        await discord.until(lambda: all(one.answered or is_taken_back(one) for one in asked))
        await stage.answered(len(spoken) + len(done) + len(looks) + 1)
        assert [len(one.responses) for one in asked] == [1] * len(asked)
        for run_id in ids:
            assert [word for word, _, _ in await stage.audit(run_id, "resume")] == ["resumed"]
        said = stage.said()
        public = sorted(one.text.split()[2] for one in said if one.how == "channel")
        assert public == sorted(ids)
        assert len([one for one in said if one.how == "private"]) == len(looks) + len(questions)
        assert len(said) == len(ids) + len(looks) + len(questions)


# --- left over -----------------------------------------------------------------------------------


async def acted(discord: Discord, payload: dict[str, Any], seconds_ago: float) -> Interaction:
    """Somebody did this so long ago, and Discord was promised an answer by who is gone."""
    asked = await discord.interact(payload)
    promise = Asked([], {"type": 5, "data": {"flags": 64}})
    perform(discord, "POST", f"/interactions/{asked.id}/{asked.token}/callback", promise, None)
    asked.sent_at[0] -= seconds_ago
    return asked


def as_received(asked: Interaction, text: str, door: Door = Door.DISCORD_SLASH) -> Message:
    """An interaction as Baton keeps it."""
    reply_to = {
        "interaction": asked.id,
        "token": asked.token,
        "application": APP,
        "origin": "command",
        "choice": "",
        "user": asked.user,
    }
    return Message(
        text=text,
        conversation=Conversation(key_of(asked.channel)),
        author=Author(f"discord:{asked.user}", name="ana"),
        door=door,
        delivery=f"discord:700:{asked.id}",
        reply_to=reply_to,
    )


def as_heard(message: dict[str, Any], text: str) -> Message:
    """A mention as Baton keeps it."""
    user = str(message["author"]["id"])
    return Message(
        text=text,
        conversation=Conversation(key_of(CHANNEL)),
        author=Author(f"discord:{user}", name=message["author"]["username"]),
        door=Door.DISCORD_MENTION,
        delivery=f"discord:700:{message['id']}",
        reply_to={"message": str(message["id"]), "user": user},
    )


@pytest.mark.parametrize(("age_seconds", "how"), [(61, "private"), (2000, "direct")])
async def test_what_waited_too_long_is_told_so_and_has_no_effect(
    discord: Discord, tmp_path: Path, repository: Path, age_seconds: float, how: str
) -> None:
    database = installation_in(tmp_path, repository, discord).database
    run_id = place_run(database, "failed")
    asked = await acted(discord, slash("resume", {"run": run_id}), age_seconds)
    spoken = mention(f"resume {run_id}", "2")
    await discord.say(spoken)
    text = f"resume {run_id}"
    left_over(database, as_received(asked, text), age_seconds)
    left_over(database, as_heard(spoken, text), age_seconds)
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        await stage.answered(2)
        await discord.redeliver(asked)
        await passed_by(stage)
        told = {one.user: one.how for one in stage.said()}
        assert (told, len(stage.said())) == ({"1": how, "2": "direct"}, 2)
        assert all(one.text.startswith("Baton restarted") for one in stage.said())
        run = await stage.run(run_id)
        assert (run.status, run.epoch) == ("failed", 2)


async def test_what_did_not_wait_long_is_carried_out(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    database = installation_in(tmp_path, repository, discord).database
    run_id = place_run(database, "failed")
    asked = await acted(discord, slash("resume", {"run": run_id}), 30)
    left_over(database, as_received(asked, f"resume {run_id}"), 30)
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        await stage.answered(1)
        await resumed_once(stage, run_id)
        assert is_taken_back(asked)


async def test_each_question_has_its_own_answer_though_the_words_are_the_same(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    database = installation_in(tmp_path, repository, discord).database
    for run_id in (place_run(database, "failed"), place_run(database, "failed")):
        spoken = mention(f"resume {run_id}")
        await discord.say(spoken)
        left_over(database, as_heard(spoken, f"resume {run_id}"), 61)
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        await stage.answered(2)
        assert [one.text.split()[:2] for one in stage.said()] == [["Baton", "restarted"]] * 2


async def test_an_answer_like_an_earlier_one_is_given_all_the_same(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    """Ana resumes a run that fails again and again; the second time Baton is killed meanwhile."""
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        await discord.say(mention(f"resume {run_id}"))
        await stage.answered(1)
        become(stage.database, run_id, "failed")
        await stage.shows(run_id, "failed at step 2")
    again = mention(f"resume {run_id}")
    await discord.say(again)
    left_over(stage.database, as_heard(again, f"resume {run_id}"))
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        await stage.answered(2)
        assert (await stage.run(run_id)).epoch == 4
        assert [one.text.split()[0] for one in stage.said()] == ["Resuming", "Resuming"]


async def test_a_card_that_two_processes_owe_is_posted_once(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    discord.nonce_seconds = 0
    places = [f"54{number:02}" for number in range(10)]
    more_channels(discord, *places)
    async with (
        on_stage(discord, tmp_path, repository, concurrency=0) as stage,
        process(tmp_path, discord.base, NOWHERE),
    ):
        await discord.connected(2, 30)
        ids = [place_run(stage.database, "failed", place) for place in places]
        await stage.opens(*ids)
        for run_id in ids:
            assert stage.card(run_id).content
            assert len(news(discord, run_id)) == 1
