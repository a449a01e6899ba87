"""A scene in Discord: runs with their cards, people who say and click things, what they see."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.bootstrap import Installation, Service
from tests.chat import scenes as chat
from tests.chat.scenes import Beside, Room, Said, Spot, Where
from tests.discord import house
from tests.discord.double import Discord, SentMessage
from tests.discord.payloads import (
    autocomplete,
    bot_message,
    buttons_of,
    channel_message,
    click,
    direct_message,
    edited,
    mention,
    options_of,
    select,
    slash,
    webhook_message,
)
from tests.discord.records import (
    BOT,
    CHANNEL,
    CHANNEL_2,
    GUILD,
    OTHER_CHANNEL,
    OTHER_GUILD,
    PUBLIC_THREAD,
    THREAD,
    Json,
    direct_channel,
)
from tests.discord.seen import answers_to, aside_of, flaws, is_over, plain, title_of, words_of
from tests.store.factories import put

ANA, BEN, CLEO, ZOE = "1", "2", "3", "4"
MAY_CANCEL = frozenset({ANA, BEN})
DOOR_WORDS = {
    "slash": "discord-slash",
    "mention": "discord-mention",
    "thread": "discord-mention",
    "direct": "discord-mention",
    "button": "discord-button",
}
SPOKEN = ("slash", "mention", "thread", "direct")


def room(channel: str, guild: str = GUILD) -> Room:
    """A channel, or the thread that people began in one."""
    parent = CHANNEL if channel == THREAD else channel
    return Room(f"discord:{guild}:{channel}", f"discord:{guild}:{parent}")


def direct_room(user: str) -> Room:
    """The conversation with one person."""
    return room(direct_channel(user), "@me")


ASKED = {
    **room(CHANNEL).columns,
    "requested_by": f"discord:{ANA}",
    "requested_door": "discord-slash",
    "requested_name": "ana",
    "changed_by": f"discord:{BEN}",
    "changed_door": "discord-slash",
    "changed_name": "ben",
}
"""The columns of a run that ana asked for."""


@dataclass
class Scene(chat.Scene):
    """A Baton in a Discord; `_spoken` is what was said to it last, `_clicked` what was clicked."""

    platform = "discord"
    doors = DOOR_WORDS
    spoken = SPOKEN
    # A card has no button for these, and Discord sends no command that it does not know, or
    # without what has to be given.
    cannot = frozenset(
        {("button", "status"), ("button", "history"), ("slash", "resum"), ("slash", "run")}
    )
    to_forged = "I do not know that button (any more)."
    ana, cleo, zoe = ANA, CLEO, ZOE
    next_door = room(CHANNEL_2)
    fenced = frozenset({"direct"})
    abroad = room(OTHER_CHANNEL, OTHER_GUILD)

    discord: Discord
    service: Service
    installation: Installation
    _heard: tuple[int, int] = field(default=(0, 0))
    _spoken: str | None = field(default=None)
    _clicked: SentMessage | None = field(default=None)

    # --- what people do ----------------------------------------------------------------------

    async def way(self, door: str, verb: str, rest: str, user: str) -> Json:
        return await WAYS[door](self, verb, rest, user)

    def from_next_door(self, door: str, verb: str, run_id: str) -> Json:
        if door == "slash":
            return slash(verb, {"run": run_id}, channel=CHANNEL_2)
        return mention(f"{verb} {run_id}", channel=CHANNEL_2)

    def by_name(self, text: str) -> Json:
        return direct_message(f"<@{BOT}> {text}")

    def talk(self) -> Mapping[str, Json]:
        return {how: said() for how, said in TALK.items()}

    def offers(self, offered: Said) -> int:
        return len(options_of(offered.shown.components))

    async def choose(self, offered: Said, verb: str, run_id: str) -> Json:
        (label,) = [label for label in options_of(offered.shown.components) if run_id in label]
        taken = select(offered.shown, label, ANA)
        return await self._confirmed(taken) if verb == "cancel" else taken

    async def _confirmed(self, first: Json) -> Json:
        """The click on the one answer to the question before a cancel that has its effect."""
        user = (first.get("member") or first)["user"]["id"]
        question = await self.told(first)
        assert question.text.startswith("Cancel this run?")
        assert question.how == "private" or first.get("guild_id") is None
        yes, no = buttons_of(question.shown.components)
        assert (yes, no) in {("Cancel run", "Keep"), ("Cancel run", "Keep running")}
        return click(question.shown, "Cancel run", user)

    def left_open(self) -> bool:
        assert self._clicked is not None
        return bool(self._clicked.components) and not self._clicked.deleted

    def forged(self, click: Json, value: str) -> Json:
        """On a message that looks as if Baton had posted it."""
        known = click["data"]["custom_id"]
        act = ":".join(known.split(":")[:2])
        text = json.dumps(click, ensure_ascii=False)
        forged: Json = json.loads(text.replace(known, f"{act}:{value}"))
        return forged

    async def send(self, move: Json) -> None:
        if "author" in move:
            await self._say(move)
        else:
            await self._interact(move)

    async def _say(self, message: Json) -> None:
        """Events come in order, and so do writes: what came before a later one was received."""
        self._spoken = message["id"]
        kind = "MESSAGE_UPDATE" if message["edited_timestamp"] else "MESSAGE_CREATE"
        await self.discord.send(kind, message)
        later = await self.discord.interact(autocomplete("status", {}, "run"))
        await self.discord.first_response(later)
        await self.service.store.write(lambda _tx: None)

    async def _interact(self, payload: Json) -> None:
        """What has its answer was received before."""
        clicked = payload.get("message")
        self._clicked = self.discord.messages[clicked["id"]] if clicked else None
        interaction = await self.discord.interact(payload)
        await self.discord.until(lambda: is_over(interaction))

    # --- where it is seen --------------------------------------------------------------------

    def place_run(self, state: str, **columns: Any) -> str:
        return put(self.database, state, **{**ASKED, **columns})

    def here(self, door: str) -> Room:
        if door == "direct":
            return direct_room(ANA)
        return room(THREAD if door == "thread" else CHANNEL)

    def home(self, door: str, user: str) -> Room:
        return direct_room(user) if door == "direct" else room(CHANNEL)

    def starts_at(self, door: str, move: Json) -> tuple[str, Spot]:
        conversation = self.here(door).conversation
        return conversation, (conversation.rpartition(":")[2], None)

    def card(self, run_id: str) -> SentMessage:
        """The one card of a run."""
        (card,) = [one for one in self.discord.posted if title_of(one) == run_id]
        return card

    def card_text(self, run_id: str) -> str:
        return plain(self.card(run_id).content)

    def card_spot(self, run_id: str) -> Spot:
        card = self.card(run_id)
        return card.channel, card.reference

    def listen(self) -> None:
        self._heard = len(self.discord.posted), len(self.discord.interactions)

    def said(self) -> list[Said]:
        posted, interactions = self._heard
        found = [one for one in self.discord.posted[posted:] if self._is_answer(one)]
        for interaction in list(self.discord.interactions.values())[interactions:]:
            found += answers_to(interaction)
        return sorted(map(self._told, found), key=lambda one: bool(one.user))

    def _is_answer(self, message: SentMessage) -> bool:
        """Cards, and news in reply to them, may come at any moment; news name no author."""
        if message.interaction is not None or title_of(message):
            return False
        return not (self._is_at_card(message) and aside_of(message) is None)

    def _is_at_card(self, message: SentMessage) -> bool:
        card = self.discord.messages.get(message.reference or "")
        return card is not None and title_of(card) is not None

    def _told(self, message: SentMessage) -> Said:
        how, user = self._how(message)
        text = words_of(message)
        return Said(how, user, (message.channel, message.reference), text, message)

    def _how(self, message: SentMessage) -> tuple[str, str]:
        """`private`, beside a `card`, a `reply` to what was said last, `direct`, or `channel`."""
        if message.ephemeral:
            return "private", message.audience or ""
        if message.reference is not None:
            if self._is_at_card(message):
                return "card", ""
            author = self.discord.author_of(message.reference) or ""
            return ("reply" if message.reference == self._spoken else "stray"), author
        if message.guild is None:
            return "direct", message.channel.removeprefix(direct_channel(""))
        return "channel", ""

    def seen_by_all(self) -> int:
        return len([one for one in self.discord.posted if one.guild and not one.ephemeral])

    # --- where it should be seen ---------------------------------------------------------------

    def told_alone(self, door: str, user: str) -> Beside:
        if door in {"slash", "button"}:
            return "private", user, CHANNEL
        return "reply" if door == "direct" else "direct", user, direct_channel(user)

    def told_on_the_spot(self, door: str) -> Beside:
        if door == "slash":
            return self.told_alone(door, ANA)
        return "reply", ANA, self.here(door).conversation.rpartition(":")[2]

    def told_of_change(self, door: str, verb: str, run_id: str) -> list[Where]:
        card = self.card(run_id)
        if door == "thread":
            return [("channel", "", (card.id, None))]
        if (door, verb) == ("button", "cancel"):
            return [self._beside_card(run_id), ("private", ANA, (card.channel, None))]
        if door in {"mention", "direct"}:
            return [self._beside_card(run_id)]
        return [("channel", "", (card.channel, None))]

    def told_next_door(self, door: str, run_id: str) -> list[Where]:
        if door == "slash":
            return [self._beside_card(run_id), ("private", ANA, (CHANNEL_2, None))]
        return [self._beside_card(run_id), ("direct", ANA, (direct_channel(ANA), None))]

    def told_of_choice(self, door: str, verb: str, run_id: str) -> list[Where]:
        """What one person alone sees of it becomes the answer as well."""
        channel = self.card(run_id).channel
        if door == "slash" or (verb == "cancel" and door != "direct"):
            return [self._beside_card(run_id), ("private", ANA, (channel, None))]
        became: Where = ("reply", ANA, (channel, self._spoken))
        return [self._beside_card(run_id), became] if door == "direct" else [became]

    def _beside_card(self, run_id: str) -> Where:
        card = self.card(run_id)
        return "card", "", (card.channel, card.id)


@asynccontextmanager
async def playing(discord: Discord, installation: Installation) -> AsyncIterator[Scene]:
    """A Baton without a worker: what is resumed waits. At the end all it showed is looked over."""
    async with house.talking(installation, concurrency=0) as service:
        await discord.connected(1)
        yield Scene(discord, service, installation)
    assert list(flaws(discord)) == []


@asynccontextmanager
async def in_discord(tmp_path: Path, repository: Path) -> AsyncIterator[Scene]:
    """The same, in a Discord of its own."""
    with pytest.MonkeyPatch.context() as addresses:
        # Baton points the client library at this one; afterwards it points where it did.
        addresses.setattr(Route, "BASE", Route.BASE)
        gateway = yarl.URL(DiscordWebSocket.DEFAULT_GATEWAY)
        addresses.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
        async with Discord() as discord:
            installation = house.installation_in(tmp_path, repository, discord)
            async with playing(discord, installation) as scene:
                yield scene


# --- doors -------------------------------------------------------------------------------------

Way = Callable[[Scene, str, str, str], Awaitable[Json]]
"""What somebody does at a door for a run (a verb, a run, a user), up to its last move."""


async def _slash(_scene: Scene, verb: str, rest: str, user: str) -> Json:
    option = "workflow" if verb == "run" else "run"
    return slash(verb, {option: rest} if rest else {}, user)


async def _mention(_scene: Scene, verb: str, rest: str, user: str) -> Json:
    return mention(f"{verb} {rest}".strip(), user)


async def _thread(scene: Scene, verb: str, rest: str, user: str) -> Json:
    """In the thread under a card, if there is one: Discord gives it the id of the card."""
    cards = [one for one in scene.discord.posted if title_of(one) and one.channel == CHANNEL]
    thread = cards[0].id if cards else THREAD
    if thread not in scene.discord.channels:
        scene.discord.add_channel(thread, kind=PUBLIC_THREAD, parent=CHANNEL, name="about it")
    return mention(f"{verb} {rest}".strip(), user, thread)


async def _direct(_scene: Scene, verb: str, rest: str, user: str) -> Json:
    return direct_message(f"{verb} {rest}".strip(), user)


LABELS = {"resume": "Resume", "cancel": "Cancel", "logs": "Log"}


async def _button(scene: Scene, verb: str, rest: str, user: str) -> Json:
    clicked = click(scene.card(rest), LABELS[verb], user)
    asked = verb == "cancel" and user in MAY_CANCEL
    return await scene._confirmed(clicked) if asked else clicked


WAYS: dict[str, Way] = {
    "slash": _slash,
    "mention": _mention,
    "thread": _thread,
    "direct": _direct,
    "button": _button,
}


# --- talk ----------------------------------------------------------------------------------------

TALK: dict[str, Callable[[], Json]] = {
    "in a channel": lambda: channel_message("resume"),
    "in a channel that Baton can read": lambda: channel_message("resume", readable=True),
    "in a thread": lambda: channel_message("cancel", channel=THREAD, readable=True),
    "about Baton": lambda: mention(f"let us ask <@{BOT}> resume"),
    "about Baton at the end": lambda: mention(f"resume <@{BOT}>"),
    "to somebody beside Baton": lambda: mention(f"<@{BEN}> resume it with <@{BOT}>"),
    "chatter in a direct message": lambda: direct_message("stop the deploy please"),
    "a sentence that begins with a verb": lambda: direct_message("cancel that, I am sorry"),
    "nothing in a direct message": lambda: direct_message(""),
    "of a bot in a channel": lambda: bot_message("resume"),
    "of a bot in a direct message": lambda: bot_message(
        "resume", channel=direct_channel(ANA), guild=None
    ),
    "of a bot that mentions": lambda: bot_message(f"<@{BOT}> resume"),
    "of a webhook that mentions": lambda: webhook_message(f"<@{BOT}> resume"),
    "edited mention": lambda: edited(mention("resume"), f"<@{BOT}> resume"),
    "edited direct message": lambda: edited(direct_message("resume"), "resume"),
}
