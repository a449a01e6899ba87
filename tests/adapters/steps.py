"""Real steps in a directory of their own, and an independent look at what lives of them."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import psutil

from adapters.processes import Supervised, supervise
from bot.supervision import Ending, Order
from tests.adapters import worker

PATIENCE_SECONDS = 20.0
GRACE_SECONDS = 0.2  # a step counts as not gone after a second, so this leaves most of it
_ROOT = Path(__file__).parents[2]
T = TypeVar("T")


def until(found: Callable[[], T], patience: float = PATIENCE_SECONDS) -> T:
    """What `found` returns once it is true."""
    deadline = time.monotonic() + patience
    while not (value := found()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return value


@contextmanager
def process(*command: str, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the test's own, killed by its pid at the end."""
    with subprocess.Popen(command, **options) as started:
        try:
            yield started
        finally:
            started.kill()


def is_alive(pid: int) -> bool:
    """Whether this process is there and no zombie."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


class Steps:
    """Orders of one run for one worktree, and what came of them."""

    def __init__(self, directory: Path) -> None:
        self.run = secrets.token_hex(8)
        self.cwd = directory / "worktree"
        self.lock = directory / "locks" / "worktree.lock"
        self.log = directory / "logs" / "step.log"
        self.ticks = self.cwd / "ticks"
        self.cwd.mkdir(parents=True)

    def order(self, command: Sequence[str] | None, **changes: Any) -> Order:
        env: Mapping[str, str] = {"PATH": os.environ["PATH"], "TREE": self.run}
        order = Order(
            lock=self.lock,
            run=self.run,
            epoch=1,
            claim=1,
            command=command,
            cwd=self.cwd,
            env=env,
            log=self.log,
            grace_seconds=GRACE_SECONDS,
        )
        return replace(order, **changes)

    async def begin(self, *command: str, **changes: Any) -> Supervised:
        """Starts this command under a supervisor."""
        return await supervise(self.order(command, **changes))

    async def begin_shell(self, text: str, **changes: Any) -> Supervised:
        """Starts this shell text under a supervisor."""
        return await self.begin("/bin/sh", "-c", text, **changes)

    async def end_of(self, *command: str, **changes: Any) -> Ending:
        """Runs this command to its end."""
        return await (await self.begin(*command, **changes)).ending()

    async def shell(self, text: str, **changes: Any) -> Ending:
        """Runs this shell text to its end."""
        return await self.end_of("/bin/sh", "-c", text, **changes)

    async def clean(self, **changes: Any) -> Ending:
        """Stops what is left in the worktree."""
        return await (await supervise(self.order(None, **changes))).ending()

    @contextmanager
    def worker(self, *orders: Order) -> Iterator["subprocess.Popen[bytes]"]:
        """A worker process of its own that supervises these orders."""
        command = (sys.executable, "-m", "tests.adapters.worker", worker.written([*orders]))
        with process(*command, cwd=_ROOT, stdout=subprocess.PIPE) as started:
            yield started

    def ready(self, lines: int = 1) -> None:
        """Waits until this many `ready` stand in the log."""
        until(lambda: self.written().count("ready") >= lines)

    def written(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def alive(self) -> list[psutil.Process]:
        """What lives of this run: known by its environment, directory, command line or parent."""
        mine = psutil.Process().children(recursive=True)
        return [p for p in {*psutil.process_iter(), *mine} if self._is_ours(p, mine)]

    def _is_ours(self, process: psutil.Process, mine: Sequence[psutil.Process]) -> bool:
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            words = " ".join(process.cmdline())
            return (
                process.environ().get("TREE") == self.run
                or process.cwd() == str(self.cwd)
                or self.run in words
                or (process in mine and "supervisor" in words)
            )
        return False

    def gone(self) -> bool:
        """Whether nothing lives; a process too quick to be seen still lets `ticks` grow."""
        ticks = self._ticks()
        return not self.alive() and self._ticks() == ticks

    def step_gone(self) -> bool:
        """Whether nothing of the step itself lives, though its supervisor may just be leaving."""
        ticks = self._ticks()
        left = [each for each in psutil.process_iter() if self._is_ours(each, ())]
        return not left and self._ticks() == ticks

    def _ticks(self) -> int:
        return self.ticks.stat().st_size if self.ticks.exists() else 0

    def end(self) -> list[psutil.Process]:
        """Kills what a failed test left; returns what that was."""
        left = self.alive()
        for each in left:
            with suppress(psutil.Error):
                each.send_signal(signal.SIGKILL)
        return left

    def supervisor(self) -> psutil.Process:
        """The process that supervises the step under way, as its record says."""
        (tree,) = json.loads(self.lock.read_bytes())["trees"]
        return psutil.Process(tree["supervisor"]["pid"])


def guard_of(supervised: Supervised) -> psutil.Process:
    """The process that the worker started: the supervisor, and later the guard over it."""
    return psutil.Process(supervised._supervisor._process.pid)
