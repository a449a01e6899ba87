"""The transition table: every way in which a run may change, each one guarded UPDATE.

There is no other statement in Baton that changes a run. `docs/design.md` has the same table in
words; a test holds the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    func,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from bot.run import FINAL, RunStatus
from store.rows import NOW, RUN_COLUMNS, has_status, resumable
from store.statement import Statement
from store.tables import CLAIM_NUMBERS, LEASED_SQL, STOPPING_SQL, runs


class Verb(StrEnum):
    """The transitions of an existing run (a new one is inserted: `run`)."""

    RESUME = "resume"
    CANCEL = "cancel"
    RELEASE = "release"
    MOVE = "move"
    START = "start"
    ATTEMPT = "attempt"
    STEP_DONE = "step_done"
    NOTICE = "notice"
    PAUSE = "pause"
    COMPLETE = "complete"
    FAIL = "fail"
    STOPPED = "stopped"
    UNPROVEN = "unproven"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Transition:
    """When a run may change, and what then becomes of it; `version` is raised by each one."""

    guard: ColumnElement[bool]
    writes: Mapping[str, Any]

    def statement(self) -> Statement:
        """The one statement that checks and changes, and returns the run as it is now."""
        return Statement(
            update(runs)
            .where(runs.c.id == bindparam("run_id"), self.guard)
            .values({"version": runs.c.version + 1, **self.writes})
            .returning(*RUN_COLUMNS)
        )


class NextClaim(ColumnElement[int]):
    """The number of a new claim: higher than every claim before it."""

    type = Integer()
    inherit_cache = True


_others = runs.alias("others")
_HIGHEST = select(func.coalesce(func.max(_others.c.claim), 0) + 1).scalar_subquery()


@compiles(NextClaim, "sqlite")
def _one_more(_element: NextClaim, compiler: SQLCompiler, **how: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    """One process writes at a time, so nobody else can take the same number."""
    return str(compiler.process(_HIGHEST, **how))


@compiles(NextClaim, "postgresql")
def _next_of_sequence(_element: NextClaim, _compiler: SQLCompiler, **_how: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    """Many write at a time; numbers of those that fail are left out."""
    return f"nextval('{CLAIM_NUMBERS}')"


NEXT_CLAIM = NextClaim()

LEASE_END = case(
    (bindparam("by_worker", type_=Text).is_(None), null()),
    else_=NOW + bindparam("lease_seconds", type_=runs.c.lease_expires_at.type),
)

_status = runs.c.status
_free = {"held_host": None, "held_path": None}
_by = {
    "changed_by": bindparam("actor"),
    "changed_door": bindparam("door"),
    "changed_name": bindparam("actor_name"),
    "changed_at": NOW,
}
_unheld_before_start = {
    "held_host": case((runs.c.worker.is_(None), null()), else_=runs.c.held_host),
    "held_path": case((runs.c.worker.is_(None), null()), else_=runs.c.held_path),
}
_seen = or_(
    bindparam("seen_epoch", type_=Integer).is_(None), runs.c.epoch == bindparam("seen_epoch")
)
_my_epoch = runs.c.epoch == bindparam("my_epoch")
_mine = and_(has_status(RunStatus.RUNNING), _my_epoch)
_stopping = and_(text(STOPPING_SQL), _my_epoch)


def _moved(name: str, column: ColumnElement[str]) -> ColumnElement[str]:
    """What a claim that moves brings along; else it stays as it is."""
    return func.coalesce(bindparam(name, type_=Text), column)


# Who is frozen in the middle of a start must not keep others waiting, who then start nothing else.
_free_to_start = runs.c.id.in_(
    select(_others.c.id)
    .where(_others.c.id == bindparam("run_id"))
    .with_for_update(skip_locked=True)
)
# What its steps have made so far, another host can have.
HAS_BRANCH = or_(runs.c.pushed.is_not(None), runs.c.steps_done == 0)
_moved_host = _moved("to_host", runs.c.host)
_moved_path = _moved("to_path", runs.c.path)
_heard_of = {"last_activity_at": NOW}


TRANSITIONS: Mapping[Verb, Transition] = {
    Verb.RESUME: Transition(
        and_(resumable, _seen, or_(bindparam("to_host", type_=Text).is_(None), HAS_BRANCH)),
        {
            "status": RunStatus.RUNNING,
            "epoch": runs.c.epoch + 1,
            "claim": NEXT_CLAIM,
            "worker": bindparam("by_worker", type_=Text),
            "lease_expires_at": LEASE_END,
            "lost_at": None,
            "host": _moved_host,
            "path": _moved_path,
            "repository": _moved("to_repository", runs.c.repository),
            "held_host": _moved_host,
            "held_path": _moved_path,
            # A paused run waits at its gate, and resuming it passes that gate.
            "steps_done": runs.c.steps_done + case((_status == RunStatus.PAUSED, 1), else_=0),
            "attempt": case((_status == RunStatus.PAUSED, 0), else_=runs.c.attempt),
            "error": None,
            "notice": None,
            **_by,
            **_heard_of,
        },
    ),
    Verb.CANCEL: Transition(
        and_(has_status(*sorted(set(RunStatus) - FINAL)), _seen),
        {"status": RunStatus.CANCELLED, "notice": None, **_unheld_before_start, **_by},
    ),
    Verb.RELEASE: Transition(
        and_(
            text(STOPPING_SQL),
            or_(runs.c.lease_expires_at.is_(None), runs.c.lease_expires_at < NOW),
            _seen,
        ),
        {**_free, "error": None, **_by},
    ),
    Verb.MOVE: Transition(
        and_(
            has_status(RunStatus.PENDING, RunStatus.RUNNING),
            runs.c.worker.is_(None),
            HAS_BRANCH,
            _my_epoch,
        ),
        {
            "epoch": runs.c.epoch + 1,
            "claim": NEXT_CLAIM,
            "host": bindparam("to_host"),
            "path": bindparam("to_path"),
            "repository": bindparam("to_repository"),
            "held_host": bindparam("to_host"),
            "held_path": bindparam("to_path"),
            "notice": bindparam("text"),
            **_heard_of,
        },
    ),
    Verb.START: Transition(
        and_(
            has_status(RunStatus.PENDING, RunStatus.RUNNING),
            runs.c.worker.is_(None),
            _my_epoch,
            _free_to_start,
        ),
        {
            "status": RunStatus.RUNNING,
            "worker": bindparam("by_worker", type_=Text),
            "lease_expires_at": LEASE_END,
            **_heard_of,
        },
    ),
    # What is counted is told, so that it is counted once, however often that is said.
    Verb.ATTEMPT: Transition(
        and_(_mine, runs.c.attempt == bindparam("at_attempt", type_=Integer)),
        {"attempt": runs.c.attempt + 1, **_heard_of},
    ),
    Verb.STEP_DONE: Transition(
        and_(_mine, runs.c.steps_done == bindparam("at_position", type_=Integer)),
        {
            "steps_done": runs.c.steps_done + 1,
            "attempt": 0,
            "pushed": bindparam("pushed_commit", type_=Text),
            **_heard_of,
        },
    ),
    Verb.NOTICE: Transition(_mine, {"notice": bindparam("text"), **_heard_of}),
    Verb.PAUSE: Transition(_mine, {"status": RunStatus.PAUSED, **_free, **_by, **_heard_of}),
    Verb.COMPLETE: Transition(_mine, {"status": RunStatus.COMPLETED, **_free, **_by, **_heard_of}),
    Verb.FAIL: Transition(
        _mine,
        {
            "status": RunStatus.FAILED,
            "error": bindparam("text"),
            **_free,
            **_by,
            **_heard_of,
        },
    ),
    Verb.STOPPED: Transition(_stopping, {**_free, "error": None}),
    Verb.UNPROVEN: Transition(_stopping, {"error": bindparam("text"), "lease_expires_at": None}),
    Verb.LOST: Transition(
        and_(
            text(LEASED_SQL),
            runs.c.lease_expires_at < NOW,
            runs.c.lost_at.is_(None),
            _my_epoch,
        ),
        {"lost_at": NOW},
    ),
}

STATEMENTS = {verb: transition.statement() for verb, transition in TRANSITIONS.items()}
"""Each transition's statement, built once."""
