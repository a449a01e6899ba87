"""Calls of Slack's Web API, with what can go wrong told apart in the product's own words."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from adapters.network import guarded
from bot.board import (
    PostGoneError,
    PostLaterError,
    PostRefusedError,
    PostUncertainError,
)
from bot.meter import METER

TIMEOUT_SECONDS = 30
_UNREACHABLE_SECONDS = 2.0
_MOST_PAGES = 10
_READING = frozenset(
    {"conversations.history", "conversations.replies", "users.info", "usergroups.users.list"}
)
"""Methods that take no JSON (docs.slack.dev: web-api)."""

_NOT_THERE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_TOKEN_ERRORS = frozenset({"account_inactive", "invalid_auth", "token_expired", "token_revoked"})
_MAYBE_DONE = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})


class Clients(Protocol):
    """Whose token speaks to which workspace."""

    async def of(self, team: str) -> AsyncWebClient:
        """The client for this workspace. Raises PostRefusedError where Baton is not installed."""

    def forget(self, team: str) -> None:
        """Look this workspace up anew: its token was refused."""


class OneWorkspace:
    """Implements Clients for one bot token."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client

    async def of(self, team: str) -> AsyncWebClient:  # noqa: ARG002 - there is only one
        """The one client there is."""
        return self._client

    def forget(self, team: str) -> None:
        """There is no other token."""


def http_session(check: Callable[[], None]) -> aiohttp.ClientSession:
    """What all calls share; the SDK leaves the time limit to a session that it is given."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS), request_class=guarded(check)
    )


def web_client(token: str | None, api_url: str, session: aiohttp.ClientSession) -> AsyncWebClient:
    """A client that never repeats a call by itself.

    The SDK's default repeats a call whose connection was cut, and so posts twice what Slack had
    taken already (docs.slack.dev: chat.postMessage knows no idempotency key).
    """
    return AsyncWebClient(
        token=token,
        base_url=api_url,
        session=session,
        retry_handlers=[],
    )


class SlackApi:
    """One call at a time, in the name of the workspace that it concerns."""

    def __init__(self, clients: Clients, session: aiohttp.ClientSession) -> None:
        self._clients = clients
        self._session = session

    async def call(self, team: str, method: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Slack's answer. Raises the errors of bot.ports.Board."""
        client = await self._clients.of(team)
        try:
            if method in _READING:
                answer = await client.api_call(method, http_verb="GET", params=dict(values))
            else:
                answer = await client.api_call(method, json=dict(values))
        except SlackApiError as error:
            told = _repeatable(method, _told(error))
            if str(told) in _TOKEN_ERRORS:
                self._clients.forget(team)
            raise told from error
        except (TimeoutError, aiohttp.ClientError) as error:
            raise _repeatable(method, _cut(error)) from error
        data = answer.data
        assert isinstance(data, dict)  # noqa: S101 - what the JSON API answers
        return data

    async def find(
        self, team: str, channel: str, thread: str | None, payload: Mapping[str, Any]
    ) -> str | None:
        """The newest message of ours whose metadata has this payload, in a channel or a thread.

        Raises the same errors; PostRefusedError where the scope to look is missing.
        """
        values: dict[str, Any] = {"channel": channel, "include_all_metadata": True, "limit": 200}
        method = "conversations.replies" if thread else "conversations.history"
        if thread:
            values["ts"] = thread
        for _ in range(_MOST_PAGES):
            answer = await self.call(team, method, values)
            for found in answer["messages"]:
                if (found.get("metadata") or {}).get("event_payload") == payload:
                    return str(found["ts"])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            # A channel comes newest first, a thread oldest first.
            if not cursor or not thread:
                break
            values["cursor"] = cursor
        return None

    async def respond(self, url: str, body: Mapping[str, Any]) -> None:
        """Answer an interaction at the address that came with it. Raises the same errors.

        Good for five answers within 30 minutes (docs.slack.dev: interactivity/handling).
        """
        client = AsyncWebhookClient(url, session=self._session, retry_handlers=[])
        try:
            answer = await client.send_dict(dict(body))
        except (TimeoutError, aiohttp.ClientError) as error:
            raise _cut(error) from error
        wrong = _by_status(answer.status_code, answer.headers)
        if wrong is not None:
            raise wrong


def _repeatable(method: str, error: Exception) -> Exception:
    """What may be repeated as often as needed is never uncertain."""
    if isinstance(error, PostUncertainError) and method in _READING | {"chat.update"}:
        return PostLaterError(str(error), _UNREACHABLE_SECONDS)
    return error


def _cut(error: Exception) -> Exception:
    if isinstance(error, aiohttp.ClientConnectorError):
        return PostLaterError("Slack cannot be reached", _UNREACHABLE_SECONDS)
    return PostUncertainError(f"the connection was lost ({type(error).__name__})")


def _by_status(status: int, headers: Mapping[str, Any]) -> Exception | None:
    """What the status of an HTTP answer means, where it is no success."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        METER.asked_for_patience["slack"] += 1
        return PostLaterError("Slack asked for patience", float(headers.get("Retry-After", 1)))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return PostUncertainError(f"Slack answered {status}", fault=True)
    if status >= HTTPStatus.BAD_REQUEST:
        return PostRefusedError(f"Slack answered {status}")
    return None


def _told(error: SlackApiError) -> Exception:
    """What Slack's own answer means."""
    response: Any = error.response
    status = int(getattr(response, "status_code", None) or getattr(response, "status", 0) or 0)
    reason = str(response.get("error") or "") if hasattr(response, "get") else ""
    by_status = _by_status(status, response.headers)
    if by_status is not None and not isinstance(by_status, PostRefusedError):
        return by_status
    if reason == "ratelimited":
        return PostLaterError("Slack asked for patience", 1.0)
    if reason in _MAYBE_DONE:
        return PostUncertainError(reason, fault=True)
    return PostGoneError(reason) if reason in _NOT_THERE else PostRefusedError(reason)
