"""What pages and metrics read: pages of runs, attempts, changes, counts."""

import random
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert

from bot.outcome import AuditEvent
from bot.ports import Transaction
from bot.run import RunStatus
from bot.watching import Page, Wanted
from store.database import Database
from store.tables import steps
from tests.store.factories import BEGAN, STATES, Clock, get, put, write

LIVE = {
    "pending", "claimed", "claimed long ago", "claimed, never active", "working", "silent",
    "silent, told", "stopping", "abandoned", "unproven",
}  # fmt: skip
"""The states that time or a worker may change without anybody asking for it."""


def page(database: Database, limit: int, after: str | None = None, **wanted: Any) -> Page:
    return database.read(lambda tx: tx.watching.page(Wanted(**wanted), limit, after))


def every_page(database: Database, limit: int, **wanted: Any) -> list[list[str]]:
    """The ids on every page, one after the other."""
    found, after = [], None
    while True:
        one = page(database, limit, after, **wanted)
        found.append([run.id for run in one.runs])
        if one.following is None:
            return found
        after = one.following


# --- pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3, 7, 20, 21])
def test_pages_join_whatever_was_made_in_one_moment(database: Database, limit: int) -> None:
    chance = random.Random(limit)
    moments = [BEGAN + chance.choice((0, 0.1, 7)) for _ in range(20)]
    made = {put(database, "failed", created_at=moment) for moment in moments}
    pages = every_page(database, limit)
    joined = [run_id for one in pages for run_id in one]
    assert len(joined) == 20
    assert set(joined) == made
    order = [(get(database, run_id).requested.at, run_id) for run_id in joined]
    assert order == sorted(order, reverse=True)
    assert all(len(one) == limit for one in pages[:-1])


def test_a_page_is_not_moved_by_what_is_made_later(database: Database, clock: Clock) -> None:
    old = [put(database, "failed", created_at=BEGAN + number) for number in range(10)]
    first = page(database, 4)
    clock.now += 1000
    put(database, "failed")
    second = page(database, 10, first.following)
    assert [run.id for run in (*first.runs, *second.runs)] == old[::-1]
    assert second.following is None


def test_the_last_page_says_so_even_when_it_is_full(database: Database) -> None:
    for _ in range(4):
        put(database, "failed")
    first = page(database, 2)
    assert first.following is not None
    assert page(database, 2, first.following).following is None
    assert page(database, 4).following is None


def test_there_is_a_page_where_there_is_no_run(database: Database) -> None:
    assert page(database, 5) == Page([], None)


def test_every_filter_narrows_and_all_together(database: Database) -> None:
    place = {"conversation": "slack:T1:C2", "channel": "slack:T1:C2"}
    wanted = put(database, "failed", workflow="other", **place)
    put(database, "failed", workflow="other")
    put(database, "paused", workflow="other", **place)
    put(database, "failed", **place)
    filters = {
        "status": RunStatus.FAILED,
        "workflow": "other",
        "conversation": "slack:T1:C2",
    }
    assert every_page(database, 5, **filters) == [[wanted]]
    for name, value in filters.items():
        assert len(every_page(database, 5, **{name: value})[0]) == 3
    assert every_page(database, 5, workflow="' OR 1=1 --") == [[]]


@pytest.mark.parametrize(
    "after", ["x", "-", "1.5", "0x1p99999-a", "nan-aaaaaaaa", "inf-aaaaaaaa", "-inf-a", "0x1p3"]
)
def test_a_page_that_was_never_offered(database: Database, after: str) -> None:
    put(database, "failed")
    with pytest.raises(ValueError, match=r".*"):
        page(database, 5, after)


# --- what changes ----------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
def test_what_may_change_by_itself_is_live(database: Database, state: str) -> None:
    run_id = put(database, state)
    live = database.read(lambda tx: tx.watching.live())
    assert live == ({run_id: 3} if state in LIVE else {})


