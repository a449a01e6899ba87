"""How Baton speaks in Discord: beside the run's card, or to one person alone.

What was typed as an app command or clicked is answered by Discord's own answer to it. Only that
can be private within a channel, so a mention is answered in a direct message.
"""

import hashlib
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

from adapters.discord import routes
from adapters.discord.api import CANNOT_DIRECT, DiscordApi, RefusedError, certain
from adapters.discord.inbound import Origin, channel_of, is_direct
from adapters.discord.interactions import Interactions
from adapters.discord.shown import Shown, answer, said
from bot import replies
from bot.board import PostGoneError, PostRefusedError
from bot.conversation import Conversation, Message
from bot.outcome import Answer, Word
from bot.patience import patiently
from bot.speaker import Heard
from bot.words import by_author

_POSTS_KNOWN = 1000
_ON_THE_CARD_ANYWAY = frozenset({Word.STARTED, Word.AMBIGUOUS})
"""What is answered beside a mention: a card says it too, or only there can be chosen."""


class DiscordVoice:
    """Implements bot.speaker.Voice."""

    platform = "discord"

    def __init__(self, api: DiscordApi, interactions: Interactions) -> None:
        self._api = api
        self._interactions = interactions
        self._posts: deque[str] = deque(maxlen=_POSTS_KNOWN)

    # --- beside the card -------------------------------------------------------------------

    async def publicly(
        self, message: Message, told: Answer, card: str | None, *, again: bool
    ) -> Heard:
        """Say it where the card is, or in the thread that hangs under the card."""
        place = Conversation(told.body["run"]["conversation"])
        here = message.conversation
        if card is not None and here.thread == card:
            place, card = here, None
        shown = said(told.reply, by_author(message))
        heard = Heard.AUTHOR if place.key == here.key else Heard.OTHERS
        if heard is Heard.AUTHOR and await self._answered_openly(message, shown, again=again):
            return Heard.ANSWERED
        await self._posted(message, place, shown, reference=card, again=again)
        return heard

    async def _answered_openly(self, message: Message, shown: Shown, *, again: bool) -> bool:
        """Whether the answer to the interaction itself is what everybody sees."""
        if "token" not in message.reply_to:
            return False
        asked = self._interactions
        try:
            if again:
                openly = bool(await patiently(partial(asked.answered_openly, message)))
            else:
                openly = bool(await patiently(partial(asked.answer_openly, message, shown)))
        except PostRefusedError:
            return False
        if openly:
            self._interactions.close(message)
        return openly

    async def _posted(
        self,
        message: Message,
        place: Conversation,
        shown: Shown,
        *,
        reference: str | None,
        again: bool = False,
    ) -> None:
        """Post into a channel, once: Discord knows the nonce for some minutes."""
        channel = channel_of(place)
        body = {**shown.body, **_named(message, channel), **referring(reference)}

        async def post() -> None:
            with certain():
                posted = await self._api.post(channel, body, shown.attachment)
            self._posts.append(str(posted["id"]))

        is_there = partial(self._is_there, message, channel, shown, reference)
        await patiently(post, is_there, unsure=again)

    async def _is_there(
        self, message: Message, channel: str, shown: Shown, reference: str | None
    ) -> bool:
        """Whether the answer stands there already; taken for false where nobody can look.

        The nonce still keeps it from standing there twice. The same words may have been said
        before this was asked, or by this process to somebody else.
        """
        asked = int((message.delivery or "").rpartition(":")[2])

        def same(found: Mapping[str, Any]) -> bool:
            to = (found.get("message_reference") or {}).get("message_id")
            later = int(found["id"]) > asked and found["id"] not in self._posts
            return later and found["content"] == shown.content and to == reference

        try:
            return await self._api.find(channel, same) is not None
        except PostRefusedError:
            return False

    async def clear(self, message: Message, told: Answer, age_seconds: float) -> None:
        """End what waits for a private answer, now that there is a public one."""
        if not self._usable(message, age_seconds):
            return
        try:
            if message.reply_to["origin"] == Origin.CHOICE:
                await patiently(partial(self._interactions.answer, message, said(told.reply)))
            else:
                await patiently(partial(self._interactions.take_back, message))
        finally:
            self._interactions.close(message)

    def _usable(self, message: Message, age_seconds: float) -> bool:
        return self._interactions.usable(message, age_seconds)

    # --- to one person ---------------------------------------------------------------------

    async def privately(
        self, message: Message, told: Answer, age_seconds: float, *, again: bool
    ) -> str:
        """Say it by the first way that Discord does not refuse; returns which one that was."""
        shown = answer(told, message.verb)
        if self._usable(message, age_seconds):
            try:
                await patiently(partial(self._interactions.answer, message, shown))
            except (PostGoneError, PostRefusedError):
                pass  # its time is over; there is another way
            else:
                return "interaction"
            finally:
                self._interactions.close(message)
        if "message" in message.reply_to:
            return await self._beside_mention(message, told, shown, again=again)
        await self._directly(message, said(told.reply), again=again)
        return "direct"

    async def _beside_mention(
        self, message: Message, told: Answer, shown: Shown, *, again: bool
    ) -> str:
        place, mention = message.conversation, message.reply_to["message"]
        if is_direct(place) or told.word in _ON_THE_CARD_ANYWAY:
            await self._posted(message, place, shown, reference=mention, again=again)
            return "reply"
        try:
            await self._directly(message, shown, again=again)
        except RefusedError as refused:
            if refused.code != CANNOT_DIRECT:
                raise
        else:
            return "direct"
        # What only those may see whom a list names is not for everybody in the channel.
        open_words = replies.takes_no_messages() if told.word is Word.SHOWN else told.reply
        await self._posted(message, place, said(open_words), reference=mention, again=again)
        return "reply"

    async def _directly(self, message: Message, shown: Shown, *, again: bool) -> None:
        """Say it in a direct message, where nothing can be chosen: no guild's roles hold there."""
        recipient = {"recipient_id": message.reply_to["user"]}
        opened = await patiently(partial(self._api.repeatable, routes.direct(), recipient))
        place = Conversation(f"discord:@me:{(opened or {})['id']}")
        await self._posted(message, place, shown, reference=None, again=again)


def referring(message: str | None) -> dict[str, Any]:
    """Makes a post a reply to this message, or a plain one where that is gone."""
    if message is None:
        return {}
    return {"message_reference": {"message_id": message, "fail_if_not_exists": False}}


def nonce_of(*names: str) -> dict[str, Any]:
    """A post with this name appears once within some minutes (docs.discord.com: create-message)."""
    digest = hashlib.sha256("\0".join(names).encode()).hexdigest()
    return {"nonce": digest[:24], "enforce_nonce": True}


def _named(message: Message, channel: str) -> dict[str, Any]:
    """One name in each place: an answer may be due in two."""
    return nonce_of("answer", channel, message.delivery or "")
