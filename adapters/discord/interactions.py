"""Answers to interactions: the first within 3 seconds, the others in its place.

Discord forgets an interaction that has no first answer within 3 seconds, and its token after 15
minutes (docs.discord.com: interactions/receiving-and-responding).
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from discord.http import Route

from adapters.discord import routes
from adapters.discord.api import ALREADY_ACKNOWLEDGED, DiscordApi, RefusedError
from adapters.discord.inbound import Origin
from adapters.discord.shown import Shown
from bot import log
from bot.board import PostGoneError, PostLaterError, PostRefusedError
from bot.conversation import Message

FIRST_ANSWER_SECONDS = 3.0
_DEFER_SECONDS = 1.5
_TOKEN_SECONDS = 14.5 * 60
_EPHEMERAL, _LOADING = 64, 128
_MESSAGE, _DEFERRED_MESSAGE, _DEFERRED_UPDATE, _UPDATE = 4, 5, 6, 7


_Callback = Mapping[str, Any]


@dataclass
class _Opened:
    """An interaction that this process received and has not answered yet.

    Discord tells every process of it: it may have been acknowledged `elsewhere`.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    acknowledged: bool = False
    elsewhere: bool = False
    deferring: asyncio.Task[None] | None = None


class Interactions:
    """Each interaction has one first answer, and all that follow go into its place."""

    def __init__(self, api: DiscordApi) -> None:
        self._api = api
        self._open: dict[str, _Opened] = {}

    def open(self, message: Message) -> bool:
        """The clock runs: where the answer takes long, a sign that it will come is given.

        False where it runs already: the same interaction was delivered again.
        """
        if _id(message) in self._open:
            return False
        opened = self._open[_id(message)] = _Opened()
        opened.deferring = asyncio.create_task(self._defer_later(message))
        return True

    def close(self, message: Message) -> None:
        """It is answered, or another process answers it."""
        opened = self._open.pop(_id(message), None)
        if opened is not None and opened.deferring is not None:
            opened.deferring.cancel()

    async def _defer_later(self, message: Message) -> None:
        await asyncio.sleep(_DEFER_SECONDS)
        try:
            await self.defer(message)
        except (PostGoneError, PostLaterError, PostRefusedError) as error:
            log.event("reply.defer_rejected", delivery=message.delivery, reason=str(error))
        # By then its token opens nothing any more, whatever became of the answer.
        await asyncio.sleep(_TOKEN_SECONDS)
        self._open.pop(_id(message), None)

    async def defer(self, message: Message) -> bool:
        """Promise an answer that one person will see; False where Discord has given up waiting."""
        opened = self._opened(message)
        async with opened.lock:
            if opened.acknowledged:
                return True
            deferred: _Callback = {"type": _DEFERRED_MESSAGE, "data": {"flags": _EPHEMERAL}}
            if message.reply_to["origin"] == Origin.CHOICE:
                deferred = {"type": _DEFERRED_UPDATE}
            try:
                await self._first(message, deferred)
            except RefusedError as refused:
                if refused.code != ALREADY_ACKNOWLEDGED:
                    return False
                opened.elsewhere = True
            opened.acknowledged = True
            return True

    def _opened(self, message: Message) -> _Opened:
        """What is known here; an interaction of a process that is gone may have an answer."""
        return self._open.get(_id(message)) or _Opened()

    # --- answers ---------------------------------------------------------------------------

    def usable(self, message: Message, age_seconds: float) -> bool:
        """Whether there may be a way to answer this interaction."""
        return bool(message.reply_to.get("token")) and age_seconds < _TOKEN_SECONDS

    async def answer(self, message: Message, shown: Shown) -> None:
        """Answer its author alone. Raises the errors of bot.board."""
        opened = self._opened(message)
        async with opened.lock:
            if not opened.acknowledged:
                took = await self.offer(message, shown)
                opened.acknowledged, opened.elsewhere = True, not took
                if took:
                    return
            if opened.elsewhere and await self._is_told(message):
                return
            await self._api.interaction(_original("PATCH", message), shown.body, shown.attachment)

    async def offer(self, message: Message, shown: Shown) -> bool:
        """Answer its author alone; False, and nothing is said, where it has a first answer."""
        private = {"type": _MESSAGE, "data": {**shown.body, "flags": _EPHEMERAL}}
        first = {"type": _UPDATE, "data": shown.body}
        choice = message.reply_to["origin"] == Origin.CHOICE
        return await self._took(message, first if choice else private, private, shown)

    async def answer_openly(self, message: Message, shown: Shown) -> bool:
        """Answer so that everybody sees it; False where the interaction cannot do that (any more).

        Its first answer settles who sees it. A choice that everybody sees becomes the answer.
        """
        opened = self._opened(message)
        async with opened.lock:
            if opened.acknowledged or message.reply_to["origin"] == Origin.CHOICE:
                return False
            beside = {"type": _MESSAGE, "data": shown.body}
            first = {"type": _UPDATE, "data": shown.body}
            choice = message.reply_to.get("choice")
            took = await self._took(message, first if choice else beside, beside, shown)
            opened.acknowledged = True
            # Discord may have taken it before it reported a fault and was asked once more.
            return took or await self.answered_openly(message) is True

    async def _took(
        self, message: Message, first: _Callback, otherwise: _Callback, shown: Shown
    ) -> bool:
        """Whether this became the first answer, or the other where the message is gone.

        False where there was a first answer already.
        """
        try:
            try:
                await self._first(message, first, shown)
            except PostGoneError:
                await self._first(message, otherwise, shown)
        except RefusedError as refused:
            if refused.code != ALREADY_ACKNOWLEDGED:
                raise
            return False
        return True

    async def _first(self, message: Message, first: _Callback, shown: Shown | None = None) -> None:
        route = routes.callback(_id(message), message.reply_to["token"])
        await self._api.interaction(route, first, shown.attachment if shown else None)

    async def answered_openly(self, message: Message) -> bool | None:
        """Whether its answer is one that everybody sees; None where no answer is known."""
        try:
            found = await self._api.interaction(_original("GET", message))
        except (RefusedError, PostGoneError):
            return None
        return not int(found.get("flags") or 0) & _EPHEMERAL

    async def _is_told(self, message: Message) -> bool:
        """Whether its author sees an answer; neither a promise nor an open choice is one."""
        try:
            found = await self._api.interaction(_original("GET", message))
        except (RefusedError, PostGoneError):
            return False
        if message.reply_to["origin"] == Origin.CHOICE:
            return not found.get("components")
        return not int(found.get("flags") or 0) & _LOADING

    async def take_back(self, message: Message) -> None:
        """Delete the promise of an answer that was given elsewhere."""
        with suppress(RefusedError, PostGoneError):
            await self._api.interaction(_original("DELETE", message))


def _id(message: Message) -> str:
    return message.reply_to["interaction"]


def _original(method: str, message: Message) -> Route:
    return routes.original(method, message.reply_to["application"], message.reply_to["token"])
