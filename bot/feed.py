"""Tells of every change of every run to whoever listens, whichever process made it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from bot import log
from bot.ports import DatabaseUnavailableError, Store, Transaction
from bot.run import Run

_RECHECK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """Up to where the database was read: the newest event, and the versions of what is live."""

    event: int
    live: Mapping[str, int]


@dataclass(slots=True, eq=False)
class Listener:
    """Who listens. Whoever is slow misses states in between, never the last one."""

    _waiting: dict[str, Run] = field(default_factory=dict)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, run: Run) -> None:
        """This is how the run is now."""
        self._waiting[run.id] = run
        self._arrived.set()

    async def runs(self, pause_seconds: float) -> AsyncIterator[Run | None]:
        """Runs as they change; None after each pause in which nothing did."""
        while True:
            try:
                async with asyncio.timeout(pause_seconds):
                    await self._arrived.wait()
            except TimeoutError:
                yield None
                continue
            waiting, self._waiting = self._waiting, {}
            self._arrived.clear()
            for run in waiting.values():
                yield run


class RunFeed:
    """Reads the database once for all who listen."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: set[Listener] = set()

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """Hear of everything that changes inside of this."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    @property
    def audience(self) -> int:
        """How many listen."""
        return len(self._listeners)

    async def keep(self) -> None:
        """Tell of changes until cancelled."""
        watch = self._store.watch()
        seen: _Seen | None = None
        try:
            while True:
                seen = await self._look(seen)
                await watch.changed(_RECHECK_SECONDS)
        finally:
            watch.close()

    async def _look(self, seen: _Seen | None) -> _Seen | None:
        try:
            now, changed = await self._store.read(partial(_changes, seen=seen))
        except DatabaseUnavailableError as error:
            log.event("feed.look_rejected", reason=str(error))
            return seen
        for run in changed:
            for listener in self._listeners:
                listener.tell(run)
        return now


def _changes(tx: Transaction, seen: _Seen | None) -> tuple[_Seen, Sequence[Run]]:
    live = tx.watching.live()
    if seen is None:
        return _Seen(tx.watching.last_event(), live), ()
    events = tx.watching.events_since(seen.event)
    changed = {run_id: None for _, run_id in events if run_id is not None}
    changed |= {
        run_id: None for run_id, version in live.items() if seen.live.get(run_id) != version
    }
    changed |= {one: None for one in seen.live if one not in live}
    found = [run for run_id in changed if (run := tx.runs.get(run_id)) is not None]
    return _Seen(max((number for number, _ in events), default=seen.event), live), found
