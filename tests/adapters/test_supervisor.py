"""One step under its supervisor: what it gets, what it writes, how it ends or is ended."""

import signal
import sys
import time
from pathlib import Path

import pytest

from bot.supervision import Ending, EndingKind
from tests.adapters.shapes import SHAPES, Shape, python
from tests.adapters.steps import GRACE_SECONDS, PATIENCE_SECONDS, Steps, guard_of, until

LINUX = sys.platform == "linux"
GONE_SECONDS = GRACE_SECONDS + 2
SOAK_ROUNDS = 100


@pytest.mark.parametrize("code", [0, 1, 127, 255])
async def test_exit_code_is_told(steps: Steps, code: int) -> None:
    assert await steps.shell(f"exit {code}") == Ending(kind=EndingKind.EXITED, exit_code=code)


@pytest.mark.parametrize("name", ["SEGV", "TERM", "KILL"])
async def test_signal_is_told_as_its_negative_number(steps: Steps, name: str) -> None:
    ending = await steps.shell(f"kill -{name} $$")
    assert ending == Ending(kind=EndingKind.EXITED, exit_code=-signal.Signals[f"SIG{name}"])


async def test_output_of_both_streams_is_appended_in_order(steps: Steps) -> None:
    await steps.shell("for i in 1 2 3; do echo $i; echo e$i >&2; done")
    await steps.shell("printf end")
    assert steps.written() == "1\ne1\n2\ne2\n3\ne3\nend"


async def test_output_is_in_the_log_while_the_step_runs(steps: Steps) -> None:
    step = await steps.begin_shell("echo ready; exec sleep 1000")
    steps.ready()
    step.stop()
    assert (await step.ending()).stopped


async def test_what_is_in_the_pipe_at_the_end_is_not_lost(steps: Steps) -> None:
    await steps.shell("head -c 5000000 /dev/zero | tr '\\0' x")
    assert steps.written() == "x" * 5_000_000


