"""Answers in Slack: what changed a run goes into its thread, everything else to one person.

Nothing is said twice: an answer whose fate is unknown is looked for where that can be done, and
otherwise left alone. One exception: what only one person sees can never be looked for, so it is
repeated after a fault that Slack itself reports.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from adapters.slack import blocks
from adapters.slack.api import SlackApi
from adapters.slack.board import QUIET, root_of
from adapters.slack.inbound import is_direct
from bot import log
from bot.board import PostGoneError, PostLaterError, PostRefusedError, PostUncertainError
from bot.conversation import Conversation, Door, Message
from bot.outcome import PUBLIC, Answer, Word
from bot.ports import Store, Transaction
from bot.run import Change, Run
from bot.words import who

_URL_SECONDS = 29 * 60.0
_PATIENCE_SECONDS = 30 * 60.0
_AGAIN_SECONDS = 1.0
_METADATA = "baton_answer"
_ROOT = "/baton "
"""How replies spell the rooted command."""

_Send = Callable[[], Awaitable[object]]
_IsThere = Callable[[], Awaitable[bool]]
_Way = tuple[str, _Send, _IsThere | None]
"""What a way is called, how to send, and how to find out whether it was sent."""


class Speaker:
    """Brings each answer to where it belongs."""

    def __init__(self, api: SlackApi, store: Store, root_command: str) -> None:
        """`root_command` is what the rooted slash command is called here."""
        self._api = api
        self._store = store
        self._root_command = root_command

    async def answer(
        self, message: Message, told: Answer, *, age_seconds: float = 0, again: bool = False
    ) -> None:
        """Say it, or give up and log why. `again` where it may have been said already."""
        told = replace(told, reply=told.reply.replace(_ROOT, f"{self._root_command} "))
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
        if told.word in PUBLIC:
            thread = await self._thread_of(told, again=again)
            told_all = thread and await self._publicly(message, told, thread, again=again)
            if told_all and thread and thread.channel == message.conversation.channel:
                await self._clear(message, age_seconds)
                return "thread"
        return await self._privately(message, await self._content(message, told), age_seconds)

    # --- in the run's thread ---------------------------------------------------------------

    async def _thread_of(self, told: Answer, *, again: bool) -> Conversation | None:
        """The thread of the run; None where it has none (yet) in Slack."""
        run = told.body["run"]
        place = Conversation(run["conversation"])
        if place.platform != "slack":
            return None
        root = place.thread or told.card
        if root is None and again:
            # Only a fresh answer knows the card.
            root = await self._store.read(lambda tx: tx.cards.message_of(run["id"]))
        return Conversation(f"{place.channel}:{root_of(place, root)}") if root else None

    async def _publicly(
        self, message: Message, told: Answer, thread: Conversation, *, again: bool
    ) -> bool:
        """Whether everybody in the thread sees the answer now."""
        content = {
            "text": blocks.escaped(told.reply),
            "blocks": [*blocks.said(told.reply), blocks.aside(_by(message))],
        }
        try:
            await self._patiently(
                partial(self._post, message, thread, content),
                partial(self._is_there, message, thread),
                unsure=again,
            )
        except PostRefusedError as refused:
            log.event("reply.thread_rejected", delivery=message.delivery, reason=str(refused))
            return False
        return True

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

    async def _clear(self, message: Message, age_seconds: float) -> None:
        """Take away the private choice that was answered in public."""
        url = message.reply_to.get("url")
        if message.reply_to.get("private") and url and age_seconds < _URL_SECONDS:
            await self._api.respond(url, {"delete_original": True})

    # --- to one person ---------------------------------------------------------------------

    async def _content(self, message: Message, told: Answer) -> dict[str, Any]:
        verb = message.text.partition(" ")[0].removeprefix("/")
        shown = blocks.answer(told, verb)
        if message.door is Door.SLACK_SHORTCUT and told.word is Word.SHOWN and verb == "status":
            shown = blocks.choice(told, await self._runs(told))
        return {"text": blocks.escaped(told.reply), "blocks": shown}

    async def _runs(self, told: Answer) -> Sequence[Run]:
        """The run that the answer shows, as it is now."""
        return await self._store.read(partial(_run_in, run_id=told.run_id))

    async def _privately(
        self, message: Message, content: Mapping[str, Any], age_seconds: float
    ) -> str:
        """Say it by the first way that Slack does not refuse; returns which one that was."""
        refused = PostRefusedError("there is no way to this person")
        for route, send, is_there in self._ways(message, content, age_seconds):
            try:
                await self._patiently(send, is_there)
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

    # --- patience --------------------------------------------------------------------------

    async def _patiently(
        self, send: _Send, is_there: _IsThere | None, *, unsure: bool = False
    ) -> None:
        """Send until Slack took it; what it may have taken is looked for before it is repeated.

        `unsure` where it may have been sent before this.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                if unsure and is_there is not None and await is_there():
                    return
                unsure = False
                await send()
            except PostLaterError as later:
                failure: Exception = later
                pause = max(later.seconds, _AGAIN_SECONDS)
            except PostUncertainError as uncertain:
                if is_there is None and not uncertain.fault:
                    raise
                unsure, failure, pause = True, uncertain, _AGAIN_SECONDS
            else:
                return
            if time.monotonic() + pause > deadline:
                raise failure
            await asyncio.sleep(pause)


def _run_in(tx: Transaction, run_id: str | None) -> Sequence[Run]:
    run = tx.runs.get(run_id) if run_id else None
    return [run] if run else []


def _by(message: Message) -> str:
    """Whose doing it was."""
    author = message.author
    return who(Change(author.actor, message.door, 0.0, author.name))


def _mark(message: Message) -> dict[str, str]:
    """Names a delivery to whoever reads the metadata of its answer, without its ids."""
    return {"answer": hashlib.sha256((message.delivery or "").encode()).hexdigest()[:16]}
