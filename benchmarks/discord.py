"""Discord end to end: interaction in, answer out, beside discord.py with an empty handler."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import aiohttp
import discord
from discord import app_commands

from adapters.discord.api import DiscordApi
from adapters.discord.client import DiscordClient
from adapters.discord.connect import counter_of
from adapters.discord.door import DiscordDoor
from adapters.discord.inbound import Clerk
from adapters.discord.interactions import Interactions
from adapters.presence import PresenceFiles
from benchmarks import house
from benchmarks.figures import Effort, Figure, Pair, interleaved, rate
from bot import log
from bot.attendant import Attendant, Inside
from bot.dispatcher import Dispatcher
from bot.locks import ConversationLocks

CALLERS = 16
_RUNS = 6000
_GUILD = 700


@dataclass(frozen=True, slots=True)
class _Taken:
    """Discord's answer to an answer: it was taken."""

    status = 204
    headers: Mapping[str, str] = field(default_factory=dict)

    async def text(self, encoding: str) -> str:  # noqa: ARG002 - as aiohttp's
        return ""


@dataclass
class _NoNetwork:
    """Takes every request at once, and tells when an interaction was answered."""

    came_out: dict[str, asyncio.Event] = field(default_factory=dict)

    @asynccontextmanager
    async def request(self, _method: str, url: str, **_more: object) -> Any:  # noqa: ANN401 - as aiohttp's
        parts = url.split("/")
        if parts[-1] == "callback":
            self.came_out.pop(parts[-3]).set()
        yield _Taken()


_ids = itertools.count(discord.utils.time_snowflake(discord.utils.utcnow()))


def _payload(number: int) -> dict[str, Any]:
    channel = str(500 + number % 64)
    user = {"id": str(number + 1), "username": "ana", "discriminator": "0", "avatar": None}
    member = {"roles": ["900"], "joined_at": "2026-01-01T00:00:00+00:00", "permissions": "0"}
    option = {"name": "run", "type": 3, "value": house.run_name(number)}
    return {
        "id": str(next(_ids)),
        "application_id": "100",
        "type": 2,
        "token": f"token-{number}",
        "version": 1,
        "guild_id": str(_GUILD),
        "channel_id": channel,
        "channel": {"id": channel, "type": 0, "name": "ops", "position": 0, "permissions": "0"},
        "member": {"user": user, "deaf": False, "mute": False, "flags": 0, **member},
        "entitlements": [],
        "authorizing_integration_owners": {},
        "attachment_size_limit": 1000,
        "context": 0,
        "data": {"id": "5", "name": "resume", "type": 1, "options": [option]},
    }


@dataclass
class _Side:
    """A client that is fed interactions, as its gateway would."""

    client: discord.Client
    network: _NoNetwork

    async def carry_out(self, number: int) -> None:
        """One interaction, until its answer came out."""
        payload = _payload(number)
        answered = self.network.came_out[payload["id"]] = asyncio.Event()
        self.client._connection.parse_interaction_create(payload)  # type: ignore[arg-type] # noqa: SLF001
        await answered.wait()


def _empty_client() -> discord.Client:
    client = discord.Client(intents=discord.Intents.none())
    tree = app_commands.CommandTree(client)

    @tree.command(name="resume", description="nothing")
    async def resume(interaction: discord.Interaction[discord.Client], run: str) -> None:  # noqa: ARG001 - does nothing
        await interaction.response.send_message("Resuming.")

    return client


def _connected(client: discord.Client, network: _NoNetwork) -> _Side:
    client.http._HTTPClient__session = network  # type: ignore[attr-defined] # noqa: SLF001
    own = {"id": "100", "username": "Baton", "discriminator": "0", "avatar": None, "bot": True}
    client.loop = asyncio.get_running_loop()
    state = client._connection  # noqa: SLF001
    state.user = discord.ClientUser(state=state, data=own)  # type: ignore[arg-type]
    return _Side(client, network)


async def _measured(effort: Effort) -> Pair:
    folder = effort.place("discord")
    log.write_to(folder / "baton.log")
    database = house.database_in(folder)
    place = f"discord:{_GUILD}"
    house.fill(database, (house.run_row(n, f"{place}:{500 + n % 64}") for n in range(_RUNS)))
    store = database.open_store()
    store.start()
    dispatcher = Dispatcher(store, house.conductor_in(folder), ConversationLocks(), "bench")
    presence = PresenceFiles(folder / "presence")
    inside = Inside(store=store, dispatcher=dispatcher, presence=presence, owner="bench")
    network, idle = _NoNetwork(), _NoNetwork()
    api = DiscordApi(cast("aiohttp.ClientSession", network))
    interactions = Interactions(api)
    attendant = Attendant(counter_of(inside, api, interactions))
    door = DiscordDoor(attendant, dispatcher, interactions, Clerk())
    baton = _connected(DiscordClient(door), network)
    empty = _connected(_empty_client(), idle)

    async def ours() -> float:
        house.restore(database)
        return await rate(effort.seconds, CALLERS, range(_RUNS), baton.carry_out)

    other = partial(rate, effort.seconds, CALLERS, range(_RUNS), empty.carry_out)
    pair = await interleaved(effort.rounds, ours, other)
    await attendant.drain()
    await store.close()
    return pair


def measure(effort: Effort) -> Iterator[Figure]:
    """Interactions a second, each of which won, was carried out and answered."""
    pair = asyncio.run(_measured(effort))
    yield Figure(
        name=f"discord_{CALLERS}",
        value=pair.ours,
        unit="commands/s",
        ratio=pair.ratio,
        of=f"discord.py's empty handler, {pair.other:.0f} commands/s",
    )
