"""Events: whoever listens hears of every change, whichever process made it."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.web import streams
from bot.bootstrap import Joined, serving
from bot.bootstrap import web as serving_web
from bot.ports import Store, Transaction
from store.database import sqlite_file
from store.sqlite import SqliteDatabase
from tests.conftest import DEADLINE_SECONDS, Person
from tests.store.factories import TERMS, now_of, write
from tests.web.asking import Asking, Stream, open_session
from tests.web.house import ROOT, Web, address_in, installation_for, opened

T = TypeVar("T")
ELSEWHERE_SECONDS = 1.5
COMMAND_SECONDS = 0.3
LISTENERS = 200
ROUNDS = 3


def _tell(figures: str) -> None:
    """Seen with `-s`, and where the test fails."""
    sys.stdout.write(f"\n{figures}\n")


async def audience(web: Web) -> float:
    """How many streams are open, as Baton itself counts them."""
    text = (await web.asking.get("/metrics")).text
    for family in text_string_to_metric_families(text):
        if family.name == "baton_event_streams":
            return float(family.samples[0].value)
    raise AssertionError(text)


async def until_audience(web: Web, wanted: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await audience(web) != wanted:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def listeners(asking: Asking, many: int) -> AsyncIterator[list[Stream]]:
    """So many streams at once."""
    async with AsyncExitStack() as stack:
        yield list(
            await asyncio.gather(*(stack.enter_async_context(asking.stream()) for _ in range(many)))
        )


# --- what is heard ---------------------------------------------------------------------------


async def test_the_life_of_a_run_is_heard(tmp_path: Path, repository: Path) -> None:
    async with opened(installation_for(tmp_path, repository), concurrency=2) as web:
        script, browser = await web.script(), await web.browser("viewer")
        ana = Person(web.service)
        async with script.stream() as first, browser.asking.stream("/events") as second:
            run_id = await ana.starts("/run quick")
            for stream in (first, second):
                told = await stream.until(run_id, "completed")
                assert set(told[-1]) == set((await script.get(f"/api/runs/{run_id}")).json["run"])
                assert told[-1]["steps_done"] == 2
        await until_audience(web, 0)


def _fail(tx: Transaction, run_id: str) -> None:
    run = tx.runs.get(run_id)
    assert run is not None
    assert tx.work.fail(run, "exit code 1", 1) is not None


async def test_a_change_of_another_store_is_heard_soon(fresh: Web) -> None:
    """Another process has its own connection; the median of several rounds is measured."""
    script = await fresh.script()
    other = SqliteDatabase(sqlite_file(fresh.database.url), TERMS)
    took = []
    async with script.stream() as stream:
        for _ in range(5):
            run_id = fresh.put("working")
            await stream.until(run_id, "running")
            begun = time.monotonic()
            write(other, partial(_fail, run_id=run_id))
            await stream.until(run_id, "failed")
            took.append(time.monotonic() - begun)
    other.close()
    _tell(f"a change of another store is heard after {statistics.median(took):.3f} s")
    assert statistics.median(took) < ELSEWHERE_SECONDS, took


async def test_a_change_of_another_process_is_heard(fresh: Web) -> None:
    script = await fresh.script()
    run_id = fresh.put("failed")
    async with script.stream() as stream:
        asked = asyncio.create_task(fresh.baton("cancel", run_id, "--as", "ana"))
        told = await stream.until(run_id, "cancelled")
        code, _ = await asked
    assert code == 0
    assert told[-1]["status"] == "cancelled"


async def test_a_run_whose_lease_runs_out_is_heard(tmp_path: Path, repository: Path) -> None:
    """Nobody asks for anything: time alone changes it."""
    async with opened(installation_for(tmp_path, repository)) as web:
        script = await web.script()
        async with script.stream() as stream:
            run_id = web.put("working", lease_expires_at=now_of(web.database) + 0.3)
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not (run := await stream.run())["stale"]:
                    pass
        assert run["id"] == run_id


async def test_whoever_is_slow_gets_the_last_state(fresh: Web) -> None:
    """A listener that reads nothing for long costs nothing, and then hears how it stands."""
    script = await fresh.script()
    ids = [fresh.put("failed") for _ in range(30)]
    async with script.stream() as slow, script.stream() as quick:
        for verb in ("resume", "cancel"):
            await asyncio.gather(*(script.post(f"/api/runs/{one}/{verb}") for one in ids))
        last = fresh.put("failed")
        await script.post(f"/api/runs/{last}/cancel")
        await quick.until(last, "cancelled")
        seen: dict[str, str] = {}
        while seen.get(last) != "cancelled":
            run = await slow.run()
            seen[run["id"]] = run["status"]
    assert {seen[run_id] for run_id in ids} == {"cancelled"}


async def test_nothing_is_heard_of_what_was_before(fresh: Web) -> None:
    script = await fresh.script()
    before = fresh.put("failed")
    await script.post(f"/api/runs/{before}/resume")
    run_id = fresh.put("failed")
    async with asyncio.timeout(DEADLINE_SECONDS):
        while fresh.audited(run_id=before) == []:
            await asyncio.sleep(0.05)
    async with script.stream() as stream:
        await script.post(f"/api/runs/{run_id}/cancel")
        first = await stream.until(run_id, "cancelled")
    assert {run["id"] for run in first} == {run_id}


class Delayed:
    """A store that answers its first look late, as it does where the machine has much to do."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._first = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, look: Callable[[Transaction], T]) -> T:
        first, self._first = self._first, False
        if first:
            await asyncio.sleep(1)
        return await self._store.read(look)


