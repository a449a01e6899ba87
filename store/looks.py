"""Looking at runs."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select, union_all

from bot.conversation import Conversation
from bot.ports import PICKER_SIZE
from bot.run import Run, RunStatus, Worktree
from store.rows import RUN_COLUMNS, resumable, run_of
from store.tables import runs

_BY_ID = select(*RUN_COLUMNS).where(runs.c.id == bindparam("run_id"))
_HOLDER = select(*RUN_COLUMNS).where(
    runs.c.held_host == bindparam("held_host"), runs.c.held_path == bindparam("held_path")
)
_MOST = PICKER_SIZE + 1
_SHORTEST_PREFIX = 4
_ID_LIKE = re.compile(r"[a-z0-9]{1,8}")


def _after(prefix: str) -> str:
    """The least string that is greater than every string with this prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _within(statement: Select[Any], tenant: str | None) -> Select[Any]:
    if tenant is None:
        return statement
    inside = f"{tenant}:"
    return statement.where(runs.c.conversation >= inside, runs.c.conversation < _after(inside))


@lru_cache(maxsize=64)
def _candidates(statuses: tuple[RunStatus, ...], *, only_resumable: bool, thread: bool) -> Any:  # noqa: ANN401 - a compound select has no narrower public type
    """One arm per status, each read in the order of its index, so that no arm sorts."""
    within = (runs.c.conversation if thread else runs.c.channel) == bindparam("place")

    def arm(status: RunStatus) -> Select[Any]:
        statement = (
            select(runs.c.id)
            .where(within, runs.c.status == bindparam(status))
            .order_by(runs.c.changed_at.desc())
            .limit(_MOST)
        )
        if only_resumable:
            statement = statement.where(resumable)
        return statement

    arms = [select(arm(status).subquery()) for status in statuses]
    return select(*RUN_COLUMNS).where(runs.c.id.in_(union_all(*arms)))


class RunLooks:
    """Implements bot.ports.Runs on an open connection."""

    def __init__(self, connection: Connection, clock: dict[str, float]) -> None:
        self._connection = connection
        self._clock = clock

    def _one(self, statement: Select[Any], **values: object) -> Run | None:
        row = self._connection.execute(statement, {**values, **self._clock}).first()
        return run_of(row) if row else None

    def _many(self, statement: Any, **values: object) -> list[Run]:  # noqa: ANN401 - a select or a compound one
        rows = self._connection.execute(statement, {**values, **self._clock})
        return [run_of(row) for row in rows]

    def get(self, run_id: str) -> Run | None:
        return self._one(_BY_ID, run_id=run_id)

    def find(self, reference: str, tenant: str | None) -> Sequence[Run]:
        if not _ID_LIKE.fullmatch(reference):
            return ()
        exact = self._many(_within(_BY_ID, tenant), run_id=reference)
        if exact or len(reference) < _SHORTEST_PREFIX:
            return exact
        prefixed = (
            select(*RUN_COLUMNS)
            .where(runs.c.id >= reference, runs.c.id < _after(reference))
            .order_by(runs.c.id)
            .limit(_MOST)
        )
        found = self._many(_within(prefixed, tenant))
        return sorted(found, key=lambda run: run.changed.at, reverse=True)

    def of_conversation(
        self,
        conversation: Conversation,
        statuses: Sequence[RunStatus],
        *,
        resumable: bool = False,
    ) -> Sequence[Run]:
        statement = _candidates(
            tuple(statuses), only_resumable=resumable, thread=conversation.is_thread
        )
        values: dict[str, object] = {str(status): str(status) for status in statuses}
        values["place"] = conversation.key
        found = self._many(statement, **values)
        return sorted(found, key=lambda run: run.changed.at, reverse=True)[:_MOST]

    def recent(self, limit: int | None, tenant: str | None) -> Sequence[Run]:
        newest = select(*RUN_COLUMNS).order_by(runs.c.created_at.desc(), runs.c.claim.desc())
        return self._many(_within(newest.limit(limit), tenant))

    def holder_of(self, worktree: Worktree) -> Run | None:
        return self._one(_HOLDER, held_host=worktree.host, held_path=worktree.path)
