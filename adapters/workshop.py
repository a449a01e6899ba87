"""Worktrees on disk and processes in them: what a worker does outside the database."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from adapters import processes
from adapters.worktrees import STRAY_GIT, Worktrees, may_have_remote
from bot.config import ECOSYSTEM
from bot.output import Output
from bot.run import Run, Worktree
from bot.supervision import Order
from bot.workshop import Prepared, Pushed

_SHARED_BYTES = 32 * 1024
_SHELL = ("/bin/sh", "-c")


class LocalWorkshop:
    """Implements bot.ports.Workshop below one directory of this host."""

    def __init__(
        self, worktrees: Worktrees, logs: Path, grace_seconds: float, *, shared: bool = False
    ) -> None:
        """`shared` where other hosts may go on with what is done here."""
        self._worktrees = worktrees
        self._shared = shared
        self._logs = logs.absolute()
        self._grace_seconds = grace_seconds

    def place(self, repository: str, branch: str) -> Worktree:
        """Where a branch is worked on here."""
        return self._worktrees.place(repository, branch)

    def preparation(self, run: Run) -> Order:
        """The order that makes or takes the run's worktree."""
        command = self._worktrees.preparation(
            repository=run.repository,
            base=run.base,
            branch=run.branch,
            worktree=run.worktree,
            result=self._result(run),
            commit=run.pushed,
        )
        self._logs.mkdir(parents=True, exist_ok=True)
        return self._order(run, command, self._logs, None)

    def prepared(self, run: Run) -> Prepared:
        """What the preparation said; its file is read once."""
        said = self._worktrees.result(self._result(run))
        with suppress(OSError):
            self._result(run).unlink()
        return said

    def _result(self, run: Run) -> Path:
        return self._logs / f"{run.id}.{run.epoch}.prepared"

    def pushing(self, run: Run) -> Order | None:
        """The order that pushes the branch; None where nobody else could have it."""
        if not self._shared or not may_have_remote(run.repository):
            return None
        command = self._worktrees.pushing(
            worktree=run.worktree, branch=run.branch, result=self._push_result(run)
        )
        return self._order(run, command, self._logs, None)

    def pushed(self, run: Run) -> Pushed:
        """What the push said; its file is read once."""
        said = self._worktrees.push_result(self._push_result(run))
        with suppress(OSError):
            self._push_result(run).unlink()
        return said

    def _push_result(self, run: Run) -> Path:
        return self._logs / f"{run.id}.{run.epoch}.{run.steps_done}.pushed"

    def step(self, run: Run) -> Order:
        """The order for the current step, which must be a command."""
        step = run.step
        command = (*_SHELL, step.command or "") if step else None
        timeout = step.timeout_seconds if step else None
        return self._order(run, command, Path(run.worktree.path), timeout)

    def cleaning(self, run: Run) -> Order:
        """The order that stops what a dead worker left; its claim starts nothing any more."""
        return self._order(run, None, self._logs, None)

    def _order(
        self, run: Run, command: tuple[str, ...] | None, cwd: Path, timeout: float | None
    ) -> Order:
        return Order(
            lock=self._worktrees.lock_path(run.worktree),
            run=run.id,
            epoch=run.epoch,
            claim=run.claim,
            command=command,
            cwd=cwd,
            env=environment(run, os.environ),
            log=self.log_path(run.id),
            grace_seconds=self._grace_seconds,
            timeout_seconds=timeout,
            closes=command is None,
        )

    async def supervise(self, order: Order) -> processes.Supervised:
        """Start a supervisor on this order."""
        return await processes.supervise(order)

    async def changes(self, run: Run) -> str:
        """What the run's worktree holds beside its base, as git tells it; empty elsewhere."""
        return await self._worktrees.changes(run.worktree, run.base)

    def output(self, run_id: str, beyond: int) -> Output | None:
        """The end of a run's output here, if it goes beyond this offset."""
        try:
            with self.log_path(run_id).open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                start = log.seek(max(0, size - _SHARED_BYTES))
                return Output(start, log.read(_SHARED_BYTES)) if size > beyond else None
        except OSError:
            return None

    def log_path(self, run_id: str) -> Path:
        """The file that has the output of this run."""
        return self._logs / f"{run_id}.log"

    def note(self, run: Run, line: str) -> None:
        """Put a line of Baton's own into the run's log, if the disk takes it."""
        with suppress(OSError), self.log_path(run.id).open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")


def environment(run: Run, ours: Mapping[str, str]) -> dict[str, str]:
    """What a step sees: our environment without Baton's own, and what tells it of its run."""
    kept = {
        name: value
        for name, value in ours.items()
        if name not in ECOSYSTEM.keys() | STRAY_GIT and not name.startswith("BATON_")
    }
    arguments = {f"BATON_ARG_{key.upper()}": value for key, value in run.arguments.items()}
    return {
        **kept,
        **arguments,
        "BATON_RUN_ID": run.id,
        "BATON_EPOCH": str(run.epoch),
        "BATON_STEP": run.step.name if run.step else "",
        "BATON_ATTEMPT": str(run.attempt),
    }
