"""Bringing a database up to date: every command does it first, under one lock."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bot.errors import ConfigurationError, SchemaError
from store.database import Database, translated

CURRENT = "0004"
"""The newest migration; a test holds it equal to the migrations' own head."""

_MIGRATIONS = Path(__file__).parent / "migrations"


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


def is_current(database: Database) -> bool:
    """Whether the tables are those of this Baton. Raises DatabaseUnavailableError."""
    with translated():
        return version_of(database.file) == CURRENT


def _is_logged_ahead(file: Path) -> bool:
    """Whether readers need not wait for writers; a copy that was restored may have lost that."""
    with file.open("rb") as database:
        # The two bytes that say how it is written and read (sqlite.org: fileformat2).
        return database.read(20)[18:20] == b"\x02\x02"


def _log_ahead(file: Path) -> None:
    with closing(sqlite3.connect(file, timeout=30)) as raw:
        raw.execute("PRAGMA journal_mode=WAL")


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold the lock under which a database is made or changed."""
    with file.with_name(file.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def bring_up_to_date(database: Database) -> None:
    """Make the tables of an empty database, or change those of an older one.

    Raises SchemaError for a database of a newer Baton, ConfigurationError where there can be
    no database at that place.
    """
    try:
        if version_of(database.file) == CURRENT and _is_logged_ahead(database.file):
            return
        # Logs and worktrees live here too, and may hold what is not for every user of the host.
        database.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(database.file):
            _log_ahead(database.file)
            if version_of(database.file) != CURRENT:
                _migrate(database)
    except (OSError, sqlite3.Error) as error:
        reason = f"database.url: no database can be opened at {database.file}: {error}"
        raise ConfigurationError(reason) from error


def _migrate(database: Database) -> None:
    # Imported here because it is slow to import and almost no command needs it.
    from alembic.command import upgrade  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    at = version_of(database.file)
    if at is not None and at not in known:
        raise SchemaError(at)
    with database.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        upgrade(config, "head")
