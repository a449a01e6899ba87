"""The cookie of a session."""

from fastapi import Request
from fastapi.responses import Response

from adapters.web.house import LOOPBACK
from bot.keys import SESSION_SECONDS


def _secure(request: Request) -> bool:
    """Whether it travels by https alone.

    Whoever is on this machine comes without a proxy, and so without https.
    """
    return bool(request.app.state.house.secure) and request.url.hostname not in LOOPBACK


def _name(request: Request) -> str:
    """Cookies know no port: without it two Batons of one machine would sign each other out."""
    return "__Host-baton" if _secure(request) else f"baton_{request.url.port or 80}"


def secret_of(request: Request) -> str:
    """What the browser has; empty where it has none."""
    return request.cookies.get(_name(request), "")


def keep(request: Request, answer: Response, secret: str) -> None:
    """Give it to the browser."""
    answer.set_cookie(
        _name(request),
        secret,
        max_age=int(SESSION_SECONDS),
        httponly=True,
        samesite="lax",
        secure=_secure(request),
    )


def drop(request: Request, answer: Response) -> None:
    """Take it from the browser."""
    answer.delete_cookie(_name(request), secure=_secure(request), httponly=True, samesite="lax")
