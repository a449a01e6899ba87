"""Statements that SQLAlchemy writes once and the driver carries out.

SQLAlchemy's own execution costs more than SQLite's, and a command has only a few statements; so
each of ours is compiled when the module is loaded, and its cursor is the driver's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ClauseElement, Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

_DIALECT = sqlite.dialect(paramstyle="named")

Row = tuple[Any, ...]
Values = Mapping[str, Any]


class Statement:
    """One statement; values go in by name (more than it needs do no harm), rows come by place."""

    __slots__ = ("_constants", "sql")

    def __init__(self, clause: ClauseElement, columns: Sequence[str] | None = None) -> None:
        """`columns` are those that an insert is given values for."""
        compiled = clause.compile(dialect=_DIALECT, column_keys=columns)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what every statement compiles to
        self.sql = str(compiled)
        self._constants = {
            name: bound.value for bound, name in compiled.bind_names.items() if not bound.required
        }

    def bound(self, values: Values) -> dict[str, Any]:
        """These values and the constants of the statement, as the driver gets them."""
        return {**values, **self._constants}

    def send(self, connection: Connection, values: Values) -> Any:  # noqa: ANN401 - the driver's cursor
        """Carry it out; the cursor has the rows, and how many were changed."""
        cursor = connection.connection.cursor()
        cursor.execute(self.sql, self.bound(values))
        return cursor

    def rows(self, connection: Connection, values: Values) -> list[Row]:
        """Every row that it returns."""
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
        cursor = connection.connection.cursor()
        cursor.executemany(self.sql, [self.bound(each) for each in values])
        cursor.close()
