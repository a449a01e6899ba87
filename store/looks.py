"""Looking at runs."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, select, union_all

from bot.conversation import Conversation, Fence
from bot.ports import PICKER_SIZE, SHORTEST_PREFIX
from bot.run import Run, RunStatus, Worktree
from store.rows import RUN_COLUMNS, resumable, run_of
from store.statement import Statement
from store.tables import cards, runs

_BY_ID = Statement(select(*RUN_COLUMNS).where(runs.c.id == bindparam("run_id")))
_HOLDER = Statement(
    select(*RUN_COLUMNS).where(
        runs.c.held_host == bindparam("held_host"), runs.c.held_path == bindparam("held_path")
    )
)
_MOST = PICKER_SIZE + 1
_OF_BRANCH = Statement(
    select(*RUN_COLUMNS)
    .where(runs.c.branch == bindparam("branch"))
    .order_by(runs.c.created_at.desc())
    .limit(PICKER_SIZE)
)

_HIGHEST = "\U0010ffff"
"""Greater than every conversation's key."""
_ID_LIKE = re.compile(r"[a-z0-9]{1,8}")


def _after(prefix: str) -> str:
    """The least string that is greater than every string with this prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


_INSIDE = (
    runs.c.conversation >= bindparam("first"),
    runs.c.conversation < bindparam("last"),
)


def _within(fence: Fence | None) -> dict[str, str]:
    """The values for `_INSIDE`: whose conversations may be seen."""
    first, last = fence or ("", _HIGHEST)
    return {"first": first, "last": last}


_NAMED = Statement(select(*RUN_COLUMNS).where(runs.c.id == bindparam("run_id"), *_INSIDE))
_PREFIXED = Statement(
    select(*RUN_COLUMNS)
    .where(runs.c.id >= bindparam("prefix"), runs.c.id < bindparam("beyond"), *_INSIDE)
    .order_by(runs.c.id)
    .limit(_MOST)
)
_RECENT = Statement(
    select(*RUN_COLUMNS)
    .where(*_INSIDE)
    .order_by(runs.c.created_at.desc(), runs.c.claim.desc())
    .limit(bindparam("limit"))
)
_UNLIMITED = 2**31 - 1
"""More than there will ever be; a negative number or none is not taken everywhere."""


_UNDER_CARD = select(cards.c.run_id).where(
    cards.c.channel == bindparam("channel"), cards.c.message == bindparam("thread")
)
_PLACES: Mapping[bool, Sequence[ColumnElement[bool]]] = {
    False: (runs.c.channel == bindparam("channel"),),
    # A thread: what was asked for in it, and the run whose card it hangs under.
    True: (
        runs.c.conversation == bindparam("conversation"),
        runs.c.id == _UNDER_CARD.scalar_subquery(),
    ),
}


@lru_cache(maxsize=64)
def _candidates(
    statuses: tuple[RunStatus, ...], *, only_resumable: bool, thread: bool
) -> Statement:
    """One arm per place and status, each read in the order of its index, so that no arm sorts."""

    def arm(place: ColumnElement[bool], status: RunStatus) -> Select[Any]:
        statement = (
            select(runs.c.id)
            .where(place, runs.c.status == bindparam(status))
            .order_by(runs.c.changed_at.desc())
            .limit(_MOST)
        )
        if only_resumable:
            statement = statement.where(resumable)
        return select(statement.subquery())

    arms = [arm(place, status) for place in _PLACES[thread] for status in statuses]
    return Statement(select(*RUN_COLUMNS).where(runs.c.id.in_(union_all(*arms))))


class RunLooks:
    """Implements bot.ports.Runs on an open connection."""

    def __init__(self, connection: Connection, clock: dict[str, float]) -> None:
        self._connection = connection
        self._clock = clock

    def _one(self, statement: Statement, **values: object) -> Run | None:
        row = statement.row(self._connection, {**values, **self._clock})
        return run_of(row) if row else None

    def _many(self, statement: Statement, **values: object) -> list[Run]:
        rows = statement.rows(self._connection, {**values, **self._clock})
        return [run_of(row) for row in rows]

    def get(self, run_id: str) -> Run | None:
        return self._one(_BY_ID, run_id=run_id)

    def find(self, reference: str, fence: Fence | None) -> Sequence[Run]:
        if not _ID_LIKE.fullmatch(reference):
            return ()
        inside = _within(fence)
        exact = self._many(_NAMED, run_id=reference, **inside)
        if exact or len(reference) < SHORTEST_PREFIX:
            return exact
        found = self._many(_PREFIXED, prefix=reference, beyond=_after(reference), **inside)
        return sorted(found, key=lambda run: run.changed.at, reverse=True)

    def of_conversation(
        self,
        conversation: Conversation,
        statuses: Sequence[RunStatus],
        *,
        resumable: bool = False,
    ) -> Sequence[Run]:
        statement = _candidates(
            tuple(statuses), only_resumable=resumable, thread=conversation.thread is not None
        )
        values: dict[str, object] = {str(status): str(status) for status in statuses}
        values["conversation"] = conversation.key
        values["channel"] = conversation.channel
        values["thread"] = conversation.thread
        found = self._many(statement, **values)
        return sorted(found, key=lambda run: run.changed.at, reverse=True)[:_MOST]

    def recent(self, limit: int | None, fence: Fence | None) -> Sequence[Run]:
        most = _UNLIMITED if limit is None else limit
        return self._many(_RECENT, limit=most, **_within(fence))

    def of_branch(self, branch: str) -> Sequence[Run]:
        return self._many(_OF_BRANCH, branch=branch)

    def holder_of(self, worktree: Worktree) -> Run | None:
        return self._one(_HOLDER, held_host=worktree.host, held_path=worktree.path)
