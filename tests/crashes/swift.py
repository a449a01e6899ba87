"""A workshop without worktrees and supervisors, for as many runs as a machine can count."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bot.output import Output
from bot.run import Run, Worktree
from bot.supervision import Ending, EndingKind, Order
from bot.workshop import Prepared, Pushed
from tests.crashes.team import Notes

PREPARES = "prepares"
_STOPPED = -15


@dataclass(eq=False)
class SwiftStep:
    """Implements bot.workshop.Supervised: a pause that may be cut short."""

    seconds: float
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        self._stopped.set()

    async def ending(self) -> Ending:
        try:
            await asyncio.wait_for(self._stopped.wait(), self.seconds)
        except TimeoutError:
            return Ending(kind=EndingKind.EXITED, exit_code=0)
        return Ending(kind=EndingKind.EXITED, exit_code=_STOPPED, stopped=True)


@dataclass(frozen=True)
class SwiftWorkshop:
    """Implements bot.workshop.Workshop: each command is a pause, and noted when it begins.

    What a run puts out is the epoch that it works under.
    """

    host: str
    notes: Notes
    seconds: float
    _epochs: dict[str, int] = field(default_factory=dict)
    _begun: Counter[str] = field(default_factory=Counter)

    def place(self, repository: str, branch: str) -> Worktree:
        return Worktree(self.host, f"{repository}/{branch}")

    def preparation(self, run: Run) -> Order:
        return self._order(run, PREPARES)

    def prepared(self, run: Run) -> Prepared:
        return Prepared(reason=None, notice=None)

    def step(self, run: Run) -> Order:
        return self._order(run, f"{run.steps_done}.{run.attempt}")

    def pushing(self, run: Run) -> Order | None:
        return None

    def pushed(self, run: Run) -> Pushed:
        return Pushed(commit=None, reason=None)

    def cleaning(self, run: Run) -> Order:
        return self._order(run, None)

    def _order(self, run: Run, what: str | None) -> Order:
        return Order(
            lock=self.notes.file,
            run=run.id,
            epoch=run.epoch,
            claim=run.claim,
            command=(what,) if what else None,
            cwd=self.notes.file.parent,
            env={},
            log=self.notes.file,
            grace_seconds=1,
        )

    async def supervise(self, order: Order) -> SwiftStep:
        if order.command is None:
            return SwiftStep(0)
        self.notes.add(order.run, order.epoch, *order.command)
        self._epochs[order.run] = order.epoch
        self._begun[order.run] += 1
        return SwiftStep(0 if order.command == (PREPARES,) else self.seconds)

    def output(self, run_id: str, beyond: int) -> Output | None:
        if run_id not in self._epochs:
            return None
        output = Output(100 * self._begun[run_id], str(self._epochs[run_id]).encode())
        return output if output.size > beyond else None

    def log_path(self, run_id: str) -> Path:
        return self.notes.file

    def note(self, run: Run, line: str) -> None:
        pass
