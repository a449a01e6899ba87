"""Hostile words, names, output and endless texts: read as they are, and harmless."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.discord.double import Discord
from tests.discord.markdown import live_in_message, seen
from tests.discord.payloads import (
    autocomplete,
    buttons_of,
    click,
    direct_message,
    mention,
    slash,
)
from tests.discord.records import (
    CHANNEL,
    THREAD,
    Json,
)
from tests.discord.talk import directly, talking

REFUSAL = "Nothing changed"
HOSTILE = (
    "*bold* _it_ ~~gone~~ `code` ||spoiler||",
    "# big\n> quoted\n- one\n1. two",
    "@everyone @here",
    f"<@2> <@&900> <#{CHANNEL}>",
    "<t:1700000000:R>",
    "<:blob:123456789012345678>",
    "[click](https://evil.example) <https://evil.example>",
    "```\nout of the block",
    "a\u200bb \u202egnp.exe\u2066x\u2069\ufeff",
    "a\x00b\x1b[31mred\x07",
    "\ud800",
)
TEXTS = [evil.replace("\x00", "") for evil in HOSTILE[:-1]]
"""Those that a file of settings can hold."""
UNSEEN = "\x00\x07\x1b\u202e\u2066\u2069\ufeff\ud800"


def assert_harmless(discord: Discord) -> None:
    """Nothing that was posted does more than be read."""
    for message in discord.posted:
        for content in (message.content, *(edit.content for edit in message.edits)):
            assert live_in_message(content) is None, (live_in_message(content), content)
            assert not [one for one in content if one in UNSEEN]
        assert "everyone" not in message.pinged
        assert not {who for who in message.pinged if who.startswith("role:")}
        assert not message.pinged - {"user:1"}


async def test_hostile_words_are_read_back_as_they_are_and_do_nothing(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        for evil in HOSTILE:
            line = evil.replace("\n", " ")
            asked: Sequence[tuple[str, Json, str]] = (
                ("run", {"workflow": evil}, "There is no workflow"),
                ("run", {"workflow": "quick", "arguments": f"{line} ="}, "I cannot read"),
                ("run", {"workflow": "quick", "arguments": f'branch="{evil} "'}, "branch"),
                ("resume", {"run": evil}, "There is no run"),
                ("status", {"run": evil}, "There is no run"),
            )
            for name, options, expected in asked:
                told = await talk.says(name, options)
                nul = name == "run" and "\0" in evil
                shown = "There is a NUL character" if nul else expected
                assert shown in told.content, (name, evil, told.content)
                assert "Nothing" in told.content
            assert REFUSAL in (await talk.hears(mention(f"resume {evil}", user="2"))).content
            assert REFUSAL in (await talk.hears(mention(f"{evil} x", user="2"))).content
        assert await talk.runs() == set()
        assert_harmless(discord)


async def test_hostile_output_and_step_names_do_nothing(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    steps = []
    for number, evil in enumerate(TEXTS):
        output = tmp_path / f"output{number}"
        output.write_text(f"{evil}\n")
        steps.append({"name": evil[:80], "run": f"cat {output}"})
    every = " ".join(TEXTS)
    steps.append({"name": TEXTS[2], "gate": every})
    about = {"repository": str(repository), "description": every, "steps": steps}
    async with talking(discord, tmp_path, repository, workflows={"tell": about}) as talk:
        run_id = await talk.starts("tell")
        card = await talk.shows(run_id, f"waits at step {len(steps)} of")
        told = await talk.told(click(card, "Log"))
        assert "out of the block" in told.content
        for command in ("status", "history", "runs", "help"):
            assert (await talk.says(command)).content
        assert TEXTS[0] in seen((await talk.says("help")).content)
        assert_harmless(discord)


@pytest.mark.parametrize("evil", [" ".join(TEXTS), "\ud800"], ids=["text", "half a character"])
async def test_hostile_names_of_people_do_nothing(
    discord: Discord, tmp_path: Path, repository: Path, evil: str
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        asked = slash("run", {"workflow": "quick", "arguments": "branch=@everyone_(x)"})
        asked["member"]["nick"] = evil
        started = await talk.told(asked)
        run_id = started.content.split()[2].removesuffix(":")
        card = await talk.shows(run_id, "waiting for a free worker")
        assert "@everyone_(x)" in seen(card.content)
        spoken = mention(f"history {run_id}")
        spoken["member"]["nick"] = evil
        assert run_id in (await talk.hears(spoken)).content
        ended = click((await talk.told(click(card, "Cancel"))), "Cancel run")
        ended["member"]["nick"] = evil
        await talk.does(ended)
        await talk.shows(run_id, "cancelled, worktree free")
        assert_harmless(discord)


async def test_arguments_reach_the_program_as_they_were_typed(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    heard = tmp_path / "heard"
    steps = [{"name": "tell", "run": f'printf "%s" "$BATON_ARG_NOTE" | tee {heard}'}]
    workflows = {"tell": {"repository": str(repository), "steps": steps}}
    note = "<@2> @everyone **x** $(id) `id` \\n ; rm -rf . &amp; ```"
    async with talking(discord, tmp_path, repository, workflows=workflows) as talk:
        run_id = await talk.starts("tell", f"note='{note}'")
        card = await talk.shows(run_id, "completed")
        assert heard.read_text() == note
        told = await talk.says("logs", {"run": run_id})
        assert note.replace("```", "") in told.content.replace("\u200b", "").replace("```", "")
        assert_harmless(discord)
        assert list(buttons_of(card.components)) == []
    assert "$(id)" not in (tmp_path / "state" / "baton.log").read_text()


@pytest.mark.parametrize("sign", ["x", "@everyone ", "`\n", "'"])
async def test_options_as_long_as_discord_lets_them_be_are_answered(
    discord: Discord, tmp_path: Path, repository: Path, sign: str
) -> None:
    long = (sign * 4_000)[:4_000]
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        asked: Sequence[tuple[str, Json]] = (
            ("run", {"workflow": long}),
            ("run", {"workflow": "quick", "arguments": f"note=1 {long}x"}),
            ("resume", {"run": f"{long}x"}),
            ("cancel", {"run": f"{long}x"}),
            ("history", {"run": f"{long}x"}),
        )
        for name, options in asked:
            told = await talk.says(name, options)
            assert "Nothing" in told.content, name
            assert len(told.content) < 500
        offered = await talk.does(autocomplete("resume", {"run": long}, "run"))
        assert offered.choices == []
        assert await talk.runs() == set()
        assert_harmless(discord)


async def test_a_long_message_is_answered(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository) as talk:
        answer = await talk.hears(mention("status ".ljust(1_900, "x")))
        assert "There is no run" in answer.content
        assert_harmless(discord)


async def test_a_long_log_comes_as_a_file_and_harmlessly(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    line = "@everyone ``` <@2> **x** https://evil.example " * 4
    steps = [{"name": "tell", "run": f"for i in $(seq 30); do echo '{line}'; done"}]
    workflows = {"tell": {"repository": str(repository), "steps": steps}}
    async with talking(discord, tmp_path, repository, workflows=workflows) as talk:
        run_id = await talk.starts("tell")
        await talk.shows(run_id, "completed")
        told = await talk.says("logs", {"run": run_id})
        assert told.files[f"log-{run_id}.txt"].decode().splitlines() == [line] * 20
        answer = await talk.hears(mention(f"logs {run_id}"))
        assert answer in directly(discord, "1")
        assert answer.files.keys() == told.files.keys()
        assert_harmless(discord)


# --- anything at all -------------------------------------------------------------------------

PIECES = [*HOSTILE, "run", "quick", "resume", "cancel", "'", '"', "=", "branch=", " ", "\n", "\x00"]
anything = st.one_of(
    st.text(min_size=1, max_size=100),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join),
)


def payloads_of(said: str) -> Sequence[Json]:
    """Every way in which a text can come to Baton and is answered."""
    return (
        slash("run", {"workflow": said, "arguments": said}),
        slash("run", {"workflow": "quick", "arguments": said}),
        slash("resume", {"run": said}, user="2"),
        slash("cancel", {"run": said}, guild=None),
        slash("status", {"run": said}, user="9"),
        slash("logs", {"run": said}, channel=THREAD),
        slash("release", {"run": said}, user="7"),
        autocomplete("resume", {"run": said}, "run"),
        autocomplete("run", {"workflow": said}, "workflow"),
    )


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(anything, min_size=3, max_size=8))
async def test_whatever_is_typed_is_answered_and_harmless(
    discord: Discord,
    tmp_path_factory: pytest.TempPathFactory,
    repository: Path,
    texts: list[str],
) -> None:
    directory = tmp_path_factory.mktemp("fuzz")
    async with talking(discord, directory, repository, concurrency=0) as talk:
        for said in texts:
            for payload in payloads_of(said):
                interaction = await talk.does(payload)
                assert interaction.refused == []
            await discord.say(mention(said, user="2"))
            await discord.say(direct_message(said, user="3"))
        assert "What I understand" in (await talk.says("help")).content
        assert_harmless(discord)
