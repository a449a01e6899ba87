"""One step under its supervisor: what it gets, what it writes, and how it ends."""

import signal
import sys

import pytest

from bot.supervision import EndingKind
from tests.adapters.steps import Steps

LINUX = sys.platform == "linux"
PYTHON = "import os, signal, sys, threading, time\nsay = lambda: os.write(1, b'ready\\n')\n"


def python(text: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", PYTHON + text]


def shell(text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


@pytest.mark.parametrize("code", [0, 1, 127, 255])
async def test_exit_code_is_told(steps: Steps, code: int) -> None:
    ending = await steps.shell(f"exit {code}")
    assert (ending.kind, ending.exit_code, ending.stopped) == (EndingKind.EXITED, code, False)


async def test_signal_is_told_as_its_negative_number(steps: Steps) -> None:
    assert (await steps.shell("kill -SEGV $$")).exit_code == -signal.SIGSEGV


async def test_output_of_both_streams_is_appended_in_order(steps: Steps) -> None:
    await steps.shell("for i in 1 2 3; do echo $i; echo e$i >&2; done")
    await steps.shell("printf end")
    assert steps.written() == "1\ne1\n2\ne2\n3\ne3\nend"


async def test_what_is_in_the_pipe_at_the_end_is_not_lost(steps: Steps) -> None:
    await steps.shell("head -c 5000000 /dev/zero | tr '\\0' x")
    assert steps.written() == "x" * 5_000_000


async def test_environment_is_the_ordered_one_with_the_marks(steps: Steps) -> None:
    await steps.begin_and_end("/usr/bin/env", env={"ONLY": "this"}, epoch=7)
    assert sorted(steps.written().split()) == [
        "BATON_EPOCH=7",
        f"BATON_RUN_ID={steps.run}",
        "ONLY=this",
    ]


async def test_input_is_empty_and_no_other_descriptor_is_open(steps: Steps) -> None:
    await steps.begin_and_end(
        *python("print(sys.stdin.read(), sorted(map(int, os.listdir('/dev/fd')))[:4])")
    )
    assert steps.written() == " [0, 1, 2, 3]\n"  # 3 is the listing's own


async def test_signals_are_as_at_first(steps: Steps) -> None:
    text = "print([s for s in signal.valid_signals() if signal.getsignal(s) == signal.SIG_IGN])"


async def test_a_group_and_login_session_of_its_own(steps: Steps) -> None:
    await steps.begin_and_end(*python("print(os.getpid() == os.getpgrp() == os.getsid(0))"))
    assert steps.written() == "True\n"
