"""A run's life, with real processes in real worktrees."""

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.bootstrap import Installation, serving
from tests.conftest import Person, git


@pytest.fixture
def database_url(url: str) -> str:
    """Each kind of database in turn."""
    return url


def log_of(installation: Installation, run_id: str) -> str:
    return installation.workshop.log_path(run_id).read_text()


async def test_a_run_completes_in_a_worktree_of_its_own(
    ana: Person, installation: Installation, repository: Path
) -> None:
    run_id = await ana.starts("/run quick")
    run = await ana.sees_status(run_id, "completed")
    assert run.steps_done == 2
    assert run.branch == f"baton/{run_id}"
    assert git(Path(run.worktree.path), "branch", "--show-current").strip() == run.branch
    assert log_of(installation, run_id).endswith(
        "── step 1 of 2, one ──\none\n── step 2 of 2, two ──\ntwo\n"
    )
    assert git(repository, "status", "--porcelain") == ""


async def test_resume_repeats_only_the_failed_step(ana: Person, installation: Installation) -> None:
    run_id = await ana.starts("/run flaky")
    failed = await ana.sees_status(run_id, "failed")
    assert (failed.steps_done, failed.attempt, failed.error) == (1, 1, "exit code 1")
    answer = await ana.says("/resume")
    assert answer.word == "resumed"
    done = await ana.sees_status(run_id, "completed")
    assert done.epoch == 2
    assert log_of(installation, run_id).count("one\n") == 1
    assert "attempt 2" in log_of(installation, run_id)


async def test_gates_wait_and_resume_passes_one_at_a_time(ana: Person) -> None:
    run_id = await ana.starts("/run gated")
    first = await ana.sees_status(run_id, "paused")
    assert "Passed gate ask of" in (await ana.says(f"/resume {run_id}")).reply
    second = await ana.sees(run_id, lambda run: run.status == "paused" and run.epoch == 2)
    assert second.step is not None
    assert second.step.name == "ask again"
    late = await ana.says(f"/resume {run_id}", seen_epoch=first.epoch)
    assert late.word == "not_resumable"
    assert "has moved on" in late.reply
    assert (await ana.says(f"/resume {run_id}", seen_epoch=2)).word == "resumed"
    await ana.sees_status(run_id, "completed")
    history = await ana.says(f"/history {run_id}")
    assert "passed gate ask again" in history.reply


async def test_cancel_in_the_middle_of_a_step_frees_the_worktree(
    ana: Person, installation: Installation
) -> None:
    run_id = await ana.starts("/run slow")
    await ana.sees(run_id, lambda run: run.attempt == 1)
    before = time.monotonic()
    answer = await ana.says("/cancel")
    assert answer.word == "cancelled"
    assert "stopping its processes" in answer.reply
    await ana.sees_status(run_id, "cancelled")
    assert time.monotonic() - before < 10
    assert (await ana.says(f"/cancel {run_id}")).word == "already_cancelled"
    told = (await ana.says(f"/status {run_id}")).reply
    assert f"cancelled by {ana.name} in a terminal" in told


@pytest.mark.skipif(sys.platform != "linux", reason="setsid and /proc are Linux's")
async def test_a_stubborn_tree_is_gone_before_its_worktree_is_free(ana: Person) -> None:
    run_id = await ana.starts("/run stubborn branch=stubborn")
    await ana.sees(run_id, lambda run: run.attempt == 1)
    await ana.says(f"/cancel {run_id}")
    busy = await ana.says("/run quick branch=stubborn")
    assert busy.word == "worktree_busy"
    assert run_id in busy.reply
    await ana.sees_status(run_id, "cancelled")
    assert not marked_processes(run_id)
    assert (await ana.says("/run quick branch=stubborn")).word == "started"


def marked_processes(run_id: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if f"BATON_RUN_ID={run_id}".encode() in environment:
            found.append(int(process.name))
    return found


async def test_a_time_limit_stops_a_step(ana: Person) -> None:
    run_id = await ana.starts("/run limited")
    run = await ana.sees_status(run_id, "failed")
    assert run.error is not None
    assert "time limit" in run.error


async def test_arguments_travel_in_the_environment_only(
    tmp_path: Path, repository: Path, installation: Installation
) -> None:
    evil = "$(touch hacked); `touch hacked`; '\"; touch hacked"
    async with serving(installation) as service:
        ana = Person(service)
        run_id = await ana.starts(f"/run quick note={shlex.quote(evil)}")
        run = await ana.sees_status(run_id, "completed")
    assert not (Path(run.worktree.path) / "hacked").exists()


async def test_stopping_baton_interrupts_and_the_next_start_resumes(
    installation: Installation,
) -> None:
    async with serving(installation) as service:
        ana = Person(service)
        run_id = await ana.starts("/run slow")
        await ana.sees(run_id, lambda run: run.attempt == 1)
    async with serving(installation, concurrency=0) as service:
        ana = Person(service)
        run = await ana.sees_status(run_id, "failed")
        assert run.error == "interrupted, because Baton was stopped"
        assert (await ana.says("/resume")).word == "resumed"


async def test_a_worktree_deleted_by_hand_is_made_again(ana: Person) -> None:
    run_id = await ana.starts("/run flaky")
    run = await ana.sees_status(run_id, "failed")
    subprocess.run(["rm", "-rf", run.worktree.path], check=True)
    await ana.says("/resume")
    done = await ana.sees_status(run_id, "completed")
    assert done.notice is not None


async def test_a_missing_repository_is_one_sentence(ana: Person, repository: Path) -> None:
    repository.rename(repository.with_name("elsewhere"))
    run_id = await ana.starts("/run quick")
    run = await ana.sees_status(run_id, "failed")
    assert run.error is not None
    assert run.error.startswith("no step ran.")
    assert str(repository) not in run.error
    repository.with_name("elsewhere").rename(repository)
    await ana.says("/resume")
    await ana.sees_status(run_id, "completed")


async def test_a_killed_worker_leaves_a_run_that_others_can_resume(
    tmp_path: Path, repository: Path, installation: Installation
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f"[database]\nurl = '{installation.database.url}'\n"
        f"[runner]\ndirectory = '{installation.state}'\n"
        "heartbeat_seconds = 0.2\nlease_seconds = 1\ngrace_seconds = 1\nhost = 'here'\n"
        f"[workflows.slow]\nrepository = '{repository}'\n"
        "[[workflows.slow.steps]]\nname = 'wait'\nrun = 'sleep 300'\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-m", "bot", "worker", "--config", str(config)],
        stdout=subprocess.DEVNULL,
    )
    try:
        async with serving(installation, concurrency=0) as service:
            ana = Person(service)
            run_id = await ana.starts("/run slow")
            await ana.sees(run_id, lambda run: run.attempt == 1)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            stale = await ana.sees(run_id, lambda run: run.stale)
            assert stale.resumable
            assert "has not been heard of" in (await ana.says("/status")).reply
            answer = await ana.says("/resume")
            assert answer.word == "resumed"
            assert (await ana.says(f"/cancel {run_id}")).word == "cancelled"
            await ana.sees_status(run_id, "cancelled")
    finally:
        worker.kill()
        worker.wait()
