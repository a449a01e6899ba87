"""Who said what, where and through which door."""

import hashlib
from collections.abc import Mapping, Sequence
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


BUTTON_DOORS = frozenset({Door.SLACK_BUTTON, Door.DISCORD_BUTTON})
"""What is clicked here stands on a card, or on a choice that Baton offered."""

LOCAL_DOORS = frozenset({Door.CLI, Door.TERMINAL})
"""Whoever uses these can open the database file anyway."""

AWAITED_DOORS = frozenset({Door.API, Door.WEB})
"""Whoever asks here waits for an answer before they go on from it, or does not care for order."""

_DIRECT_IN_DISCORD = "discord:@me:"
Fence = tuple[str, str]
"""Conversation keys from the first, up to and without the second."""

_WITH_CARDS = frozenset({"slack", "discord", "terminal"})


@dataclass(frozen=True, slots=True)
class Conversation:
    """A place where people talk to Baton, known by its key, such as `slack:T1:C1:171.2`.

    `parent` is the key of the channel that a thread belongs to, where the thread's own key does
    not tell it.
    """

    key: str
    parent: str | None = field(default=None, compare=False)

    @property
    def platform(self) -> str:
        """The first part of the key: slack, discord, web, api, cli or terminal."""
        return self.key.partition(":")[0]

    @property
    def channel(self) -> str:
        """The key without its thread: where a channel finds its own runs and its threads'."""
        if self.platform == "slack":
            return ":".join(self.key.split(":")[:3])
        return self.parent or self.key

    @property
    def thread(self) -> str | None:
        """What names the thread within its channel; None outside of threads."""
        if self.parent is not None:
            return self.key.rpartition(":")[2]
        return self.key[len(self.channel) + 1 :] or None

    @property
    def has_cards(self) -> bool:
        """Whether people see the cards of their runs here."""
        return self.platform in _WITH_CARDS

    @property
    def fence(self) -> Fence | None:
        """The conversations whose runs may be named here; None where all may be.

        Those of the Slack team or Discord guild; a direct message in Discord belongs to no guild,
        and so sees only itself.
        """
        if self.platform == "discord" and self.key.startswith(_DIRECT_IN_DISCORD):
            return self.key, f"{self.key}\0"
        if self.platform not in {"slack", "discord"}:
            return None
        tenant = ":".join(self.key.split(":")[:2])
        return f"{tenant}:", f"{tenant};"


@dataclass(frozen=True, slots=True)
class Author:
    """The person or script behind a message: an actor, and the groups that speak for it.

    `name` is what the platform calls them. An `outsider` (a guest, somebody of another company)
    is not meant by `everyone`.
    """

    actor: str
    groups: frozenset[str] = field(default_factory=frozenset)
    name: str | None = None
    outsider: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing said to Baton.

    `delivery` is the platform's id of this delivery, made unique by platform and tenant or
    actor; None where nothing can be repeated. `seen_epoch` is the epoch that a button, a picker
    or a flag showed. `addressed` is False where plain talk may be meant for others.
    `words` are what follows the verb, where it came as words of its own and not as a line.
    `worker` is set when the caller will itself work on the run that it claims. `reply_to` says
    where the answer goes, in words that only the adapter understands.
    """

    text: str
    conversation: Conversation
    author: Author
    door: Door
    delivery: str | None = None
    seen_epoch: int | None = None
    addressed: bool = True
    worker: str | None = None
    reply_to: Mapping[str, str] = field(default_factory=dict)
    words: Sequence[str] | None = None

    @property
    def verb(self) -> str:
        """The first word, as commands are called; empty where there is none."""
        return (self.text.split(maxsplit=1) or [""])[0].removeprefix("/").lower()


def message_json(message: Message) -> dict[str, Any]:
    """A message as the store keeps it until its answer was taken."""
    return {
        "text": message.text,
        "conversation": message.conversation.key,
        "parent": message.conversation.parent,
        "actor": message.author.actor,
        "groups": sorted(message.author.groups),
        "name": message.author.name,
        "outsider": message.author.outsider,
        "door": message.door,
        "delivery": message.delivery,
        "seen_epoch": message.seen_epoch,
        "addressed": message.addressed,
        "reply_to": dict(message.reply_to),
    }


def message_of(stored: Mapping[str, Any]) -> Message:
    """The message that was stored."""
    return Message(
        text=stored["text"],
        conversation=Conversation(stored["conversation"], stored.get("parent")),
        author=Author(
            stored["actor"], frozenset(stored["groups"]), stored["name"], stored["outsider"]
        ),
        door=Door(stored["door"]),
        delivery=stored["delivery"],
        seen_epoch=stored["seen_epoch"],
        addressed=stored["addressed"],
        reply_to=stored["reply_to"],
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
        rest = self.rest if self.message.words is None else "\0".join(self.message.words)
        seen = self.message.seen_epoch
        condition = "" if seen is None else f"\0{seen}"
        said = f"{self.message.author.actor}\0{self.verb}\0{rest}{condition}"
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
