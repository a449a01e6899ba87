"""Where cards are shown in Slack: one message per run, in its thread or at the head of one."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from adapters.slack import blocks
from adapters.slack.api import SlackApi
from bot.card import headline, news
from bot.conversation import Conversation, Door
from bot.run import Run

_METADATA = "baton_run"


class SlackBoard:
    """Implements bot.board.Board."""

    def __init__(self, api: SlackApi, clock: Callable[[], float] = time.time) -> None:
        self._api = api
        self._clock = clock

    async def post(self, run: Run, what: str) -> str:
        """Post the card: in the thread where the run was asked for, else as the head of one."""
        place = Conversation(run.conversation)
        return await self._post(place, place.thread, self._face(run) | _named(run, what))

    def _face(self, run: Run) -> dict[str, Any]:
        now = self._clock()
        return {"text": blocks.escaped(headline(run, now)), "blocks": blocks.card(run)}

    async def _post(
        self, place: Conversation, thread: str | None, content: Mapping[str, Any]
    ) -> str:
        _, team, channel = place.channel.split(":")
        values = {"channel": channel, **QUIET, **content}
        if thread is not None:
            values["thread_ts"] = thread
        answer = await self._api.call(team, "chat.postMessage", values)
        return str(answer["ts"])

    async def edit(self, run: Run, message: str) -> None:
        """Show the run as it is now on its card."""
        _, team, channel = Conversation(run.conversation).channel.split(":")
        values = {"channel": channel, "ts": message, **self._face(run)}
        await self._api.call(team, "chat.update", values)

    async def announce(self, run: Run, message: str, what: str, *, mention: bool) -> str:
        """Tell in the run's thread what happened."""
        told = news(run, self._clock(), Door.SLACK_MENTION)
        platform, _, user = run.requested.actor.partition(":")
        content: dict[str, Any] = {"text": blocks.escaped(told), "blocks": blocks.said(told)}
        if mention and platform == "slack":
            content["blocks"] = blocks.called(user, told)
        place = Conversation(run.conversation)
        return await self._post(place, root_of(place, message), content | _named(run, what))

    async def look_for(self, run: Run, message: str | None, what: str) -> str | None:
        """The message that was posted under this name; it bears the name as its metadata."""
        place = Conversation(run.conversation)
        _, team, channel = place.channel.split(":")
        payload = _named(run, what)["metadata"]["event_payload"]
        return await self._api.find(team, channel, place.thread or message, payload)


QUIET: Mapping[str, Any] = {"unfurl_links": False, "unfurl_media": False, "link_names": False}
"""No previews, and no names turned into mentions."""


def root_of(place: Conversation, card: str) -> str:
    """The message that the run's thread hangs under."""
    return place.thread or card


def _named(run: Run, what: str) -> dict[str, Any]:
    return {"metadata": {"event_type": _METADATA, "event_payload": {"run": run.id, "what": what}}}
