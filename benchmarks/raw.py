"""The other side of a command's figure: its statements on bare aiosqlite.

One connection behind one lock, one durable transaction a command: what a program without the
store would do. The statements are those that the store really sends, caught once and sent again
with the names of other runs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import Connection

from store.statement import Statement

_PRAGMAS = ("synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY")


@dataclass(frozen=True, slots=True)
class Sent:
    """One statement as the driver got it."""

    sql: str
    values: Mapping[str, Any]

    def about(self, caught: str, name: str) -> Mapping[str, Any]:
        """Its values, with another run's name in the place of the one that it was caught with."""
        return {
            key: value.replace(caught, name) if isinstance(value, str) else value
            for key, value in self.values.items()
        }


_BEGIN = Sent("BEGIN IMMEDIATE", {})


@contextmanager
def catching() -> Iterator[list[Sent]]:
    """Every statement that a database is sent meanwhile."""
    caught = [_BEGIN]

    def note(self: Statement, connection: Connection, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the driver's cursor
        caught.append(Sent(*self.sent_as(connection, values)))
        return send(self, connection, values)

    def note_each(
        self: Statement, connection: Connection, values: Sequence[Mapping[str, Any]]
    ) -> None:
        caught.append(Sent(*self.sent_as(connection, values[0])))
        send_each(self, connection, values)

    send, send_each = Statement.send, Statement.run_for_each
    Statement.send, Statement.run_for_each = note, note_each  # type: ignore[method-assign] # put back below
    try:
        yield caught
    finally:
        Statement.send, Statement.run_for_each = send, send_each  # type: ignore[method-assign]


@dataclass(frozen=True, slots=True)
class RawCommands:
    """Carries out the caught statements about any run."""

    connection: aiosqlite.Connection
    statements: list[Sent]
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
    file: Path, statements: list[Sent], caught: str
) -> AsyncIterator[Callable[[str], Any]]:
    """What carries out one command about the run that it is given."""
    async with aiosqlite.connect(file, isolation_level=None) as connection:
        for pragma in _PRAGMAS:
            await connection.execute(f"PRAGMA {pragma}")
        yield RawCommands(connection, statements, caught, asyncio.Lock()).carry_out
