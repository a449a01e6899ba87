"""What conversations cost once nobody talks in them."""

import asyncio
import gc
import inspect
import tracemalloc
from collections.abc import Iterator
from contextlib import AsyncExitStack

from benchmarks.figures import Effort, Figure
from bot.locks import ConversationLocks

CONVERSATIONS = 100_000


async def _talk(locks: ConversationLocks, first: int, count: int) -> None:
    """Hold the locks of so many conversations at once."""
    async with AsyncExitStack() as held:
        for number in range(first, first + count):
            await held.enter_async_context(locks.hold(f"slack:T1:C1:{number}"))


def _bytes() -> int:
    """What the module of the locks has allocated and still keeps."""
    gc.collect()
    ours = tracemalloc.Filter(inclusive=True, filename_pattern=inspect.getfile(ConversationLocks))
    traces = tracemalloc.take_snapshot().filter_traces([ours])
    return sum(trace.size for trace in traces.traces)


async def _kept(at_once: int) -> int:
    """The bytes that stay behind when so many at a time were held, until all had their turn."""
    tracemalloc.start()
    locks = ConversationLocks()
    await _talk(locks, 0, 1)
    before = _bytes()
    for first in range(0, CONVERSATIONS, at_once):
        await _talk(locks, first, at_once)
    after = _bytes()
    tracemalloc.stop()
    assert len(locks) == 0, "an idle conversation has a lock"
    return after - before


def measure(_effort: Effort) -> Iterator[Figure]:
    """One conversation after another, and the worst case: all of them at the same time."""
    for name, at_once in (("idle_locks_bytes", 1), ("idle_locks_bytes_at_once", CONVERSATIONS)):
        yield Figure(name=name, value=asyncio.run(_kept(at_once)), unit="bytes")
