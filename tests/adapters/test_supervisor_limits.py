"""Where a supervisor's power or sight ends, and what it takes to hold it up."""

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.supervisor.living import boot, find
from adapters.supervisor.record import LockFile, Record, Tree
from bot.supervision import Ending, EndingKind, Order
from tests.adapters import worker
from tests.adapters.shapes import SHAPES, python
from tests.adapters.steps import GRACE_SECONDS, PATIENCE_SECONDS, Steps, guard_of, process, until

ROOT = Path(__file__).parents[2]
LINUX = sys.platform == "linux"
MIGHTY = LINUX and os.geteuid() == 0 and bool(shutil.which("setpriv") and shutil.which("unshare"))


def _told(order: Order, *around: str) -> str:
    """What a worker, started by the command `around` it, is told of its order's end."""
    command = (*around, sys.executable, "-m", "tests.adapters.worker", worker.written([order]))
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.skipif(not MIGHTY, reason="takes powers away from root")
async def test_what_cannot_be_killed_is_told_and_stays_in_the_record(steps: Steps) -> None:
    text = "echo ready; exec setpriv --reuid=65534 --clear-groups sleep 1000"
    order = steps.order(["/bin/sh", "-c", text], timeout_seconds=0.2)
    # Root without the power to kill others' processes, as a worker is that is not root.
    told = _told(order, "setpriv", "--bounding-set=-kill", "--inh-caps=-kill")
    assert told == "begun\nnot_gone None\n"
    (survivor,) = steps.alive()
    (tree,) = json.loads(steps.lock.read_bytes())["trees"]
    assert tree["child"]["pid"] == survivor.pid
    weak = _told(steps.order(None, claim=2), "setpriv", "--bounding-set=-kill", "--inh-caps=-kill")
    assert weak == "begun\nnot_gone None\n"
    assert survivor.is_running()
    assert await steps.clean(claim=3) == Ending(kind=EndingKind.CLEAN)
    assert steps.gone()


@pytest.mark.skipif(not MIGHTY, reason="makes a process namespace")
async def test_claim_from_a_container_beside_makes_a_supervisor_stop_by_itself(
    steps: Steps,
) -> None:
    text = "trap '' TERM; echo ready; while :; do echo older; sleep 0.01; done"
    older = await steps.begin_shell(text, grace_seconds=1.0)
    steps.ready()
    newer = steps.order(["/bin/echo", "newer"], claim=2, grace_seconds=1.0)
    around = ("unshare", "--pid", "--fork", "--mount-proc")
    told = await asyncio.to_thread(_told, newer, *around)
    assert told == "begun\nexited 0\n"
    ending = await older.ending()
    assert (ending.kind, ending.reason) == (
        EndingKind.EXITED,
        "A newer claim took the worktree.",
    )
    assert steps.written().endswith("older\nnewer\n")


