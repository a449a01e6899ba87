"""Several machines share one database: here each is a directory with a clone and a name of its own.

What one machine knows of another it knows through the database and the remote alone.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bot.bootstrap import Installation, Service, installed, serving
from bot.ports import DatabaseUnavailableError
from bot.run import Run
from bot.worker import Worker
from tests.conftest import FAST, Person, git, settings_for
from tests.postgres import Postgres

LEASE_SECONDS = 1.0
QUICK = {**FAST, "heartbeat_seconds": 0.2, "lease_seconds": LEASE_SECONDS}
SAVES = (
    "echo $BATON_STEP >> work; git add work;"
    " git -c user.name=t -c user.email=t@t commit -qm $BATON_STEP"
)
STEPS: list[dict[str, Any]] = [
    {"name": "one", "run": SAVES},
    {"name": "two", "run": f'[ "$BATON_ATTEMPT" -gt 1 ] && {SAVES}'},
    {"name": "three", "run": SAVES},
]


@dataclass
class Land:
    """Where the machines are: one database, one remote."""

    url: str
    directory: Path

    def machine(self, name: str, *, host: str | None = None, clones: bool = True) -> Installation:
        """A machine of its own; without a clone it has no repository."""
        place = self.directory / name
        place.mkdir(exist_ok=True)
        repository = place / "repository"
        if clones and not repository.exists():
            git(self.directory, "clone", "-q", str(self.directory / "remote"), str(repository))
        workflow = {"repository": str(repository), "steps": STEPS}
        settings = settings_for(
            place,
            repository,
            database={"url": self.url},
            runner={**QUICK, "host": host or name, "directory": str(place / "state")},
            workflows={
                "saving": workflow,
                "waiting": {**workflow, "steps": [{"name": "wait", "run": "sleep 300"}]},
            },
        )
        return installed(settings, place)


@pytest.fixture
def land(postgres: Postgres, tmp_path: Path, repository: Path) -> Iterator[Land]:
    """A database and a remote, and no machine yet."""
    git(tmp_path, "clone", "-q", "--bare", str(repository), "remote")
    url = postgres.up_to_date()
    yield Land(url, tmp_path)
    postgres.give_back(url)


@asynccontextmanager
async def up(installation: Installation, concurrency: int | None = None) -> AsyncIterator[Person]:
    """Somebody who talks to Baton on this machine."""
    async with serving(installation, concurrency=concurrency) as service:
        yield Person(service)


async def silent(service: Service, host: str) -> None:
    """Wait until nothing has been heard of a host for too long."""
    async with asyncio.timeout(20):
        while await service.store.read(lambda tx: tx.live_worker(host)):
            await asyncio.sleep(0.05)


async def failed_on(ana: Person) -> Run:
    """A run of which one step is done and pushed, and the second failed."""
    run_id = await ana.starts("/run saving")
    return await ana.sees_status(run_id, "failed")


async def test_a_run_goes_to_the_host_that_has_its_repository(land: Land) -> None:
    async with up(land.machine("bots", clones=False)) as ana, up(land.machine("build")):
        run_id = await ana.starts("/run saving")
        run = await ana.sees_status(run_id, "failed")
        assert run.worktree.host == "build"
        assert run.worktree.path.startswith(str(land.directory / "build"))
        assert run.repository == str(land.directory / "build" / "repository")


async def test_runs_of_one_branch_want_one_worktree_whoever_asks(land: Land) -> None:
    async with up(land.machine("a")) as ana, up(land.machine("b")) as ben:
        first = await ana.starts("/run waiting branch=shared")
        await ana.sees(first, lambda run: run.attempt == 1)
        refused = await ben.says("/run waiting branch=shared")
        assert refused.word == "worktree_busy"
        assert first in refused.reply
        await ana.says(f"/cancel {first}")
        await ana.sees_status(first, "cancelled")


async def test_new_runs_go_where_least_is_to_do(land: Land) -> None:
    async with up(land.machine("a")) as ana, up(land.machine("b")):
        runs = [await ana.starts("/run waiting") for _ in range(4)]
        hosts = [(await ana.sees(run, lambda run: run.attempt == 1)).worktree.host for run in runs]
        assert sorted(hosts) == ["a", "a", "b", "b"]
        for run in runs:
            await ana.says(f"/cancel {run}")
            await ana.sees_status(run, "cancelled")


async def test_a_run_goes_on_elsewhere_by_its_branch_and_says_so(land: Land) -> None:
    async with up(land.machine("a")) as ana:
        before = await failed_on(ana)
        assert (before.steps_done, before.worktree.host) == (1, "a")
        assert before.pushed is not None
    async with up(land.machine("b")) as ben:
        await silent(ben.service, "a")
        answer = await ben.says(f"/resume {before.id}")
        assert answer.word == "resumed"
        assert "Host a is silent, so it goes on at b" in answer.reply
        assert "what was not pushed stays on a" in answer.reply
        after = await ben.sees_status(before.id, "completed")
        assert after.worktree.host == "b"
        assert after.worktree.path.startswith(str(land.directory / "b"))
    async with up(land.machine("a"), concurrency=0) as ana:
        assert "step 3 of 3, three" in (await ana.says(f"/logs {before.id}")).reply
    work = git(land.directory / "b" / "repository", "show", f"{after.branch}:work")
    assert work.split() == ["one", "two", "three"]
    assert Path(before.worktree.path, "work").read_text().split() == ["one"]


async def test_what_was_not_pushed_waits_for_its_own_host(land: Land) -> None:
    async with up(land.machine("a")) as ana:
        git(land.directory / "a" / "repository", "remote", "remove", "origin")
        before = await failed_on(ana)
        assert (before.steps_done, before.pushed) == (1, None)
    async with up(land.machine("b")) as ben:
        await silent(ben.service, "a")
        answer = await ben.says(f"/resume {before.id}")
        assert answer.word == "resumed"
        assert "No worker is running on a, so it waits" in answer.reply
        run = await ben.sees(before.id, bool)
        assert (run.worktree.host, run.waiting_for_worker) == ("a", True)
        async with up(land.machine("a")):
            await ben.sees_status(before.id, "completed")


async def test_a_run_comes_back_to_its_first_host(land: Land) -> None:
    async with up(land.machine("a")) as ana:
        before = await failed_on(ana)
    async with up(land.machine("b"), concurrency=1) as ben:
        await silent(ben.service, "a")
        await ben.says(f"/resume {before.id}")
        await ben.sees_status(before.id, "completed")
        second = await ben.starts(f"/run saving branch={before.branch}")
        assert (await ben.sees_status(second, "failed")).worktree.host == "b"
    async with up(land.machine("a")) as ana:
        await silent(ana.service, "b")
        answer = await ana.says(f"/resume {second}")
        assert "goes on at a" in answer.reply
        done = await ana.sees_status(second, "completed")
        work = (Path(done.worktree.path) / "work").read_text().split()
        assert work == ["one", "two", "three", "one", "two", "three"]


async def test_what_nobody_started_goes_to_a_host_that_lives(land: Land) -> None:
    async with up(land.machine("a"), concurrency=1) as ana:
        ana.service.worker.leave(wait=False)
        run_id = await ana.starts("/run saving")
        assert (await ana.sees(run_id, bool)).worktree.host == "a"
    async with up(land.machine("b")) as ben:
        run = await ben.sees_status(run_id, "failed")
        assert (run.worktree.host, run.epoch, run.steps_done) == ("b", 2, 1)
        assert "Host a is silent, so it goes on at b" in (await ben.says(f"/status {run_id}")).reply


async def test_here_is_refused_for_a_worktree_elsewhere(land: Land) -> None:
    async with up(land.machine("a")) as ana, up(land.machine("b"), concurrency=0) as ben:
        before = await failed_on(ana)
        worker = ben.service.worker.post.name
        answer = await ben.says(f"/resume {before.id}", worker=worker)
        assert answer.word == "invalid"
        assert "has its worktree on a" in answer.reply
        assert (await ben.sees(before.id, bool)).epoch == before.epoch


async def test_two_machines_of_one_name_are_told_apart(land: Land) -> None:
    async with up(land.machine("a", host="build")) as ana:
        async with up(land.machine("b", host="build")) as ben:
            assert barred(ben)
            assert not barred(ana)
            presence = land.machine("a", host="build").inside(ana.service).presence
            assert await presence.gone({ben.service.worker.post.name}) == set()
            run_id = await ben.starts("/run saving")
            run = await ben.sees_status(run_id, "failed")
            assert run.worktree.path.startswith(str(land.directory / "a"))
        async with up(land.machine("c", host="build"), concurrency=1) as cem:
            assert barred(cem)
            ana.service.worker.leave(wait=False)
            async with asyncio.timeout(20):
                while barred(cem):
                    await asyncio.sleep(0.05)
            assert await cem.service.store.read(lambda tx: tx.live_worker("build"))
            run_id = await cem.starts("/run saving")
            run = await cem.sees_status(run_id, "failed")
            assert run.worktree.path.startswith(str(land.directory / "c"))


async def test_nothing_new_is_sent_to_a_host_that_drains(land: Land) -> None:
    async with up(land.machine("a")) as ana, up(land.machine("b")) as ben:
        run_id = await ana.starts("/run waiting")
        run = await ana.sees(run_id, lambda run: run.attempt == 1)
        draining, other = (ana, ben) if run.worktree.host == "a" else (ben, ana)
        draining.service.worker.leave(wait=True)
        async with asyncio.timeout(20):
            while await other.service.store.read(lambda tx: tx.live_worker(run.worktree.host)):
                await asyncio.sleep(0.05)
        for _ in range(3):
            started = await other.starts("/run saving")
            assert (await other.sees(started, bool)).worktree.host != run.worktree.host
        await other.says(f"/cancel {run_id}")
        assert (await other.sees_status(run_id, "cancelled")).epoch == run.epoch
        async with asyncio.timeout(20):
            while not draining.service.worker.idle:
                await asyncio.sleep(0.05)


async def test_a_silent_worker_is_told_of_and_its_run_not_restarted(land: Land) -> None:
    async with up(land.machine("a")) as ana, up(land.machine("b")) as ben:
        run_id = await ana.starts("/run waiting")
        run = await ana.sees(run_id, lambda run: run.attempt == 1)
        working = ana if run.worktree.host == "a" else ben
        other = ben if working is ana else ana
        worker = working.service.worker
        worker.heart.beat = nothing  # type: ignore[method-assign] # the planted fault: it is not heard
        lost = await other.sees(run_id, lambda run: run.stale)
        assert (lost.epoch, lost.attempt) == (run.epoch, 1)
        assert "interrupted" in (await other.says(f"/status {run_id}")).reply


def barred(person: Person) -> bool:
    return person.service.worker.heart.barred


async def test_the_output_of_a_run_is_seen_everywhere(land: Land) -> None:
    async with up(land.machine("a")) as ana, up(land.machine("b", clones=False)) as ben:
        before = await failed_on(ana)
        assert before.worktree.host == "a"
        here = await ana.says(f"/logs {before.id}")
        assert "step 2 of 3, two" in here.reply
        async with asyncio.timeout(20):
            while (await ben.says(f"/logs {before.id}")).reply != here.reply:
                await asyncio.sleep(0.05)


async def nothing() -> None:
    return


@pytest.mark.parametrize("movable", [True, False], ids=["movable", "not movable"])
async def test_who_is_cut_off_stops_only_what_another_host_may_take(
    land: Land, movable: bool
) -> None:
    """The database is there; this worker's writes and reads do not reach it any more."""
    installation = land.machine("a")
    async with up(installation) as ana:
        run_id = await ana.starts("/run waiting")
        run = await ana.sees(run_id, lambda run: run.attempt == 1)
        worker = ana.service.worker
        [execution] = worker._executions.values()
        if not movable:
            execution.run = moved_on(run)
        cut_off(worker)
        began = time.monotonic()
        if movable:
            async with asyncio.timeout(10):
                while execution._stop is None:
                    await asyncio.sleep(0.02)
            assert time.monotonic() - began >= LEASE_SECONDS
        else:
            await asyncio.sleep(3 * LEASE_SECONDS)
            assert execution._stop is None


def moved_on(run: Run) -> Run:
    """As if a step had been done that was not pushed."""
    return replace(run, steps_done=1, pushed=None)


def cut_off(worker: Worker) -> None:
    """From now on no heartbeat reaches the database."""

    async def refused(*_: object) -> None:
        raise DatabaseUnavailableError("it does not answer", busy=False)

    worker.heart.beat = refused  # type: ignore[method-assign] # the planted fault
