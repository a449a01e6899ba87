"""The changes that people ask for: claim, cancel, release."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Text, bindparam, insert

from bot.ports import Move, NewRun, Wake, WorktreeHeldError
from bot.run import Change, Run, RunStatus
from store.rows import NOW, RUN_COLUMNS, plan_json, run_of
from store.statement import Statement
from store.tables import HELD_INDEX, runs
from store.transitions import LEASE_END, NEXT_CLAIM, STATEMENTS, Verb

_INSERT = Statement(
    insert(runs)
    .values(
        epoch=1,
        claim=NEXT_CLAIM,
        worker=bindparam("by_worker", type_=Text),
        lease_expires_at=LEASE_END,
        last_activity_at=NOW,
        steps_done=0,
        attempt=0,
        created_at=NOW,
        changed_at=NOW,
        version=1,
    )
    .returning(*RUN_COLUMNS),
    columns=(
        *("id", "workflow", "conversation", "channel", "status", "host", "path"),
        *("held_host", "held_path", "repository", "base", "branch", "arguments", "plan"),
        *("requested_by", "requested_door", "requested_name"),
        *("changed_by", "changed_door", "changed_name"),
    ),
)


def _is_held(error: Exception) -> bool:
    """Whether this is the one expected violation: of the unique index over held worktrees."""
    diagnosis = getattr(error, "diag", None)
    if diagnosis is not None:
        return bool(diagnosis.constraint_name == HELD_INDEX)
    # SQLite names the columns, not the index.
    return "runs.held_host, runs.held_path" in str(error)


@contextmanager
def _undone_alone(connection: Connection) -> Iterator[None]:
    """What fails inside of this undoes only itself, as SQLite does it by itself."""
    if connection.dialect.name == "sqlite":
        yield
        return
    cursor = connection.connection.cursor()
    cursor.execute("SAVEPOINT claim")
    try:
        yield
    except connection.dialect.loaded_dbapi.IntegrityError:
        cursor.execute("ROLLBACK TO SAVEPOINT claim")
        raise
    finally:
        cursor.close()


def _wake(run: Run) -> Wake:
    return Wake(run.id, run.epoch, run.worktree.host)


class RunClaims:
    """Implements bot.ports.Claims on an open connection.

    `waiting` are the claims made in it that a worker is to be woken for, `cancelled` those
    that a worker works on in vain.
    """

    def __init__(self, connection: Connection, terms: dict[str, float]) -> None:
        self._connection = connection
        self._terms = terms
        self.waiting: list[Wake] = []
        self.cancelled: list[Wake] = []

    def _execute(self, statement: Statement, values: dict[str, Any]) -> Run | None:
        try:
            with _undone_alone(self._connection):
                row = statement.row(self._connection, {**values, **self._terms})
        except self._connection.dialect.loaded_dbapi.IntegrityError as error:
            if _is_held(error):
                raise WorktreeHeldError from error
            raise
        return run_of(row) if row else None

    def _claimed(self, run: Run | None) -> Run | None:
        if run is not None and run.waiting_for_worker:
            self.waiting.append(_wake(run))
        return run

    def _swap(self, verb: Verb, run_id: str, by: Change, **values: Any) -> Run | None:  # noqa: ANN401 - bound values
        asked = {"run_id": run_id, "actor": by.actor, "door": by.door, "actor_name": by.name}
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
                "by_worker": worker,
                "host": new.worktree.host,
                "path": new.worktree.path,
                "held_host": new.worktree.host,
                "held_path": new.worktree.path,
                "repository": new.repository,
                "base": new.base,
                "branch": new.branch,
                "arguments": json.dumps(dict(new.arguments)),
                "plan": plan_json(new.steps),
                "requested_by": by.actor,
                "requested_door": by.door,
                "requested_name": by.name,
                "changed_by": by.actor,
                "changed_door": by.door,
                "changed_name": by.name,
            },
        )
        assert inserted is not None  # noqa: S101 - an insert returns its row or raises
        self._claimed(inserted)
        return inserted

    def resume(
        self,
        run_id: str,
        by: Change,
        seen_epoch: int | None,
        worker: str | None,
        move: Move | None = None,
    ) -> Run | None:
        values = {
            "seen_epoch": seen_epoch,
            "by_worker": worker,
            "to_host": move.worktree.host if move else None,
            "to_path": move.worktree.path if move else None,
            "to_repository": move.repository if move else None,
        }
        return self._claimed(self._swap(Verb.RESUME, run_id, by, **values))

    def move(self, run: Run, to: Move, notice: str) -> Run | None:
        values = {
            "run_id": run.id,
            "my_epoch": run.epoch,
            "to_host": to.worktree.host,
            "to_path": to.worktree.path,
            "to_repository": to.repository,
            "text": notice,
        }
        return self._claimed(self._execute(STATEMENTS[Verb.MOVE], values))

    def cancel(self, run_id: str, by: Change, seen_epoch: int | None) -> Run | None:
        cancelled = self._swap(Verb.CANCEL, run_id, by, seen_epoch=seen_epoch)
        if cancelled is not None and cancelled.held:
            self.cancelled.append(_wake(cancelled))
        return cancelled

    def release(self, run_id: str, by: Change, seen_epoch: int | None) -> Run | None:
        return self._swap(Verb.RELEASE, run_id, by, seen_epoch=seen_epoch)
