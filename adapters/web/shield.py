"""What stands before every request: hosts, origins, sizes; and what every answer tells a browser.

Plain ASGI, so that a stream goes through as it comes.
"""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.web.house import LOOPBACK
from adapters.web.problems import refusal
from adapters.web.visit import fitting
from bot import refusals
from bot.outcome import Word

LARGEST_BODY = 1024**2
"""What Slack sends is the largest."""
_ASKED_BY_ADDRESS = frozenset({"/healthz", "/readyz", "/metrics"})
"""What watches over containers knows only their addresses; nothing secret is told there."""
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_POLICY = "; ".join(
    (
        "default-src 'none'",
        *("script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"),
        *("form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"),
    )
)
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class BodyTooLargeError(HTTPException):
    """More came than Baton reads."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


class Shield:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], secure: bool) -> None:
        """`hosts` are the names under which it may be asked, besides those of this machine."""
        self._app = app
        self._hosts = frozenset({*LOOPBACK, *(host.lower() for host in hosts if host)})
        more = {"Strict-Transport-Security": "max-age=31536000"} if secure else {}
        self._headers = {**_HEADERS, **more}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answered = self._answering(scope, send)
        refused = self._refused(scope, Headers(scope=scope))
        if refused is not None:
            await fitting(Request(scope), refused)(scope, receive, answered)
            return
        await self._app(scope, _measured(receive), answered)

    def _refused(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        path, method, query = (
            scope["path"],
            scope["method"],
            scope["query_string"].decode("latin-1"),
        )
        if path not in _ASKED_BY_ADDRESS and _name(headers.get("host", "")) not in self._hosts:
            return refusal(Word.DENIED, refusals.unknown_host(), 421)
        if method in _UNSAFE and _foreign(headers):
            return refusal(Word.DENIED, refusals.foreign_origin(), 403)
        if "\0" in unquote(query):
            return refusal(Word.INVALID, refusals.no_text(), 422)
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > LARGEST_BODY:
            return refusal(Word.INVALID, refusals.body_too_large(LARGEST_BODY), 413)
        return None

    def _answering(self, scope: Scope, send: Send) -> Send:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        return answer


def _measured(receive: Receive) -> Receive:
    """Bodies that do not tell their length are measured as they come."""
    read = 0

    async def measure() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body") or b"")
        if read > LARGEST_BODY:
            raise BodyTooLargeError
        return message

    return measure


def _name(host: str) -> str:
    """The host without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _foreign(headers: Headers) -> bool:
    """Whether a browser sends this on behalf of another site.

    Scripts send no `Origin`, and need a token.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    if origin == "null":
        # Hidden by a browser; a modern one still tells that it is no other site.
        return site != "same-origin"
    if origin is not None:
        return origin.partition("://")[2].lower() != headers.get("host", "").lower()
    return site not in {"none", "same-origin"}
