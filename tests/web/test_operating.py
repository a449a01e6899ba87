"""What watches over Baton: whether it lives, whether it is ready, and how it does."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from adapters.web import metrics
from bot.bootstrap import installed, platforms, serving
from bot.bootstrap import web as serving_web
from store.database import sqlite_file
from tests.conftest import DEADLINE_SECONDS, Person, settings_for
from tests.slack.conftest import ACCESS, slack_settings
from tests.slack.double import Slack, TooMany
from tests.slack.payloads import slash
from tests.slack.stage import Road
from tests.web.asking import Answered, Asking, open_session
from tests.web.house import Web, address_in, installation_for, opened


@pytest.fixture(autouse=True)
def always_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_FRESH_SECONDS", 0)


Samples = Mapping[str, Metric]


async def until_ready(asking: Asking, holds: Callable[[Answered], bool]) -> Answered:
    """Ask until this holds; each answer comes soon."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            async with asyncio.timeout(5):
                answer = await asking.get("/readyz")
            if holds(answer):
                return answer
            await asyncio.sleep(0.05)


def is_ready(answer: Answered) -> bool:
    return answer.status == 200 and answer.json == {"ready": True, "wrong": {}}


def lacks(name: str) -> Callable[[Answered], bool]:
    def wrong(answer: Answered) -> bool:
        return answer.status == 503 and not answer.json["ready"] and name in answer.json["wrong"]

    return wrong


# --- whether it is ready ---------------------------------------------------------------------


async def test_it_lives_and_becomes_ready(fresh: Web) -> None:
    answer = await fresh.asking.get("/healthz")
    assert (answer.status, answer.text) == (200, "ok\n")
    await until_ready(fresh.asking, is_ready)


async def test_without_a_worker_it_is_not_ready(working: Web) -> None:
    await until_ready(working.asking, is_ready)
    working.service.worker.leave(wait=False)
    answer = await until_ready(working.asking, lacks("worker"))
    assert answer.json["wrong"] == {"worker": "no worker of this host has been heard of"}
    assert (await working.asking.get("/healthz")).status == 200


