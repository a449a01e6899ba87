"""App commands: registered once where they are wanted, and carried out as typed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.discord import commands
from tests.discord.double import Broken, Discord, Refused, TooMany
from tests.discord.payloads import autocomplete, direct_message, mention, options_of, slash
from tests.discord.records import (
    APP,
    GUILD,
    OTHER_GUILD,
    THREAD,
    Json,
)
from tests.discord.talk import log_of, talking

VERBS = ["resume", "cancel", "release", "status", "logs", "history", "run", "runs", "help"]
KEPT = "discord-commands.json"


def sent(discord: Discord) -> list[tuple[str, int]]:
    """Where commands were sent so far, and how many."""
    calls = discord.called("PUT", "/applications/*commands")
    places = [call.path.removeprefix(f"/applications/{APP}").strip("/") for call in calls]
    return [(place, len(call.body)) for place, call in zip(places, calls, strict=True)]


def offered(discord: Discord, place: str = "") -> list[str]:
    """The commands that people are offered."""
    return [one["name"] for one in discord.commands[place].values()]


async def serve_once(
    discord: Discord, tmp_path: Path, repository: Path, **section: Any
) -> list[tuple[str, int]]:
    """Baton comes, answers and goes; what it sent meanwhile."""
    known = len(sent(discord))
    async with talking(discord, tmp_path, repository, concurrency=0, discord=section) as talk:
        assert "no runs yet" in (await talk.says("runs")).content
    return sent(discord)[known:]


# --- registration ----------------------------------------------------------------------------


async def test_the_nine_commands_are_offered_everywhere(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    assert await serve_once(discord, tmp_path, repository) == [("commands", 9)]
    assert sorted(offered(discord)) == sorted(VERBS)
    for one in discord.commands[""].values():
        assert one["contexts"] == [0, 1], "in servers, and in direct messages with Baton"
        assert one["integration_types"] == [0], "who adds it adds it to a server"
        assert one.get("default_member_permissions") is None
        assert one["description"]


async def test_their_options_are_what_people_know(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    await serve_once(discord, tmp_path, repository)
    for one in discord.commands[""].values():
        options = [
            (option["name"], option.get("required", False), option.get("autocomplete", False))
            for option in one["options"]
        ]
        match one["name"]:
            case "run":
                assert options == [("workflow", True, True), ("arguments", False, False)]
            case "runs" | "help":
                assert options == []
            case _:
                assert options == [("run", False, True)]


async def test_nothing_is_sent_again_while_nothing_changed(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    assert await serve_once(discord, tmp_path, repository) == [("commands", 9)]
    assert await serve_once(discord, tmp_path, repository) == []
    assert await serve_once(discord, tmp_path, repository) == []


async def test_a_changed_definition_is_sent(
    discord: Discord, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serve_once(discord, tmp_path, repository)
    monkeypatch.setitem(commands._ALONE, "help", "What a later Baton understands")
    assert await serve_once(discord, tmp_path, repository) == [("commands", 9)]
    assert await serve_once(discord, tmp_path, repository) == []
    about = {one["name"]: one["description"] for one in discord.commands[""].values()}
    assert about["help"] == "What a later Baton understands"


async def test_named_guilds_get_the_commands_and_places_no_longer_named_lose_them(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    here, there = f"guilds/{GUILD}/commands", f"guilds/{OTHER_GUILD}/commands"
    steps: Sequence[tuple[list[int], list[tuple[str, int]]]] = (
        ([], [("commands", 9)]),
        ([int(GUILD)], [(here, 9), ("commands", 0)]),
        ([int(GUILD), int(OTHER_GUILD)], [(there, 9)]),
        ([int(OTHER_GUILD), int(GUILD)], []),
        ([int(OTHER_GUILD)], [(here, 0)]),
        ([], [(there, 0), ("commands", 9)]),
    )
    for guild_ids, expected in steps:
        found = await serve_once(discord, tmp_path, repository, guild_ids=guild_ids)
        assert sorted(found) == sorted(expected), guild_ids
        places = [str(one) for one in guild_ids] or [""]
        offering = [place for place in ("", GUILD, OTHER_GUILD) if offered(discord, place)]
        assert sorted(offering) == sorted(places), "no command is offered twice in a place"


async def test_what_another_application_registered_is_left_alone(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    kept = tmp_path / "state" / KEPT
    kept.parent.mkdir()
    kept.write_text(json.dumps({"999:700": "x", "999:everywhere": "y"}))
    assert await serve_once(discord, tmp_path, repository) == [("commands", 9)]
    assert {"999:700", "999:everywhere"} <= json.loads(kept.read_text()).keys()


@pytest.mark.parametrize("left", ["", "{", "\x00", "[]", "null", '"x"', '{"100:everywhere": 7}'])
async def test_what_is_left_of_a_broken_memory_is_written_anew(
    discord: Discord, tmp_path: Path, repository: Path, left: str
) -> None:
    kept = tmp_path / "state" / KEPT
    kept.parent.mkdir()
    kept.write_text(left)
    assert await serve_once(discord, tmp_path, repository) == [("commands", 9)]
    assert await serve_once(discord, tmp_path, repository) == []


REFUSALS = {
    "not allowed": Refused(403, 50001),
    "too many a day": Refused(400, 30034),
    "not understood": Refused(400, 50035),
    "no such guild": Refused(404, 10004),
    "barred by Cloudflare": TooMany(via=False),
    "out of order": Broken(503),
}


@pytest.mark.parametrize("fault", REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_registration_does_not_stop_baton_and_is_tried_at_the_next_start(
    discord: Discord, tmp_path: Path, repository: Path, fault: Any
) -> None:
    discord.fail("PUT", "/applications/*commands", fault)
    assert await serve_once(discord, tmp_path, repository) == [("commands", 9)]
    assert offered(discord) == []
    events = [entry for entry in log_of(tmp_path / "state") if entry["event"].startswith("discord")]
    assert "discord.register_rejected" in [entry["event"] for entry in events]
    assert await serve_once(discord, tmp_path, repository) == [("commands", 9)]
    assert sorted(offered(discord)) == sorted(VERBS)


async def test_one_guild_that_refuses_does_not_keep_the_others_from_the_commands(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    discord.fail("PUT", f"/applications/*/guilds/{GUILD}/commands", Refused(403, 50001))
    found = await serve_once(discord, tmp_path, repository, guild_ids=[int(GUILD), 701])
    assert len(found) == 2
    assert (offered(discord, GUILD), len(offered(discord, OTHER_GUILD))) == ([], 9)


async def test_a_registration_that_is_put_off_for_hours_does_not_keep_baton_waiting(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    """Discord takes some 200 new commands a day, and then says when the next one is welcome."""
    discord.fail("PUT", "/applications/*commands", TooMany(retry_after=7_200))
    assert await serve_once(discord, tmp_path, repository) == [("commands", 9)]


# --- what is carried out ---------------------------------------------------------------------

OUTDATED: dict[str, tuple[str, Json]] = {
    "a command that is gone": ("restart", {"run": "abcd2345"}),
    "a command that was one of a group": ("baton resume", {"run": "abcd2345"}),
    "a command with less": ("run", {"arguments": "a=b"}),
    "a command of another kind": ("resume", {"run": 7}),
    "an option that is gone": ("cancel", {"id": "abcd2345"}),
}


@pytest.mark.parametrize(("name", "options"), OUTDATED.values(), ids=OUTDATED)
async def test_an_older_form_of_a_command_is_told_privately_and_does_nothing(
    discord: Discord, tmp_path: Path, repository: Path, name: str, options: Json
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        run_id = talk.puts("paused")
        told = await talk.says(name, options)
        assert "older form" in told.content
        assert "Nothing changed" in told.content
        run = await talk.gets(run_id, lambda run: True)
        assert (run.status, run.version) == ("paused", 3)


async def test_an_entry_of_a_menu_that_is_gone_is_told_privately(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        asked = slash("resume") | {"data": {"id": "1", "name": "Resume run", "type": 2}}
        assert "older form" in (await talk.told(asked)).content


async def test_a_form_that_is_gone_can_be_typed_without_harm(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        await discord.interact(autocomplete("restart", {"run": "x"}, "run"))
        assert "What I understand" in (await talk.says("help")).content


ARGUMENTS = {
    "plain": "to={to} note=x",
    "quoted": "to='{to}' note=\"a b\"",
    "by a phone": "to=\u201c{to}\u201d note=\u2018a b\u2019",
    "with a branch": 'to="{to}" branch=fix/it',
    "over lines": "to='{to}'\n  branch=other",
}


@pytest.mark.parametrize("written", ARGUMENTS.values(), ids=ARGUMENTS)
async def test_run_takes_a_workflow_and_arguments(
    discord: Discord, tmp_path: Path, repository: Path, written: str
) -> None:
    to = tmp_path / ("out" if "{to} " in written else "with a space")
    branch = "fix/it" if "fix/it" in written else "other" if "other" in written else "baton/"
    async with talking(discord, tmp_path, repository) as talk:
        run_id = await talk.starts("told", written.format(to=to))
        run = await talk.gets(run_id, lambda run: run.final)
        assert run.branch.startswith(branch)
        assert to.read_text().split()[0] == run_id
        assert run.requested.door == "discord-slash"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("note='open", "left open"),
        ("quick", "key=value"),
        ("a=1 A=2", "given twice"),
        ("branch=a..b", "name of a branch"),
        ("note=" + "x" * 33_000, "32 KiB"),
        ("ключ=x", "key=value"),
    ],
)
async def test_run_says_what_it_cannot_read(
    discord: Discord, tmp_path: Path, repository: Path, written: str, said: str
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        told = await talk.says("run", {"workflow": "quick", "arguments": written})
        assert said in told.content
        assert "Nothing started" in told.content
        assert await talk.runs() == set()


async def test_a_workflow_is_one_word_whatever_is_in_it(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        for name in ("quick note=1", "quick'", '"quick"', "", " ", "quick\nflaky", "--help"):
            told = await talk.says("run", {"workflow": name, "arguments": "branch=x"})
            assert "workflow" in told.content, name
        assert await talk.runs() == set()


async def test_every_command_is_answered_in_a_guild_a_thread_and_directly(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    where: Sequence[Json] = ({}, {"channel": THREAD}, {"guild": None})
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        for place in where:
            for verb in VERBS:
                options = {"workflow": "nope"} if verb == "run" else None
                told = await talk.says(verb, options, user="7", **place)
                assert told.content, (verb, place)


async def test_a_verb_in_any_case_offers_the_same_choice(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    """Phones begin a line with a capital letter."""
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        made = {f"{talk.puts('paused')}:2" for _ in range(2)}
        for verb in ("resume", "Resume", "CANCEL", "/Logs", "Logs\n", "History"):
            answer = await talk.hears(mention(verb))
            assert {value for _, value in options_of(answer.components).values()} == made, verb


async def test_a_log_that_is_asked_for_with_a_capital_letter_is_shown_as_output(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository) as talk:
        run_id = await talk.starts("quick", guild=None)
        await talk.gets(run_id, lambda run: run.final)
        for verb in ("logs", "Logs"):
            answer = await talk.hears(direct_message(f"{verb} {run_id}"))
            assert answer.content.endswith("\ntwo\n```"), verb
