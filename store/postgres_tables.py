"""Bringing PostgreSQL's tables up to date, by one process at a time."""

import time

from psycopg.errors import DuplicateTable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from bot.errors import ConfigurationError
from bot.ports import DatabaseUnavailableError
from store.schema import migrate

_OLDEST = 140000
_LOCK = 0x6261746F6E
"""`baton`, as a number; whoever changes its tables holds it for the transaction."""
_PATIENCE_SECONDS = 60.0
_AGAIN_SECONDS = 0.1


def version_on(connection: Connection) -> str | None:
    """The migration that the tables are at; None where there are none yet."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def refuse_old(number: int) -> None:
    """Raises ConfigurationError for a server that lacks what Baton needs."""
    if number < _OLDEST:
        reason = (
            f"database.url: Baton needs PostgreSQL {_OLDEST // 10000} or later, and this is"
            f" {number // 10000}. Nothing was changed in it."
        )
        raise ConfigurationError(reason)


def refuse_encoding(name: str) -> None:
    """Raises ConfigurationError for a database that cannot hold every text."""
    if name != "UTF8":
        reason = (
            f"database.url: that database keeps text as {name}, and Baton needs UTF8. Nothing was"
            " changed in it; make one with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0."
        )
        raise ConfigurationError(reason)


def bring_to(engine: Engine, version: str) -> None:
    """Make or change the tables, unless they are at this migration."""
    with engine.connect() as connection:
        refuse_old(int(connection.scalar(text("SHOW server_version_num")) or 0))
        refuse_encoding(str(connection.scalar(text("SHOW server_encoding"))))
        if version_on(connection) == version:
            return
    until = time.monotonic() + _PATIENCE_SECONDS
    while not _try_to_bring_to(engine, version):
        if time.monotonic() > until:
            reason = "another process has been changing its tables for too long"
            raise DatabaseUnavailableError(reason, busy=True)
        time.sleep(_AGAIN_SECONDS)


def _try_to_bring_to(engine: Engine, version: str) -> bool:
    """Under a lock that ends with the transaction; False where another process holds it."""
    options = {"isolation_level": "READ COMMITTED"}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        lock = text("SELECT pg_try_advisory_xact_lock(:lock)")
        if not connection.scalar(lock, {"lock": _LOCK}):
            return False
        # What waits for a table here keeps everybody else waiting behind it.
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        at = version_on(connection)
        if at != version:
            _migrate(connection, at)
        return True


def _migrate(connection: Connection, at: str | None) -> None:
    try:
        migrate(connection, at)
    except ProgrammingError as error:
        if not isinstance(error.orig, DuplicateTable):
            raise
        reason = (
            "database.url: that database has tables of another program, of the same names as"
            " Baton's. Nothing was changed in it; give Baton a database of its own."
        )
        raise ConfigurationError(reason) from error
