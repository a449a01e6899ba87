"""The store for a process that carries out one command and ends: no thread, no waiting."""

from collections.abc import Callable
from typing import TypeVar

from bot.ports import Transaction, Watch
from store.database import Database

T = TypeVar("T")


class InlineStore:
    """Implements bot.ports.Store in the calling thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """Run `change` in a transaction that is durable when this returns."""
        result: T | Exception = self._database.write([change])[0]
        if isinstance(result, Exception):
            raise result
        return result

    async def read(self, look: Callable[[Transaction], T]) -> T:
        """Run `look` on one snapshot; it never waits for a writer."""
        return self._database.read(look)

    def watch(self) -> Watch:
        """A new watch; it tells of everything that is committed from now on."""
        return self._database.watch()
