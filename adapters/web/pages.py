"""The pages of runs. They work without JavaScript, which only keeps them live."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import (
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from pydantic import BaseModel, Field

from adapters.web import streams, view
from adapters.web.logs import LogPart, answered, log_end, log_part, shortened, whole_log
from adapters.web.naming import RunPath
from adapters.web.visit import Sending, Visit, Visiting
from bot.commands.looking import plain
from bot.feed import Listener
from bot.outcome import HTTP_STATUSES, Answer, Word
from bot.run import Run, RunStatus
from bot.watching import Page, Wanted

_LISTED = 50
_GIT_SECONDS = 0.5
_NOT_FOUND = 404

router = APIRouter(include_in_schema=False)


class Filters(BaseModel):
    """What the list is narrowed to; empty: all."""

    status: str = ""
    workflow: str = ""
    conversation: str = ""
    after: str = ""

    @property
    def used(self) -> dict[str, str]:
        """Those that narrow anything."""
        fields = ("status", "workflow", "conversation")
        return {name: value for name in fields if (value := getattr(self, name))}

    @property
    def wanted(self) -> Wanted:
        """The same for the store; a status that there is none of narrows nothing."""
        known = self.status in {str(status) for status in RunStatus}
        return Wanted(
            status=RunStatus(self.status) if known else None,
            workflow=self.workflow or None,
            conversation=self.conversation or None,
        )


Delivery = Annotated[str, Field(pattern=r"^[!-~]*$")]


class Start(BaseModel):
    """The form that starts a run."""

    workflow: str = ""
    arguments: str = ""
    delivery: Delivery = ""


class Change(BaseModel):
    """The form of a button."""

    epoch: Annotated[int, Field(ge=0, le=2**31)] | None = None
    delivery: Delivery = ""


# --- looking ---------------------------------------------------------------------------------


@router.get("/")
async def show_runs(visit: Visiting, filters: Annotated[Filters, Query()]) -> Response:
    """Runs, newest first."""
    return await _runs_page(visit, filters)


async def _runs_page(
    visit: Visit, filters: Filters, answer: Answer | None = None, typed: Start | None = None
) -> Response:
    return visit.page(
        "runs.html",
        HTTP_STATUSES[answer.word] if answer else 200,
        page=await _listed(visit, filters),
        filters=filters,
        workflows=visit.house.workflows,
        answer=answer,
        typed=typed or Start(),
        delivery=secrets.token_hex(8),
    )


async def _listed(visit: Visit, filters: Filters) -> Page:
    """The page that was asked for; the first one where nobody ever offered that."""
    wanted, read = filters.wanted, visit.house.store.read
    try:
        return await read(lambda tx: tx.watching.page(wanted, _LISTED, filters.after or None))
    except ValueError:
        return await read(lambda tx: tx.watching.page(wanted, _LISTED, None))


@router.get("/runs/{run_id}")
async def show_run(visit: Visiting, run_id: RunPath) -> Response:
    """One run: its steps, its log, its worktree, its history."""
    found = await visit.house.store.read(lambda tx: tx.runs.find(run_id, None))
    if len(found) != 1:
        return visit.answered(await visit.ask(f"status {run_id}"))
    if found[0].id != run_id:
        # Named by the beginning of its id.
        return RedirectResponse(f"/runs/{found[0].id}", 303)
    return await _run_page(visit, run_id)


async def _run_page(visit: Visit, run_id: str, answer: Answer | None = None) -> Response:
    house = visit.house
    seen = await house.store.read(lambda tx: view.run_view(tx, run_id))
    # Whoever changed something is answered at once.
    patience = 0 if answer else _GIT_SECONDS
    changes, log = await asyncio.gather(_changes(visit, seen.run, patience), log_end(house, run_id))
    return visit.page(
        "run.html",
        HTTP_STATUSES[answer.word] if answer else 200,
        seen=seen,
        changes=changes,
        log=LogPart(shortened(log.text), log.following),
        answer=answer,
        delivery=secrets.token_hex(8),
    )


async def _changes(visit: Visit, run: Run, patience_seconds: float) -> str:
    """What git says of the worktree, without what would steer a terminal."""
    told = await visit.house.changes(run, patience_seconds)
    return "\n".join(plain(line) for line in told.splitlines())


@router.get("/runs/{run_id}/log")
async def show_log(
    visit: Visiting, run_id: RunPath, offset: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> Response:
    """A part of the output, for the page that is open."""
    run = await visit.house.store.read(lambda tx: tx.runs.get(run_id))
    if run is None:
        return PlainTextResponse("", _NOT_FOUND)
    part = await log_part(visit.house, run.id, offset)
    return answered(LogPart(shortened(part.text), part.following))


@router.get("/runs/{run_id}/log.txt")
async def show_whole_log(visit: Visiting, run_id: RunPath) -> Response:
    """All of the output, to be kept or searched."""
    run = await visit.house.store.read(lambda tx: tx.runs.get(run_id))
    if run is None:
        return await show_run(visit, run_id)
    return StreamingResponse(whole_log(visit.house, run.id), media_type="text/plain")


async def _listening(visit: Visiting) -> AsyncIterator[Listener]:
    with streams.listener_of(visit.house, visit.person.name) as listener:
        yield listener


Listening = Annotated[Listener, Depends(_listening)]


@router.get("/events")
async def stream_events(visit: Visiting, listener: Listening) -> StreamingResponse:
    """What changes, for the pages that are open; it ends with the session."""
    return streams.stream(listener, visit.goes_on)


# --- changing --------------------------------------------------------------------------------


@router.get("/runs")
async def loaded_again() -> Response:
    """What a form answered is loaded again."""
    return RedirectResponse("/", 303)


@router.get("/runs/{run_id}/resume")
async def resumed_again(visit: Visiting, run_id: RunPath) -> Response:
    """The same for a resume."""
    return await show_run(visit, run_id)


@router.post("/runs")
async def start_run(visit: Sending, form: Annotated[Start, Form()]) -> Response:
    """Start a run, and go to its page."""
    answer = await visit.ask(f"run {form.workflow} {form.arguments}", form.delivery)
    if answer.word is not Word.STARTED:
        return await _runs_page(visit, Filters(), answer, form)
    return RedirectResponse(f"/runs/{answer.run_id}", 303)


@router.get("/runs/{run_id}/cancel")
async def ask_to_cancel(visit: Visiting, run_id: RunPath) -> Response:
    """The question before a cancel, where there is no JavaScript to ask it."""
    run = await visit.house.store.read(lambda tx: tx.runs.get(run_id))
    if run is None:
        return await show_run(visit, run_id)
    if run.final or not visit.person.may_change:
        return RedirectResponse(f"/runs/{run.id}", 303)
    return visit.page("cancel.html", run=run, delivery=secrets.token_hex(8))


@router.post("/runs/{run_id}/resume")
async def resume_run(visit: Sending, run_id: RunPath, form: Annotated[Change, Form()]) -> Response:
    """Resume; the page of the run tells what came of it, and who was faster."""
    return await _changed(visit, "resume", run_id, form)


@router.post("/runs/{run_id}/cancel")
async def cancel_run(visit: Sending, run_id: RunPath, form: Annotated[Change, Form()]) -> Response:
    """Cancel, which was asked about before."""
    return await _changed(visit, "cancel", run_id, form)


async def _changed(visit: Visit, verb: str, run_id: RunPath, form: Change) -> Response:
    answer = await visit.ask(f"{verb} {run_id}", form.delivery, form.epoch)
    if answer.run_id is None:
        return visit.answered(answer)
    return await _run_page(visit, answer.run_id, answer)
