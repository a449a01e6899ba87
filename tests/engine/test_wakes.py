"""A committed claim wakes one worker of its host; an abort reaches whoever works on it."""

import asyncio
import random
import time

import psycopg
import pytest

from adapters.engine.engine import Engine, EngineWaker
from adapters.engine.jobs import queue_of
from bot.ports import Wake, Waker
from tests.engine.house import Crew, asked, at_work, claim, statuses, until

HERE = Wake("abcd1234", 3, "here")
MORE = [Wake(f"more{number}", number, "here") for number in range(6)]


def test_what_is_rolled_back_wakes_nobody(queues: str) -> None:
    engine = Engine(queues)
    with psycopg.connect(queues, autocommit=True) as connection:
        connection.execute("BEGIN")
        engine.enqueue(connection, [HERE])
        connection.execute("ROLLBACK")
    assert statuses(queues) == []


def test_what_is_committed_waits_in_the_queue_of_its_host(queues: str) -> None:
    claim(Engine(queues), queues, HERE)
    question = (
        "SELECT queue_name, task_name, args, lock, queueing_lock, status FROM procrastinate_jobs"
    )
    args = {"run_id": "abcd1234", "epoch": 3}
    assert asked(queues, question) == [("baton@here", "baton.wake", args, None, None, "todo")]


def test_several_are_one_statement(queues: str) -> None:
    claim(Engine(queues), queues, *MORE)
    assert statuses(queues) == ["todo"] * len(MORE)
    same = asked(
        queues,
        "SELECT count(DISTINCT xmin::text), min(cmin::text), max(cmin::text)"
        " FROM procrastinate_jobs",
    )
    assert same[0][0] == 1
    assert same[0][1] == same[0][2]


def test_none_is_no_statement(queues: str) -> None:
    connection = psycopg.connect(queues)
    connection.close()
    Engine(queues).enqueue(connection, [])


def test_errors_are_the_driver_s(queues: str) -> None:
    with psycopg.connect(queues, autocommit=True) as connection:
        connection.execute("DROP TABLE procrastinate_jobs CASCADE")
        with pytest.raises(psycopg.errors.UndefinedTable):
            Engine(queues).enqueue(connection, [HERE])


def test_the_claims_of_one_transaction_can_be_pipelined(queues: str) -> None:
    with psycopg.connect(queues, autocommit=True) as connection:
        connection.execute("BEGIN")
        with connection.pipeline():
            Engine(queues).enqueue(connection, MORE)
            connection.execute("COMMIT")
    assert statuses(queues) == ["todo"] * len(MORE)


@pytest.mark.alone
@pytest.mark.parametrize("listens", [True, False], ids=["listens", "polls"])
async def test_an_idle_worker_is_woken_within_a_second(
    engine: Engine, queues: str, crew: Crew, listens: bool
) -> None:
    async with at_work(engine, crew.take_up, listens=listens):
        await asyncio.sleep(1.2)
        claim(engine, queues, HERE)
        await until(lambda: crew.begun == [("abcd1234", 3)], 1)
        assert statuses(queues) == ["doing"]
        crew.let_go.set()
        await until(lambda: statuses(queues) == [])


async def test_what_waited_before_the_worker_came_is_taken_up(
    engine: Engine, queues: str, crew: Crew
) -> None:
    claim(engine, queues, HERE)
    async with at_work(engine, crew.take_up):
        await until(lambda: crew.begun == [("abcd1234", 3)])


async def test_no_more_than_there_are_hands(engine: Engine, queues: str, crew: Crew) -> None:
    claim(engine, queues, *MORE)
    async with at_work(engine, crew.take_up, concurrency=2):
        await until(lambda: len(crew.begun) == 2)
        await asyncio.sleep(0.3)
        assert sorted(statuses(queues)) == ["doing"] * 2 + ["todo"] * 4
        crew.let_go.set()
        await until(lambda: len(crew.ended) == len(MORE))
        await until(lambda: statuses(queues) == [])
    assert sorted(crew.begun) == [(wake.run_id, wake.epoch) for wake in MORE]


async def test_no_hands(engine: Engine, queues: str, crew: Crew) -> None:
    claim(engine, queues, HERE)
    async with at_work(engine, crew.take_up, concurrency=0, listens=False):
        await asyncio.sleep(1.2)
    assert statuses(queues) == ["todo"]


LONG = "ein-überaus-langer-name-eines-rechners-" * 5


async def test_each_host_has_its_queue(engine: Engine, queues: str) -> None:
    hosts = ["here", "there", LONG, f"{LONG}2"]
    crews = [Crew() for _ in hosts]
    assert len({queue_of(host) for host in hosts}) == len(hosts)
    async with (
        at_work(engine, crews[0].take_up, hosts[0]),
        at_work(engine, crews[1].take_up, hosts[1]),
        at_work(engine, crews[2].take_up, hosts[2]),
        at_work(engine, crews[3].take_up, hosts[3]),
    ):
        claim(engine, queues, *(Wake(host[-4:], 1, host) for host in hosts))
        for host, crew in zip(hosts, crews, strict=True):
            await until(lambda crew=crew, host=host: crew.begun == [(host[-4:], 1)])  # type: ignore[misc] # bound early


