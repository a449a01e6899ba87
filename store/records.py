"""What stands beside the runs: audit events and cards."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Text, bindparam, func, insert, select, text, update

from bot.conversation import Conversation
from bot.outcome import AuditEvent
from bot.records import Card
from bot.run import Run
from store.rows import RUN_COLUMNS, run_of
from store.statement import Row, Statement
from store.tables import CARD_DUE_SQL, REFUSED_SQL, cards, events, runs

_FLOOD_SECONDS = 60.0
EVENT_COLUMNS = tuple(column for column in events.c if column.name not in {"id", "times"})
_ADD = Statement(insert(events).inline(), columns=[column.name for column in EVENT_COLUMNS])
_OF_RUN = Statement(
    select(*EVENT_COLUMNS).where(events.c.run_id == bindparam("run")).order_by(events.c.id)
)
_REFUSED_BEFORE = Statement(
    select(events.c.id)
    .where(
        text(REFUSED_SQL),
        events.c.outcome == bindparam("outcome"),
        events.c.actor == bindparam("actor"),
        events.c.verb == bindparam("verb"),
        events.c.at > bindparam("since"),
    )
    .order_by(events.c.at.desc())
    .limit(1)
)
_COUNT_ONE_MORE = Statement(
    update(events).where(events.c.id == bindparam("event")).values(times=events.c.times + 1)
)


def _event_row(event: AuditEvent) -> dict[str, Any]:
    return {
        "at": event.at,
        "actor": event.actor,
        "actor_name": event.name,
        "door": str(event.door),
        "verb": event.verb,
        "outcome": str(event.outcome),
        "run_id": event.run,
        "conversation": event.conversation,
        "from_status": event.from_status,
        "to_status": event.to_status,
        "epoch": event.epoch,
        "detail": event.detail,
    }


def event_of(row: Row) -> AuditEvent:
    """The event of a row of EVENT_COLUMNS."""
    at, actor, name, door, verb, outcome, run_id, conversation, before, after, epoch, detail = row
    return AuditEvent(
        at=at,
        actor=actor,
        name=name,
        door=door,
        verb=verb,
        outcome=outcome,
        run=run_id,
        conversation=conversation,
        from_status=before,
        to_status=after,
        epoch=epoch,
        detail=detail,
    )


class AuditTrail:
    """Implements bot.ports.Audit; added events are written together when a batch ends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._added: list[dict[str, Any]] = []

    def add(self, event: AuditEvent) -> None:
        self._added.append(_event_row(event))

    def refused(self, event: AuditEvent) -> None:
        self.flush()
        asked = {
            "actor": event.actor,
            "verb": event.verb,
            "outcome": event.outcome,
            "since": event.at - _FLOOD_SECONDS,
        }
        before = _REFUSED_BEFORE.row(self._connection, asked)
        if before is None:
            self.add(event)
        else:
            _COUNT_ONE_MORE.run(self._connection, {"event": before[0]})

    def of(self, run_id: str) -> Sequence[AuditEvent]:
        self.flush()
        return [event_of(row) for row in _OF_RUN.rows(self._connection, {"run": run_id})]

    def flush(self) -> None:
        """Write what was added."""
        if self._added:
            _ADD.run_for_each(self._connection, self._added)
            self._added = []


