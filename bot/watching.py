"""What a page shows beside the runs themselves: pages of runs, attempts, and what has changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.outcome import AuditEvent
from bot.run import Run, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs are to be listed; None: all."""

    status: RunStatus | None = None
    workflow: str | None = None
    conversation: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some runs, newest first; `following` continues behind them, None where they are the last."""

    runs: Sequence[Run]
    following: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a step; times are unix seconds, UTC. `ended_at` is None while it lasts."""

    position: int
    number: int
    name: str
    epoch: int
    started_at: float
    ended_at: float | None
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class History:
    """Some events of a run, oldest first; `following` continues behind them, None at the end."""

    events: Sequence[AuditEvent]
    following: int | None


class Watching(Protocol):
    """Looks for pages; none of them changes anything."""

    def page(self, wanted: Wanted, limit: int, after: str | None) -> Page:
        """At most so many runs, behind those that `after` continues.

        Raises ValueError where that was never given out.
        """

    def attempts(self, run_id: str) -> Sequence[Attempt]:
        """Every attempt at every step of a run, in the order in which they began."""

    def history(self, run_id: str, limit: int, after: int) -> History:
        """At most so many events, behind those that `after` continues; 0 from the beginning."""

    def latest(self, run_id: str, limit: int) -> Sequence[AuditEvent]:
        """The newest events of a run, oldest first."""

    def transitions(self, run_id: str) -> Sequence[AuditEvent]:
        """The events that changed a run, oldest first."""

    def last_event(self) -> int:
        """The number of the newest audit event; 0 where there is none."""

    def events_since(self, event: int) -> Sequence[tuple[int, str | None]]:
        """The audit events after this one: their numbers, and the runs they are about."""

    def live(self) -> Mapping[str, int]:
        """The runs that may change without anybody asking for it, and their versions."""

    def stale_leases(self) -> int:
        """How many runs have a worker that has not been heard of within its lease."""

    def counts(self) -> Mapping[str, int]:
        """How many runs there are in each status."""
