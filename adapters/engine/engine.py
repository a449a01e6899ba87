"""What the rest of Baton uses of the engine."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from procrastinate import PsycopgConnector, sql
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status
from psycopg import AsyncConnection, Connection
from psycopg_pool import AsyncConnectionPool

from adapters.engine.jobs import TASK, Jobs, id_of, job_of, pauses, queue_of, why
from adapters.engine.work import TakeUp, work
from bot import log
from bot.ports import Wake

_CONNECTION_SECONDS = 3.0
_CONNECT = {
    "connect_timeout": 5,
    "application_name": "baton",
    # Prepared statements would stay behind on a pooler's connection.
    "prepare_threshold": None,
    # A peer that vanished without a word is noticed within seconds.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class Engine:
    """Wakes, and is woken. All but `enqueue` has to happen while it is `running`."""

    def __init__(self, url: str) -> None:
        # What matters is logged by ourselves.
        for library in ("procrastinate", "psycopg"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        self._url = url
        self._jobs = Jobs(PsycopgConnector())
        self._at_work: set[Jobs] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._aborting: set[asyncio.Task[None]] = set()

    def enqueue(self, connection: Connection[Any], wakes: Sequence[Wake]) -> None:
        """Wake a worker for each of these, if the open transaction is committed.

        Raises what the driver raises. This is procrastinate's own statement, without what its
        manager does before and after it: that would cost nearly a third more.
        """
        if wakes:
            connection.execute(sql.queries["defer_jobs"], {"jobs": [job_of(w) for w in wakes]})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Inside of this there are connections, as soon as the database answers."""
        async with _pool(self._url) as pool:
            connector = PsycopgConnector()
            await connector.open_async(pool)
            self._jobs = Jobs(connector)
            self._loop = asyncio.get_running_loop()
            try:
                yield
            finally:
                self._loop = None
                self._jobs.leave()
                await asyncio.sleep(0)  # so that what was asked for just now has begun
                await asyncio.gather(*self._aborting)

    def abort_soon(self, wakes: Sequence[Wake]) -> None:
        """Let an abort follow, from any thread; where this is not running, none does."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # that loop has just ended
                loop.call_soon_threadsafe(self._begin_abort, wakes)

    def _begin_abort(self, wakes: Sequence[Wake]) -> None:
        aborting = asyncio.create_task(self.abort(wakes))
        self._aborting.add(aborting)
        aborting.add_done_callback(self._aborting.discard)

    async def abort(self, wakes: Sequence[Wake]) -> None:
        """Cancel `take_up` wherever it works on one of these; for use after a commit."""
        await self._jobs.ask("abort", self._abort(wakes))

    async def _abort(self, wakes: Sequence[Wake]) -> None:
        for host in {wake.host for wake in wakes}:
            wanted = {(wake.run_id, wake.epoch) for wake in wakes if wake.host == host}
            for job in await self._jobs.list_jobs_async(
                queue=queue_of(host), task=TASK, status=Status.DOING.value
            ):
                if (job.task_kwargs["run_id"], job.task_kwargs["epoch"]) in wanted:
                    await self._jobs.cancel_job_by_id_async(id_of(job), abort=True)

    async def tidy(self, silent_seconds: float) -> int:
        """Delete what dead workers left behind; any number of processes may do it at once.

        Returns how many wakes that were; whoever was to be woken was told once, or not at all.
        """
        return await self._jobs.ask("tidy", self._tidy(silent_seconds)) or 0

    async def _tidy(self, silent_seconds: float) -> int:
        # After a gap in this process's own time (a laptop slept) it is not dead itself.
        await asyncio.gather(*(jobs.beat() for jobs in self._at_work))
        left = await self._jobs.get_stalled_jobs(
            task_name=TASK, seconds_since_heartbeat=silent_seconds
        )
        deleted = [await self._jobs.delete(job, Status.FAILED) for job in left]
        await self._jobs.prune_stalled_workers(silent_seconds)
        return deleted.count(True)

    async def work(self, host: str, concurrency: int, take_up: TakeUp, *, listens: bool) -> None:
        """Await `take_up` for every wake of a host, until cancelled; then each of them is, too.

        Without `listens` the database is asked again and again, as behind a pooler.
        """
        for pause in pauses():
            jobs = Jobs(self._jobs.connector)
            self._at_work.add(jobs)
            try:
                await work(jobs, queue_of(host), concurrency, take_up, listens=listens)
            except ConnectorException as error:
                log.event("engine.work_rejected", reason=why(error))
            except Exception as error:  # noqa: BLE001 - wakes are wanted whatever goes wrong
                log.fault("engine.work_failed", error)
            finally:
                self._at_work.discard(jobs)
            await asyncio.sleep(pause)


@dataclass(frozen=True, slots=True)
class EngineWaker:
    """Implements bot.ports.Waker for a store whose transactions have threads of their own."""

    engine: Engine

    def enqueue(self, connection: Connection[Any], wakes: Sequence[Wake]) -> None:
        self.engine.enqueue(connection, wakes)

    def abort(self, wakes: Sequence[Wake]) -> None:
        self.engine.abort_soon(wakes)


def _pool(url: str) -> AsyncConnectionPool[AsyncConnection[Any]]:
    return AsyncConnectionPool(
        url,
        kwargs=_CONNECT,
        min_size=1,
        max_size=3,
        timeout=_CONNECTION_SECONDS,
        # The pool would double its pauses. So it gives up, and begins anew when it is asked.
        reconnect_timeout=1.0,
        configure=_commit_each,
        check=AsyncConnectionPool.check_connection,
        open=False,
    )


async def _commit_each(connection: AsyncConnection[Any]) -> None:
    """Each statement here is a transaction of its own: one round trip, not three.

    Not among the pool's keyword arguments: procrastinate adds it there itself, to listen.
    """
    await connection.set_autocommit(True)