async def test_environment_is_the_ordered_one_with_the_marks(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the worker")
    env = {"ONLY": "$(touch made); `touch made` 'ü'", "BATON_EPOCH": "forged"}
    await steps.end_of("/usr/bin/env", env=env, epoch=7)
    assert sorted(steps.written().splitlines()) == [
        "BATON_EPOCH=7",
        f"BATON_RUN_ID={steps.run}",
        f"ONLY={env['ONLY']}",
    ]
    assert not (steps.cwd / "made").exists()


async def test_supervisor_shows_no_argument_and_gets_no_secret(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the worker")
    step = await steps.begin_shell("echo ready; exec sleep 1000")
    steps.ready()
    for process in (guard_of(step), steps.supervisor()):
        assert "SECRET" not in process.environ()
        assert steps.run not in " ".join(process.cmdline())
    step.stop()
    await step.ending()


async def test_input_is_empty_and_no_other_descriptor_is_open(steps: Steps) -> None:
    listing = 'print([sys.stdin.read(), sorted(map(int, os.listdir("/dev/fd")))])'
    await steps.end_of(*python(listing))
    assert steps.written() == "['', [0, 1, 2, 3]]\n"  # 3 is the listing's own


async def test_signals_are_as_at_first(steps: Steps) -> None:
    # Python itself ignores two, and says in `signal.getsignal` what it found for the others.
    await steps.end_of(
        *python(
            "own = {signal.SIGPIPE, signal.SIGXFSZ}\n"
            "all = signal.valid_signals()\n"
            "print([s for s in all - own if signal.getsignal(s) == signal.SIG_IGN],"
            " signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
        )
    )
    assert steps.written() == "[] set()\n"


@pytest.mark.skipif(not LINUX, reason="reads /proc")
async def test_no_signal_is_ignored_at_the_start(steps: Steps) -> None:
    await steps.end_of("/bin/grep", "-E", "Sig(Ign|Blk)", "/proc/self/status")
    # Signals 32 and 33 are the C library's own; what started the tests may have ignored them.
    masks = [int(line.split()[1], 16) & ~0x180000000 for line in steps.written().splitlines()]
    assert masks == [0, 0]


async def test_a_group_and_login_session_of_its_own(steps: Steps) -> None:
    await steps.end_of(*python("print(os.getpid() == os.getpgrp() == os.getsid(0))"))
    assert steps.written() == "True\n"


async def test_it_works_in_its_worktree(steps: Steps) -> None:
    await steps.shell("pwd -P")
    assert steps.written() == f"{steps.cwd.resolve()}\n"


async def test_log_in_directories_that_are_not_there_yet(steps: Steps, tmp_path: Path) -> None:
    log = tmp_path / "a" / "b" / "step.log"
    await steps.shell("echo written", log=log)
    assert log.read_text() == "written\n"
    assert [each.name for each in log.parent.iterdir()] == ["step.log"]  # and no complaints


@pytest.mark.skipif(not LINUX, reason="needs /dev/full")
async def test_full_disk_does_not_hold_up_the_step(steps: Steps) -> None:
    ending = await steps.shell("head -c 1000000 /dev/zero", log=Path("/dev/full"))
    assert (ending.kind, ending.exit_code) == (EndingKind.EXITED, 0)
    assert ending.log_error == "No space left on device"


async def test_log_that_cannot_be_opened_does_not_hold_up_the_step(steps: Steps) -> None:
    ending = await steps.shell("head -c 1000000 /dev/zero", log=steps.cwd)
    assert (ending.kind, ending.exit_code) == (EndingKind.EXITED, 0)
    assert ending.log_error == "Is a directory"


async def test_command_that_is_not_there(steps: Steps) -> None:
    ending = await steps.end_of(str(steps.cwd / "missing"))
    assert (ending.kind, ending.exit_code) == (EndingKind.ERROR, None)
    assert ending.reason == "The step's command cannot be executed: No such file or directory."


async def test_worktree_that_is_not_there(steps: Steps) -> None:
    ending = await steps.shell("echo never", cwd=steps.cwd / "missing")
    assert ending.kind is EndingKind.ERROR
    assert ending.reason == "The step's worktree cannot be entered: No such file or directory."
    assert steps.written() == ""


@pytest.mark.parametrize("command", [(), ("",), ("/bin/echo", "a\0b")])
async def test_command_that_cannot_be(steps: Steps, command: tuple[str, ...]) -> None:
    ending = await steps.end_of(*command)
    assert ending.kind is EndingKind.ERROR
    assert str(ending.reason).startswith("The step's command cannot be executed")


async def test_stop_before_the_start_starts_nothing(steps: Steps) -> None:
    step = await steps.begin_shell("echo never")
    step.stop()
    assert await step.ending() == Ending(kind=EndingKind.CLEAN, stopped=True)
    assert steps.written() == ""


async def test_stop_after_the_end_and_twice(steps: Steps) -> None:
    step = await steps.begin_shell("exit 3")
    ending = await step.ending()
    step.stop()
    step.stop()
    assert await step.ending() == ending == Ending(kind=EndingKind.EXITED, exit_code=3)


async def test_stop_gives_time_to_tidy_up(steps: Steps) -> None:
    text = "trap 'echo tidy; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    step = await steps.begin_shell(text, grace_seconds=PATIENCE_SECONDS)
    steps.ready()
    step.stop()
    assert await step.ending() == Ending(kind=EndingKind.EXITED, exit_code=5, stopped=True)
    assert steps.written().endswith("tidy\n")


async def test_timeout_stops_the_step(steps: Steps) -> None:
    ending = await steps.shell("exec sleep 1000", timeout_seconds=0.2)
    told = Ending(kind=EndingKind.EXITED, exit_code=-signal.SIGTERM, timed_out=True)
    assert ending == told


async def test_timeout_of_a_step_that_will_not_end(steps: Steps) -> None:
    ending = await steps.end_of(*SHAPES["deaf forks"].command, timeout_seconds=0.2)
    assert (ending.kind, ending.timed_out) == (EndingKind.EXITED, True)
    assert steps.gone()


async def test_daemon_that_a_step_leaves_behind_is_gone_before_the_end_is_told(
    steps: Steps,
) -> None:
    ending = await steps.end_of(*python("child(daemon); os.wait(); sys.exit(4)"))
    assert ending == Ending(kind=EndingKind.EXITED, exit_code=4)
    assert steps.gone()


async def stop(steps: Steps, shape: Shape) -> None:
    """Has the shape stand, stops it, and finds nothing of it any more."""
    step = await steps.begin(*shape.command)
    steps.ready(shape.ready)
    begun = time.monotonic()
    step.stop()
    ending = await step.ending()
    assert ending.kind is EndingKind.EXITED, ending
    assert time.monotonic() - begun < GONE_SECONDS
    assert steps.gone()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
async def test_stubborn_tree_is_stopped(steps: Steps, shape: Shape) -> None:
    await stop(steps, shape)


@pytest.mark.soak
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
async def test_stubborn_tree_is_stopped_every_time(tmp_path: Path, shape: Shape) -> None:
    for number in range(SOAK_ROUNDS):
        steps = Steps(tmp_path / str(number))
        try:
            await stop(steps, shape)
        finally:
            left = steps.end()
        assert left == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("receiver", ["guard", "supervisor"])
async def test_sigterm_stops_and_a_terminal_does_not(
    steps: Steps, number: signal.Signals, receiver: str
) -> None:
    step = await steps.begin_shell("echo ready; while [ ! -e go ]; do sleep 0.01; done")
    steps.ready()
    (guard_of(step) if receiver == "guard" else steps.supervisor()).send_signal(number)
    stops = number is signal.SIGTERM
    if not stops:
        (steps.cwd / "go").touch()
    code = -signal.SIGTERM if stops else 0
    assert await step.ending() == Ending(kind=EndingKind.EXITED, exit_code=code, stopped=stops)


ELSEWHERE = """
import os, sys
sys.path.append({root!r})
from adapters.supervisor import living
living.LINUX = False
from adapters.supervisor.step import main
main()
os._exit(0)
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Supervisors find processes as on a system without /proc and without subreapers."""
    script = tmp_path / "supervisor.py"
    script.write_text(ELSEWHERE.format(root=str(Path(__file__).parents[2])))
    monkeypatch.setattr("adapters.processes._SCRIPT", script)


@pytest.mark.parametrize("name", ["deaf forks", "pipeline", "setsid", "stopped below", "deep"])
async def test_tree_is_stopped_without_proc(steps: Steps, elsewhere: None, name: str) -> None:
    shape = SHAPES[name]
    step = await steps.begin(*shape.command)
    steps.ready(shape.ready)
    step.stop()
    assert (await step.ending()).kind is EndingKind.EXITED
    until(steps.gone)
