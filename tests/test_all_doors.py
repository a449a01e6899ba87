"""Every door at once: Slack, Discord, the web page, the API, the command line and a terminal."""

import asyncio
import html
import json
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.bootstrap import Installation, installed, platforms, serving
from bot.bootstrap import web as serving_web
from store.database import sqlite_file
from tests.conftest import Person, settings_for
from tests.discord import payloads as discord_payloads
from tests.discord.double import Discord
from tests.discord.house import discord_settings
from tests.discord.seen import is_over, plain
from tests.slack import payloads as slack_payloads
from tests.slack.conftest import slack_settings
from tests.slack.double import Slack
from tests.web.asking import Asking, Browser, open_session
from tests.web.house import ROOT, Web, address_in

ADMINS = {"admins": ["slack:U7", "discord:7"]}
FROM = {
    "slack-slash": "in Slack",
    "discord-slash": "in Discord",
    "web": "web-race on the web page",
    "api": "api-race through the API",
    "cli": "cli-race from the command line",
    "terminal": "terminal-race in a terminal",
}
"""Every door, and how whoever came through it is named."""
LATE_SECONDS = {"terminal": 0.06, "api": 0.06, "web": 0.05, "slack-slash": 0.05}
"""By so much a door may come later, the quick ones by more: not the same one is to win always."""
_LATE_SECONDS = 0.03


