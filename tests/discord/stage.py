"""A Baton in Discord for one test, with what people see of it; its log is read at the end."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select

from bot.bootstrap import Installation, Service
from bot.ports import Transaction
from bot.run import Run
from store.database import Database
from store.tables import deliveries
from tests.conftest import DEADLINE_SECONDS, Person
from tests.discord.double import Channel, Discord, Interaction, SentMessage
from tests.discord.house import installation_in, left_behind, open_cards, place_run, talking
from tests.discord.payloads import buttons_of, click, slash
from tests.discord.payloads import select as choose
from tests.discord.records import Json

T = TypeVar("T")
_TITLE = re.compile(r"\*\*.+\*\* `([a-z0-9]{8})`\n")
_NEWS = re.compile(r"(?:<@\d+> )?[\w-]+ ([a-z0-9]{8}) (?:is |waits |failed |completed)")


def labels(message: SentMessage) -> list[str]:
    """The buttons of a message."""
    return list(buttons_of(message.components))


def copy_of(card: SentMessage) -> SentMessage:
    """A message as somebody still sees it whose screen is behind."""
    return replace(card, components=list(card.components), edits=[])


def _posted(discord: Discord, pattern: re.Pattern[str], run_id: str) -> list[SentMessage]:
    found = []
    for message in discord.posted:
        named = pattern.match(message.content)
        if named and named[1] == run_id and message.interaction is None:
            found.append(message)
    return found


def cards(discord: Discord, run_id: str) -> list[SentMessage]:
    """Every card that was ever posted for a run; there should be one."""
    return _posted(discord, _TITLE, run_id)


def news(discord: Discord, run_id: str) -> list[SentMessage]:
    """What was announced of a run."""
    own = {card.id for card in cards(discord, run_id)}
    return [one for one in _posted(discord, _NEWS, run_id) if one.reference in own]


def more_channels(discord: Discord, *names: str) -> None:
    """Channels that Baton sees."""
    discord.channels.update({name: Channel(name) for name in names})


def log_of(state: Path) -> list[Json]:
    """What the log of this installation says."""
    return [json.loads(line) for line in (state / "baton.log").read_text().splitlines()]


def assert_clean_log(state: Path, discord: Discord) -> None:
    """No traceback, no token."""
    broken = [entry for entry in log_of(state) if "traceback" in entry]
    assert not broken, broken[0]["traceback"]
    text = (state / "baton.log").read_text()
    for token in discord.interactions:
        assert token not in text


@dataclass(frozen=True)
class Said:
    """One thing that Baton said: in a `channel`, a `direct` message, or `private`."""

    how: str
    shown: SentMessage
    user: str | None = None

    @property
    def text(self) -> str:
        return self.shown.content


def _said(message: SentMessage) -> Said:
    if message.ephemeral:
        return Said("private", message, message.audience)
    if message.guild is None:
        return Said("direct", message, message.channel.removeprefix("60"))
    return Said("channel", message)


@dataclass
class Stage:
    """Baton, its Discord, and somebody at a terminal; what it has said since `listen`."""

    discord: Discord
    service: Service
    installation: Installation
    _heard: int = field(default=0)
    _received: int = field(default=0)

    @property
    def ben(self) -> Person:
        """Somebody at a terminal on Baton's own host."""
        return Person(self.service, "ben")

    @property
    def database(self) -> Database:
        return self.installation.database

    # --- the database ---------------------------------------------------------------------

    async def read(self, look: Callable[[Transaction], T]) -> T:
        return await self.service.store.read(look)

    async def gets(self, run_id: str, holds: Callable[[Run], bool]) -> Run:
        """Wait until this holds for the run."""
        return await self.ben.sees(run_id, holds)

    async def run(self, run_id: str) -> Run:
        return await self.gets(run_id, lambda run: True)

    async def runs(self) -> set[str]:
        """The ids of all runs."""
        return {run.id for run in await self.read(lambda tx: tx.runs.recent(None, None))}

    async def audit(self, run_id: str, verb: str) -> list[tuple[str, str, str]]:
        """Outcome, door and actor of each event about this run with this verb."""
        found = await self.read(lambda tx: tx.audit.of(run_id))
        return [(one.outcome, one.door, one.actor) for one in found if one.verb == verb]

    def received(self) -> list[str]:
        """The key of every delivery there is."""
        with self.database.connect() as connection:
            return list(connection.execute(select(deliveries.c.key)).scalars())

    async def _until(self, holds: Callable[[], Awaitable[object]]) -> None:
        watch = self.service.store.watch()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not await holds():
                    await watch.changed(1)
        finally:
            watch.close()

    async def answered(self, fresh: int = 0) -> None:
        """Wait until nobody waits for an answer, and so many messages came since `listen`."""

        async def holds() -> bool:
            came = len(self.received()) - self._received
            return came >= fresh and not await self.read(lambda tx: list(tx.deliveries.due()))

        await self._until(holds)

    async def current(self) -> None:
        """Wait until no card is behind its run."""

        async def holds() -> bool:
            return not await self.read(lambda tx: list(tx.cards.due("discord:", "discord;", "")))

        await self._until(holds)

    async def has(self, *states: str, channel: str = "500", **columns: Any) -> list[str]:
        """Runs in these states, each with its card; their ids."""
        ids = [place_run(self.database, state, channel, **columns) for state in states]
        await self.opens(*ids)
        return ids

    async def opens(self, *ids: str) -> None:
        """Runs that were placed get their cards."""
        await self.service.store.write(lambda tx: open_cards(tx, list(ids)))
        await self.current()

    # --- people ---------------------------------------------------------------------------

    async def starts(self, workflow: str, **where: Any) -> str:
        """Somebody starts a run in Discord; its id."""
        known = await self.runs()
        await self.told(slash("run", {"workflow": workflow}, **where))
        (new,) = await self.runs() - known
        return new

    async def told(self, payload: Json) -> Interaction:
        """Somebody does this, and has an answer."""
        asked = await self.discord.interact(payload)
        await self.discord.until(lambda: asked.answered or is_taken_back(asked))
        return asked

    async def private(self, payload: Json) -> str:
        """The same, where the answer is for nobody else; what it says."""
        asked = await self.told(payload)
        assert asked.original
        assert (asked.original.ephemeral, asked.original.audience) == (True, asked.user)
        return asked.original.content

    async def cancels(self, message: SentMessage, user: str = "1") -> Interaction:
        """Somebody clicks Cancel, and says yes to the question."""
        asked = await self.told(click(message, "Cancel", user))
        assert asked.original
        return await self.told(click(asked.original, "Cancel run", user))

    async def chooses(self, shown: SentMessage, run_id: str, user: str = "1") -> Interaction:
        """Somebody takes this run from a choice."""
        return await self.told(choosing(shown, run_id, user))

    # --- what is seen ---------------------------------------------------------------------

    async def shows(self, run_id: str, *wanted: str, seconds: float = 10) -> SentMessage:
        """Wait until the newest card of a run says all of this; that card."""

        def shown() -> bool:
            found = cards(self.discord, run_id)
            return bool(found) and all(one in found[-1].content for one in wanted)

        await self.discord.until(shown, seconds)
        return cards(self.discord, run_id)[-1]

    def card(self, run_id: str) -> SentMessage:
        """The one card of a run."""
        (card,) = cards(self.discord, run_id)
        return card

    def listen(self) -> None:
        """Only what is said from now on counts."""
        self._heard = len(self.discord.posted)
        self._received = len(self.received())

    def said(self) -> list[Said]:
        """What people have been answered since, in the order of its beginning."""
        return [
            _said(one)
            for one in self.discord.posted[self._heard :]
            if not (one.deleted or one.loading or is_unasked(one))
        ]

    async def does(self, payload: Json) -> list[Said]:
        """Somebody does this; what Baton has said to it once it is done with it."""
        self.listen()
        await self.told(payload)
        await self.answered()
        return self.said()


