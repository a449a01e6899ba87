"""Connections that keep Baton waiting: they are let go, and cost others nothing."""

import asyncio
import json
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from adapters import descriptors
from adapters.web import connections, serve, streams
from bot.bootstrap import pages
from tests.conftest import DEADLINE_SECONDS, Person
from tests.web.asking import Asking, open_session
from tests.web.house import ROOT, Web, address_in, baton, installation_for, opened
from tests.web.raw import connected, reply_of, request, sends
from tests.web.test_start import line_of, served
from tests.web.test_streams import listeners, until_audience

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
MOST = 10
SILENT = 3 * MOST
FEW_DESCRIPTORS = 256
WITH_FEW = ("/bin/sh", "-c", 'ulimit -n "$0"; exec "$@"', str(FEW_DESCRIPTORS))
QUICK = """
[workflows.quick]
repository = "repository"
[[workflows.quick.steps]]
name = "one"
run = "echo one"
"""
HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
FORM = (
    b"POST /signin HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
)
BEGUN = {
    "nothing": [],
    "half a head": [HEAD],
    "half a body": [FORM + b"Content-Length: 9\r\n\r\ntoken"],
    "half of the next head": [HEAD + b"\r\n", HEAD],
    "no next request": [HEAD + b"\r\n"],
}


@asynccontextmanager
async def silent(base: str, many: int) -> AsyncIterator[list[Streams]]:
    """So many connections on which nobody says anything."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connected(base)) for _ in range(many)]


def asked_by(script: Asking, path: str) -> bytes:
    """A look at this, after which the connection may stay."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in script.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def asks(there: Streams, script: Asking) -> int:
    """The status of a look at the runs, on a connection that is to stay open."""
    reader, writer = there
    writer.write(asked_by(script, "/api/runs?limit=1"))
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
    return int(head.split()[1])


# --- who does not ask ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BEGUN)
async def test_whoever_does_not_ask_is_let_go(
    tmp_path: Path, repository: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    async with (
        opened(installation_for(tmp_path, repository)) as web,
        asyncio.timeout(DEADLINE_SECONDS),
        connected(web.base) as (reader, writer),
    ):
        for number, piece in enumerate(BEGUN[kind]):
            if number:
                await reader.readuntil(b"ok\n")
            writer.write(piece)
        await reply_of(reader)
        web.assert_clean_log()


async def trickle(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.05)


async def test_a_request_that_trickles_is_let_go(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes soon enough; the request as a whole does not."""
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    async with (
        opened(installation_for(tmp_path, repository)) as web,
        asyncio.timeout(DEADLINE_SECONDS),
        connected(web.base) as (_, writer),
    ):
        writer.write(HEAD + b"X-Long: ")
        with pytest.raises(ConnectionError):
            await trickle(writer)
        assert (await web.asking.get("/healthz")).status == 200


async def test_a_stream_may_be_silent(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has asked does not have to say anything for as long as the answer lasts."""
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.1)
    async with opened(installation_for(tmp_path, repository)) as web:
        script = await web.script()
        async with script.stream() as stream:
            assert [await stream.comment() for _ in range(8)] == ["still here"] * 8


# --- too many --------------------------------------------------------------------------------


@pytest.fixture
async def crowded(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Web]:
    """A Baton with a worker, and with room for few."""
    monkeypatch.setattr(serve, "MOST_CONNECTIONS", MOST)
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 60)
    async with opened(installation_for(tmp_path, repository), concurrency=1) as web:
        yield web