LEAKY = """
import asyncio, json, subprocess, sys
from adapters.processes import supervise
from tests.adapters import worker

async def main():
    (order,) = json.loads(sys.argv[1])
    await supervise(worker._order(order))
    heir = subprocess.Popen(["/bin/sleep", "1000"], close_fds=False)
    print(heir.pid, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


async def test_other_children_of_the_worker_do_not_keep_its_steps_alive(steps: Steps) -> None:
    order = worker.written([steps.order(SHAPES["deaf forks"].command)])
    with process(sys.executable, "-c", LEAKY, order, cwd=ROOT, stdout=subprocess.PIPE) as leaky:
        assert leaky.stdout is not None
        heir = int(leaky.stdout.readline())
        try:
            steps.ready(5)
            leaky.kill()
            leaky.wait()
            until(steps.gone)
        finally:
            os.kill(heir, 9)


@pytest.mark.skipif(not LINUX, reason="a guard needs a system that lets it adopt orphans")
@pytest.mark.parametrize("killed", ["guard", "supervisor"])
@pytest.mark.parametrize("name", ["runs away", "runs away from its group"])
async def test_what_runs_away_is_caught_without_its_supervisor(
    steps: Steps, name: str, killed: str
) -> None:
    step = await steps.begin(*SHAPES[name].command)
    steps.ready()
    (guard_of(step) if killed == "guard" else steps.supervisor()).kill()
    assert await step.ending() == Ending(kind=EndingKind.LOST)
    assert steps.gone()


@pytest.mark.skipif(not LINUX, reason="a guard needs a system that lets it adopt orphans")
async def test_frozen_guard_does_not_hold_up_the_end(steps: Steps) -> None:
    step = await steps.begin_shell("echo ready; while [ ! -e go ]; do sleep 0.01; done; exit 6")
    steps.ready()
    guard_of(step).suspend()
    (steps.cwd / "go").touch()
    assert await step.ending() == Ending(kind=EndingKind.EXITED, exit_code=6)
    assert steps.gone()


async def test_frozen_step_is_woken_to_tidy_up(steps: Steps) -> None:
    text = "trap 'echo tidy; exit 5' TERM; echo ready; kill -STOP $$; sleep 1000"
    step = await steps.begin_shell(text, grace_seconds=PATIENCE_SECONDS)
    steps.ready()
    step.stop()
    assert (await step.ending()).exit_code == 5
    assert steps.written().endswith("tidy\n")


async def test_nothing_of_an_ended_step_stays_in_the_record(steps: Steps) -> None:
    assert (await steps.shell("exit 0")).exit_code == 0
    assert json.loads(steps.lock.read_bytes())["trees"] == []


FROZEN = """
import fcntl, os, signal, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
ready()
os.kill(os.getpid(), signal.SIGSTOP)
"""


async def test_supervisor_frozen_while_it_changed_the_record_is_woken(steps: Steps) -> None:
    assert (await steps.clean()).kind is EndingKind.CLEAN
    lock = f"{steps.lock}.flock"
    with process(*python(FROZEN), lock, stdout=subprocess.PIPE, start_new_session=True) as frozen:
        assert frozen.stdout is not None
        assert frozen.stdout.readline() == b"ready\n"
        found = find(frozen.pid)
        assert found is not None
        tree = Tree(
            run=steps.run,
            epoch=1,
            boot=boot(),
            grace_seconds=GRACE_SECONDS,
            supervisor=found.identity,
            child=found.identity,
        )
        LockFile(str(steps.lock)).write(Record(1, steps.run, 1, closed=False, trees=(tree,)))
        assert (await steps.clean(claim=2)).kind is EndingKind.CLEAN
        frozen.wait(PATIENCE_SECONDS)


@pytest.mark.soak
async def test_record_that_nobody_lets_go_of_is_given_up(steps: Steps) -> None:
    assert (await steps.clean()).kind is EndingKind.CLEAN
    with steps.lock.with_name("worktree.lock.flock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ending = await steps.shell("echo never", claim=2)
    assert ending.kind is EndingKind.NOT_GONE
    assert steps.written() == ""


async def test_order_larger_than_a_pipe(steps: Steps) -> None:
    env = {f"NAME_{number}": "x" * 20_000 for number in range(20)}
    assert (await steps.end_of("/usr/bin/env", env=env)).exit_code == 0
    assert steps.written().count("x" * 20_000) == 20


@pytest.mark.skipif(not LINUX, reason="elsewhere it has to look")
async def test_supervisor_of_a_silent_step_sleeps(steps: Steps) -> None:
    step = await steps.begin_shell("echo ready; exec sleep 1000")
    steps.ready()
    supervisor = steps.supervisor()
    before, begun = supervisor.cpu_times(), time.monotonic()
    await asyncio.sleep(1)  # is what is measured
    after, passed = supervisor.cpu_times(), time.monotonic() - begun
    spent = after.user + after.system - before.user - before.system
    assert spent < 0.03 * passed
    step.stop()
    await step.ending()
