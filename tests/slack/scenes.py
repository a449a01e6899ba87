"""A scene in Slack: runs with their cards, people who say and click things, and what they see."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import select, update

from bot.bootstrap import Installation, Service
from bot.outcome import AuditEvent
from bot.ports import Transaction
from bot.run import Run
from store.database import Database
from store.tables import deliveries, events, runs
from tests.conftest import DEADLINE_SECONDS
from tests.slack.conftest import talking
from tests.slack.double import Channel, Slack
from tests.slack.payloads import (
    buttons_of,
    click,
    direct_message,
    mention,
    options_of,
    shortcut,
    slash,
)
from tests.slack.records import Json, SentMessage, Shown, elements_of
from tests.store.factories import STATES, impossible, put, row_of

T = TypeVar("T")
THREAD = "1600000000.000100"
"""A thread in C1 that people began."""
DIRECT = {"U1": "D1", "U2": "D2", "U3": "D3", "U9": "D9"}


@dataclass(frozen=True)
class Said:
    """One thing that Baton said: in a `thread`, a `channel`, a `direct` message, or `private`."""

    how: str
    shown: Shown
    user: str = ""

    @property
    def text(self) -> str:
        return self.shown.text

    @property
    def place(self) -> tuple[str, str | None]:
        return self.shown.channel, self.shown.thread_ts


@dataclass
class Scene:
    """A Baton in a Slack, and what it has said there since `listen`."""

    slack: Slack
    service: Service
    installation: Installation
    _heard: tuple[int, int, int] = field(default=(0, 0, 0))

    @property
    def database(self) -> Database:
        return self.installation.database

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
        await self.until(lambda tx: tx.cards.due("slack:", "slack;"), lambda due: not due)

    async def has(self, *states: str, **columns: Any) -> list[str]:
        """Runs in these states in C1, each with its card there; their ids."""
        ids = [place_run(self.database, state, **columns) for state in states]
        await self.service.store.write(lambda tx: open_cards(tx, ids))
        await self.settled()
        return ids

    # --- what is seen ----------------------------------------------------------------------

    def card(self, run_id: str) -> SentMessage:
        """The one card of a run."""
        (card,) = cards_of(self.slack, run_id)
        return card

    def listen(self) -> None:
        """Only what is said from now on counts."""
        seen = self.slack
        self._heard = len(seen.posted), len(seen.ephemerals), len(seen.responses)

    def said(self) -> list[Said]:
        """What Baton has answered since, private choices taken away aside."""
        posted, ephemerals, responses = self._heard
        found = [
            Said(how_of(message), message)
            for message in self.slack.posted[posted:]
            if not is_unasked(message)
        ]
        found += [Said("private", one, one.user) for one in self.slack.ephemerals[ephemerals:]]
        for response in self.slack.responses[responses:]:
            if not response.body.get("delete_original"):
                how = "private" if response.ephemeral else "channel"
                found.append(Said(how, response, response.user))
        return found

    async def does(self, envelope: Json) -> list[Said]:
        """Somebody does this; what Baton says to it once it is done with it."""
        self.listen()
        assert await self.slack.send(envelope), "not acknowledged"
        await self.answered()
        return self.said()

    async def told(self, envelope: Json) -> Said:
        """Somebody does this; the one thing that Baton says to it."""
        (said,) = await self.does(envelope)
        return said


@asynccontextmanager
async def playing(slack: Slack, installation: Installation) -> AsyncIterator[Scene]:
    """A Baton without a worker: what is resumed waits. At the end all it showed is looked over."""
    for user, channel in DIRECT.items():
        slack.channels[channel] = Channel(channel, user=user)
    async with talking(installation, concurrency=0) as service:
        await slack.connected(2)
        yield Scene(slack, service, installation)
    assert list(flaws(slack)) == []


def brief(event: AuditEvent) -> tuple[str, str, str]:
    return event.outcome, event.door, event.actor


def is_card(message: SentMessage) -> bool:
    payload = (message.metadata or {}).get("event_payload", {})
    return bool(payload.get("what") == "card")


def is_unasked(message: SentMessage) -> bool:
    """Whether this is a card or news of a run, and no answer: it may come at any moment."""
    return "what" in (message.metadata or {}).get("event_payload", {})


def cards_of(slack: Slack, run_id: str) -> list[SentMessage]:
    """Every card that was ever posted for a run."""
    wanted = {"run": run_id, "what": "card"}
    found = [message for message in slack.posted if message.metadata]
    return [one for one in found if one.metadata and one.metadata["event_payload"] == wanted]


def how_of(message: SentMessage) -> str:
    if message.channel.startswith("D"):
        return "direct"
    return "thread" if message.thread_ts else "channel"


# --- runs --------------------------------------------------------------------------------------


def place_run(database: Database, state: str, **columns: Any) -> str:
    """Put a run in this state, last changed by ben, into the database."""
    by_ben = {"changed_by": "slack:U2", "changed_name": "ben"}
    return put(database, state, **{**by_ben, **columns})


def open_cards(tx: Transaction, ids: list[str]) -> None:
    """Runs that were put get the card that a command would have given them."""
    for run_id in ids:
        run = tx.runs.get(run_id)
        assert run is not None
        tx.cards.open(run)


def become(database: Database, run_id: str, state: str) -> None:
    """Ben, or a worker, brings the run into another state while nobody looks."""
    row, now = row_of(database, run_id), database.clock()
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


# --- doors -------------------------------------------------------------------------------------

Way = Callable[[Scene, str, str, str], Awaitable[Json]]
"""What somebody does at a door for a run (a verb, a run, a user), up to its last move."""


async def _slash(_scene: Scene, verb: str, run_id: str, user: str) -> Json:
    command, text = f"/{verb}", run_id
    if verb not in {"resume", "cancel"}:
        command, text = "/baton", f"{verb} {run_id}"
    return slash(command, text.strip(), user=user)


async def _rooted(_scene: Scene, verb: str, run_id: str, user: str) -> Json:
    return slash("/baton", f"{verb} {run_id}".strip(), user=user)


async def _mention(_scene: Scene, verb: str, run_id: str, user: str) -> Json:
    return mention(f"{verb} {run_id}".strip(), user=user)


async def _thread(scene: Scene, verb: str, run_id: str, user: str) -> Json:
    cards = [one for one in scene.slack.posted if is_card(one) and one.channel == "C1"]
    thread_ts = (cards[0].thread_ts or cards[0].ts) if cards else THREAD
    return mention(f"{verb} {run_id}".strip(), user=user, thread_ts=thread_ts)


async def _direct(_scene: Scene, verb: str, run_id: str, user: str) -> Json:
    return direct_message(f"{verb} {run_id}".strip(), user=user, channel=DIRECT[user])


LABELS = {"resume": "Resume", "cancel": "Cancel", "logs": "Log"}


async def _button(scene: Scene, verb: str, run_id: str, user: str) -> Json:
    card = scene.card(run_id)
    return click(card, buttons_of(card.blocks)[LABELS[verb]], user=user)


async def _shortcut(scene: Scene, verb: str, run_id: str, user: str) -> Json:
    offered = await scene.told(use_shortcut(scene, run_id, user))
    return click(offered.shown, buttons_of(offered.shown.blocks)[LABELS[verb]], user=user)


def use_shortcut(scene: Scene, run_id: str, user: str) -> Json:
    """Somebody takes Baton's entry in the menu of a run's card."""
    return shortcut(scene.card(run_id), user=user, callback_id="baton_run")


def choose(said: Said, run_id: str, user: str) -> Json:
    """Somebody takes this run from the picker that they were shown."""
    found = options_of(said.shown.blocks)
    (label,) = [label for label in found if run_id in label]
    return click(said.shown, found[label], user=user)


WAYS: dict[str, Way] = {
    "slash": _slash,
    "rooted": _rooted,
    "mention": _mention,
    "thread": _thread,
    "direct": _direct,
    "button": _button,
    "shortcut": _shortcut,
}
DOOR_WORDS = {
    "slash": "slack-slash",
    "rooted": "slack-slash",
    "mention": "slack-mention",
    "thread": "slack-mention",
    "direct": "slack-mention",
    "button": "slack-button",
    "shortcut": "slack-shortcut",
}
SPOKEN = ("slash", "rooted", "mention", "thread", "direct")


# --- what every message has ----------------------------------------------------------------------


def flaws(slack: Slack) -> Iterator[str]:
    """What is wrong with anything that was ever shown."""
    shown: list[tuple[str, list[Json]]] = []
    for message in slack.posted:
        shown.append((message.text, message.blocks))
        shown += [(edit.text, edit.blocks) for edit in message.edits]
    shown += [(one.text, one.blocks) for one in slack.ephemerals]
    shown += [(r.text, r.blocks) for r in slack.responses if not r.body.get("delete_original")]
    for text, blocks in shown:
        if not text:
            yield f"no top-level text: {blocks}"
        for element in (element for block in blocks for element in elements_of(block)):
            if element["type"] == "button" and not element.get("accessibility_label"):
                yield f"no accessibility_label: {element}"
            if element["action_id"].startswith("baton:cancel") and "confirm" not in element:
                yield f"cancels without asking: {element}"
