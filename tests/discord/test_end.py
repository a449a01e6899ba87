"""Baton ends: what was begun is answered, nothing is left, and nothing is waited for in vain."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from bot.keeper import Desk
from tests.conftest import settings_for
from tests.discord.double import Broken, Discord, Slow
from tests.discord.house import (
    ACCESS,
    ROOT,
    discord_settings,
    installation_in,
    kept_locked,
    left_behind,
    talking,
)
from tests.discord.payloads import slash
from tests.discord.stage import Stage, assert_clean_log, is_taken_back, on_stage

QUICK = 0.2


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long here."""
    monkeypatch.setattr("adapters.discord.connect._AGAIN_SECONDS", QUICK)
    monkeypatch.setattr("adapters.discord.api._UNREACHABLE_SECONDS", QUICK)
    monkeypatch.setattr("bot.patience._AGAIN_SECONDS", QUICK)
    monkeypatch.setattr(Desk.__init__, "__defaults__", (QUICK,))


async def test_what_was_begun_is_answered_before_the_end(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    async with on_stage(discord, tmp_path, repository, concurrency=0) as stage:
        (run_id,) = await stage.has("failed")
        stage.listen()
        payload = slash("resume", {"run": run_id})
        discord.fail("POST", f"/interactions/{payload['id']}/*", Slow(0.5))
        asked = await discord.interact(payload)
        await discord.until(lambda: asked.responses)
    await discord.connected(0)
    gc.collect()
    assert [one.text.split()[0] for one in stage.said()] == ["Resuming"]


async def test_what_is_just_being_taken_is_answered_before_the_end(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    installation = installation_in(tmp_path, repository, discord)
    life = talking(installation, concurrency=0)
    service = await life.__aenter__()
    await discord.connected(1)
    stage = Stage(discord, service, installation)
    (run_id,) = await stage.has("failed")
    stage.listen()
    with kept_locked(stage.database):
        asked = await discord.interact(slash("resume", {"run": run_id}))
        await discord.until(lambda: asked.deferred)
        ending = asyncio.ensure_future(life.__aexit__(None, None, None))
        await discord.connected(0)
    await ending
    assert [one.text.split()[0] for one in stage.said()] == ["Resuming"]
    assert is_taken_back(asked)
    assert left_behind() == []
    gc.collect()


async def goes_silent(discord: Discord, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the gateway takes connections and says nothing; Baton is waiting for a word."""
    dialled = asyncio.Event()

    async def say_nothing(_request: web.BaseRequest) -> web.StreamResponse:
        dialled.set()
        await discord._closing.wait()
        return web.Response(status=503)

    monkeypatch.setattr(discord, "serve_gateway", say_nothing)
    discord.drop()
    await asyncio.wait_for(dialled.wait(), 10)


@pytest.mark.parametrize("why", ["silent", "wrong token", "never there"])
async def test_the_end_does_not_wait_for_a_discord_that_is_away(
    discord: Discord,
    tmp_path: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    if why == "never there":
        discord.fail("GET", "/users/@me", Broken(503), 99)
    installation = installation_in(tmp_path, repository, discord)
    life = talking(installation, concurrency=0)
    await life.__aenter__()
    await discord.until(lambda: discord.calls)
    if why != "never there":
        await discord.connected(1)
    if why == "silent":
        await goes_silent(discord, monkeypatch)
    if why == "wrong token":
        discord.token = "another"
        await discord.close(4004)
        await discord.until(lambda: discord.calls[-1].status == 401)
    await ended(asyncio.ensure_future(life.__aexit__(None, None, None)))
    assert left_behind() == []
    assert_clean_log(tmp_path / "state", discord)


async def ended(ending: asyncio.Future[bool | None]) -> None:
    """It ends within 5 s; what does not is forced to, so that other tests have their peace."""
    await asyncio.wait([ending], timeout=5)
    in_time = ending.done()
    while not ending.done():
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if "keep_connected" in str(task.get_coro()):
                task.cancel()
        await asyncio.wait([ending], timeout=0.1)
    assert in_time


async def test_a_process_that_is_asked_to_end_ends_without_a_word(
    discord: Discord, tmp_path: Path, repository: Path
) -> None:
    settings = {"access": ACCESS, "discord": discord_settings(discord)}
    config = config_file(tmp_path, repository, **settings)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "default", "-W", "ignore:'audioop' is deprecated"),
        *("-m", "bot", "serve", "--config", str(config)),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "HTTP_PROXY": "", "HTTPS_PROXY": ""},
    )
    try:
        await discord.connected(1, 30)
        asked = await discord.interact(slash("run", {"workflow": "gated"}))
        await discord.until(lambda: asked.answered)
        await discord.until(lambda: any("waits at" in one.content for one in discord.posted))
        child.send_signal(signal.SIGTERM)
        said, errors = await asyncio.wait_for(child.communicate(), 20)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert (child.returncode, errors.decode()) == (0, "")
    assert "Discord" in said.decode()
    assert discord.live == []


def config_file(tmp_path: Path, repository: Path, **sections: dict[str, object]) -> Path:
    """The settings of a test as a file."""
    known = settings_for(tmp_path, repository)
    lines = [f"[database]\nurl = {known.database.url!r}"]
    for name, section in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {value!r}" for key, value in section.items()]
    lines.append(f"[workflows.gated]\nrepository = '{repository}'")
    lines.append("[[workflows.gated.steps]]\nname = 'ask'\ngate = 'Go?'")
    file = tmp_path / "config.toml"
    file.write_text("\n".join(lines))
    return file
