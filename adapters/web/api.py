"""The API: the same commands as everywhere, for scripts that have a token."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.security import HTTPBearer

from adapters.web import streams
from adapters.web.guard import Caller
from adapters.web.house import WebHouse
from adapters.web.logs import LogPart, log_part
from adapters.web.problems import problem, refusal
from adapters.web.schema import (
    ClaimModel,
    HistoryModel,
    OutcomeModel,
    RunsModel,
    StartModel,
    told,
)
from bot import refusals
from bot.conversation import Conversation, Door, Message
from bot.feed import Listener
from bot.outcome import HTTP_STATUSES, Answer, Word, run_json
from bot.run import RunStatus
from bot.watching import Wanted

MOST_LISTED = 100
_LISTED = 50
_LONGEST_KEY = 200
_OK = 200
_AGAIN_SECONDS = 10

RunPath = Annotated[
    str,
    Path(
        max_length=64,
        description="a run's id, or a unique prefix of 4 or more",
        examples=["k3x9mq2a"],
    ),
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=_LONGEST_KEY,
        pattern=r"^[!-~]+$",
        description="a repeat with the same key has no second effect and gets the same answer",
    ),
]


class RefusedError(Exception):
    """This request is not carried out."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


async def _caller(request: Request) -> Caller:
    """Whoever the token belongs to."""
    caller: Caller | None = await request.app.state.guard.of_header(
        request.headers.get("Authorization")
    )
    if caller is None:
        challenge = {"WWW-Authenticate": 'Bearer realm="baton"'}
        raise RefusedError(refusal(Word.DENIED, refusals.no_token(), 401, challenge))
    return caller


Asking = Annotated[Caller, Depends(_caller)]
_bearer = HTTPBearer(auto_error=False, description="a token: baton token create NAME --role ROLE")


def _house(request: Request) -> WebHouse:
    house: WebHouse = request.app.state.house
    return house


House = Annotated[WebHouse, Depends(_house)]
router = APIRouter(prefix="/api", dependencies=[Depends(_bearer)], tags=["runs"])


def _message(caller: Caller, text: str, key: str | None = None) -> Message:
    actor = f"{Door.API}:{caller.name}"
    return Message(
        text=text,
        conversation=Conversation(actor),
        author=caller.author(Door.API),
        door=Door.API,
        delivery=f"{actor}:{key}" if key else None,
    )


@contextmanager
def listener_of(house: WebHouse, name: str) -> Iterator[Listener]:
    """Whoever has this name hears of changes. Raises RefusedError where too many do."""
    if not house.feed.has_room(name):
        patience = {"Retry-After": str(_AGAIN_SECONDS)}
        raise RefusedError(refusal(Word.BUSY, refusals.too_many_streams(), 429, patience))
    with house.feed.listening(name) as listener:
        yield listener


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
    answer = await _ask(house, _message(caller, f"{verb} {named(run)}"))
    if answer.word is not Word.SHOWN:
        raise RefusedError(problem(answer))
    return answer


def named(run: str) -> str:
    """One word that can be seen, whatever stands in the path: without one, any run would do."""
    return "".join(letter for letter in run if letter.isprintable() and not letter.isspace()) or "?"


# --- looking ---------------------------------------------------------------------------------


@router.get("/runs", response_model=RunsModel, responses=told(401, 403, 422, 429))
async def list_runs(  # noqa: PLR0913, PLR0917 - one for each filter
    house: House,
    _caller: Asking,
    status: RunStatus | None = None,
    workflow: Annotated[str | None, Query(max_length=64)] = None,
    conversation: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = _LISTED,
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
    "/runs/{run}", response_model=OutcomeModel, responses=told(300, 401, 403, 404, 422, 429)
)
async def show_run(house: House, caller: Asking, run: RunPath) -> JSONResponse:
    """Where a run stands."""
    return _told(await _shown(house, caller, "status", run))


@router.get(
    "/runs/{run}/history",
    response_model=HistoryModel,
    responses=told(300, 401, 403, 404, 422, 429),
)
async def show_history(house: House, caller: Asking, run: RunPath) -> JSONResponse:
    """What was asked of a run, by whom, and what came of it."""
    answer = await _shown(house, caller, "history", run)
    return JSONResponse({"events": answer.body.get("events", [])})


@router.get(
    "/runs/{run}/logs",
    response_class=PlainTextResponse,
    responses=told(300, 401, 403, 404, 422, 429),
)
async def show_logs(
    house: House,
    caller: Asking,
    run: RunPath,
    offset: Annotated[
        int, Query(ge=0, le=2**53, description="`Log-Next-Offset` of the part before")
    ] = 0,
) -> PlainTextResponse:
    """The output of a run from an offset on, 256 KiB at most, as text without terminal escapes."""
    answer = await _shown(house, caller, "logs", run)
    return part_response(await log_part(house, answer.run_id or "", offset))


def part_response(part: LogPart) -> PlainTextResponse:
    """A part of a log, and where the next one begins."""
    return PlainTextResponse(part.text, headers={"Log-Next-Offset": str(part.following)})


async def _listening(house: House, caller: Asking) -> AsyncIterator[Listener]:
    with listener_of(house, caller.name) as listener:
        yield listener


Listening = Annotated[Listener, Depends(_listening)]


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {streams.MEDIA_TYPE: {"schema": {"type": "string"}}}},
        **told(401, 422, 429),
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
    "responses": told(300, 401, 403, 404, 409, 413, 422, 429, 500),
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
    asked = _message(caller, f"resume {named(run)}", key)
    return _told(await _ask(house, replace(asked, seen_epoch=claim.epoch if claim else None)))


@router.post("/runs/{run}/cancel", **_CHANGE)
async def cancel_run(
    house: House, caller: Asking, run: RunPath, claim: ClaimModel | None = None, key: Key = None
) -> JSONResponse:
    """End a run for good, or decline its gate."""
    asked = _message(caller, f"cancel {named(run)}", key)
    return _told(await _ask(house, replace(asked, seen_epoch=claim.epoch if claim else None)))
