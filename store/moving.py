"""Moving what a SQLite file holds into an empty PostgreSQL database: everything, or nothing."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg
from psycopg.sql import SQL, Identifier
from sqlalchemy import (
    Connection,
    MetaData,
    Select,
    Table,
    event,
    func,
    literal,
    select,
    table,
    text,
)
from sqlalchemy.exc import DBAPIError

from bot.ports import DatabaseUnavailableError
from store.database import Database
from store.postgres_errors import breaks_connection
from store.schema import bring_up_to_date
from store.sqlite import SqliteDatabase
from store.tables import CLAIM_NUMBERS, metadata, runs, sessions, workers

_BATCH = 1000
_OF_SLACK = "slack_"
_OF_THE_ENGINE = ("procrastinate_jobs",)
_ENCODING = "UTF8"
_NUL, _IN_ITS_PLACE = "\x00", "\ufffd"
_DIGESTS = 2**256
_SETTINGS = "; ".join(
    f"SET LOCAL {name} = {value}"
    for name, value in {
        "lock_timeout": "'5s'",
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        # Whatever the database's own settings are: every character and every bit, both ways.
        "client_encoding": "'UTF8'",
        "datestyle": "'ISO'",
        "extra_float_digits": "1",
    }.items()
)
_UNFIT = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
"""The last one is of texts that are too long for an index."""

Row = tuple[Any, ...]


class Tell(Protocol):
    """Hears how far it is: this many rows of a table are copied or, later, compared."""

    def __call__(self, table: str, done: int, total: int, /, *, compared: bool) -> None:
        """Called after every batch, and before the first."""


class EncodingError(Exception):
    """The database cannot hold every character; it says which encoding it has."""


class FilledError(Exception):
    """The database to move into is not empty; it says which table has a row."""


class ForeignError(Exception):
    """The database has a table of that name, and it was not made by Baton."""


class DiffersError(Exception):
    """What arrived of that table is not what was sent."""


class UnfitError(Exception):
    """PostgreSQL does not take a row: its table, its key, and why."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How many rows of each table were moved, and the keys of those whose NUL was replaced."""

    counts: Mapping[str, int]
    mended: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Part:
    """A table, and which of its rows are moved."""

    table: Table
    rows: Select[Any]
    total: int

    @property
    def name(self) -> str:
        return self.table.name

    def key_of(self, row: Row) -> str:
        """What tells this row from the others, in words."""
        pairs = zip(self.table.columns, row, strict=True)
        return "/".join(str(value) for column, value in pairs if column.primary_key)


@dataclass(slots=True)
class Source:
    """A SQLite database that nobody can write to at the moment."""

    connection: Connection
    now: float
    _parts: list[_Part] = field(default_factory=list)

    def living(self) -> Collection[tuple[str, int]]:
        """Host and pid of every process that has been heard of lately."""
        columns = (workers.c.host, workers.c.pid)
        statement = select(*columns).where(workers.c.lease_expires_at > self.now)
        return {(host, pid) for host, pid in self.connection.execute(statement)}

    def parts(self) -> Sequence[_Part]:
        """What is to be moved: all but the processes, which are gone, and what has expired."""
        if not self._parts:
            known = [one for one in metadata.sorted_tables if one is not workers]
            self._parts = [self._part(one) for one in (*known, *self._slack_tables())]
        return self._parts

    def _part(self, moved: Table) -> _Part:
        rows = select(moved)
        if moved is sessions:
            rows = rows.where(sessions.c.expires_at > self.now)
        total = self.connection.scalar(select(func.count()).select_from(rows.subquery())) or 0
        return _Part(moved, rows, total)

    def _slack_tables(self) -> Sequence[Table]:
        """Those that slack_sdk describes, as the migration made them."""
        found = MetaData()
        event.listen(found, "column_reflect", _in_general)
        found.reflect(self.connection, only=lambda name, _: name.startswith(_OF_SLACK))
        return found.sorted_tables


def _in_general(_inspector: object, _table: str, column: dict[str, Any]) -> None:
    """Take a column for what it means everywhere, not for what SQLite makes of it."""
    column["type"] = column["type"].as_generic()


@contextmanager
def still(database: SqliteDatabase) -> Iterator[Source]:
    """Inside of this nobody else can write to it; nothing is written to it here either."""
    with database.connect() as connection, connection.begin() as transaction:
        yield Source(connection, database.clock())
        transaction.rollback()


# --- the other side --------------------------------------------------------------------------


def move(source: Source, target: Database, tell: Tell) -> Moved:
    """Copy everything in one transaction, and commit it once what arrived was compared.

    Raises FilledError, ForeignError, EncodingError, UnfitError, DiffersError, SchemaError,
    ConfigurationError and DatabaseUnavailableError: then there is nothing in it, unless the
    last one is not certain.
    """
    names = [*metadata.tables, *(part.name for part in source.parts()), *_OF_THE_ENGINE]
    unique = list(dict.fromkeys(names))
    _refuse_unfit(target, unique)
    bring_up_to_date(target)
    parts = source.parts()
    with target.connect() as connection, connection.begin():
        connection.exec_driver_sql(_SETTINGS)
        # Others can look at it meanwhile, and can write once we are done.
        connection.exec_driver_sql(f"LOCK TABLE {', '.join(unique)} IN EXCLUSIVE MODE")
        _refuse_filled(connection, unique)
        mended = {part.name: _copy(source, connection, part, tell) for part in parts}
        for part in parts:
            _compare(source, connection, part, tell)
        _go_on_counting(connection, parts)
        _commit(connection)
    counts = {part.name: part.total for part in parts}
    return Moved(counts, {name: keys for name, keys in mended.items() if keys})


