"""A scene in Slack: runs with their cards, people who say and click things, and what they see."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.bootstrap import Installation, Service
from store.database import Database
from tests.chat import scenes as chat
from tests.chat.scenes import Beside, Room, Said, Spot, Where, become, open_cards
from tests.slack.conftest import installation_in, talking
from tests.slack.double import Channel, Slack
from tests.slack.payloads import (
    bot_message,
    buttons_of,
    channel_message,
    click,
    direct_message,
    event_envelope,
    mention,
    options_of,
    shortcut,
    slash,
)
from tests.slack.records import BOT, Json, SentMessage, Shown, elements_of
from tests.store.factories import put

__all__ = ["Said", "become", "open_cards"]

THREAD = "1600000000.000100"
"""A thread in C1 that people began."""
DIRECT = {"U1": "D1", "U2": "D2", "U3": "D3", "U9": "D9"}
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


def room(place: str, team: str = "T1") -> Room:
    """A channel, or a thread in it."""
    return Room(f"slack:{team}:{place}", f"slack:{team}:{place.partition(':')[0]}")


@dataclass
class Scene(chat.Scene):
    """A Baton in a Slack."""

    platform = "slack"
    doors = DOOR_WORDS
    spoken = SPOKEN
    # A button or a message's menu has nothing for these.
    cannot = frozenset({("button", "status"), ("button", "history"), ("shortcut", "history")})
    first_move = {"shortcut": "status"}  # noqa: RUF012 - a constant table
    stays_open = frozenset({"direct"})
    to_forged = "There is no run"
    ana, cleo, zoe = "U1", "U3", "U9"
    next_door = room("C2")
    abroad = room("C9", "T2")

    slack: Slack
    service: Service
    installation: Installation
    _heard: tuple[int, int, int] = field(default=(0, 0, 0))

    # --- what people do ----------------------------------------------------------------------

    async def way(self, door: str, verb: str, rest: str, user: str) -> Json:
        return await WAYS[door](self, verb, rest, user)

    def from_next_door(self, door: str, verb: str, run_id: str) -> Json:
        if door == "slash":
            return slash(f"/{verb}", run_id, channel="C2")
        return mention(f"{verb} {run_id}", channel="C2")

    def by_name(self, text: str) -> Json:
        return direct_message(f"<@{BOT}> {text}")

    def talk(self) -> Mapping[str, Json]:
        return {how: said() for how, said in TALK.items()}

    def offers(self, offered: Said) -> int:
        return len(options_of(offered.shown.blocks))

    async def choose(self, offered: Said, verb: str, run_id: str) -> Json:
        return choose(offered, run_id, self.ana)

    def left_open(self) -> bool:
        taken_away = [one for one in self.slack.responses if one.body.get("delete_original")]
        assert len(taken_away) <= 1
        return not taken_away

    def forged(self, click: Json, value: str) -> Json:
        copied: Json = json.loads(json.dumps(click))
        copied["payload"]["actions"][0]["value"] = value
        return copied

    async def send(self, move: Json) -> None:
        assert await self.slack.send(move), "not acknowledged"

    # --- where it is seen --------------------------------------------------------------------

    def place_run(self, state: str, **columns: Any) -> str:
        return place_run(self.database, state, **columns)

    def here(self, door: str) -> Room:
        return room({"direct": "D1", "thread": f"C1:{THREAD}"}.get(door, "C1"))

    def home(self, door: str, user: str) -> Room:
        return room("C1")

    def starts_at(self, door: str, move: Json) -> tuple[str, Spot]:
        event = move["payload"].get("event") or {}
        thread = {"mention": event.get("ts"), "thread": event.get("thread_ts")}.get(door)
        channel = "D1" if door == "direct" else "C1"
        return ":".join(["slack", "T1", channel, *([thread] if thread else [])]), (channel, thread)

    def card(self, run_id: str) -> SentMessage:
        """The one card of a run."""
        (card,) = cards_of(self.slack, run_id)
        return card

    def card_text(self, run_id: str) -> str:
        return self.card(run_id).text

    def card_spot(self, run_id: str) -> Spot:
        card = self.card(run_id)
        return card.channel, card.thread_ts

    def listen(self) -> None:
        seen = self.slack
        self._heard = len(seen.posted), len(seen.ephemerals), len(seen.responses)

    def said(self) -> list[Said]:
        """What Baton has answered since, private choices taken away aside."""
        posted, ephemerals, responses = self._heard
        found = [
            said(how_of(message), message, user_of(message))
            for message in self.slack.posted[posted:]
            if not is_unasked(message)
        ]
        found += [said("private", one, one.user) for one in self.slack.ephemerals[ephemerals:]]
        for response in self.slack.responses[responses:]:
            if not response.body.get("delete_original"):
                how = "private" if response.ephemeral else "channel"
                found.append(said(how, response, response.user))
        return found

    def seen_by_all(self) -> int:
        return len(self.slack.posted)

    # --- where it should be seen ---------------------------------------------------------------

    def told_alone(self, door: str, user: str) -> Beside:
        return ("direct", user, DIRECT[user]) if door == "direct" else ("private", user, "C1")

    def told_on_the_spot(self, door: str) -> Beside:
        return self.told_alone(door, self.ana)

    def told_of_change(self, door: str, verb: str, run_id: str) -> list[Where]:
        if door == "direct" and self.card(run_id).channel != "D1":
            return [self._beside_card(run_id), ("direct", "U1", ("D1", None))]
        return [self._beside_card(run_id)]

    def told_next_door(self, door: str, run_id: str) -> list[Where]:
        return [self._beside_card(run_id), ("private", "U1", ("C2", None))]

    def told_of_choice(self, door: str, verb: str, run_id: str) -> list[Where]:
        return [self._beside_card(run_id)]

    def _beside_card(self, run_id: str) -> Where:
        """The thread that the card is in, or begins."""
        card = self.card(run_id)
        place = card.channel, card.thread_ts or card.ts
        return ("direct", "U1", place) if place[0] == "D1" else ("thread", "", place)


@asynccontextmanager
async def playing(slack: Slack, installation: Installation) -> AsyncIterator[Scene]:
    """A Baton without a worker: what is resumed waits. At the end all it showed is looked over."""
    for user, channel in DIRECT.items():
        slack.channels[channel] = Channel(channel, user=user)
    async with talking(installation, concurrency=0) as service:
        await slack.connected(2)
        yield Scene(slack, service, installation)
    assert list(flaws(slack)) == []


@asynccontextmanager
async def in_slack(tmp_path: Path, repository: Path) -> AsyncIterator[Scene]:
    """The same, in a Slack of its own."""
    async with Slack() as slack:
        installation = installation_in(tmp_path, repository, slack)
        async with playing(slack, installation) as scene:
            yield scene


def said(how: str, shown: Shown, user: str) -> Said:
    """In a `thread`, a `channel`, a `direct` message, or `private`."""
    return Said(how, user, (shown.channel, shown.thread_ts), shown.text, shown)


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


def user_of(message: SentMessage) -> str:
    """The other side of a direct conversation."""
    return next((user for user, channel in DIRECT.items() if channel == message.channel), "")


# --- runs --------------------------------------------------------------------------------------


def place_run(database: Database, state: str, **columns: Any) -> str:
    """Put a run in this state, last changed by ben, into the database."""
    by_ben = {"changed_by": "slack:U2", "changed_name": "ben"}
    return put(database, state, **{**by_ben, **columns})


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
    if verb == "status":
        return use_shortcut(scene, run_id, user)
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


# --- talk ----------------------------------------------------------------------------------------


def edited(envelope: Json) -> Json:
    """The same words, once their author has changed them."""
    envelope["payload"]["event"]["edited"] = {"user": "U1", "ts": "1700000000.000001"}
    return envelope


def changed(text: str) -> Json:
    """Slack tells that a message was edited."""
    event = {"type": "message", "subtype": "message_changed", "channel": "D1", "channel_type": "im"}
    said = {"type": "message", "user": "U1", "text": text, "ts": "1700000000.000001"}
    return event_envelope({**event, "message": said, "previous_message": said})


TALK: dict[str, Callable[[], Json]] = {
    "in a channel": lambda: channel_message("resume"),
    "in a thread": lambda: channel_message("cancel", thread_ts=THREAD),
    "about Baton": lambda: mention(f"let us ask <@{BOT}> resume"),
    "about Baton at the end": lambda: mention(f"resume <@{BOT}>"),
    "to somebody beside Baton": lambda: mention(f"<@U2> resume it with <@{BOT}>"),
    "chatter in a direct message": lambda: direct_message("stop the deploy please"),
    "a sentence that begins with a verb": lambda: direct_message("cancel that, I am sorry"),
    "nothing in a direct message": lambda: direct_message(""),
    "of a bot in a channel": lambda: bot_message("resume"),
    "of a bot in a direct message": lambda: bot_message("resume", channel="D1"),
    "of a bot that mentions": lambda: bot_message(f"<@{BOT}> resume", kind="app_mention"),
    "edited mention": lambda: edited(mention("resume")),
    "edited direct message": lambda: edited(direct_message("resume")),
    "told of an edit": lambda: changed("resume"),
}


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
