"""The database goes away and comes back; nobody who works notices."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from adapters.engine.engine import Engine
from bot.ports import Wake
from tests.engine.house import (
    Crew,
    asked,
    at_work,
    claim,
    made,
    outage,
    statuses,
    throw_out,
    until,
)

HERE = Wake("abcd1234", 3, "here")
MORE = [Wake(f"more{number}", number, "here") for number in range(4)]
NOWHERE = "postgresql://postgres@127.0.0.1:1/nothing"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.engine.engine._CONNECTION_SECONDS", 0.7)


@pytest.mark.parametrize("listens", [True, False], ids=["listens", "polls"])
async def test_thrown_out_while_working(
    engine: Engine, queues: str, crew: Crew, listens: bool
) -> None:
    async with at_work(engine, crew.take_up, listens=listens):
        claim(engine, queues, HERE)
        await until(lambda: len(crew.begun) == 1)
        for number, wake in enumerate(MORE[:2]):
            throw_out(queues)
            claim(engine, queues, wake)
            await until(lambda number=number: len(crew.begun) == number + 2)  # type: ignore[misc] # bound early
            await engine.abort([wake])
            await until(lambda number=number: len(crew.ended) == number + 1)  # type: ignore[misc] # bound early
        assert crew.cancelled == [wake.run_id for wake in MORE[:2]]
        await until(lambda: statuses(queues) == ["doing"])


@pytest.mark.parametrize(
    "listens",
    [pytest.param(True, id="listens"), pytest.param(False, id="polls", marks=pytest.mark.soak)],
)
async def test_work_goes_on_through_an_outage(
    engine: Engine, queues: str, crew: Crew, events: list[str], listens: bool
) -> None:
    async with at_work(engine, crew.take_up, listens=listens) as working:
        claim(engine, queues, HERE, MORE[0])
        await until(lambda: len(crew.begun) == 2)
        with outage(queues):
            await asyncio.sleep(4)
            await engine.abort([HERE])
            assert await engine.tidy(30) == 0
        assert not working.done()
        assert crew.cancelled == []
        claim(engine, queues, MORE[1])
        await until(lambda: len(crew.begun) == 3)
        await engine.abort([HERE])
        await until(lambda: crew.ended == ["abcd1234"])
        crew.let_go.set()
        await until(lambda: len(crew.ended) == 3)
        await until(lambda: statuses(queues) == [])
    assert {"engine.fetch_rejected", "engine.abort_rejected", "engine.tidy_rejected"} <= set(events)
    assert not any(event.endswith("_failed") for event in events)


async def test_what_ends_during_an_outage_is_finished_after_it(
    engine: Engine, queues: str, crew: Crew, events: list[str]
) -> None:
    async with at_work(engine, crew.take_up, concurrency=2):
        claim(engine, queues, HERE, MORE[0])
        await until(lambda: len(crew.begun) == 2)
        with outage(queues):
            crew.let_go.set()
            await until(lambda: len(crew.ended) == 2)
            await until(lambda: "engine.finish_rejected" in events)
        await until(lambda: statuses(queues) == [])
        claim(engine, queues, MORE[1])
        await until(lambda: len(crew.ended) == 3)


async def test_the_end_during_an_outage(engine: Engine, queues: str, crew: Crew) -> None:
    claim(engine, queues, HERE, MORE[0])
    async with at_work(engine, crew.take_up) as working:
        await until(lambda: len(crew.begun) == 2)
        with outage(queues):
            await asyncio.sleep(1.5)
            began = time.monotonic()
            working.cancel()
            await asyncio.wait({working})
            assert time.monotonic() - began < 5
        assert len(crew.ended) == 2
    assert statuses(queues) == ["doing", "doing"]
    asked(queues, "UPDATE procrastinate_workers SET last_heartbeat = '2001-01-01' RETURNING 1")
    assert await engine.tidy(30) == 2


async def test_an_engine_whose_database_is_away(crew: Crew, events: list[str]) -> None:
    began = time.monotonic()
    engine = Engine(NOWHERE)
    async with engine.running():
        assert time.monotonic() - began < 0.5
        working = asyncio.create_task(engine.work("here", 4, crew.take_up, listens=True))
        await engine.abort([HERE])
        assert await engine.tidy(30) == 0
        assert not working.done()
        began = time.monotonic()
        working.cancel()
        await asyncio.wait({working})
        assert time.monotonic() - began < 0.5
    assert set(events) == {
        "engine.abort_rejected",
        "engine.tidy_rejected",
        "engine.work_rejected",
    }


async def test_a_database_that_comes_later(queues: str, crew: Crew) -> None:
    engine = Engine(queues)
    async with AsyncExitStack() as stack:
        with outage(queues):
            await stack.enter_async_context(engine.running())
            await stack.enter_async_context(at_work(engine, crew.take_up))
            await asyncio.sleep(1)
        claim(engine, queues, HERE)
        await until(lambda: len(crew.begun) == 1)


async def test_an_engine_runs_again(queues: str, crew: Crew) -> None:
    engine = Engine(queues)
    for turn in range(2):
        async with engine.running(), at_work(engine, crew.take_up):
            claim(engine, queues, HERE)
            await until(lambda turn=turn: len(crew.begun) == turn + 1)  # type: ignore[misc] # bound early


async def test_a_database_whose_tables_come_later(postgres_url: str, crew: Crew) -> None:
    engine = Engine(postgres_url)
    async with engine.running(), at_work(engine, crew.take_up):
        await asyncio.sleep(1)
        made(postgres_url)
        claim(engine, postgres_url, HERE)
        await until(lambda: len(crew.begun) == 1)
