"""What PostgreSQL may do to Baton: each fault is one sentence, nothing is lost, and it passes."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from bot.errors import ConfigurationError
from bot.ports import DatabaseUnavailableError, Transaction
from bot.run import Change
from store import postgres
from store.database import Database, open_database
from store.postgres import PostgresDatabase
from store.postgres_tables import refuse_old
from store.schema import bring_up_to_date
from tests.postgres import Postgres
from tests.store.factories import TERMS, get, put, write

SOON = (0.01, 0.02)
TOLD_SECONDS = 8.0


@pytest.fixture
def address(postgres: Postgres) -> Iterator[str]:
    """The address of an up-to-date database that a test may spoil."""
    url = postgres.up_to_date()
    yield url
    postgres.drop(url)


@pytest.fixture
def database(address: str) -> Iterator[PostgresDatabase]:
    """This test's database."""
    database = PostgresDatabase(address, TERMS)
    yield database
    database.close()


@contextmanager
def beside(address: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody else's connection."""
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


def as_role(address: str, role: str, **more: str) -> str:
    parts = conninfo_to_dict(address)
    host, name = parts["host"], parts["dbname"]
    return f"postgresql://{role}@/{name}?host={host}" + "".join(
        f"&{key}={value}" for key, value in more.items()
    )


def cancel(run_id: str) -> Callable[[Transaction], Any]:
    return lambda tx: tx.claims.cancel(run_id, Change("cli:ana", "cli", tx.now), None)


def refusal(database: Database) -> DatabaseUnavailableError:
    """What a write comes to."""
    [result] = database.write([lambda tx: tx.keys.revoke("nobody")])
    assert isinstance(result, DatabaseUnavailableError), result
    return result


# --- there is none ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["mysql://x/y", "postgres:/x", "sqlite://", "postgresql://%zz/"],
)
def test_an_address_that_is_none_is_refused_in_words(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"database\.url"):
        open_database(url, TERMS)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_AGAIN_SECONDS", SOON)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://baton:secret@127.0.0.1:{taken.getsockname()[1]}/baton"
        database = open_database(url, TERMS)
        with pytest.raises(DatabaseUnavailableError, match="it does not answer") as caught:
            bring_up_to_date(database)
        assert "secret" not in str(caught.value)
        assert not refusal(database).busy
        database.close()


@pytest.mark.parametrize("listens", [False, True], ids=["refuses", "is silent"])
def test_nobody_waits_long_for_a_database_that_is_away(listens: bool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if listens:
            taken.listen()
        database = open_database(f"postgresql://b@127.0.0.1:{taken.getsockname()[1]}/b", TERMS)
        began = time.monotonic()
        assert not refusal(database).busy
        assert time.monotonic() - began < TOLD_SECONDS
        database.close()


def test_there_is_no_database_of_that_name(address: str) -> None:
    database = open_database(address.replace("test_", "absent_"), TERMS)
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError, match="no such database or user"):
        bring_up_to_date(database)
    assert time.monotonic() - began < 1.0, "what will not pass is not tried again"
    database.close()


def test_a_version_that_is_too_old_is_refused() -> None:
    """No such server is at hand, so only the judgement of its number is tried."""
    with pytest.raises(ConfigurationError, match="needs PostgreSQL 14 or later, and this is 13"):
        refuse_old(130011)
    refuse_old(140000)


def test_tables_of_another_program_are_left_alone(postgres_url: str) -> None:
    with beside(postgres_url) as other:
        other.execute("CREATE TABLE runs (theirs int)")
    database = open_database(postgres_url, TERMS)
    with pytest.raises(ConfigurationError, match="tables of another program"):
        bring_up_to_date(database)
    assert database.version() is None
    database.close()


def test_a_database_that_cannot_hold_every_text_is_refused(
    postgres: Postgres, postgres_url: str
) -> None:
    with beside(postgres_url) as other:
        other.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    database = open_database(postgres.url("latin"), TERMS)
    with pytest.raises(ConfigurationError, match="keeps text as LATIN1"):
        bring_up_to_date(database)
    database.close()
    postgres.drop(postgres.url("latin"))


# --- it refuses ------------------------------------------------------------------------------


