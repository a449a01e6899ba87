"""A Baton that serves the web on a free port, with whoever asks it."""

import asyncio
import itertools
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bot import log
from bot.access import Role
from bot.bootstrap import Installation, Joined, Service, installed, serving
from bot.bootstrap import web as serving_web
from bot.keys import Token, digest, new_token
from bot.run import Run
from store.database import Database, sqlite_file
from store.tables import events
from tests.conftest import settings_for
from tests.store.factories import put
from tests.web.asking import Asking, Browser, open_session, signed_in

ROOT = Path(__file__).parent.parent.parent
_ADDRESS = re.compile(r"http://[^/\s]+")
_names = itertools.count(1)


@dataclass(frozen=True)
class Web:
    """Baton with its web; `told` is what it says when it starts."""

    installation: Installation
    service: Service
    told: str
    asking: Asking

    @property
    def database(self) -> Database:
        return self.installation.database

    @property
    def state(self) -> Path:
        return self.installation.state

    @property
    def base(self) -> str:
        return self.asking.base

    def put(self, state: str, **columns: Any) -> str:
        return put(self.database, state, **columns)

    async def run(self, run_id: str) -> Run:
        run = await self.service.store.read(lambda tx: tx.runs.get(run_id))
        assert run is not None
        return run

    async def token(self, role: str, name: str) -> str:
        """A new token."""
        secret = new_token()
        kept = Token(name=name, role=Role[role.upper()], created_at=0, created_by="cli:test")
        assert await self.service.store.write(lambda tx: tx.keys.add_token(kept, digest(secret)))
        return secret

    async def revoke(self, name: str) -> None:
        assert await self.service.store.write(lambda tx: tx.keys.revoke(name))

    async def script(self, role: str = "operator", name: str = "") -> Asking:
        """Somebody who has a new token."""
        name = name or f"{role}-{next(_names)}"
        return self.with_token(await self.token(role, name), name)

    def with_token(self, secret: str, name: str = "") -> Asking:
        headers = {"Authorization": f"Bearer {secret}"}
        return Asking(self.asking.session, self.base, headers, name)

    async def browser(self, role: str = "operator", name: str = "") -> Browser:
        """Somebody who signed in with a new token."""
        return await signed_in(self.asking, await self.token(role, name or f"b-{next(_names)}"))

    def audited(self, **columns: str) -> list[tuple[str, str, str, str]]:
        """Verb, outcome, door and actor of every event with these columns."""
        asked = select(events.c.verb, events.c.outcome, events.c.door, events.c.actor)
        for name, value in columns.items():
            asked = asked.where(events.c[name] == value)
        with self.database.connect() as connection:
            rows = connection.execute(asked.order_by(events.c.id))
            return [(verb, outcome, door, actor) for verb, outcome, door, actor in rows]

    def logged(self) -> list[dict[str, Any]]:
        """What the log says so far."""
        log.write_out()
        return [json.loads(line) for line in self.log_text().splitlines()]

    def log_text(self) -> str:
        log.write_out()
        return (self.state / "baton.log").read_text()

    def assert_clean_log(self) -> None:
        """Nothing went wrong that nobody foresaw."""
        broken = [entry for entry in self.logged() if "traceback" in entry]
        assert not broken, broken[0]["traceback"]

    async def baton(self, *words: str) -> tuple[int, str]:
        """The command line, as a process on the same database: its exit code and output."""
        return await baton(sqlite_file(self.database.url), *words)


async def baton(file: Path, *words: str, **settings: str) -> tuple[int, str]:
    """`baton` as a process on this database; both of its outputs together."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    ours = {"BATON_DATABASE__URL": f"sqlite:///{file}", "BATON_RUNNER__HOST": "here"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *words),
        cwd=file.parent,
        env={**clean, "PYTHONPATH": str(ROOT), **ours, **settings},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


def address_in(told: str) -> str:
    """Where Baton says that it listens."""
    found = _ADDRESS.search(told)
    assert found is not None, told
    return found[0]


@asynccontextmanager
async def opened(
    installation: Installation, joined: Joined | None = None, *, concurrency: int = 0
) -> AsyncIterator[Web]:
    """Baton and its web are up inside of this; without a worker's hands where none are given."""
    async with (
        serving(installation, concurrency=concurrency) as service,
        serving_web(installation, service, joined or Joined([], [])) as told,
        open_session() as session,
    ):
        assert told is not None
        yield Web(installation, service, told, Asking(session, address_in(told)))


def installation_for(tmp_path: Path, repository: Path, /, **sections: Any) -> Installation:
    """Baton, configured to listen on a free port."""
    server = {"port": 0, **sections.pop("server", {})}
    return installed(settings_for(tmp_path, repository, server=server, **sections), tmp_path)
