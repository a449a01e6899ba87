"""What stands beside the runs: audit events, deliveries, cards, live workers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, text, update

from bot.outcome import Answer, AuditEvent
from bot.ports import DeliveryState, StoredDelivery
from bot.run import Run
from store.rows import RUN_COLUMNS, run_of
from store.tables import REFUSED_SQL, cards, deliveries, events, runs

_THIRTY_DAYS = 30 * 86400.0
_FLOOD_SECONDS = 60.0
_EVENT_COLUMNS = tuple(column for column in events.c if column.name not in {"id", "times"})
_OF_RUN = select(*_EVENT_COLUMNS).where(events.c.run_id == bindparam("run")).order_by(events.c.id)
_REFUSED_BEFORE = (
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
_COUNT_ONE_MORE = (
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
        before = self._connection.execute(_REFUSED_BEFORE, asked).scalar()
        if before is None:
            self.add(event)
        else:
            self._connection.execute(_COUNT_ONE_MORE, {"event": before})

    def of(self, run_id: str) -> Sequence[AuditEvent]:
        self.flush()
        rows = self._connection.execute(_OF_RUN, {"run": run_id}).mappings()
        return [
            AuditEvent(**{**{k: row[k] for k in row if k != "run_id"}, "run": row["run_id"]})
            for row in rows
        ]

    def flush(self) -> None:
        """Write what was added."""
        if self._added:
            self._connection.execute(insert(events), self._added)
            self._added = []


_KNOWN = select(
    deliveries.c.key, deliveries.c.fingerprint, deliveries.c.state, deliveries.c.answer
).where(deliveries.c.key.in_(bindparam("keys", expanding=True)))
_RECEIVE = text(
    "INSERT INTO deliveries (key, state, received_at, message)"
    " VALUES (:key, 'received', :now, :message) ON CONFLICT (key) DO NOTHING"
)
_DONE = text(
    "INSERT INTO deliveries (key, fingerprint, state, received_at, answer)"
    " VALUES (:key, :fingerprint, 'done', :now, :answer)"
    " ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, state = 'done',"
    " answer = excluded.answer, message = NULL"
)
_UNFINISHED = (
    select(deliveries.c.key, deliveries.c.received_at, deliveries.c.message)
    .where(deliveries.c.state == text("'received'"))
    .order_by(deliveries.c.received_at)
)
_PRUNE = delete(deliveries).where(deliveries.c.received_at < bindparam("before"))


class DeliveryBook:
    """Implements bot.ports.Deliveries; one look-up and one write for a whole batch."""

    def __init__(self, connection: Connection, now: float, expected: Sequence[str]) -> None:
        self._connection = connection
        self._now = now
        self._known: dict[str, StoredDelivery | None] = {}
        self._done: dict[str, dict[str, Any]] = {}
        if expected:
            self._look_up(expected)

    def _look_up(self, keys: Sequence[str]) -> None:
        self._known |= dict.fromkeys(keys)
        for row in self._connection.execute(_KNOWN, {"keys": list(keys)}):
            body = json.loads(row.answer) if row.answer else None
            self._known[row.key] = StoredDelivery(row.fingerprint, DeliveryState(row.state), body)

    def get(self, key: str) -> StoredDelivery | None:
        if key not in self._known:
            self._look_up([key])
        return self._known[key]

    def receive(self, key: str, message: Mapping[str, Any]) -> bool:
        values = {"key": key, "now": self._now, "message": json.dumps(message)}
        return self._connection.execute(_RECEIVE, values).rowcount == 1

    def done(self, key: str, fingerprint: str, answer: Answer) -> None:
        self._known[key] = StoredDelivery(fingerprint, DeliveryState.DONE, answer.body)
        self._done[key] = {
            "key": key,
            "fingerprint": fingerprint,
            "now": self._now,
            "answer": json.dumps(answer.body),
        }

    def unfinished(self) -> Sequence[tuple[str, float, Mapping[str, Any]]]:
        return [
            (row.key, self._now - row.received_at, json.loads(row.message))
            for row in self._connection.execute(_UNFINISHED)
        ]

    def prune(self) -> None:
        self._connection.execute(_PRUNE, {"before": self._now - _THIRTY_DAYS})

    def flush(self) -> None:
        """Write what is done."""
        if self._done:
            self._connection.execute(_DONE, list(self._done.values()))
            self._done = {}


_DUE = (
    select(*RUN_COLUMNS)
    .join_from(cards, runs, cards.c.run_id == runs.c.id)
    .where(cards.c.channel == bindparam("channel"), cards.c.shown_version < runs.c.version)
    .order_by(runs.c.changed_at)
)
_SHOWN = (
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
        rows = self._connection.execute(_DUE, {"channel": channel, **self._clock})
        return [run_of(row) for row in rows]

    def shown(self, run_id: str, version: int) -> None:
        self._connection.execute(_SHOWN, {"card": run_id, "version": version})

    def flush(self) -> None:
        """Write what was opened."""
        if self._opened:
            self._connection.execute(insert(cards), self._opened)
            self._opened = []
