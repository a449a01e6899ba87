"""How Baton speaks in Slack: into the run's thread, or to one person alone.

Nothing is said twice: an answer whose fate is unknown is looked for where that can be done, and
otherwise left alone. One exception: what only one person sees can never be looked for, so it is
repeated after a fault that Slack itself reports.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from adapters.slack import blocks
from adapters.slack.api import SlackApi
from adapters.slack.board import QUIET, root_of
from adapters.slack.inbound import is_direct
from bot.board import PostRefusedError
from bot.conversation import Conversation, Door, Message
from bot.outcome import Answer, Word
from bot.patience import IsThere, Send, patiently
from bot.ports import Store, Transaction
from bot.run import Run
from bot.speaker import Heard
from bot.words import by_author

_URL_SECONDS = 29 * 60.0
_METADATA = "baton_answer"
_ROOT = "/baton "
"""How replies spell the rooted command."""

_Way = tuple[str, Send, IsThere | None]
"""What a way is called, how to send, and how to find out whether it was sent."""


class SlackVoice:
    """Implements bot.speaker.Voice."""

    platform = "slack"

    def __init__(self, api: SlackApi, store: Store, root_command: str) -> None:
        """`root_command` is what the rooted slash command is called here."""
        self._api = api
        self._store = store
        self._root_command = root_command

    def _spelled(self, told: Answer) -> Answer:
        """The answer with the rooted command as it is called here."""
        return replace(told, reply=told.reply.replace(_ROOT, f"{self._root_command} "))

    # --- in the run's thread ---------------------------------------------------------------

    async def publicly(
        self, message: Message, told: Answer, card: str | None, *, again: bool
    ) -> Heard:
        """Say it in the run's thread; whoever is in the same channel sees it there."""
        place = Conversation(told.body["run"]["conversation"])
        if place.thread is None and card is None:
            return Heard.NOBODY
        thread = Conversation(f"{place.channel}:{root_of(place, card or '')}")
        reply = self._spelled(told).reply
        content = {
            "text": blocks.escaped(reply),
            "blocks": [*blocks.said(reply), blocks.aside(by_author(message))],
        }
        await patiently(
            partial(self._post, message, thread, content),
            partial(self._is_there, message, thread),
            unsure=again,
        )
        same = thread.channel == message.conversation.channel
        return Heard.AUTHOR if same else Heard.OTHERS

    async def _post(
        self, message: Message, place: Conversation, content: Mapping[str, Any]
    ) -> None:
        _, team, channel = place.channel.split(":")
        metadata = {"event_type": _METADATA, "event_payload": _mark(message)}
        values = {"channel": channel, "metadata": metadata, **QUIET, **content}
        if place.thread is not None:
            values["thread_ts"] = place.thread
        await self._api.call(team, "chat.postMessage", values)

    async def _is_there(self, message: Message, place: Conversation) -> bool:
        """Whether the answer stands there already; taken for true where nobody can look."""
        _, team, channel = place.channel.split(":")
        try:
            found = await self._api.find(team, channel, place.thread, _mark(message))
        except PostRefusedError:
            return True
        return found is not None

    async def clear(self, message: Message, told: Answer, age_seconds: float) -> None:  # noqa: ARG002 - nothing stays of what was chosen
        """Take away the private choice that was answered in public."""
        url = message.reply_to.get("url")
        if message.reply_to.get("private") and url and age_seconds < _URL_SECONDS:
            await self._api.respond(url, {"delete_original": True})

    # --- to one person ---------------------------------------------------------------------

    async def _content(self, message: Message, told: Answer) -> dict[str, Any]:
        verb = message.verb
        told = self._spelled(told)
        shown = blocks.answer(told, verb)
        if message.door is Door.SLACK_SHORTCUT and told.word is Word.SHOWN and verb == "status":
            shown = blocks.choice(told, await self._runs(told))
        return {"text": blocks.escaped(told.reply), "blocks": shown}

    async def _runs(self, told: Answer) -> Sequence[Run]:
        """The run that the answer shows, as it is now."""
        return await self._store.read(partial(_run_in, run_id=told.run_id))

    async def privately(
        self, message: Message, told: Answer, age_seconds: float, *, again: bool
    ) -> str:
        """Say it by the first way that Slack does not refuse; returns which one that was."""
        content = await self._content(message, told)
        refused = PostRefusedError("there is no way to this person")
        for route, send, is_there in self._ways(message, content, age_seconds):
            try:
                await patiently(send, is_there, unsure=again)
            except PostRefusedError as error:
                refused = error
            else:
                return route
        raise refused

    def _ways(self, message: Message, content: Mapping[str, Any], age_seconds: float) -> list[_Way]:
        _, team, channel = message.conversation.channel.split(":")
        url, user = message.reply_to.get("url"), message.reply_to["user"]
        # In a thread that nobody has begun, Slack shows nothing to one person alone
        # (docs.slack.dev: chat.postEphemeral).
        begun = message.reply_to.get("thread")
        thread = {"thread_ts": begun} if begun else {}
        ways: list[_Way] = []
        if url and age_seconds < _URL_SECONDS:
            replace = bool(message.reply_to.get("private"))
            body = {"response_type": "ephemeral", "replace_original": replace, **thread, **content}
            ways.append(("url", partial(self._api.respond, url, body), None))
        if is_direct(channel):
            place = message.conversation
            is_there = partial(self._is_there, message, place)
            ways.append(("direct", partial(self._post, message, place, content), is_there))
        else:
            values = {"channel": channel, "user": user, **thread, **content}
            send = partial(self._api.call, team, "chat.postEphemeral", values)
            ways.append(("private", send, None))
        alone = Conversation(f"slack:{team}:{user}")
        ways.append(("direct", partial(self._post, message, alone, content), None))
        return ways


def _run_in(tx: Transaction, run_id: str | None) -> Sequence[Run]:
    run = tx.runs.get(run_id) if run_id else None
    return [run] if run else []


def _mark(message: Message) -> dict[str, str]:
    """Names a delivery to whoever reads the metadata of its answer, without its ids."""
    return {"answer": hashlib.sha256((message.delivery or "").encode()).hexdigest()[:16]}
