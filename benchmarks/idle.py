"""What conversations cost once nobody talks in them."""

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator

from benchmarks.figures import Effort, Figure
from bot.locks import ConversationLocks

CONVERSATIONS = 100_000


async def _talk(locks: ConversationLocks, first: int, count: int) -> None:
    for number in range(first, first + count):
        async with locks.hold(f"slack:T1:C1:{number}"):
            pass


async def _kept() -> int:
    locks = ConversationLocks()
    await _talk(locks, 0, 100)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    await _talk(locks, 100, CONVERSATIONS)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(locks) == 0, "an idle conversation has a lock"
    return after - before


def measure(_effort: Effort) -> Iterator[Figure]:
    """The bytes that stay behind."""
    yield Figure(name="idle_locks_bytes", value=asyncio.run(_kept()), unit="bytes")
