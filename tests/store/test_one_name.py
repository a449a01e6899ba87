"""Two machines of one name that announce themselves at the same moment: one of them is the host."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest

from bot.hosts import Host
from bot.ports import LivingWorker, Transaction
from store.database import open_database
from tests.postgres import Postgres
from tests.store.factories import TERMS, write

ROUNDS = 60


def announce(tx: Transaction, host: Host) -> bool:
    return tx.hosts.announce(host)


def first_beat(tx: Transaction, host: str, place: str) -> bool:
    """What a worker says when it starts; whether it is this host."""
    if not announce(tx, Host(host, place, f"/{place}", {})):
        return False
    tx.work.beat(LivingWorker(f"{host}:1:{place}", host, 1, 2), {})
    return True


@pytest.mark.parametrize("before", ["nobody", "somebody who is gone"])
def test_one_of_two_machines_is_the_host(postgres: Postgres, before: str) -> None:
    url = postgres.up_to_date()
    together = threading.Barrier(2)

    def begin(place: str, host: str) -> bool:
        together.wait(10)
        taken: bool = write(databases[place], lambda tx: first_beat(tx, host, place))
        return taken

    with (
        closing(open_database(url, TERMS)) as one,
        closing(open_database(url, TERMS)) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        databases = {"one": one, "other": other}
        for number in range(ROUNDS):
            host = f"host{number}"
            if before != "nobody":
                gone = Host(host, "gone", "/gone", {})
                write(one, partial(announce, host=gone))
            taken = threads.map(begin, databases, [host, host])
            assert sorted(taken) == [False, True]
    postgres.give_back(url)