async def test_while_others_keep_the_database_it_answers_and_is_not_ready(working: Web) -> None:
    """Nobody can work: no heartbeat comes through, and the lease of the worker runs out."""
    await until_ready(working.asking, is_ready)
    with closing(sqlite3.connect(sqlite_file(working.database.url), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = await until_ready(working.asking, lambda answer: answer.status == 503)
        assert set(answer.json["wrong"]) <= {"worker", "database"}
        other.execute("ROLLBACK")
    await until_ready(working.asking, is_ready)


async def test_with_tables_of_another_baton_it_is_not_ready(fresh: Web) -> None:
    await until_ready(fresh.asking, is_ready)
    with closing(sqlite3.connect(sqlite_file(fresh.database.url), isolation_level=None)) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
        answer = await until_ready(fresh.asking, lacks("migrations"))
        assert set(answer.json["wrong"]) == {"migrations"}


@contextmanager
def damaged(file: Path) -> Iterator[None]:
    """The database is none inside of this."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = file.read_bytes()
    _write_over(file, b"no database " * (len(whole) // 12))
    try:
        yield
    finally:
        _write_over(file, whole)


def _write_over(file: Path, content: bytes) -> None:
    with file.open("r+b") as there:
        there.write(content)


async def test_with_a_damaged_database_it_is_not_ready(tmp_path: Path, repository: Path) -> None:
    async with opened(installation_for(tmp_path, repository)) as web:
        with damaged(sqlite_file(web.database.url)):
            answer = await until_ready(web.asking, lacks("database"))
            assert str(sqlite_file(web.database.url)) not in answer.text
            assert "Traceback" not in answer.text
            assert (await web.asking.get("/healthz")).status == 200


async def until_logged(web: Web, event: str) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not [entry for entry in web.logged() if entry["event"] == event]:
            await asyncio.sleep(0.05)


async def test_changes_are_told_again_once_the_database_is_mended(
    tmp_path: Path, repository: Path
) -> None:
    async with opened(installation_for(tmp_path, repository)) as web:
        script, run_id = await web.script(), web.put("failed")
        async with script.stream() as stream:
            with damaged(sqlite_file(web.database.url)):
                await until_ready(web.asking, lacks("database"))
                await until_logged(web, "worker.heartbeat_rejected")
            code, said = await web.baton("cancel", run_id)
            assert code == 0, said
            async with asyncio.timeout(10):
                await stream.until(run_id, "cancelled")


@asynccontextmanager
async def in_slack(
    tmp_path: Path, repository: Path, slack: Slack, api_url: str
) -> AsyncIterator[Asking]:
    """Baton in a Slack, with its web."""
    section = {**slack_settings(slack), "api_url": api_url}
    sections: dict[str, Any] = {"access": ACCESS, "slack": section, "server": {"port": 0}}
    installation = installed(settings_for(tmp_path, repository, **sections), tmp_path)
    async with (
        serving(installation, concurrency=0) as service,
        platforms(installation, service) as joined,
        serving_web(installation, service, joined) as told,
        open_session() as session,
    ):
        assert told is not None
        yield Asking(session, address_in(told))


async def test_without_its_platform_it_is_not_ready(tmp_path: Path, repository: Path) -> None:
    async with Slack() as slack:
        road = Road(slack)
        async with in_slack(tmp_path, repository, slack, road.api_url) as asking:
            answer = await until_ready(asking, lacks("slack"))
            assert answer.json["wrong"]["slack"] == "not connected"
            async with road:
                await slack.connected(2)
                await until_ready(asking, is_ready)


# --- how it does -----------------------------------------------------------------------------


async def measured(asking: Asking) -> Samples:
    """Every metric by its name, read as Prometheus reads it."""
    answer = await asking.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(samples: Samples, name: str, **labels: str) -> float:
    """One value; 0 where nothing was counted yet."""
    family = name.removesuffix("_total").removesuffix("_count").removesuffix("_bucket")
    found = [
        sample.value
        for sample in samples[family].samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) <= 1, found
    return found[0] if found else 0.0


KINDS = {
    "baton_commands": "counter",
    "baton_sign_ins": "counter",
    "baton_lock_wait_seconds": "histogram",
    "baton_transaction_seconds": "histogram",
    "baton_platform_429s": "counter",
    "baton_runs": "gauge",
    "baton_stale_leases": "gauge",
    "baton_card_lag_seconds": "gauge",
    "baton_event_streams": "gauge",
}


async def test_every_metric_is_there_and_explained(fresh: Web) -> None:
    samples = await measured(fresh.asking)
    assert {name: family.type for name, family in samples.items()} == KINDS
    assert all(family.documentation for family in samples.values())
    states = {sample.labels["status"] for sample in samples["baton_runs"].samples}
    assert states == {"pending", "running", "paused", "failed", "completed", "cancelled"}
    for name in ("baton_lock_wait_seconds", "baton_transaction_seconds"):
        bounds = [
            (float(sample.labels["le"]), sample.value)
            for sample in samples[name].samples
            if sample.name.endswith("_bucket")
        ]
        assert bounds == sorted(bounds)
        assert bounds[-1][0] == float("inf")
        assert [count for _, count in bounds] == sorted(count for _, count in bounds)


async def test_commands_move_their_metrics(fresh: Web) -> None:
    script, browser = await fresh.script(), await fresh.browser()
    run_id, other = fresh.put("failed"), fresh.put("failed")
    before = await measured(fresh.asking)
    await script.post(f"/api/runs/{run_id}/resume")
    await script.post(f"/api/runs/{run_id}/resume")
    await browser.send(f"/runs/{other}/cancel", epoch="2")
    await Person(fresh.service).says("/status nothere")
    await Person(fresh.service).says("/dance")
    after = await measured(fresh.asking)

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    for verb, door, outcome in (
        ("resume", "api", "resumed"),
        ("resume", "api", "already_running"),
        ("cancel", "web", "cancelled"),
        ("status", "terminal", "not_found"),
        ("", "terminal", "invalid"),
    ):
        assert grown("baton_commands_total", verb=verb, door=door, outcome=outcome) == 1
    assert grown("baton_transaction_seconds_count") == 3
    assert grown("baton_lock_wait_seconds_count") == 4
    sums = [one.value for one in after["baton_transaction_seconds"].samples if "sum" in one.name]
    assert sums[0] > 0
    assert run_id not in str(after)
    assert script.name not in str(after)


async def test_runs_are_counted_by_state(fresh: Web) -> None:
    script = await fresh.script()
    states = ("failed", "failed", "paused", "completed", "working")
    first, *_ = [fresh.put(state) for state in states]
    samples = await measured(fresh.asking)
    assert {sample.labels["status"]: sample.value for sample in samples["baton_runs"].samples} == {
        "pending": 0,
        "running": 1,
        "paused": 1,
        "failed": 2,
        "completed": 1,
        "cancelled": 0,
    }
    await script.post(f"/api/runs/{first}/cancel")
    samples = await measured(fresh.asking)
    assert value(samples, "baton_runs", status="failed") == 1
    assert value(samples, "baton_runs", status="cancelled") == 1


async def test_who_looks_again_and_again_asks_the_database_once(
    fresh: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_FRESH_SECONDS", 1000)
    await measured(fresh.asking)
    fresh.put("failed")
    assert value(await measured(fresh.asking), "baton_runs", status="failed") == 0


async def test_a_worker_that_is_overdue_is_counted(fresh: Web) -> None:
    assert value(await measured(fresh.asking), "baton_stale_leases") == 0
    fresh.put("silent")
    fresh.put("working")
    assert value(await measured(fresh.asking), "baton_stale_leases") == 1


async def test_a_card_that_is_behind_is_told(tmp_path: Path, repository: Path) -> None:
    async with Slack() as slack, in_slack(tmp_path, repository, slack, slack.api_url) as asking:
        await slack.connected(2)
        slack.fail("chat.postMessage", TooMany(2))
        assert await slack.send(slash("/baton", "run quick"))
        lags: list[float] = []
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not lags or max(lags) < 1 or lags[-1] > 0:
                lags.append(value(await measured(asking), "baton_card_lag_seconds"))
                await asyncio.sleep(0.05)
        assert max(lags) < 10


async def test_a_card_that_nobody_keeps_here_is_not_behind(fresh: Web) -> None:
    fresh.put("failed", shown_version=0, changed_at=time.time() - 500)
    assert value(await measured(fresh.asking), "baton_card_lag_seconds") == 0


async def test_open_streams_are_counted(fresh: Web) -> None:
    script = await fresh.script()
    assert value(await measured(fresh.asking), "baton_event_streams") == 0
    async with script.stream(), script.stream():
        assert value(await measured(fresh.asking), "baton_event_streams") == 2


async def test_what_asks_for_patience_is_counted(tmp_path: Path, repository: Path) -> None:
    async with Slack() as slack, in_slack(tmp_path, repository, slack, slack.api_url) as asking:
        await slack.connected(2)
        before = value(await measured(asking), "baton_platform_429s_total", platform="slack")
        slack.fail("chat.postMessage", TooMany(1))
        assert await slack.send(slash("/baton", "run quick"))
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                now = value(await measured(asking), "baton_platform_429s_total", platform="slack")
                if now > before:
                    break
                await asyncio.sleep(0.05)
        commands = value(
            await measured(asking),
            "baton_commands_total",
            verb="run",
            door="slack-slash",
            outcome="started",
        )
        assert commands >= 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_whoever_watches_needs_no_token_and_changes_nothing(fresh: Web, path: str) -> None:
    await until_ready(fresh.asking, is_ready)
    assert (await fresh.asking.get(path)).status == 200
    assert (await fresh.asking.post(path)).status == 405


async def test_without_the_database_what_baton_counts_itself_is_still_told(
    tmp_path: Path, repository: Path
) -> None:
    async with opened(installation_for(tmp_path, repository)) as web:
        await Person(web.service).says("/status nothere")
        told = {"verb": "status", "door": "terminal", "outcome": "not_found"}
        before = value(await measured(web.asking), "baton_commands_total", **told)
        with damaged(sqlite_file(web.database.url)):
            await until_ready(web.asking, lacks("database"))
            samples = await measured(web.asking)
        assert value(samples, "baton_commands_total", **told) == before >= 1
        lost = {"baton_runs", "baton_stale_leases"}
        assert samples.keys() == KINDS.keys() - lost
