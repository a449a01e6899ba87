"""Slack as a door: receives through slack-bolt, answers, and keeps the cards.

Bolt acknowledges an event before its listener runs, so what was said is made durable before
that, in a middleware; the work itself begins once Slack has its acknowledgement.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext
from slack_bolt.response import BoltResponse

from adapters.slack.inbound import OWN_ACTION, CommandNames, message_of
from adapters.slack.manifest import SHORTCUT
from adapters.slack.people import People
from adapters.slack.speaker import Speaker
from bot import log
from bot.conversation import Door, Message
from bot.dispatcher import Dispatcher, Overdue, explained
from bot.keeper import CardKeeper
from bot.outcome import PUBLIC, Answer, Word, answer_of
from bot.ports import DatabaseUnavailableError, Presence, Store

_RECOVER_SECONDS = 2.0
_DRAIN_SECONDS = 10.0
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_SAID = "baton_said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """What the door works with."""

    store: Store
    dispatcher: Dispatcher
    presence: Presence
    people: People
    speaker: Speaker
    keeper: CardKeeper
    names: CommandNames = field(default_factory=CommandNames)


class SlackDoor:
    """Takes what people say in Slack, and brings the answers back."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._under_way: set[asyncio.Task[None]] = set()

    def attach(self, app: AsyncApp) -> None:
        """Have this app hand over all that is said to Baton."""
        app.middleware(self._receive)
        for listen in (
            app.command(re.compile(".*")),
            app.action(OWN_ACTION),
            app.shortcut(SHORTCUT),
            app.event("app_mention"),
            app.event("message"),
        ):
            listen(self._begin)

    async def _receive(
        self,
        body: Mapping[str, Any],
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[BoltResponse]],  # noqa: A002 - Bolt passes it by this name
    ) -> BoltResponse | None:
        """Make what was said durable before anything else; what is known already ends here."""
        message = message_of(body, self._counter.names)
        if message is None:
            return await next()
        try:
            fresh = await self._counter.dispatcher.receive(message)
        except DatabaseUnavailableError as error:
            return self._not_received(message, error)
        if fresh:
            context[_SAID] = message
        return await next()

    def _not_received(self, message: Message, error: DatabaseUnavailableError) -> BoltResponse:
        """An event comes again if it is not acknowledged; a command or a click does not."""
        told = answer_of(explained(error, "receive"))
        if message.door is Door.SLACK_MENTION:
            return BoltResponse(status=503, body="")
        self._spawn(self._counter.speaker.answer(message, told))
        return BoltResponse(status=200, body="")

    async def _begin(self, ack: AsyncAck, context: AsyncBoltContext) -> None:
        await ack()
        message = context.get(_SAID)
        if message is not None:
            self._spawn(self._carry_out(message))

    # --- work ------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _carry_out(self, message: Message, overdue: Overdue | None = None) -> None:
        """Carry out and answer, with patience: every part of it may be repeated."""
        again = overdue is not None
        for pause in _PAUSES:
            try:
                await self._once(message, overdue, again=again)
            except Exception as error:  # noqa: BLE001 - what was received is answered
                log.fault("reply.carry_out_failed", error, delivery=message.delivery)
                again = True
                await asyncio.sleep(pause)
            else:
                return

    async def _once(self, message: Message, overdue: Overdue | None, *, again: bool) -> None:
        said = await self._counter.people.introduced(message)
        dispatcher = self._counter.dispatcher
        if overdue is None:
            told = await dispatcher.handle(said)
        else:
            told = await dispatcher.handle_late(said, overdue)
        if told is not None:
            age_seconds = overdue.age_seconds if overdue else 0
            await self._counter.speaker.answer(said, told, age_seconds=age_seconds, again=again)
            await self._refresh(said, told)
        await dispatcher.answered(said)

    async def _refresh(self, message: Message, told: Answer) -> None:
        """The card that was clicked in vain may be behind, or its last edit got lost."""
        run_id = told.run_id
        in_vain = message.door is Door.SLACK_BUTTON and told.word not in PUBLIC | {Word.SHOWN}
        if in_vain and run_id is not None:
            await self._counter.store.write(lambda tx: tx.cards.refresh(run_id))

    async def _recover_on(self) -> None:
        """Answer what processes that are gone left unanswered, now and again."""
        while True:
            overdue: Sequence[Overdue] = ()
            try:
                overdue = await self._counter.dispatcher.take_over("slack", self._counter.presence)
            except DatabaseUnavailableError as error:
                log.event("reply.recover_rejected", reason=str(error))
            except Exception as error:  # noqa: BLE001 - the next round may do better
                log.fault("reply.recover_failed", error)
            for one in overdue:
                self._spawn(self._carry_out(one.message, one))
            await asyncio.sleep(_RECOVER_SECONDS)

    async def keep_on(self) -> None:
        """Keep the cards and answer what is left over, until cancelled; then end what is begun."""
        begun = (self._counter.keeper.keep(), self._recover_on())
        works = [asyncio.create_task(work) for work in begun]
        try:
            await asyncio.gather(*works)
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    async def drain(self) -> None:
        """Wait until what was begun is answered; what takes too long stays due."""
        if self._under_way:
            await asyncio.wait(list(self._under_way), timeout=_DRAIN_SECONDS)
        for task in list(self._under_way):
            task.cancel()
