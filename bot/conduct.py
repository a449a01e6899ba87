"""Carrying out one command in an open transaction: delivery, policy, handler, record.

These are plain functions of a transaction: the store decides when and with whom it commits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bot import replies
from bot.access import Policy, Role
from bot.commands import COMMANDS, Context, House
from bot.conversation import AWAITED_DOORS, Conversation, Door, Invocation
from bot.outcome import PUBLIC, UNSTORED, Answer, AuditEvent, Outcome, Word, answer_again, answer_of
from bot.ports import Transaction
from bot.records import DeliveryState

T = TypeVar("T")
_REFUSALS = frozenset({Word.DENIED, Word.BUSY})


@dataclass(frozen=True, slots=True)
class Conductor:
    """The rules that hold for every command at every door."""

    house: House
    policy: Policy

    def change(self, tx: Transaction, invocation: Invocation) -> Answer:
        """Carry out a command and record it; a delivery that is done is only answered again."""
        judged = self.judge(tx, invocation)
        return judged if isinstance(judged, Answer) else record(tx, invocation, judged)

    def judge(self, tx: Transaction, invocation: Invocation) -> Answer | Outcome:
        """The stored answer of a repeated delivery, or what the command comes to."""
        repeated = _answered_before(tx, invocation)
        if repeated is not None:
            return repeated
        message = invocation.message
        role = self.policy.role_of(message.author, message.door)
        command = COMMANDS[invocation.verb]
        if role < command.role:
            return self._denied(tx, invocation, role, command.role)
        return command.carry_out(Context(tx, invocation, role, self.house))

    def offer(
        self, tx: Transaction, invocation: Invocation, look: Callable[[Context], T], nothing: T
    ) -> T:
        """What this person is offered before the command; `nothing` where they may not use it."""
        message = invocation.message
        role = self.policy.role_of(message.author, message.door)
        if role < COMMANDS[invocation.verb].role:
            return nothing
        return look(Context(tx, invocation, role, self.house))

    def _denied(self, tx: Transaction, invocation: Invocation, role: Role, needed: Role) -> Outcome:
        can = _who_can(tx, self.policy, needed, invocation.message.door)
        actor = invocation.message.author.actor
        reply = replies.denied(role, needed, can, actor, invocation.verb)
        return Outcome(word=Word.DENIED, reply=reply)


def _who_can(tx: Transaction, policy: Policy, needed: Role, door: Door) -> Sequence[str]:
    local = [replies.local_command_line()] if policy.local >= needed else []
    tokens = tx.keys.tokens() if door in AWAITED_DOORS else ()
    holders = [
        replies.by_a_token(token.name) for token in tokens if token.valid and token.role >= needed
    ]
    return [*policy.enough_for(needed), *local, *holders]


def _answered_before(tx: Transaction, invocation: Invocation) -> Answer | None:
    delivery = invocation.message.delivery
    known = tx.deliveries.get(delivery) if delivery else None
    if known is None or known.state is not DeliveryState.DONE or known.body is None:
        return None
    if known.fingerprint != invocation.fingerprint:
        return answer_of(Outcome(word=Word.INVALID, reply=replies.delivery_reused()))
    return answer_again(known.body)


def recorded(invocation: Invocation, outcome: Outcome) -> bool:
    """Whether a look must be written down: it was refused, or its delivery may be repeated."""
    return invocation.message.delivery is not None or outcome.word is Word.DENIED


def record(
    tx: Transaction, invocation: Invocation, outcome: Outcome, *, final: bool = False
) -> Answer:
    """Audit the attempt and store its answer with the delivery, in the same transaction.

    `busy` and `error` are not stored, so that a repeat is tried afresh, unless they are `final`.
    """
    event = _event(tx, invocation, outcome)
    if outcome.word in _REFUSALS:
        tx.audit.refused(event)
    else:
        tx.audit.add(event)
    answer = answer_of(outcome, _card_of(tx, outcome))
    delivery = invocation.message.delivery
    if delivery and (final or outcome.word not in UNSTORED):
        tx.deliveries.done(delivery, invocation.fingerprint, answer)
    return answer


def give_up(tx: Transaction, invocation: Invocation, outcome: Outcome) -> Answer:
    """Answer for good, and without effect, what nobody has carried out."""
    repeated = _answered_before(tx, invocation)
    return repeated or record(tx, invocation, outcome, final=True)


def _card_of(tx: Transaction, outcome: Outcome) -> str | None:
    """Where everybody will see the answer; looked up here, since another look costs more."""
    run = outcome.run
    if run is None or outcome.word not in PUBLIC or not Conversation(run.conversation).has_cards:
        return None
    return tx.cards.message_of(run.id)


def _event(tx: Transaction, invocation: Invocation, outcome: Outcome) -> AuditEvent:
    message, run = invocation.message, outcome.run
    moved = outcome.changed_from is not None or outcome.word is Word.STARTED
    return AuditEvent(
        at=tx.now,
        actor=message.author.actor,
        name=message.author.name,
        door=message.door,
        verb=invocation.verb,
        outcome=outcome.word,
        conversation=message.conversation.key,
        detail=outcome.detail,
        run=run.id if run else None,
        epoch=run.epoch if run else None,
        from_status=outcome.changed_from,
        to_status=run.status if run and moved else None,
    )
