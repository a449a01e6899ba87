"""PostgreSQL went away during a commit, for longer than anybody waits to learn what became of it.

Whether the worker's write was made or not: that must neither skip a step nor repeat one, nor lose
the run.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from bot.bootstrap import serving
from bot.conversation import Author, Conversation, Door, Message
from bot.ports import DatabaseUnavailableError
from store import postgres
from store.claims import RunClaims
from store.deliveries import DeliveryBook
from store.postgres import PostgresDatabase
from store.work import RunWork
from tests.conftest import Person
from tests.crashes.house import House
from tests.crashes.members import swift
from tests.crashes.swift import PREPARES
from tests.engine.house import asked

pytestmark = pytest.mark.heavy

STEPS = 3
SHORT: dict[str, Any] = {"heartbeat_seconds": 0.3, "lease_seconds": 1.5, "auto_resume": True}
_ASKED_FOR_SECONDS = 0.2
_AWAY_SECONDS = 0.6


class Loss:
    """The first commit of this kind of write is not answered, and for a while nothing else is.

    Where the commit did not even reach the database, the run's card changes meanwhile, as it does
    when another host tells that nothing is heard of the worker.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        url: str,
        verb: str,
        *,
        reached: bool,
        of: type[RunWork | RunClaims | DeliveryBook] = RunWork,
    ) -> None:
        self.happened = False
        self._url = url
        self._reached = reached
        self._commit = psycopg.Connection.commit
        self._ask = PostgresDatabase._asked
        self._doomed = threading.local()
        self._back_at = 0.0
        monkeypatch.setattr(of, verb, self._dooming(getattr(of, verb)))
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
        doomed, self._doomed.now = getattr(self._doomed, "now", False), False
        if not doomed or self._reached:
            self._commit(connection)
        if not doomed:
            return
        self.happened = True
        self._back_at = time.monotonic() + _AWAY_SECONDS
        connection.pgconn.finish()
        if not self._reached:
            asked(self._url, "UPDATE runs SET version = version + 1 RETURNING id")
        raise psycopg.OperationalError("the connection is lost")


@pytest.mark.parametrize("verb", ["start", "attempt", "step_done", "complete"])
@pytest.mark.parametrize("reached", [True, False], ids=["reached", "not reached"])
async def test_every_step_is_done_once(
    house: House, monkeypatch: pytest.MonkeyPatch, verb: str, reached: bool
) -> None:
    monkeypatch.setattr(postgres, "_FATE_SECONDS", _ASKED_FOR_SECONDS)
    installation = swift(house.config(STEPS, **SHORT), house.notes, 0.05)
    loss = Loss(monkeypatch, house.url, verb, reached=reached)
    async with serving(installation) as baton:
        ana = Person(baton)
        run_id = await ana.starts("/run told")
        await ana.sees_status(run_id, "completed")
    assert loss.happened
    begun = [line.split()[2] for line in house.notes.lines()]
    assert [step.partition(".")[0] for step in begun if step != PREPARES] == ["0", "1", "2"]


@pytest.mark.parametrize("reached", [True, False], ids=["reached", "not reached"])
async def test_a_command_is_carried_out_once_and_its_answer_is_true(
    house: House, monkeypatch: pytest.MonkeyPatch, reached: bool
) -> None:
    monkeypatch.setattr(postgres, "_FATE_SECONDS", _ASKED_FOR_SECONDS)
    installation = swift(house.config(STEPS, **SHORT), house.notes, 0.05)
    loss = Loss(monkeypatch, house.url, "insert", reached=reached, of=RunClaims)
    async with serving(installation) as baton:
        ana = Person(baton)
        answer = await ana.says("/run told", delivery="once")
        assert loss.happened
        assert answer.word == "started"
        assert (await ana.says("/run told", delivery="once")) == answer
        await ana.sees_status(answer.run_id or "", "completed")
    assert house.asked("SELECT count(*) FROM runs") == [(1,)]


async def test_while_nobody_can_tell_the_answer_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_FATE_SECONDS", _ASKED_FOR_SECONDS)
    installation = swift(house.config(STEPS, **SHORT), house.notes, 0.05)
    begun = PostgresDatabase._begun

    def away(database: PostgresDatabase, words: str) -> Any:
        if loss.happened:
            raise DatabaseUnavailableError("it does not answer", busy=False)
        return begun(database, words)

    async with serving(installation, concurrency=0) as baton:
        ana = Person(baton)
        with monkeypatch.context() as broken:
            loss = Loss(broken, house.url, "insert", reached=True, of=RunClaims)
            broken.setattr(PostgresDatabase, "_begun", away)
            answer = await ana.says("/run told", delivery="once")
        assert loss.happened
        assert answer.word == "error"
        assert answer.reply.startswith("Nobody can say yet whether this was done")
        assert (await ana.says("/run told", delivery="once")).word == "started"
    assert house.asked("SELECT count(*) FROM runs") == [(1,)]


@pytest.mark.parametrize("reached", [True, False], ids=["reached", "not reached"])
async def test_a_message_whose_receipt_was_in_doubt_is_received_once(
    house: House, monkeypatch: pytest.MonkeyPatch, reached: bool
) -> None:
    monkeypatch.setattr(postgres, "_FATE_SECONDS", _ASKED_FOR_SECONDS)
    installation = swift(house.config(STEPS, **SHORT), house.notes, 0.05)
    message = Message(
        text="/run told",
        conversation=Conversation("terminal:ana"),
        author=Author("terminal:ana"),
        door=Door.TERMINAL,
        delivery="once",
    )
    async with serving(installation, concurrency=0) as baton:
        Loss(monkeypatch, house.url, "receive", reached=reached, of=DeliveryBook)
        with pytest.raises(DatabaseUnavailableError):
            await baton.dispatcher.receive(message)
        received = [await baton.dispatcher.receive(message) for _ in range(3)]
    assert received == [True, False, False]
