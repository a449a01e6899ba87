"""Many conversations at once, and whether each of them gets its turn."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks import house
from benchmarks.figures import Effort, Figure
from bot import log
from bot.dispatcher import Dispatcher
from bot.locks import ConversationLocks
from bot.outcome import Word
from store.database import Database

CONVERSATIONS = 1000
_RUNS_EACH = 3
_WANTED = {"resume": Word.RESUMED, "cancel": Word.CANCELLED}


@dataclass(frozen=True, slots=True)
class _Round:
    """How long each answer took, in milliseconds, and all of them together."""

    waits: list[float]
    seconds: float

    @property
    def p99(self) -> float:
        return quantiles(self.waits, n=100)[-1]

    @property
    def fair(self) -> float:
        """What each answer would take if all waited the same."""
        return 1000 * CONVERSATIONS / (len(self.waits) / self.seconds)


async def _talk(dispatcher: Dispatcher, number: int, waits: list[float]) -> None:
    conversation = f"api:{number}"
    for own in range(_RUNS_EACH):
        name = house.run_name(number * _RUNS_EACH + own)
        for verb, word in _WANTED.items():
            said = house.message(f"{verb} {name}", conversation, f"api:bench:{verb}:{name}")
            begun = time.perf_counter()
            answer = await dispatcher.handle(said)
            waits.append((time.perf_counter() - begun) * 1000)
            assert answer is not None, said
            assert answer.word is word, answer.reply


async def _round(dispatcher: Dispatcher, database: Database) -> _Round:
    house.restore(database)
    waits: list[float] = []
    begun = time.perf_counter()
    await asyncio.gather(*(_talk(dispatcher, n, waits) for n in range(CONVERSATIONS)))
    return _Round(waits, time.perf_counter() - begun)


async def _measured(effort: Effort) -> list[_Round]:
    folder = effort.place("conversations")
    log.write_to(folder / "baton.log")
    database = house.database_in(folder)
    numbers = range(CONVERSATIONS * _RUNS_EACH)
    house.fill(database, (house.run_row(n, f"api:{n // _RUNS_EACH}") for n in numbers))
    store = database.open_store()
    store.start()
    dispatcher = Dispatcher(store, house.conductor_in(folder), ConversationLocks(), "")
    rounds = [await _round(dispatcher, database) for _ in range(effort.rounds)]
    await store.close()
    return rounds


def measure(effort: Effort) -> Iterator[Figure]:
    """The slowest answers beside what a fair share of the throughput would take."""
    rounds = asyncio.run(_measured(effort))
    fair = median(r.fair for r in rounds)
    yield Figure(
        name=f"conversations_{CONVERSATIONS}_p99",
        value=median(r.p99 for r in rounds),
        unit="ms",
        ratio=median(r.p99 / r.fair for r in rounds),
        of=f"{CONVERSATIONS} / throughput, {fair:.0f} ms",
    )
