"""What would keep Discord from working, found by asking Discord; `baton check` prints it.

Baton needs no privileged intent, so there is none that could be missing.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import discord
from discord.http import HTTPClient, Route

from adapters.discord import routes
from adapters.discord.invite import PERMISSIONS, invitation
from adapters.network import proxy_for, why
from bot import notices

TIMEOUT_SECONDS = 10
_CHANNEL = "discord-channel:"
_SETTING = "discord.token"


async def diagnose(
    *, token: str, guild_ids: Collection[int], api_url: str, entries: Collection[str]
) -> list[str]:
    """One sentence for each thing that would keep Discord from working; none if all is well."""
    Route.BASE = api_url.rstrip("/")
    host = urlsplit(api_url).hostname or api_url
    client = discord.Client(intents=discord.Intents.none(), proxy=proxy_for(api_url))
    try:
        async with client, asyncio.timeout(TIMEOUT_SECONDS):
            bot = await client.http.static_login(token.strip())
            return [problem async for problem in _problems(client.http, bot, guild_ids, entries)]
    except discord.LoginFailure:
        reason = "it is not known there, or was reset"
        remedy = notices.discord_token_remedy()
        return [notices.token_refused("Discord", _SETTING, reason, remedy)]
    except discord.HTTPException as error:
        return [_refusal(host, error)]
    except (aiohttp.ClientError, OSError) as error:
        return [notices.unreachable("Discord", host, why(error, TIMEOUT_SECONDS))]
    except (AttributeError, KeyError, TypeError, ValueError):
        # discord.py stumbles over an answer that is not Discord's.
        return [notices.not_the_api("Discord", host, HTTPStatus.OK)]


def _refusal(host: str, error: discord.HTTPException) -> str:
    passing = error.status == HTTPStatus.TOO_MANY_REQUESTS
    if passing or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return notices.token_unproven("Discord", _SETTING, f"HTTP status {error.status}")
    return notices.not_the_api("Discord", host, error.status)


async def _problems(
    http: HTTPClient, bot: Mapping[str, Any], guild_ids: Collection[int], entries: Collection[str]
) -> AsyncIterator[str]:
    address = invitation(str(bot["id"]))
    guilds = await http.request(Route("GET", "/users/@me/guilds"))
    found = {int(guild["id"]): guild for guild in guilds}
    if not found:
        yield notices.discord_nowhere(address)
    for missing in sorted(set(guild_ids) - found.keys()):
        yield notices.discord_not_in(missing, address)
    for guild_id, guild in found.items():
        if guild_ids and guild_id not in guild_ids:
            continue
        for problem in _missing_permissions(guild, address):
            yield problem
        if guild_ids and not await _takes_commands(http, str(bot["id"]), guild_id):
            yield notices.discord_without_commands(guild["name"], address)
    for channel_id in _channels(entries):
        if not await _sees(http, channel_id):
            yield notices.discord_channel_closed(channel_id)


def _missing_permissions(guild: Mapping[str, Any], address: str) -> list[str]:
    held = discord.Permissions(int(guild["permissions"]))
    return [
        notices.discord_may_not(guild["name"], name.replace("_", " ").title(), use, address)
        for name, use in PERMISSIONS.items()
        if not held.administrator and not getattr(held, name)
    ]


def _channels(entries: Collection[str]) -> list[str]:
    return sorted(e.removeprefix(_CHANNEL) for e in entries if e.startswith(_CHANNEL))


async def _takes_commands(http: HTTPClient, application_id: str, guild_id: int) -> bool:
    try:
        await http.get_guild_commands(int(application_id), guild_id)
    except discord.Forbidden:
        return False
    return True


async def _sees(http: HTTPClient, channel_id: str) -> bool:
    try:
        await http.request(routes.channel("GET", channel_id))
    except (discord.Forbidden, discord.NotFound):
        return False
    return True
