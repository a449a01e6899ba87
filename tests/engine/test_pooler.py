"""The engine behind PgBouncer, which hands out another connection for each transaction."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from adapters.engine.engine import Engine
from bot.ports import Wake
from tests.engine.house import Crew, at_work, claim, statuses, until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
WAKES = [Wake(f"pooled{number}", number, "here") for number in range(6)]

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


@pytest.fixture
def pooled(queues: str) -> Iterator[str]:
    """The address of the same database through a pooler of its own."""
    if PROGRAM is None:
        pytest.skip("needs pgbouncer")
    parts = conninfo_to_dict(queues)
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
            url = f"postgresql://postgres@127.0.0.1:{port}/{parts['dbname']}"
            try:
                _wait_for(url, running)
                yield url
            finally:
                running.terminate()


def _wait_for(url: str, running: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        assert running.poll() is None, "pgbouncer did not start"
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            subprocess.run(["sleep", "0.1"], check=True)
        else:
            return
    raise TimeoutError(url)


async def test_wakes_and_aborts_through_a_pooler(pooled: str, queues: str, crew: Crew) -> None:
    engine, other = Engine(pooled), Engine(pooled)
    async with (
        engine.running(),
        other.running(),
        at_work(engine, crew.take_up, concurrency=2, listens=False),
        at_work(other, crew.take_up, concurrency=2, listens=False),
    ):
        # More often than a driver needs to prepare a statement.
        for wake in WAKES:
            claim(engine, pooled, wake)
        await until(lambda: len(crew.begun) == 4, 3)
        await asyncio.gather(engine.abort(WAKES[:2]), other.abort(WAKES[2:4]))
        await until(lambda: len(crew.begun) == 6, 3)
        assert sorted(crew.cancelled) == [wake.run_id for wake in WAKES[:4]]
        assert await engine.tidy(30) == 0
        crew.let_go.set()
        await until(lambda: statuses(queues) == [], 3)


async def test_who_listens_through_a_pooler_looks_all_the_same(
    pooled: str, queues: str, crew: Crew, events: list[str]
) -> None:
    engine = Engine(pooled)
    async with engine.running(), at_work(engine, crew.take_up, listens=True):
        # A notification needs a connection of its own, so none is heard here.
        claim(engine, queues, WAKES[0])
        await until(lambda: len(crew.begun) == 1, 3)
        await engine.abort(WAKES)
        await until(lambda: len(crew.ended) == 1, 3)
    assert events == []
