"""A run and the values it is made of. The bottom layer: imports nothing of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class RunStatus(StrEnum):
    """Where a run stands. `completed` and `cancelled` are final; `failed` is not."""

    PENDING = "pending"
    """Claimed; its first start is not yet made."""
    RUNNING = "running"
    """Claimed; a worker works on it or is about to."""
    PAUSED = "paused"
    """Waits at a gate for a person."""
    FAILED = "failed"
    """Stopped without a result; can be resumed and cancelled."""
    COMPLETED = "completed"
    """Every step is done."""
    CANCELLED = "cancelled"
    """Somebody asked it to stop for good."""


FINAL = frozenset({RunStatus.COMPLETED, RunStatus.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One named step of a workflow: a shell command, or a gate that asks a person."""

    name: str
    command: str | None = None
    gate: str | None = None
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Worktree:
    """A git worktree, known by the host it is on and its canonical path there."""

    host: str
    path: str


@dataclass(frozen=True, slots=True)
class Change:
    """Who made a change that counts, through which door, and when (unix seconds, UTC).

    `name` is what the platform called the person then; None where it told none.
    """

    actor: str
    door: str
    at: float
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a workflow, as the database last committed it.

    `pushed` is the commit of its branch that other hosts can have, with every step that is done.
    `stale` and `resumable` were computed by the database's clock in the statement that read
    the run; they are for words and lists, never for a decision that a swap has to make.
    """

    id: str
    workflow: str
    conversation: str
    status: RunStatus
    epoch: int
    claim: int
    worker: str | None
    lease_expires_at: float | None
    last_activity_at: float | None
    worktree: Worktree
    held: bool
    repository: str
    base: str
    branch: str
    arguments: Mapping[str, str]
    steps: tuple[Step, ...]
    steps_done: int
    attempt: int
    error: str | None
    notice: str | None
    requested: Change
    changed: Change
    version: int
    pushed: str | None
    stale: bool
    resumable: bool

    @property
    def stopping(self) -> bool:
        """Cancelled, but its processes are not yet proven gone, so it keeps its worktree."""
        return self.status is RunStatus.CANCELLED and self.held

    @property
    def final(self) -> bool:
        """Nothing can change this run any more (a release of its worktree aside)."""
        return self.status in FINAL

    @property
    def waiting_for_worker(self) -> bool:
        """Claimed, and no worker has started it yet."""
        return self.status in {RunStatus.PENDING, RunStatus.RUNNING} and self.worker is None

    @property
    def movable(self) -> bool:
        """Whether another host can go on with it, its branch being all that moves."""
        return self.pushed is not None or self.steps_done == 0

    @property
    def step(self) -> Step | None:
        """The step that is under way or comes next; None when every step is done."""
        return self.steps[self.steps_done] if self.steps_done < len(self.steps) else None
