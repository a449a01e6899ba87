"""Commands a second of several processes on one PostgreSQL database.

Every process is what a Baton is in the middle: a dispatcher, its locks, its log, its store.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import IO

from benchmarks import house
from benchmarks.figures import Effort, Figure, rate
from benchmarks.postgres_peers import name_of
from benchmarks.server import fill, open_on, restore, server
from bot import log
from bot.dispatcher import Dispatcher
from bot.locks import ConversationLocks
from bot.outcome import Word
from store.postgres import PostgresDatabase

REPLICAS = (1, 2, 4)
_CALLERS = 8
_WARM = 20 * _CALLERS
"""How many commands come first, untimed: connections, and what is compiled and planned once."""
_EACH = 6000


def _names(replica: int) -> list[str]:
    """The runs of one process."""
    return [name_of(replica, number) for number in range(_EACH)]


async def _serve(folder: Path, url: str, replica: int, seconds: float) -> None:
    """One process: says that it is ready, waits for a word, then tells what it did."""
    log.write_to(folder / f"baton-{replica}.log")
    store = open_on(url).open_store()
    store.start()
    conductor = house.conductor_in(folder, shared=True)
    dispatcher = Dispatcher(store, conductor, ConversationLocks(), f"bench:{replica}")
    names = _names(replica)

    async def carry_out(name: str) -> None:
        said = house.message(f"resume {name}", f"api:{name}", f"api:bench:{name}")
        answer = await dispatcher.handle(said)
        assert answer is not None, name
        assert answer.word is Word.RESUMED, answer.reply

    await rate(60.0, _CALLERS, names[:_WARM], carry_out)
    print("ready", flush=True)
    sys.stdin.readline()
    print(await rate(seconds, _CALLERS, names[_WARM:], carry_out), flush=True)
    await store.close()


def _said(stream: IO[str] | None) -> str:
    assert stream is not None
    said = stream.readline()
    assert said, "a replica ended"
    return said


def _round(folder: Path, database: PostgresDatabase, replicas: int, seconds: float) -> float:
    """What so many processes did together."""
    restore(database)
    words = [sys.executable, "-m", __name__, str(folder), database.url]
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(
                    [*words, str(replica), str(seconds)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for replica in range(replicas)
        ]
        for process in running:
            assert _said(process.stdout) == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return sum(float(_said(process.stdout)) for process in running)


def measure(effort: Effort) -> Iterator[Figure]:
    """Commands a second, every one of which won, was durable and woke a worker."""
    folder = effort.place("postgres_replicas")
    seconds = 4 * effort.seconds
    with server(folder) as running:
        database = running.database("replicas")
        names = [name for replica in range(max(REPLICAS)) for name in _names(replica)]
        fill(database, (house.run_row(name, f"api:{name}") for name in names))
        rounds = [
            {replicas: _round(folder, database, replicas, seconds) for replicas in REPLICAS}
            for _ in range(effort.rounds)
        ]
        database.close()
    for replicas in REPLICAS:
        yield Figure(
            name=f"postgres_replicas_{replicas}",
            value=median(each[replicas] for each in rounds),
            unit="commands/s",
        )


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
