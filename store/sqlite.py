"""The SQLite file: its settings, its transactions, its errors."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from bot.errors import ConfigurationError
from bot.ports import DatabaseUnavailableError, Transaction
from store.database import Change, LoopStore
from store.schema import migrate
from store.sqlite_file import alone, is_logged_ahead, log_ahead, version_of
from store.transaction import OpenTransaction, Terms

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")

_BUSY_SECONDS = 10.0
_POLL_SECONDS = 0.1
_PRAGMAS = ("synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY")
_OUR_FAULT = (sqlite3.IntegrityError, sqlite3.ProgrammingError)
_BROKEN = ("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_CORRUPT", "SQLITE_NOTADB")
_REASONS = {
    "SQLITE_BUSY": "other processes kept it locked",
    "SQLITE_FULL": "its disk is full",
    "SQLITE_IOERR": "its disk does not answer as it should",
    "SQLITE_READONLY": "it may not be written to",
    "SQLITE_CANTOPEN": "its file could not be opened",
    "SQLITE_CORRUPT": "its file is damaged",
    "SQLITE_NOTADB": "its file is not a database",
}


def prepare_connection(connection: Any, _record: object = None) -> None:  # noqa: ANN401 - any driver's
    """Settings of each new connection; transactions are begun by us, never by the driver."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin(connection: Connection) -> None:
    """Take the write lock at once, so that a transaction that reads first can still write."""
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN IMMEDIATE"))


def unavailable(error: sqlite3.Error) -> DatabaseUnavailableError:
    """The database's error in words that people may read."""
    name = getattr(error, "sqlite_errorname", "") or ""
    known = (words for code, words in _REASONS.items() if name.startswith(code))
    busy = name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    return DatabaseUnavailableError(next(known, "it reported an error"), busy=busy)


def _stays(error: BaseException) -> bool:
    """Whether a connection that met this may meet it again, though the file is mended."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(original, "sqlite_errorname", "")).startswith(_BROKEN)


@contextmanager
def translated() -> Iterator[None]:
    """Driver errors become ours here, once: the driver's own, and those that SQLAlchemy wrapped."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        original = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(original, sqlite3.DatabaseError) and not isinstance(original, _OUR_FAULT):
            raise unavailable(original) from error
        raise


class FileWatch:
    """Tells when any process has committed something to the file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection = self._open()
        self._seen = self._version()

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, isolation_level=None)

    def _version(self) -> int | None:
        """None where the file cannot be read at the moment."""
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            self._connection.close()
            self._connection = self._open()
            return None

    async def changed(self, timeout_seconds: float) -> None:
        """Return once something was committed since the last call, or after the timeout."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while (version := self._version()) in {self._seen, None}:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return
            await asyncio.sleep(min(_POLL_SECONDS, left))
        self._seen = version

    def close(self) -> None:
        """Watch no longer."""
        self._connection.close()


class SqliteDatabase:
    """Implements store.database.Database on one SQLite file."""

    kind = "sqlite"

    def __init__(self, file: Path, terms: Terms, clock: Callable[[], float] | None = None) -> None:
        self.url = f"sqlite:///{file}"
        self.file = file
        self.terms = terms
        self.clock = clock or time.time
        self._engine = self._open(file)
        self._writer: Connection | None = None

    @staticmethod
    def _open(file: Path) -> Engine:
        engine = create_engine(
            URL.create("sqlite", database=str(file)),
            connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
            pool_size=2,
        )
        event.listen(engine, "connect", prepare_connection)
        event.listen(engine, "begin", begin)
        return engine

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection; the caller begins and ends its transactions."""
        with translated(), self._engine.connect() as connection:
            yield connection

    def write(self, changes: Sequence[Change]) -> list[Any]:
        """Carry out changes in one durable commit; returns each one's result or exception.

        When one of them fails, the batch is rolled back and each is carried out alone; a
        database that others keep locked is not asked again for each of them.
        """
        try:
            return self._write_together(changes)
        except Exception as error:  # noqa: BLE001 - given to whoever asked for the change
            if len(changes) == 1 or (isinstance(error, DatabaseUnavailableError) and error.busy):
                return [error] * len(changes)
            return [self.write([change])[0] for change in changes]

    def _write_together(self, changes: Sequence[Change]) -> list[Any]:
        with self._writing() as connection, connection.begin():
            transaction = OpenTransaction(connection, self.terms, self.clock())
            results = [change(transaction) for change in changes]
            transaction.flush()
        return results

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """The writer's own connection, kept from batch to batch until an error."""
        with translated():
            connection = self._writer or self._engine.connect()
            self._writer = None
            try:
                yield connection
            except BaseException as error:
                if _stays(error):
                    connection.invalidate()
                connection.close()
                raise
            self._writer = connection

    def read(self, look: Callable[[Transaction], T]) -> T:
        """Run `look` on one snapshot, without waiting for writers."""
        with self.connect() as connection:
            connection.execution_options(begin="BEGIN")
            with connection.begin():
                return look(OpenTransaction(connection, self.terms, self.clock()))

    def bring_to(self, version: str) -> None:
        file = self.file
        try:
            if version_of(file) == version and is_logged_ahead(file):
                return
            # Logs and worktrees live here too, and may hold what is not for every user here.
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with alone(file):
                log_ahead(file)
                self._migrate(version)
        except (OSError, sqlite3.Error) as error:
            reason = f"database.url: no database can be opened at {file}: {error}"
            raise ConfigurationError(reason) from error

    def _migrate(self, version: str) -> None:
        at = version_of(self.file)
        if at != version:
            with self.connect() as connection, connection.begin():
                migrate(connection, at)

    def version(self) -> str | None:
        with translated():
            return version_of(self.file)

    def open_engine(self) -> "AsyncEngine":
        # Imported here because the command line never needs it and it is slow to import.
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - see above

        engine = create_async_engine(f"sqlite+aiosqlite:///{self.file}")
        event.listen(engine.sync_engine, "connect", prepare_connection)
        event.listen(engine.sync_engine, "begin", begin)
        return engine

    def is_pooled(self) -> bool:
        return False

    def open_store(self) -> LoopStore:
        # Imported here because the command line never needs it.
        from store.writer import SqliteStore  # noqa: PLC0415 - see above

        return SqliteStore(self)

    def watch(self) -> FileWatch:
        """A new watch; it tells of everything that is committed from now on."""
        return FileWatch(self.file)

    def close(self) -> None:
        """Close every connection."""
        if self._writer is not None:
            self._writer.close()
        self._engine.dispose()
