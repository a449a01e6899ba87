"""Joins the parts of the Discord door, and keeps it connected to the gateway."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from adapters.discord.api import DiscordApi, interactions_session
from adapters.discord.board import DiscordBoard
from adapters.discord.client import DiscordClient
from adapters.discord.door import DiscordDoor
from adapters.discord.inbound import Clerk
from adapters.discord.interactions import Interactions
from adapters.discord.voice import DiscordVoice
from adapters.network import proxy_for
from bot import log, tenure
from bot.attendant import Attendant, Counter, Inside
from bot.keeper import CardKeeper, Desk
from bot.speaker import Speaker

_AGAIN_SECONDS = 2.0
_AT_MOST_SECONDS = 90.0
"""Discord takes a token away from a bot that identifies itself 1,000 times a day."""
_CANCEL_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscordSetup:
    """How this Baton is joined to Discord; `kept` remembers which commands are registered where."""

    token: str
    guild_ids: Collection[int]
    api_url: str
    gateway_url: str
    kept: Path


@asynccontextmanager
async def discord_door(setup: DiscordSetup, inside: Inside) -> AsyncIterator[Callable[[], bool]]:
    """Discord is answered inside of this; at the end nothing more is taken, and all is answered.

    Yields what tells whether it is connected.
    """
    point_at(setup.api_url, setup.gateway_url)
    # What matters is logged by ourselves.
    logging.getLogger("discord").setLevel(logging.CRITICAL)
    async with interactions_session(tenure.guard(inside.presence)) as session:
        api = DiscordApi(session)
        interactions = Interactions(api)
        attendant = Attendant(counter_of(inside, api, interactions))
        door = DiscordDoor(attendant, inside.dispatcher, interactions, Clerk(setup.guild_ids))
        line = _Line(setup, api, door)
        attending = asyncio.create_task(attendant.attend())
        connecting = asyncio.create_task(line.keep_connected())
        try:
            yield lambda: line.connected
            await line.hang_up()
            await attendant.drain()
        finally:
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)
            await _ended(connecting)


async def _ended(connecting: asyncio.Task[None]) -> None:
    """Cancel it for good: discord.py swallows a cancellation while it connects anew."""
    while not connecting.done():
        connecting.cancel()
        await asyncio.wait([connecting], timeout=_CANCEL_AGAIN_SECONDS)


def point_at(api_url: str, gateway_url: str) -> None:
    """Have discord.py, which knows no setting for it, talk to this Discord."""
    Route.BASE = api_url.rstrip("/")
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)


def counter_of(inside: Inside, api: DiscordApi, interactions: Interactions) -> Counter:
    """The parts of the door, joined."""
    desk = Desk("discord", inside.owner)
    return Counter(
        platform="discord",
        inside=inside,
        speaker=Speaker(DiscordVoice(api, interactions), inside.store),
        keeper=CardKeeper(desk, inside.store, DiscordBoard(api), inside.presence),
    )


class _Line:
    """The connection to the gateway, made anew for as long as it takes."""

    def __init__(self, setup: DiscordSetup, api: DiscordApi, door: DiscordDoor) -> None:
        self._setup = setup
        self._api = api
        self._door = door
        self._client: DiscordClient | None = None

    async def keep_connected(self) -> None:
        """Log in and listen until cancelled; discord.py itself mends what is merely cut."""
        pause = _AGAIN_SECONDS
        while True:
            client = self._client = DiscordClient(self._door, proxy_for(self._setup.api_url))
            begun = time.monotonic()
            try:
                await client.login(self._setup.token)
                await self._listen(client)
            except Exception as error:  # noqa: BLE001 - whatever answers there now, Discord may later
                log.event("discord.connect_rejected", reason=f"{type(error).__name__}: {error}")
            finally:
                self._api.speak_through(None, None)
                await client.close()
            if time.monotonic() - begun > _AT_MOST_SECONDS:
                pause = _AGAIN_SECONDS
            await asyncio.sleep(pause)
            pause = min(pause * 2, _AT_MOST_SECONDS)

    async def _listen(self, client: DiscordClient) -> None:
        self._api.speak_through(client.http, client.user.id if client.user else None)
        # Discord may put a registration off for hours; what is registered works meanwhile.
        register = client.commands.register(self._setup.guild_ids, self._setup.kept)
        registering = asyncio.create_task(_logged(register))
        try:
            client.shard_count = await _shards(client)
            await client.connect()
        finally:
            registering.cancel()
            await asyncio.gather(registering, return_exceptions=True)

    @property
    def connected(self) -> bool:
        """Whether the gateway brings what is said: discord.py calls a lost one ready as well."""
        client = self._client
        if client is None or not client.is_ready():
            return False
        return not any(shard.is_closed() for shard in client.shards.values())

    async def hang_up(self) -> None:
        """Take nothing more; what is under way can still be answered."""
        if self._client is not None:
            for shard in self._client.shards.values():
                await shard.disconnect()


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    """Nobody waits for this work, so what breaks in it is told by the log."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - see above
        log.fault("discord.register_failed", error)


async def _shards(client: DiscordClient) -> int:
    """How many connections Discord asks for; the address is the configured one."""
    try:
        wanted, _, _ = await client.http.get_bot_gateway()
    except (discord.GatewayNotFound, discord.HTTPException):
        return 1
    return wanted
