"""What shares a commit shares nothing else; a delivery has one effect, whatever dies in between."""

import asyncio
import multiprocessing
import os
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.commands import COMMANDS
from bot.conduct import Conductor
from bot.conversation import Invocation, Message
from bot.outcome import Answer
from bot.parser import parse
from bot.ports import DatabaseUnavailableError, Transaction, WorktreeHeldError
from bot.run import Change as By
from bot.run import Run
from store.database import Change, Database, LoopStore, sqlite_file
from store.sqlite import SqliteDatabase
from store.tables import events
from tests.store.factories import (
    BEGAN,
    TERMS,
    Clock,
    conductor,
    get,
    message,
    new_run,
    put,
    row_of,
    write,
)

BY = By("cli:ana", "cli", BEGAN)


def resuming(run_id: str) -> Change:
    return lambda tx: tx.claims.resume(run_id, BY, None, None)


def parsed(said: Message) -> Invocation:
    invocation = parse(said, COMMANDS)
    assert isinstance(invocation, Invocation)
    return invocation


def saying(rules: Conductor, said: Message) -> Change:
    return partial(rules.change, invocation=parsed(said))


@pytest.fixture
def rules(tmp_path: Path) -> Conductor:
    return conductor(tmp_path)


@pytest.fixture
async def store(database: Database) -> AsyncIterator[LoopStore]:
    store = database.open_store()
    store.start()
    yield store
    await store.close()


# --- neighbours --------------------------------------------------------------------------------


def _raise(error: Exception) -> Any:
    raise error


def _insert_twice(tx: Transaction) -> Run:
    """An error of the database that nobody expects: an id that is taken."""
    tx.claims.insert(new_run("twicetwi", "one"), BY, None)
    return tx.claims.insert(new_run("twicetwi", "other"), BY, None)


def _write_then_raise(tx: Transaction) -> None:
    tx.claims.insert(new_run("halfhalf", "half"), BY, None)
    raise ValueError


