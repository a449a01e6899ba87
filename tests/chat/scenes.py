"""A scene in a chat platform: runs with their cards, people who say and click things.

What is the same on every platform is here; how a platform shows it is told by its own scene.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from sqlalchemy import select, update

from bot.bootstrap import Installation, Service
from bot.outcome import AuditEvent
from bot.ports import Transaction
from bot.run import Run
from store.database import Database
from store.tables import deliveries, events, runs
from tests.conftest import DEADLINE_SECONDS
from tests.store.factories import STATES, impossible, now_of, row_of

T = TypeVar("T")
Json = dict[str, Any]
Spot = tuple[str, str | None]
"""A channel, and what names the place in it: a thread, or the message that is replied to."""
Where = tuple[str, str, Spot]
"""How and where something is said, and in between to whom alone; that is empty for everybody."""

Beside = tuple[str, str, str]
"""The same, wherever in the channel."""


@dataclass(frozen=True)
class Said:
    """One thing that Baton said; `shown` is the platform's own record of it.

    `how` is the platform's way to say it; `user` is the one person whom it is for, and empty
    where it is for everybody.
    """

    how: str
    user: str
    place: Spot
    text: str
    shown: Any

    @property
    def where(self) -> Where:
        return self.how, self.user, self.place

    @property
    def beside(self) -> Beside:
        return self.how, self.user, self.place[0]


@dataclass(frozen=True)
class Room:
    """A conversation by its key, and the key of the channel that it is in."""

    conversation: str
    channel: str

    @property
    def columns(self) -> dict[str, str]:
        """Where a run is that was asked for here."""
        return {"conversation": self.conversation, "channel": self.channel}


class Scene(ABC):
    """A Baton in a chat platform, and what it has said there since `listen`."""

    platform: ClassVar[str]
    doors: ClassVar[Mapping[str, str]]
    """Every way in, with its word in the audit."""
    spoken: ClassVar[tuple[str, ...]]
    """The doors at which something is said, with or without the id of a run."""
    cannot: ClassVar[frozenset[tuple[str, str]]]
    """What nobody can do there: a door, and a verb or text."""
    first_move: ClassVar[Mapping[str, str]] = {}
    """What the first move at a door asks for already, where that is not the verb itself."""
    stays_open: ClassVar[frozenset[str]] = frozenset()
    """The doors at which a choice can be used again once it was carried out."""
    to_forged: ClassVar[str]
    """How the answer begins to a click on what Baton never showed."""

    ana: ClassVar[str]
    """An operator, who does all that is done by nobody else."""
    cleo: ClassVar[str]
    """A viewer."""
    zoe: ClassVar[str]
    """Somebody whom no list names."""

    next_door: ClassVar[Room]
    """Another channel of the same tenant."""
    fenced: ClassVar[frozenset[str]] = frozenset()
    """The doors at which nobody sees what is next door."""
    abroad: ClassVar[Room]
    """A channel of another tenant."""

    service: Service
    installation: Installation

    @property
    def database(self) -> Database:
        return self.installation.database

    def actor(self, user: str) -> str:
        return f"{self.platform}:{user}"

    # --- the database ---------------------------------------------------------------------

    async def read(self, look: Callable[[Transaction], T]) -> T:
        return await self.service.store.read(look)

    async def until(self, look: Callable[[Transaction], T], holds: Callable[[T], object]) -> T:
        """Wait until this holds for what is read."""
        watch = self.service.store.watch()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not holds(found := await self.read(look)):
                    await watch.changed(1)
                return found
        finally:
            watch.close()

    async def run(self, run_id: str) -> Run:
        run = await self.read(lambda tx: tx.runs.get(run_id))
        assert run is not None
        return run

    async def audit(self, run_id: str, verb: str) -> list[tuple[str, str, str]]:
        """Outcome, door and actor of each event about this run with this verb."""
        found = await self.read(lambda tx: tx.audit.of(run_id))
        return [brief(event) for event in found if event.verb == verb]

    def recorded(self) -> list[tuple[str, str, str, str]]:
        """Verb, outcome, door and actor of every event there is."""
        columns = (events.c.verb, events.c.outcome, events.c.door, events.c.actor)
        with self.database.connect() as connection:
            found = connection.execute(select(*columns).order_by(events.c.id))
            return [(verb, outcome, door, actor) for verb, outcome, door, actor in found]

    def received(self) -> list[str]:
        """The key of every delivery there is."""
        with self.database.connect() as connection:
            return list(connection.execute(select(deliveries.c.key)).scalars())

    async def answered(self) -> None:
        """Wait until nobody waits for an answer."""
        await self.until(lambda tx: tx.deliveries.due(), lambda due: not due)

    async def settled(self) -> None:
        """Wait until every card shows its run."""
        first, last = f"{self.platform}:", f"{self.platform};"
        await self.until(lambda tx: tx.cards.due(first, last, ""), lambda due: not due)

    async def has(self, *states: str, **columns: Any) -> list[str]:
        """Runs in these states, each with its card; their ids."""
        ids = [self.place_run(state, **columns) for state in states]
        await self.service.store.write(lambda tx: open_cards(tx, ids))
        await self.settled()
        return ids

    def become(self, run_id: str, state: str) -> None:
        become(self.database, run_id, state)

    # --- what is done and said ---------------------------------------------------------------

    async def does(self, move: Json) -> list[Said]:
        """Somebody does this; what Baton says to it once it is done with it."""
        self.listen()
        await self.send(move)
        await self.answered()
        return self.said()

    async def told(self, move: Json) -> Said:
        """Somebody does this; the one thing that Baton says to it."""
        (said,) = await self.does(move)
        return said

    # --- what people do ----------------------------------------------------------------------

    @abstractmethod
    async def way(self, door: str, verb: str, rest: str, user: str) -> Json:
        """What somebody does at a door for a run, up to its last move."""

    @abstractmethod
    def from_next_door(self, door: str, verb: str, run_id: str) -> Json:
        """Ana asks for this in another channel."""

    @abstractmethod
    def by_name(self, text: str) -> Json:
        """Ana says this to Baton alone, and calls it by its name all the same."""

    @abstractmethod
    def talk(self) -> Mapping[str, Json]:
        """What people say that is none of Baton's business."""

    @abstractmethod
    def offers(self, offered: Said) -> int:
        """How many runs can be chosen here."""

    @abstractmethod
    async def choose(self, offered: Said, verb: str, run_id: str) -> Json:
        """Ana takes this run from the choice that she was shown, up to the last move."""

    @abstractmethod
    def left_open(self) -> bool:
        """Whether what was clicked last can be clicked once more."""

    @abstractmethod
    def forged(self, click: Json, value: str) -> Json:
        """The same click, as if the button stood for this."""

    @abstractmethod
    async def send(self, move: Json) -> None:
        """The platform tells Baton of this; returns once Baton has taken it."""

    # --- where it is seen --------------------------------------------------------------------

    @abstractmethod
    def place_run(self, state: str, **columns: Any) -> str:
        """Put a run in this state, asked for in the usual channel, last changed by ben."""

    @abstractmethod
    def here(self, door: str) -> Room:
        """Where ana speaks at this door while there is no card."""

    @abstractmethod
    def home(self, door: str, user: str) -> Room:
        """Where a run is that somebody can name at this door."""

    @abstractmethod
    def starts_at(self, door: str, move: Json) -> tuple[str, Spot]:
        """The conversation of a run that is started so, and where its card is to be."""

    @abstractmethod
    def card_text(self, run_id: str) -> str:
        """What the one card of a run says."""

    @abstractmethod
    def card_spot(self, run_id: str) -> Spot:
        """Where the one card of a run is: its channel, and its thread."""

    @abstractmethod
    def listen(self) -> None:
        """Only what is said from now on counts."""

    @abstractmethod
    def said(self) -> list[Said]:
        """What Baton has answered since, cards and news aside: first what is for everybody."""

    @abstractmethod
    def seen_by_all(self) -> int:
        """How many messages everybody in some channel has seen."""

    # --- where it should be seen ---------------------------------------------------------------

    @abstractmethod
    def told_alone(self, door: str, user: str) -> Beside:
        """Where an outcome is told that is not for everybody."""

    @abstractmethod
    def told_on_the_spot(self, door: str) -> Beside:
        """Where ana is told what goes on in the channel: a run was started, one is to be chosen."""

    @abstractmethod
    def told_of_change(self, door: str, verb: str, run_id: str) -> list[Where]:
        """Where a change is told that was asked for at this door."""

    @abstractmethod
    def told_next_door(self, door: str, run_id: str) -> list[Where]:
        """The same, where ana asked for it in another channel."""

    @abstractmethod
    def told_of_choice(self, door: str, verb: str, run_id: str) -> list[Where]:
        """The same, where ana chose the run from what she was offered at this door."""


def brief(event: AuditEvent) -> tuple[str, str, str]:
    return event.outcome, event.door, event.actor


def open_cards(tx: Transaction, ids: list[str]) -> None:
    """Runs that were put get the card that a command would have given them."""
    for run_id in ids:
        run = tx.runs.get(run_id)
        assert run is not None
        tx.cards.open(run)


def become(database: Database, run_id: str, state: str) -> None:
    """Ben, or a worker, brings the run into another state while nobody looks."""
    row, now = row_of(database, run_id), now_of(database)
    before = {"worker": None, "lease_expires_at": None, "error": None, "steps_done": 1}
    changed = {**before, "held": True, **STATES[state].columns(now)}
    held = changed.pop("held")
    changed |= {
        "status": str(STATES[state].status),
        "held_host": row["host"] if held else None,
        "held_path": row["path"] if held else None,
        "version": row["version"] + 1,
    }
    assert impossible(row | changed) is None
    with database.connect() as connection, connection.begin():
        connection.execute(update(runs).where(runs.c.id == run_id).values(changed))
