"""Who is frozen in the middle of a transaction keeps nobody else from work of their own."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

import store.postgres
import store.threads
from bot.hosts import Host
from bot.output import Output
from bot.ports import DatabaseUnavailableError, Transaction
from store.database import Database, open_database
from store.postgres import WRITERS
from store.threads import ThreadStore
from tests.postgres import Postgres
from tests.store.factories import HOST, TERMS, put, write

OTHERS = "here:2:b"
HOST_OF_WORKERS = Host(HOST, "place", "/state", {"deploy": "/repository"})


@pytest.fixture
def database(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """This test's database, in which nobody waits for anybody's row."""
    words = store.postgres._TO_WRITE.replace("'5s'", "'100ms'")
    monkeypatch.setattr(store.postgres, "_TO_WRITE", words)
    url = postgres.up_to_date()
    database = open_database(url, TERMS)
    yield database
    database.close()
    postgres.give_back(url)


@contextmanager
def frozen(database: Database, change: Callable[[Transaction], Any]) -> Iterator[None]:
    """Somebody who stands still after this change, before its commit."""
    stands, thawed = threading.Event(), threading.Event()

    def freeze(tx: Transaction) -> None:
        change(tx)
        stands.set()
        assert thawed.wait(20)

    with ThreadPoolExecutor(1) as threads:
        standing = threads.submit(write, database, freeze)
        assert stands.wait(10)
        try:
            yield
        finally:
            thawed.set()
            standing.result(20)


def announce(tx: Transaction) -> bool:
    return tx.hosts.announce(HOST_OF_WORKERS)


def test_a_frozen_heartbeat_holds_up_no_other_of_its_host(database: Database) -> None:
    assert write(database, announce)
    with frozen(database, announce):
        assert write(database, announce)


def test_a_frozen_start_holds_up_no_other_start(database: Database) -> None:
    run_id = put(database, "claimed")

    def start(tx: Transaction, worker: str) -> Any:
        run = tx.runs.get(run_id)
        assert run is not None
        return tx.work.start(run_id, run.epoch, worker)

    with frozen(database, lambda tx: start(tx, "here:1:a")):
        assert write(database, lambda tx: start(tx, OTHERS)) is None


def test_an_output_of_an_older_claim_is_left_aside(database: Database) -> None:
    run_id = put(database, "working")
    run = database.read(lambda tx: tx.runs.get(run_id))
    assert run is not None
    end = Output(start=0, content=b"of this claim")
    write(database, lambda tx: tx.outputs.put(run_id, run.epoch, end))
    late = replace(end, content=b"of an older one")
    write(database, lambda tx: tx.outputs.put(run_id, run.epoch - 1, late))
    assert database.read(lambda tx: tx.outputs.get(run_id)) == end


async def test_a_server_that_stands_still_is_told_of(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what it was given nobody can tell; what still waits for its turn does not happen."""
    monkeypatch.setattr(store.threads, "_LONGEST_SECONDS", 0.5)
    answers = threading.Event()
    threads = ThreadStore(database)  # type: ignore[arg-type] # the fixture's is PostgreSQL's

    async def certain(change: Callable[[Transaction], Any]) -> bool:
        with pytest.raises(DatabaseUnavailableError, match="it does not answer") as caught:
            await threads.write(change)
        return caught.value.certain

    begun = [certain(lambda _: answers.wait(20)) for _ in range(WRITERS)]
    told = await asyncio.gather(*begun, certain(lambda tx: tx.keys.revoke("nobody")))
    answers.set()
    assert told == [False] * WRITERS + [True]
    await threads.close()