@dataclass
class CommandLine:
    """`baton` in a process of its own, on the same database."""

    process: asyncio.subprocess.Process

    async def says(self, *words: str) -> Any:
        """The JSON object that it printed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(
            json.dumps([*words, "--json", "--as", "cli-race"]).encode() + b"\n"
        )
        done = json.loads(await self.process.stdout.readline())
        return json.loads(done["said"])


@asynccontextmanager
async def command_line(installation: Installation) -> AsyncIterator[CommandLine]:
    """The command line is there inside of this."""
    url = f"sqlite:///{sqlite_file(installation.database.url)}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.command_line"),
        cwd=ROOT,
        env={**os.environ, "BATON_DATABASE__URL": url, "BATON_RUNNER__HOST": "here"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield CommandLine(process)
    finally:
        process.kill()
        await process.wait()


@dataclass
class Doors:
    """One Baton with all its doors; each `at_` resumes a run and returns what was answered.

    That is None where everybody was told instead of the one who asked.
    """

    web: Web
    slack: Slack
    discord: Discord
    command_line: CommandLine
    script: Asking
    browser: Browser
    taken: dict[str, Callable[[str], Awaitable[str | None]]] = field(init=False)

    def __post_init__(self) -> None:
        self.taken = {
            "slack-slash": self.at_slack,
            "discord-slash": self.at_discord,
            "web": self.at_web,
            "api": self.at_api,
            "cli": self.at_cli,
            "terminal": self.at_terminal,
        }

    async def at_slack(self, run_id: str) -> str | None:
        envelope = slack_payloads.slash("/resume", run_id, user="U7")
        assert await self.slack.send(envelope)
        url = envelope["payload"]["response_url"]
        (answer,) = await self._responses(url)
        return answer

    async def _responses(self, url: str) -> list[str]:
        def found() -> list[str]:
            return [one.text for one in self.slack.responses if one.url == url]

        await self.slack.until(found)
        return found()

    async def at_discord(self, run_id: str) -> str | None:
        payload = discord_payloads.slash("resume", {"run": run_id}, user="7")
        interaction = await self.discord.interact(payload)
        await self.discord.until(lambda: is_over(interaction))
        return plain(interaction.original.content) if interaction.original else None

    async def at_web(self, run_id: str) -> str | None:
        page = await self.browser.send(f"/runs/{run_id}/resume", epoch="2")
        assert page.status in {200, 409}, page.text
        return html.unescape(page.text)

    async def at_api(self, run_id: str) -> str | None:
        answer = await self.script.post(f"/api/runs/{run_id}/resume")
        return str(answer.json["reply"])

    async def at_cli(self, run_id: str) -> str | None:
        return str((await self.command_line.says("resume", run_id))["reply"])

    async def at_terminal(self, run_id: str) -> str | None:
        return (await Person(self.web.service, "terminal-race").says(f"/resume {run_id}")).reply


@asynccontextmanager
async def all_doors(tmp_path: Path, repository: Path) -> AsyncIterator[Doors]:
    """A Baton that is asked from everywhere; its log ends clean."""
    with pytest.MonkeyPatch.context() as addresses:
        # Baton points the client library at this one; afterwards it points where it did.
        addresses.setattr(Route, "BASE", Route.BASE)
        gateway = yarl.URL(DiscordWebSocket.DEFAULT_GATEWAY)
        addresses.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
        async with Slack() as slack, Discord() as discord:
            sections: dict[str, Any] = {
                "access": ADMINS,
                "slack": slack_settings(slack),
                "discord": discord_settings(discord),
                "server": {"port": 0},
            }
            installation = installed(settings_for(tmp_path, repository, **sections), tmp_path)
            async with (
                serving(installation, concurrency=0) as service,
                platforms(installation, service) as joined,
                serving_web(installation, service, joined) as told,
                open_session() as session,
                command_line(installation) as line,
            ):
                assert told is not None
                web = Web(installation, service, told, Asking(session, address_in(told)))
                await slack.connected(2)
                await discord.connected(1)
                script = await web.script("operator", "api-race")
                browser = await web.browser("operator", "web-race")
                yield Doors(web, slack, discord, line, script, browser)
                web.assert_clean_log()


@pytest.fixture
async def doors(tmp_path: Path, repository: Path) -> AsyncIterator[Doors]:
    async with all_doors(tmp_path, repository) as doors:
        yield doors


async def late(seconds: float, asked: Awaitable[str | None]) -> str | None:
    await asyncio.sleep(seconds)
    return await asked


async def race(doors: Doors, chance: random.Random) -> str:
    """Everybody resumes one run at once; the door of the one who did."""
    run_id = doors.web.put("failed")
    names = list(FROM)
    chance.shuffle(names)
    asked = [
        late(chance.uniform(0, LATE_SECONDS.get(name, _LATE_SECONDS)), doors.taken[name](run_id))
        for name in names
    ]
    answers = dict(zip(names, await asyncio.gather(*asked), strict=True))
    heard = [
        (outcome, door) for _, outcome, door, _ in doors.web.audited(run_id=run_id, verb="resume")
    ]
    assert Counter(outcome for outcome, _ in heard) == {"resumed": 1, "already_running": 5}
    assert {door for _, door in heard} == set(FROM)
    (winner,) = [door for outcome, door in heard if outcome == "resumed"]
    run = await doors.web.run(run_id)
    assert (run.status, run.epoch, run.changed.door) == ("running", 3, winner)
    for door, text in answers.items():
        if door != winner:
            assert text is not None
            assert f"deploy {run_id} was already claimed by" in text, (door, text)
            assert f"{FROM[winner]}, " in text, (door, text)
            assert "Nothing changed." in text, (door, text)
    return winner


async def _races(doors: Doors, rounds: int) -> None:
    chance = random.Random(7)
    won = Counter([await race(doors, chance) for _ in range(rounds)])
    sys.stdout.write(f"\n{rounds} races were won by {dict(won)}\n")
    assert len(won) > 2, won


async def test_of_six_doors_one_wins_and_the_others_name_it(doors: Doors) -> None:
    await _races(doors, 100)


@pytest.mark.soak
async def test_of_six_doors_one_wins_however_often(doors: Doors) -> None:
    await _races(doors, 5000)


async def test_whoever_cancels_is_named_to_whoever_resumes(doors: Doors) -> None:
    """Resumes and a cancel at once: the audit puts them in one order, and all were told of it."""
    for _ in range(5):
        run_id = doors.web.put("failed")
        resumes = (doors.at_slack, doors.at_discord, doors.at_terminal, doors.at_cli)
        answer, texts = await asyncio.gather(
            doors.script.post(f"/api/runs/{run_id}/cancel"),
            asyncio.gather(*(resume(run_id) for resume in resumes)),
        )
        assert answer.json["outcome"] == "cancelled"
        heard = Counter(
            outcome for _, outcome, _, _ in doors.web.audited(run_id=run_id, verb="resume")
        )
        assert heard["resumed"] <= 1
        assert set(heard) <= {"resumed", "already_running", "not_resumable"}
        late = [text for text in texts if text and "was cancelled by" in text]
        assert len(late) == heard["not_resumable"]
        assert all("was cancelled by api-race through the API, " in text for text in late)
        assert (await doors.web.run(run_id)).status == "cancelled"
