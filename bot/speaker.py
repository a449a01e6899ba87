"""Answers in chat: what changed a run is said where everybody sees it, all else to one person."""

from enum import Enum
from functools import partial
from typing import Protocol

from bot import log
from bot.board import PostGoneError, PostLaterError, PostRefusedError, PostUncertainError
from bot.conversation import Conversation, Message
from bot.outcome import PUBLIC, Answer
from bot.ports import Store, Transaction


class Heard(Enum):
    """Who has heard what was said in public."""

    NOBODY = "nobody"
    """There is no place to say it."""
    OTHERS = "others"
    """It was said beside the run's card, and who asked is somewhere else."""
    AUTHOR = "author"
    """It was said where it was asked."""
    ANSWERED = "answered"
    """The same, by answering what was asked: nothing waits for an answer any more."""


class Voice(Protocol):
    """How a platform says something. Each method may raise the errors of bot.board."""

    platform: str

    async def publicly(
        self, message: Message, told: Answer, card: str | None, *, again: bool
    ) -> Heard:
        """Say it beside the card of its run. `again` where it may have been said already."""

    async def privately(
        self, message: Message, told: Answer, age_seconds: float, *, again: bool
    ) -> str:
        """Say it to its author alone, by the first way that works; returns what that is called."""

    async def clear(self, message: Message, told: Answer, age_seconds: float) -> None:
        """Take away whatever still waits for the answer that was given in public."""


class Speaker:
    """Brings each answer to where it belongs."""

    def __init__(self, voice: Voice, store: Store) -> None:
        self._voice = voice
        self._store = store

    async def answer(
        self, message: Message, told: Answer, *, age_seconds: float = 0, again: bool = False
    ) -> None:
        """Say it, or give up and log why. `again` where it may have been said already."""
        about = {"delivery": message.delivery, "run": told.run_id}
        try:
            route = await self._said(message, told, age_seconds, again=again)
        except (PostGoneError, PostLaterError, PostRefusedError, PostUncertainError) as error:
            log.event("reply.send_rejected", reason=str(error), **about)
        else:
            log.event("reply.send_completed", route=route, **about)

    async def _said(
        self, message: Message, told: Answer, age_seconds: float, *, again: bool
    ) -> str:
        """The route that the answer took."""
        heard = await self._in_public(message, told, again=again)
        if heard in {Heard.NOBODY, Heard.OTHERS}:
            return await self._voice.privately(message, told, age_seconds, again=again)
        if heard is Heard.AUTHOR:
            await self._voice.clear(message, told, age_seconds)
        return "public"

    async def _in_public(self, message: Message, told: Answer, *, again: bool) -> Heard:
        if told.word not in PUBLIC:
            return Heard.NOBODY
        run = told.body["run"]
        if Conversation(run["conversation"]).platform != self._voice.platform:
            return Heard.NOBODY
        card = told.card
        if card is None and again:
            # Only a fresh answer knows the card.
            card = await self._store.read(partial(_card_of, run_id=run["id"]))
        try:
            return await self._voice.publicly(message, told, card, again=again)
        except PostRefusedError as refused:
            log.event("reply.public_rejected", delivery=message.delivery, reason=str(refused))
            return Heard.NOBODY


def _card_of(tx: Transaction, run_id: str) -> str | None:
    return tx.cards.message_of(run_id)
