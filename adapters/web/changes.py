"""What worktrees hold, asked of git once for all who look at the same one."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from bot import log
from bot.run import Run, Worktree

_FRESH_SECONDS = 2.0
_MOST_KNOWN = 256
_AT_ONCE = 4


class Changes:
    """Remembers what git told, and asks it about a few worktrees at a time."""

    def __init__(self, ask: Callable[[Run], Awaitable[str]]) -> None:
        self._ask = ask
        self._known: dict[Worktree, tuple[float, str]] = {}
        self._asking: dict[Worktree, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def of(self, run: Run, patience_seconds: float) -> str:
        """What git tells within this time; what it told before where that takes longer."""
        at, _ = self._known.get(run.worktree, (-math.inf, ""))
        if time.monotonic() - at > _FRESH_SECONDS:
            asking = self._asking.get(run.worktree) or self._begin(run)
            await asyncio.wait({asking}, timeout=patience_seconds)
        return self._known.get(run.worktree, (at, ""))[1]

    def _begin(self, run: Run) -> asyncio.Task[None]:
        asking = asyncio.create_task(self._remember(run))
        self._asking[run.worktree] = asking
        asking.add_done_callback(lambda _: self._asking.pop(run.worktree))
        return asking

    async def _remember(self, run: Run) -> None:
        async with self._turn:
            try:
                told = await self._ask(run)
            except Exception as error:  # noqa: BLE001 - the page has other things to show
                log.fault("web.changes_failed", error, run=run.id)
                told = ""
        self._known.pop(run.worktree, None)
        self._known[run.worktree] = time.monotonic(), told
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
