"""What the store keeps beside the runs: attempts, deliveries, cards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from bot.outcome import Answer, AuditEvent
from bot.run import Run


class DeliveryState(StrEnum):
    """How far a delivery got."""

    RECEIVED = "received"
    """Durable, not carried out: a crash may lie in between."""
    DONE = "done"
    """Its effect, its audit event and its reply are committed."""


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """What the store knows of a delivery; `body` is the answer's, once it is done."""

    fingerprint: str | None
    state: DeliveryState
    body: Mapping[str, Any] | None


class Audit(Protocol):
    """The append-only record of every attempt."""

    def add(self, event: AuditEvent) -> None:
        """Record one attempt; committed with the transaction."""

    def of(self, run_id: str) -> Sequence[AuditEvent]:
        """Every event of a run, oldest first."""

    def refused(self, event: AuditEvent) -> None:
        """Record a refusal; where they flood, count it instead of writing one more row."""


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery whose answer no platform has taken yet.

    `owner` is the process that received it and is to answer it. `body` is the answer's, once
    the delivery is done.
    """

    key: str
    age_seconds: float
    owner: str
    message: Mapping[str, Any]
    body: Mapping[str, Any] | None


class Deliveries(Protocol):
    """Each delivery has its effect once, and its answer is due until the platform took it."""

    def get(self, key: str) -> StoredDelivery | None:
        """What is known of this delivery, those done earlier in the same batch included."""

    def receive(self, key: str, message: Mapping[str, Any], owner: str) -> bool:
        """Make a delivery durable before it is acknowledged; False where it was known."""

    def done(self, key: str, fingerprint: str, answer: Answer) -> None:
        """Store the answer; committed together with the effect."""

    def answered(self, key: str, owner: str) -> None:
        """Its owner owes no answer any more; what was not done may be delivered again."""

    def due(self) -> Sequence[Due]:
        """Every delivery whose answer is due, oldest first."""

    def take(self, key: str, owner: str, new_owner: str) -> bool:
        """Answer in the place of an owner that is gone; False where another was faster.

        False, too, where somebody still holds it in an open transaction: nobody waits for that.
        """

    def keeps(self, key: str, owner: str) -> bool:
        """Whether it is still this owner that is to answer."""

    def prune(self) -> None:
        """Forget what is older than 30 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What people are shown of a run in its conversation.

    `message` is the platform's id of the card, None before it is posted. `owner` is the process
    that keeps it. `shown` is the version that people see, or less where it is to be shown anew.
    `posting` names what is being posted right now: where it is still there after
    a crash or a lost answer, nobody knows whether it was. `news` is what people were last told
    beside the card, `mentioned` whether the requester was mentioned in that already.
    """

    run: Run
    message: str | None
    owner: str | None
    shown: int
    posting: str | None
    news: str | None
    mentioned: bool


class Cards(Protocol):
    """One card per run in its conversation, due while the version shown is behind the run's.

    What the owner of a card notes is refused, with False, once another process keeps it.
    """

    def open(self, run: Run) -> None:
        """The run will have a card."""

    def message_of(self, run_id: str) -> str | None:
        """The platform's id of a run's card; None where none was posted."""

    def due(self, first: str, last: str, owner: str) -> Sequence[Card]:
        """The cards behind their runs, channels from `first` to `last`, the oldest changes first.

        Before them those of `owner` and of nobody: not all come at once, and the cards of others
        must not stand before them.
        """

    def take(self, run_id: str, owner: str | None, new_owner: str) -> bool:
        """Keep a card in the place of an owner that is gone; False where another was faster."""

    def posting(self, card: Card, what: str | None) -> bool:
        """This is about to be posted; None: it is known what came of it."""

    def posted(self, card: Card, message: str) -> bool:
        """The card of a run has this id on its platform."""

    def shown(self, card: Card, version: int) -> bool:
        """This version is what people see now; message, news and mention are the card's.

        A card that was to be shown anew since it was read still is.
        """

    def refresh(self, run_id: str) -> None:
        """Show the card anew, though nothing changed."""