_OPEN = Statement(insert(cards), columns=("run_id", "channel"))
_CARD_COLUMNS = (
    *(cards.c.message, cards.c.owner, cards.c.posting, cards.c.news, cards.c.mentioned),
    runs.c.shown_version,
    *RUN_COLUMNS,
)
_MOST_DUE = 100
_DUE_CARDS = Statement(
    select(*_CARD_COLUMNS)
    .join_from(runs, cards, cards.c.run_id == runs.c.id)
    .where(
        text(CARD_DUE_SQL),
        runs.c.channel >= bindparam("first"),
        runs.c.channel <= bindparam("last"),
    )
    .order_by(text("coalesce(owner, :kept_by) <> :kept_by"), runs.c.changed_at)
    .limit(_MOST_DUE)
)
_MESSAGE_OF = Statement(select(cards.c.message).where(cards.c.run_id == bindparam("run")))
_BECOMES_DUE = Statement(
    text("UPDATE runs SET shown_version = 0 WHERE id = :run AND shown_version IS NULL")
)
_REFRESH = Statement(
    # Each time another number, so that whoever is just showing it does not take this back.
    text(
        "UPDATE runs SET shown_version = CASE WHEN shown_version > 0 THEN 0"
        " ELSE shown_version - 1 END WHERE id = :run AND shown_version IS NOT NULL"
    )
)
_SHOWN = Statement(
    text("UPDATE runs SET shown_version = :version WHERE id = :run AND shown_version = :before")
)
_KEPT = update(cards).where(
    cards.c.run_id == bindparam("run"),
    func.coalesce(cards.c.owner, "") == func.coalesce(bindparam("kept_by", type_=Text), ""),
)
"""What the owner of a card does with it; nothing once another process keeps it."""

_AS_SHOWN = Statement(
    _KEPT.values(
        message=bindparam("as_message"),
        posting=None,
        news=bindparam("as_news"),
        mentioned=bindparam("as_mentioned"),
    )
)
_POSTED = Statement(_KEPT.values(message=bindparam("as_message"), posting=None))
_POSTING = Statement(_KEPT.values(posting=bindparam("what")))
_TAKE_CARD = Statement(_KEPT.values(owner=bindparam("new_owner")))


def _card_of(row: Row) -> Card:
    message, owner, posting, news, mentioned, shown = row[:6]
    return Card(
        run=run_of(row[6:]),
        message=message,
        owner=owner,
        shown=shown,
        posting=posting,
        news=news,
        mentioned=bool(mentioned),
    )


class CardRack:
    """Implements bot.ports.Cards; opened cards are written together when a batch ends."""

    def __init__(self, connection: Connection, clock: dict[str, float]) -> None:
        self._connection = connection
        self._clock = clock
        self._opened: list[dict[str, Any]] = []

    def open(self, run: Run) -> None:
        conversation = Conversation(run.conversation)
        if conversation.has_cards:
            self._opened.append({"run_id": run.id, "run": run.id, "channel": conversation.channel})

    def message_of(self, run_id: str) -> str | None:
        row = _MESSAGE_OF.row(self._connection, {"run": run_id})
        return row[0] if row else None

    def due(self, first: str, last: str, owner: str) -> Sequence[Card]:
        self.flush()
        values = {"first": first, "last": last, "kept_by": owner, **self._clock}
        return [_card_of(row) for row in _DUE_CARDS.rows(self._connection, values)]

    def take(self, run_id: str, owner: str | None, new_owner: str) -> bool:
        values = {"run": run_id, "kept_by": owner, "new_owner": new_owner}
        return _TAKE_CARD.run(self._connection, values) == 1

    def posting(self, card: Card, what: str | None) -> bool:
        values = {"run": card.run.id, "kept_by": card.owner, "what": what}
        return _POSTING.run(self._connection, values) == 1

    def posted(self, card: Card, message: str) -> bool:
        values = {"run": card.run.id, "kept_by": card.owner, "as_message": message}
        return _POSTED.run(self._connection, values) == 1

    def shown(self, card: Card, version: int) -> bool:
        values = {
            "run": card.run.id,
            "kept_by": card.owner,
            "before": card.shown,
            "version": version,
            "as_message": card.message,
            "as_news": card.news,
            "as_mentioned": card.mentioned,
        }
        if _AS_SHOWN.run(self._connection, values) == 0:
            return False
        _SHOWN.run(self._connection, values)
        return True

    def refresh(self, run_id: str) -> None:
        self.flush()
        _REFRESH.run(self._connection, {"run": run_id})

    def flush(self) -> None:
        """Write what was opened."""
        if self._opened:
            _OPEN.run_for_each(self._connection, self._opened)
            _BECOMES_DUE.run_for_each(self._connection, self._opened)
            self._opened = []