BAD = {
    "python": lambda _tx: _raise(KeyError("x")),
    "iteration": lambda _tx: next(iter(())),
    "database": _insert_twice,
    "half done": _write_then_raise,
    "unexpectedly held": lambda _tx: _raise(WorktreeHeldError()),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_handler_that_raises_harms_no_neighbour(database: Database, bad: Any) -> None:
    ids = [put(database, "failed") for _ in range(4)]
    batch = [resuming(run_id) for run_id in ids]
    batch.insert(2, bad)
    results = database.write(batch)
    assert isinstance(results.pop(2), Exception)
    assert [(run.id, run.epoch) for run in results] == [(run_id, 3) for run_id in ids]
    assert [get(database, run_id) for run_id in ids] == results
    assert {run.id for run in database.read(lambda tx: tx.runs.recent(None, None))} == set(ids)


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_everybody_in_a_batch_is_answered(
    database: Database, store: LoopStore, bad: Any
) -> None:
    ids = [put(database, "failed") for _ in range(8)]
    changes = [resuming(run_id) for run_id in ids]
    changes.insert(4, bad)
    async with asyncio.timeout(10):
        results = await asyncio.gather(*map(store.write, changes), return_exceptions=True)
    assert isinstance(results.pop(4), Exception)
    assert [run.epoch for run in results if isinstance(run, Run)] == [3] * 8


async def test_who_stops_waiting_harms_no_neighbour(database: Database, store: LoopStore) -> None:
    ids = [put(database, "failed") for _ in range(6)]
    writes = [asyncio.create_task(store.write(resuming(run_id))) for run_id in ids]
    await asyncio.sleep(0)
    writes[2].cancel()
    async with asyncio.timeout(10):
        results = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(results.pop(2), asyncio.CancelledError)
    assert all(isinstance(result, Run) for result in results)


def test_a_worktree_that_is_held_rolls_nothing_back(database: Database, rules: Conductor) -> None:
    """Losing it is expected: the others of the batch are carried out once, not again."""
    holder = put(database, "working", path="/worktrees/shared")
    waits = put(database, "failed", path="/worktrees/shared")
    free = put(database, "failed")
    calls: list[str] = []

    def counted(tx: Transaction) -> Run | None:
        calls.append(free)
        return tx.claims.resume(free, BY, None, None)

    first, answer = database.write([counted, saying(rules, message(f"resume {waits}"))])
    assert (first.epoch, answer.word, calls) == (3, "worktree_busy", [free])
    assert holder in answer.reply
    assert get(database, free).epoch == 3
    assert get(database, waits).status == "failed"


# --- one effect per delivery -------------------------------------------------------------------


def effects(database: Database) -> list[tuple[str, str]]:
    with database.connect() as connection:
        rows = connection.execute(events.select().order_by(events.c.id))
        return [(row.verb, row.outcome) for row in rows]


def test_two_copies_of_a_delivery_in_one_batch(database: Database, rules: Conductor) -> None:
    run_id = put(database, "failed")
    said = message(f"resume {run_id}", delivery="cli:ana:1")
    first, second = database.write([saying(rules, said), saying(rules, said)])
    assert first == second
    assert first.word == "resumed"
    assert get(database, run_id).epoch == 3
    assert effects(database) == [("resume", "resumed")]


def test_a_delivery_repeated_later(database: Database, rules: Conductor, clock: Clock) -> None:
    run_id = put(database, "failed")
    said = message(f"resume {run_id}", delivery="cli:ana:1")
    answers = []
    for _ in range(3):
        answers += database.write([saying(rules, said)])
        clock.now += 3600
        write(database, lambda tx: tx.deliveries.prune())
    assert answers[0].word == "resumed"
    assert answers == [answers[0]] * 3
    assert effects(database) == [("resume", "resumed")]


def test_a_delivery_that_lost_is_told_the_same_again(
    database: Database, rules: Conductor, clock: Clock
) -> None:
    run_id = put(database, "working")
    said = message(f"resume {run_id}", delivery="cli:ana:1")
    [lost] = database.write([saying(rules, said)])
    assert lost.word == "already_running"
    clock.now += 10_000
    assert get(database, run_id).resumable
    assert database.write([saying(rules, said)]) == [lost]
    assert get(database, run_id).epoch == 2


@pytest.mark.parametrize("together", [True, False])
def test_the_same_key_for_another_command(
    database: Database, rules: Conductor, together: bool
) -> None:
    run_id = put(database, "failed")
    batch = [
        saying(rules, message(f"{verb} {run_id}", delivery="cli:ana:1"))
        for verb in ("resume", "cancel")
    ]
    answers = database.write(batch) if together else [database.write([c])[0] for c in batch]
    assert [answer.word for answer in answers] == ["resumed", "invalid"]
    assert get(database, run_id).status == "running"


def test_a_failed_neighbour_does_not_make_a_delivery_done(
    database: Database, rules: Conductor
) -> None:
    run_id = put(database, "failed")
    said = message(f"resume {run_id}", delivery="cli:ana:1")
    batch = [saying(rules, said), BAD["python"], saying(rules, said)]
    first, error, second = database.write(batch)
    assert isinstance(error, KeyError)
    assert (first, first.word) == (second, "resumed")
    assert effects(database) == [("resume", "resumed")]


# --- a process that dies -----------------------------------------------------------------------


def _say_and_die(file: Path, said: Message, *, before_commit: bool) -> None:
    rules, database = conductor(file.parent), SqliteDatabase(file, TERMS)

    def change(tx: Transaction) -> Answer:
        answer = rules.change(tx, parsed(said))
        if before_commit:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    database.write([change])
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("before_commit", [True, False], ids=["before commit", "after commit"])
def test_a_delivery_repeated_after_a_crash(
    file: Path, database: Database, rules: Conductor, before_commit: bool
) -> None:
    run_id = put(database, "failed")
    said = message(f"resume {run_id}", delivery="cli:ana:1")
    die = partial(_say_and_die, file, said, before_commit=before_commit)
    process = multiprocessing.get_context("spawn").Process(target=die)
    process.start()
    process.join(40)
    assert process.exitcode == -signal.SIGKILL
    assert get(database, run_id).epoch == (2 if before_commit else 3)
    answers = [database.write([saying(rules, said)])[0] for _ in range(3)]
    assert answers[0].word == "resumed"
    assert answers == [answers[0]] * 3
    assert get(database, run_id).epoch == 3
    assert effects(database) == [("resume", "resumed")]


# --- a full disk -------------------------------------------------------------------------------


def _limit_pages(database: Database, pages: int) -> int:
    """Let the file grow to so many pages; returns how many it has."""
    with database.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        return int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())


@contextmanager
def full_by_pages(database: Database) -> Iterator[None]:
    """The database may grow by three pages more."""
    used = _limit_pages(database, 2**30)
    _limit_pages(database, used + 3)
    yield
    _limit_pages(database, 2**30)


@contextmanager
def full_by_size(database: Database) -> Iterator[None]:
    """No file of this process may become larger than the database is, and a little."""
    with database.connect() as connection:
        connection.rollback()
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (sqlite_file(database.url).stat().st_size + 100_000, hard)
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("full", [full_by_pages, full_by_size])
@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.usefixtures("file")
def test_a_full_disk_loses_nothing_that_was_answered(
    database: Database, rules: Conductor, full: Any, size: int
) -> None:
    ids = [put(database, "failed") for _ in range(200)]
    said = [message(f"resume {i}", delivery=f"cli:ana:{i}:{'x' * 400}") for i in ids]
    answered: dict[str, Answer] = {}
    refused = []
    with full(database):
        for at in range(0, len(ids), size):
            results = database.write([saying(rules, one) for one in said[at : at + size]])
            for run_id, result in zip(ids[at : at + size], results, strict=True):
                if isinstance(result, Exception):
                    assert isinstance(result, DatabaseUnavailableError), result
                    assert "disk" in str(result)
                    assert not result.busy
                    refused.append(run_id)
                else:
                    answered[run_id] = result
    assert answered
    assert refused
    for run_id in ids:
        assert row_of(database, run_id)["epoch"] == (3 if run_id in answered else 2)
    assert effects(database) == [("resume", "resumed")] * len(answered)
    again = [database.write([saying(rules, one)])[0] for one in said]
    assert [a for i, a in zip(ids, again, strict=True) if i in answered] == list(answered.values())
    assert {answer.word for answer in again} == {"resumed"}
    assert {row_of(database, run_id)["epoch"] for run_id in ids} == {3}
    with database.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
