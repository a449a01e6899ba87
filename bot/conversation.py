"""Who said what, where and through which door."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Door(StrEnum):
    """Every way in. The words are part of the contract: scripts read them from the audit."""

    SLACK_SLASH = "slack-slash"
    SLACK_MENTION = "slack-mention"
    SLACK_BUTTON = "slack-button"
    SLACK_SHORTCUT = "slack-shortcut"
    DISCORD_SLASH = "discord-slash"
    DISCORD_BUTTON = "discord-button"
    DISCORD_MENTION = "discord-mention"
    WEB = "web"
    API = "api"
    CLI = "cli"
    TERMINAL = "terminal"
    WORKER = "worker"
    """Not a person: a worker changed the run."""


LOCAL_DOORS = frozenset({Door.CLI, Door.TERMINAL})
"""Whoever uses these can open the database file anyway."""

_TENANTED = frozenset({"slack", "discord"})


@dataclass(frozen=True, slots=True)
class Conversation:
    """A place where people talk to Baton, known by its key, such as `slack:T1:C1:171.2`."""

    key: str

    @property
    def platform(self) -> str:
        """The first part of the key: slack, discord, web, api, cli or terminal."""
        return self.key.partition(":")[0]

    @property
    def channel(self) -> str:
        """The key without its thread: where a channel finds its own runs and its threads'."""
        parts = self.key.split(":")
        return ":".join(parts[:3]) if self.platform == "slack" else self.key

    @property
    def is_thread(self) -> bool:
        """Whether the key names one thread of a channel."""
        return self.key != self.channel

    @property
    def tenant(self) -> str | None:
        """The Slack team or Discord guild, as a key; None where look-ups are not fenced in."""
        if self.platform not in _TENANTED:
            return None
        return ":".join(self.key.split(":")[:2])


@dataclass(frozen=True, slots=True)
class Author:
    """The person or script behind a message: an actor, and the groups that speak for it."""

    actor: str
    groups: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing said to Baton.

    `delivery` is the platform's id of this delivery, made unique by platform and tenant or
    actor; None where nothing can be repeated. `seen_epoch` is the epoch that a button, a picker
    or a flag showed. `addressed` is False where plain talk may be meant for others.
    `worker` is set when the caller will itself work on the run that it claims.
    """

    text: str
    conversation: Conversation
    author: Author
    door: Door
    delivery: str | None = None
    seen_epoch: int | None = None
    addressed: bool = True
    worker: str | None = None


def message_json(message: Message) -> dict[str, Any]:
    """A message as the store keeps it until it is carried out."""
    return {
        "text": message.text,
        "conversation": message.conversation.key,
        "actor": message.author.actor,
        "groups": sorted(message.author.groups),
        "door": message.door,
        "delivery": message.delivery,
        "seen_epoch": message.seen_epoch,
        "addressed": message.addressed,
    }


def message_of(stored: Mapping[str, Any]) -> Message:
    """The message that was stored."""
    return Message(
        text=stored["text"],
        conversation=Conversation(stored["conversation"]),
        author=Author(stored["actor"], frozenset(stored["groups"])),
        door=Door(stored["door"]),
        delivery=stored["delivery"],
        seen_epoch=stored["seen_epoch"],
        addressed=stored["addressed"],
    )


@dataclass(frozen=True, slots=True)
class Invocation:
    """One parsed use of a command: the verb, and the rest of the line as it was typed."""

    verb: str
    rest: str
    message: Message

    @property
    def fingerprint(self) -> str:
        """Tells a repeated delivery from another command under the same key."""
        said = f"{self.message.author.actor}\0{self.verb}\0{self.rest}"
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
