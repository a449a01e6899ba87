"""Real steps in a directory of their own, and an independent look at what lives of them."""

import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import psutil

from adapters.processes import Supervised, supervise
from bot.supervision import Ending, Order

PATIENCE_SECONDS = 20.0
GRACE_SECONDS = 0.3
T = TypeVar("T")


def until(found: Callable[[], T], patience: float = PATIENCE_SECONDS) -> T:
    """What `found` returns once it is true."""
    deadline = time.monotonic() + patience
    while not (value := found()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return value


class Steps:
    """Orders of one run for one worktree, and what came of them."""

    def __init__(self, directory: Path) -> None:
        self.run = secrets.token_hex(4)
        self.cwd = directory / "worktree"
        self.lock = directory / "locks" / "worktree.lock"
        self.log = directory / "logs" / "step.log"
        self.cwd.mkdir()

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

    async def shell(self, text: str, **changes: Any) -> Ending:
        """Runs this shell text to its end."""
        return await (await self.begin("/bin/sh", "-c", text, **changes)).ending()

    async def clean(self, **changes: Any) -> Ending:
        """Stops what is left in the worktree."""
        return await (await supervise(self.order(None, **changes))).ending()

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

    def end(self) -> list[psutil.Process]:
        """Kills what a failed test left; returns what that was."""
        left = self.alive()
        for process in left:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
        return left
