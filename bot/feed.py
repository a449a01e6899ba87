"""Tells of every change of every run to whoever listens, whichever process made it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from bot import log
from bot.ports import DatabaseUnavailableError, Store, Transaction
from bot.run import Run

MOST_OF_ONE = 250
"""So many may listen under one name; each open browser and each script is one."""
_RECHECK_SECONDS = 1.0
LATE_SECONDS = 15.0
_LATE_AT_MOST = 256
"""An event that is committed after more than so many with higher numbers is not told of."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Up to where the database was read: the newest events, and the versions of what is live.

    Where many processes write, an event may be committed after another with a higher number.
    """

    newest: int
    events: frozenset[int]
    live: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _News:
    """What changed since then: runs, and whether there was anything else."""

    seen: _Seen
    runs: Sequence[Run]
    other: bool


@dataclass(slots=True, eq=False)
class Listener:
    """Who listens. Whoever is slow misses states in between, never the last one.

    `suspect` is set where something changed that is no run: perhaps what lets them listen.
    """

    name: str = ""
    suspect: bool = False
    _closed: bool = False
    _waiting: dict[str, Run] = field(default_factory=dict)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, runs: Iterable[Run]) -> None:
        """This is how these runs are now."""
        self._waiting.update((run.id, run) for run in runs)
        self._arrived.set()

    def close(self) -> None:
        """There is nothing more to be told."""
        self._closed = True
        self._arrived.set()

    async def changes(self, pause_seconds: float) -> AsyncIterator[Sequence[Run]]:
        """Runs as they change; none after each pause in which nothing did."""
        while not self._closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self._arrived.wait()
            runs, self._waiting = list(self._waiting.values()), {}
            self._arrived.clear()
            if not self._closed:
                yield runs


class RunFeed:
    """Reads the database once for all who listen."""

    def __init__(self, store: Store, most: int) -> None:
        """`most` may listen at once."""
        self._store = store
        self._most = most
        self._listeners: set[Listener] = set()
        self._closed = False
        self._seen: _Seen | None = None
        self._looked_at = time.monotonic()

    def has_room(self, name: str) -> bool:
        """Whether one more may listen, under this name."""
        of_name = sum(listener.name == name for listener in self._listeners)
        return len(self._listeners) < self._most and of_name < MOST_OF_ONE

    @contextmanager
    def listening(self, name: str) -> Iterator[Listener]:
        """Hear of everything that changes inside of this."""
        listener = Listener(name)
        self._listeners.add(listener)
        if self._closed:
            listener.close()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    @property
    def audience(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @property
    def late(self) -> bool:
        """Whether nobody has heard for long of what changes, for whatever reason."""
        return time.monotonic() - self._looked_at > LATE_SECONDS

    def close(self) -> None:
        """Let everybody go, and whoever still comes."""
        self._closed = True
        for listener in self._listeners:
            listener.close()

    async def begin(self) -> None:
        """Whatever changes from now on is told."""
        with _surviving():
            await self._look()

    async def keep(self) -> None:
        """Tell of changes until cancelled, whatever goes wrong meanwhile."""
        while True:
            with _surviving():
                await self._follow()
            await asyncio.sleep(_RECHECK_SECONDS)

    async def _follow(self) -> None:
        watch = self._store.watch()
        try:
            while True:
                await self._look()
                await watch.changed(_RECHECK_SECONDS)
        finally:
            watch.close()

    async def _look(self) -> None:
        news = await self._store.read(partial(_changes, seen=self._seen))
        self._seen, self._looked_at = news.seen, time.monotonic()
        for listener in self._listeners:
            listener.suspect |= news.other
            if news.runs or news.other:
                listener.tell(news.runs)


@contextmanager
def _surviving() -> Iterator[None]:
    """What goes wrong inside of this is logged; the next round may do better."""
    try:
        yield
    except DatabaseUnavailableError as error:
        log.event("feed.look_rejected", reason=str(error))
    except Exception as error:  # noqa: BLE001 - whoever listens would never hear anything again
        log.fault("feed.look_failed", error)


def _changes(tx: Transaction, seen: _Seen | None) -> _News:
    live = tx.watching.live()
    newest = seen.newest if seen else tx.watching.last_event()
    late = tx.watching.events_since(newest - _LATE_AT_MOST)
    now = _Seen(max((n for n, _ in late), default=newest), frozenset(n for n, _ in late), live)
    if seen is None:
        return _News(now, (), other=False)
    events = [(number, run_id) for number, run_id in late if number not in seen.events]
    changed = {run_id: None for _, run_id in events if run_id is not None}
    changed |= {one: None for one, version in live.items() if seen.live.get(one) != version}
    changed |= {one: None for one in seen.live if one not in live}
    found = [run for run_id in changed if (run := tx.runs.get(run_id)) is not None]
    return _News(now, found, other=any(run_id is None for _, run_id in events))
