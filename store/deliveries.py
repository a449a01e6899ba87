"""Deliveries: each has its effect once, and its answer is due until the platform took it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, text, update

from bot.outcome import Answer
from bot.records import DeliveryState, Due, StoredDelivery
from store.statement import Statement
from store.tables import ANSWER_DUE_SQL, deliveries

_THIRTY_DAYS = 30 * 86400.0

KNOWN = Statement(
    select(deliveries.c.fingerprint, deliveries.c.state, deliveries.c.answer).where(
        deliveries.c.key == bindparam("key")
    )
)
"""What is known of a delivery."""

TAKEN = Statement(
    text(
        "INSERT INTO deliveries (key, state, received_at) VALUES (:key, 'received', :now)"
        " ON CONFLICT (key) DO UPDATE SET key = excluded.key"
        " RETURNING fingerprint, state, answer"
    )
)
"""What is known of a delivery, which is ours alone until the commit: a copy of it waits here."""

_RECEIVE = Statement(
    text(
        "INSERT INTO deliveries (key, state, received_at, owner, message)"
        " VALUES (:key, 'received', :now, :owner, :message) ON CONFLICT (key) DO NOTHING"
    )
)
_DONE = Statement(
    text(
        "INSERT INTO deliveries (key, fingerprint, state, received_at, answer)"
        " VALUES (:key, :fingerprint, 'done', :now, :answer)"
        " ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, state = 'done',"
        " answer = excluded.answer"
    )
)
_ANSWERED = Statement(
    text(
        "UPDATE deliveries SET message = NULL, owner = NULL"
        " WHERE key = :key AND owner = :owner AND state = 'done'"
    )
)
_FORGET = Statement(
    text("DELETE FROM deliveries WHERE key = :key AND owner = :owner AND state = 'received'")
)
_DUE_ANSWERS = Statement(
    select(
        *(deliveries.c.key, deliveries.c.received_at, deliveries.c.owner),
        *(deliveries.c.message, deliveries.c.answer),
    )
    .where(text(ANSWER_DUE_SQL))
    .order_by(deliveries.c.received_at)
)
_KEPT = select(deliveries.c.key).where(
    deliveries.c.key == bindparam("of_key"),
    deliveries.c.owner == bindparam("old_owner"),
    text(ANSWER_DUE_SQL),
)
_KEEPS = Statement(_KEPT.with_for_update())
_TAKE_DELIVERY = Statement(
    update(deliveries)
    # Whoever is frozen in the middle of a transaction keeps nobody waiting.
    .where(deliveries.c.key.in_(_KEPT.with_for_update(skip_locked=True)))
    .values(owner=bindparam("new_owner"))
)
_PRUNE = Statement(delete(deliveries).where(deliveries.c.received_at < bindparam("before")))


class DeliveryBook:
    """Implements bot.ports.Deliveries; what is done is written together when a batch ends.

    `look_up` is how a delivery is looked up: see KNOWN and TAKEN.
    """

    def __init__(self, connection: Connection, now: float, look_up: Statement = KNOWN) -> None:
        self._connection = connection
        self._now = now
        self._look_up = look_up
        self._done: dict[str, dict[str, Any]] = {}
        self._fresh: dict[str, StoredDelivery] = {}

    def get(self, key: str) -> StoredDelivery | None:
        if key in self._fresh:
            return self._fresh[key]
        row = self._look_up.row(self._connection, {"key": key, "now": self._now})
        if row is None:
            return None
        fingerprint, state, answer = row
        body = json.loads(answer) if answer else None
        return StoredDelivery(fingerprint, DeliveryState(state), body)

    def receive(self, key: str, message: Mapping[str, Any], owner: str) -> bool:
        values = {"key": key, "now": self._now, "message": json.dumps(message), "owner": owner}
        return _RECEIVE.run(self._connection, values) == 1

    def done(self, key: str, fingerprint: str, answer: Answer) -> None:
        self._fresh[key] = StoredDelivery(fingerprint, DeliveryState.DONE, answer.body)
        self._done[key] = {
            "key": key,
            "fingerprint": fingerprint,
            "now": self._now,
            "answer": json.dumps(answer.body),
        }

    def answered(self, key: str, owner: str) -> None:
        self.flush()
        values = {"key": key, "owner": owner}
        if _ANSWERED.run(self._connection, values) == 0:
            _FORGET.run(self._connection, values)

    def due(self) -> Sequence[Due]:
        return [
            Due(
                key=key,
                age_seconds=self._now - received_at,
                owner=owner,
                message=json.loads(message),
                body=json.loads(answer) if answer else None,
            )
            for key, received_at, owner, message, answer in _DUE_ANSWERS.rows(self._connection, {})
        ]

    def take(self, key: str, owner: str, new_owner: str) -> bool:
        values = {"of_key": key, "old_owner": owner, "new_owner": new_owner}
        return _TAKE_DELIVERY.run(self._connection, values) == 1

    def keeps(self, key: str, owner: str) -> bool:
        return _KEEPS.row(self._connection, {"of_key": key, "old_owner": owner}) is not None

    def prune(self) -> None:
        _PRUNE.run(self._connection, {"before": self._now - _THIRTY_DAYS})

    def flush(self) -> None:
        """Write what is done."""
        if self._done:
            _DONE.run_for_each(self._connection, list(self._done.values()))
            self._done = {}
