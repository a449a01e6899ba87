"""One worker of procrastinate's, that lives until it is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from procrastinate import App
from procrastinate.jobs import DeleteJobCondition
from procrastinate.worker import Worker

from adapters.engine.jobs import TASK, Jobs
from bot import log

TakeUp = Callable[[str, int], Coroutine[Any, Any, None]]
"""Works on a run under an epoch for as long as this process has to do with it."""

_HEARTBEAT_SECONDS = 10.0
_SILENT_SECONDS = 30.0
_MISSED_SECONDS = 1.0
"""How often to ask for what a notification should have told."""
_POLL_SECONDS = 0.5


async def work(jobs: Jobs, queue: str, concurrency: int, take_up: TakeUp, *, listens: bool) -> None:
    """Work until cancelled; raises where it cannot even begin."""
    app = App(connector=jobs.connector)
    app.job_manager = jobs

    @app.task(name=TASK)
    async def wake(run_id: str, epoch: int) -> None:
        await _undisturbed(take_up, run_id, epoch)

    worker = _worker(app, queue, concurrency, listens=listens)
    running = asyncio.create_task(worker.run())  # type: ignore[no-untyped-call]
    try:
        await asyncio.wait({running})
    except asyncio.CancelledError:
        jobs.leave()
        # Until Python 3.12 a cancellation is lost where what is waited for comes just then.
        worker.stop()  # type: ignore[no-untyped-call]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        raise
    running.result()


def _worker(app: App, queue: str, concurrency: int, *, listens: bool) -> Worker:
    seconds = _MISSED_SECONDS if listens else _POLL_SECONDS
    return Worker(
        app,
        queues=[queue],
        concurrency=concurrency,
        fetch_job_polling_interval=seconds,
        abort_job_polling_interval=seconds,
        shutdown_graceful_timeout=0,
        listen_notify=listens,
        delete_jobs=DeleteJobCondition.ALWAYS,
        install_signal_handlers=False,
        update_heartbeat_interval=_HEARTBEAT_SECONDS,
        stalled_worker_timeout=_SILENT_SECONDS,
    )


async def _undisturbed(take_up: TakeUp, run_id: str, epoch: int) -> None:
    """`take_up`, cancelled once however often this is, and then waited for.

    An abort and the end of this process may come together; what is just stopping what it started
    must not be disturbed in that.
    """
    working = asyncio.create_task(take_up(run_id, epoch))
    told = False
    while not working.done():
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError:
            if not told:
                working.cancel()
            told = True
    if working.cancelled():
        raise asyncio.CancelledError
    if error := working.exception():
        log.fault("engine.wake_failed", error, run=run_id, epoch=epoch)
