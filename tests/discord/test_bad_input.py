"""Forged and foreign buttons and choices: told privately, and nothing is changed."""

from pathlib import Path

import pytest

from tests.discord.double import Discord, SentMessage, snowflake
from tests.discord.markdown import live_in_message
from tests.discord.payloads import (
    buttons_of,
    click,
    mention,
    options_of,
    select,
)
from tests.discord.records import (
    CHANNEL,
    GUILD,
    OTHER_CHANNEL,
    OTHER_GUILD,
    Json,
)
from tests.discord.talk import Talk, talking

REFUSAL = "Nothing changed"


async def is_as_it_was(talk: Talk, run_id: str) -> bool:
    """Whether nobody claimed or changed a run that was put there."""
    run = await talk.gets(run_id, lambda run: True)
    return (run.status, run.epoch, run.version) == ("paused", 2, 3)


# --- buttons ---------------------------------------------------------------------------------

FOREIGN = {
    "a run that is not on the message": "baton:resume:abcd2345:1",
    "an act that is not on the message": "baton:cancel:{run}:1",
    "an unknown act": "baton:delete:{run}:1",
    "an epoch of words": "baton:resume:{run}:now",
    "a choice that is not there": "baton:choose:resume",
    "an unknown choice": "baton:choose:run",
    "another app's": "counter:plus",
    "nothing": "",
    "a long one": "x" * 100,
    "a long one of ours": "baton:resume:".ljust(100, "a"),
    "lines": "baton:resume:{run}:1\n",
    "SQL": "' OR 1=1; DROP TABLE runs; --",
    "markup": "@everyone <@1> https://evil.example",
}


async def test_a_button_that_is_not_batons_does_nothing_and_says_so(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        run_id, card = await talk.has("paused")
        for kind, custom_id in FOREIGN.items():
            told = await talk.told(click(card, custom_id.format(run=run_id), forged=True))
            assert "I do not know that button" in told.content, kind
            assert REFUSAL in told.content
        assert await is_as_it_was(talk, run_id)


def used_as_menu(message: SentMessage, custom_id: str, values: list[str]) -> Json:
    """A click as if it came from a menu."""
    data = {"component_type": 3, "custom_id": custom_id, "values": values, "id": 2}
    return click(message, custom_id, forged=True) | {"data": data}


async def test_a_button_that_is_used_as_a_menu_does_nothing_and_says_so(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        run_id, card = await talk.has("paused")
        custom_id = buttons_of(card.components)["Resume"]
        told = await talk.told(used_as_menu(card, custom_id, [f"{run_id}:2"]))
        assert "I do not know that button" in told.content
        assert await is_as_it_was(talk, run_id)


def message_with(discord: Discord, *custom_ids: str) -> SentMessage:
    """A message of Baton's with these buttons, however they came there."""
    buttons = [{"type": 2, "style": 1, "label": one, "custom_id": one} for one in custom_ids]
    row = {"type": 1, "components": buttons}
    return discord.keep(
        SentMessage(CHANNEL, snowflake(), content="old", components=[row], guild=GUILD)
    )


async def test_a_button_for_no_run_is_answered_so(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    acts = ("resume", "cancel", "logs", "ask")
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        for value in ("abcd2345:1", "abcd2345:999999999", "a:0", "00000000:000000000"):
            old = message_with(discord, *(f"baton:{act}:{value}" for act in acts))
            for act in acts:
                told = await talk.told(click(old, f"baton:{act}:{value}"))
                assert "There is no run" in told.content, (act, value)
                assert REFUSAL in told.content


async def test_a_button_for_a_run_of_another_guild_finds_none(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    acts = ("resume", "cancel", "logs", "ask")
    elsewhere = f"discord:{OTHER_GUILD}:{OTHER_CHANNEL}"
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        run_id, card = await talk.has("paused", conversation=elsewhere, channel=elsewhere)
        here = message_with(discord, *(f"baton:{act}:{run_id}:2" for act in acts))
        for act in acts:
            told = await talk.told(click(here, f"baton:{act}:{run_id}:2"))
            assert "There is no run" in told.content, act
        assert await is_as_it_was(talk, run_id)
        await talk.does(click(card, "Resume"))
        assert not await is_as_it_was(talk, run_id)


async def test_a_button_of_an_earlier_claim_changes_nothing(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        run_id = talk.puts("paused")
        old = message_with(discord, f"baton:resume:{run_id}:7", f"baton:ask:{run_id}:1")
        for custom_id in buttons_of(old.components):
            told = await talk.told(click(old, custom_id))
            assert "moved on" in told.content
        run = await talk.gets(run_id, lambda run: True)
        assert (run.status, run.epoch) == ("paused", 2)


# --- choices ---------------------------------------------------------------------------------

VALUES = {
    "no run": "abcd2345:1",
    "nothing": "",
    "garbage": "\u202e\x00?!",
    "SQL": "' OR 1=1; DROP TABLE runs; --",
    "another verb": "run quick",
    "long": "x" * 100,
    "a large epoch": "abcd2345:" + "9" * 40,
    "markup": "@everyone https://evil.example",
}


@pytest.mark.parametrize("verb", ["resume", "cancel", "logs"])
async def test_a_choice_of_what_was_not_offered_finds_no_run(
    discord: Discord, tmp_path: Path, repository: Path, verb: str
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        made = [talk.puts("paused") for _ in range(2)]
        for kind, value in VALUES.items():
            offered = await talk.says(verb)
            assert len(options_of(offered.components)) == 2
            told = await talk.told(used_as_menu(offered, f"baton:choose:{verb}", [value]))
            assert "There is no run" in told.content, kind
            assert REFUSAL in told.content
            assert live_in_message(told.content) is None
        offered = await talk.says(verb)
        told = await talk.told(used_as_menu(offered, f"baton:choose:{verb}", []))
        assert "There is no run" in told.content
        assert all([await is_as_it_was(talk, run_id) for run_id in made])


async def test_a_choice_for_an_unknown_verb_does_nothing_and_says_so(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        made = [talk.puts("paused") for _ in range(2)]
        offered = await talk.says("resume")
        for verb in ("run", "help", "runs", "delete", "", "resume:now", "RESUME"):
            told = await talk.told(used_as_menu(offered, f"baton:choose:{verb}", [f"{made[0]}:2"]))
            assert "I do not know that button" in told.content, verb
            offered = await talk.says("resume")
        assert all([await is_as_it_was(talk, run_id) for run_id in made])


async def test_a_choice_is_for_who_may(discord: Discord, tmp_path: Path, repository: Path) -> None:
    """A choice that everybody sees was made for one of them; the others have their own roles."""
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        talk.puts("paused")
        talk.puts("paused")
        offered = await talk.hears(mention("resume"))
        value = next(iter(options_of(offered.components)))
        told = await talk.told(select(offered, value, user="9"))
        assert "discord:9" in told.content
        assert options_of(offered.components), "who may can still choose"
