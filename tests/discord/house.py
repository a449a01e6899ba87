"""A Baton for a Discord on the loopback interface, and runs in every state for it."""

import asyncio
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bot.bootstrap import Installation, Service, installed, platforms, serving
from bot.conversation import Message, message_json
from store.database import Database, open_database, sqlite_file
from tests.chat.scenes import become, open_cards
from tests.conftest import settings_for
from tests.discord.double import Discord
from tests.discord.records import CHANNEL, GUILD
from tests.store.factories import put, write

__all__ = ["become", "open_cards"]

ACCESS = {
    "viewers": ["discord:3"],
    "operators": ["discord:1", "discord:2"],
    "admins": ["discord:7"],
}
ROOT = Path(__file__).parent.parent.parent
_OURS = ("/bot/", "/adapters/", "/store/", "/discord/")


def discord_settings(discord: Discord, **more: Any) -> dict[str, Any]:
    """The section of a Baton that is joined to this Discord."""
    addresses = {"api_url": discord.api_url, "gateway_url": discord.gateway_url}
    return {"token": "token", **addresses, **more}


def installation_in(
    tmp_path: Path, repository: Path, discord: Discord, /, **sections: Any
) -> Installation:
    """Baton as it is configured for these tests."""
    sections = {"access": ACCESS, "discord": discord_settings(discord), **sections}
    return installed(settings_for(tmp_path, repository, **sections), tmp_path)


@asynccontextmanager
async def talking(
    installation: Installation, *, concurrency: int | None = None
) -> AsyncIterator[Service]:
    """Baton, answering in Discord; afterwards nothing of it is left in this process."""
    async with (
        serving(installation, concurrency=concurrency) as service,
        platforms(installation, service),
    ):
        yield service


def left_behind() -> list[str]:
    """Every task of Baton's, or of its client library's, that still lives in this loop."""
    found = []
    for task in asyncio.all_tasks():
        code = getattr(task.get_coro(), "cr_code", None)
        file = str(code.co_filename) if code else ""
        # discord.py waits two seconds for its guilds, and lets nobody end that.
        waits = code is not None and code.co_name in {"_delay_ready", "_delay_shard_ready"}
        if not waits and "/tests/" not in file and any(part in file for part in _OURS):
            found.append(f"{task.get_name()}: {task.get_coro()}")
    return found


def key_of(channel: str, guild: str = GUILD) -> str:
    """The conversation in a channel or thread."""
    return f"discord:{guild}:{channel}"


def place_run(database: Database, state: str, channel: str = CHANNEL, **columns: Any) -> str:
    """Put a run in this state, asked for by ana and last changed by ben, into the database."""
    place = key_of(channel)
    known = {
        "conversation": place,
        "channel": place,
        "requested_by": "discord:1",
        "requested_door": "discord-slash",
        "requested_name": "ana",
        "changed_by": "discord:2",
        "changed_door": "discord-slash",
        "changed_name": "ben",
    }
    return put(database, state, **{**known, **columns})


def left_over(database: Database, message: Message, age_seconds: float = 5) -> None:
    """A process that is gone received this so long ago, and has not answered."""
    assert message.delivery is not None
    key, stored = message.delivery, message_json(message)
    long_ago = open_database(database.url, database.terms, lambda: time.time() - age_seconds)
    assert write(long_ago, lambda tx: tx.deliveries.receive(key, stored, "here:1:gone"))
    long_ago.close()


@contextmanager
def kept_locked(database: Database) -> Iterator[None]:
    """Nobody can write into the database inside of this."""
    other = sqlite3.connect(sqlite_file(database.url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@asynccontextmanager
async def process(
    directory: Path, base: str, point: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Baton of its own process; it does not outlive this."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.discord.doomed", str(directory), base, point), cwd=ROOT
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
