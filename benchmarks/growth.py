"""Finding a conversation's run and resuming it, among few runs and among a million."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import house
from benchmarks.figures import Effort, Figure, interleaved
from bot.conversation import Conversation
from bot.ports import Transaction
from bot.run import Change as By
from bot.run import Run, RunStatus
from store.database import Database, sqlite_file

_EACH = 10
_LIVE = 10
_HOT = "slack:T1:HOT"
_BUSY = "slack:T1:BUSY"
_RESUMABLE = (RunStatus.FAILED, RunStatus.PAUSED, RunStatus.RUNNING)
_BY = By("api:bench", "api", 0.0)


def _hot(size: int) -> Iterator[tuple[str, str]]:
    """A tenth of all in one channel: one failed, a few under way, the others over."""
    for number in range(size // 10):
        status = "failed" if number == 0 else "running" if number <= _LIVE else "completed"
        yield _HOT, status


def _threads(size: int) -> Iterator[tuple[str, str]]:
    """A tenth of all in the threads of one channel, one each; one in ten has failed."""
    for number in range(size // 10):
        yield f"{_BUSY}:{number}", "completed" if number % 10 else "failed"


def _spread(size: int) -> Iterator[tuple[str, str]]:
    """The rest, ten in each conversation, one of them failed."""
    for number in range(size - 2 * (size // 10)):
        yield f"api:{number // _EACH}", "completed" if number % _EACH else "failed"


def _runs(size: int) -> Iterator[tuple[str, str]]:
    yield from _hot(size)
    yield from _threads(size)
    yield from _spread(size)


def _find_and_resume(tx: Transaction, conversation: Conversation) -> Run | None:
    found = tx.runs.of_conversation(conversation, _RESUMABLE, resumable=True)
    assert len(found) == 1, conversation
    return tx.claims.resume(found[0].id, _BY, None, None)


@dataclass(frozen=True, slots=True)
class Table:
    """A database with so many runs."""

    size: int
    database: Database
    undo: Callable[[str], None]
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    def conversation(self, kind: str) -> str:
        """One with exactly one run to resume."""
        tenth = self.size // 10
        return {
            "": f"api:{self.dice.randrange((self.size - 2 * tenth) // _EACH)}",
            "_hot": _HOT,
            "_thread": f"{_BUSY}:{self.dice.randrange(tenth // 10) * 10}",
        }[kind]

    async def milliseconds(self, kind: str, times: int) -> float:
        """The median of so many commands; each one is undone, outside of the time."""
        return median([self._once(kind) for _ in range(times)])

    def _once(self, kind: str) -> float:
        conversation = Conversation(self.conversation(kind))
        change = partial(_find_and_resume, conversation=conversation)
        begun = time.perf_counter()
        (run,) = self.database.write([change])
        took = time.perf_counter() - begun
        assert isinstance(run, Run), run
        self.undo(run.id)
        return took * 1000


def rows(size: int) -> Iterator[house.Row]:
    """So many runs."""
    for number, (conversation, status) in enumerate(_runs(size)):
        yield house.run_row(number, conversation, status)


@contextmanager
def _table(folder: Path, size: int) -> Iterator[Table]:
    folder.mkdir()
    database = house.database_in(folder)
    house.fill(database, rows(size))
    with closing(sqlite3.connect(sqlite_file(database.url))) as hand, closing(database):
        hand.execute("PRAGMA synchronous=OFF")

        def undo(name: str) -> None:
            with hand:
                house.fail_again(hand, name)

        yield Table(size, database, undo)


def sizes(effort: Effort) -> tuple[int, int]:
    """How many runs there are in the small table, and in the large one."""
    return 1000, 100_000 if effort.quick else 1_000_000


def compared(effort: Effort, small: Table, large: Table, name: str) -> Iterator[Figure]:
    """Each kind of look-up in the large table beside the same one in the small table."""
    times = 20 if effort.quick else 100
    for kind in ("", "_hot", "_thread"):
        ours = partial(large.milliseconds, kind, times)
        other = partial(small.milliseconds, kind, times)
        pair = asyncio.run(interleaved(effort.rounds, ours, other))
        yield Figure(
            name=f"{name}_{large.size}{kind}",
            value=pair.ours,
            unit="ms",
            ratio=pair.ratio,
            of=f"among {small.size}, {pair.other:.2f} ms",
        )


def measure(effort: Effort) -> Iterator[Figure]:
    """A large table beside a small one."""
    folder = effort.place("growth")
    with ExitStack() as stack:
        small, large = (
            stack.enter_context(_table(folder / str(size), size)) for size in sizes(effort)
        )
        yield from compared(effort, small, large, "find_and_resume")
