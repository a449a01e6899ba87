"""Discord is away, wants patience, or never answers: that is told, and nothing goes on for ever."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from adapters.discord.client import DiscordClient
from bot.bootstrap import platforms, serving
from bot.bootstrap import web as serving_web
from bot.keeper import Desk
from tests.discord.double import Discord, TooMany
from tests.discord.house import installation_in, left_behind, talking
from tests.discord.payloads import slash
from tests.discord.records import Json
from tests.discord.stage import Stage, assert_clean_log
from tests.web.asking import Asking, open_session
from tests.web.house import address_in
from tests.web.test_operating import is_ready, lacks, measured, until_ready, value
from tests.web.test_start import line_of, served

QUICK = 0.1
FIRST_PAUSE = 0.2


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long here, not even discord.py before it identifies once more."""

    async def at_once(_client: DiscordClient, _shard: int | None, *, initial: bool = False) -> None:
        pass

    monkeypatch.setattr(DiscordClient, "before_identify_hook", at_once)
    monkeypatch.setattr("adapters.discord.connect._AGAIN_SECONDS", FIRST_PAUSE)
    monkeypatch.setattr("adapters.discord.api._UNREACHABLE_SECONDS", QUICK)
    monkeypatch.setattr("bot.patience._AGAIN_SECONDS", QUICK)
    monkeypatch.setattr(Desk.__init__, "__defaults__", (QUICK,))


@asynccontextmanager
async def watched(
    discord: Discord, tmp_path: Path, repository: Path
) -> AsyncIterator[tuple[Stage, Asking]]:
    """Baton, connected, with somebody who watches over it; its log is clean afterwards."""
    installation = installation_in(tmp_path, repository, discord, server={"port": 0})
    async with (
        serving(installation) as service,
        platforms(installation, service) as joined,
        serving_web(installation, service, joined) as told,
        open_session() as session,
    ):
        assert told is not None
        await discord.connected(1)
        yield Stage(discord, service, installation), Asking(session, address_in(told))
    assert_clean_log(tmp_path / "state", discord)


async def test_a_gateway_that_is_lost_is_told_until_it_is_back(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with watched(discord, tmp_path, repository) as (_, asking):
        await until_ready(asking, is_ready)
        discord.refusing = True
        discord.drop()
        answer = await until_ready(asking, lacks("discord"))
        assert answer.json["wrong"] == {"discord": "not connected"}
        assert (await asking.get("/healthz")).status == 200
        discord.refusing = False
        await until_ready(asking, is_ready)


async def asked_for_patience(asking: Asking) -> float:
    return value(await measured(asking), "baton_platform_429s_total", platform="discord")


async def test_patience_with_a_card_is_counted(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with watched(discord, tmp_path, repository) as (stage, asking):
        (run_id,) = await stage.has("failed")
        card, before = stage.card(run_id), await asked_for_patience(asking)
        path = f"/channels/{card.channel}/messages/{card.id}"
        discord.fail("PATCH", path, TooMany(retry_after=0.2, via=True))
        await stage.ben.says(f"/cancel {run_id}")
        await stage.shows(run_id, "cancelled")
        assert 429 in {call.status for call in discord.called("PATCH", path)}
        assert await asked_for_patience(asking) == before + 1


async def test_patience_with_an_answer_is_counted(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with watched(discord, tmp_path, repository) as (stage, asking):
        before = await asked_for_patience(asking)
        path = "/interactions/*/callback"
        discord.fail("POST", path, TooMany(retry_after=0.2, via=True))
        assert await stage.private(slash("runs", user="3"))
        assert next(call.status for call in discord.called("POST", path)) == 429
        assert await asked_for_patience(asking) == before + 1


async def test_a_gateway_that_always_refuses_is_asked_ever_more_rarely(
    discord: Discord, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[float] = []

    async def close(socket: web.WebSocketResponse, _data: Json) -> None:
        tried.append(time.monotonic())
        await socket.close(code=4012)
        discord.changed()

    monkeypatch.setattr(discord, "_identify", close)
    async with talking(installation_in(tmp_path, repository, discord), concurrency=0):
        await discord.until(lambda: len(tried) == 5, 30)
    for number, (earlier, later) in enumerate(itertools.pairwise(tried)):
        assert later - earlier >= FIRST_PAUSE * 2**number, tried
    assert left_behind() == []
    assert_clean_log(tmp_path / "state", discord)


# --- never an answer -------------------------------------------------------------------------


class Silent:
    """Takes every request, and answers none; `agents` are those who asked so far."""

    def __init__(self) -> None:
        self.agents: list[str] = []
        self._more = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        agents = [line for line in head.splitlines() if line.lower().startswith("user-agent:")]
        self.agents += agents or [""]
        self._more.set()

    async def asked_by_the_check(self, own: str) -> None:
        """Wait until somebody asks who is not the client library, which calls itself `own`."""
        async with asyncio.timeout(30):
            while all(own in agent for agent in self.agents):
                self._more.clear()
                await self._more.wait()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def saying_nothing() -> AsyncIterator[tuple[Silent, str]]:
    """It listens inside of this, at the address that is given with it."""
    silent = Silent()
    async with await asyncio.start_server(silent.hear, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        try:
            yield silent, f"{host}:{port}"
        finally:
            silent.hang_up()


async def test_a_stop_does_not_wait_for_a_check_that_is_never_answered(tmp_path: Path) -> None:
    async with saying_nothing() as (silent, address):
        settings = {
            "BATON_SERVER__PORT": "0",
            "DISCORD_TOKEN": "token",
            "BATON_DISCORD__API_URL": f"http://{address}/api/v10",
            "BATON_DISCORD__GATEWAY_URL": f"ws://{address}/gateway",
        }
        async with served(tmp_path, **settings) as process:
            assert (await line_of(process)).startswith("The web page is up")
            await silent.asked_by_the_check("DiscordBot")
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                _, errors = await process.communicate()
            assert (process.returncode, errors.decode()) == (0, "")
