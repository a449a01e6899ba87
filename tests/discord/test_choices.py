"""What is offered while somebody types: what fits, here first, and no more than they may do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from store.tables import runs
from tests.discord.double import Discord
from tests.discord.payloads import autocomplete
from tests.discord.records import (
    CHANNEL_2,
    GUILD,
    OTHER_CHANNEL,
    OTHER_GUILD,
    THREAD,
    Json,
)
from tests.discord.talk import Talk, talking
from tests.store.factories import put, row_of

# --- what is offered while somebody types ----------------------------------------------------


async def values(talk: Talk, typed: str = "", command: str = "resume", **more: Any) -> list[str]:
    """What can be chosen."""
    option = "workflow" if command == "run" else "run"
    interaction = await talk.does(autocomplete(command, {option: typed}, option, **more))
    assert len(interaction.choices) <= 25
    assert all(1 <= len(one["name"]) <= 100 for one in interaction.choices)
    return [one["value"] for one in interaction.choices]


def put_in(talk: Talk, state: str, where: str, guild: str = GUILD, **columns: Any) -> str:
    """A run of this channel, past the door."""
    key = f"discord:{guild}:{where}"
    facts = {"conversation": key, "channel": key} | columns
    return put(talk.installation.database, state, **facts)


async def test_runs_of_this_conversation_come_first_and_other_guilds_never(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        here = put_in(talk, "failed", "500", changed_at=1.0)
        beside = put_in(talk, "paused", CHANNEL_2)
        below = put_in(talk, "silent", THREAD, channel=f"discord:{GUILD}:500", changed_at=2.0)
        far = put_in(talk, "failed", OTHER_CHANNEL, OTHER_GUILD)
        alone = put_in(talk, "failed", "602", "@me")
        assert await values(talk) == [below, here, beside]
        assert (await values(talk, channel=THREAD))[0] == below
        assert (await values(talk, channel=CHANNEL_2))[0] == beside
        elsewhere: Json = {"guild": OTHER_GUILD, "channel": OTHER_CHANNEL}
        assert await values(talk, **elsewhere) == [far]
        assert await values(talk, guild=None) == []
        everything = await values(talk, user="7")
        assert everything[:2] == [below, here]
        assert set(everything) == {here, beside, below, far, alone}, "an admin's look goes further"


async def test_a_command_offers_what_it_can_be_used_for(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    states = ("pending", "working", "silent", "paused", "failed", "completed", "unproven")
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        made = {state: put_in(talk, state, "500") for state in states}

        async def states_for(command: str, user: str = "1") -> set[str]:
            found = await values(talk, command=command, user=user)
            return {state for state in states if made[state] in found}

        assert await states_for("resume") == {"silent", "paused", "failed"}
        assert await states_for("cancel") == {"pending", "working", "silent", "paused", "failed"}
        assert await states_for("release", user="7") >= {"unproven"}
        for command in ("status", "logs", "history"):
            assert await states_for(command) == set(states), command


async def test_what_is_typed_filters_by_workflow_id_and_state_in_any_case(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        deploy = put_in(talk, "failed", "500", workflow="deploy")
        release = put_in(talk, "paused", "500", workflow="Release-Notes")
        both = {deploy, release}
        cases: Sequence[tuple[str, set[str]]] = (
            ("deploy", {deploy}),
            ("DEPL", {deploy}),
            ("release-n", {release}),
            (deploy, {deploy}),
            (deploy.upper(), {deploy}),
            (deploy[:6], both if deploy[:6] == release[:6] else {deploy}),
            ("failed", {deploy}),
            ("WAITS", {release}),
            ("ship?", both),
            ("failed deploy", {deploy}),
            ("  deploy  ", {deploy}),
            ("failed release", set()),
            ("%", set()),
            ("no such", set()),
        )
        for typed, expected in cases:
            assert set(await values(talk, typed)) == expected, typed


async def test_a_choice_says_what_it_is_in_words(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        run_id = put_in(talk, "failed", "500", error="@everyone \u202e" + "x" * 300)
        interaction = await talk.does(autocomplete("resume", {}, "run"))
        (choice,) = interaction.choices
        assert choice["value"] == run_id
        assert choice["name"].startswith(f"deploy {run_id}: failed at step 2 of 3, ship?")
        assert choice["name"].endswith("…")
        assert "\u202e" not in choice["name"]


async def test_no_more_is_offered_than_a_person_may_do(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        run_id = put_in(talk, "failed", "500")
        assert await values(talk) == [run_id]
        for user, may in (("3", ["status", "logs", "history"]), ("9", [])):
            for command in ("resume", "cancel", "release", "status", "logs", "history", "run"):
                found = await values(talk, command=command, user=user)
                assert bool(found) is (command in may), (user, command)
        assert await values(talk, command="release", user="1") == []
        assert talk.audit("denied") == [], "who types has not asked for anything yet"
        assert talk.received() == []


async def test_workflows_are_offered_for_run(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    step = [{"name": "one", "run": "true"}]
    about = {"repository": str(repository), "steps": step}
    workflows = {f"w{number:02}": about for number in range(30)}
    workflows["Deploy"] = about | {"description": "to the live *servers* " + "x" * 200}
    async with talking(discord, tmp_path, repository, workflows=workflows) as talk:
        assert len(await values(talk, command="run")) == 25
        assert await values(talk, "W07", "run") == ["w07"]
        assert await values(talk, "live", "run") == ["Deploy"]
        assert await values(talk, "nothing", "run") == []
        interaction = await talk.does(autocomplete("run", {"workflow": "dep"}, "workflow"))
        assert interaction.choices[0]["name"].startswith("Deploy: to the live *servers*")
        assert await values(talk, "w2", "run", guild=None) == [f"w2{digit}" for digit in range(10)]


def put_many(talk: Talk, count: int, channel: str) -> None:
    """So many failed runs of a channel, in one statement."""
    database = talk.installation.database
    like = row_of(database, put_in(talk, "failed", channel))
    rows = [
        like
        | {"id": f"{channel}{number:05}", "claim": 100_000 * int(channel) + number}
        | {"path": f"/worktrees/{channel}/{number}", "branch": f"b{channel}{number}"}
        for number in range(count - 1)
    ]
    with database.connect() as connection, connection.begin():
        connection.execute(insert(runs), rows)


@pytest.mark.alone
async def test_choices_come_at_once_beside_ten_thousand_runs(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        put_many(talk, 5_000, "500")
        put_many(talk, 5_000, CHANNEL_2)
        for command, typed in (("resume", ""), ("resume", "50100001"), ("status", "deploy failed")):
            took = []
            for _ in range(12):
                shown = await talk.does(autocomplete(command, {"run": typed}, "run"))
                took.append(shown.seconds)
            assert min(took) < 0.05, (command, typed, took)


async def test_an_id_that_is_typed_is_found_however_old_its_run_is(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with talking(discord, tmp_path, repository, concurrency=0) as talk:
        here = put_in(talk, "failed", "500", id="oldhere2", changed_at=1.0)
        beside = put_in(talk, "failed", CHANNEL_2, id="oldside2", changed_at=1.0)
        put_many(talk, 300, "500")
        for run_id in (here, beside):
            assert await values(talk, run_id) == [run_id]
            assert await values(talk, run_id[:6]) == [run_id]
