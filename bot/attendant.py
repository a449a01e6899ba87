"""Sees to it that whatever is said at a platform's door is carried out and answered.

What was received is answered: by this process, with patience, or by another one after it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

from bot import log, tenure
from bot.board import TakenForGoneError
from bot.conversation import BUTTON_DOORS, Message
from bot.dispatcher import Dispatcher, Overdue, explained
from bot.keeper import CardKeeper
from bot.outcome import PUBLIC, Answer, Word, answer_of
from bot.ports import DatabaseUnavailableError, Presence, Store
from bot.speaker import Speaker

_RECOVER_SECONDS = 2.0
_DRAIN_SECONDS = 10.0
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_AGAIN_AT_MOST = 30


class _TakenOverError(Exception):
    """Another process answers this in our place."""


async def _as_is(message: Message) -> Message:
    return message


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What a platform's door needs of the rest of Baton; `owner` is the name of this process."""

    store: Store
    dispatcher: Dispatcher
    presence: Presence
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """What an attendant works with; `introduced` adds what is to be known of a message's author."""

    platform: str
    inside: Inside
    speaker: Speaker
    keeper: CardKeeper
    introduced: Callable[[Message], Awaitable[Message]] = _as_is


class Attendant:
    """Takes the messages of one platform, and brings the answers back."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._under_way: set[asyncio.Task[Any]] = set()
        self._since: dict[str | None, int] = {}

    async def receive(self, message: Message) -> bool:
        """Make it durable; False where there is nothing (more) to do.

        Raises DatabaseUnavailableError.
        """
        receiving = asyncio.current_task()
        assert receiving is not None  # noqa: S101 - this is a coroutine
        self._under_way.add(receiving)
        since = self._counter.inside.presence.stretch
        try:
            fresh = await self._counter.inside.dispatcher.receive(message)
        finally:
            self._under_way.discard(receiving)
        if fresh:
            self._since[message.delivery] = since
        return fresh

    def begin(self, message: Message, overdue: Overdue | None = None) -> None:
        """Carry out and answer what was received."""
        since = self._since.pop(message.delivery, 0)
        self._spawn(self._carry_out(message, overdue, since))

    def apologise(self, message: Message, error: DatabaseUnavailableError) -> None:
        """Answer what could not even be received."""
        told = answer_of(explained(error, "receive"))
        self._spawn(self._counter.speaker.answer(message, told))

    # --- work ------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _carry_out(self, message: Message, overdue: Overdue | None, since: int) -> None:
        """Carry out and answer, with patience: every part of it may be repeated.

        It has been ours `since` then, unless we were taken for gone.
        """
        again = overdue is not None and overdue.again
        for pause in chain(_PAUSES, repeat(_PAUSES[-1], _AGAIN_AT_MOST)):
            try:
                await self._once(message, overdue, since, again=again)
            except _TakenOverError:
                log.event("reply.send_rejected", reason="taken over", delivery=message.delivery)
                return
            except TakenForGoneError:
                continue  # whose it is now is known to the database alone
            except DatabaseUnavailableError as error:
                log.event("reply.carry_out_rejected", delivery=message.delivery, reason=str(error))
                again = True
                await asyncio.sleep(pause)
            except Exception as error:  # noqa: BLE001 - what was received is answered
                log.fault("reply.carry_out_failed", error, delivery=message.delivery)
                again = True
                await asyncio.sleep(pause)
            else:
                return

    async def _once(
        self, message: Message, overdue: Overdue | None, since: int, *, again: bool
    ) -> None:
        since = await self._ours(message, since)
        said = await self._counter.introduced(message)
        dispatcher = self._counter.inside.dispatcher
        if overdue is None:
            told = await dispatcher.handle(said)
        else:
            told = await dispatcher.handle_late(said, overdue)
        await self._ours(said, since)
        if told is not None:
            age_seconds = overdue.age_seconds if overdue else 0
            await self._counter.speaker.answer(said, told, age_seconds=age_seconds, again=again)
            await self._refresh(said, told)
        await dispatcher.answered(said)

    async def _ours(self, message: Message, since: int) -> int:
        """Since when it has been ours, and nobody can have taken it over: frozen, cut off or not.

        Raises _TakenOverError where somebody has.
        """
        inside = self._counter.inside
        if not await inside.presence.lasts(since):
            since = inside.presence.stretch
            if not await inside.dispatcher.keeps(message):
                raise _TakenOverError
        tenure.begin(since)
        return since

    async def _refresh(self, message: Message, told: Answer) -> None:
        """The card that was clicked in vain may be behind, or its last edit got lost."""
        run_id = told.run_id
        in_vain = message.door in BUTTON_DOORS and told.word not in PUBLIC | {Word.SHOWN}
        if in_vain and run_id is not None:
            await self._counter.inside.store.write(lambda tx: tx.cards.refresh(run_id))

    async def _recover_on(self) -> None:
        """Answer what processes that are gone left unanswered, now and again."""
        inside, platform = self._counter.inside, self._counter.platform
        while True:
            overdue: Sequence[Overdue] = ()
            since = inside.presence.stretch
            try:
                overdue = await inside.dispatcher.take_over(platform, inside.presence)
            except DatabaseUnavailableError as error:
                log.event("reply.recover_rejected", reason=str(error))
            except Exception as error:  # noqa: BLE001 - the next round may do better
                log.fault("reply.recover_failed", error)
            for one in overdue:
                self._spawn(self._carry_out(one.message, one, since))
            await asyncio.sleep(_RECOVER_SECONDS)

    async def attend(self) -> None:
        """Keep the cards and answer what is left over, until cancelled."""
        # Each is cancelled once only: a read that is cancelled again leaves a connection that never
        # closes, and the loop would wait for it at its end.
        async with asyncio.TaskGroup() as works:
            works.create_task(self._counter.keeper.keep())
            works.create_task(self._recover_on())

    async def drain(self) -> None:
        """Wait until what is being received or was begun is answered; the rest stays due."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._under_way:
                    await asyncio.wait(list(self._under_way), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            log.event("reply.drain_rejected", left=len(self._under_way))
        for task in list(self._under_way):
            task.cancel()
