"""The API: the same commands as everywhere, for scripts that have a token."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.security import HTTPBearer

from adapters.web import streams
from adapters.web.bodies import StrictRoute
from adapters.web.guard import Caller
from adapters.web.house import House, WebHouse
from adapters.web.logs import answered, log_part
from adapters.web.naming import RunPath
from adapters.web.problems import RefusedError, problem, refusal
from adapters.web.schema import (
    LOG,
    STREAM,
    ClaimModel,
    HistoryModel,
    OutcomeModel,
    RunsModel,
    StartModel,
    errors,
)
from bot import refusals
from bot.conversation import Conversation, Door, Message
from bot.feed import Listener
from bot.meter import METER
from bot.outcome import HTTP_STATUSES, Answer, Word, event_json, run_json
from bot.run import RunStatus
from bot.watching import Wanted

_MOST_LISTED = 100
_LISTED = 50
_MOST_EVENTS = 1000
_LONGEST_KEY = 200
_OK = 200

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=_LONGEST_KEY,
        pattern=r"^[!-~]+$",
        description="a repeat with the same key has no second effect and gets the same answer",
        examples=["build-42-cancel"],
    ),
]


async def _caller(request: Request) -> Caller:
    """Whoever the token belongs to."""
    caller: Caller | None = await request.app.state.guard.of_header(
        request.headers.get("Authorization")
    )
    if caller is None:
        METER.sign_ins[Door.API, Word.DENIED] += 1
        challenge = {"WWW-Authenticate": 'Bearer realm="baton"'}
        raise RefusedError(refusal(Word.DENIED, refusals.no_token(), 401, challenge))
    return caller


Asking = Annotated[Caller, Depends(_caller)]
_bearer = HTTPBearer(auto_error=False, description="a token: baton token create NAME --role ROLE")


router = APIRouter(
    prefix="/api", dependencies=[Depends(_bearer)], tags=["runs"], route_class=StrictRoute
)


def _message(caller: Caller, text: str, key: str | None = None) -> Message:
    actor = f"{Door.API}:{caller.name}"
    return Message(
        text=text,
        conversation=Conversation(actor),
        author=caller.author(Door.API),
        door=Door.API,
        delivery=f"{actor}:{key}" if key else None,
    )


async def _ask(house: WebHouse, message: Message) -> Answer:
    answer = await house.dispatcher.handle(message)
    assert answer is not None  # noqa: S101 - a verb is never plain talk
    return answer


def _told(answer: Answer) -> JSONResponse:
    if HTTP_STATUSES[answer.word] != _OK:
        return problem(answer)
    return JSONResponse({key: answer.body[key] for key in answer.body if key != "events"})


async def _shown(house: WebHouse, caller: Caller, verb: str, run: str) -> Answer:
    """The answer to a look. Raises RefusedError where there is nothing to be shown."""
    answer = await _ask(house, _message(caller, f"{verb} {run}"))
    if answer.word is not Word.SHOWN:
        raise RefusedError(problem(answer))
    return answer


# --- looking ---------------------------------------------------------------------------------


@router.get("/runs", response_model=RunsModel, responses=errors(401, 403, 422, 429))
async def list_runs(  # noqa: PLR0913, PLR0917 - one for each filter
    house: House,
    _caller: Asking,
    status: RunStatus | None = None,
    workflow: Annotated[str | None, Query(max_length=64, examples=["release"])] = None,
    conversation: Annotated[str | None, Query(max_length=200, examples=["slack:T1:C1"])] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST_LISTED, examples=[20])] = _LISTED,
    after: Annotated[
        str | None, Query(max_length=64, description="`next` of the page before")
    ] = None,
) -> JSONResponse:
    """Runs, newest first."""
    wanted = Wanted(status=status, workflow=workflow, conversation=conversation)
    try:
        page = await house.store.read(lambda tx: tx.watching.page(wanted, limit, after))
    except ValueError:
        raise RefusedError(refusal(Word.INVALID, refusals.no_such_page(), 422)) from None
    listed = [run_json(run) for run in page.runs]
    return JSONResponse({"runs": listed, "next": page.following})


@router.get(
    "/runs/{run}", response_model=OutcomeModel, responses=errors(300, 401, 403, 404, 422, 429)
)
async def show_run(house: House, caller: Asking, run: RunPath) -> JSONResponse:
    """Where a run stands."""
    return _told(await _shown(house, caller, "status", run))


@router.get(
    "/runs/{run}/history",
    response_model=HistoryModel,
    responses=errors(300, 401, 403, 404, 422, 429),
)
async def show_history(
    house: House,
    caller: Asking,
    run: RunPath,
    limit: Annotated[int, Query(ge=1, le=_MOST_EVENTS, examples=[100])] = _MOST_EVENTS,
    after: Annotated[
        int, Query(ge=0, le=2**53, description="`next` of the page before", examples=[0])
    ] = 0,
) -> JSONResponse:
    """What was asked of a run, by whom, and what came of it, oldest first."""
    run_id = (await _shown(house, caller, "status", run)).run_id or ""
    found = await house.store.read(lambda tx: tx.watching.history(run_id, limit, after))
    listed = {"events": [event_json(event) for event in found.events]}
    more = {"next": found.following} if found.following else {}
    return JSONResponse(listed | more)


@router.get(
    "/runs/{run}/logs",
    response_class=PlainTextResponse,
    responses={
        200: {
            "headers": {
                "Log-Next-Offset": {
                    "description": "where the next part begins",
                    "schema": {"type": "integer"},
                }
            },
            "content": {"text/plain": {"example": LOG, "schema": {"type": "string"}}},
        },
        **errors(300, 401, 403, 404, 422, 429),
    },
)
async def show_logs(
    house: House,
    caller: Asking,
    run: RunPath,
    offset: Annotated[
        int,
        Query(ge=0, le=2**53, description="`Log-Next-Offset` of the part before", examples=[0]),
    ] = 0,
) -> PlainTextResponse:
    """The output of a run from an offset on, 256 KiB at most, as text without terminal escapes."""
    answer = await _shown(house, caller, "logs", run)
    return answered(await log_part(house, answer.run_id or "", offset))


async def _listening(house: House, caller: Asking) -> AsyncIterator[Listener]:
    with streams.listener_of(house, caller.name) as listener:
        yield listener


Listening = Annotated[Listener, Depends(_listening)]


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {streams.MEDIA_TYPE: {"example": STREAM, "schema": {"type": "string"}}}},
        **errors(401, 422, 429),
    },
)
async def stream_events(request: Request, listener: Listening) -> StreamingResponse:
    """Every change of every run, as events named `run` whose data is the run; none is replayed.

    The stream ends when the token is revoked.
    """

    async def still() -> bool:
        header = request.headers.get("Authorization")
        return await request.app.state.guard.of_header(header) is not None

    return streams.stream(listener, still)


# --- changing --------------------------------------------------------------------------------

_CHANGE: dict[str, Any] = {
    "response_model": OutcomeModel,
    "responses": errors(300, 401, 403, 404, 409, 413, 422, 429, 500),
}


@router.post("/runs", **_CHANGE)
async def start_run(
    house: House, caller: Asking, wanted: StartModel, key: Key = None
) -> JSONResponse:
    """Start a run of a workflow."""
    branch = [f"branch={wanted.branch}"] if wanted.branch is not None else []
    arguments = sorted(f"{name}={value}" for name, value in wanted.arguments.items())
    asked = _message(caller, f"run {wanted.workflow}", key)
    words = (wanted.workflow, *branch, *arguments)
    return _told(await _ask(house, replace(asked, words=words)))


@router.post("/runs/{run}/resume", **_CHANGE)
async def resume_run(
    house: House, caller: Asking, run: RunPath, claim: ClaimModel | None = None, key: Key = None
) -> JSONResponse:
    """Go on with a run, or pass its gate."""
    asked = _message(caller, f"resume {run}", key)
    return _told(await _ask(house, replace(asked, seen_epoch=claim.epoch if claim else None)))


@router.post("/runs/{run}/cancel", **_CHANGE)
async def cancel_run(
    house: House, caller: Asking, run: RunPath, claim: ClaimModel | None = None, key: Key = None
) -> JSONResponse:
    """End a run for good, or decline its gate."""
    asked = _message(caller, f"cancel {run}", key)
    return _told(await _ask(house, replace(asked, seen_epoch=claim.epoch if claim else None)))
