"""The engine behind PgBouncer, which hands out another connection for each transaction."""

import asyncio
from collections.abc import Iterator

import pytest

from adapters.engine.engine import Engine
from bot.ports import Wake
from tests.engine.house import Crew, at_work, claim, statuses, until
from tests.pooler import pooler

WAKES = [Wake(f"pooled{number}", number, "here") for number in range(6)]


@pytest.fixture
def pooled(queues: str) -> Iterator[str]:
    """The address of the same database through a pooler of its own."""
    with pooler(queues) as url:
        yield url


async def test_wakes_and_aborts_through_a_pooler(pooled: str, queues: str, crew: Crew) -> None:
    engine, other = Engine(pooled), Engine(pooled)
    async with (
        engine.running(),
        other.running(),
        at_work(engine, crew.take_up, concurrency=2, listens=False),
        at_work(other, crew.take_up, concurrency=2, listens=False),
    ):
        # More often than a driver needs to prepare a statement.
        for wake in WAKES:
            claim(engine, pooled, wake)
        await until(lambda: len(crew.begun) == 4, 3)
        await asyncio.gather(engine.abort(WAKES[:2]), other.abort(WAKES[2:4]))
        await until(lambda: len(crew.begun) == 6, 3)
        assert sorted(crew.cancelled) == [wake.run_id for wake in WAKES[:4]]
        assert await engine.tidy(30) == 0
        crew.let_go.set()
        await until(lambda: statuses(queues) == [], 3)


async def test_who_listens_through_a_pooler_looks_all_the_same(
    pooled: str, queues: str, crew: Crew, events: list[str]
) -> None:
    engine = Engine(pooled)
    async with engine.running(), at_work(engine, crew.take_up, listens=True):
        # A notification needs a connection of its own, so none is heard here.
        claim(engine, queues, WAKES[0])
        await until(lambda: len(crew.begun) == 1, 3)
        await engine.abort(WAKES)
        await until(lambda: len(crew.ended) == 1, 3)
    assert events == []
