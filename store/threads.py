"""The store on PostgreSQL: some threads, each with one transaction at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from bot.ports import DatabaseUnavailableError, Transaction, Watch
from store.postgres import READERS, WRITERS, PostgresDatabase

T = TypeVar("T")

_LONGEST_SECONDS = 45.0
"""Longer than everything that has a limit of its own, together."""


class ThreadStore:
    """Implements bot.ports.Store; readers have threads of their own and wait for no writer."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")

    def start(self) -> None:
        """There is nothing to do: threads start when they are needed."""

    async def close(self) -> None:
        """Carry out what was asked for, then close every connection."""
        await asyncio.to_thread(self._writers.shutdown)
        await asyncio.to_thread(self._readers.shutdown)
        await asyncio.to_thread(self._database.close)

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """Run `change` in a transaction that is durable when this returns."""
        result: T | Exception
        (result,) = await _in_time(self._writers.submit(self._database.write, [change]))
        if isinstance(result, Exception):
            raise result
        return result

    async def read(self, look: Callable[[Transaction], T]) -> T:
        """Run `look` on one snapshot; it never waits for a writer."""
        return await _in_time(self._readers.submit(self._database.read, look))

    def watch(self) -> Watch:
        """A new watch; it tells of everything that is committed from now on."""
        return self._database.watch()


async def _in_time(job: Future[T]) -> T:
    """What a thread comes to; a server may hold a connection and yet say nothing for ever.

    Raises DatabaseUnavailableError then: certain only where the job had not even begun.
    """
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            return await asyncio.wrap_future(job)
    except TimeoutError as error:
        never_begun = job.cancelled()
        raise DatabaseUnavailableError(
            "it does not answer", busy=False, certain=never_begun
        ) from error
