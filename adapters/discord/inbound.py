"""From what Discord sends to a message: every way in ends in the same few words.

What can be read where is in docs.discord.com: interactions/receiving-and-responding and
events/gateway#message-content-intent.
"""

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import discord

from adapters.discord.shown import CHOICE_PREFIX, KEEP_PREFIX
from bot.conversation import Author, Conversation, Door, Message
from bot.words import clean

_CALLED = re.compile(r"\s*<@!?(\d+)>[\s,:]*(.*)", re.DOTALL)
_VALUE = re.compile(r"([a-z0-9]{1,8}):(\d{1,9})")
_LONGEST_VALUE = 80
_LONGEST_NAME = 80
_SAID = frozenset({discord.MessageType.default, discord.MessageType.reply})

Interaction = discord.Interaction[discord.Client]


class Origin(StrEnum):
    """What an interaction began with: it decides what its first answer can be."""

    COMMAND = "command"
    """Typed, or clicked on a message that everybody sees: the answer is a message of its own."""
    CHOICE = "choice"
    """Clicked on a message that one person sees: the answer takes its place."""


@dataclass(frozen=True, slots=True)
class Clerk:
    """Writes down who said what where; `guild_ids` are those whose members `everyone` means."""

    guild_ids: Collection[int] = ()

    # --- interactions ------------------------------------------------------------------------

    def typed(
        self, interaction: Interaction, verb: str, values: Mapping[str, str | None]
    ) -> Message:
        """An app command with its options in their order."""
        return self._message(interaction, _line(verb, values), Door.DISCORD_SLASH, None)

    def clicked(self, interaction: Interaction, verb: str, value: str) -> Message:
        """A click, or a choice, for a run at the epoch that was shown."""
        known = _VALUE.fullmatch(value)
        run, epoch = (known[1], int(known[2])) if known else (value[:_LONGEST_VALUE] or "?", None)
        return self._message(interaction, f"{verb} {run}", Door.DISCORD_BUTTON, epoch)

    def _message(
        self, interaction: Interaction, text: str, door: Door, epoch: int | None
    ) -> Message:
        guild = interaction.guild_id
        place = _place(guild, interaction.channel_id or 0, interaction.channel)
        return Message(
            text=text,
            conversation=place,
            author=self._author(interaction.user, guild, place),
            door=door,
            delivery=f"discord:{guild or '@me'}:{interaction.id}",
            seen_epoch=epoch,
            reply_to={
                "interaction": str(interaction.id),
                "token": interaction.token,
                "application": str(interaction.application_id),
                "origin": _origin(interaction),
                "choice": _open_choice(interaction),
                "user": str(interaction.user.id),
            },
        )

    def _author(
        self, user: discord.User | discord.Member, guild: int | None, place: Conversation
    ) -> Author:
        channels = {place.key, place.channel}
        groups = [f"discord-channel:{key.rpartition(':')[2]}" for key in channels]
        groups += [f"discord-role:{role}" for role in _roles(user)]
        known = not self.guild_ids or guild in self.guild_ids
        outsider = user.bot or guild is None or not known
        name = clean(user.display_name, _LONGEST_NAME)
        return Author(f"discord:{user.id}", frozenset(groups), name, outsider)

    # --- talk --------------------------------------------------------------------------------

    def said(self, message: discord.Message, own_id: int) -> Message | None:
        """A mention, or a word in a direct message. What bots say is no command."""
        if message.author.bot or message.webhook_id or message.type not in _SAID:
            return None
        called = _CALLED.fullmatch(message.content)
        ours = called is not None and int(called[1]) == own_id
        guild = message.guild.id if message.guild else None
        if not ours and guild is not None:
            return None
        text = called[2] if called is not None and ours else message.content
        place = _place(guild, message.channel.id, message.channel)
        return Message(
            text=text.strip() or ("help" if ours else ""),
            conversation=place,
            author=self._author(message.author, guild, place),
            door=Door.DISCORD_MENTION,
            delivery=f"discord:{guild or '@me'}:{message.id}",
            addressed=ours,
            reply_to={"message": str(message.id), "user": str(message.author.id)},
        )


def is_direct(place: Conversation) -> bool:
    """Whether this is a conversation with one person."""
    return place.key.split(":")[1] == "@me"


def channel_of(place: Conversation) -> str:
    """The id of the channel or thread."""
    return place.key.rpartition(":")[2]


def _place(guild: int | None, channel_id: int, channel: object) -> Conversation:
    tenant = f"discord:{guild or '@me'}"
    parent = channel.parent_id if isinstance(channel, discord.Thread) else None
    return Conversation(f"{tenant}:{channel_id}", f"{tenant}:{parent}" if parent else None)


def _origin(interaction: Interaction) -> Origin:
    """A message that one person alone sees is changed by the answer; no other is."""
    clicked = interaction.message
    if clicked is None:
        return Origin.COMMAND
    alone = interaction.guild_id is None and _has(clicked, CHOICE_PREFIX, KEEP_PREFIX)
    return Origin.CHOICE if clicked.flags.ephemeral or alone else Origin.COMMAND


def _open_choice(interaction: Interaction) -> str:
    """The id of a choice that everybody sees; empty for everything else that was clicked."""
    clicked = interaction.message
    if clicked is None or _origin(interaction) is Origin.CHOICE:
        return ""
    return str(clicked.id) if _has(clicked, CHOICE_PREFIX) else ""


def _has(message: discord.Message, *prefixes: str) -> bool:
    """Whether a message holds something of this kind to click: a choice, or a question."""
    items = (item for row in message.components for item in getattr(row, "children", ()))
    return any(str(getattr(item, "custom_id", "")).startswith(prefixes) for item in items)


def _roles(user: discord.User | discord.Member) -> Collection[int]:
    # Member.roles leaves out what is not known yet of a guild that has just been joined.
    return user._roles if isinstance(user, discord.Member) else ()  # noqa: SLF001 - see above


def _line(verb: str, values: Mapping[str, str | None]) -> str:
    """The options as they would be typed; a workflow with spaces in it stays one word."""
    said = [verb]
    for name, value in values.items():
        if value is not None:
            said.append(shlex.quote(value) if name == "workflow" else value)
    return " ".join(said)
