"""The store: one writer thread that commits in groups, and readers that never wait for it."""

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import text

from bot.ports import Transaction, Watch
from store.database import Change
from store.sqlite import SqliteDatabase, prepare_connection, translated
from store.statement import Statement
from store.transaction import OpenTransaction

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")

MOST_IN_A_BATCH = 128


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A change, and who waits for its result."""

    change: Change
    result: asyncio.Future[Any]


_BEGIN = Statement(text("BEGIN"))


def _begin(connection: "Connection") -> None:
    """Readers take no lock."""
    _BEGIN.rows(connection, {})


class SqliteStore:
    """Implements bot.ports.Store for one event loop; `start` before use, `close` after it."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._carry_out, name="writer", daemon=True)
        self._readers: AsyncEngine | None = None

    def start(self) -> None:
        """Start the writer; call it in the event loop that will wait for it."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """Carry out what is queued, then close every connection."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._readers is not None:
            await self._readers.dispose()
        self._database.close()

    def watch(self) -> Watch:
        """A new watch; it tells of everything that is committed from now on."""
        return self._database.watch()

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """Run `change` in a transaction that is durable when this returns."""
        result: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Waiting(change, result))
        return await result

    def _take(self) -> list[_Waiting]:
        """The changes of the next batch, oldest first; empty when the store is closing."""
        first = self._queue.get()
        if first is None:
            return []
        taken = [first]
        while len(taken) < MOST_IN_A_BATCH and not self._queue.empty():
            following = self._queue.get()
            if following is None:
                self._queue.put(None)
                break
            taken.append(following)
        return taken

    def _carry_out(self) -> None:
        while batch := self._take():
            results = self._database.write([waiting.change for waiting in batch])
            self._loop.call_soon_threadsafe(self._settle, batch, results)

    @staticmethod
    def _settle(batch: list[_Waiting], results: list[Any]) -> None:
        for waiting, result in zip(batch, results, strict=True):
            if waiting.result.cancelled():
                continue
            if isinstance(result, StopIteration):
                # A future refuses it, and nobody else may wait for that.
                waiting.result.set_exception(RuntimeError(repr(result)))
            elif isinstance(result, Exception):
                waiting.result.set_exception(result)
            else:
                waiting.result.set_result(result)

    async def read(self, look: Callable[[Transaction], T]) -> T:
        """Run `look` on one snapshot; it never waits for a writer."""
        engine = self._readers = self._readers or self._open_readers()
        with translated():
            async with engine.connect() as connection:
                return await connection.run_sync(self._look, look)

    def _look(self, connection: "Connection", look: Callable[[Transaction], T]) -> T:
        terms, now = self._database.terms, self._database.clock()
        with connection.begin():
            return look(OpenTransaction(connection, terms, now))

    def _open_readers(self) -> "AsyncEngine":
        # Imported here because the command line never needs it and it is slow to import.
        from sqlalchemy import event  # noqa: PLC0415 - see above
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - see above

        url = f"sqlite+aiosqlite:///{self._database.file}"
        engine = create_async_engine(url)
        event.listen(engine.sync_engine, "connect", prepare_connection)
        event.listen(engine.sync_engine, "begin", _begin)
        return engine
