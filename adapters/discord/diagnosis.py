"""What would keep Discord from working, found by asking Discord; `baton check` prints it.

Baton needs no privileged intent, so there is none that could be missing.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import discord

from adapters.discord.invite import PERMISSIONS, invitation
from adapters.network import why
from bot import remedies

TIMEOUT_SECONDS = 10
_CHANNEL = "discord-channel:"
_SETTING = "discord.token"
_LISTED = 200
_CLOSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})


@dataclass(frozen=True, slots=True)
class _Asking:
    """Asks Discord in the bot's name; discord.py would go on asking where Discord fails."""

    session: aiohttp.ClientSession
    api_url: str

    async def get(self, path: str) -> Any:  # noqa: ANN401 - Discord's answer
        """The answer, or _RefusedError with its status."""
        async with self.session.get(f"{self.api_url}{path}") as answer:
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise _RefusedError(answer.status)
            return await answer.json()

    async def may(self, path: str) -> bool:
        """Whether this is there, and open to the bot."""
        try:
            await self.get(path)
        except _RefusedError as refused:
            if refused.status not in _CLOSED:
                raise
            return False
        return True


class _RefusedError(Exception):
    """Discord answered with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def diagnose(
    *, token: str, guild_ids: Collection[int], api_url: str, entries: Collection[str]
) -> list[str]:
    """One sentence for each thing that would keep Discord from working; none if all is well."""
    if len(token.split()) > 1 or not token.isascii():
        return [remedies.token_broken(_SETTING, remedies.discord_token_remedy())]
    host = urlsplit(api_url).hostname or api_url
    headers = {"Authorization": f"Bot {token.strip()}"}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with aiohttp.ClientSession(
            headers=headers, timeout=timeout, trust_env=True
        ) as session:
            asking = _Asking(session, api_url.rstrip("/"))
            return [problem async for problem in _problems(asking, guild_ids, entries)]
    except _RefusedError as refused:
        return [_refusal(host, refused.status)]
    except (aiohttp.ContentTypeError, AttributeError, KeyError, TypeError, ValueError):
        return [remedies.not_the_api("Discord", host, HTTPStatus.OK)]
    except (aiohttp.ClientError, OSError) as error:
        return [remedies.unreachable("Discord", host, why(error, TIMEOUT_SECONDS))]


def _refusal(host: str, status: int) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        reason = "it is not known there, or was reset"
        remedy = remedies.discord_token_remedy()
        return remedies.token_refused("Discord", _SETTING, reason, remedy)
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return remedies.token_unproven("Discord", _SETTING, f"HTTP status {status}")
    return remedies.not_the_api("Discord", host, status)


async def _problems(
    asking: _Asking, guild_ids: Collection[int], entries: Collection[str]
) -> AsyncIterator[str]:
    bot = str((await asking.get("/users/@me"))["id"])
    address = invitation(bot)
    found = {int(guild["id"]): guild for guild in await _guilds(asking)}
    if not found:
        yield remedies.discord_nowhere(address)
    for missing in sorted(set(guild_ids) - found.keys()):
        yield remedies.discord_not_in(missing, address)
    for guild_id, guild in found.items():
        if guild_ids and guild_id not in guild_ids:
            continue
        for problem in _missing_permissions(guild, address):
            yield problem
        commands = f"/applications/{bot}/guilds/{guild_id}/commands"
        if guild_ids and not await asking.may(commands):
            yield remedies.discord_without_commands(guild["name"], address)
    for channel_id in _channels(entries):
        if not await asking.may(f"/channels/{channel_id}"):
            yield remedies.discord_channel_closed(channel_id)


async def _guilds(asking: _Asking) -> list[Mapping[str, Any]]:
    """Every server that the bot is in; Discord lists so many at a time."""
    found: list[Mapping[str, Any]] = []
    while True:
        after = found[-1]["id"] if found else "0"
        page = await asking.get(f"/users/@me/guilds?limit={_LISTED}&after={after}")
        found += page
        if len(page) < _LISTED:
            return found


def _missing_permissions(guild: Mapping[str, Any], address: str) -> list[str]:
    held = discord.Permissions(int(guild["permissions"]))
    return [
        remedies.discord_may_not(guild["name"], name.replace("_", " ").title(), use, address)
        for name, use in PERMISSIONS.items()
        if not held.administrator and not getattr(held, name)
    ]


def _channels(entries: Collection[str]) -> list[str]:
    return sorted(e.removeprefix(_CHANNEL) for e in entries if e.startswith(_CHANNEL))
