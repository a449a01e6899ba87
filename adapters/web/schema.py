"""The objects of the API, as its description tells them; the names are those of the contract."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from adapters.web.problems import MEDIA_TYPE
from bot.outcome import Word
from bot.run import RunStatus

_RUN = {
    "id": "k3x9mq2a",
    "workflow": "release",
    "status": "failed",
    "stopping": False,
    "stale": False,
    "epoch": 2,
    "conversation": "api:ci",
    "branch": "baton/k3x9mq2a",
    "worktree": "/srv/baton/worktrees/k3x9mq2a",
    "step": "test",
    "steps_done": 1,
    "steps_total": 4,
    "attempt": 1,
    "error": "exit code 1",
}
_BY = {"actor": "slack:U1", "door": "slack-button", "at": "2026-01-31T09:30:00.250Z"}
_BY_WORKER = {"actor": "worker:host-1a:17:c0", "door": "worker", "at": _BY["at"]}
_LOST = "The worktree of branch main is held by release 7hx2wnp4. Nothing changed."
_EVENT = {
    "at": _BY["at"],
    "actor": "slack:U1",
    "door": "slack-button",
    "verb": "resume",
    "outcome": "resumed",
    "from": "failed",
    "to": "running",
    "epoch": 2,
}


LOG = "\u2500\u2500 step 1 of 4, build \u2500\u2500\nmake: Nothing to be done for 'all'.\n"
STREAM = f"event: run\nid: k3x9mq2a.5\ndata: {json.dumps(_RUN)}\n\n"


def _example(example: dict[str, Any], *, forbid: bool = False) -> ConfigDict:
    return ConfigDict(
        json_schema_extra={"examples": [example]}, extra="forbid" if forbid else "ignore"
    )


class RunModel(BaseModel):
    """A run."""

    model_config = _example(_RUN)

    id: str
    workflow: str
    status: RunStatus
    stopping: bool = Field(description="cancelled, and its processes are not yet proven gone")
    stale: bool = Field(description="running, but its worker has not been heard of")
    epoch: int = Field(description="rises with every claim")
    conversation: str
    branch: str
    worktree: str
    step: str | None = Field(description="under way or next; null once all are done")
    steps_done: int
    steps_total: int
    attempt: int
    error: str | None


class ByModel(BaseModel):
    """Who made the change that counts, from where and when."""

    model_config = _example(_BY)

    actor: str
    door: str
    at: str


class OutcomeModel(BaseModel):
    """What a command came to: one word for scripts, one reply for people."""

    model_config = _example(
        {
            "outcome": "shown",
            "reply": "release k3x9mq2a failed at step 2 of 4, test: exit code 1.",
            "run": _RUN,
            "by": _BY_WORKER,
            "candidates": [],
        }
    )

    outcome: Word
    reply: str
    run: RunModel | None
    by: ByModel | None
    candidates: list[RunModel]


class ProblemModel(OutcomeModel):
    """A problem (RFC 9457) that carries the outcome and the reply."""

    model_config = _example(
        {
            "type": "about:blank",
            "title": "Conflict",
            "status": 409,
            "detail": _LOST,
            "outcome": "worktree_busy",
            "reply": _LOST,
            "run": _RUN,
            "by": _BY,
            "candidates": [],
        }
    )

    type: str
    title: str
    status: int
    detail: str


class RunsModel(BaseModel):
    """A page of runs; `next` continues behind them, null where they are the last."""

    model_config = _example({"runs": [_RUN], "next": "MHgxLjBwKzMwLWszeDltcTJh"})

    runs: list[RunModel]
    next: str | None


class EventModel(BaseModel):
    """One attempt at something."""

    model_config = _example(_EVENT)

    at: str
    actor: str
    door: str
    verb: str
    outcome: str
    before: str | None = Field(alias="from")
    to: str | None
    epoch: int | None


class HistoryModel(BaseModel):
    """What was asked of a run and what came of it, oldest first."""

    model_config = _example({"events": [_EVENT]})

    events: list[EventModel]
    next: int | None = Field(
        default=None, description="continues behind them; not there at the end"
    )


_PLAIN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\u200b-\u200f\u202a-\u202e\u2066-\u2069]*$"
_Value = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=32 * 1024)]
_Key = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]


class StartModel(BaseModel):
    """A run to start."""

    model_config = _example(
        {"workflow": "release", "branch": "main", "arguments": {"version": "1.4"}}, forbid=True
    )

    workflow: Annotated[str, Field(pattern=_PLAIN, min_length=1, max_length=64)]
    branch: Annotated[str, Field(pattern=_PLAIN, min_length=1, max_length=255)] | None = None
    arguments: dict[_Key, _Value] = {}


class ClaimModel(BaseModel):
    """A condition on a change."""

    model_config = _example({"epoch": 2}, forbid=True)

    epoch: Annotated[int, Field(strict=True, ge=0, le=2**31)] | None = Field(
        default=None, description="only if the run is still at this epoch"
    )


_TOLD = {
    300: "Several runs fit what was named; `candidates` has them.",
    401: "No valid token came with the request.",
    403: "The token's role is not enough.",
    404: "There is no such run.",
    409: "Nothing changed: somebody else was faster, or the run is in no state for this.",
    413: "The body is too large.",
    422: "Something in the request cannot be used.",
    429: "Too much is going on; ask again in a moment.",
    500: "Something broke; the reply has the reference that the log has.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How these problems are told, for the description."""
    schema = {"$ref": "#/components/schemas/ProblemModel"}
    content = {MEDIA_TYPE: {"schema": schema}}
    return {status: {"description": _TOLD[status], "content": content} for status in statuses}
