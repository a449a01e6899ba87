"""What a worker that was killed left behind is cleared away by any process."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.engine.engine import Engine
from bot.ports import Wake
from tests.engine.house import Crew, asked, at_work, claim, statuses, until

WAKES = [Wake(f"left{number}", number, "here") for number in range(4)]
_ROOT = Path(__file__).parents[2]


@pytest.fixture
async def doomed(queues: str) -> AsyncIterator[Process]:
    """A process that works on all of them."""
    claim(Engine(queues), queues, *WAKES)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.engine.worker", queues, cwd=_ROOT, stdout=PIPE
    )
    assert process.stdout
    begun = {await process.stdout.readline() for _ in WAKES}
    assert begun == {f"{wake.run_id} {wake.epoch}\n".encode() for wake in WAKES}
    yield process
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def test_what_the_living_work_on_is_left_alone(
    doomed: Process, engine: Engine, queues: str
) -> None:
    assert await engine.tidy(5) == 0
    assert statuses(queues) == ["doing"] * len(WAKES)


async def test_the_dead_are_cleared_away_once_by_many_at_once(
    doomed: Process, queues: str, events: list[str]
) -> None:
    doomed.kill()
    await doomed.wait()
    engines = [Engine(queues) for _ in range(4)]
    async with (
        engines[0].running(),
        engines[1].running(),
        engines[2].running(),
        engines[3].running(),
    ):
        assert await engines[0].tidy(30) == 0, "it was heard of a moment ago"
        await asyncio.sleep(1.1)
        cleared = await asyncio.gather(*(engine.tidy(1) for engine in engines))
        assert sum(cleared) == len(WAKES)
        assert await asyncio.gather(*(engine.tidy(1) for engine in engines)) == [0, 0, 0, 0]
    assert statuses(queues) == []
    assert asked(queues, "SELECT count(*) FROM procrastinate_workers") == [(0,)]
    assert asked(queues, "SELECT count(*) FROM procrastinate_events") == [(0,)]
    assert events == []


async def test_a_stopped_process_is_no_obstacle(
    doomed: Process, engine: Engine, queues: str
) -> None:
    """A worker that was terminated kindly leaves nothing, or what anybody clears at once."""
    doomed.terminate()
    await doomed.wait()
    await asyncio.sleep(1.1)
    await engine.tidy(1)
    assert statuses(queues) == []


async def test_clearing_away_begins_with_being_alive(
    engine: Engine, queues: str, crew: Crew
) -> None:
    async with at_work(engine, crew.take_up):
        claim(engine, queues, *WAKES)
        await until(lambda: len(crew.begun) == len(WAKES))
        asked(queues, "UPDATE procrastinate_workers SET last_heartbeat = '2001-01-01' RETURNING 1")
        assert await engine.tidy(30) == 0
        assert statuses(queues) == ["doing"] * len(WAKES)


async def test_whoever_was_taken_for_dead_goes_on(
    engine: Engine, queues: str, crew: Crew, events: list[str]
) -> None:
    async with at_work(engine, crew.take_up):
        claim(engine, queues, *WAKES[:2])
        await until(lambda: len(crew.begun) == 2)
        other = Engine(queues)
        async with other.running():
            asked(
                queues, "UPDATE procrastinate_workers SET last_heartbeat = '2001-01-01' RETURNING 1"
            )
            assert await other.tidy(30) == 2
        claim(engine, queues, *WAKES[2:])
        await until(lambda: len(crew.begun) == len(WAKES))
        assert crew.ended == []
        await engine.abort(WAKES)
        await until(lambda: sorted(crew.cancelled) == ["left2", "left3"])
        crew.let_go.set()
        await until(lambda: len(crew.ended) == len(WAKES))
        assert await engine.tidy(30) == 0
    assert statuses(queues) == []
    assert asked(queues, "SELECT count(*) FROM procrastinate_workers") == [(0,)]
    assert events == []
