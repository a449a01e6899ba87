"""Joins Discord with the rest of Baton; imported only where somebody needs Discord."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.routing import BaseRoute

from adapters.demo import DEMO_SETTINGS
from adapters.discord.connect import DiscordSetup, discord_door
from adapters.discord.diagnosis import diagnose
from adapters.discord.invite import application_of, invitation
from bot import config
from bot.bootstrap import Installation, Service


def invite(config_file: str | None, application_id: str | None) -> str:
    """The address where Baton is added to a Discord server; the database is not touched.

    Raises ConfigurationError where nothing says which application that is.
    """
    settings, _ = config.current(config_file, DEMO_SETTINGS)
    token = settings.discord.token.get_secret_value()
    return invitation(application_id or application_of(token))


async def diagnosed(installation: Installation) -> list[str]:
    """A sentence for each thing that would keep Discord from working."""
    discord = installation.settings.discord
    return await diagnose(
        token=discord.token.get_secret_value(),
        guild_ids=discord.guild_ids,
        api_url=discord.api_url,
        entries=installation.conductor.policy.entries,
    )


@asynccontextmanager
async def platform(
    installation: Installation, service: Service
) -> AsyncIterator[Sequence[BaseRoute]]:
    """Discord is answered inside of this; it calls nobody."""
    discord = installation.settings.discord
    setup = DiscordSetup(
        token=discord.token.get_secret_value(),
        guild_ids=discord.guild_ids,
        api_url=discord.api_url,
        gateway_url=discord.gateway_url,
        kept=installation.state / "discord-commands.json",
    )
    async with discord_door(setup, installation.inside(service)) as connected:
        service.connected["discord"] = connected
        yield ()
