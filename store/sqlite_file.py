"""The SQLite file itself: made, brought up to date under its lock, and asked how far it is."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


def version_of(file: Path) -> str | None:
    """The migration that a database file is at; None where it is empty or missing."""
    if not file.exists():
        return None
    uri = f"{file.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise
    return str(row[0]) if row else None


def is_logged_ahead(file: Path) -> bool:
    """Whether readers need not wait for writers; a copy that was restored may have lost that."""
    with file.open("rb") as database:
        # The two bytes that say how it is written and read (sqlite.org: fileformat2).
        return database.read(20)[18:20] == b"\x02\x02"


def log_ahead(file: Path) -> None:
    """From now on readers need not wait for writers."""
    with closing(sqlite3.connect(file, timeout=30)) as raw:
        raw.execute("PRAGMA journal_mode=WAL")


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Hold the lock under which a database is made or changed."""
    with file.with_name(file.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