def _note(tx: Transaction, run_id: str | None) -> None:
    tx.audit.add(
        AuditEvent(
            at=tx.now, actor="cli:ana", door="cli", verb="status", outcome="shown", run=run_id
        )
    )


def test_events_are_told_after_the_last_one_seen(database: Database) -> None:
    assert database.read(lambda tx: tx.watching.last_event()) == 0
    first, second = put(database, "failed"), put(database, "failed")
    for run_id in (first, None, second):
        write(database, partial(_note, run_id=run_id))
    last = database.read(lambda tx: tx.watching.last_event())
    told = database.read(lambda tx: tx.watching.events_since(0))
    assert [run_id for _, run_id in told] == [first, None, second]
    assert told[-1][0] == last
    assert database.read(lambda tx: tx.watching.events_since(last)) == []
    assert database.read(lambda tx: tx.watching.events_since(last - 1)) == [told[-1]]


# --- attempts --------------------------------------------------------------------------------


def test_attempts_come_in_the_order_in_which_they_began(database: Database) -> None:
    run_id, other = put(database, "failed"), put(database, "failed")
    rows = [
        (run_id, 0, 1, 10, 20, 0),
        (run_id, 1, 1, 20, 25, 3),
        (run_id, 1, 2, 40, None, None),
        (run_id, 0, 2, 30, 35, -15),
        (other, 0, 1, 0, 1, 0),
    ]
    keys = ("run_id", "position", "attempt", "started_at", "ended_at", "exit_code")
    with database.connect() as connection, connection.begin():
        for row in rows:
            values = dict(zip(keys, row, strict=True))
            connection.execute(insert(steps), {**values, "name": "build", "epoch": 2})
    found = database.read(lambda tx: tx.watching.attempts(run_id))
    assert [(one.position, one.number, one.exit_code) for one in found] == [
        (0, 1, 0),
        (1, 1, 3),
        (0, 2, -15),
        (1, 2, None),
    ]
    assert found[-1].ended_at is None
    assert database.read(lambda tx: tx.watching.attempts("nothing")) == []


def test_what_fails_before_its_first_step_leaves_earlier_attempts_as_they_were(
    database: Database, clock: Clock
) -> None:
    run_id = put(database, "claimed", attempt=1, epoch=3, steps_done=1)
    key = {"run_id": run_id, "position": 1, "attempt": 1}
    row = {"name": "test", "epoch": 2, "started_at": BEGAN, "ended_at": BEGAN + 1, "exit_code": 3}
    with database.connect() as connection, connection.begin():
        connection.execute(insert(steps), key | row)
    clock.now += 100

    def fail(tx: Transaction) -> Any:
        run = tx.work.start(run_id, 3, "here:1:a")
        return run and tx.work.fail(run, "the repository is not there", None)

    assert write(database, fail).status == "failed"
    (attempt,) = database.read(lambda tx: tx.watching.attempts(run_id))
    assert (attempt.ended_at, attempt.exit_code) == (BEGAN + 1, 3)


# --- figures ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
def test_only_a_worker_that_is_overdue_counts_as_stale(database: Database, state: str) -> None:
    put(database, state)
    stale = database.read(lambda tx: tx.watching.stale_leases())
    assert stale == (1 if state in {"silent", "silent, told"} else 0)


def test_a_lease_is_stale_by_the_clock_of_the_database(database: Database, clock: Clock) -> None:
    put(database, "working")
    clock.now += 60
    assert database.read(lambda tx: tx.watching.stale_leases()) == 0
    clock.now += 0.001
    assert database.read(lambda tx: tx.watching.stale_leases()) == 1


def test_runs_are_counted_by_status(database: Database) -> None:
    for state in STATES:
        put(database, state)
    counts = database.read(lambda tx: tx.watching.counts())
    assert sum(counts.values()) == len(STATES)
    assert counts == {
        status: sum(state.status == status for state in STATES.values()) for status in RunStatus
    }
