"""What a page shows of a run, ready to be put into a template."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.web.timeline import Timeline, timeline
from bot.card import asked_for, buttons, cancelling, settled, took
from bot.history import told
from bot.outcome import AuditEvent
from bot.ports import Transaction
from bot.run import Run, RunStatus
from bot.words import ago, name_of, state, who

MOST_EVENTS = 100


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with all that its page shows; of its events the newest ones."""

    run: Run
    events: Sequence[AuditEvent]
    timeline: Timeline


def run_view(tx: Transaction, run_id: str) -> RunView:
    """What the page of a run shows, of one moment."""
    run = tx.runs.get(run_id)
    assert run is not None  # noqa: S101 - runs are never deleted
    attempts = tx.watching.attempts(run_id)
    moves = tx.watching.transitions(run_id)
    events = tx.watching.latest(run_id, MOST_EVENTS)
    return RunView(run, events, timeline(run, attempts, moves, tx.now))


# --- what templates call ---------------------------------------------------------------------


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _ago(at: float) -> str:
    return ago(at, time.time())


def _state(run: Run) -> str:
    return state(run, time.time())


def _kind_of(run: Run) -> str:
    """The colour of a run's state."""
    if run.stopping or run.stale:
        return "warning"
    return str(run.status)


NAMES: Mapping[str, Any] = {
    "ago": _ago,
    "asked_for": asked_for,
    "buttons": buttons,
    "cancelling": cancelling,
    "kind_of": _kind_of,
    "moment": _moment,
    "most_events": MOST_EVENTS,
    "name_of": name_of,
    "settled": settled,
    "state": _state,
    "statuses": list(RunStatus),
    "told": told,
    "took": took,
    "who": who,
}
