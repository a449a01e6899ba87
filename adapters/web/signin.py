"""Signing in and out."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from adapters.web.guard import COOKIE, FAILURE_SECONDS, Guard
from adapters.web.shield import LOOPBACK
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
    if not ticket:
        return page(request, "signin.html")
    # A token has no business in an address, and another site's link is to sign nobody in.
    return await _let_in(request, ticket, _guard(request).redeem)


@router.post("/signin")
async def sign_in(request: Request, token: Annotated[str, Form()] = "") -> Response:
    """In with a token."""
    return await _let_in(request, token, _guard(request).sign_in)


async def _let_in(
    request: Request, secret: str, opens: Callable[[str, str], Awaitable[str | None]]
) -> Response:
    guard, address = _guard(request), request.client.host if request.client else ""
    if guard.failures.too_many(address):
        refused = page(request, "signin.html", 429, failed=refusals.too_many_sign_ins())
        refused.headers["Retry-After"] = str(FAILURE_SECONDS)
        return refused
    cookie = await opens(secret, request.cookies.get(COOKIE, ""))
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
        # Whoever is on this machine comes without a proxy, and so without https.
        secure=request.app.state.house.secure and request.url.hostname not in LOOPBACK,
    )
    return answer


@router.post("/signout")
async def sign_out(visit: Sending) -> Response:
    """Out; the cookie opens nothing any more."""
    await _guard(visit.request).sign_out(visit.request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/signin", 303)
    answer.delete_cookie(COOKIE)
    return answer
