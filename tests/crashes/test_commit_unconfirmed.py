"""A commit reached PostgreSQL, which then went away for longer than anybody waits to learn that.

What the worker wrote is so; that it was told otherwise must neither skip a step nor lose the run.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from bot.bootstrap import serving
from store import postgres
from store.postgres import PostgresDatabase
from store.work import RunWork
from tests.conftest import Person
from tests.crashes.house import House
from tests.crashes.members import swift
from tests.crashes.swift import PREPARES

pytestmark = pytest.mark.alone

STEPS = 3
SHORT: dict[str, Any] = {"heartbeat_seconds": 0.3, "lease_seconds": 1.5, "auto_resume": True}
_ASKED_FOR_SECONDS = 0.2
_AWAY_SECONDS = 0.6


class Loss:
    """The first commit of this kind of write is not answered, and for a while nothing else is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
        self.happened = False
        self._commit = psycopg.Connection.commit
        self._ask = PostgresDatabase._asked
        self._doomed = threading.local()
        self._back_at = 0.0
        monkeypatch.setattr(RunWork, verb, self._dooming(getattr(RunWork, verb)))
        loss = self

        def commit(connection: psycopg.Connection[Any]) -> None:
            loss._committed(connection)

        def ask(database: PostgresDatabase, question: str, *values: str) -> Any:
            if time.monotonic() < loss._back_at:
                raise psycopg.OperationalError("nobody answers")
            return loss._ask(database, question, *values)

        monkeypatch.setattr(psycopg.Connection, "commit", commit)
        monkeypatch.setattr(PostgresDatabase, "_asked", ask)

    def _dooming(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def doomed(*arguments: Any, **more: Any) -> Any:
            self._doomed.now = not self.happened
            return write(*arguments, **more)

        return doomed

    def _committed(self, connection: psycopg.Connection[Any]) -> None:
        self._commit(connection)
        if getattr(self._doomed, "now", False):
            self._doomed.now = False
            self.happened = True
            self._back_at = time.monotonic() + _AWAY_SECONDS
            connection.pgconn.finish()
            raise psycopg.OperationalError("the connection is lost")


@pytest.mark.parametrize("verb", ["start", "attempt", "step_done", "complete"])
async def test_every_step_is_done_once(
    house: House, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(postgres, "_FATE_SECONDS", _ASKED_FOR_SECONDS)
    installation = swift(house.config(STEPS, **SHORT), house.notes, 0.05)
    loss = Loss(monkeypatch, verb)
    async with serving(installation) as baton:
        ana = Person(baton)
        run_id = await ana.starts("/run told")
        await ana.sees_status(run_id, "completed")
    assert loss.happened
    begun = [line.split()[2] for line in house.notes.lines()]
    assert [step.partition(".")[0] for step in begun if step != PREPARES] == ["0", "1", "2"]
