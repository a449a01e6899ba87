"""A Slack on the loopback interface, for the real client libraries to talk to."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from tests.slack.api import perform, read
from tests.slack.messages import respond
from tests.slack.records import (
    SIGNING_SECRET,
    Ack,
    Broken,
    Call,
    Channel,
    Cut,
    Ephemeral,
    Fault,
    HttpAnswer,
    Json,
    Refused,
    Response,
    SentMessage,
    Slow,
    TooMany,
)
from tests.slack.sockets import Connection, Sockets
from tests.slack.state import SlackError, person

__all__ = [
    "SIGNING_SECRET",
    "Ack",
    "Broken",
    "Call",
    "Channel",
    "Connection",
    "Cut",
    "Ephemeral",
    "HttpAnswer",
    "Refused",
    "Response",
    "SentMessage",
    "Slack",
    "Slow",
    "TooMany",
    "person",
]

SECONDS_TO_CLOSE = 1
GONE = {"expired_url", "invalid_url", "used_url"}


@dataclass(frozen=True)
class Outcome:
    """An answer about to be given, late or never."""

    status: int
    body: Json
    wait: float = 0
    cut: bool = False

    def response(self, scopes: set[str]) -> web.Response:
        """The answer in HTTP."""
        headers = {"X-OAuth-Scopes": ",".join(sorted(scopes))}
        if "retry_after" in self.body:
            headers["Retry-After"] = str(self.body["retry_after"])
        return web.json_response(self.body, status=self.status, headers=headers)


class Slack(Sockets):
    """`async with Slack() as slack:`, then point a client at `slack.api_url`."""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._serve_api)
        app.router.add_post("/response/{number}", self._serve_response_url)
        app.router.add_get("/link/", self._serve_socket)
        self._closing = asyncio.Event()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SECONDS_TO_CLOSE)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.base = f"http://{host}:{port}"
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        for connection in list(self._open):
            connection.transport.abort()
        await self._session.close()
        await self._runner.cleanup()

    @property
    def api_url(self) -> str:
        """The base_url for a client."""
        return f"{self.base}/api/"

    async def post(
        self,
        url: str,
        payload_kind: str,
        payload: Json,
        *,
        signing_secret: str = SIGNING_SECRET,
        timestamp: int | None = None,
        signature: str | None = None,
        retry: int | None = None,
    ) -> HttpAnswer:
        """Deliver to a bot's own endpoint, signed; the kind is the envelope's "type"."""
        self.give_out(payload)
        content_type, body = encoded(payload_kind, payload)
        sent_at = str(int(time.time()) if timestamp is None else timestamp)
        headers = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": sent_at,
            "X-Slack-Signature": signature or signed(signing_secret, sent_at, body),
        }
        if retry is not None:
            headers |= {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": "http_timeout"}
        async with self._session.post(url, data=body.encode(), headers=headers) as answer:
            return HttpAnswer(answer.status, await answer.text())

    async def _serve_api(self, request: web.Request) -> web.Response:
        at, method = time.monotonic(), request.match_info["method"]
        values = await read(request)
        token = str(values.pop("token", None) or "")
        act = _attempt(lambda: perform(self, method, values, token))
        outcome = _under(self.next_fault(method), act)
        return await self._answer(request, Call(method, values, token, at, 0), outcome)

    async def _serve_response_url(self, request: web.Request) -> web.Response:
        at, body = time.monotonic(), await request.json()
        act = _attempt(lambda: respond(self, f"{self.base}{request.path}", body))
        outcome = _under(self.next_fault("response_url"), act)
        error = outcome.body.get("error", "")
        if outcome.status == 200 and error:
            outcome = replace(outcome, status=404 if error in GONE else 400)
        return await self._answer(request, Call("response_url", body, "", at, 0), outcome)

    async def _answer(self, request: web.Request, call: Call, outcome: Outcome) -> web.Response:
        status = 0 if outcome.cut else outcome.status
        self.calls.append(replace(call, status=status, error=outcome.body.get("error", "")))
        await self.changed()
        if outcome.wait:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), outcome.wait)
        if outcome.cut and request.transport:
            request.transport.close()
        return outcome.response(self.scopes)


def _attempt(act: Callable[[], Json | None]) -> Callable[[], Outcome]:
    """The act, with its refusal as an answer."""

    def attempted() -> Outcome:
        try:
            return Outcome(200, act() or {"ok": True})
        except SlackError as no:
            status = 429 if no.error == "ratelimited" else 200
            return Outcome(status, {"ok": False, "error": no.error, **no.more})

    return attempted


def _under(fault: Fault | None, act: Callable[[], Outcome]) -> Outcome:
    """What becomes of an act under a fault."""
    match fault:
        case None:
            return act()
        case TooMany(retry_after):
            no = {"ok": False, "error": "ratelimited", "retry_after": retry_after}
            return Outcome(429, no)
        case Refused(error):
            return Outcome(200, {"ok": False, "error": error})
        case Broken(status, effect):
            if effect:
                act()
            return Outcome(status, {"ok": False, "error": "internal_error"})
        case Slow(seconds):
            return replace(act(), wait=seconds)
        case Cut(effect):
            return replace(act() if effect else Outcome(0, {}), cut=True)


def encoded(kind: str, payload: dict[str, Any]) -> tuple[str, str]:
    """Content type and body of a delivery over HTTP."""
    match kind:
        case "slash_commands":
            return "application/x-www-form-urlencoded", urlencode(payload)
        case "interactive":
            form = urlencode({"payload": json.dumps(payload)})
            return "application/x-www-form-urlencoded", form
        case "events_api":
            return "application/json", json.dumps(payload)
        case _:
            raise ValueError(f"no such kind of payload: {kind}")


def signed(secret: str, timestamp: str, body: str) -> str:
    """Slack's signature of a request."""
    words = f"v0:{timestamp}:{body}".encode()
    return "v0=" + hmac.new(secret.encode(), words, hashlib.sha256).hexdigest()
