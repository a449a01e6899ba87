"""What stands beside the runs: audit events, deliveries, cards, live workers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, text, update

from bot.outcome import Answer, AuditEvent
from bot.ports import DeliveryState, StoredDelivery
from bot.run import Run
from store.rows import RUN_COLUMNS, run_of
from store.statement import Row, Statement
from store.tables import REFUSED_SQL, cards, deliveries, events, runs

_THIRTY_DAYS = 30 * 86400.0
_FLOOD_SECONDS = 60.0
_EVENT_COLUMNS = tuple(column for column in events.c if column.name not in {"id", "times"})
_ADD = Statement(insert(events), columns=[column.name for column in _EVENT_COLUMNS])
_OF_RUN = Statement(
    select(*_EVENT_COLUMNS).where(events.c.run_id == bindparam("run")).order_by(events.c.id)
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


def _event_of(row: Row) -> AuditEvent:
    at, actor, door, verb, outcome, run_id, conversation, before, after, epoch, detail = row
    return AuditEvent(
        at=at,
        actor=actor,
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
        return [_event_of(row) for row in _OF_RUN.rows(self._connection, {"run": run_id})]

    def flush(self) -> None:
        """Write what was added."""
        if self._added:
            _ADD.run_for_each(self._connection, self._added)
            self._added = []


_KNOWN = Statement(
    select(deliveries.c.fingerprint, deliveries.c.state, deliveries.c.answer).where(
        deliveries.c.key == bindparam("key")
    )
)
_RECEIVE = Statement(
    text(
        "INSERT INTO deliveries (key, state, received_at, message)"
        " VALUES (:key, 'received', :now, :message) ON CONFLICT (key) DO NOTHING"
    )
)
_DONE = Statement(
    text(
        "INSERT INTO deliveries (key, fingerprint, state, received_at, answer)"
        " VALUES (:key, :fingerprint, 'done', :now, :answer)"
        " ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, state = 'done',"
        " answer = excluded.answer, message = NULL"
    )
)
_UNFINISHED = Statement(
    select(deliveries.c.key, deliveries.c.received_at, deliveries.c.message)
    .where(deliveries.c.state == text("'received'"))
    .order_by(deliveries.c.received_at)
)
_PRUNE = Statement(delete(deliveries).where(deliveries.c.received_at < bindparam("before")))


class DeliveryBook:
    """Implements bot.ports.Deliveries; what is done is written together when a batch ends."""

    def __init__(self, connection: Connection, now: float) -> None:
        self._connection = connection
        self._now = now
        self._done: dict[str, dict[str, Any]] = {}
        self._fresh: dict[str, StoredDelivery] = {}

    def get(self, key: str) -> StoredDelivery | None:
        if key in self._fresh:
            return self._fresh[key]
        row = _KNOWN.row(self._connection, {"key": key})
        if row is None:
            return None
        fingerprint, state, answer = row
        body = json.loads(answer) if answer else None
        return StoredDelivery(fingerprint, DeliveryState(state), body)

    def receive(self, key: str, message: Mapping[str, Any]) -> bool:
        values = {"key": key, "now": self._now, "message": json.dumps(message)}
        return _RECEIVE.run(self._connection, values) == 1

    def done(self, key: str, fingerprint: str, answer: Answer) -> None:
        self._fresh[key] = StoredDelivery(fingerprint, DeliveryState.DONE, answer.body)
        self._done[key] = {
            "key": key,
            "fingerprint": fingerprint,
            "now": self._now,
            "answer": json.dumps(answer.body),
        }

    def unfinished(self) -> Sequence[tuple[str, float, Mapping[str, Any]]]:
        return [
            (key, self._now - received_at, json.loads(message))
            for key, received_at, message in _UNFINISHED.rows(self._connection, {})
        ]

    def prune(self) -> None:
        _PRUNE.run(self._connection, {"before": self._now - _THIRTY_DAYS})

    def flush(self) -> None:
        """Write what is done."""
        if self._done:
            _DONE.run_for_each(self._connection, list(self._done.values()))
            self._done = {}


_OPEN = Statement(insert(cards), columns=("run_id", "channel", "shown_version"))
_DUE = Statement(
    select(*RUN_COLUMNS)
    .join_from(cards, runs, cards.c.run_id == runs.c.id)
    .where(cards.c.channel == bindparam("channel"), cards.c.shown_version < runs.c.version)
    .order_by(runs.c.changed_at)
)
_SHOWN = Statement(
    update(cards)
    .where(cards.c.run_id == bindparam("card"), cards.c.shown_version < bindparam("version"))
    .values(shown_version=bindparam("version"))
)


class CardRack:
    """Implements bot.ports.Cards; opened cards are written together when a batch ends."""

    def __init__(self, connection: Connection, clock: dict[str, float]) -> None:
        self._connection = connection
        self._clock = clock
        self._opened: list[dict[str, Any]] = []

    def open(self, run: Run, channel: str) -> None:
        self._opened.append({"run_id": run.id, "channel": channel, "shown_version": 0})

    def due(self, channel: str) -> Sequence[Run]:
        rows = _DUE.rows(self._connection, {"channel": channel, **self._clock})
        return [run_of(row) for row in rows]

    def shown(self, run_id: str, version: int) -> None:
        _SHOWN.run(self._connection, {"card": run_id, "version": version})

    def flush(self) -> None:
        """Write what was opened."""
        if self._opened:
            _OPEN.run_for_each(self._connection, self._opened)
            self._opened = []
