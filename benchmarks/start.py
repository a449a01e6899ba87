"""How soon the command line answers."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks import house
from benchmarks.figures import Effort, Figure, interleaved

_STACK = (
    "import slack_bolt.async_app, discord, sqlalchemy.ext.asyncio, aiosqlite, alembic.command,"
    " pydantic, rich, prompt_toolkit"
)


async def _milliseconds(words: Sequence[str], folder: Path) -> float:
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=folder, stdout=subprocess.DEVNULL
    )
    assert await process.wait() == 0, words
    return (time.perf_counter() - begun) * 1000


def measure(effort: Effort) -> Iterator[Figure]:
    """`baton status` beside a process that imports all that Baton is made of."""
    folder = effort.place("start")
    (folder / ".baton").mkdir()
    database = house.database_in(folder / ".baton")
    house.fill(database, [house.run_row(0, "cli:bench")])
    database.close()
    status = partial(_milliseconds, ["-m", "bot", "status", "--as", "bench"], folder)
    stack = partial(_milliseconds, ["-c", _STACK], folder)
    pair = asyncio.run(interleaved(effort.rounds, status, stack))
    yield Figure(
        name="status_start",
        value=pair.ours,
        unit="ms",
        ratio=pair.ratio,
        of=f"importing the whole stack, {pair.other:.0f} ms",
    )
