"""Joins the engine that wakes workers on many hosts; imported only where the database is shared."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from adapters.engine.engine import Engine, EngineWaker
from bot.heart import safely
from bot.ports import DatabaseUnavailableError
from bot.worker import Worker
from store.database import Database

_TIDY_SECONDS = 30.0
_DEAD_SECONDS = 30.0
_CANCEL_AGAIN_SECONDS = 0.5


def waker_for(url: str) -> EngineWaker:
    """What wakes workers through this database; nothing is connected yet."""
    return EngineWaker(Engine(url))


@asynccontextmanager
async def woken(engine: Engine, database: Database, worker: Worker) -> AsyncIterator[None]:
    """Inside of this a worker is woken, and what dead workers left is cleared away."""
    post = worker.post
    listens = not await _pooled(database)
    async with engine.running():
        tasks = [asyncio.create_task(_tidy_on(engine))]
        if post.concurrency:
            work = engine.work(post.host, post.concurrency, worker.take_up, listens=listens)
            tasks.append(asyncio.create_task(work))
        try:
            yield
        finally:
            await _end(tasks)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel these, again and again: until Python 3.12 a driver's own timeouts may swallow it."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_CANCEL_AGAIN_SECONDS)


async def _tidy_on(engine: Engine) -> None:
    while True:
        await safely("tidy", engine.tidy(_DEAD_SECONDS))
        await asyncio.sleep(_TIDY_SECONDS)


async def _pooled(database: Database) -> bool:
    """Whether a pooler is between; then nothing can be listened to."""
    try:
        return await asyncio.to_thread(database.is_pooled)
    except DatabaseUnavailableError:
        return True
