"""PostgreSQL goes away and comes back while Baton is talked to: nothing is lost or done twice."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import insert

from bot.ports import DatabaseUnavailableError, Transaction
from bot.run import Change
from store.database import Database, open_database
from store.postgres import PostgresDatabase
from store.tables import runs
from tests.crashes import members
from tests.crashes.conftest import MakeHouse
from tests.crashes.house import House
from tests.crashes.own_server import OwnServer, own_server
from tests.crashes.team import Notes, eventually
from tests.postgres import Postgres
from tests.races.crew import forkserver
from tests.store.factories import TERMS, get, put, row_of

pytestmark = pytest.mark.heavy

SERVICE_BACK_SECONDS = 10.0
FAILED = 4000
SOAK = pytest.mark.soak
PATIENT = pytest.mark.timeout(180)
rounds = pytest.mark.parametrize

_DONE = "SELECT answer::json ->> 'outcome' FROM deliveries WHERE state = 'done'"
_EVENTS = "SELECT outcome FROM events"
_MADE = "SELECT arguments::json ->> 'delivery', id FROM runs WHERE host = 'here'"
_BACK = frozenset({"started", "resumed"})
_STARTS = "SELECT at FROM events WHERE verb = 'start'"


@dataclass(frozen=True)
class Answered:
    """What a note of a talk says: what one delivery came to."""

    delivery: str
    word: str
    run_id: str
    tries: int
    at: float
    again: bool


def answered(notes: Notes) -> list[Answered]:
    def one(delivery: str, word: str, run_id: str, tries: str, at: str, *more: str) -> Answered:
        return Answered(delivery, word, run_id, int(tries), float(at), bool(more))

    return [one(*line.split()) for line in notes.lines()]


@dataclass
class Talked:
    """A Baton that is being talked to, in a process of its own, and all that is told of it."""

    house: House
    baton: BaseProcess
    notes: Notes
    failed: list[str]
    over: Event

    def begun(self) -> bool:
        return len(self.notes.lines()) > 5 * members.PEOPLE

    def back_after(self, moment: float) -> float:
        """How long after this moment a command succeeded, and the worker started a run."""

        def back() -> bool:
            return any(a.at > moment and a.word in _BACK for a in answered(self.notes)[-100:])

        assert eventually(back, 30), "the service is not back"
        first = min(a.at for a in answered(self.notes) if a.at > moment and a.word in _BACK)
        assert eventually(lambda: any(at > moment for (at,) in self.house.asked(_STARTS)), 30)
        worked = min(at for (at,) in self.house.asked(_STARTS) if at > moment)
        return float(max(first, worked) - moment)

    def ends(self) -> None:
        """All that was asked for is done, by the very process that began."""
        self.over.set()
        self.baton.join(900)
        assert self.baton.exitcode == 0

    def check(self) -> None:
        """What was answered is so, once; whatever went wrong was told as what it was."""
        told = answered(self.notes)
        first = {a.delivery: a for a in told if not a.again}
        again = {a.delivery: a for a in told if a.again}
        assert {a.word for a in first.values()} == _BACK
        assert {key: (a.word, a.run_id) for key, a in first.items()} == {
            key: (a.word, a.run_id) for key, a in again.items()
        }
        self._check_effects(list(first.values()))
        self._check_log()

    def _check_effects(self, told: list[Answered]) -> None:
        started = {a.delivery: a.run_id for a in told if a.word == "started"}
        made = self.house.asked(_MADE)
        assert sorted(made) == sorted(started.items())
        resumed = Counter(a.run_id for a in told if a.word == "resumed")
        epochs = self.house.asked("SELECT id, epoch FROM runs WHERE host = 'elsewhere'")
        assert {run_id: epoch - 2 for run_id, epoch in epochs} == {
            run_id: resumed[run_id] for run_id in self.failed
        }
        words = Counter(a.word for a in told)
        assert Counter(word for (word,) in self.house.asked(_DONE)) == words
        assert Counter(word for (word,) in self.house.asked(_EVENTS) if word in _BACK) == words
        starts = "SELECT run_id, epoch FROM events WHERE verb = 'start'"
        assert Counter(self.house.asked(starts)) == Counter((run, 1) for run in started.values())

    def _check_log(self) -> None:
        lines = (self.house.state() / "baton.log").read_text().splitlines()
        faults = [json.loads(line) for line in lines if '"level": "error"' in line]
        reasons = Counter((fault["event"], fault["reason"]) for fault in faults)
        assert {reason for _, reason in reasons} <= {"DatabaseUnavailableError"}, faults


def fail_many(database: Database) -> list[str]:
    """Runs that wait for somebody to resume them, on a host where nobody works."""
    row = row_of(database, put(database, "failed", host="elsewhere"))
    ids = [f"f{number:07d}" for number in range(FAILED)]
    rows = [
        row | {"id": run_id, "path": f"/worktrees/{run_id}", "claim": row["claim"] + number}
        for number, run_id in enumerate(ids)
    ]
    with database.connect() as connection, connection.begin():
        connection.exec_driver_sql("DELETE FROM runs")
        connection.execute(insert(runs), rows)
    return ids


Begin = Callable[[str], Talked]


@pytest.fixture
def begin(make_house: MakeHouse, tmp_path: Path) -> Begin:
    """Have a Baton on this database talked to."""

    def begun(url: str) -> Talked:
        house = make_house(url)
        with closing(open_database(url, TERMS)) as database:
            failed = fail_many(database)
        over, talk = forkserver().Event(), Notes(tmp_path / "talk")
        config = house.config(concurrency=8)
        baton = house.team.take_on(members.talked_to, config, house.notes, talk, failed, over)
        talked = Talked(house, baton, talk, failed, over)
        assert eventually(talked.begun)
        return talked

    return begun


@pytest.fixture(scope="module")
def own() -> Iterator[OwnServer]:
    """A server that these tests may stop and start."""
    with own_server() as own:
        yield own


@rounds("turns", [pytest.param(1, marks=PATIENT), pytest.param(20, marks=SOAK)])
def test_restarts(own: OwnServer, begin: Begin, turns: int) -> None:
    talked = begin(own.databases.up_to_date())
    back = []
    for _ in range(turns):
        for mode, away_seconds in (("immediate", 0), ("fast", 0), ("immediate", 0), ("fast", 3)):
            time.sleep(random.uniform(0.3, 0.8))
            back.append(talked.back_after(own.restart(mode, away_seconds)))
    talked.ends()
    assert max(back) < SERVICE_BACK_SECONDS
    talked.check()
    assert any(a.tries > 1 for a in answered(talked.notes)), "nobody had to say anything twice"


_THROW_OUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " ORDER BY random() LIMIT 3"
)


@rounds("seconds", [pytest.param(5, marks=PATIENT), pytest.param(120, marks=SOAK)])
def test_connections_that_are_dropped_again_and_again(
    postgres: Postgres, begin: Begin, seconds: float
) -> None:
    url = postgres.up_to_date()
    talked = begin(url)
    until, dropped = time.monotonic() + seconds, 0
    with psycopg.connect(url, autocommit=True) as other:
        while time.monotonic() < until:
            dropped += len(other.execute(_THROW_OUT).fetchall())
            time.sleep(random.uniform(0, 0.04))
    assert talked.back_after(time.time()) < SERVICE_BACK_SECONDS
    talked.ends()
    talked.check()
    postgres.drop(url)


def test_the_number_of_a_transaction_that_another_one_got_is_no_proof(
    own: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not yet on the disk when the server crashed leaves its number to the next one."""
    url = own.databases.up_to_date()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("CREATE TABLE others (number text)")
        other.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        other.execute("SELECT pg_reload_conf()")
    commit = psycopg.Connection.commit
    given: list[tuple[str, str]] = []

    def crash(self: psycopg.Connection[Any]) -> None:
        monkeypatch.setattr(psycopg.Connection, "commit", commit)
        ((number,),) = self.execute("SELECT pg_current_xact_id()::text").fetchall()
        own.restart("immediate")
        given.append((number, write_until(url, number)))
        self.pgconn.finish()
        raise psycopg.OperationalError("the connection is lost")

    with closing(PostgresDatabase(url, TERMS)) as database:
        run_id = put(database, "failed")
        monkeypatch.setattr(psycopg.Connection, "commit", crash)
        [result] = database.write([cancel(run_id)])
        ((lost, last),) = given
        assert lost == last, "nobody else got the number"
        if isinstance(result, DatabaseUnavailableError):
            assert not result.certain
        else:
            assert get(database, run_id).status == result.status == "cancelled"


def write_until(url: str, number: str) -> str:
    """Write until a transaction has had this number, or a greater one; its number."""
    with psycopg.connect(url, autocommit=True) as other:
        write = "INSERT INTO others VALUES (pg_current_xact_id()::text) RETURNING number"
        while True:
            ((last,),) = other.execute(write).fetchall()
            if int(last) >= int(number):
                return str(last)


def cancel(run_id: str) -> Callable[[Transaction], Any]:
    return lambda tx: tx.claims.cancel(run_id, Change("cli:ana", "cli", tx.now), None)