def _refuse_unfit(target: Database, names: Sequence[str]) -> None:
    """Before anything is changed in it, its tables included."""
    ours = target.version() is not None
    with target.connect() as connection:
        encoding = str(connection.scalar(text("SHOW server_encoding")))
        if encoding != _ENCODING:
            raise EncodingError(encoding)
        _refuse_filled(connection, names)
        there = [name for name in names if _exists(connection, name)]
        if there and not ours:
            raise ForeignError(there[0])


def _exists(connection: Connection, name: str) -> bool:
    found = connection.scalar(text("SELECT to_regclass(:name)"), {"name": name})
    return found is not None


def _refuse_filled(connection: Connection, names: Sequence[str]) -> None:
    for name in names:
        if _exists(connection, name):
            row = select(literal(1)).select_from(table(name)).limit(1)
            if connection.scalar(row) is not None:
                raise FilledError(name)


# --- copying ---------------------------------------------------------------------------------


def _batches(connection: Connection, rows: Select[Any]) -> Iterator[list[Row]]:
    """The rows, a thousand at a time, so that no table need fit into memory."""
    result = connection.execute(rows.execution_options(yield_per=_BATCH))
    for batch in result.partitions():
        yield [tuple(row) for row in batch]


def _mended(row: Row) -> Row:
    """The row as PostgreSQL can hold it: SQLite takes a NUL within a text, PostgreSQL none."""
    if not any(isinstance(value, str) and _NUL in value for value in row):
        return row
    return tuple(v.replace(_NUL, _IN_ITS_PLACE) if isinstance(v, str) else v for v in row)


def _copy(source: Source, target: Connection, part: _Part, tell: Tell) -> list[str]:
    """Returns the keys of the rows that had to be mended."""
    columns = SQL(", ").join(Identifier(column.name) for column in part.table.columns)
    words = SQL("COPY {} ({}) FROM STDIN").format(Identifier(part.name), columns)
    mended, done = [], 0
    tell(part.name, done, part.total, compared=False)
    for batch in _batches(source.connection, part.rows):
        fitting = [_mended(row) for row in batch]
        _send(target, words, part, fitting)
        pairs = zip(batch, fitting, strict=True)
        mended += [part.key_of(new) for old, new in pairs if new is not old]
        done += len(batch)
        tell(part.name, done, part.total, compared=False)
    return mended


def _send(target: Connection, words: psycopg.sql.Composed, part: _Part, rows: list[Row]) -> None:
    """By the driver itself: SQLAlchemy's way of inserting takes ten times as long."""
    cursor: Any = target.connection.cursor()
    try:
        with cursor, cursor.copy(words) as copy:
            for row in rows:
                copy.write_row(row)
    except _UNFIT as error:
        # "COPY runs, line 3, column status", or the same in another language.
        line = re.search(r"COPY\D*(\d+)", error.diag.context or "")
        key = part.key_of(rows[int(line[1]) - 1]) if line else ""
        raise UnfitError(part.name, key, error.diag.message_primary or str(error)) from error


# --- comparing -------------------------------------------------------------------------------


def _compare(source: Source, target: Connection, part: _Part, tell: Tell) -> None:
    tell(part.name, 0, part.total, compared=True)
    sent = _content(source.connection, part.rows)
    if _content(target, select(part.table)) != sent:
        raise DiffersError(part.name)
    tell(part.name, part.total, part.total, compared=True)


def _content(connection: Connection, rows: Select[Any]) -> tuple[int, int]:
    """How many rows there are, and a digest of all their values and kinds, in whatever order.

    What Python writes for a value tells its kind and, of a number, every bit.
    """
    count = digest = 0
    for batch in _batches(connection, rows):
        for row in batch:
            written = repr(_mended(row)).encode()
            digest += int.from_bytes(hashlib.sha256(written).digest(), "big")
        count += len(batch)
    return count, digest % _DIGESTS


def _go_on_counting(target: Connection, parts: Sequence[_Part]) -> None:
    """New claims and rows get numbers above those that were moved."""
    _count_from(target, CLAIM_NUMBERS, target.scalar(select(func.max(runs.c.claim))))
    for part in parts:
        if "id" in part.table.columns:
            sequence = target.scalar(
                text("SELECT pg_get_serial_sequence(:table, 'id')"), {"table": part.name}
            )
            if sequence is not None:
                highest = target.scalar(select(func.max(part.table.columns["id"])))
                _count_from(target, sequence, highest)


def _count_from(target: Connection, sequence: str, highest: int | None) -> None:
    if highest:
        words = text("SELECT setval(CAST(:sequence AS regclass), :highest)")
        target.execute(words, {"sequence": sequence, "highest": highest})


def _commit(connection: Connection) -> None:
    """Raises DatabaseUnavailableError where the answer to it was lost; it is then not certain."""
    try:
        connection.commit()
    except (DBAPIError, psycopg.Error) as error:
        if not breaks_connection(error):
            raise
        reason = "it went away while this was being committed"
        raise DatabaseUnavailableError(reason, busy=False, certain=False) from error
