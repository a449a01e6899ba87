"""A move that kills itself with SIGKILL at a named point: `python -m tests.store.mover`."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection

from store import moving
from store.database import open_database
from store.moving import move, still
from store.sqlite import SqliteDatabase
from tests.store.factories import TERMS

POINTS = (
    "before anything",
    "in the middle of a table",
    "when the last table is copied",
    "while it compares",
    "before the commit",
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Doom:
    """Hears how far the move is, and ends it there."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._copied: set[str] = set()

    def __call__(self, table: str, done: int, total: int, *, compared: bool) -> None:
        if not compared:
            self._copied.add(table)
        fatal = {
            "before anything": not compared,
            "in the middle of a table": table == "runs" and 0 < done < total,
            "when the last table is copied": compared,
            "while it compares": compared and table == "steps" and done == total,
        }
        if fatal.get(self._point):
            die()


def commit_of(point: str) -> Callable[[Connection], None]:
    """The commit that this move makes, or what happens in its place."""
    if point == "before the commit":
        return lambda _connection: die()
    return moving._commit


def main(file: Path, url: str, point: str) -> None:
    moving._commit = commit_of(point)  # type: ignore[assignment] # the planted fault
    with still(SqliteDatabase(file, TERMS)) as source:
        move(source, open_database(url, TERMS), Doom(point))
    die()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
