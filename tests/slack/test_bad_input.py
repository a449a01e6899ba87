"""Strangers, forged buttons, hostile text, lost channels, a locked database: told, and harmless."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.keeper import Desk
from store.database import sqlite_file
from tests.slack.cards import BUTTON, actions
from tests.slack.double import Channel, Ephemeral, Refused, Response, SentMessage, Slack, person
from tests.slack.payloads import bot_message, click, direct_message, mention, slash
from tests.slack.records import Json, next_ts
from tests.slack.stage import Stage, assert_clean_log, cards, in_slack, on_stage, words


def refused(stage: Stage) -> list[tuple[str, str]]:
    """Who was refused what, as the audit has it."""
    with closing(sqlite3.connect(sqlite_file(stage.installation.database.url))) as database:
        rows = database.execute("SELECT actor, verb FROM events WHERE outcome = 'denied'")
        return rows.fetchall()


def nobody_else_saw(slack: Slack, told: Response | Ephemeral, user: str) -> bool:
    return told.ephemeral and told.user == user and not slack.posted


# --- people ----------------------------------------------------------------------------------


async def test_a_stranger_is_told_privately_what_to_put_in_the_list(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        told = await stage.told(await stage.says("run quick", user="U9"))
        assert nobody_else_saw(slack, told, "U9")
        assert "slack:U9" in told.text
        assert "no access list names you" in told.text
        assert await slack.send(mention("run quick", user="U8"))
        await slack.until(lambda: slack.ephemerals)
        assert "slack:U8" in slack.ephemerals[0].text
        assert nobody_else_saw(slack, slack.ephemerals[0], "U8")
        assert refused(stage) == [("slack:U9", "run"), ("slack:U8", "run")]
        assert await stage.runs() == set()


async def test_a_viewer_and_an_operator_may_not_do_everything(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        for verb, user in (("run quick", "U3"), ("release abcd1234", "U1")):
            told = await stage.told(await stage.says(verb, user=user))
            assert f"slack:{user}" in told.text
        assert refused(stage) == [("slack:U3", "run"), ("slack:U1", "release")]
        told = await stage.told(await stage.says("runs", user="U3"))
        assert "no runs yet" in told.text


OUTSIDERS: dict[str, Json] = {
    "guest": {"is_restricted": True},
    "one-channel guest": {"is_ultra_restricted": True},
    "other company": {"is_stranger": True},
    "bot": {"is_bot": True},
    "leaver": {"deleted": True},
}


@pytest.mark.parametrize("traits", OUTSIDERS.values(), ids=OUTSIDERS)
async def test_everyone_means_no_outsider(
    slack: Slack, tmp_path: Path, repository: Path, traits: Json
) -> None:
    slack.users["U8"] = person("gus", **traits)
    access = {"operators": ["everyone"]}
    async with on_stage(slack, tmp_path, repository, access=access) as stage:
        told = await stage.told(await stage.says("run quick", user="U8"))
        assert nobody_else_saw(slack, told, "U8")
        assert "slack:U8" in told.text
        assert refused(stage) == [("slack:U8", "run")]
        told = await stage.told(await stage.says("run quick", user="U1"))
        assert "Started quick" in told.text


async def test_everyone_is_nobody_while_slack_does_not_tell_who_it_is(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    access = {"operators": ["everyone"]}
    async with on_stage(slack, tmp_path, repository, access=access) as stage:
        slack.fail("users.info", Refused("user_not_found"))
        told = await stage.told(await stage.says("run quick"))
        assert "slack:U1" in told.text
        told = await stage.told(await stage.says("run quick"))
        assert "Started quick" in told.text


async def test_other_bots_are_not_heard(slack: Slack, tmp_path: Path, repository: Path) -> None:
    access = {"operators": ["everyone"]}
    async with on_stage(slack, tmp_path, repository, access=access) as stage:
        assert await slack.send(bot_message("<@UBATON> run quick", kind="app_mention"))
        assert await slack.send(bot_message("run quick", channel="D1"))
        assert "no runs yet" in (await stage.told(await stage.says("runs"))).text
        assert refused(stage) == []
    assert not slack.posted
    assert not slack.ephemerals


async def test_groups_and_channels_give_a_role(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    slack.groups["S1"] = ["U1"]
    access = {"operators": ["slack-group:S1"], "viewers": ["slack-channel:C2"]}
    async with on_stage(slack, tmp_path, repository, access=access) as stage:
        assert "Started quick" in (await stage.told(await stage.says("run quick"))).text
        for user, channel in (("U2", "C1"), ("U9", "C1")):
            told = await stage.told(await stage.says("runs", user=user, channel=channel))
            assert "no access list names you" in told.text
        told = await stage.told(await stage.says("runs", user="U9", channel="C2"))
        assert "quick" in told.text
        told = await stage.told(await stage.says("run quick", user="U9", channel="C2"))
        assert "your role is viewer" in told.text


async def test_a_group_that_cannot_be_read_has_no_members(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    slack.groups["S1"] = ["U1"]
    access = {"operators": ["slack-group:S1"]}
    async with on_stage(slack, tmp_path, repository, access=access) as stage:
        slack.fail("usergroups.users.list", Refused("missing_scope"))
        told = await stage.told(await stage.says("run quick"))
        assert "You may not start runs here" in told.text
        assert await stage.runs() == set()


# --- buttons ---------------------------------------------------------------------------------


async def pressed(stage: Stage, value: str, verb: str = "resume") -> Response:
    """What somebody is told who pressed a button of this value."""
    button = BUTTON | {"action_id": f"baton:{verb}", "value": value}
    forged = SentMessage("C1", next_ts(), "forged", [actions(button)])
    envelope = click(forged, button)
    assert await stage.slack.send(envelope)
    return await stage.told(envelope["payload"]["response_url"])


VALUES = {
    "nobody's run": "abcd2345:1",
    "garbage": "\u202e\x00?!",
    "SQL": "' OR 1=1; DROP TABLE runs; --",
    "another verb": "run quick",
    "long": "x" * 2_000,
    "a large epoch": "abcd2345:" + "9" * 40,
    "markup": "<!channel> https://evil.example",
}


async def test_a_button_that_names_no_run_is_answered_so(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        for kind, value in VALUES.items():
            for verb in ("resume", "cancel", "logs"):
                told = await pressed(stage, value, verb)
                assert "There is no run" in told.text, kind
                assert nobody_else_saw(slack, told, "U1"), kind
        assert await stage.runs() == set()


async def test_a_button_for_a_run_elsewhere(slack: Slack, tmp_path: Path, repository: Path) -> None:
    """Within the workspace it is the run that it names, outside there is none."""
    async with on_stage(slack, tmp_path, repository) as stage:
        foreign = await stage.service.dispatcher.handle(
            in_slack("run gated", channel="slack:T2:CT2")
        )
        assert foreign
        run_id = str(foreign.run_id)
        await stage.gets(run_id, lambda run: run.status == "paused")
        for verb in ("resume", "cancel", "logs"):
            assert "There is no run" in (await pressed(stage, f"{run_id}:1", verb)).text
        run = await stage.gets(run_id, lambda run: True)
        assert (run.status, run.epoch) == ("paused", 1)

        mine = await stage.starts("gated", channel="C2")
        await stage.gets(mine, lambda run: run.status == "paused")
        assert "moved on" in (await pressed(stage, f"{mine}:7")).text
        await stage.shows(mine, "waits at step 1 of 3")
        await pressed(stage, f"{mine}:1", "cancel")
        await stage.shows(mine, "cancelled, worktree free")


# --- text ------------------------------------------------------------------------------------


HARMLESS = (
    "a\x00b",
    "\x1b[31mred",
    "a\u200bb",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "\ufeffx",
    "\ud800",
)


@pytest.mark.parametrize("text", HARMLESS)
async def test_what_cannot_be_seen_is_not_given_back(
    slack: Slack, tmp_path: Path, repository: Path, text: str
) -> None:
    async with on_stage(slack, tmp_path, repository) as stage:
        told = await stage.told(await stage.says(f"nonsense{text} {text}"))
        assert "is not a command" in told.text
        for seen in (told.text, words(told)):
            assert not any(one in seen for one in "\x00\x1b\u200b\u202e\u2066\u2069\ufeff\ud800")
        assert await slack.send(mention(f"run quick note={text}", user="U2"))
        await slack.until(lambda: slack.ephemerals)
        assert await slack.send(direct_message(f"run {text} quick"))
        assert (await stage.told(await stage.says("runs"))).text
        for run_id in await stage.runs():
            await stage.gets(run_id, lambda run: run.status in {"completed", "failed"})


@pytest.mark.parametrize("length", [40_000, 40_001])
async def test_a_long_text_is_answered(
    slack: Slack, tmp_path: Path, repository: Path, length: int
) -> None:
    told_of = "larger than 32 KiB" if length == 40_000 else "longer than 40,000"
    async with on_stage(slack, tmp_path, repository) as stage:
        text = "run quick secret=".ljust(length, "x")
        assert told_of in (await stage.told(await stage.says(text))).text
        assert await slack.send(mention(text, user="U2"))
        await slack.until(lambda: slack.ephemerals)
        assert told_of in slack.ephemerals[0].text
        assert await stage.runs() == set()
    assert_clean_log(tmp_path / "state", "secret=", "xxxx")


async def test_markup_in_arguments_is_what_it_looks_like(
    slack: Slack, tmp_path: Path, repository: Path
) -> None:
    heard = tmp_path / "heard"
    steps = [{"name": "tell", "run": f'echo "$BATON_ARG_NOTE" | tee {heard}'}]
    workflows = {"tell": {"repository": str(repository), "steps": steps}}
    async with on_stage(slack, tmp_path, repository, workflows=workflows) as stage:
        told = await stage.told(await stage.says("run tell &lt;!channel&gt;"))
        assert "&lt;!channel&gt;" in told.text
        assert "<!channel>" in words(told)
        run_id = await stage.starts("tell note='&lt;!channel&gt; &amp;amp; $(id)'")
        await stage.shows(run_id, "completed")
        assert heard.read_text() == "<!channel> &amp; $(id)\n"
        told = await stage.told(await stage.says(f"logs {run_id}"))
        assert "<!channel> &amp; $(id)" in words(told)
        assert "<!channel>" not in told.text
    assert_clean_log(tmp_path / "state", "!channel", "$(id)")


# --- channels --------------------------------------------------------------------------------


LOST: dict[str, Json] = {
    "removed": {"member": False},
    "archived": {"archived": True},
    "gone": {"exists": False},
}


@pytest.mark.parametrize("how", LOST.values(), ids=LOST)
async def test_a_lost_channel_harms_no_run_and_its_card_comes_back(
    slack: Slack, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, how: Json
) -> None:
    monkeypatch.setattr(Desk.__init__, "__defaults__", (0.2,))
    async with on_stage(slack, tmp_path, repository) as stage:
        run_id = await stage.starts("gated")
        card = await stage.shows(run_id, "waits at step 1 of 3")
        await stage.current()
        slack.channels["C1"] = Channel("C1", **how)
        told = await stage.told(await stage.says(f"resume {run_id}"))
        assert "Passed gate ask" in told.text
        run = await stage.gets(run_id, lambda run: run.steps_done == 1 and run.status == "paused")
        assert await slack.send(mention("status", user="U2"))
        await slack.until(lambda: direct_to(slack, "U2"))
        late = await stage.starts("quick")
        await stage.gets(late, lambda run: run.status == "completed")
        assert not cards(slack, late)

        slack.channels["C1"] = Channel("C1")
        await stage.ben.says(f"/resume {run.id}")
        assert await stage.shows(run_id, "completed, all 3 steps done") is card
        assert cards(slack, run_id) == [card]


def direct_to(slack: Slack, user: str) -> list[SentMessage]:
    return [one for one in slack.posted if slack.channels[one.channel].user == user]


# --- the database ----------------------------------------------------------------------------


@contextmanager
def locked(database_file: Path) -> Iterator[None]:
    """Somebody else writes, and does not end."""
    with closing(sqlite3.connect(database_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_a_locked_database_is_told_and_nothing_is_acknowledged_that_is_not_kept(
    slack: Slack, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.sqlite._BUSY_SECONDS", 0.3)
    command: dict[str, Any] = slash("/baton", "run quick")
    event = mention("run quick", user="U2")
    async with on_stage(slack, tmp_path, repository) as stage:
        with locked(sqlite_file(stage.installation.database.url)):
            acks = await asyncio.gather(slack.send(command), slack.send(event, seconds=2))
            told = await stage.told(command["payload"]["response_url"])
        assert acks[0]
        assert acks[1] is None  # so that Slack sends it again
        assert "Nothing changed; ask again" in told.text
        assert await stage.runs() == set()
        assert await slack.redeliver(event)
        await slack.until(lambda: slack.posted)
        (run_id,) = await stage.runs()
        await stage.gets(run_id, lambda run: run.final)
        assert "Started quick" in (await stage.told(await stage.says("run quick"))).text
