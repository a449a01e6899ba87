"""What a page shows of a run, ready to be put into a template."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.card import asked_for, buttons, cancelling, progress, took
from bot.outcome import AuditEvent
from bot.ports import Transaction
from bot.run import Change, Run, RunStatus
from bot.watching import Attempt
from bot.words import ago, name_of, state, who

_WIDTH, _ROW, _BAR, _LEAST = 1000.0, 28.0, 18.0, 3.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt in the drawing: where it stands, how it ended, and what it tells."""

    x: float
    y: float
    width: float
    kind: str
    told: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Every attempt at every step, drawn to one scale."""

    width: float
    height: float
    rows: Sequence[str]
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with all that its page shows."""

    run: Run
    events: Sequence[AuditEvent]
    attempts: Sequence[Attempt]
    timeline: Timeline


def run_view(tx: Transaction, run_id: str) -> RunView:
    """What the page of a run shows, of one moment."""
    run = tx.runs.get(run_id)
    assert run is not None  # noqa: S101 - runs are never deleted
    attempts = tx.watching.attempts(run_id)
    return RunView(run, tx.audit.of(run_id), attempts, timeline(run, attempts, tx.now))


def timeline(run: Run, attempts: Sequence[Attempt], now: float) -> Timeline:
    """The steps as rows, and time from the first attempt to the last from left to right."""
    first = min((one.started_at for one in attempts), default=now)
    last = max((_end(run, one, now) for one in attempts), default=now)
    scale = _WIDTH / max(last - first, 1.0)
    bars = [
        Bar(
            x=round((one.started_at - first) * scale, 1),
            y=one.position * _ROW + (_ROW - _BAR) / 2,
            width=round(max((_end(run, one, now) - one.started_at) * scale, _LEAST), 1),
            kind=_kind(run, one),
            told=_told(run, one, now),
        )
        for one in attempts
    ]
    names = [step.name for step in run.steps]
    return Timeline(_WIDTH, _ROW * len(names), names, bars)


def _end(run: Run, attempt: Attempt, now: float) -> float:
    """When an attempt ended; one that lasts goes on until now, one that was cut off until then."""
    if attempt.ended_at is not None:
        return attempt.ended_at
    return now if _lasts(run, attempt) else max(attempt.started_at, run.last_activity_at or 0)


def _lasts(run: Run, attempt: Attempt) -> bool:
    current = (attempt.epoch, attempt.position) == (run.epoch, run.steps_done)
    return current and run.status is RunStatus.RUNNING and attempt.ended_at is None


def _kind(run: Run, attempt: Attempt) -> str:
    if _lasts(run, attempt):
        return "running"
    return "done" if attempt.exit_code == 0 else "failed"


_ENDINGS = {"running": "is running", "done": "done", "failed": "did not complete"}


def _told(run: Run, attempt: Attempt, now: float) -> str:
    seconds = max(0.0, _end(run, attempt, now) - attempt.started_at)
    ending = _ENDINGS[_kind(run, attempt)]
    code = f", exit code {attempt.exit_code}" if attempt.exit_code else ""
    return f"{attempt.name}, attempt {attempt.number}: {ending}{code}, {_duration(seconds)}"


def _duration(seconds: float) -> str:
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


# --- what templates call ---------------------------------------------------------------------


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _ago(at: float) -> str:
    return ago(at, time.time())


def _state(run: Run) -> str:
    return state(run, time.time())


def _by(event: AuditEvent) -> str:
    return who(Change(event.actor, event.door, event.at, event.name))


def _kind_of(run: Run) -> str:
    """The colour of a run's state."""
    if run.stopping or run.stale:
        return "warning"
    return str(run.status)


NAMES: Mapping[str, Any] = {
    "ago": _ago,
    "asked_for": asked_for,
    "buttons": buttons,
    "by": _by,
    "cancelling": cancelling,
    "kind_of": _kind_of,
    "moment": _moment,
    "name_of": name_of,
    "progress": progress,
    "state": _state,
    "statuses": list(RunStatus),
    "took": took,
    "who": who,
}
