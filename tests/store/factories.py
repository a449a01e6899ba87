"""Runs in every state that a run can be in, put into the database as rows.

`put` refuses a run that could not exist, so that no test passes on a state nobody ever sees.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from adapters.worktrees import Worktrees
from bot.access import Policy, Role
from bot.commands import USAGES, House
from bot.conduct import Conductor
from bot.conversation import Author, Conversation, Door, Message
from bot.ports import LivingWorker, NewRun, Transaction
from bot.run import Run, RunStatus, Step, Worktree
from store.database import Database
from store.rows import plan_json
from store.tables import CLAIM_NUMBERS, runs
from store.transaction import Terms

LEASE_SECONDS = 60.0
ORPHAN_SECONDS = 3 * 86400.0
TERMS = Terms(
    lease_seconds=LEASE_SECONDS, presence_seconds=LEASE_SECONDS, orphan_seconds=ORPHAN_SECONDS
)
BEGAN = 1_700_000_000.0
HOST = "here"
WORKER = "here:1:a"
CONVERSATION = Conversation("slack:T1:C1")
STEPS = (
    Step(name="build", command="make build"),
    Step(name="ship?", gate="Ship it?"),
    Step(name="ship", command="make ship"),
)

_numbers = count(1)


@dataclass
class Clock:
    """A clock that goes only when it is told to."""

    now: float = BEGAN

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class State:
    """One state of a run: the columns that tell it from the others, by the time it is now."""

    status: RunStatus
    columns: Callable[[float], Mapping[str, Any]] = field(default=lambda _now: {})


def _working(now: float) -> dict[str, Any]:
    return {"worker": WORKER, "lease_expires_at": now + LEASE_SECONDS}


def _silent(now: float) -> dict[str, Any]:
    return {"worker": WORKER, "lease_expires_at": now - 1, "last_activity_at": now - 61}


def _settled(now: float) -> dict[str, Any]:
    return {**_working(now), "held": False}


STATES: Mapping[str, State] = {
    "pending": State(RunStatus.PENDING, lambda _now: {"epoch": 1, "steps_done": 0, "attempt": 0}),
    "claimed": State(RunStatus.RUNNING),
    "claimed long ago": State(
        RunStatus.RUNNING, lambda now: {"last_activity_at": now - ORPHAN_SECONDS - 1}
    ),
    "claimed, never active": State(RunStatus.RUNNING, lambda _now: {"last_activity_at": None}),
    "working": State(RunStatus.RUNNING, _working),
    "silent": State(RunStatus.RUNNING, _silent),
    "silent, told": State(RunStatus.RUNNING, lambda now: {**_silent(now), "lost_at": now}),
    "paused": State(RunStatus.PAUSED, _settled),
    "failed": State(RunStatus.FAILED, lambda now: {**_settled(now), "error": "exit code 1"}),
    "completed": State(
        RunStatus.COMPLETED, lambda now: {**_settled(now), "steps_done": 3, "attempt": 0}
    ),
    "cancelled": State(RunStatus.CANCELLED, lambda _now: {"held": False}),
    "stopping": State(RunStatus.CANCELLED, _working),
    "abandoned": State(RunStatus.CANCELLED, _silent),
    "unproven": State(
        RunStatus.CANCELLED,
        lambda _now: {"worker": WORKER, "lease_expires_at": None, "error": "not provably gone"},
    ),
}


def impossible(row: Mapping[str, Any]) -> str | None:
    """Why there can be no such run; None where there can."""
    status, worker, lease = row["status"], row["worker"], row["lease_expires_at"]
    held = row["held_path"] is not None
    rules = {
        "half a hold": (row["held_host"] is None) == (row["held_path"] is None),
        "a hold of another worktree": not held or row["held_path"] == row["path"],
        "claimed and not held": status not in {"pending", "running"} or held,
        "settled and held": status not in {"paused", "failed", "completed"} or not held,
        "held for nobody": status != "cancelled" or not held or worker is not None,
        "a lease without a worker": lease is None or worker is not None,
        "at work without a lease": status != "running" or worker is None or lease is not None,
        "pending and started": status != "pending" or worker is None,
        "failed without a reason": status != "failed" or bool(row["error"]),
        "paused beyond its gates": status != "paused" or row["steps_done"] < len(STEPS),
        "lost while not at work": row["lost_at"] is None or worker is not None,
        "numbers": row["epoch"] >= 1 and row["claim"] >= 1 and row["version"] >= 1,
    }
    return next((why for why, holds in rules.items() if not holds), None)


def now_of(database: Database) -> float:
    """What the database's clock says."""
    return database.read(lambda tx: tx.now)