async def test_two_processes_share_a_queue(engine: Engine, queues: str, crew: Crew) -> None:
    other = Engine(queues)
    async with other.running(), at_work(engine, crew.take_up), at_work(other, crew.take_up):
        claim(engine, queues, *MORE)
        await until(lambda: len(crew.begun) == len(MORE))
        crew.let_go.set()
        await until(lambda: statuses(queues) == [])
    assert sorted(crew.begun) == [(wake.run_id, wake.epoch) for wake in MORE]


@pytest.mark.alone
@pytest.mark.parametrize("listens", [True, False], ids=["listens", "polls"])
async def test_an_abort_cancels_what_is_worked_on(
    engine: Engine, queues: str, crew: Crew, events: list[str], listens: bool
) -> None:
    async with at_work(engine, crew.take_up, listens=listens):
        claim(engine, queues, HERE, *MORE[:2])
        await until(lambda: len(crew.begun) == 3)
        other = Engine(queues)
        async with other.running():
            await other.abort([HERE, Wake("abcd1234", 4, "here"), Wake("more0", 0, "there")])
        await until(lambda: crew.ended == ["abcd1234"], 1)
        await until(lambda: statuses(queues) == ["doing", "doing"])
        await asyncio.sleep(0.7)
        assert crew.cancelled == ["abcd1234"]
    assert events == []


async def test_an_abort_may_come_from_another_thread(
    engine: Engine, queues: str, crew: Crew, events: list[str]
) -> None:
    waker: Waker = EngineWaker(engine)

    def claimed_and_cancelled() -> None:
        with psycopg.connect(queues, autocommit=True) as connection:
            waker.enqueue(connection, [HERE])
        while not crew.begun:
            time.sleep(0.01)
        waker.abort([HERE])

    async with at_work(engine, crew.take_up):
        await asyncio.to_thread(claimed_and_cancelled)
        await until(lambda: crew.ended == ["abcd1234"])
    assert events == []


async def test_an_abort_where_nothing_runs_is_none(queues: str, events: list[str]) -> None:
    engine = Engine(queues)
    EngineWaker(engine).abort([HERE])
    async with engine.running():
        EngineWaker(engine).abort([HERE])
    EngineWaker(engine).abort([HERE])
    await asyncio.sleep(0.1)
    assert events == []


async def test_an_abort_of_what_waits_changes_nothing(engine: Engine, queues: str) -> None:
    claim(engine, queues, HERE)
    await engine.abort([HERE])
    assert statuses(queues) == ["todo"]


async def test_cancelled_once_by_two_aborts_and_the_end(
    engine: Engine, queues: str, crew: Crew
) -> None:
    crew.stopping_seconds = 0.5
    async with at_work(engine, crew.take_up):
        claim(engine, queues, HERE)
        await until(lambda: bool(crew.begun))
        await asyncio.gather(engine.abort([HERE]), engine.abort([HERE]))
        await until(lambda: bool(crew.cancelled))
        await engine.abort([HERE])
    assert (crew.cancelled, crew.ended) == (["abcd1234"], ["abcd1234"])
    assert statuses(queues) == []


async def test_an_error_ends_its_own_wake_only(
    engine: Engine, queues: str, crew: Crew, events: list[str]
) -> None:
    async def take_up(run_id: str, epoch: int) -> None:
        if run_id == HERE.run_id:
            raise RuntimeError(epoch)
        await crew.take_up(run_id, epoch)

    async with at_work(engine, take_up):
        claim(engine, queues, HERE, MORE[0])
        await until(lambda: statuses(queues) == ["doing"])
        claim(engine, queues, MORE[1])
        await until(lambda: len(crew.begun) == 2)
    assert events == ["engine.wake_failed"]


@pytest.mark.alone
@pytest.mark.parametrize("listens", [True, False], ids=["listens", "polls"])
async def test_the_end_is_prompt(engine: Engine, queues: str, crew: Crew, listens: bool) -> None:
    async with at_work(engine, crew.take_up, listens=listens) as working:
        claim(engine, queues, *MORE[:3])
        await until(lambda: len(crew.begun) == 3)
        began = time.monotonic()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert time.monotonic() - began < 0.5
    assert len(crew.ended) == 3
    assert statuses(queues) == []
    assert asked(queues, "SELECT count(*) FROM procrastinate_workers") == [(0,)]


async def test_the_end_waits_for_what_is_stopping(engine: Engine, queues: str, crew: Crew) -> None:
    crew.stopping_seconds = 1.5
    async with at_work(engine, crew.take_up):
        claim(engine, queues, HERE)
        await until(lambda: bool(crew.begun))
    assert crew.ended == ["abcd1234"]
    assert statuses(queues) == []


async def test_the_end_before_the_beginning(engine: Engine, queues: str, crew: Crew) -> None:
    for _ in range(60):
        async with at_work(engine, crew.take_up):
            await asyncio.sleep(random.uniform(0, 0.04))
    # Where a worker had no time to learn its name, nobody can take it back.
    await engine.tidy(0)
    assert asked(queues, "SELECT count(*) FROM procrastinate_workers") == [(0,)]
