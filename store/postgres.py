"""A PostgreSQL database: its transactions, by its own clock; it may be shared by many hosts.

It works behind a pooler that hands out another connection for each transaction: nothing is kept
on a connection from one transaction to the next.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from bot.errors import ConfigurationError
from bot.ports import DatabaseUnavailableError, Transaction, Waker
from store.database import Change, LoopStore
from store.postgres_errors import (
    breaks_connection,
    is_passing,
    is_repeatable,
    translated,
)
from store.postgres_tables import bring_to, version_on
from store.snapshots import Snapshots, SnapshotWatch
from store.transaction import OpenTransaction, Terms

T = TypeVar("T")

WRITERS = 8
READERS = 4
_AGAIN_SECONDS = (0.05, 0.2, 0.5, 1.0, 1.5)
_FATE_SECONDS = 15.0
_FATE_AGAIN_SECONDS = 0.2
_REPEATS = 5
_PATIENCE_SECONDS = 3.0
_REPEAT_SECONDS = 0.03
_SILENT_SECONDS = 2.5
_PREPARED_AFTER = 2
"""So often a statement is sent on a connection before the server keeps it ready."""
_CONNECT: dict[str, Any] = {
    "connect_timeout": 3,
    "application_name": "baton",
    # A peer that vanished without a word is noticed within seconds.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_CLOCK = "extract(epoch FROM clock_timestamp())::float8"
# It changes with every recovery from a crash (and where another server took over), never else
# but by hand. After one, the numbers of transactions that were not yet on the disk are given anew.
_CRASHES = "coalesce(pg_stat_get_bgwriter_stat_reset_time()::text, '')"
_TO_WRITE = (
    "BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '15s';"
    # Whoever is frozen in the middle of a transaction must not keep everybody else waiting.
    " SET LOCAL idle_in_transaction_session_timeout = '10s';"
    f" SELECT {_CLOCK}, pg_current_xact_id()::text, {_CRASHES}"
)
_FATE = f"SELECT pg_xact_status(%s::xid8) || ' ' || {_CRASHES}"
_TO_READ = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = '15s';"
    " SET LOCAL idle_in_transaction_session_timeout = '10s';"
    f" SELECT {_CLOCK}, '', ''"
)


@dataclass(frozen=True, slots=True)
class _Open:
    """A transaction that is open: on what, since when by the database's clock, and its number."""

    connection: Connection
    now: float
    number: str
    crashes: str


