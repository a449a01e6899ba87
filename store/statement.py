"""Statements that SQLAlchemy writes once and the driver carries out.

SQLAlchemy's own execution costs more than the database's, and a command has only a few
statements; so each of ours is compiled once for each kind of database, and its cursor is the
driver's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection, Dialect
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.util import await_only

Row = tuple[Any, ...]
Values = Mapping[str, Any]


def _sqlite() -> Dialect:
    return sqlite.dialect(paramstyle="named")


def _postgresql() -> Dialect:
    # Imported here because it is slow to import and needed by PostgreSQL only.
    from sqlalchemy.dialects.postgresql import psycopg  # noqa: PLC0415 - see above

    return psycopg.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy has no type for it


_DIALECTS = {"sqlite": _sqlite, "postgresql": _postgresql}


class _Compiled:
    """A statement as one kind of database gets it."""

    __slots__ = ("_constants", "sql")

    def __init__(self, clause: ClauseElement, columns: Sequence[str] | None, kind: str) -> None:
        compiled = clause.compile(dialect=_DIALECTS[kind](), column_keys=columns)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what every statement compiles to
        self.sql = str(compiled)
        self._constants = {
            name: bound.value for bound, name in compiled.bind_names.items() if not bound.required
        }

    def bound(self, values: Values) -> dict[str, Any]:
        """These values and the constants of the statement, as the driver gets them."""
        return {**values, **self._constants}


class Statement:
    """One statement; values go in by name (more than it needs do no harm), rows come by place."""

    __slots__ = ("_clause", "_columns", "_compiled")

    def __init__(self, clause: ClauseElement, columns: Sequence[str] | None = None) -> None:
        """`columns` are those that an insert is given values for."""
        self._clause = clause
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}

    def _for(self, connection: Connection) -> _Compiled:
        """Compiled when it is first needed."""
        kind = connection.dialect.name
        compiled = self._compiled.get(kind)
        if compiled is None:
            compiled = self._compiled[kind] = _Compiled(self._clause, self._columns, kind)
        return compiled

    def sent_as(self, connection: Connection, values: Values) -> tuple[str, dict[str, Any]]:
        """What the driver gets, text and values."""
        compiled = self._for(connection)
        return compiled.sql, compiled.bound(values)

    def send(self, connection: Connection, values: Values) -> Any:  # noqa: ANN401 - the driver's cursor
        """Carry it out; the cursor has the rows, and how many were changed."""
        cursor = connection.connection.cursor()
        cursor.execute(*self.sent_as(connection, values))
        return cursor

    def rows(self, connection: Connection, values: Values) -> list[Row]:
        """Every row that it returns."""
        if connection.dialect.is_async:
            # One word to the driver's thread; a cursor of SQLAlchemy's takes four.
            driver: Any = connection.connection.driver_connection
            return list(await_only(driver.execute_fetchall(*self.sent_as(connection, values))))
        cursor = self.send(connection, values)
        try:
            rows: list[Row] = cursor.fetchall()
        finally:
            cursor.close()
        return rows

    def row(self, connection: Connection, values: Values) -> Row | None:
        """The first row that it returns."""
        rows = self.rows(connection, values)
        return rows[0] if rows else None

    def run(self, connection: Connection, values: Values) -> int:
        """Carry it out; returns how many rows it changed."""
        cursor = self.send(connection, values)
        changed: int = cursor.rowcount
        cursor.close()
        return changed

    def run_for_each(self, connection: Connection, values: Sequence[Values]) -> None:
        """Carry it out once with each of these."""
        if len(values) == 1 or connection.dialect.name != "sqlite":
            # What the driver does for many costs twice as much for one. And after what psycopg
            # does for many, PostgreSQL ends no transaction that is idle: whoever is frozen then
            # would keep its locks for good.
            for each in values:
                self.run(connection, each)
            return
        compiled = self._for(connection)
        cursor = connection.connection.cursor()
        cursor.executemany(compiled.sql, [compiled.bound(each) for each in values])
        cursor.close()
