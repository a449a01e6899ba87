"""What came of a command: one word that scripts rely on, one reply that people read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bot.run import Change, Run


class Word(StrEnum):
    """The outcome in one word: the same in `--json`, in the API and in the audit."""

    STARTED = "started"
    RESUMED = "resumed"
    CANCELLED = "cancelled"
    RELEASED = "released"
    SHOWN = "shown"
    ALREADY_CANCELLED = "already_cancelled"
    ALREADY_FINISHED = "already_finished"
    ALREADY_RUNNING = "already_running"
    NOT_RESUMABLE = "not_resumable"
    WORKTREE_BUSY = "worktree_busy"
    BUSY = "busy"
    ERROR = "error"
    INVALID = "invalid"
    NOT_FOUND = "not_found"
    NOTHING_HERE = "nothing_here"
    AMBIGUOUS = "ambiguous"
    DENIED = "denied"


EXIT_CODES: Mapping[Word, int] = {
    Word.STARTED: 0,
    Word.RESUMED: 0,
    Word.CANCELLED: 0,
    Word.RELEASED: 0,
    Word.SHOWN: 0,
    Word.ALREADY_CANCELLED: 0,
    Word.ALREADY_FINISHED: 0,
    Word.ALREADY_RUNNING: 1,
    Word.NOT_RESUMABLE: 1,
    Word.WORKTREE_BUSY: 1,
    Word.BUSY: 1,
    Word.ERROR: 1,
    Word.INVALID: 2,
    Word.NOT_FOUND: 3,
    Word.NOTHING_HERE: 3,
    Word.AMBIGUOUS: 3,
    Word.DENIED: 4,
}
"""The exit code of the command line for each outcome."""

HTTP_STATUSES: Mapping[Word, int] = {
    **dict.fromkeys((word for word, code in EXIT_CODES.items() if code == 0), 200),
    Word.ALREADY_RUNNING: 409,
    Word.NOT_RESUMABLE: 409,
    Word.WORKTREE_BUSY: 409,
    Word.BUSY: 429,
    Word.ERROR: 500,
    Word.INVALID: 422,
    Word.NOT_FOUND: 404,
    Word.NOTHING_HERE: 404,
    Word.AMBIGUOUS: 300,
    Word.DENIED: 403,
}
"""The status of the API and the web page for each outcome."""

UNSTORED = frozenset({Word.BUSY, Word.ERROR})
"""Outcomes after which a repeated delivery is tried afresh instead of answered from the store."""


PUBLIC = frozenset({Word.RESUMED, Word.CANCELLED, Word.RELEASED})
"""Outcomes that everybody in the run's thread sees; a started run is seen by its card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One attempt at something, as `history` tells it. Times are unix seconds, UTC.

    `name` is what the platform called the actor then.
    """

    at: float
    actor: str
    door: str
    verb: str
    outcome: str
    run: str | None = None
    conversation: str | None = None
    from_status: str | None = None
    to_status: str | None = None
    epoch: int | None = None
    detail: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command came to.

    `by` is whoever made the change that counts: the caller where the command won, the winner
    where it lost. `candidates` are the runs to choose from, or the runs that were listed.
    `changed_from` is the run's status before the command, where the command changed it;
    `detail` goes into the audit and is never shown in chat.
    """

    word: Word
    reply: str
    run: Run | None = None
    by: Change | None = None
    candidates: tuple[Run, ...] = ()
    events: tuple[AuditEvent, ...] = ()
    changed_from: str | None = None
    detail: str | None = None


def moment(at: float) -> str:
    """Unix seconds as ISO 8601 in UTC with milliseconds: 2026-01-31T09:30:00.250Z."""
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")


def run_json(run: Run) -> dict[str, Any]:
    """The RUN object of the contract."""
    return {
        "id": run.id,
        "workflow": run.workflow,
        "status": str(run.status),
        "stopping": run.stopping,
        "stale": run.stale,
        "epoch": run.epoch,
        "conversation": run.conversation,
        "branch": run.branch,
        "worktree": run.worktree.path,
        "step": run.step.name if run.step else None,
        "steps_done": run.steps_done,
        "steps_total": len(run.steps),
        "attempt": run.attempt,
        "error": run.error,
    }


def event_json(event: AuditEvent) -> dict[str, Any]:
    """The event object of `history`."""
    return {
        "at": moment(event.at),
        "actor": event.actor,
        "door": event.door,
        "verb": event.verb,
        "outcome": event.outcome,
        "from": event.from_status,
        "to": event.to_status,
        "epoch": event.epoch,
    }


def _by_json(by: Change | None) -> dict[str, str] | None:
    return {"actor": by.actor, "door": by.door, "at": moment(by.at)} if by else None


def runs_json(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A list of RUN objects."""
    return [run_json(run) for run in runs]


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome object of the contract."""
    return {
        "outcome": str(outcome.word),
        "reply": outcome.reply,
        "run": run_json(outcome.run) if outcome.run else None,
        "by": _by_json(outcome.by),
        "candidates": runs_json(outcome.candidates),
    }


@dataclass(frozen=True, slots=True)
class Answer:
    """What a door gets back: fresh, or the stored one when a delivery is repeated.

    `body` is the contract's JSON object (`events` beside it for a history), so that a repeated
    delivery is answered with the very same object. `card` is the platform's id of the run's card,
    where everybody is to see a fresh answer and the card was posted already.
    """

    word: Word
    reply: str
    body: Mapping[str, Any]
    card: str | None = field(default=None, compare=False)

    @property
    def run_id(self) -> str | None:
        """The id of the run that the answer is about."""
        run = self.body["run"]
        return run["id"] if run else None


def answer_of(outcome: Outcome, card: str | None = None) -> Answer:
    """The answer that tells this outcome."""
    body = outcome_json(outcome)
    if outcome.events:
        body["events"] = [event_json(event) for event in outcome.events]
    return Answer(outcome.word, outcome.reply, body, card)


def answer_again(body: Mapping[str, Any]) -> Answer:
    """The answer that was stored with a delivery."""
    return Answer(Word(body["outcome"]), body["reply"], body)
