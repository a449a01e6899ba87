"""Durable commands a second: delivery, look-up, swap, event and answer in one commit."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks import house
from benchmarks.figures import Effort, Figure, Pair, interleaved, rate
from benchmarks.raw import Sent, catching, raw_commands
from bot.conduct import Conductor
from bot.conversation import Invocation
from bot.outcome import Answer, Word
from store.database import Database, LoopStore, sqlite_file

CALLERS = (1, 16, 64)
_RUNS = 12_000
_CAUGHT = "zzzzzzzz"

CarryOut = Callable[[str], Awaitable[None]]


def resume(name: str) -> Invocation:
    """The command that resumes the run of this name, which was asked for in a place of its own."""
    said = house.message("resume", f"api:{name}", f"api:bench:{name}")
    return Invocation("resume", "", said)


@dataclass(frozen=True, slots=True)
class Ours:
    """The store, and the rules of the house."""

    store: LoopStore
    conductor: Conductor

    async def carry_out(self, name: str) -> None:
        """One command about the run of this name."""
        asked = resume(name)
        change: partial[Answer] = partial(self.conductor.change, invocation=asked)
        answer = await self.store.write(change)
        assert answer.word is Word.RESUMED, answer.reply


def caught_command(database: Database, conductor: Conductor) -> list[Sent]:
    """The statements of one command."""
    asked = resume(_CAUGHT)
    change = partial(conductor.change, invocation=asked)
    with catching() as statements:
        (answer,) = database.write([change])
    assert answer.word is Word.RESUMED, answer
    return statements


async def _rate(effort: Effort, callers: int, database: Database, carry_out: CarryOut) -> float:
    """Commands a second, every one of which won; each caller works on runs of its own."""
    house.restore(database)
    names = [house.run_name(number) for number in range(_RUNS)]
    return await rate(effort.seconds, callers, names, carry_out)


async def _measured(effort: Effort) -> Iterator[tuple[int, Pair]]:
    folder = effort.place("commands")
    conductor = house.conductor_in(folder)
    (folder / "raw").mkdir()
    database = house.database_in(folder)
    names = [_CAUGHT, *range(_RUNS)]
    house.fill(database, (house.run_row(n, f"api:{_name(n)}") for n in names))
    statements = caught_command(database, conductor)
    shutil.copy(sqlite_file(database.url), folder / "raw")
    raw_database = house.database_in(folder / "raw")
    store = database.open_store()
    store.start()
    pairs = []
    async with raw_commands(sqlite_file(raw_database.url), statements, _CAUGHT) as carry_out_raw:
        for callers in CALLERS:
            carry_out = Ours(store, conductor).carry_out
            ours = partial(_rate, effort, callers, database, carry_out)
            raw = partial(_rate, effort, callers, raw_database, carry_out_raw)
            pairs.append((callers, await interleaved(effort.rounds, ours, raw)))
    await store.close()
    raw_database.close()
    return iter(pairs)


def _name(number: int | str) -> str:
    return number if isinstance(number, str) else house.run_name(number)


def measure(effort: Effort) -> Iterator[Figure]:
    """The store beside bare aiosqlite with the same statements."""
    for callers, pair in asyncio.run(_measured(effort)):
        yield Figure(
            name=f"command_{callers}",
            value=pair.ours,
            unit="commands/s",
            ratio=pair.ratio,
            of=f"raw aiosqlite, {pair.other:.0f} commands/s",
        )