def is_taken_back(asked: Interaction) -> bool:
    """Whether there was a promise of an answer, which then stood somewhere else."""
    return asked.original is not None and asked.original.loading and asked.original.deleted


def choosing(shown: SentMessage, run_id: str, user: str = "1") -> Json:
    """Somebody is about to take this run from a choice."""
    options = shown.components[0]["components"][0]["options"]
    (value,) = [one["value"] for one in options if run_id in one["value"]]
    return choose(shown, value, user)


def is_unasked(message: SentMessage) -> bool:
    """Whether this is a card or news of a run, and no answer: it may come at any moment."""
    if message.interaction is not None:
        return False
    if _TITLE.match(message.content):
        return True
    return message.reference is not None and bool(_NEWS.match(message.content))


@asynccontextmanager
async def on_stage(
    discord: Discord, tmp_path: Path, repository: Path, /, *, concurrency: int = 2, **sections: Any
) -> AsyncIterator[Stage]:
    """Baton, connected; afterwards its log is clean, and nothing of it goes on."""
    installation = installation_in(tmp_path, repository, discord, **sections)
    async with talking(installation, concurrency=concurrency) as service:
        await discord.connected(1)
        yield Stage(discord, service, installation)
    assert left_behind() == [], left_behind()
    assert_clean_log(tmp_path / "state", discord)