def test_all_connections_are_taken(
    address: str, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_AGAIN_SECONDS", SOON)
    with beside(address) as other:
        other.execute("CREATE ROLE narrow LOGIN CONNECTION LIMIT 1")
        other.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO narrow")
        try:
            narrow = PostgresDatabase(as_role(address, "narrow"), TERMS)
            with beside(as_role(address, "narrow")):
                assert "no connection left" in str(refusal(narrow))
            assert write(narrow, lambda tx: tx.keys.revoke("nobody")) is False
            narrow.close()
        finally:
            other.execute("DROP OWNED BY narrow")
            other.execute("DROP ROLE narrow")


def test_it_may_not_be_written_to(address: str, database: PostgresDatabase) -> None:
    run_id = put(database, "failed")
    name = Identifier(str(conninfo_to_dict(address)["dbname"]))
    with beside(address) as other:
        other.execute(SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
        database.close()  # as after a failover: what connects from now on cannot write
        [result] = database.write([cancel(run_id)])
        assert isinstance(result, DatabaseUnavailableError)
        assert "may not be written to" in str(result)
        assert get(database, run_id).status == "failed"
        other.execute("SET default_transaction_read_only = off")
        other.execute(SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(name))
    assert write(database, cancel(run_id)).status == "cancelled"


def test_somebody_keeps_a_row_for_too_long(
    address: str, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_TO_WRITE", postgres._TO_WRITE.replace("'5s'", "'200ms'"))
    run_id = put(database, "failed")
    with beside(address) as other, other.transaction():
        other.execute("SELECT 1 FROM runs FOR UPDATE")
        [result] = database.write([cancel(run_id)])
        assert isinstance(result, DatabaseUnavailableError)
        assert result.busy
        assert get(database, run_id).status == "failed", "who only looks does not wait"
    assert write(database, cancel(run_id)).status == "cancelled"


def test_who_is_frozen_in_a_transaction_loses_it(
    address: str, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a process that was stopped would keep all others from its run."""
    monkeypatch.setattr(postgres, "_TO_WRITE", postgres._TO_WRITE.replace("'10s'", "'200ms'"))
    run_id = put(database, "failed")
    thawed, held = threading.Event(), threading.Event()
    times = []

    def freeze(tx: Transaction) -> None:
        times.append(cancel(run_id)(tx))
        held.set()
        assert thawed.wait(20)

    with ThreadPoolExecutor(1) as threads:
        frozen = threads.submit(database.write, [freeze])
        assert held.wait(10)
        other = PostgresDatabase(address, TERMS)
        assert write(other, cancel(run_id)).changed.actor == "cli:ana"
        thawed.set()
        assert frozen.result(30) == [None]
        other.close()
    assert len(times) == 2, "it was broken off, and done anew"


# --- it goes away ----------------------------------------------------------------------------


def drop_everybody(address: str) -> None:
    with beside(address) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_connection_that_was_dropped_is_made_anew(
    address: str, database: PostgresDatabase
) -> None:
    run_id = put(database, "failed")
    for _ in range(3):
        drop_everybody(address)
        assert get(database, run_id).id == run_id
    drop_everybody(address)
    assert write(database, cancel(run_id)).status == "cancelled"


def test_a_transaction_that_was_broken_off_is_done_anew(
    address: str, database: PostgresDatabase
) -> None:
    run_id = put(database, "failed")
    tries = []

    def change(tx: Transaction) -> Any:
        result = cancel(run_id)(tx)
        tries.append(result)
        if len(tries) == 1:
            drop_everybody(address)
        return result

    assert write(database, change).status == "cancelled"
    assert [run.version for run in tries] == [4, 4]
    assert get(database, run_id).version == 4


@pytest.mark.parametrize("reached", [True, False], ids=["committed", "not committed"])
def test_a_commit_that_is_not_answered_is_looked_up(
    address: str, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, reached: bool
) -> None:
    """The connection breaks just after the commit reached the server, or just before."""
    run_id = put(database, "failed")
    commit = psycopg.Connection.commit
    lost: list[psycopg.Connection[Any]] = []

    def break_off(self: psycopg.Connection[Any]) -> None:
        if not lost and self.info.transaction_status.name == "INTRANS":
            lost.append(self)
            if reached:
                commit(self)
            self.pgconn.finish()
            raise psycopg.OperationalError("the connection is lost")
        commit(self)

    monkeypatch.setattr(psycopg.Connection, "commit", break_off)
    assert write(database, cancel(run_id)).status == "cancelled"
    assert len(lost) == 1
    assert get(database, run_id).version == 4, "it had its effect once"


def test_a_commit_of_which_nobody_can_tell_is_no_promise(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = put(database, "failed")
    monkeypatch.setattr(postgres, "_FATE_SECONDS", 0.3)

    def gone(*_: object) -> None:
        raise psycopg.OperationalError("nobody answers")

    def break_off(self: psycopg.Connection[Any]) -> None:
        monkeypatch.setattr(database, "_asked", gone)
        self.pgconn.finish()
        raise psycopg.OperationalError("the connection is lost")

    with monkeypatch.context() as broken:
        broken.setattr(psycopg.Connection, "commit", break_off)
        [result] = database.write([cancel(run_id)])
    assert isinstance(result, DatabaseUnavailableError)
    assert not result.certain


def test_two_that_wait_for_each_other_both_get_their_turn(database: PostgresDatabase) -> None:
    """The database breaks one of them off; that one is done anew."""
    first, second = put(database, "failed"), put(database, "failed")
    met = threading.Barrier(2, timeout=20)
    times: list[str] = []

    def both(one: str, other: str) -> Callable[[Transaction], Any]:
        def change(tx: Transaction) -> None:
            times.append(one)
            cancel(one)(tx)
            if times.count(one) == 1:
                met.wait()
            cancel(other)(tx)

        return change

    with ThreadPoolExecutor(2) as threads:
        changes = [both(first, second), both(second, first)]
        assert list(threads.map(lambda change: database.write([change]), changes)) == [[None]] * 2
    assert len(times) >= 3
    for run_id in (first, second):
        assert get(database, run_id).status == "cancelled"


# --- clocks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
def test_the_clock_of_a_host_does_not_matter(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    """Simulated: this process's own clock is an hour off, the database's is not."""
    run_id = put(database, "working", lease_expires_at=time.time() + 30)
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + skew)
    run = get(database, run_id)
    assert not run.stale
    assert not run.resumable
    assert abs(database.read(lambda tx: tx.now) - true_time()) < 5
