"""From rows to values, and the expressions that every statement about runs shares."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, TextClause, and_, bindparam, func, or_, text

from bot.run import Change, Run, RunStatus, Step, Worktree
from store.tables import runs

NOW = bindparam("now", type_=runs.c.changed_at.type)
ORPHAN_SECONDS = bindparam("orphan_seconds", type_=runs.c.changed_at.type)


def has_status(*statuses: RunStatus) -> TextClause:
    """The status is one of these; literal in the SQL, so that indexes can serve it."""
    listed = ", ".join(f"'{status}'" for status in statuses)
    return text(f"runs.status IN ({listed})")


# SQLite 3.40 answers IS [NOT] NULL in a RETURNING clause wrongly (it consults another column's
# NOT NULL constraint), so these expressions do without.
_NO_WORKER = func.coalesce(runs.c.worker, "") == ""
_LAST_HEARD_OF = func.coalesce(runs.c.last_activity_at, 0.0)

stale: ColumnElement[bool] = and_(
    has_status(RunStatus.RUNNING),
    or_(
        and_(~_NO_WORKER, runs.c.lease_expires_at < NOW),
        and_(_NO_WORKER, _LAST_HEARD_OF < NOW - ORPHAN_SECONDS),
    ),
)
"""Running by its status, but nobody has been heard of for too long."""

resumable: ColumnElement[bool] = or_(has_status(RunStatus.FAILED, RunStatus.PAUSED), stale)
"""What a resume takes: the one expression for look-up, list, autocomplete and swap."""

RUN_COLUMNS = (
    runs.c.id,
    runs.c.workflow,
    runs.c.conversation,
    runs.c.status,
    runs.c.epoch,
    runs.c.claim,
    runs.c.worker,
    runs.c.lease_expires_at,
    runs.c.last_activity_at,
    runs.c.host,
    runs.c.path,
    runs.c.held_path,
    runs.c.repository,
    runs.c.base,
    runs.c.branch,
    runs.c.arguments,
    runs.c.plan,
    runs.c.steps_done,
    runs.c.attempt,
    runs.c.error,
    runs.c.notice,
    runs.c.requested_by,
    runs.c.requested_door,
    runs.c.created_at,
    runs.c.changed_by,
    runs.c.changed_door,
    runs.c.changed_at,
    runs.c.version,
    stale.label("stale"),
    resumable.label("resumable"),
)


def plan_json(steps: Sequence[Step]) -> str:
    """The steps of a run as they are stored with it."""
    return json.dumps([[s.name, s.command, s.gate, s.timeout_seconds] for s in steps])


@lru_cache(maxsize=1024)
def _steps(plan: str) -> tuple[Step, ...]:
    return tuple(
        Step(name=name, command=command, gate=gate, timeout_seconds=timeout)
        for name, command, gate, timeout in json.loads(plan)
    )


def run_of(row: Any) -> Run:  # noqa: ANN401 - a row of whatever statement
    """The run that a row of RUN_COLUMNS tells of."""
    return Run(
        id=row.id,
        workflow=row.workflow,
        conversation=row.conversation,
        status=RunStatus(row.status),
        epoch=row.epoch,
        claim=row.claim,
        worker=row.worker,
        lease_expires_at=row.lease_expires_at,
        last_activity_at=row.last_activity_at,
        worktree=Worktree(row.host, row.path),
        held=row.held_path is not None,
        repository=row.repository,
        base=row.base,
        branch=row.branch,
        arguments=json.loads(row.arguments),
        steps=_steps(row.plan),
        steps_done=row.steps_done,
        attempt=row.attempt,
        error=row.error,
        notice=row.notice,
        requested=Change(row.requested_by, row.requested_door, row.created_at),
        changed=Change(row.changed_by, row.changed_door, row.changed_at),
        version=row.version,
        stale=bool(row.stale),
        resumable=bool(row.resumable),
    )
