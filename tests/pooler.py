"""PgBouncer before a database, as many teams have it: another connection for each transaction."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

_SETTINGS = """
[databases]
{dbname} = host={host} dbname={dbname} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
auth_file = {users}
pool_mode = transaction
default_pool_size = 4
server_tls_sslmode = disable
"""


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def pooler(url: str) -> Iterator[str]:
    """The address of the same database through a pooler of its own; skips where there is none."""
    if PROGRAM is None:
        pytest.skip("needs pgbouncer")
    parts = conninfo_to_dict(url)
    port = _free_port()
    with TemporaryDirectory(prefix="baton-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        users = directory / "users"
        users.write_text('"postgres" ""\n')
        settings = directory / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(dbname=parts["dbname"], host=parts["host"], port=port, users=users)
        )
        # It refuses to run as root; only the server's own user may use its socket then.
        user = Path(str(parts["host"])).owner()
        other_user = ["-u", user] if os.geteuid() == 0 else []
        with subprocess.Popen(
            [PROGRAM, "-q", *other_user, settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as running:
            pooled = f"postgresql://postgres@127.0.0.1:{port}/{parts['dbname']}"
            try:
                _wait_for(pooled, running)
                yield pooled
            finally:
                running.terminate()


def _wait_for(url: str, running: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        assert running.poll() is None, "pgbouncer did not start"
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)
