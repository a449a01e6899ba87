"""Signing in and out."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from adapters.web import cookie
from adapters.web.attempts import WITHIN_SECONDS
from adapters.web.guard import Guard
from adapters.web.visit import OF_RUN, Sending, page
from bot import refusals
from bot.conversation import Door
from bot.meter import METER
from bot.outcome import Word
from bot.ports import DatabaseUnavailableError

router = APIRouter(include_in_schema=False)


def _guard(request: Request) -> Guard:
    guard: Guard = request.app.state.guard
    return guard


@router.get("/signin")
async def show_sign_in(request: Request, ticket: str = "", to: str = "") -> Response:
    """The form; or, with the one-time link of a local start, in at once."""
    if not ticket:
        return page(request, "signin.html", to=to)
    # A token has no business in an address. Nobody guesses a ticket, so that attempts are not
    # counted: any site could use them up for whoever looks at it.
    secret = await _guard(request).redeem(ticket, cookie.secret_of(request))
    return _in(request, secret) if secret else _refused(request)


@router.post("/signin")
async def sign_in(
    request: Request, token: Annotated[str, Form()] = "", to: Annotated[str, Form()] = ""
) -> Response:
    """In with a token, and on to the page that was asked for."""
    guard, address = _guard(request), _address(request)
    if not guard.attempts.begin(address):
        METER.sign_ins[Door.WEB, Word.BUSY] += 1
        refused = page(request, "signin.html", 429, failed=refusals.too_many_sign_ins(), to=to)
        refused.headers["Retry-After"] = str(WITHIN_SECONDS)
        return refused
    try:
        secret = await guard.sign_in(token, cookie.secret_of(request))
    except DatabaseUnavailableError:
        guard.attempts.forgive(address)
        raise
    if secret is None:
        await guard.refuse(address)
        return _refused(request, to)
    guard.attempts.forgive(address)
    return _in(request, secret, to)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _refused(request: Request, to: str = "") -> Response:
    METER.sign_ins[Door.WEB, Word.DENIED] += 1
    return page(request, "signin.html", 403, failed=refusals.opens_nothing(), to=to)


def _in(request: Request, secret: str, to: str = "") -> Response:
    answer = RedirectResponse(to if OF_RUN.fullmatch(to) else "/", 303)
    cookie.keep(request, answer, secret)
    return answer


@router.post("/signout")
async def sign_out(visit: Sending) -> Response:
    """Out; the cookie opens nothing any more."""
    request = visit.request
    await _guard(request).sign_out(visit.person.name, cookie.secret_of(request))
    answer = RedirectResponse("/signin", 303)
    cookie.drop(request, answer)
    return answer
