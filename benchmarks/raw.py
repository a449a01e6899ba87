"""The other side of a command's figure: its statements on bare aiosqlite.

One connection behind one lock, one durable transaction a command: what a program without the
store would do. The statements are those that the store really sends, caught once and sent again
with the names of other runs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import event

from store.database import Database

_PRAGMAS = ("synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as the driver got it."""

    sql: str
    values: tuple[Any, ...]

    def about(self, caught: str, name: str) -> tuple[Any, ...]:
        """Its values, with another run's name in the place of the one that it was caught with."""
        return tuple(v.replace(caught, name) if isinstance(v, str) else v for v in self.values)


@contextmanager
def catching(database: Database) -> Iterator[list[Statement]]:
    """Every statement that the database is sent meanwhile."""
    caught: list[Statement] = []

    def note(*sent: Any) -> None:  # noqa: ANN401 - connection, cursor, sql, values, context, many
        _, _, sql, values, _, many = sent
        caught.append(Statement(sql, tuple(values[0] if many else values)))

    with database.connect() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield caught
    finally:
        event.remove(engine, "before_cursor_execute", note)


@dataclass(frozen=True, slots=True)
class RawCommands:
    """Carries out the caught statements about any run."""

    connection: aiosqlite.Connection
    statements: list[Statement]
    caught: str
    lock: asyncio.Lock

    async def carry_out(self, name: str) -> None:
        """One command about the run of this name."""
        async with self.lock:
            for statement in self.statements:
                values = statement.about(self.caught, name)
                rows = list(await self.connection.execute_fetchall(statement.sql, values))
                assert rows or not statement.sql.startswith("UPDATE"), "the command lost"
            await self.connection.commit()


@asynccontextmanager
async def raw_commands(
    file: Path, statements: list[Statement], caught: str
) -> AsyncIterator[Callable[[str], Any]]:
    """What carries out one command about the run that it is given."""
    async with aiosqlite.connect(file, isolation_level=None) as connection:
        for pragma in _PRAGMAS:
            await connection.execute(f"PRAGMA {pragma}")
        yield RawCommands(connection, statements, caught, asyncio.Lock()).carry_out
