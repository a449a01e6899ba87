"""Baton is killed, frozen and thawed; nothing is lost and nothing is started twice."""

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from bot.bootstrap import Installation, installed, serving
from bot.ports import Transaction
from bot.run import Run
from store.database import sqlite_file
from tests.conftest import Person, settings_for

ROOT = Path(__file__).parent.parent.parent
_DICE = random.Random(2026)
_POINTS = {"sqlite": ("before", "after"), "postgresql": ("after",)}
ROUNDS = [
    pytest.param(kind, point, write, id=f"{kind}-{point} write {write}")
    for kind, points in _POINTS.items()
    for point in points
    for write in (2, 3, 5, 6, 8)
]
SOAK_ROUNDS = [
    pytest.param(
        kind, _DICE.choice(("before", "after")), _DICE.randint(1, 24), marks=pytest.mark.soak
    )
    for kind in _POINTS
    for _ in range(90)
]


@pytest.fixture
def database_url(url: str) -> str:
    """Each kind of database in turn."""
    return url


@pytest.mark.parametrize(("url", "point", "write"), ROUNDS + SOAK_ROUNDS, indirect=["url"])
async def test_a_kill_loses_no_start_and_starts_nothing_twice(
    tmp_path: Path, repository: Path, url: str, point: str, write: int
) -> None:
    answered = await doom(tmp_path, url, point, write, "from the row")
    installation = installed(settings_for(tmp_path, repository, database={"url": url}), tmp_path)
    async with serving(installation) as service:
        ana = Person(service)
        for number in range(4):
            again = await ana.says(
                f"/run told to={tmp_path / 'told'}", delivery=f"terminal:ana:{number}"
            )
            assert again.word == "started"
        runs = await everything(ana)
        assert len(runs) == 4
        assert len(answered) <= 4
        for run in runs:
            await carry_through(ana, run)
    told = Counter((tmp_path / "told").read_text().splitlines())
    assert max(told.values()) == 1, "a step of one epoch was started twice"
    assert {line.split()[0] for line in told} == {run.id for run in runs}
    assert intact(installation)


async def doom(tmp_path: Path, url: str, point: str, write: int, starts: str) -> list[str]:
    """Let a Baton kill itself at this write; what it had answered until then."""
    doomed = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "tests.crashes.doomed",
            str(tmp_path),
            url,
            point,
            str(write),
            starts,
        ),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert doomed.stdout is not None
    answered = (await doomed.stdout.read()).decode().split()
    assert await doomed.wait() == -signal.SIGKILL
    return answered


async def test_starting_from_memory_is_found_out(tmp_path: Path, repository: Path) -> None:
    """The kills are well placed, and the count above sharp enough, to show a lost start."""
    lost = []
    for write in (2, 3, 4):
        place = tmp_path / str(write)
        place.mkdir()
        (place / "repository").symlink_to(repository)
        url = f"sqlite:///{place / 'baton.db'}"
        await doom(place, url, "after", write, "from memory")
        installation = installed(settings_for(place, repository, database={"url": url}), place)
        async with serving(installation, concurrency=0) as service:
            runs = await everything(Person(service))
            lost += [run.id for run in runs if run.waiting_for_worker]
    assert lost


async def everything(ana: Person) -> list[Run]:
    return await ana.service.store.read(lambda tx: list(tx.runs.recent(None, None)))


async def carry_through(ana: Person, run: Run) -> None:
    """Wait for the run, and resume it where its worker was killed."""
    while run.status != "completed":
        run = await ana.sees(run.id, lambda run: run.status == "completed" or run.resumable)
        if run.resumable:
            await ana.says(f"/resume {run.id}")


def intact(installation: Installation) -> bool:
    if installation.shared:
        return True  # it is no file of ours that a kill could have damaged
    connection = sqlite3.connect(sqlite_file(installation.database.url))
    found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    connection.close()
    return bool(found == "ok")


@pytest.mark.skipif(sys.platform != "linux", reason="marks are looked for in /proc")
async def test_a_frozen_worker_can_neither_write_nor_start_once_it_thaws(
    tmp_path: Path, repository: Path, installation: Installation
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f"[database]\nurl = '{installation.database.url}'\n"
        f"[runner]\ndirectory = '{installation.state}'\n"
        "heartbeat_seconds = 0.2\nlease_seconds = 1\ngrace_seconds = 1\nhost = 'here'\n"
        f"[workflows.told]\nrepository = '{repository}'\n"
        "[[workflows.told.steps]]\nname = 'x'\nrun = 'true'\n"
    )
    frozen = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "worker", "--config", str(config),
        cwd=ROOT, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with serving(installation, concurrency=0) as service:
            ana = Person(service)
            run_id = await ana.starts(f"/run waits to={tmp_path / 'told'}")
            old = await ana.sees(run_id, lambda run: (tmp_path / "told").exists())
            frozen.send_signal(signal.SIGSTOP)
            await ana.sees(run_id, lambda run: run.stale)
            assert (await ana.says("/resume")).word == "resumed"
        async with serving(installation) as service:
            ana = Person(service)
            await ana.sees(run_id, lambda run: run.attempt == 2)
            while (tmp_path / "told").read_text().count("\n") < 2:
                await asyncio.sleep(0.05)
            assert len(living(run_id, epoch=1)) == 0
            frozen.send_signal(signal.SIGCONT)
            for late in (late_fail, late_step, late_complete):
                assert await service.store.write(partial(late, old=old)) is None
            await ana.says("/cancel")
            await ana.sees_status(run_id, "cancelled")
            assert len(living(run_id, epoch=2)) == 0
        told = (tmp_path / "told").read_text().splitlines()
        assert [line.split()[1] for line in told] == ["1", "2"]
    finally:
        frozen.send_signal(signal.SIGCONT)
        frozen.kill()
        await frozen.wait()


def late_fail(tx: Transaction, old: Run) -> Run | None:
    return tx.work.fail(old, "late", 1)


def late_step(tx: Transaction, old: Run) -> Run | None:
    return tx.work.step_done(old, 0)


def late_complete(tx: Transaction, old: Run) -> Run | None:
    return tx.work.complete(old)


def living(run_id: str, epoch: int) -> list[str]:
    marks = {f"BATON_RUN_ID={run_id}".encode(), f"BATON_EPOCH={epoch}".encode()}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marks <= set((process / "environ").read_bytes().split(b"\0")):
                found.append(process.name)
        except OSError:
            continue
    return found
