"""Noticing that PostgreSQL has committed something, by asking: a pooler passes no notices on."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
from sqlalchemy.exc import SQLAlchemyError

_POLL_SECONDS = 0.1
_FRESH_SECONDS = 0.08


class Snapshots:
    """Which transactions are over, as the database tells it; asked once for all who watch."""

    def __init__(self, ask: Callable[[], str]) -> None:
        self._ask = ask
        self.latest: str | None = None
        self._asked_at = -_FRESH_SECONDS
        self._thread: ThreadPoolExecutor | None = None

    def now(self) -> str | None:
        """Text that is another one whenever any transaction has ended; None where it is silent."""
        if time.monotonic() - self._asked_at >= _FRESH_SECONDS:
            try:
                self.latest = self._ask()
            except (psycopg.Error, SQLAlchemyError):
                self.latest = None
            self._asked_at = time.monotonic()
        return self.latest

    async def soon(self) -> str | None:
        """The same, without making the event loop wait."""
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="watch")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.now)

    def close(self) -> None:
        """Ask no more, until somebody watches again."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
        self._thread = None


class SnapshotWatch:
    """Implements bot.ports.Watch: tells when any process has committed something."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        # What was asked last is old enough; to be told once too often does no harm.
        self._seen = snapshots.latest

    async def changed(self, timeout_seconds: float) -> None:
        """Return once something was committed since the last call, or after the timeout."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while (told := await self._snapshots.soon()) in {self._seen, None}:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return
            await asyncio.sleep(min(_POLL_SECONDS, left))
        self._seen = told

    def close(self) -> None:
        """Watch no longer; nothing is kept open for one watch."""
