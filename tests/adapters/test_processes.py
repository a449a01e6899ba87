"""What becomes of steps whose worker or supervisor dies, and of claims that meet in a worktree."""

import asyncio
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil
import pytest

from adapters import supervisor
from adapters.processes import Supervised
from adapters.supervisor.living import Identity, boot, find, from_proc, from_psutil
from adapters.supervisor.record import LockFile, Record, Tree
from bot.supervision import Ending, EndingKind
from tests.adapters.shapes import SHAPES, python
from tests.adapters.steps import PATIENCE_SECONDS, Steps, guard_of, is_alive, process, until

SUPERVISOR = Path(supervisor.__file__).with_name("__main__.py")
LINUX = sys.platform == "linux"
ROUNDS = [pytest.param(4, id="short"), pytest.param(100, id="long", marks=pytest.mark.soak)]
LONGEST_LIFE_SECONDS = 0.2  # a supervisor needs less to start its step
MARKLESS = ["daemon without environment", "daemon without descriptors"]
# What is found again without a supervisor: by its group, login session, parents or marks.
FINDABLE = [
    "deaf forks",
    "three daemons and a hangup",
    "job control",
    "stopped below",
    "deep",
]


def _lines(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


async def test_end_of_the_worker_ends_its_steps(tmp_path: Path) -> None:
    await _kill_worker(tmp_path, ["plain", "deaf forks", "daemon", "wide", "runs away"])


async def _kill_worker(tmp_path: Path, names: list[str]) -> None:
    """SIGKILL for a worker whose steps stand, then nothing of them is left."""
    several = [Steps(tmp_path / name) for name in names]
    orders = [each.order(SHAPES[name].command) for name, each in zip(names, several, strict=True)]
    try:
        with several[0].worker(*orders) as worker:
            for name, each in zip(names, several, strict=True):
                each.ready(SHAPES[name].ready)
            worker.kill()
            until(lambda: all(each.gone() for each in several))
    finally:
        left = [process for each in several for process in each.end()]
    assert left == []


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_worker_killed_at_any_moment_leaves_nothing(tmp_path: Path, rounds: int) -> None:
    chance = random.Random(rounds)
    for number in range(rounds):
        steps = Steps(tmp_path / str(number))
        try:
            with steps.worker(steps.order(SHAPES["deaf forks"].command)) as worker:
                assert _lines(worker.stdout).readline() == b"begun\n"
                await asyncio.sleep(chance.uniform(0, LONGEST_LIFE_SECONDS))
                worker.kill()
            until(steps.gone)
            assert (await steps.shell("echo next", claim=2)).exit_code == 0
        finally:
            left = steps.end()
        assert left == []


async def test_worker_that_ends_its_loop_ends_its_steps(steps: Steps) -> None:
    with steps.worker(steps.order(SHAPES["deaf forks"].command)) as worker:
        steps.ready(5)
        worker.send_signal(signal.SIGINT)
        until(steps.gone)
        worker.wait(PATIENCE_SECONDS)


async def test_worker_is_told_the_end(steps: Steps) -> None:
    with steps.worker(steps.order(["/bin/sh", "-c", "exit 3"])) as worker:
        assert _lines(worker.stdout).read() == b"begun\nexited 3\n"


async def test_stopped_worker_does_not_hold_up_its_step(steps: Steps) -> None:
    with steps.worker(steps.order(["/bin/sh", "-c", "echo ready; exec sleep 1000"])) as worker:
        steps.ready()
        worker.send_signal(signal.SIGSTOP)
        assert (await steps.clean(claim=2)).kind is EndingKind.CLEAN
        assert [each.pid for each in steps.alive()] == [worker.pid]
        worker.kill()
    until(steps.gone)


def _kill(step: Supervised, steps: Steps, killed: str) -> None:
    """SIGKILL for the processes of this name."""
    victims = {"guard": [guard_of(step)], "supervisor": [steps.supervisor()]}
    victims["both"] = [*victims["guard"], *victims["supervisor"]]
    for victim in victims[killed]:
        victim.suspend()  # so that none of them learns of the other's end
    for victim in victims[killed]:
        victim.kill()


@pytest.mark.skipif(not LINUX, reason="a guard needs a system that lets it adopt orphans")
@pytest.mark.parametrize("killed", ["guard", "supervisor"])
@pytest.mark.parametrize("name", ["deaf forks", "stopped below", "deep", *MARKLESS])
async def test_lost_supervisor_leaves_nothing(steps: Steps, name: str, killed: str) -> None:
    step = await steps.begin(*SHAPES[name].command)
    steps.ready(SHAPES[name].ready)
    _kill(step, steps, killed)
    assert await step.ending() == Ending(kind=EndingKind.LOST)
    assert steps.gone()


@pytest.mark.parametrize("name", FINDABLE)
async def test_lost_supervisor_and_guard_leave_nothing(steps: Steps, name: str) -> None:
    step = await steps.begin(*SHAPES[name].command)
    steps.ready(SHAPES[name].ready)
    _kill(step, steps, "both")
    assert await step.ending() == Ending(kind=EndingKind.LOST)
    assert steps.gone()


@pytest.mark.parametrize("killed", ["guard", "supervisor", "both"])
async def test_stop_is_remembered_when_the_supervisor_is_lost(steps: Steps, killed: str) -> None:
    step = await steps.begin(*SHAPES["deaf"].command, grace_seconds=1)
    steps.ready()
    step.stop()
    _kill(step, steps, killed)
    ending = await step.ending()
    assert (ending.kind, ending.stopped) == (EndingKind.LOST, True)


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_supervisor_killed_at_any_moment_leaves_nothing(steps: Steps, rounds: int) -> None:
    chance = random.Random(rounds)
    for number in range(rounds):
        step = await steps.begin(*SHAPES["deaf forks"].command, claim=2 * number + 1)
        await asyncio.sleep(chance.uniform(0, LONGEST_LIFE_SECONDS))
        guard = guard_of(step)
        below = guard.children()  # the supervisor, or none yet
        victims = chance.choice([[guard], below or [guard], [guard, *below]])
        for victim in victims:
            victim.kill()
        assert (await step.ending()).kind is EndingKind.LOST
        assert steps.gone()
        assert (await steps.shell("exit 0", claim=2 * number + 2)).exit_code == 0


async def test_no_supervisor_can_be_started(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(steps.cwd / "missing"))
    with pytest.raises(FileNotFoundError):
        await steps.begin_shell("echo never")
    assert steps.written() == ""


async def test_supervisor_that_fails_says_why_beside_the_log(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = steps.cwd / "supervisor.py"
    script.write_text("raise RuntimeError('broken')")
    monkeypatch.setattr("adapters.processes._SCRIPT", script)
    ending = await steps.shell("echo never")
    assert ending.kind is EndingKind.NOT_GONE
    assert "broken" in steps.log.with_name("step.log.supervisor").read_text()


async def test_giving_up_the_wait_does_not_end_the_step(steps: Steps) -> None:
    step = await steps.begin_shell("echo ready; while [ ! -e go ]; do sleep 0.01; done; exit 6")
    steps.ready()
    waits = asyncio.create_task(step.ending())
    await asyncio.sleep(0)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    (steps.cwd / "go").touch()
    assert (await step.ending()).exit_code == 6


async def test_many_steps_at_once(tmp_path: Path) -> None:
    several = [Steps(tmp_path / str(number)) for number in range(8)]
    endings = await asyncio.gather(*(s.shell(f"exit {n}") for n, s in enumerate(several)))
    assert [ending.exit_code for ending in endings] == list(range(8))


# Claims


async def test_older_claim_is_refused(steps: Steps) -> None:
    assert (await steps.clean(claim=2)).kind is EndingKind.CLEAN
    ending = await steps.shell("echo never", claim=1)
    assert (ending.kind, ending.exit_code) == (EndingKind.SUPERSEDED, None)
    assert (await steps.clean(claim=1)).kind is EndingKind.SUPERSEDED
    assert steps.written() == ""


async def test_equal_closed_claim_is_refused(steps: Steps) -> None:
    assert (await steps.clean(closes=True)).kind is EndingKind.CLEAN
    assert (await steps.shell("echo never")).kind is EndingKind.SUPERSEDED
    assert (await steps.clean()).kind is EndingKind.CLEAN
    assert (await steps.shell("echo never")).kind is EndingKind.SUPERSEDED
    assert steps.written() == ""
    assert (await steps.shell("echo next", claim=2)).kind is EndingKind.EXITED


async def test_equal_claim_that_is_not_closed_goes_on(steps: Steps) -> None:
    assert (await steps.clean()).kind is EndingKind.CLEAN
    assert (await steps.shell("echo next")).kind is EndingKind.EXITED


async def test_claims_of_different_runs_meet_in_one_order(steps: Steps) -> None:
    assert (await steps.clean(run="another", epoch=9, claim=2)).kind is EndingKind.CLEAN
    assert (await steps.shell("echo never", epoch=10, claim=1)).kind is EndingKind.SUPERSEDED
    assert (await steps.shell("echo next", epoch=1, claim=3)).kind is EndingKind.EXITED


async def test_newer_claim_stops_a_living_older_one_before_it_starts(steps: Steps) -> None:
    older = await steps.begin_shell(
        "trap '' TERM; echo ready; while :; do echo older; sleep 0.005; done"
    )
    steps.ready()
    newer = await steps.shell("echo newer", claim=2, run="another")
    assert (newer.kind, newer.exit_code) == (EndingKind.EXITED, 0)
    ending = await older.ending()
    assert (ending.kind, ending.exit_code) == (EndingKind.EXITED, -signal.SIGKILL)
    assert steps.written().endswith("older\nnewer\n")
    assert steps.gone()


@pytest.mark.parametrize("stopped", [("guard",), ("supervisor",), ("guard", "supervisor")])
@pytest.mark.parametrize("name", ["plain", "three daemons and a hangup"])
async def test_newer_claim_takes_over_from_a_stopped_supervisor(
    steps: Steps, name: str, stopped: tuple[str, ...]
) -> None:
    older = await steps.begin(*SHAPES[name].command)
    steps.ready(SHAPES[name].ready)
    for each in stopped:
        (guard_of(older) if each == "guard" else steps.supervisor()).suspend()
    assert (await steps.clean(claim=2)).kind is EndingKind.CLEAN
    assert steps.step_gone()
    assert (await older.ending()).kind in {EndingKind.EXITED, EndingKind.SUPERSEDED}
    assert steps.gone()


async def test_newer_claim_takes_over_from_a_supervisor_stopped_again_and_again(
    steps: Steps,
) -> None:
    older = await steps.begin(*SHAPES["deaf forks"].command)
    steps.ready(5)
    frozen = steps.supervisor()
    cleaning = asyncio.create_task(steps.clean(claim=2))
    with suppress(psutil.NoSuchProcess):
        while not cleaning.done():
            frozen.suspend()
            await asyncio.sleep(0.001)
    assert (await cleaning).kind is EndingKind.CLEAN
    assert steps.step_gone()
    assert (await older.ending()).kind in {EndingKind.LOST, EndingKind.SUPERSEDED}
    assert steps.gone()


async def test_closing_the_claim_of_a_living_step_stops_it(steps: Steps) -> None:
    step = await steps.begin(*SHAPES["deaf forks"].command)
    steps.ready(5)
    assert (await steps.clean(closes=True)).kind is EndingKind.CLEAN
    assert steps.step_gone()
    assert (await step.ending()).exit_code == -signal.SIGKILL
    assert steps.gone()


async def test_many_claims_at_once_and_the_last_wins(steps: Steps) -> None:
    """However they come, two steps never work at once and the newest is carried out."""
    # A lock that ends with its holder, since the older ones are killed anywhere.
    alone = python(
        "import fcntl\n"
        "file = open('alone', 'w'); fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "time.sleep(0.05)"
    )
    claims = [*range(1, 9)]
    random.Random(1).shuffle(claims)
    begun = {claim: await steps.begin(*alone, claim=claim) for claim in claims}
    endings = {claim: await each.ending() for claim, each in begun.items()}
    assert endings[8] == Ending(kind=EndingKind.EXITED, exit_code=0), endings
    allowed = {EndingKind.EXITED, EndingKind.SUPERSEDED}
    assert {ending.kind for ending in endings.values()} <= allowed
    assert all(ending.exit_code != 1 for ending in endings.values())


# Records


def _record(steps: Steps, tree: Tree) -> None:
    """Makes this the tree that a dead claim left."""
    lock = LockFile(str(steps.lock))
    with lock.changing():
        lock.write(Record(claim=1, run=steps.run, epoch=1, closed=False, trees=(tree,)))


def _tree(steps: Steps, pid: int) -> Tree:
    found = find(pid)
    assert found is not None
    return Tree(
        run=steps.run,
        epoch=1,
        boot=boot(),
        grace_seconds=0.2,
        guard=found.identity,
        supervisor=found.identity,
        child=found.identity,
    )


def _younger(identity: Identity) -> Identity:
    return identity._replace(start=identity.start - 1)


FALSE: dict[str, Callable[[Tree], Tree]] = {
    "wrong start": lambda tree: tree._replace(
        guard=_younger(tree.supervisor),
        supervisor=_younger(tree.supervisor),
        child=_younger(tree.child),
    ),
    "wrong start, no guard": lambda tree: tree._replace(
        guard=None, supervisor=_younger(tree.supervisor), child=_younger(tree.child)
    ),
    "other boot": lambda tree: tree._replace(boot="00000000-0000-0000-0000-000000000000"),
}


@pytest.mark.parametrize("falsify", FALSE.values(), ids=list(FALSE))
@pytest.mark.parametrize("leader", [True, False])
async def test_record_of_others_kills_no_innocent(
    steps: Steps, falsify: Callable[[Tree], Tree], leader: bool
) -> None:
    with process("/bin/sleep", "1000", start_new_session=leader) as innocent:
        _record(steps, falsify(_tree(steps, innocent.pid)))
        assert (await steps.clean(claim=2)).kind is EndingKind.CLEAN
        assert is_alive(innocent.pid)
        assert json.loads(steps.lock.read_bytes())["trees"] == []


async def test_record_that_is_true_kills(steps: Steps) -> None:
    """The counter-proof: but for what was falsified, the innocents above would be dead."""
    with process("/bin/sleep", "1000", start_new_session=True) as guilty:
        _record(steps, _tree(steps, guilty.pid))
        assert (await steps.clean(claim=2)).kind is EndingKind.CLEAN
        assert guilty.wait(PATIENCE_SECONDS) == -signal.SIGTERM


@pytest.mark.parametrize("content", ["", "{", "[]", '{"claim": 1}', '{"claim": "x", "trees": []}'])
async def test_damaged_record_starts_nothing(steps: Steps, content: str) -> None:
    steps.lock.parent.mkdir()
    steps.lock.write_text(content)
    ending = await steps.shell("echo never", claim=2)
    assert ending.kind is EndingKind.ERROR
    assert "damaged" in str(ending.reason)
    assert steps.lock.read_text() == content
    assert steps.written() == ""


async def test_record_that_cannot_be_written_starts_nothing(steps: Steps) -> None:
    steps.lock.parent.write_text("a file")
    ending = await steps.shell("echo never")
    assert ending.kind is EndingKind.ERROR
    assert str(ending.reason).startswith("The worktree could not be taken")
    assert steps.written() == ""


async def test_supervisor_that_cannot_be_seen_keeps_the_worktree(steps: Steps) -> None:
    assert (await steps.clean()).kind is EndingKind.CLEAN
    with steps.lock.with_name("worktree.lock.held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ending = await steps.shell("echo never", claim=2)
    assert (ending.kind, ending.survivors) == (EndingKind.NOT_GONE, ())
    assert (await steps.shell("echo next", claim=2)).kind is EndingKind.EXITED
    assert steps.written() == "next\n"


async def test_deleted_record_does_not_hold_up_the_end(steps: Steps) -> None:
    step = await steps.begin_shell("echo ready; exec sleep 1000")
    steps.ready()
    steps.lock.unlink()
    step.stop()
    assert (await step.ending()).kind is EndingKind.EXITED
    assert (await steps.shell("exit 0", claim=2)).kind is EndingKind.EXITED


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"lock": "x"}', b"\xff"])
def test_order_that_cannot_be_understood_starts_nothing(line: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-I", SUPERVISOR], input=line + b"\n", capture_output=True, check=False
    )
    told = json.loads(done.stdout)
    assert (told["event"], told["kind"]) == ("ended", "error")
    assert told["reason"] == "The order could not be understood."


def test_worker_that_ends_before_its_order_is_whole() -> None:
    done = subprocess.run(
        [sys.executable, "-I", SUPERVISOR], input=b'{"lock"', capture_output=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)


# How processes are found


@pytest.mark.skipif(not LINUX, reason="compares with /proc")
def test_both_ways_to_find_a_process_agree() -> None:
    with process("/bin/sleep", "1000", start_new_session=True) as one:
        here, there = from_proc(one.pid), from_psutil(one.pid)
        assert here is not None
        assert there is not None
        assert here._replace(start=0) == there._replace(start=0)
        assert (here.parent, here.group, here.alive) == (os.getpid(), one.pid, True)
        one.kill()
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
        here, there = from_proc(one.pid), from_psutil(one.pid)
        assert here is not None
        assert there is not None
        assert (here.alive, there.alive) == (False, False)
    assert find(one.pid) is None


@pytest.mark.skipif(not LINUX, reason="reads /proc")
async def test_odd_process_name_is_understood(steps: Steps) -> None:
    odd = steps.cwd / "a) Z 1 ("
    odd.symlink_to("/bin/sleep")
    with process(str(odd), "1000") as one:
        until(lambda: psutil.Process(one.pid).name() == odd.name)
        found = find(one.pid)
        assert found is not None
        assert (found.parent, found.alive) == (os.getpid(), True)