async def test_nothing_is_missed_between_the_start_and_the_first_look(
    tmp_path: Path, repository: Path
) -> None:
    installation = installation_for(tmp_path, repository)
    async with serving(installation, concurrency=0) as service, open_session() as session:
        late = replace(service, store=cast("Store", Delayed(service.store)))
        async with serving_web(installation, late, Joined([], [])) as told:
            assert told is not None
            web = Web(installation, service, told, Asking(session, address_in(told)))
            script, run_id = await web.script(), web.put("failed")
            async with script.stream() as stream, asyncio.timeout(5):
                await script.post(f"/api/runs/{run_id}/cancel")
                await stream.until(run_id, "cancelled")


# --- connections -----------------------------------------------------------------------------


async def test_a_connection_is_kept_by_comments(
    fresh: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.1)
    script = await fresh.script()
    async with script.stream() as stream:
        assert [await stream.comment() for _ in range(3)] == ["still here"] * 3


async def test_a_stream_that_is_dropped_is_forgotten(fresh: Web) -> None:
    script, browser = await fresh.script(), await fresh.browser()
    for _ in range(3):
        async with listeners(script, 10), browser.asking.stream("/events"):
            await until_audience(fresh, 11)
        await until_audience(fresh, 0)
    async with script.stream() as stream:
        transport = stream.answer.connection
        assert transport is not None
        assert transport.transport is not None
        transport.transport.abort()
        await until_audience(fresh, 0)
    fresh.assert_clean_log()


async def test_a_stream_of_a_revoked_token_comes_to_its_end(fresh: Web) -> None:
    """A revoked token opens nothing any more, nor do the pages opened with it."""
    script, browser = await fresh.script("viewer", "left"), await fresh.browser("viewer", "page")
    other = await fresh.script()
    async with (
        script.stream() as stream,
        browser.asking.stream("/events") as page,
        other.stream() as kept,
    ):
        for name, ends in (("left", stream), ("page", page)):
            code, said = await fresh.baton("token", "revoke", name)
            assert code == 0, said
            run_id = fresh.put("failed")
            await other.post(f"/api/runs/{run_id}/cancel")
            await kept.until(run_id, "cancelled")
            async with asyncio.timeout(DEADLINE_SECONDS):
                with pytest.raises((EOFError, OSError, RuntimeError, aiohttp.ClientError)):
                    await ends.until(run_id, "cancelled")
        await until_audience(fresh, 1)


@pytest.mark.parametrize("many", [1, 50])
async def test_baton_stops_soon_with_open_streams(
    tmp_path: Path, repository: Path, many: int
) -> None:
    async with open_session() as session, AsyncExitStack() as clients:
        async with opened(installation_for(tmp_path, repository)) as web:
            script = replace(await web.script(), session=session)
            listening = await clients.enter_async_context(listeners(script, many))
            await until_audience(web, many)
            begun = time.monotonic()
        took = time.monotonic() - begun
        for stream in listening:
            # Each ends as a whole answer does, and is not torn off.
            with pytest.raises(EOFError):
                await stream.run()
    _tell(f"stopped with {many} open streams in {took:.2f} s")
    assert took < 5
    web.assert_clean_log()


# --- many ------------------------------------------------------------------------------------


@asynccontextmanager
async def hearing(base: str, token: str, many: int) -> AsyncIterator[None]:
    """A process of its own hears so many streams; each of them heard something."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.web.audience", base, str(many)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{token}\n".encode())
        assert await process.stdout.readline() == b"ready\n"
        yield
        said, _ = await process.communicate(b"")
        assert int(said) >= many
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _round(web: Web, callers: list[Asking]) -> float:
    """The slowest of a hundred but one, of commands by five callers at once; in seconds."""
    took: list[float] = []
    ids = [web.put("failed") for _ in range(100)]

    async def call(number: int) -> None:
        for run_id in ids[number :: len(callers)]:
            begun = time.monotonic()
            answer = await callers[number].post(f"/api/runs/{run_id}/cancel")
            took.append(time.monotonic() - begun)
            assert answer.status == 200

    await asyncio.gather(*map(call, range(len(callers))))
    return statistics.quantiles(took, n=100)[98]


@pytest.mark.alone
async def test_commands_are_answered_while_many_listen(fresh: Web) -> None:
    callers = [await fresh.script() for _ in range(5)]
    token = await fresh.token("viewer", "hears")
    async with hearing(fresh.base, token, LISTENERS):
        await until_audience(fresh, LISTENERS)
        slowest = [await _round(fresh, callers) for _ in range(ROUNDS)]
    await until_audience(fresh, 0)
    figures = ", ".join(f"{seconds * 1000:.0f}" for seconds in slowest)
    _tell(f"p99 of commands beside {LISTENERS} streams, in ms: {figures}")
    assert statistics.median(slowest) < COMMAND_SECONDS, slowest
