"""A Discord on the loopback interface, for the real client library to talk to."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.discord.api import perform, read
from tests.discord.gateway import Gateway, Session
from tests.discord.messages import Asked
from tests.discord.records import (
    Broken,
    Call,
    Channel,
    Cut,
    Fault,
    Guild,
    Interaction,
    Refused,
    Response,
    Role,
    SentMessage,
    Slow,
    TooMany,
    snowflake,
)
from tests.discord.state import DiscordError

__all__ = [
    "Broken",
    "Call",
    "Channel",
    "Cut",
    "Discord",
    "Guild",
    "Interaction",
    "Refused",
    "Response",
    "Role",
    "SentMessage",
    "Session",
    "Slow",
    "TooMany",
    "snowflake",
]

SECONDS_TO_CLOSE = 1
MOST_BYTES_OF_A_FILE = 10 * 1024 * 1024
MOST_BYTES = 4 * MOST_BYTES_OF_A_FILE
API = "/api/v10"
JSON = {"Content-Type": "application/json"}  # with a charset, discord.py would not parse it


@dataclass(frozen=True)
class Outcome:
    """An answer about to be given, late or never."""

    status: int
    body: Any = None
    headers: dict[str, str] | None = None
    wait: float = 0
    cut: bool = False

    @property
    def code(self) -> int:
        """Discord's code for what went wrong."""
        return int(self.body.get("code", 0)) if self.status >= 400 and self.body else 0

    def response(self) -> web.Response:
        """The answer in HTTP."""
        if self.body is None:
            return web.Response(status=self.status or 500)
        headers = JSON | self.headers if self.headers else JSON
        return web.Response(
            status=self.status, body=json.dumps(self.body).encode(), headers=headers
        )


class Discord(Gateway):
    """`async with Discord() as discord:`, then point a client at its two addresses."""

    async def __aenter__(self) -> Self:
        self._closing = asyncio.Event()
        server = web.Server(self._serve, request_factory=_request)
        self._runner = web.ServerRunner(server, shutdown_timeout=SECONDS_TO_CLOSE)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.base = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        for transport in list(self._sockets.values()):
            transport.abort()
        await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """For discord.http.Route.BASE."""
        return f"{self.base}{API}"

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith(API):
            return await self._serve_api(request, path.removeprefix(API))
        if path.startswith("/gateway"):
            return await self.serve_gateway(request)
        upload = self.uploads.get(path.split("/")[2]) if path.startswith("/attachments/") else None
        return web.Response(status=404) if upload is None else web.Response(body=upload)

    async def _serve_api(self, request: web.BaseRequest, path: str) -> web.Response:
        at = time.monotonic()
        body, uploads = await read(request)
        asked = Asked([], body, request.query, uploads)
        token = request.headers.get("Authorization")
        outcome = _under(
            self.next_fault(request.method, path) if self._faults else None,
            lambda: self._attempt(request.method, path, asked, token),
        )
        files = {one.name: one.content for one in uploads.values()}
        status = 0 if outcome.cut else outcome.status
        self.calls.append(Call(request.method, path, at, status, body, outcome.code, files))
        self.changed()
        if outcome.wait:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), outcome.wait)
        if outcome.cut and request.transport:
            request.transport.abort()
        return outcome.response()

    def _attempt(self, method: str, path: str, asked: Asked, token: str | None) -> Outcome:
        if any(len(one.content) > MOST_BYTES_OF_A_FILE for one in asked.uploads.values()):
            return Outcome(413, {"message": "Request entity too large", "code": 40005})
        try:
            return Outcome(*perform(self, method, path, asked, token))
        except DiscordError as no:
            return Outcome(no.status, no.body)


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=MOST_BYTES
    )


def _under(fault: Fault | None, act: Callable[[], Outcome]) -> Outcome:
    """What becomes of an act under a fault."""
    match fault:
        case None:
            return act()
        case TooMany():
            return _too_many(fault)
        case Refused(status, code, message):
            return Outcome(status, {"message": message, "code": code})
        case Broken(status, effect):
            if effect:
                act()
            return Outcome(status, {"message": f"{status}: Server Error", "code": 0})
        case Slow(seconds):
            return replace(act(), wait=seconds)
        case Cut(effect):
            return replace(act() if effect else Outcome(0, {}), cut=True)


def _too_many(fault: TooMany) -> Outcome:
    no = {
        "message": "You are being rate limited.",
        "retry_after": fault.retry_after,
        "global": fault.global_,
    }
    headers = {"Retry-After": str(int(fault.retry_after) + 1)}
    headers["X-RateLimit-Scope"] = "global" if fault.global_ else "user"
    if fault.global_:
        headers["X-RateLimit-Global"] = "true"
    if fault.via:
        headers["Via"] = "1.1 google"
    return Outcome(429, no, headers)
