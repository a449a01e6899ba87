"""One lock per conversation: it gives order, and is held for a command, never for a run.

Correctness does not rest on it: the swap in the database decides.
"""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType

MOST_WAITING = 128


class ConversationBusyError(Exception):
    """Too many commands wait for this conversation; this one was not carried out."""


@dataclass(slots=True)
class _Turn:
    """A conversation's lock (first come, first served), and how many hold it or wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class ConversationLocks:
    """The locks of all conversations; an idle conversation keeps no memory."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._turns: dict[str, _Turn] = {}
        self._most_users = most_waiting + 1

    def __len__(self) -> int:
        """How many conversations have a lock right now."""
        return len(self._turns)

    def hold(self, conversation: str) -> "_Hold":
        """Wait for the conversation's turn, in order of arrival, and hold it: `async with`.

        Entering raises ConversationBusyError at once when too many wait already.
        """
        return _Hold(self, conversation)

    def enter(self, conversation: str) -> asyncio.Lock:
        """Count one more user of this conversation's lock."""
        turn = self._turns.setdefault(conversation, _Turn())
        if turn.users >= self._most_users:
            raise ConversationBusyError
        turn.users += 1
        return turn.lock

    def leave(self, conversation: str) -> None:
        """Count one user less; the last one takes the lock away."""
        turn = self._turns[conversation]
        turn.users -= 1
        if turn.users == 0:
            del self._turns[conversation]
        if not self._turns:
            # A dictionary that was large once keeps its size until it is cleared.
            self._turns.clear()


class _Hold:
    """One stay in a conversation. A class, since asyncio remembers every generator it meets."""

    __slots__ = ("_conversation", "_lock", "_locks")

    def __init__(self, locks: ConversationLocks, conversation: str) -> None:
        self._locks = locks
        self._conversation = conversation
        self._lock: asyncio.Lock | None = None

    async def __aenter__(self) -> None:
        lock = self._locks.enter(self._conversation)
        try:
            await lock.acquire()
        except BaseException:
            self._locks.leave(self._conversation)
            raise
        self._lock = lock

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lock is not None:
            self._lock.release()
            self._locks.leave(self._conversation)
