"""The changes that a worker makes, each fenced by the epoch of its claim."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    case,
    delete,
    insert,
    select,
    text,
    update,
)

from bot.conversation import Door
from bot.ports import Held, LivingWorker, Survey
from bot.run import Run, RunStatus
from store.rows import LAST_HEARD_OF, NOW, RUN_COLUMNS, has_status, run_of
from store.statement import Statement
from store.tables import LEASED_SQL, STOPPING_SQL, WAITING_SQL, runs, steps, workers
from store.transitions import HAS_BRANCH, STATEMENTS, Verb

_LEASE_SECONDS = bindparam("lease_seconds", type_=runs.c.lease_expires_at.type)
_HOST = runs.c.host == bindparam("at_host")
_EXPIRED = runs.c.lease_expires_at < NOW

_MOST_STRANDED = 100

_MINE = Statement(
    select(runs.c.id, runs.c.epoch, runs.c.status).where(
        runs.c.worker == bindparam("worker"), runs.c.held_path.is_not(None)
    )
)
_STARTABLE = Statement(
    select(*RUN_COLUMNS)
    .where(text(WAITING_SQL), _HOST)
    .order_by(runs.c.claim)
    .limit(bindparam("free"))
)
_STRANDED = Statement(
    select(*RUN_COLUMNS)
    .where(
        text(WAITING_SQL),
        ~_HOST,
        HAS_BRANCH,
        NOW - bindparam("presence_seconds", type_=runs.c.changed_at.type) > LAST_HEARD_OF,
        ~select(workers.c.name)
        .where(
            workers.c.host == runs.c.host,
            workers.c.lease_expires_at > NOW,
            workers.c.slots > 0,
        )
        .exists(),
    )
    .order_by(runs.c.claim)
    .limit(_MOST_STRANDED)
)
_ABANDONED = Statement(select(*RUN_COLUMNS).where(text(STOPPING_SQL), _HOST, _EXPIRED))
_SILENT = select(*RUN_COLUMNS).where(text(LEASED_SQL), _EXPIRED, runs.c.lost_at.is_(None))
_LEASES = Statement(_SILENT)
_TOLD_OF = select(*RUN_COLUMNS).where(
    text(LEASED_SQL), _EXPIRED, runs.c.lost_at.is_not(None), _HOST
)
_TOLD = Statement(_TOLD_OF)
_TOLD_FREE = Statement(_TOLD_OF.with_for_update(skip_locked=True))
_LEASES_FREE = Statement(_SILENT.with_for_update(skip_locked=True))
_BEAT = Statement(
    update(runs)
    .where(
        runs.c.id == bindparam("run_id"),
        runs.c.epoch == bindparam("my_epoch"),
        runs.c.worker == bindparam("name"),
        has_status(RunStatus.RUNNING),
    )
    .values(
        lease_expires_at=NOW + _LEASE_SECONDS,
        last_activity_at=NOW,
        version=runs.c.version + case((runs.c.lost_at.is_not(None), 1), else_=0),
        lost_at=None,
    )
)
_WORKER_BEAT = Statement(
    text(
        "INSERT INTO workers (name, host, pid, slots, lease_expires_at)"
        " VALUES (:name, :host, :pid, :slots, :now + :presence_seconds)"
        " ON CONFLICT (name) DO UPDATE SET host = excluded.host, slots = excluded.slots,"
        " lease_expires_at = excluded.lease_expires_at"
    )
)
_FORGET_WORKERS = Statement(delete(workers).where(workers.c.lease_expires_at < NOW - 86400.0))
_DEPART = Statement(delete(workers).where(workers.c.name == bindparam("name")))
_ATTEMPT_BEGAN = Statement(
    insert(steps),
    columns=("run_id", "position", "attempt", "name", "epoch", "started_at"),
)
_ATTEMPT_ENDED = Statement(
    update(steps)
    .where(
        steps.c.run_id == bindparam("of_run"),
        steps.c.position == bindparam("at_position"),
        steps.c.attempt == bindparam("at_attempt"),
        # What fails before its first step leaves the attempt of an earlier claim as it was.
        steps.c.epoch == bindparam("at_epoch"),
        steps.c.ended_at.is_(None),
    )
    .values(ended_at=NOW, exit_code=bindparam("code"))
)


class RunWork:
    """Implements bot.ports.Work on an open connection."""

    def __init__(self, connection: Connection, terms: dict[str, float]) -> None:
        self._connection = connection
        self._terms = terms

    def _swap(self, verb: Verb, run_id: str, epoch: int, **values: Any) -> Run | None:  # noqa: ANN401 - bound values
        asked = {"run_id": run_id, "my_epoch": epoch, **values, **self._terms}
        row = STATEMENTS[verb].row(self._connection, asked)
        return run_of(row) if row else None

    def _runs(self, statement: Statement, **values: object) -> list[Run]:
        rows = statement.rows(self._connection, {**values, **self._terms})
        return [run_of(row) for row in rows]

    def survey(self, worker: str, host: str, free: int) -> Survey:
        mine = _MINE.rows(self._connection, {"worker": worker})
        return Survey(
            mine=[Held(run_id, epoch, RunStatus(status)) for run_id, epoch, status in mine],
            startable=self._runs(_STARTABLE, at_host=host, free=free) if free else [],
            stranded=self._runs(_STRANDED, at_host=host) if free else [],
            abandoned=self._runs(_ABANDONED, at_host=host),
            expired=self._runs(_LEASES),
            told=self._runs(_TOLD, at_host=host),
        )

    def expired(self) -> list[Run]:
        return self._runs(_LEASES_FREE)

    def told(self, host: str) -> list[Run]:
        return self._runs(_TOLD_FREE, at_host=host)

    def start(self, run_id: str, epoch: int, worker: str) -> Run | None:
        return self._swap(Verb.START, run_id, epoch, by_worker=worker)

    def beat(self, worker: LivingWorker, epochs: Mapping[str, int]) -> set[str]:
        row = {
            "name": worker.name,
            "host": worker.host,
            "pid": worker.pid,
            "slots": worker.slots,
        }
        _WORKER_BEAT.run(self._connection, row | self._terms)
        _FORGET_WORKERS.run(self._connection, self._terms)
        return {run for run, epoch in epochs.items() if self._beat(worker.name, run, epoch)}

    def _beat(self, worker: str, run_id: str, epoch: int) -> bool:
        claim = {"name": worker, "run_id": run_id, "my_epoch": epoch}
        return _BEAT.run(self._connection, claim | self._terms) == 1

    def depart(self, worker: str) -> None:
        _DEPART.run(self._connection, {"name": worker})

    def attempt(self, run: Run) -> Run | None:
        begun = self._swap(Verb.ATTEMPT, run.id, run.epoch, at_attempt=run.attempt)
        if begun is not None and begun.step is not None:
            _ATTEMPT_BEGAN.run(
                self._connection,
                {
                    "run_id": run.id,
                    "position": begun.steps_done,
                    "attempt": begun.attempt,
                    "name": begun.step.name,
                    "epoch": begun.epoch,
                    "started_at": self._terms["now"],
                },
            )
        return begun

    def _attempt_ended(self, run: Run, exit_code: int | None) -> None:
        values = {
            "of_run": run.id,
            "at_position": run.steps_done,
            "at_attempt": run.attempt,
            "at_epoch": run.epoch,
            "code": exit_code,
        }
        _ATTEMPT_ENDED.run(self._connection, values | self._terms)

    def step_done(self, run: Run, exit_code: int, pushed: str | None = None) -> Run | None:
        values = {"pushed_commit": pushed, "at_position": run.steps_done}
        done = self._swap(Verb.STEP_DONE, run.id, run.epoch, **values)
        if done is not None:
            self._attempt_ended(run, exit_code)
        return done

    def notice(self, run: Run, text: str) -> Run | None:
        return self._swap(Verb.NOTICE, run.id, run.epoch, text=text)

    def _settle(self, verb: Verb, run: Run, **values: object) -> Run | None:
        by = {"actor": f"worker:{run.worker}", "door": Door.WORKER, "actor_name": None}
        return self._swap(verb, run.id, run.epoch, **by, **values)

    def pause(self, run: Run) -> Run | None:
        return self._settle(Verb.PAUSE, run)

    def complete(self, run: Run) -> Run | None:
        return self._settle(Verb.COMPLETE, run)

    def fail(self, run: Run, error: str, exit_code: int | None) -> Run | None:
        failed = self._settle(Verb.FAIL, run, text=error)
        if failed is not None:
            self._attempt_ended(run, exit_code)
        return failed

    def stopped(self, run_id: str, epoch: int) -> Run | None:
        return self._swap(Verb.STOPPED, run_id, epoch)

    def unproven(self, run_id: str, epoch: int, error: str) -> Run | None:
        return self._swap(Verb.UNPROVEN, run_id, epoch, text=error)

    def lost(self, run: Run) -> Run | None:
        return self._swap(Verb.LOST, run.id, run.epoch)
