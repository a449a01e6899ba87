"""Calls of Discord's REST API, with what can go wrong told apart in the product's own words.

discord.py itself waits out rate limits and repeats what Discord failed at; what reaches this
module has been tried.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
import discord
from discord.http import HTTPClient, Route
from discord.webhook.async_ import async_context

from adapters.discord import routes
from adapters.network import guarded
from bot.board import PostGoneError, PostLaterError, PostRefusedError, PostUncertainError
from bot.meter import METER

_TIMEOUT = aiohttp.ClientTimeout(total=15)
_UNREACHABLE_SECONDS = 2.0
Json = Mapping[str, Any]

# docs.discord.com: topics/opcodes-and-status-codes
UNKNOWN_MESSAGE = 10008
UNKNOWN_INTERACTION = 10062
ALREADY_ACKNOWLEDGED = 40060
CANNOT_REPLY = 160002
CANNOT_DIRECT = 50007
ARCHIVED_THREAD = 50083


class RefusedError(PostRefusedError):
    """Discord will not have this; `code` is Discord's own."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text file that comes with a message."""

    name: str
    text: str


def interactions_session(check: Callable[[], None]) -> aiohttp.ClientSession:
    """What answers to interactions share; they need no login, and know no common limit."""
    return aiohttp.ClientSession(
        timeout=_TIMEOUT,
        connector=aiohttp.TCPConnector(limit=0),
        trust_env=True,
        request_class=guarded(check),
        trace_configs=[counting()],
    )


def counting() -> aiohttp.TraceConfig:
    """Counts whenever Discord asks for patience; discord.py waits that out without telling."""

    async def ended(_session: object, _context: object, end: aiohttp.TraceRequestEndParams) -> None:
        if end.response.status == HTTPStatus.TOO_MANY_REQUESTS:
            METER.asked_for_patience["discord"] += 1

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ended)
    return trace


class DiscordApi:
    """One call at a time; channels need a login, answers to interactions do not."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._http: HTTPClient | None = None
        self._own_id = ""

    def speak_through(self, http: HTTPClient | None, own_id: int | None) -> None:
        """Use this login from now on; None: there is none at the moment."""
        self._http = http
        self._own_id = str(own_id)

    async def call(
        self, route: Route, body: Json | None = None, attachment: Attachment | None = None
    ) -> Any:  # noqa: ANN401 - Discord's answer
        """Discord's answer. Raises the errors of bot.board."""
        if self._http is None:
            raise PostLaterError("Discord is not connected", _UNREACHABLE_SECONDS)
        more: dict[str, Any] = {"timeout": _TIMEOUT}
        if attachment is not None:
            files = [_file(attachment)]
            more |= {"files": files, "form": _form(body or {}, files)}
        elif body is not None:
            more["json"] = dict(body)
        try:
            return await self._http.request(route, **more)
        except FAILURES as error:
            raise _told(error) from error

    async def repeatable(self, route: Route, body: Json | None = None) -> Any:  # noqa: ANN401 - Discord's answer
        """The same for what has its effect once, however often it is called."""
        with certain():
            return await self.call(route, body)

    async def post(self, channel: str, body: Json, attachment: Attachment | None = None) -> Json:
        """Post a message: as a reply, or plainly where Baton may not read the history."""
        try:
            posted: Json = await self.call(routes.posts(channel), body, attachment)
        except RefusedError as refused:
            if refused.code != CANNOT_REPLY or "message_reference" not in body:
                raise
            plain = {name: value for name, value in body.items() if name != "message_reference"}
            posted = await self.call(routes.posts(channel), plain, attachment)
        return posted

    async def find(self, channel: str, matches: Callable[[Json], bool]) -> str | None:
        """The newest of our own among the last messages in a channel that matches."""
        for message in await self.repeatable(routes.newest(channel)):
            if message["author"]["id"] == self._own_id and matches(message):
                return str(message["id"])
        return None

    async def interaction(
        self, route: Route, body: Json | None = None, attachment: Attachment | None = None
    ) -> Any:  # noqa: ANN401 - Discord's answer
        """A call about an interaction, in the name of its token. All of them may be repeated."""
        more: dict[str, Any] = {}
        if attachment is not None:
            files = [_file(attachment)]
            more |= {"files": files, "multipart": _form(body or {}, files)}
        elif body is not None:
            more["payload"] = dict(body)
        try:
            return await async_context.get().request(route, self._session, **more)
        except FAILURES as error:
            with certain():
                raise _told(error) from error


@contextmanager
def certain() -> Iterator[None]:
    """For what has its effect once, however often it is called: nothing is uncertain there."""
    try:
        yield
    except PostUncertainError as uncertain:
        raise PostLaterError(str(uncertain), _UNREACHABLE_SECONDS) from uncertain


FAILURES = (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError)


def _file(attachment: Attachment) -> discord.File:
    return discord.File(io.BytesIO(attachment.text.encode("utf-8")), filename=attachment.name)


def _form(body: Json, files: list[discord.File]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"name": "payload_json", "value": json.dumps(dict(body))}]
    for number, file in enumerate(files):
        parts.append(
            {
                "name": f"files[{number}]",
                "value": file.fp,
                "filename": file.filename,
                "content_type": "text/plain",
            }
        )
    return parts


def _told(error: Exception) -> Exception:
    """What an error means for what was to be said."""
    if isinstance(error, discord.RateLimited):
        return PostLaterError("Discord asked for patience", error.retry_after)
    if isinstance(error, discord.HTTPException):
        return _by_status(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return PostLaterError("Discord cannot be reached", _UNREACHABLE_SECONDS)
    return PostUncertainError(f"the connection was lost ({type(error).__name__})")


def _by_status(error: discord.HTTPException) -> Exception:
    reason = f"Discord answered {error.status}, code {error.code}"
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        headers: Mapping[str, str] = error.response.headers
        seconds = float(headers.get("Retry-After", _UNREACHABLE_SECONDS))
        return PostLaterError("Discord asked for patience", seconds)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return PostUncertainError(reason, fault=True)
    if error.code == UNKNOWN_MESSAGE:
        return PostGoneError(reason)
    return RefusedError(reason, error.code)
