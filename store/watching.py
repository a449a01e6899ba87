"""What a page shows beside the runs themselves: pages of runs, attempts, and what has changed."""

import base64
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

from sqlalchemy import Connection, bindparam, func, or_, select, text, tuple_

from bot.outcome import AuditEvent
from bot.run import Run
from bot.watching import Attempt, History, Page, Wanted
from store.records import EVENT_COLUMNS, event_of
from store.rows import RUN_COLUMNS, run_of
from store.statement import Statement
from store.tables import LEASED_SQL, STOPPING_SQL, WAITING_SQL, events, runs, steps

_FILTERS = ("status", "workflow", "conversation")


@lru_cache(maxsize=16)
def _page(filtered: tuple[str, ...], *, continued: bool) -> Statement:
    """Newest first; only the filters that are used stand in it."""
    order = (runs.c.created_at, runs.c.id)
    statement = select(*RUN_COLUMNS)
    for name in filtered:
        statement = statement.where(runs.c[name] == bindparam(f"wanted_{name}"))
    if continued:
        before = tuple_(bindparam("before_at"), bindparam("before_id"))
        statement = statement.where(tuple_(*order) < before)
    ordered = statement.order_by(*(column.desc() for column in order))
    return Statement(ordered.limit(bindparam("limit")))


_ATTEMPTS = Statement(
    select(
        *(steps.c.position, steps.c.attempt, steps.c.name, steps.c.epoch),
        *(steps.c.started_at, steps.c.ended_at, steps.c.exit_code),
    )
    .where(steps.c.run_id == bindparam("run"))
    .order_by(steps.c.started_at, steps.c.position, steps.c.attempt)
)
_OF_RUN = select(*EVENT_COLUMNS, events.c.id).where(events.c.run_id == bindparam("run"))
_HISTORY = Statement(
    _OF_RUN.where(events.c.id > bindparam("after")).order_by(events.c.id).limit(bindparam("limit"))
)
_LATEST = Statement(_OF_RUN.order_by(events.c.id.desc()).limit(bindparam("limit")))
_TRANSITIONS = Statement(_OF_RUN.where(events.c.to_status.is_not(None)).order_by(events.c.id))
_LAST_EVENT = Statement(select(func.coalesce(func.max(events.c.id), 0)))
_EVENTS_SINCE = Statement(
    select(events.c.id, events.c.run_id).where(events.c.id > bindparam("since"))
)
_LIVE = Statement(
    select(runs.c.id, runs.c.version).where(
        or_(text(WAITING_SQL), text(LEASED_SQL), text(STOPPING_SQL))
    )
)
_STALE = Statement(
    select(func.count()).where(text(LEASED_SQL), runs.c.lease_expires_at < bindparam("now"))
)
_COUNTS = Statement(select(runs.c.status, func.count()).group_by(runs.c.status))


class RunWatching:
    """Implements bot.ports.Watching on an open connection."""

    def __init__(self, connection: Connection, clock: dict[str, float]) -> None:
        self._connection = connection
        self._clock = clock

    def page(self, wanted: Wanted, limit: int, after: str | None) -> Page:
        used = {name: getattr(wanted, name) for name in _FILTERS if getattr(wanted, name)}
        values: dict[str, object] = {f"wanted_{name}": str(value) for name, value in used.items()}
        if after:
            values |= _continued(after)
        statement = _page(tuple(used), continued=bool(after))
        rows = statement.rows(self._connection, {**values, "limit": limit + 1, **self._clock})
        found = [run_of(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(found, _cursor(found[-1]) if more else None)

    def attempts(self, run_id: str) -> Sequence[Attempt]:
        return [Attempt(*row) for row in _ATTEMPTS.rows(self._connection, {"run": run_id})]

    def history(self, run_id: str, limit: int, after: int) -> History:
        asked = {"run": run_id, "after": after, "limit": limit + 1}
        rows = _HISTORY.rows(self._connection, asked)
        shown = rows[:limit]
        following = shown[-1][-1] if len(rows) > limit else None
        return History([event_of(row[:-1]) for row in shown], following)

    def latest(self, run_id: str, limit: int) -> Sequence[AuditEvent]:
        rows = _LATEST.rows(self._connection, {"run": run_id, "limit": limit})
        return [event_of(row[:-1]) for row in reversed(rows)]

    def transitions(self, run_id: str) -> Sequence[AuditEvent]:
        return [event_of(row[:-1]) for row in _TRANSITIONS.rows(self._connection, {"run": run_id})]

    def last_event(self) -> int:
        return int(_LAST_EVENT.rows(self._connection, {})[0][0])

    def events_since(self, event: int) -> Sequence[tuple[int, str | None]]:
        return [(row[0], row[1]) for row in _EVENTS_SINCE.rows(self._connection, {"since": event})]

    def live(self) -> Mapping[str, int]:
        return dict(_LIVE.rows(self._connection, {}))

    def stale_leases(self) -> int:
        return int(_STALE.rows(self._connection, self._clock)[0][0])

    def counts(self) -> Mapping[str, int]:
        return dict(_COUNTS.rows(self._connection, {}))


def _continued(after: str) -> dict[str, object]:
    """Where the page before ended. Raises ValueError where no page ever ended like that."""
    padded = after + "=" * (-len(after) % 4)
    at, _, run_id = base64.urlsafe_b64decode(padded).decode("ascii").partition("-")
    try:
        moment = float.fromhex(at)
    except OverflowError as error:
        raise ValueError(after) from error
    if not math.isfinite(moment) or not run_id.isalnum():
        raise ValueError(after)
    return {"before_at": moment, "before_id": run_id}


def _cursor(run: Run) -> str:
    """What can stand in an address as it is."""
    ended = f"{run.requested.at.hex()}-{run.id}".encode("ascii")
    return base64.urlsafe_b64encode(ended).decode("ascii").rstrip("=")
