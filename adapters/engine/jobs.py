"""What a procrastinate worker asks the database for, made to live through outages."""

import asyncio
import hashlib
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, repeat
from typing import TypeVar

from procrastinate.connector import BaseConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager, NotificationCallback
from procrastinate.types import JobToDefer
from psycopg.errors import ForeignKeyViolation, RaiseException
from psycopg.types.json import Jsonb

from bot import log
from bot.ports import Wake

T = TypeVar("T")

TASK = "baton.wake"
_ANSWER_SECONDS = 10.0
_FAREWELL_SECONDS = 1.0
_LISTEN_AGAIN_SECONDS = 2.0
_LONGEST_QUEUE = 40
"""In bytes: PostgreSQL refuses a transaction that notifies a channel of more than 63, and
procrastinate puts 23 before the name of the queue."""


def queue_of(host: str) -> str:
    """The queue of a host."""
    queue = f"baton@{host}"
    if len(queue.encode()) <= _LONGEST_QUEUE:
        return queue
    return f"baton@{hashlib.blake2b(host.encode(), digest_size=16).hexdigest()}"


def job_of(wake: Wake) -> JobToDefer:
    """What is put into the queue. No locks: the row of a dead worker would keep them."""
    return JobToDefer(
        queue_name=queue_of(wake.host),
        task_name=TASK,
        priority=0,
        lock=None,
        queueing_lock=None,
        args=Jsonb({"run_id": wake.run_id, "epoch": wake.epoch}),  # type: ignore[arg-type] # what the driver sends
        scheduled_at=None,
    )


def pauses() -> Iterator[float]:
    """How long to wait before trying again; for ever."""
    return chain((0.5, 1.0, 2.0), repeat(5.0))


def why(error: Exception) -> str:
    """The kind of an error; its words may tell addresses and names."""
    cause = error.__cause__ if isinstance(error, ConnectorException) else None
    return type(cause or error).__name__


class Jobs(JobManager):
    """The jobs of one worker.

    procrastinate's own would end the worker at some failures, with everything that it works on;
    after others it goes on without a heartbeat, or deaf: it watches over what beats and listens
    for it only until the first such task has ended, and one of them ends at once.
    """

    def __init__(self, connector: BaseConnector) -> None:
        super().__init__(connector)
        self._worker_id = 0
        self._leaving = asyncio.Event()
        self._limits: set[asyncio.Timeout] = set()

    async def ask(self, what: str, question: Awaitable[T]) -> T | None:
        """What the database answers; that it does not is logged, and the answer is None."""
        seconds = _FAREWELL_SECONDS if self._leaving.is_set() else _ANSWER_SECONDS
        limit = asyncio.timeout(seconds)
        self._limits.add(limit)
        try:
            async with limit:
                return await question
        except (ConnectorException, TimeoutError) as error:
            log.event(f"engine.{what}_rejected", reason=why(error))
            return None
        finally:
            self._limits.discard(limit)

    def leave(self) -> None:
        """Wait for no answer for long any more."""
        self._leaving.set()
        until = asyncio.get_running_loop().time() + _FAREWELL_SECONDS
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(until)

    async def beat(self) -> None:
        """Be alive, if this worker is known yet."""
        if self._worker_id:
            await self.update_heartbeat(self._worker_id)

    async def delete(self, job: Job, status: Status) -> bool:
        """Delete the row of a job; False where another was faster."""
        try:
            await self.finish_job_by_id_async(id_of(job), status, delete_job=True)
        except ConnectorException as error:
            if isinstance(error.__cause__, RaiseException):
                return False
            raise
        return True

    # --- what procrastinate's worker calls -------------------------------------------------

    async def register_worker(self) -> int:
        """Take a new name, under which this worker is alive."""
        self._worker_id = await super().register_worker()
        return self._worker_id

    async def unregister_worker(self, worker_id: int) -> None:  # noqa: ARG002 - ours may be newer
        """Be gone; what is still in this worker's name is nobody's."""
        await self.ask("depart", super().unregister_worker(self._worker_id))

    async def update_heartbeat(self, worker_id: int) -> None:  # noqa: ARG002 - ours may be newer
        """Be alive."""
        await self.ask("heartbeat", super().update_heartbeat(self._worker_id))

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:  # noqa: ARG002 - ours may be newer
        """Take a job, if there is one and the database answers."""
        return await self.ask("fetch", self._fetched(queues))

    async def _fetched(self, queues: Iterable[str] | None) -> Job | None:
        try:
            return await super().fetch_job(queues, self._worker_id)
        except ConnectorException as error:
            if not isinstance(error.__cause__, ForeignKeyViolation):
                raise
        # Others took this worker for dead, since nothing was heard of it for too long.
        await self.register_worker()
        return await super().fetch_job(queues, self._worker_id)

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:  # noqa: ARG002, FBT001 - not ours
        """Delete the row of a job, however long that takes: nobody else will while we live."""
        for pause in pauses():
            if await self.ask("finish", self.delete(job, status)) is not None:
                return
            if self._leaving.is_set():
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), pause)

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """Hear of jobs until cancelled."""
        while True:
            try:
                await super().listen_for_jobs(on_notification=on_notification, queues=queues)
            except ConnectorException as error:
                log.event("engine.listen_rejected", reason=why(error))
            await asyncio.sleep(_LISTEN_AGAIN_SECONDS)


def id_of(job: Job) -> int:
    """The id of a job that came from the database."""
    if job.id is None:
        raise ValueError(job)
    return job.id
