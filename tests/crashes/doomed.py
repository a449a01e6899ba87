"""A Baton process that kills itself with SIGKILL at a named point; started by test_crashes."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from bot.bootstrap import installed, serving
from store.database import Change, Database
from tests.conftest import Person, settings_for


class Doom:
    """Dies at the nth write, before its commit or after it."""

    def __init__(self, database: Database, point: str, write: int) -> None:
        self._commit = database.write
        self._point = point
        self._fatal = write
        self._numbers = count(1)

    def write(self, changes: Sequence[Change]) -> list[Any]:
        fatal = next(self._numbers) == self._fatal
        if fatal and self._point == "before":
            die()
        results = self._commit(changes)
        if fatal:
            die()
        return results


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(directory: Path, url: str, point: str, write: int, starts: str) -> None:
    settings = settings_for(directory, directory / "repository", database={"url": url})
    installation = installed(settings, directory)
    doom = Doom(installation.database, point, write)
    installation.database.write = doom.write  # type: ignore[method-assign] # the planted fault
    naive = starts == "from memory"
    async with serving(installation, concurrency=0 if naive else None) as service:
        ana = Person(service)
        for number in range(4):
            answer = await ana.says(
                f"/run told to={directory / 'told'}", delivery=f"terminal:ana:{number}"
            )
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            if naive:
                # What Baton must never do: commit, and then order the start from memory.
                await service.worker._start(await ana.sees(answer.run_id or "", bool))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]))
