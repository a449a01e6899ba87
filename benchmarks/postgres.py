"""Durable resumes a second on PostgreSQL, each of which wakes a worker."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import house
from benchmarks.commands import Ours, resume
from benchmarks.figures import Effort, Figure, Pair, interleaved, rate
from benchmarks.postgres_peers import CAUGHT, Done, Sent, catching, name_of, pgbench, threads
from benchmarks.server import fill, restore, resumed, server
from bot.conduct import Conductor
from bot.outcome import Answer, Word
from store.database import LoopStore
from store.postgres import PostgresDatabase

CALLERS = 8
_EACH = 3000
"""How many runs there are for each caller: more than it can resume in one round."""
_NAMES = [name_of(caller, number) for number in range(_EACH) for caller in range(CALLERS)]


def _caught(database: PostgresDatabase, conductor: Conductor) -> list[Sent]:
    """The statements of one command."""
    change: partial[Answer] = partial(conductor.change, invocation=resume(CAUGHT))
    with catching() as statements:
        (answer,) = database.write([change])
    assert answer.word is Word.RESUMED, answer
    return statements


async def _ours(
    database: PostgresDatabase, store: LoopStore, conductor: Conductor, seconds: float
) -> float:
    """Commands a second, every one of which won."""
    restore(database)
    return await rate(seconds, CALLERS, _NAMES, Ours(store, conductor).carry_out)


async def _other(database: PostgresDatabase, peer: Callable[[], Done]) -> float:
    restore(database)
    done = await asyncio.to_thread(peer)
    assert resumed(database) == done.number, "a command lost"
    return done.rate


async def _measured(effort: Effort) -> Iterator[tuple[str, Pair]]:
    folder = effort.place("postgres")
    conductor = house.conductor_in(folder, shared=True)
    # pgbench knows whole seconds only, and its connections are new each time.
    seconds = 6 * effort.seconds
    with server(folder) as running:
        database = running.database("commands")
        fill(database, (house.run_row(name, f"api:{name}") for name in (CAUGHT, *_NAMES)))
        statements = _caught(database, conductor)
        asked = (database.url, statements, CALLERS, seconds)
        peers = {
            "pgbench": partial(pgbench, running.programs / "pgbench", *asked),
            "psycopg": partial(threads, *asked),
        }
        store = database.open_store()
        store.start()
        ours = partial(_ours, database, store, conductor, seconds)
        pairs = []
        for name, peer in peers.items():
            pair = await interleaved(effort.rounds, ours, partial(_other, database, peer))
            pairs.append((name, pair))
        await store.close()
    return iter(pairs)


_FIGURES = {"pgbench": "postgres_resume", "psycopg": "postgres_psycopg"}


def measure(effort: Effort) -> Iterator[Figure]:
    """The store beside pgbench and beside plain psycopg, with the same statements."""
    for peer, pair in asyncio.run(_measured(effort)):
        yield Figure(
            name=f"{_FIGURES[peer]}_{CALLERS}",
            value=pair.ours,
            unit="commands/s",
            ratio=pair.ratio,
            of=f"{peer}, {pair.other:.0f} commands/s",
        )