def put(database: Database, state: str, **columns: Any) -> str:
    """Put a run in this state into the database; returns its id."""
    now, number = now_of(database), next(_numbers)
    row: dict[str, Any] = {
        "id": f"r{number:07d}",
        "workflow": "deploy",
        "conversation": CONVERSATION.key,
        "channel": CONVERSATION.channel,
        "status": str(STATES[state].status),
        "epoch": 2,
        "claim": number,
        "worker": None,
        "lease_expires_at": None,
        "last_activity_at": now,
        "lost_at": None,
        "host": HOST,
        "path": f"/worktrees/{number}",
        "held": True,
        "repository": "/repository",
        "base": "main",
        "branch": f"b{number}",
        "arguments": json.dumps({}),
        "plan": plan_json(STEPS),
        "steps_done": 1,
        "attempt": 1,
        "error": None,
        "notice": None,
        "requested_by": "slack:U1",
        "requested_door": "slack-slash",
        "created_at": now,
        "changed_by": "slack:U1",
        "changed_door": "slack-slash",
        "changed_at": now,
        "version": 3,
        **STATES[state].columns(now),
        **columns,
    }
    held = row.pop("held")
    row |= {"held_host": row["host"] if held else None, "held_path": row["path"] if held else None}
    assert impossible(row) is None, impossible(row)
    with database.connect() as connection, connection.begin():
        connection.execute(insert(runs), row)
        if database.kind == "postgresql":
            connection.exec_driver_sql(f"SELECT setval('{CLAIM_NUMBERS}', {row['claim']})")
    return str(row["id"])


def row_of(database: Database, run_id: str) -> dict[str, Any]:
    """Every column of a run as it is now."""
    with database.connect() as connection:
        row = connection.execute(select(runs).where(runs.c.id == run_id)).mappings().one()
        return dict(row)


def living(worker: str) -> LivingWorker:
    """A worker of this host, as it tells of itself."""
    return LivingWorker(worker, HOST, 1, 2)


def write(database: Database, change: Callable[[Transaction], Any]) -> Any:
    """What one change comes to, in a transaction of its own; raises what it raised."""
    result = database.write([change])[0]
    if isinstance(result, Exception):
        raise result
    return result


def get(database: Database, run_id: str) -> Run:
    """The run as the store tells it."""
    run = database.read(lambda tx: tx.runs.get(run_id))
    assert run is not None
    return run


def new_run(run_id: str, branch: str, conversation: Conversation = CONVERSATION) -> NewRun:
    """A run to insert; all runs of one branch want one worktree."""
    return NewRun(
        id=run_id,
        workflow="deploy",
        conversation=conversation,
        arguments={},
        repository="/repository",
        base="main",
        branch=branch,
        worktree=Worktree(HOST, f"/worktrees/{branch}"),
        steps=STEPS,
    )


def conductor(state: Path) -> Conductor:
    """The rules of every command, for people at the command line of this host."""
    places = Worktrees(state / "worktrees", HOST)
    house = House(HOST, False, {}, places, lambda run_id: state / f"{run_id}.log", USAGES)
    return Conductor(house, Policy({}, Role.ADMIN))


def message(text: str, name: str = "ana", **more: Any) -> Message:
    """Something said at the command line."""
    actor = f"cli:{name}"
    where = Conversation("cli:shared")
    return Message(text=text, conversation=where, author=Author(actor), door=Door.CLI, **more)
