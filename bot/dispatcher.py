"""One message in, one answer out: parse, the conversation's lock, one transaction, words."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

from bot import faults, log
from bot.commands import COMMANDS
from bot.commands.offering import Choice, choices, to_confirm
from bot.conduct import Conductor, give_up, record, recorded
from bot.conversation import AWAITED_DOORS, Invocation, Message, message_json, message_of
from bot.locks import ConversationBusyError, ConversationLocks
from bot.meter import METER
from bot.outcome import EXIT_CODES, Answer, Outcome, Word, answer_of
from bot.parser import Answered, NotForUs, parse
from bot.ports import DatabaseUnavailableError, Presence, Store, Transaction
from bot.run import Run

_CARRIED_OUT_WITHIN_SECONDS = 60.0
_NOTED_AGAIN_SECONDS = 1.0


def explained(error: Exception, verb: str) -> Outcome:
    """What an error came to, in words; the log has the rest under the reference they name."""
    if isinstance(error, ConversationBusyError) or (
        isinstance(error, DatabaseUnavailableError) and error.busy
    ):
        log.event(f"command.{verb}_busy_rejected", reason=type(error).__name__)
        return Outcome(word=Word.BUSY, reply=faults.busy())
    reference = log.fault(f"command.{verb}_unexpected_failed", error)
    if isinstance(error, DatabaseUnavailableError):
        fault = faults.database_fault if error.certain else faults.database_lost
        return Outcome(word=Word.ERROR, reply=fault(str(error), reference))
    return Outcome(word=Word.ERROR, reply=faults.unexpected(reference))


def told(span: log.Span, answer: Answer) -> Answer:
    """Note in the log what the answer was."""
    span.fields |= {"outcome": str(answer.word), "run": answer.run_id}
    if EXIT_CODES[answer.word]:
        span.reject(str(answer.word))
    return answer


@dataclass(frozen=True, slots=True)
class Overdue:
    """A delivery that is late: its process is gone, or the platform brought it only now.

    `done` where it had its effect already; `again` where its answer may have been given.
    `excuse` is the reply to what is too old to be carried out unseen.
    """

    message: Message
    age_seconds: float
    done: bool
    again: bool = True
    excuse: str = field(default_factory=faults.restarted)


def _take(tx: Transaction, key: str, owner: str, new_owner: str) -> bool:
    return tx.deliveries.take(key, owner, new_owner)


class Dispatcher:
    """Every long-lived door hands its messages to one of these."""

    def __init__(
        self, store: Store, conductor: Conductor, locks: ConversationLocks, owner: str
    ) -> None:
        """`owner` is the name of this process: it answers what it received."""
        self._store = store
        self._conductor = conductor
        self._locks = locks
        self._owner = owner
        self._taken: list[str] = []
        self._noting = False
        self._doubted: set[str] = set()

    async def receive(self, message: Message) -> bool:
        """Make a delivery durable before it is acknowledged.

        False where there is nothing to do: it is plain talk, or it was known, and whoever
        received it first answers it.
        """
        key = message.delivery
        if key is None or isinstance(parse(message, COMMANDS), NotForUs):
            return False
        stored, owner = message_json(message), self._owner
        with self._doubting(key):
            new = await self._store.write(lambda tx: tx.deliveries.receive(key, stored, owner))
        doubted = self._no_doubt(key)
        return new or (doubted and await self.keeps(message))

    @contextmanager
    def _doubting(self, key: str) -> Iterator[None]:
        """Remember a delivery of which nobody could tell whether it is in our name now."""
        try:
            yield
        except DatabaseUnavailableError as error:
            if not error.certain:
                self._doubted.add(key)
            raise

    def _no_doubt(self, key: str) -> bool:
        """Whether this delivery was doubted until now; whoever asks first sees to it."""
        doubted = key in self._doubted
        self._doubted.discard(key)
        return doubted

    async def handle(self, message: Message) -> Answer | None:
        """The one answer to a message, built from what was committed; None for plain talk."""
        parsed = parse(message, COMMANDS)
        if isinstance(parsed, NotForUs):
            return None
        if isinstance(parsed, Answered):
            answer = await self._answer_at_once(message, parsed)
            METER.commands["", str(message.door), str(answer.word)] += 1
            return answer
        fields = {"door": str(message.door), "conversation": message.conversation.key}
        with log.span(f"command.{parsed.verb}", delivery=message.delivery, **fields) as span:
            answer = told(span, await self._carry_out(parsed))
        METER.commands[parsed.verb, str(message.door), str(answer.word)] += 1
        return answer

    async def _answer_at_once(self, message: Message, parsed: Answered) -> Answer:
        outcome = Outcome(word=Word.INVALID, reply=parsed.reply)
        if message.delivery is None:
            return answer_of(outcome)
        try:
            return await self._record(Invocation("", message.text, message), outcome)
        except DatabaseUnavailableError as error:
            return answer_of(explained(error, "unknown"))

    async def _carry_out(self, invocation: Invocation) -> Answer:
        try:
            if COMMANDS[invocation.verb].changes:
                async with self._turn(invocation):
                    return await self._change(invocation)
            if invocation.message.door in AWAITED_DOORS:
                return await self._look(invocation)
            async with self._turn(invocation):
                return await self._look(invocation)
        except Exception as error:  # noqa: BLE001 - every message gets its answer
            outcome = explained(error, invocation.verb)
            if isinstance(error, DatabaseUnavailableError):
                return answer_of(outcome)
            return await self._failed(invocation, outcome)

    @asynccontextmanager
    async def _turn(self, invocation: Invocation) -> AsyncIterator[None]:
        """The conversation's turn of this command."""
        asked_at = perf_counter()
        async with self._locks.hold(invocation.message.conversation.key):
            METER.lock_wait.note(perf_counter() - asked_at)
            yield

    async def _change(self, invocation: Invocation) -> Answer:
        change = partial(self._conductor.change, invocation=invocation)
        with METER.transaction.taken():
            try:
                return await self._store.write(change)
            except DatabaseUnavailableError as error:
                if error.certain or invocation.message.delivery is None:
                    raise
            # Known by its delivery, it is done now, or answered as it was done.
            try:
                return await self._store.write(change)
            except DatabaseUnavailableError as error:
                again = str(error)
                raise DatabaseUnavailableError(again, busy=False, certain=False) from error

    async def _look(self, invocation: Invocation) -> Answer:
        judged = await self._store.read(partial(self._conductor.judge, invocation=invocation))
        if isinstance(judged, Answer):
            return judged
        if recorded(invocation, judged):
            return await self._record(invocation, judged)
        return answer_of(judged)

    async def _record(self, invocation: Invocation, outcome: Outcome) -> Answer:
        change = partial(record, invocation=invocation, outcome=outcome)
        return await self._store.write(change)

    async def _failed(self, invocation: Invocation, outcome: Outcome) -> Answer:
        """The audit gets failed attempts too, if the database can take them."""
        try:
            return await self._record(invocation, outcome)
        except DatabaseUnavailableError:
            return answer_of(outcome)

    async def choices(self, message: Message, verb: str, typed: str) -> list[Choice]:
        """What can be chosen for a command of which so much is typed. Never raises."""
        nothing: list[Choice] = []
        offer = partial(
            self._conductor.offer,
            invocation=Invocation(verb, typed, message),
            look=choices,
            nothing=nothing,
        )
        try:
            return await self._store.read(offer)
        except DatabaseUnavailableError as error:
            log.event("command.choices_rejected", reason=str(error))
            return nothing

    async def to_confirm(self, message: Message) -> Run | None:
        """The run that a cancel would end, if it would; that is asked about first.

        Raises DatabaseUnavailableError.
        """
        parsed = parse(message, COMMANDS)
        if not isinstance(parsed, Invocation):
            return None
        offer = partial(self._conductor.offer, invocation=parsed, look=to_confirm, nothing=None)
        return await self._store.read(offer)

    async def answered(self, message: Message) -> None:
        """The platform took the answer, or it was shown that it never will.

        Noted at once, or with all others that come while some are being noted: only a crash
        meanwhile says it once more.
        """
        key = message.delivery
        if key is None:
            return
        self._taken.append(key)
        if self._noting:
            return
        self._noting = True
        try:
            while self._taken:
                taken, self._taken = self._taken, []
                await self._note(taken)
        finally:
            self._noting = False

    async def _note(self, taken: Sequence[str]) -> None:
        def note(tx: Transaction) -> None:
            for key in taken:
                tx.deliveries.answered(key, self._owner)

        while True:
            try:
                return await self._store.write(note)
            except DatabaseUnavailableError as error:
                log.event("reply.note_rejected", reason=str(error))
                await asyncio.sleep(_NOTED_AGAIN_SECONDS)

    async def take_over(self, platform: str, presence: Presence) -> Sequence[Overdue]:
        """What processes that are gone left unanswered on this platform; it is ours from now on."""
        taken = []
        left = await self._store.read(lambda tx: tx.deliveries.due())
        gone = await presence.gone({due.owner for due in left})
        for due in left:
            message = message_of(due.message)
            ours = due.owner == self._owner and due.key in self._doubted
            if message.conversation.platform != platform or not (ours or due.owner in gone):
                continue
            take = partial(_take, key=due.key, owner=due.owner, new_owner=self._owner)
            try:
                with self._doubting(due.key):
                    took = await self._store.write(take)
                self._no_doubt(due.key)
            except DatabaseUnavailableError as error:
                # What was taken before is ours to answer, whatever becomes of the rest.
                log.event("reply.recover_rejected", delivery=due.key, reason=str(error))
                break
            if took:
                done = due.body is not None
                taken.append(Overdue(message, due.age_seconds, done=done))
        return taken

    async def keeps(self, message: Message) -> bool:
        """Whether it is still for this process to answer."""
        key = message.delivery
        return key is None or await self._store.write(
            lambda tx: tx.deliveries.keeps(key, self._owner)
        )

    async def handle_late(self, message: Message, overdue: Overdue) -> Answer | None:
        """The answer to a message that was left over, with what is now known of its author.

        What is done is answered as it was; what is recent is carried out; what is older is
        answered without effect.
        """
        if overdue.done or overdue.age_seconds < _CARRIED_OUT_WITHIN_SECONDS:
            return await self.handle(message)
        return await self._too_late(message, overdue.excuse)

    async def _too_late(self, message: Message, excuse: str) -> Answer:
        parsed = parse(message, COMMANDS)
        verb, rest = (
            (parsed.verb, parsed.rest) if isinstance(parsed, Invocation) else ("", message.text)
        )
        outcome = Outcome(word=Word.ERROR, reply=excuse)
        invocation = Invocation(verb, rest, message)
        return await self._store.write(partial(give_up, invocation=invocation, outcome=outcome))
