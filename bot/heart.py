"""Keeps a worker alive in the eyes of others, and stops what is not its own any more."""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bot import log
from bot.execution import Execution, Stop
from bot.hosts import Host
from bot.ports import DatabaseUnavailableError, LivingWorker, Store, Transaction

_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Who a worker is and how it works; `name` is unique to this process.

    `describe` tells what the host is like now. `shared` where other hosts may go on with its runs.
    """

    name: str
    host: str
    pid: int
    concurrency: int
    heartbeat_seconds: float
    lease_seconds: float
    presence_seconds: float
    describe: Callable[[], Host]
    shared: bool = False
    auto_resume: bool = False


@dataclass(frozen=True, slots=True)
class _Moment:
    """A moment by two clocks: one stands still while the machine sleeps, one may be set."""

    steady: float
    told: float

    @classmethod
    def now(cls) -> "_Moment":
        return cls(time.monotonic(), time.time())

    def seconds_ago(self) -> float:
        """How long ago that was, by the clock that went further."""
        return max(time.monotonic() - self.steady, time.time() - self.told)


class Heart:
    """Renews what its worker has, and knows whether it still has it.

    `known` is set once others could have heard of this process. While it is `barred`, another
    machine goes by the name of its host. `stretch` numbers the times without a gap between two
    beats in which others could have taken this process for gone. Once it is `leaving`, nobody
    counts on it for anything new.
    """

    def __init__(self, post: Post, store: Store, executions: Mapping[str, Execution]) -> None:
        """`executions` are those under way, by their runs, whenever it is looked at."""
        self._post = post
        self._store = store
        self._executions = executions
        self._heard_at = time.monotonic()
        self._beaten = _Moment(-math.inf, -math.inf)
        self._assuring = asyncio.Lock()
        self.stretch = 0
        self.known = asyncio.Event()
        self.barred = False
        self.leaving = False

    async def beat_on(self) -> None:
        """Beat until cancelled."""
        while True:
            await safely("heartbeat", self.beat())
            self.known.set()
            await asyncio.sleep(self._post.heartbeat_seconds)

    async def beat(self) -> None:
        """Renew every lease, and stop the work on those that are lost."""
        known = dict(self._executions)
        epochs = {run_id: execution.run.epoch for run_id, execution in known.items()}
        host = self._post.describe()
        begun = _Moment.now()
        mine = await self._store.write(partial(self._renew, host=host, epochs=epochs))
        self._heard_at = time.monotonic()
        self.stretch += self._is_suspect()
        self._beaten = begun
        self._bar(barred=mine is None)
        for run_id, execution in known.items():
            if mine is None:
                execution.stop(Stop.CUT_OFF)
            elif run_id not in mine:
                execution.stop(Stop.LOST)

    def _is_suspect(self) -> bool:
        """Whether somebody may take this process for gone by now."""
        return self._beaten.seconds_ago() >= self._post.presence_seconds

    def surely_lasts(self, stretch: int) -> bool:
        """Whether nobody can have taken this process for gone since, as far as it knows itself."""
        return self.stretch == stretch and not self._is_suspect()

    async def lasts(self, stretch: int) -> bool:
        """Whether nobody can have taken this process for gone since; nobody does from now on."""
        if self._is_suspect():
            async with self._assuring:
                if self._is_suspect():
                    await self.beat()
        return self.stretch == stretch

    def _renew(
        self, tx: Transaction, host: Host, epochs: Mapping[str, int]
    ) -> Collection[str] | None:
        """Which of these claims are still mine; None where another machine is this host now."""
        post = self._post
        slots = 0 if self.leaving else post.concurrency
        living = LivingWorker(post.name, post.host, post.pid, slots)
        if tx.hosts.announce(host):
            return tx.work.beat(living, epochs)
        # It is alive and answers people all the same, under a name that nobody else has.
        tx.work.beat(replace(living, host=host.place, slots=0), {})
        return None

    def _bar(self, *, barred: bool) -> None:
        if barred != self.barred:
            state = "rejected" if barred else "completed"
            log.event(f"worker.announce_{state}", host=self._post.host)
        self.barred = barred

    async def keep_contact(self) -> None:
        """Without the database for a lease, stop what another host may have taken by now."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            if now - last > 2 * _LOOK_SECONDS:
                # This process slept (a laptop was closed): it gets a chance to beat first.
                self._heard_at = max(self._heard_at, now - self._post.lease_seconds / 2)
            last = now
            if self._post.shared and now - self._heard_at > self._post.lease_seconds:
                self._give_up_movable()

    def _give_up_movable(self) -> None:
        for execution in list(self._executions.values()):
            if execution.run.movable:
                execution.stop(Stop.CUT_OFF)


async def safely(action: str, work: Coroutine[Any, Any, Any]) -> None:
    """A worker outlives whatever goes wrong in one of its actions; the log has it."""
    try:
        await work
    except DatabaseUnavailableError as error:
        log.event(f"worker.{action}_rejected", reason=str(error))
    except Exception as error:  # noqa: BLE001 - see above
        log.fault(f"worker.{action}_failed", error)
