"""The changes that people ask for: claim, cancel, release."""

import json
from typing import Any

from sqlalchemy import Connection, bindparam, insert
from sqlalchemy.exc import IntegrityError

from bot.ports import NewRun, WorktreeHeldError
from bot.run import Change, Run, RunStatus
from store.rows import NOW, RUN_COLUMNS, plan_json, run_of
from store.tables import runs
from store.transitions import LEASE_END, NEXT_CLAIM, STATEMENTS, Verb

_INSERT = (
    insert(runs)
    .values(
        status=bindparam("status"),
        epoch=1,
        claim=NEXT_CLAIM,
        worker=bindparam("worker"),
        lease_expires_at=LEASE_END,
        last_activity_at=NOW,
        host=bindparam("host"),
        path=bindparam("path"),
        held_host=bindparam("host"),
        held_path=bindparam("path"),
        steps_done=0,
        attempt=0,
        created_at=NOW,
        changed_at=NOW,
        version=1,
        **{
            name: bindparam(name)
            for name in (
                "id", "workflow", "conversation", "channel", "repository", "base", "branch",
                "arguments", "plan", "requested_by", "requested_door", "changed_by",
                "changed_door",
            )
        },
    )
    .returning(*RUN_COLUMNS)
)  # fmt: skip


def _raise_if_held(error: IntegrityError) -> None:
    """Tell the one expected violation apart: the unique index over held worktrees."""
    if "runs.held_host, runs.held_path" in str(error.orig):
        raise WorktreeHeldError from error


class RunClaims:
    """Implements bot.ports.Claims on an open connection."""

    def __init__(self, connection: Connection, terms: dict[str, float]) -> None:
        self._connection = connection
        self._terms = terms

    def _execute(self, statement: Any, values: dict[str, Any]) -> Run | None:  # noqa: ANN401 - insert or update
        try:
            row = self._connection.execute(statement, {**values, **self._terms}).first()
        except IntegrityError as error:
            _raise_if_held(error)
            raise
        return run_of(row) if row else None

    def _swap(self, verb: Verb, run_id: str, by: Change, **values: Any) -> Run | None:  # noqa: ANN401 - bound values
        asked = {"run_id": run_id, "actor": by.actor, "door": by.door}
        return self._execute(STATEMENTS[verb], asked | values)

    def insert(self, new: NewRun, by: Change, worker: str | None) -> Run:
        inserted = self._execute(
            _INSERT,
            {
                "id": new.id,
                "workflow": new.workflow,
                "conversation": new.conversation.key,
                "channel": new.conversation.channel,
                "status": RunStatus.RUNNING if worker else RunStatus.PENDING,
                "worker": worker,
                "host": new.worktree.host,
                "path": new.worktree.path,
                "repository": new.repository,
                "base": new.base,
                "branch": new.branch,
                "arguments": json.dumps(dict(new.arguments)),
                "plan": plan_json(new.steps),
                "requested_by": by.actor,
                "requested_door": by.door,
                "changed_by": by.actor,
                "changed_door": by.door,
            },
        )
        assert inserted is not None  # noqa: S101 - an insert returns its row or raises
        return inserted

    def resume(
        self, run_id: str, by: Change, seen_epoch: int | None, worker: str | None
    ) -> Run | None:
        return self._swap(Verb.RESUME, run_id, by, seen_epoch=seen_epoch, worker=worker)

    def cancel(self, run_id: str, by: Change, seen_epoch: int | None) -> Run | None:
        return self._swap(Verb.CANCEL, run_id, by, seen_epoch=seen_epoch)

    def release(self, run_id: str, by: Change, seen_epoch: int | None) -> Run | None:
        return self._swap(Verb.RELEASE, run_id, by, seen_epoch=seen_epoch)
