"""From rows to values, and the expressions that every statement about runs shares."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
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
LAST_HEARD_OF = func.coalesce(runs.c.last_activity_at, 0.0)
"""When a run was last active; long ago where it never was."""

stale: ColumnElement[bool] = and_(
    has_status(RunStatus.RUNNING),
    or_(
        and_(~_NO_WORKER, runs.c.lease_expires_at < NOW),
        and_(_NO_WORKER, LAST_HEARD_OF < NOW - ORPHAN_SECONDS),
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
    runs.c.requested_name,
    runs.c.created_at,
    runs.c.changed_by,
    runs.c.changed_door,
    runs.c.changed_name,
    runs.c.changed_at,
    runs.c.version,
    runs.c.pushed,
    stale.label("stale"),
    resumable.label("resumable"),
)


_STATUSES = {str(status): status for status in RunStatus}


def plan_json(steps: Sequence[Step]) -> str:
    """The steps of a run as they are stored with it."""
    return json.dumps([[s.name, s.command, s.gate, s.timeout_seconds] for s in steps])


@lru_cache(maxsize=1024)
def _steps(plan: str) -> tuple[Step, ...]:
    return tuple(
        Step(name=name, command=command, gate=gate, timeout_seconds=timeout)
        for name, command, gate, timeout in json.loads(plan)
    )


@lru_cache(maxsize=1024)
def _arguments(stored: str) -> Mapping[str, str]:
    """Shared by the runs that have the same ones, so nobody may change it."""
    return MappingProxyType(json.loads(stored))


def run_of(row: Any) -> Run:  # noqa: ANN401 - a row of whatever statement
    """The run that a row of RUN_COLUMNS tells of."""
    # Unpacked by place: looking up each column by name would take half of the time.
    run_id, workflow, conversation, status, epoch, claim, worker = row[:7]
    lease_expires_at, last_activity_at, host, path, held_path = row[7:12]
    repository, base, branch, arguments, plan, steps_done, attempt, error, notice = row[12:21]
    requested_by, requested_door, requested_name, created_at = row[21:25]
    changed_by, changed_door, changed_name, changed_at = row[25:29]
    version, pushed, stale_now, resumable_now = row[29:33]
    return Run(
        id=run_id,
        workflow=workflow,
        conversation=conversation,
        status=_STATUSES[status],
        epoch=epoch,
        claim=claim,
        worker=worker,
        lease_expires_at=lease_expires_at,
        last_activity_at=last_activity_at,
        worktree=Worktree(host, path),
        held=held_path is not None,
        repository=repository,
        base=base,
        branch=branch,
        arguments=_arguments(arguments),
        steps=_steps(plan),
        steps_done=steps_done,
        attempt=attempt,
        error=error,
        notice=notice,
        requested=Change(requested_by, requested_door, created_at, requested_name),
        changed=Change(changed_by, changed_door, changed_at, changed_name),
        version=version,
        pushed=pushed,
        stale=bool(stale_now),
        resumable=bool(resumable_now),
    )