def _is_pooled(connection: psycopg.Connection[Any]) -> bool:
    """Whether a pooler answers in the server's place: it tells numbers of its own."""
    (number,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    return bool(number != connection.info.backend_pid)


def _connected(url: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(url, autocommit=True, prepare_threshold=None, **_CONNECT)
    # What is prepared would stay behind on a connection that a pooler gives to somebody else.
    if not _is_pooled(connection):
        connection.prepare_threshold = _PREPARED_AFTER
    return connection


def _cursor(connection: Connection) -> psycopg.Cursor[Any]:
    """The driver's own."""
    cursor: Any = connection.connection.cursor()
    return cursor  # type: ignore[no-any-return] # SQLAlchemy knows no driver's types


class PostgresDatabase:
    """Implements store.database.Database on PostgreSQL; any number of threads may use it."""

    kind = "postgresql"

    def __init__(
        self,
        url: str,
        terms: Terms,
        clock: Callable[[], float] | None = None,
        waker: Waker | None = None,
    ) -> None:
        """Raises ConfigurationError where that is no URL of a PostgreSQL database."""
        self.url = url
        self.terms = terms
        self._clock = clock
        self._waker = waker
        self._broken_at = 0.0
        self._engine = self._engine_for(url)
        event.listen(self._engine, "connect", self._note_age)
        self._snapshots = Snapshots(self._snapshot)

    @staticmethod
    def _engine_for(url: str) -> Engine:
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            reason = "database.url: that is not how the address of a PostgreSQL database is written"
            raise ConfigurationError(reason) from error

        return create_engine(
            "postgresql+psycopg://",
            creator=partial(_connected, url),
            pool_size=WRITERS + READERS + 1,
            max_overflow=0,
            pool_timeout=_PATIENCE_SECONDS,
            use_native_hstore=False,
        )

    # --- transactions ----------------------------------------------------------------------

    @contextmanager
    def _transaction(self, words: str) -> Iterator[_Open]:
        """An open transaction; what is not committed inside of this is rolled back."""
        opened = self._begun(words)
        try:
            yield opened
        except BaseException as error:
            self._give_back(opened.connection, error)
            raise
        opened.connection.close()

    def _begun(self, words: str) -> _Open:
        """Nothing has happened yet, so what may pass is tried again, for some seconds.

        Raises DatabaseUnavailableError, which nobody tries again, where that was of no use.
        """
        pauses, silent = iter(_AGAIN_SECONDS), 0
        while True:
            began = time.monotonic()
            try:
                return self._try_to_begin(words)
            except (DBAPIError, psycopg.Error) as error:
                # One of these is no reason to give up: this process itself may have been frozen.
                silent += time.monotonic() - began > _SILENT_SECONDS
                pause = next(pauses, None)
                if pause is None or silent > 1 or not is_passing(error):
                    with translated():
                        raise
            time.sleep(pause)

    def _try_to_begin(self, words: str) -> _Open:
        connection = self._taken()
        try:
            now, number, crashes = self._last_row(connection, words)
        except BaseException as error:
            self._give_back(connection, error)
            raise
        return _Open(connection, self._clock() if self._clock else now, number, crashes)

    @staticmethod
    def _last_row(connection: Connection, words: str) -> Sequence[Any]:
        with _cursor(connection) as cursor:
            cursor.execute(words)
            while cursor.nextset():
                pass
            row = cursor.fetchone()
        return row or ()

    def _taken(self) -> Connection:
        """From the pool; what was there when another one broke is thrown away untried."""
        while True:
            connection = self._engine.connect()
            if connection.info["made_at"] > self._broken_at:
                return connection
            connection.invalidate()
            connection.close()

    def _give_back(self, connection: Connection, error: BaseException) -> None:
        """To the pool; where it is broken, so are those that have been there as long."""
        if breaks_connection(error) and not connection.closed:
            self._broken_at = time.monotonic()
            connection.invalidate()
        connection.close()

    @staticmethod
    def _note_age(_driver: object, record: ConnectionPoolEntry) -> None:
        record.info["made_at"] = time.monotonic()

    # --- writing and reading ---------------------------------------------------------------

    def write(self, changes: Sequence[Change]) -> list[Any]:
        """Carry out each change in a transaction of its own."""
        return [self._settled(change) for change in changes]

    def _settled(self, change: Change) -> Any:  # noqa: ANN401 - the change's result, or an exception
        try:
            with translated():
                return self._repeated(partial(self._once, change))
        except Exception as error:  # noqa: BLE001 - given to whoever asked for the change
            return error

    @staticmethod
    def _repeated(transaction: Callable[[], T]) -> T:
        """Where it is sure that nothing happened, the whole is done again."""
        for _ in range(_REPEATS):
            try:
                return transaction()
            except (DBAPIError, psycopg.Error) as error:
                if not is_repeatable(error):
                    raise
            # Whoever had waited for us gets their turn first.
            time.sleep(_REPEAT_SECONDS)
        return transaction()

    def _once(self, change: Change) -> Any:  # noqa: ANN401 - the change's result
        with self._transaction(_TO_WRITE) as opened:
            transaction = OpenTransaction(opened.connection, self.terms, opened.now, crowded=True)
            result = change(transaction)
            transaction.flush()
            claims = transaction.claims
            if self._waker is not None and claims.waiting:
                self._waker.enqueue(opened.connection.connection.driver_connection, claims.waiting)
            self._commit(opened)
        if self._waker is not None and claims.cancelled:
            self._waker.abort(claims.cancelled)
        return result

    def _commit(self, opened: _Open) -> None:
        """Raises an error of the driver where it is sure that nothing happened."""
        try:
            opened.connection.connection.commit()
        except psycopg.Error as error:
            # Given back first: whoever asks needs one, and all others may be asking, too.
            self._give_back(opened.connection, error)
            if not self._was_committed(opened):
                raise

    def _was_committed(self, opened: _Open) -> bool:
        """What became of a transaction whose commit was not answered.

        Raises DatabaseUnavailableError where nobody can tell.
        """
        until = time.monotonic() + _FATE_SECONDS
        while time.monotonic() < until:
            with suppress(psycopg.Error, SQLAlchemyError):
                fate, _, crashes = self._asked(_FATE, opened.number).partition(" ")
                if fate == "committed" and crashes != opened.crashes:
                    break  # that may have been another one, to which our number was given
                if fate in {"committed", "aborted"}:
                    return bool(fate == "committed")
            time.sleep(_FATE_AGAIN_SECONDS)
        raise DatabaseUnavailableError("it went away during the commit", busy=False, certain=False)

    def _asked(self, question: str, *values: str) -> Any:  # noqa: ANN401 - whatever it answers
        """The answer to a question outside of any transaction."""
        connection = self._taken()
        try:
            with _cursor(connection) as cursor:
                cursor.execute(question, values)
                answer = (cursor.fetchone() or (None,))[0]
        except BaseException as error:
            self._give_back(connection, error)
            raise
        connection.close()
        return answer

    def read(self, look: Callable[[Transaction], T]) -> T:
        """Run `look` on one snapshot, without waiting for writers."""
        with translated():
            return self._repeated(partial(self._look, look))

    def _look(self, look: Callable[[Transaction], T]) -> T:
        with self._transaction(_TO_READ) as opened:
            found = look(OpenTransaction(opened.connection, self.terms, opened.now))
            # The driver would forget what is prepared if this were rolled back.
            opened.connection.connection.commit()
            return found

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection; the caller begins and ends its transactions."""
        ordinary = {"isolation_level": "READ COMMITTED"}
        with translated(), self._engine.connect() as connection:
            yield connection.execution_options(**ordinary)

    # --- the rest --------------------------------------------------------------------------

    def _snapshot(self) -> str:
        return str(self._asked("SELECT pg_current_snapshot()::text"))

    def watch(self) -> SnapshotWatch:
        """A new watch; it tells of everything that is committed from now on."""
        return SnapshotWatch(self._snapshots)

    def bring_to(self, version: str) -> None:
        try:
            with translated():
                bring_to(self._engine, version)
        finally:
            # Whoever only looks whether all is well keeps no connection.
            self._engine.dispose()

    def version(self) -> str | None:
        with translated(), closing(self._taken()) as connection:
            return version_on(connection)

    def is_pooled(self) -> bool:
        with translated(), self._engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            return _is_pooled(driver)

    def open_engine(self) -> AsyncEngine:
        async def connect() -> psycopg.AsyncConnection[Any]:
            return await psycopg.AsyncConnection.connect(
                self.url, prepare_threshold=None, **_CONNECT
            )

        return create_async_engine(
            "postgresql+psycopg://",
            async_creator=connect,
            pool_size=2,
            max_overflow=0,
            pool_pre_ping=True,
        )

    def open_store(self) -> LoopStore:
        # Imported here because the command line never needs it.
        from store.threads import ThreadStore  # noqa: PLC0415 - see above

        return ThreadStore(self)

    def close(self) -> None:
        """Close every connection."""
        self._snapshots.close()
        self._engine.dispose()
