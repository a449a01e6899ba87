"""What would keep Slack from working, found by asking Slack; `baton check` prints it."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.network import why
from adapters.slack.manifest import REQUIRED_SCOPES, SCOPES
from bot import remedies

TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class _Token:
    """A kind of token: where it stands, what proves it, how to get one."""

    setting: str
    kind: str
    begins: str
    method: str
    remedy: str


_BOT = _Token(
    "slack.bot_token",
    "a bot token",
    "xoxb-",
    "auth.test",
    "Install the app to your workspace, and put the bot token from its page OAuth & Permissions"
    " into SLACK_BOT_TOKEN.",
)
_APP = _Token(
    "slack.app_token",
    "an app-level token",
    "xapp-",
    "apps.connections.open",
    "Generate an app-level token with the scope connections:write on the app's page Basic"
    " Information, and put it into SLACK_APP_TOKEN.",
)
_KINDS = (_BOT, _APP)
_REFUSALS = {
    "account_inactive": "the app was removed, or its workspace is gone",
    "invalid_auth": "it is not known there, or not allowed from this network",
    "missing_scope": "it lacks a scope",
    "not_allowed_token_type": "it is of the wrong kind",
    "not_authed": "it is not known there",
    "token_expired": "it has expired",
    "token_revoked": "it was revoked",
}
_TRANSIENT = frozenset(
    {"fatal_error", "internal_error", "ratelimited", "request_timeout", "service_unavailable"}
)


async def diagnose(  # noqa: PLR0913 - one for each setting that it looks at
    *,
    bot_token: str,
    app_token: str,
    signing_secret: str,
    mode: str,
    api_url: str,
    oauth: bool = False,
) -> list[str]:
    """One sentence for each thing that would keep Slack from working; none if all is well.

    With `oauth` each workspace brings its own bot token, so that none need be configured.
    """
    tokens = [(_APP, app_token)] if mode == "socket" else []
    if bot_token or not oauth:
        tokens.insert(0, (_BOT, bot_token))
    problems = await _problems_of_tokens(tokens, api_url)
    if mode == "http" and not signing_secret:
        problems.append(remedies.no_signing_secret())
    return problems


async def _problems_of_tokens(tokens: list[tuple[_Token, str]], api_url: str) -> list[str]:
    """What is wrong with them by their looks, and if nothing is, what Slack says of them."""
    seen = {token.setting: _looks_wrong(token, value) for token, value in tokens}
    problems = [problem for problem in seen.values() if problem]
    host = _host(api_url)
    if host is None:
        return [*problems, remedies.unusable_address()]
    client = AsyncWebClient(
        base_url=f"{api_url.rstrip('/')}/", timeout=TIMEOUT_SECONDS, retry_handlers=[]
    )
    answers = await asyncio.gather(
        *(_ask(client, host, token, value) for token, value in tokens if not seen[token.setting])
    )
    # Two tokens meet the same unreachable host; that is said once.
    return list(dict.fromkeys(chain(problems, *answers)))


def _host(api_url: str) -> str | None:
    """The host alone, which is all of the address that may be shown; None if it is unusable."""
    try:
        parts = urlsplit(api_url)
    except ValueError:
        return None
    # The library cannot send a token beside a name that stands in the address.
    usable = parts.scheme in {"http", "https"} and "@" not in parts.netloc
    return parts.hostname if usable else None


def _looks_wrong(token: _Token, value: str) -> str | None:
    """What can be seen without asking (docs.slack.dev: Tokens)."""
    if not value:
        return remedies.token_missing(token.setting, token.remedy)
    for other in _KINDS:
        if other is not token and value.startswith(other.begins):
            return remedies.token_misplaced(token.setting, token.kind, other.kind)
    if not value.startswith(token.begins):
        return remedies.token_unlike(token.setting, token.kind, token.begins, token.remedy)
    if not re.fullmatch(r"[!-~]+", value):
        return remedies.token_broken(token.setting, token.remedy)
    return None


async def _ask(client: AsyncWebClient, host: str, token: _Token, value: str) -> list[str]:
    """What Slack says of a token; the library sends it in a header, never in the address."""
    try:
        answer = await client.api_call(token.method, params={"token": value})
    except SlackApiError as error:
        return [_refusal(host, token, error.response)]
    except (aiohttp.ClientError, OSError) as error:
        return [remedies.unreachable("Slack", host, why(error, TIMEOUT_SECONDS))]
    except (AttributeError, ValueError):
        # slack_sdk stumbles over a successful answer that is no JSON object.
        return [remedies.not_the_api("Slack", host, 200)]
    return list(_missing_scopes(answer.headers)) if token is _BOT else []


def _refusal(host: str, token: _Token, response: Any) -> str:  # noqa: ANN401 - of two libraries
    """The sentence for an answer that says no, or that is not Slack's."""
    data = getattr(response, "data", None)
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    # Only a word is repeated: whatever else answers there may echo the token.
    if not re.fullmatch(r"[a-z_]{1,60}", code):
        status: int = getattr(response, "status_code", None) or response.status
        return remedies.not_the_api("Slack", host, status)
    if code in _TRANSIENT:
        return remedies.token_unproven("Slack", token.setting, code)
    reason = f"{_REFUSALS[code]} ({code})" if code in _REFUSALS else code
    return remedies.token_refused("Slack", token.setting, reason, token.remedy)


def _missing_scopes(headers: Mapping[str, Any]) -> Iterator[str]:
    """What the token lacks, by the header that Slack sends with every answer.

    See docs.slack.dev: Installing with OAuth. A proxy may drop it; then nothing is known.
    """
    granted = headers.get("x-oauth-scopes")
    if granted is None:
        return
    scopes = {scope.strip() for scope in str(granted).split(",")}
    for scope, use in SCOPES.items():
        if scope not in scopes:
            yield remedies.scope_missing(scope, use, required=scope in REQUIRED_SCOPES)
