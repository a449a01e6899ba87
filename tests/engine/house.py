"""What the tests of the engine share: a database with queues, and somebody who takes up wakes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from procrastinate.schema import SchemaManager

from adapters.engine.engine import Engine
from adapters.engine.work import TakeUp
from bot.ports import Wake

DEADLINE_SECONDS = 20.0


def made(url: str) -> str:
    """The same address, after procrastinate's tables were made there."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SchemaManager.get_schema().encode())
    return url


def asked(url: str, question: str) -> list[tuple[Any, ...]]:
    """What the database answers."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(question.encode()).fetchall()


def statuses(url: str) -> list[str]:
    """The statuses of all jobs."""
    return [row[0] for row in asked(url, "SELECT status FROM procrastinate_jobs ORDER BY id")]


def claim(engine: Engine, url: str, *wakes: Wake) -> None:
    """Commit a claim, as the store does it."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("BEGIN")
        engine.enqueue(connection, wakes)
        connection.execute("COMMIT")


@contextmanager
def outage(url: str) -> Iterator[None]:
    """Nobody is let in, and whoever was is thrown out."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    others = psycopg.conninfo.make_conninfo(url, dbname="postgres")
    with psycopg.connect(others, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        try:
            throw_out(url)
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


def throw_out(url: str) -> None:
    """End every connection to this database."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    others = psycopg.conninfo.make_conninfo(url, dbname="postgres")
    with psycopg.connect(others, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )


async def until(holds: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until this holds."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)


@dataclass
class Crew:
    """Takes up wakes; works on each until it is told to let go, or cancelled."""

    begun: list[tuple[str, int]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    stopping_seconds: float = 0.0

    async def take_up(self, run_id: str, epoch: int) -> None:
        self.begun.append((run_id, epoch))
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(run_id)
            await asyncio.sleep(self.stopping_seconds)
            self.ended.append(run_id)
            raise
        self.ended.append(run_id)


@asynccontextmanager
async def at_work(
    engine: Engine,
    take_up: TakeUp,
    host: str = "here",
    concurrency: int = 4,
    *,
    listens: bool = True,
) -> AsyncIterator[asyncio.Task[None]]:
    """A worker of this host works inside of this."""
    working = asyncio.create_task(engine.work(host, concurrency, take_up, listens=listens))
    try:
        yield working
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
