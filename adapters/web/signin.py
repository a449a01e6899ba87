"""Signing in and out."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from adapters.web.guard import COOKIE, Guard
from adapters.web.visit import Sending, page
from bot import refusals
from bot.keys import SESSION_SECONDS

router = APIRouter(include_in_schema=False)


def _guard(request: Request) -> Guard:
    guard: Guard = request.app.state.guard
    return guard


@router.get("/signin")
async def show_sign_in(request: Request, ticket: str = "") -> Response:
    """The form; or, with the one-time link of a local start, in at once."""
    return await _let_in(request, ticket) if ticket else page(request, "signin.html")


@router.post("/signin")
async def sign_in(request: Request, token: Annotated[str, Form()] = "") -> Response:
    """In with a token."""
    return await _let_in(request, token)


async def _let_in(request: Request, secret: str) -> Response:
    guard, address = _guard(request), request.client.host if request.client else ""
    if guard.failures.too_many(address):
        return page(request, "signin.html", 429, failed=refusals.too_many_sign_ins())
    cookie = await guard.sign_in(secret)
    if cookie is None:
        guard.failures.note(address)
        return page(request, "signin.html", 403, failed=refusals.opens_nothing())
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=int(SESSION_SECONDS),
        httponly=True,
        samesite="lax",
        secure=request.app.state.house.secure,
    )
    return answer


@router.post("/signout")
async def sign_out(visit: Sending) -> Response:
    """Out; the cookie opens nothing any more."""
    await _guard(visit.request).sign_out(visit.request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/signin", 303)
    answer.delete_cookie(COOKIE)
    return answer
