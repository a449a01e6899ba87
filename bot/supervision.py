"""What a worker orders of a supervisor, and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One command to carry out in a worktree; without a command, only what is left there to stop.

    `claim` rises with every claim over all runs, so it orders claims of different runs on one
    worktree: an older one is refused. `env` is the command's whole environment; the run's id and
    epoch are set in it in any case. `log` gets what the command writes. A stop is SIGTERM, then
    SIGKILL after `grace_seconds`; the command is stopped after `timeout_seconds`. With `closes`
    (and no command) this claim starts nothing more in the worktree, not even what was ordered
    before and comes late.
    """

    lock: Path
    run: str
    epoch: int
    claim: int
    command: Sequence[str] | None
    cwd: Path
    env: Mapping[str, str]
    log: Path
    grace_seconds: float
    timeout_seconds: float | None = None
    closes: bool = False


class EndingKind(StrEnum):
    """How an order ended."""

    EXITED = "exited"
    """The command ended or was stopped, and all that came from it is gone."""
    SUPERSEDED = "superseded"
    """A newer claim has the worktree, or this one was closed. What is there is the newer's care."""
    NOT_GONE = "not_gone"
    """Some processes could not be proven gone: the worktree is not free."""
    CLEAN = "clean"
    """Nothing is left in the worktree; nothing was started: no command, or a stop came first."""
    ERROR = "error"
    """Nothing was started; the reason says why."""
    LOST = "lost"
    """The supervisor died and could not say how the command ended; all of it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an order ended.

    `exit_code` is that of the command, or the negative number of the signal that ended it; None
    if it did not end or was not started. `stopped`: a stop was asked for (the command may have
    ended by itself all the same). `log_error` says why part of the output is not in the log.
    `reason` is a sentence for people, without paths. `survivors` are pids.
    """

    kind: EndingKind
    exit_code: int | None = None
    stopped: bool = False
    timed_out: bool = False
    log_error: str | None = None
    reason: str | None = None
    survivors: tuple[int, ...] = ()
