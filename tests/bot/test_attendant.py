"""How an attendant is told to leave."""

import asyncio
from types import SimpleNamespace
from typing import Any

from bot.attendant import Attendant


async def test_what_keeps_the_cards_is_cancelled_once_and_comes_to_its_end() -> None:
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def keep() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await may_end.wait()
            ended.set()

    async def nothing(*_: object) -> list[object]:
        return []

    counter: Any = SimpleNamespace(
        platform="slack",
        keeper=SimpleNamespace(keep=keep),
        inside=SimpleNamespace(
            dispatcher=SimpleNamespace(take_over=nothing), presence=SimpleNamespace(stretch=0)
        ),
    )
    attending = asyncio.create_task(Attendant(counter).attend())
    await begun.wait()
    attending.cancel()
    for _ in range(10):  # turns of the loop, in which it might be cancelled again
        await asyncio.sleep(0)
    may_end.set()
    await asyncio.gather(attending, return_exceptions=True)
    assert ended.is_set()