async def test_whoever_is_silent_makes_way(crowded: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_SILENT_SECONDS", 0)
    script, ana = await crowded.script(), Person(crowded.service)
    async with asyncio.timeout(DEADLINE_SECONDS), connected(crowded.base) as known:
        assert await asks(known, script) == 200
        async with silent(crowded.base, SILENT) as crowd, open_session() as session:
            # Those that came first are let go, long before their time is up.
            await asyncio.gather(*(reply_of(reader) for reader, _ in crowd[: SILENT - MOST]))
            assert await asks(known, script) == 200
            other = Asking(session, crowded.base, script.headers)
            assert (await other.get("/api/runs")).status == 200
            run_id = await ana.starts("/run quick")
            await ana.sees_status(run_id, "completed")
    crowded.assert_clean_log()


async def test_a_rush_of_newcomers_is_answered_to_the_last(crowded: Web) -> None:
    """Nobody makes way whose question is under way: one is told to come again instead."""
    asked = request(crowded.base, "GET /healthz HTTP/1.1", "Connection: close")
    for _ in range(5):
        told = await asyncio.gather(*(sends(crowded.base, asked) for _ in range(5 * MOST)))
        assert {reply.status for reply in told} <= {200, 503}


async def test_a_request_has_its_own_time_however_late_it_begins(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 2)
    late = HEAD[:20], HEAD[20:] + b"\r\n"
    async with (
        opened(installation_for(tmp_path, repository)) as web,
        asyncio.timeout(DEADLINE_SECONDS),
        connected(web.base) as (reader, writer),
    ):
        for _ in range(2):
            # A pause that leaves too little of a time that would count it.
            await asyncio.sleep(1.4)
            writer.write(late[0])
            await asyncio.sleep(1.2)
            writer.write(late[1])
            await reader.readuntil(b"ok\n")


async def test_where_everybody_has_asked_others_are_refused(crowded: Web) -> None:
    script, ana = await crowded.script(), Person(crowded.service)
    async with asyncio.timeout(DEADLINE_SECONDS), AsyncExitStack() as stack:
        listening = await stack.enter_async_context(listeners(script, MOST // 2))
        known = await stack.enter_async_context(silent(crowded.base, MOST - MOST // 2 - 1))
        # The connection on which the token was made is one of them.
        assert (await crowded.asking.get("/healthz")).status == 200
        assert [await asks(one, script) for one in known] == [200] * len(known)
        async with connected(crowded.base) as (reader, _):
            refused = await reply_of(reader)
        assert refused.status == 503
        assert "retry-after: 1" in refused.head
        assert await asks(known[0], script) == 200
        run_id = await ana.starts("/run quick")
        await listening[0].until(run_id, "completed")
    crowded.assert_clean_log()


async def test_a_place_that_is_left_is_free(crowded: Web) -> None:
    script = await crowded.script()
    for _ in range(3):
        async with asyncio.timeout(DEADLINE_SECONDS), silent(crowded.base, MOST - 1) as known:
            assert [await asks(one, script) for one in known] == [200] * len(known)


# --- who does not read -----------------------------------------------------------------------


async def test_whoever_takes_nothing_is_let_go(fresh: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """More is to be told than fits on the way to somebody who reads nothing."""
    monkeypatch.setattr(connections, "READER_SECONDS", 1)
    monkeypatch.setattr(streams, "event", lambda _run: b": " + b" " * 20_000_000 + b"\n\n")
    script, run_id = await fresh.script(), fresh.put("failed")
    async with connected(fresh.base) as (reader, writer):
        writer.write(asked_by(script, "/api/events"))
        await reader.readuntil(b": listening")
        await script.post(f"/api/runs/{run_id}/cancel")
        await until_audience(fresh, 0)
    fresh.assert_clean_log()


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little fits on the way from Baton to whoever asks."""

    def bound(host: str, port: int) -> socket.socket:
        at = serve.bound(host, port)
        at.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return at

    monkeypatch.setattr(pages, "bound", bound)


@asynccontextmanager
async def unread(base: str, written: bytes) -> AsyncIterator[None]:
    """Somebody asks, and reads nothing of the answer."""
    there = urlsplit(base)
    with socket.socket() as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.to_thread(asking.connect, (there.hostname, there.port))
        asking.sendall(written)
        yield


@pytest.mark.parametrize("closing", [True, False])
async def test_the_rest_of_an_answer_holds_no_place(
    narrow: None, crowded: Web, closing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As little of it as one could keep for ever without noticing."""
    monkeypatch.setattr(connections, "READER_SECONDS", 1)
    asked = b"GET /api/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    asked += b"Connection: close\r\n\r\n" if closing else b"\r\n"
    async with AsyncExitStack() as stack:
        for _ in range(MOST):
            await stack.enter_async_context(unread(crowded.base, asked))
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (
                await sends(crowded.base, request(crowded.base, "GET /healthz HTTP/1.1"))
            ).status != 200:
                await asyncio.sleep(0.05)


# --- few descriptors -------------------------------------------------------------------------


@pytest.mark.heavy
async def test_silent_connections_take_nothing_from_runs(tmp_path: Path, repository: Path) -> None:
    """There are more of them than descriptors that Baton may have."""
    (tmp_path / "config.toml").write_text(QUICK)
    file = tmp_path / "baton.db"
    settings = {"BATON_DATABASE__URL": f"sqlite:///{file}", "BATON_RUNNER__HOST": "here"}
    async with served(tmp_path, *WITH_FEW, BATON_SERVER__PORT="0", **settings) as process:
        base = address_in(await line_of(process))
        async with silent(base, 2 * FEW_DESCRIPTORS), open_session() as session:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while (await Asking(session, base).get("/healthz")).status != 200:
                    await asyncio.sleep(0.05)
            code, said = await baton(file, "run", "quick", "--json")
            assert code == 0, said
            run = json.loads(said)["run"]
            async with asyncio.timeout(DEADLINE_SECONDS):
                while run["status"] in {"pending", "running"}:
                    _, said = await baton(file, "status", run["id"], "--json")
                    run = json.loads(said)["run"]
            assert (run["status"], run["error"]) == ("completed", None)
    assert "Too many open files" not in (tmp_path / "baton.log").read_text()


def test_as_many_descriptors_as_may_be_are_asked_for() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    asked = "from adapters.descriptors import raised; print(raised())"
    words = ["/bin/sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh", sys.executable, "-c", asked]
    said = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert int(said) == (
        descriptors.ENOUGH if hard == resource.RLIM_INFINITY else min(hard, descriptors.ENOUGH)
    )


@pytest.mark.parametrize("no", [OSError, ValueError])
def test_where_no_more_are_given_those_that_are_there_will_do(
    no: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise no

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert descriptors.raised() == 256


@pytest.mark.parametrize(
    ("given", "most"), [(256, 128), (1024, 512), (10_240, serve.MOST_CONNECTIONS)]
)
def test_connections_take_half_of_the_descriptors_at_most(given: int, most: int) -> None:
    assert serve.most_connections(given) == most


def test_no_answer_waits_for_the_acknowledgement_of_its_head() -> None:
    with (
        serve.bound("127.0.0.1", 0) as at,
        socket.create_connection(at.getsockname()),
        at.accept()[0] as taken,
    ):
        assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
