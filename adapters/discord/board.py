"""Where cards are shown in Discord: one message per run, in the channel or thread of its run."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import discord

from adapters.discord import routes
from adapters.discord.api import ARCHIVED_THREAD, DiscordApi, RefusedError
from adapters.discord.inbound import channel_of
from adapters.discord.shown import NOBODY, card, title
from adapters.discord.text import fitted
from adapters.discord.voice import nonce_of, referring
from bot.board import PostRefusedError
from bot.card import news
from bot.conversation import Conversation, Door
from bot.run import Run
from bot.words import name_of, stands

_CARD = "card"
_LONGEST_NEWS = 1900
_CLOCKS_APART_SECONDS = 60.0


class DiscordBoard:
    """Implements bot.board.Board."""

    def __init__(self, api: DiscordApi, clock: Callable[[], float] = time.time) -> None:
        self._api = api
        self._clock = clock

    async def post(self, run: Run, what: str) -> str:
        """Post the card where the run was asked for."""
        return await self._post(run, what, card(run).body)

    async def _post(self, run: Run, what: str, body: Mapping[str, Any]) -> str:
        named = {**body, **nonce_of(run.id, what, str(run.version))}
        posted = await self._api.post(_channel(run), named)
        return str(posted["id"])

    async def edit(self, run: Run, message: str) -> None:
        """Show the run as it is now on its card; a thread that was archived is opened for it."""
        try:
            await self._edit(run, message)
        except RefusedError as refused:
            if refused.code != ARCHIVED_THREAD:
                raise
            thread = routes.channel("PATCH", _channel(run))
            await self._api.repeatable(thread, {"archived": False})
            await self._edit(run, message)

    async def _edit(self, run: Run, message: str) -> None:
        await self._api.repeatable(routes.edits(_channel(run), message), card(run).body)

    async def announce(self, run: Run, message: str, what: str, *, mention: bool) -> str:
        """Tell in a reply to the card what happened."""
        told = fitted(news(run, self._clock(), Door.DISCORD_SLASH), _LONGEST_NEWS)
        platform, _, user = run.requested.actor.partition(":")
        called = mention and platform == "discord"
        body = {
            "content": f"<@{user}> {told}" if called else told,
            "allowed_mentions": {"parse": [], "users": [user]} if called else NOBODY,
            **referring(message),
        }
        return await self._post(run, what, body)

    async def look_for(self, run: Run, message: str | None, what: str) -> str | None:
        """The message that was posted under this name, known by what it says of the run.

        Where nobody may look, it is posted again: Discord knows its nonce for some minutes.
        """
        matches = self._is_card(run) if what == _CARD else self._is_news(run, message)
        with suppress(PostRefusedError):
            return await self._api.find(_channel(run), matches)
        return None

    def _is_card(self, run: Run) -> Callable[[Mapping[str, Any]], bool]:
        return lambda found: found["content"].startswith(title(run))

    def _is_news(self, run: Run, message: str | None) -> Callable[[Mapping[str, Any]], bool]:
        """News of the same words may be older; only what came after the last change counts."""
        since = run.changed.at - _CLOCKS_APART_SECONDS
        words = fitted(f"{name_of(run)} {stands(run, None)}".rstrip("."), _LONGEST_NEWS)

        def matches(found: Mapping[str, Any]) -> bool:
            to = (found.get("message_reference") or {}).get("message_id")
            recent = discord.utils.snowflake_time(int(found["id"])).timestamp() > since
            return to == message and recent and words in found["content"]

        return matches


def _channel(run: Run) -> str:
    return channel_of(Conversation(run.conversation))
