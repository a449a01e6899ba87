"""The store on PostgreSQL: some threads, each with one transaction at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bot.ports import Transaction, Watch
from store.postgres import READERS, WRITERS, PostgresDatabase

T = TypeVar("T")


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
        loop = asyncio.get_running_loop()
        result: T | Exception
        (result,) = await loop.run_in_executor(self._writers, self._database.write, [change])
        if isinstance(result, Exception):
            raise result
        return result

    async def read(self, look: Callable[[Transaction], T]) -> T:
        """Run `look` on one snapshot; it never waits for a writer."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._database.read, look)

    def watch(self) -> Watch:
        """A new watch; it tells of everything that is committed from now on."""
        return self._database.watch()
