"""Who somebody is in Slack: their name, their groups, and whether they belong to the company."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from adapters.slack.api import SlackApi
from bot import log
from bot.access import EVERYONE
from bot.board import PostGoneError, PostLaterError, PostRefusedError, PostUncertainError
from bot.conversation import Author, Message

_PERSON_SECONDS = 600.0
_GROUP_SECONDS = 60.0
_GRACE_SECONDS = 900.0
_PATIENCE_SECONDS = 5.0
_MOST_KEPT = 10_000
_GROUP = "slack-group:"
_CHANNEL = "slack-channel:"
_OUTSIDE = ("is_restricted", "is_ultra_restricted", "is_stranger", "is_bot", "deleted")
_FAILURES = (PostGoneError, PostLaterError, PostRefusedError, PostUncertainError)


@dataclass(frozen=True, slots=True)
class Person:
    """What Slack knows of somebody."""

    name: str | None
    outsider: bool


_UNKNOWN = Person(None, outsider=True)
"""Whom Slack does not tell of is meant by no `everyone`."""

K = TypeVar("K")
V = TypeVar("V")


class _Memory(Generic[K, V]):
    """Answers of Slack, each good for some seconds; where Slack fails, a while longer."""

    def __init__(self, seconds: float, otherwise: V, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._otherwise = otherwise
        self._clock = clock
        self._kept: dict[K, tuple[float, V]] = {}

    async def get(self, key: K, look_up: Callable[[], Awaitable[V]]) -> V:
        """What is known, asked for anew where it is too old; `otherwise` where nothing is."""
        at, known = self._kept.get(key, (-_GRACE_SECONDS, self._otherwise))
        now = self._clock()
        if key in self._kept and now - at < self._seconds:
            return known
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                found = await look_up()
        except (*_FAILURES, TimeoutError) as error:
            log.event("person.look_rejected", reason=str(error) or type(error).__name__)
            return known if now - at < _GRACE_SECONDS else self._otherwise
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[key] = (now, found)
        return found


class People:
    """Looks people up, and remembers them for a while.

    `entries` are those of the access lists: only what one of them needs is asked for.
    """

    def __init__(
        self, api: SlackApi, entries: Collection[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._everyone = EVERYONE in entries
        self._groups = [entry for entry in entries if entry.startswith(_GROUP)]
        nobody: frozenset[str] = frozenset()
        self._persons = _Memory[tuple[str, str], Person](_PERSON_SECONDS, _UNKNOWN, clock)
        self._members = _Memory[tuple[str, str], frozenset[str]](_GROUP_SECONDS, nobody, clock)

    async def introduced(self, message: Message) -> Message:
        """The message with all that is to be known of its author."""
        team, channel = message.conversation.key.split(":")[1:3]
        author = message.author
        user = author.actor.removeprefix("slack:")
        person = Person(author.name, outsider=False)
        if self._everyone or author.name is None:
            person = await self._persons.get((team, user), partial(self._person, team, user))
        groups = frozenset({f"{_CHANNEL}{channel}", *await self._groups_of(team, user)})
        known = Author(author.actor, groups, author.name or person.name, person.outsider)
        return replace(message, author=known)

    async def _person(self, team: str, user: str) -> Person:
        answer = await self._api.call(team, "users.info", {"user": user})
        found = answer["user"]
        name = (found.get("profile") or {}).get("display_name") or found.get("real_name")
        outsider = any(found.get(trait) for trait in _OUTSIDE)
        return Person(name or found.get("name"), outsider=outsider)

    async def _groups_of(self, team: str, user: str) -> list[str]:
        found = []
        for entry in self._groups:
            look_up = partial(self._members_of, team, entry.removeprefix(_GROUP))
            if user in await self._members.get((team, entry), look_up):
                found.append(entry)
        return found

    async def _members_of(self, team: str, group: str) -> frozenset[str]:
        answer = await self._api.call(team, "usergroups.users.list", {"usergroup": group})
        return frozenset(answer["users"])
