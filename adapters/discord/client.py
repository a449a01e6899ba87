"""Baton's client of the gateway: what discord.py hears goes to the door.

What is clicked is known by its custom id alone, so that buttons outlive every restart.
"""

import re
import sys
from collections.abc import Mapping
from typing import Any, Self, cast

import discord
from discord import ui

from adapters.discord.api import counting
from adapters.discord.commands import Commands
from adapters.discord.door import DiscordDoor
from adapters.discord.inbound import Interaction
from adapters.discord.shown import ACTS, CHOSEN
from bot import log

INTENTS = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
"""None of them is privileged: what mentions Baton can be read without the intent for content."""

_BUTTON = re.compile(rf"baton:(?P<act>{'|'.join(ACTS)}):(?P<value>[a-z0-9]{{1,8}}:\d{{1,9}})")
_CHOICE = re.compile(rf"baton:choose:(?P<verb>{'|'.join(CHOSEN)})")


class DiscordClient(discord.AutoShardedClient):
    """One login; it opens as many connections as Discord asks for."""

    def __init__(self, door: DiscordDoor, proxy: str | None = None) -> None:
        super().__init__(
            proxy=proxy,
            http_trace=counting(),
            intents=INTENTS,
            allowed_mentions=discord.AllowedMentions.none(),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
        )
        self.door = door
        self.commands = Commands(self, door)
        self.add_dynamic_items(RunButton, RunChoice)

    async def on_message(self, message: discord.Message) -> None:
        """Somebody wrote a message."""
        if self.user is not None:
            await self.door.said(message, self.user.id)

    async def on_interaction(self, interaction: Interaction) -> None:
        """Somebody clicked: discord.py calls the items below, and nothing for all the others."""
        if interaction.type is discord.InteractionType.component and not _is_known(interaction):
            await self.door.unknown(interaction)

    async def on_error(self, event_method: str, /, *_args: object, **_more: object) -> None:
        """Something broke that should not; the log has the rest."""
        error = sys.exception() or RuntimeError(event_method)
        log.fault("discord.hear_failed", error, heard=event_method)

    async def on_shard_ready(self, shard_id: int) -> None:
        """A connection is up."""
        log.event("discord.connect_completed", shard=shard_id)

    async def on_shard_resumed(self, shard_id: int) -> None:
        """A connection is up again, and has brought what was missed."""
        log.event("discord.resume_completed", shard=shard_id)

    async def on_shard_disconnect(self, shard_id: int) -> None:
        """A connection was lost; discord.py sees to another."""
        log.event("discord.connect_failed", shard=shard_id)


def _is_known(interaction: Interaction) -> bool:
    """Whether discord.py will find one of the items below: named so, and there on the message."""
    data: Mapping[str, Any] = interaction.data or {}
    named = str(data.get("custom_id"))
    message = interaction.message
    if message is None or not (_BUTTON.fullmatch(named) or _CHOICE.fullmatch(named)):
        return False
    items = (item for row in message.components for item in getattr(row, "children", ()))
    kind = data.get("component_type")
    return any(
        getattr(item, "custom_id", None) == named and item.type.value == kind for item in items
    )


def _door(interaction: Interaction) -> DiscordDoor:
    return cast("DiscordClient", interaction.client).door


class RunButton(ui.DynamicItem[ui.Button[ui.View]], template=_BUTTON):
    """Any button of Baton's; what it stands for is in its custom id."""

    def __init__(self, item: ui.Button[ui.View], act: str, value: str) -> None:
        super().__init__(item)
        self._act = act
        self._value = value

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button with this custom id."""
        return cls(cast("ui.Button[ui.View]", item), match["act"], match["value"])

    async def callback(self, interaction: Interaction) -> None:
        """It was clicked."""
        await _door(interaction).clicked(interaction, self._act, self._value)


class RunChoice(ui.DynamicItem[ui.Select[ui.View]], template=_CHOICE):
    """Any choice of a run; what is to be done with it is in its custom id."""

    def __init__(self, item: ui.Select[ui.View], verb: str) -> None:
        super().__init__(item)
        self._verb = verb

    @classmethod
    async def from_custom_id(
        cls, _interaction: Interaction, item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The choice with this custom id."""
        return cls(cast("ui.Select[ui.View]", item), match["verb"])

    async def callback(self, interaction: Interaction) -> None:
        """A run was chosen."""
        value = next(iter(self.item.values), "")
        await _door(interaction).chosen(interaction, self._verb, value)
