"""The guilds that the Discord double plays, and waiting for something in them to change."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.discord import shapes
from tests.discord.limits import Wrong
from tests.discord.permissions import BITS, DIRECTLY, USUAL, bit, permissions
from tests.discord.records import (
    BOT,
    BOT_ROLE,
    DIRECT,
    GUILD,
    OTHER_GUILD,
    SECONDS_TO_RESPOND,
    TOKEN,
    Call,
    Channel,
    Fault,
    Guild,
    Interaction,
    Json,
    Role,
    SentMessage,
    all_channels,
    direct_channel,
)


class DiscordError(Exception):
    """Discord's no to a call."""

    def __init__(self, status: int, code: int, message: str, errors: Json | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code
        self.body: Json = {"message": message, "code": code}
        if errors:
            self.body["errors"] = errors


@dataclass
class Ordered:
    """A fault for a route, so many times."""

    method: str
    pattern: str
    fault: Fault
    count: int

    def meets(self, method: str, path: str) -> bool:
        return self.method in {method, "*"} and fnmatchcase(path, self.pattern)


class State:
    """All that a test may prepare before, and read afterwards."""

    def __init__(self) -> None:
        self.base = ""
        self.token = TOKEN
        self.shards = 1
        self.application_flags = 0
        self.nonce_seconds = 300.0
        self.seconds_to_respond = SECONDS_TO_RESPOND
        self.echo = True  # whether what the bot does comes back as events, as Discord does it
        self.guilds = {one.id: one for one in (_guild(GUILD, "900", "901"), _guild(OTHER_GUILD))}
        self.channels = all_channels()
        self.roles: dict[str, list[str]] = {BOT: [BOT_ROLE]}
        self.outsiders: set[str] = set()
        self.no_dms: set[str] = set()

        self.commands: defaultdict[str, dict[str, Json]] = defaultdict(dict)  # "" is global
        self.messages: dict[str, SentMessage] = {}
        self.posted: list[SentMessage] = []
        self.said: dict[str, Json] = {}
        self.in_channel: defaultdict[str, set[str]] = defaultdict(set)
        self.nonces: dict[str, tuple[float, SentMessage]] = {}
        self.uploads: dict[str, bytes] = {}
        self.interactions: dict[str, Interaction] = {}  # by token
        self.calls: list[Call] = []
        self._faults: list[Ordered] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._numbers = itertools.count(1)

    @property
    def gateway_url(self) -> str:
        """Where the websocket is."""
        return f"{self.base.replace('http', 'ws', 1)}/gateway"

    def fail(self, method: str, pattern: str, fault: Fault, count: int = 1) -> None:
        """Let the next calls of a route fail; its path below the version may hold "*"."""
        self._faults.append(Ordered(method, pattern, fault, count))

    def next_fault(self, method: str, path: str) -> Fault | None:
        """The fault that this call meets."""
        for one in self._faults:
            if one.meets(method, path):
                one.count -= 1
                if not one.count:
                    self._faults.remove(one)
                return one.fault
        return None

    def called(self, method: str = "*", pattern: str = "*") -> list[Call]:
        """The calls of one route so far."""
        return [
            call
            for call in self.calls
            if method in {call.method, "*"} and fnmatchcase(call.path, pattern)
        ]

    def changed(self) -> None:
        """Wake everybody who waits."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def until(self, predicate: Callable[[], object], timeout: float = 10) -> None:
        """Wait until this holds; it is asked again after each change in the double.

        A test whose predicate looks at a bot's own memory has the bot call `changed`.
        """
        try:
            async with asyncio.timeout(timeout):
                while not predicate():
                    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiting.append(future)
                    await future
        except TimeoutError:
            recent = "\n".join(f"  {call}" for call in self.calls[-12:])
            raise AssertionError(f"not within {timeout} s; the last calls:\n{recent}") from None

    def emit(self, kind: str, data: Json) -> None:
        """An event for every session; the gateway sends it."""
        raise NotImplementedError

    def channels_of(self, guild: str, *, threads: bool = False) -> list[Channel]:
        """The channels of a guild, or its threads."""
        return [
            one
            for one in self.channels.values()
            if one.guild == guild and one.is_thread is threads and not one.deleted
        ]

    def channel(self, channel_id: str) -> Channel:
        """A channel that is there; direct ones are there for the asking."""
        found = self.channels.get(channel_id)
        if found is None and channel_id.startswith("60") and len(channel_id) > len("60"):
            found = self.direct(channel_id.removeprefix("60"))
        if found is None or found.deleted:
            raise DiscordError(404, 10003, "Unknown Channel")
        if found.guild and found.guild not in self.guilds:
            raise DiscordError(403, 50001, "Missing Access")
        return found

    def direct(self, user: str) -> Channel:
        """The direct conversation with somebody."""
        where = direct_channel(user)
        if where not in self.channels:
            self.channels[where] = Channel(where, None, DIRECT, user=user)
        return self.channels[where]

    def add_guild(self, guild_id: str, name: str = "") -> Guild:
        """Another guild with the bot in it; best done before anybody connects."""
        self.guilds[guild_id] = _guild(guild_id)
        self.guilds[guild_id].name = name or f"guild{guild_id}"
        return self.guilds[guild_id]

    def add_channel(self, channel_id: str, **about: Any) -> Channel:
        """Another channel or thread: the fields of a Channel."""
        made = self.channels[channel_id] = Channel(channel_id, **about)
        self.emit("THREAD_CREATE" if made.is_thread else "CHANNEL_CREATE", shapes.channel(made))
        return made

    def add_role(self, role_id: str, name: str = "", guild: str = GUILD) -> Role:
        """Another role of a guild."""
        roles = self.guilds[guild].roles
        made = roles[role_id] = Role(role_id, name or f"role{role_id}")
        self.emit("GUILD_ROLE_CREATE", {"guild_id": guild, "role": shapes.role(made, len(roles))})
        return made

    def deny(self, channel: str, *names: str) -> None:
        """Take permissions from the bot in a channel; in a thread that means in its parent."""
        for name in names:
            self._ruling(channel).denied |= bit(name)
        self._tell_of(self._ruling(channel))

    def allow(self, channel: str, *names: str) -> None:
        """Give them back."""
        for name in names:
            self._ruling(channel).denied &= ~bit(name)
        self._tell_of(self._ruling(channel))

    def grant(self, *names: str, guild: str = GUILD) -> None:
        """Give the bot permissions in a whole guild, by its role."""
        role = self.guilds[guild].roles[BOT_ROLE]
        for name in names:
            role.permissions |= bit(name)
        self.emit("GUILD_ROLE_UPDATE", {"guild_id": guild, "role": shapes.role(role, 1)})

    def set_thread(self, thread: str, *, archived: bool = False, locked: bool = False) -> None:
        """Archive or lock a thread, or open it again."""
        found = self.channels[thread]
        found.archived, found.locked = archived, locked
        self._tell_of(found)

    def delete_channel(self, channel: str) -> None:
        """Somebody deletes a channel or thread."""
        found = self.channels[channel]
        found.deleted = True
        kind = "THREAD_DELETE" if found.is_thread else "CHANNEL_DELETE"
        self.emit(kind, shapes.channel(found))

    def delete_message(self, message_id: str) -> None:
        """Somebody deletes a message, the bot's or a person's."""
        if message_id in self.messages:
            one = self.messages[message_id]
            one.deleted = True
            channel, guild = one.channel, one.guild
        else:
            said = self.said.pop(message_id)
            channel, guild = said["channel_id"], said.get("guild_id")
        self.in_channel[channel].discard(message_id)
        gone = {"id": message_id, "channel_id": channel}
        self.emit("MESSAGE_DELETE", gone | ({"guild_id": guild} if guild else {}))

    def permissions(self, channel: Channel, user: str = BOT) -> int:
        """What somebody may do in a channel."""
        if channel.guild is None:
            return DIRECTLY
        guild = self.guilds[channel.guild]
        denied = self._ruling(channel.id).denied
        return permissions(guild, user, self.roles_of(user, guild.id), channel, denied)

    def may(self, channel: Channel, name: str) -> bool:
        """Whether the bot may do this in a channel."""
        return channel.guild is None or bool(self.permissions(channel) & BITS[name])

    def roles_of(self, user: str, guild: str) -> list[str]:
        """The roles of somebody in a guild: a role of another guild is none."""
        others = {role for one in self.guilds.values() if one.id != guild for role in one.roles}
        own = self.guilds[guild].roles if guild in self.guilds else {}
        return [role for role in self.roles.get(user, ()) if role in own or role not in others]

    def keep(self, message: SentMessage) -> SentMessage:
        """A message appears."""
        self.messages[message.id] = message
        self.posted.append(message)
        if not message.ephemeral:
            self.in_channel[message.channel].add(message.id)
        return message

    def show(self, message: SentMessage) -> Json:
        """A message of the bot's, with what it answers."""
        if message.reference is None:
            return shapes.message(message)
        return shapes.message(message, self.find(message.reference))

    def find(self, message_id: str) -> Json | None:
        """Any message that is still there, as Discord shows it."""
        if message_id in self.messages:
            one = self.messages[message_id]
            return None if one.deleted else shapes.message(one)
        return self.said.get(message_id)

    def author_of(self, message_id: str) -> str | None:
        """Who wrote a message."""
        if message_id in self.messages:
            return self.messages[message_id].author
        return self.said[message_id]["author"]["id"] if message_id in self.said else None

    def tell_of_message(self, kind: str, message: SentMessage) -> None:
        """What the bot did comes back to it as an event."""
        if self.echo and not message.ephemeral:
            shown = self.show(message)
            if message.guild:
                roles = self.roles_of(BOT, message.guild)
                shown |= {"guild_id": message.guild, "member": shapes.membership(roles)}
            self.emit(kind, shown)

    def _ruling(self, channel: str) -> Channel:
        """The channel whose overwrites count."""
        found = self.channel(channel)
        return self.channels[found.parent] if found.is_thread and found.parent else found

    def _tell_of(self, channel: Channel) -> None:
        kind = "THREAD_UPDATE" if channel.is_thread else "CHANNEL_UPDATE"
        self.emit(kind, shapes.channel(channel))


def refuse(wrong: Iterable[Wrong]) -> None:
    """Discord's no to a form, if anything in it is wrong."""
    errors: Json = {}
    for path, code, message in wrong:
        place: Any = errors
        for step in path.split("."):
            place = place.setdefault(step, {})
        place.setdefault("_errors", []).append({"code": code, "message": message})
    if errors:
        raise DiscordError(400, 50035, "Invalid Form Body", errors)


def _guild(guild_id: str, *roles: str) -> Guild:
    everybody = Role(guild_id, "@everyone", USUAL)
    every = [
        everybody,
        Role(BOT_ROLE, "Baton", managed=True),
        *(Role(one, f"role{one}") for one in roles),
    ]
    return Guild(guild_id, f"guild{guild_id}", {one.id: one for one in every})
