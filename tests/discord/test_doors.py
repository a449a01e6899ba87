"""What Discord alone has of ways into Baton; tests/chat has what is true of every platform."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.chat.scenes import Room
from tests.discord.payloads import click, direct_message, slash
from tests.discord.records import CHANNEL, THREAD, Json, direct_channel
from tests.discord.scenes import ANA, Scene, direct_room, in_discord, room
from tests.discord.seen import aside_of

ADMIN = "7"


@pytest.fixture
async def scene(tmp_path: Path, repository: Path) -> AsyncIterator[Scene]:
    async with in_discord(tmp_path, repository) as scene:
        yield scene


# --- the question before a cancel ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "outcome", "reply"),
    [
        ("completed", "already_finished", "deploy {} had already completed"),
        ("cancelled", "already_cancelled", "deploy {} was already cancelled by ben"),
    ],
)
async def test_what_can_have_no_effect_is_not_asked_about(
    scene: Scene, state: str, outcome: str, reply: str
) -> None:
    (run_id,) = await scene.has("failed")
    clicked = click(scene.card(run_id), "Cancel")
    scene.become(run_id, state)
    told = await scene.told(clicked)
    assert told.beside == ("private", ANA, CHANNEL)
    assert told.text.startswith(reply.format(run_id))
    assert await scene.audit(run_id, "cancel") == [(outcome, "discord-button", "discord:1")]


@pytest.mark.parametrize("where", [room(CHANNEL), direct_room(ANA)], ids=["channel", "direct"])
@pytest.mark.parametrize(
    ("state", "label"), [("failed", "Keep"), ("paused", "Keep"), ("working", "Keep running")]
)
async def test_who_keeps_a_run_changes_nothing(
    scene: Scene, state: str, label: str, where: Room
) -> None:
    (run_id,) = await scene.has(state, **where.columns)
    before = await scene.run(run_id)
    question = await scene.told(click(scene.card(run_id), "Cancel"))
    told = await scene.told(click(question.shown, label))
    assert told.shown is question.shown
    assert told.text == f"Nothing changed: {run_id} was not cancelled."
    assert not scene.left_open()
    assert await scene.run(run_id) == before
    assert scene.received() == []


# --- where a change is told ------------------------------------------------------------------


def typed(scene: Scene, run_id: str) -> Json:
    channel = scene.card(run_id).channel
    guild = None if channel == direct_channel(ANA) else "700"
    return slash("resume", {"run": run_id}, channel=channel, guild=guild)


def clicked(scene: Scene, run_id: str) -> Json:
    return click(scene.card(run_id), "Resume")


@pytest.mark.parametrize("act", [typed, clicked])
@pytest.mark.parametrize(
    "where", [room(CHANNEL), room(THREAD), direct_room(ANA)], ids=["channel", "thread", "direct"]
)
async def test_what_is_asked_beside_the_card_is_answered_openly_there(
    scene: Scene, act: Callable[[Scene, str], Json], where: Room
) -> None:
    (run_id,) = await scene.has("failed", **where.columns)
    told = await scene.told(act(scene, run_id))
    assert told.place == (scene.card(run_id).channel, None)
    assert told.how == ("direct" if where == direct_room(ANA) else "channel")
    assert told.shown.interaction is not None


@pytest.mark.parametrize(
    ("door", "named"),
    [
        ("slash", "ana in Discord"),
        ("mention", "ana in Discord"),
        ("thread", "ana in Discord"),
        ("button", "ana with a button in Discord"),
    ],
)
@pytest.mark.parametrize("verb", ["resume", "cancel"])
async def test_whoever_changes_a_run_is_named(
    scene: Scene, door: str, named: str, verb: str
) -> None:
    (run_id,) = await scene.has("failed")
    public, *_ = await scene.does(await scene.way(door, verb, run_id, ANA))
    assert aside_of(public.shown) == named


# --- what a direct conversation sees -----------------------------------------------------------


async def test_a_direct_conversation_sees_its_own_runs_alone(scene: Scene) -> None:
    own = scene.place_run("failed", **direct_room(ANA).columns)
    for foreign in (room(CHANNEL), direct_room("2")):
        run_id = scene.place_run("failed", **foreign.columns)
        told = await scene.told(direct_message(f"status {run_id}"))
        assert told.text.startswith(f"There is no run “{run_id}” here.")
        told = await scene.told(direct_message(f"status {run_id}", ADMIN))
        assert told.text.startswith(f"deploy {run_id} failed")
    told = await scene.told(direct_message("runs"))
    assert [line.split()[0] for line in told.text.splitlines()] == [own]
