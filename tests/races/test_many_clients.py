"""Sixteen clients in each of four processes want the same worktrees, on PostgreSQL."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from bot.conversation import Conversation, Message
from store.database import Database, open_database
from store.tables import HELD_INDEX
from tests.postgres import Postgres
from tests.races import callers
from tests.races.crew import Crew
from tests.store.factories import TERMS, get, message, put

pytestmark = pytest.mark.heavy

PROCESSES, CLIENTS, CONTENDERS = 4, 16, 4
CROWD = PROCESSES * CLIENTS
SOAK = pytest.mark.soak

_MOST_CLAIMS = (
    "SELECT coalesce(max(claims), 0) FROM (SELECT count(*) AS claims FROM runs"
    " WHERE status IN ('pending', 'running') OR held_path IS NOT NULL GROUP BY host, path) AS held"
)


class Watcher:
    """Somebody who looks on all the while, and believes no index: the most claims on a worktree."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self.looks = 0
        self.most = 0

    def look_on(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            over = False
            while not over:
                over = self._over.wait(0.01)
                (claims,) = connection.execute(_MOST_CLAIMS).fetchone() or (0,)
                self.most = max(self.most, claims)
                self.looks += 1

    def leave(self) -> None:
        self._over.set()


@contextmanager
def watched(url: str) -> Iterator[Watcher]:
    watcher = Watcher(url)
    watching = threading.Thread(target=watcher.look_on)
    watching.start()
    try:
        yield watcher
    finally:
        watcher.leave()
        watching.join()


def contenders(database: Database, count: int) -> list[list[str]]:
    """For each worktree the runs that want it."""
    return [
        [put(database, "failed", path=f"/worktrees/shared-{n}") for _ in range(CONTENDERS)]
        for n in range(count)
    ]


def asks(run_id: str, name: str) -> Message:
    """Each client speaks in a conversation of its own, so that no lock puts them in a row."""
    return replace(message(f"resume {run_id}", name), conversation=Conversation(f"cli:{name}"))


def crowd(crew: Crew, url: str, wanted: Sequence[Sequence[str]]) -> list[list[callers.Told]]:
    """Everybody asks for a run of each worktree in the same moment; what they were told of it."""

    def lines(member: int) -> list[list[Message]]:
        return [
            [
                asks(runs[(member + client) % CONTENDERS], f"p{member}-{client}")
                for client in range(CLIENTS)
            ]
            for runs in wanted
        ]

    results = crew.together(
        callers.say_locked, [(url, lines(member)) for member in range(PROCESSES)]
    )
    return [[told for result in results for told in result[n]] for n in range(len(wanted))]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "count", [pytest.param(60, marks=pytest.mark.timeout(180)), pytest.param(600, marks=SOAK)]
)
def test_each_worktree_has_one_winner(crew: Crew, database: Database, count: int) -> None:
    wanted = contenders(database, count)
    with watched(database.url) as watcher:
        told = crowd(crew, database.url, wanted)
    assert watcher.looks > 10
    assert watcher.most == 1
    won = Counter(body["outcome"] for line in told for _, body in line)
    assert won == {
        "resumed": count,
        "already_running": count * (CROWD // CONTENDERS - 1),
        "worktree_busy": count * (CROWD - CROWD // CONTENDERS),
    }
    for runs, line in zip(wanted, told, strict=True):
        _one_winner(database, runs, [body for _, body in line])


def _one_winner(database: Database, ids: Sequence[str], told: Sequence[Any]) -> None:
    (winner,) = (body["run"]["id"] for body in told if body["outcome"] == "resumed")
    runs = {run_id: get(database, run_id) for run_id in ids}
    claimed = {run_id for run_id, run in runs.items() if run.epoch == 3}
    assert claimed == {run_id for run_id, run in runs.items() if run.held} == {winner}
    for body in told:
        asked_for = body["run"]["id"]
        expected = {"resumed", "already_running"} if asked_for == winner else {"worktree_busy"}
        assert body["outcome"] in expected
        assert body["by"]["actor"] == runs[winner].changed.actor
    for run_id in set(ids) - {winner}:
        assert (runs[run_id].status, runs[run_id].epoch, runs[run_id].resumable) == (
            "failed",
            2,
            True,
        )


@pytest.fixture
def unguarded(postgres: Postgres) -> Iterator[Database]:
    """A database without the index that lets one run hold a worktree; nobody else may have it."""
    url = postgres.up_to_date()
    database = open_database(url, TERMS)
    with database.connect() as connection, connection.begin():
        connection.exec_driver_sql(f"DROP INDEX {HELD_INDEX}")
    yield database
    database.close()
    postgres.drop(url)


def test_a_second_claim_is_found_out(crew: Crew, unguarded: Database) -> None:
    """The crowd is large enough, and whoever looks on sharp enough, to show one."""
    with watched(unguarded.url) as watcher:
        told = crowd(crew, unguarded.url, contenders(unguarded, 5))
    assert watcher.most > 1
    won = Counter(body["outcome"] for line in told for _, body in line)
    assert won["resumed"] > 5
