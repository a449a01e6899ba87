"""One lock per conversation: it gives order, and is held for a command, never for a run.

Correctness does not rest on it: the swap in the database decides.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

MOST_WAITING = 128


class ConversationBusyError(Exception):
    """Too many commands wait for this conversation; this one was not carried out."""


@dataclass(slots=True, weakref_slot=True)
class _Turn:
    """A conversation's lock (first come, first served), and how many wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class ConversationLocks:
    """The locks of all conversations; an idle conversation keeps no memory."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._turns: WeakValueDictionary[str, _Turn] = WeakValueDictionary()
        self._most_waiting = most_waiting

    def __len__(self) -> int:
        """How many conversations have a lock right now."""
        return len(self._turns)

    @asynccontextmanager
    async def hold(self, conversation: str) -> AsyncIterator[None]:
        """Wait for the conversation's turn, in order of arrival, and hold it.

        Raises ConversationBusyError at once when too many wait already.
        """
        turn = self._turns.setdefault(conversation, _Turn())
        if turn.waiting >= self._most_waiting:
            raise ConversationBusyError
        turn.waiting += 1
        try:
            await turn.lock.acquire()
        finally:
            turn.waiting -= 1
        try:
            yield
        finally:
            turn.lock.release()
