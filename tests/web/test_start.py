"""Where Baton listens, and where it refuses to."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot import bootstrap
from bot.bootstrap import Joined, serving
from bot.bootstrap import web as serving_web
from bot.errors import ConfigurationError
from tests.conftest import Person
from tests.slack.conftest import installation_in, slack_settings, talking
from tests.slack.double import Slack
from tests.web.house import ROOT, Web, installation_for, opened


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


OPEN = [
    ("0.0.0.0", ""),  # noqa: S104 - refused
    ("0.0.0.0", "http://baton.example"),  # noqa: S104 - refused
    ("::", ""),
    ("192.0.2.1", ""),
    ("baton.example", ""),
    ("127.0.0.1.example", ""),
    ("", ""),
]


@pytest.mark.parametrize(("host", "public_url"), OPEN)
async def test_tokens_never_cross_a_network_in_the_clear(
    tmp_path: Path, repository: Path, host: str, public_url: str
) -> None:
    server = {"host": host, "public_url": public_url}
    installation = installation_for(tmp_path, repository, server=server)
    with pytest.raises(ConfigurationError, match="in the clear") as refused:
        async with opened(installation):
            pass
    assert "Nothing was started" in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
async def test_this_machine_may_ask(tmp_path: Path, repository: Path, host: str) -> None:
    async with opened(installation_for(tmp_path, repository, server={"host": host})) as web:
        assert (await web.asking.get("/healthz")).text == "ok\n"


async def test_behind_a_certificate_others_may_ask(tmp_path: Path, repository: Path) -> None:
    public = {"host": "0.0.0.0", "public_url": "https://baton.example"}  # noqa: S104 - meant so
    installation = installation_for(tmp_path, repository, server=public)
    async with (
        serving(installation, concurrency=0) as service,
        serving_web(installation, service, Joined([], [])) as told,
    ):
        assert told == "The web page is at https://baton.example."


async def test_a_port_that_is_taken_costs_only_the_web(
    tmp_path: Path, repository: Path, taken: int
) -> None:
    installation = installation_for(tmp_path, repository, server={"port": taken})
    async with (
        serving(installation) as service,
        serving_web(installation, service, Joined([], [])) as told,
    ):
        assert told is not None
        assert told.startswith(f"There is no web page: 127.0.0.1, port {taken}, cannot be used")
        ana = Person(service)
        run_id = await ana.starts("/run quick")
        await ana.sees_status(run_id, "completed")
    assert '"event": "web.listen_failed"' in (tmp_path / "state" / "baton.log").read_text()


async def test_a_port_that_is_taken_stops_a_slack_that_calls_there(
    tmp_path: Path, repository: Path, taken: int
) -> None:
    async with Slack() as slack:
        sections: dict[str, Any] = {
            "slack": slack_settings(slack, mode="http"),
            "server": {"port": taken, "public_url": "https://baton.example"},
        }
        installation = installation_in(tmp_path, repository, slack, **sections)
        with pytest.raises(ConfigurationError, match=f"port {taken}, cannot be used") as refused:
            async with talking(installation):
                pass
    assert "Nothing was started" in str(refused.value)


async def test_the_web_can_be_started_again_in_one_process(fresh: Web) -> None:
    """What joins the web is called by the name of its own module."""
    assert (await fresh.asking.get("/healthz")).status == 200
    assert callable(bootstrap.web)


# --- baton serve -----------------------------------------------------------------------------


@asynccontextmanager
async def served(
    directory: Path, *before: str, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`baton serve` as people start it, without a terminal; started by the words `before` it."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BATON_", "SLACK_", "DISCORD_"))
    }
    process = await asyncio.create_subprocess_exec(
        *(*before, sys.executable, "-m", "bot", "serve"),
        cwd=directory,
        env={**clean, "PYTHONPATH": str(ROOT), **settings},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return (await process.stdout.readline()).decode().strip()


async def test_serve_tells_of_a_taken_port_and_goes_on(tmp_path: Path, taken: int) -> None:
    async with served(tmp_path, BATON_SERVER__PORT=str(taken)) as process:
        assert (await line_of(process)).startswith("There is no web page: 127.0.0.1")
        await line_of(process)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0


async def test_serve_refuses_to_be_open_to_all(tmp_path: Path) -> None:
    async with served(tmp_path, BATON_SERVER__HOST="0.0.0.0") as process:  # noqa: S104 - refused
        said, why = await process.communicate()
        assert process.returncode == 2
        assert b"tokens would cross the network in the clear" in why
        assert b"Traceback" not in said + why
