"""What the product needs of disk and processes; each method states its promise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.hosts import Host
from bot.output import Output
from bot.run import Run, Worktree
from bot.supervision import Ending, Order


class Places(Protocol):
    """Where runs work."""

    def place(self, repository: str, branch: str) -> Worktree:
        """The worktree of a branch: the same for every run of that branch. Touches nothing."""

    def place_on(self, host: Host, repository: str, branch: str) -> Worktree:
        """The same on another host, of the repository as it is called there."""


class Supervised(Protocol):
    """A command under way in a worktree, under its supervisor."""

    def stop(self) -> None:
        """Ask for a stop: SIGTERM, grace, SIGKILL. Safe to repeat, and after the end."""

    async def ending(self) -> Ending:
        """Wait for the end; it comes only when the whole tree is gone, or not provable."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of preparing a worktree: a reason why not, or a line worth telling."""

    reason: str | None
    notice: str | None


@dataclass(frozen=True, slots=True)
class Pushed:
    """What came of pushing a branch: the commit that its remote has now, or a reason why not.

    Neither where the repository has no remote.
    """

    commit: str | None
    reason: str | None


class Workshop(Protocol):
    """Worktrees on disk and processes in them: all that a worker does outside the database."""

    def place(self, repository: str, branch: str) -> Worktree:
        """Where a branch is worked on here."""

    def preparation(self, run: Run) -> Order:
        """The order that makes or takes the run's worktree; repeatable after a crash halfway."""

    def prepared(self, run: Run) -> Prepared:
        """What the preparation that just ended said."""

    def step(self, run: Run) -> Order:
        """The order that carries out the run's current step."""

    def pushing(self, run: Run) -> Order | None:
        """The order that pushes what the run's branch has; None where there is nobody to have it.

        Like a preparation it may be repeated after a crash.
        """

    def pushed(self, run: Run) -> Pushed:
        """What came of the push that just ended."""

    def cleaning(self, run: Run) -> Order:
        """The order that stops whatever the claim of a dead worker left, and starts nothing."""

    async def supervise(self, order: Order) -> Supervised:
        """Start a supervisor on this order."""

    def output(self, run_id: str, beyond: int) -> Output | None:
        """The end of a run's output here; None where it does not go beyond this offset."""

    def log_path(self, run_id: str) -> Path:
        """The file that has the output of this run."""

    def note(self, run: Run, line: str) -> None:
        """Put a line of Baton's own into the run's log, if the disk takes it."""
