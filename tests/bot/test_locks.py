"""The conversation's lock: order, a bound, and no memory when idle."""

import asyncio

import pytest

from bot.locks import MOST_WAITING, ConversationBusyError, ConversationLocks


async def test_first_come_first_served() -> None:
    locks = ConversationLocks()
    served: list[int] = []

    async def ask(number: int) -> None:
        async with locks.hold("c"):
            served.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(ask(number) for number in range(100)))
    assert served == list(range(100))


async def test_no_more_than_128_wait() -> None:
    locks = ConversationLocks()
    release = asyncio.Event()

    async def ask() -> None:
        async with locks.hold("c"):
            await release.wait()

    waiting = [asyncio.create_task(ask()) for _ in range(1 + MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(ConversationBusyError):
        async with locks.hold("c"):
            pass
    async with locks.hold("another"):
        pass
    release.set()
    await asyncio.gather(*waiting)


async def test_idle_conversations_keep_nothing() -> None:
    locks = ConversationLocks()
    for number in range(1000):
        async with locks.hold(str(number)):
            assert len(locks) == 1
    assert len(locks) == 0


async def test_a_cancelled_waiter_leaves_its_place() -> None:
    locks = ConversationLocks()
    async with locks.hold("c"):
        waiting = asyncio.create_task(locks.hold("c").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5), locks.hold("c"):
        pass
