"""Baton stops and starts again while its page is open."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.web.browsing.stage import visiting
from tests.web.house import ROOT, baton

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONFIG = """
[server]
port = {port}
[runner]
host = "here"
heartbeat_seconds = 0.5
lease_seconds = 3
grace_seconds = 1
[workflows.slow]
repository = "{repository}"
[[workflows.slow.steps]]
name = "wait"
run = "echo waiting; sleep 300"
"""
GONE = ("Failed to load resource: net::", "Failed to load resource: the server responded with")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[str]:
    """A Baton that serves as people start it; yields what it said first."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "serve"),
        cwd=directory,
        env={**clean, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode()
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0


async def test_an_open_page_outlasts_a_restart(
    tmp_path: Path, repository: Path, chromium: Browser
) -> None:
    port = free_port()
    config = CONFIG.format(port=port, repository=repository)
    (tmp_path / "config.toml").write_text(config)
    database = tmp_path / ".baton" / "baton.db"
    async with visiting(chromium, f"http://127.0.0.1:{port}", forgiven=GONE) as ana:
        async with served(tmp_path) as told:
            await ana.page.goto(told.split()[-1])
            await ana.page.get_by_text("Start a run").click()
            await ana.page.get_by_role("button", name="Start", exact=True).click()
            run_id = await ana.shown_run()
            await ana.sees("#log", "waiting")
        await ana.sees("#lost", "Baton does not answer")
        async with served(tmp_path):
            await expect(ana.at("#lost")).to_be_empty()
            await ana.sees("#state", "interrupted, because Baton was stopped")
            assert (await baton(database, "cancel", run_id))[0] == 0
            await ana.sees("#state", "cancelled, worktree free")
