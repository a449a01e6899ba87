"""Hosts: what each has, and how much each has to do."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, text

from bot.hosts import Host
from store.statement import Statement
from store.tables import LEASED_SQL, WAITING_SQL, hosts, runs, workers

_LIST = Statement(
    text(
        "INSERT INTO hosts (name, place, root, repositories)"
        " VALUES (:name, :place, :root, :repositories) ON CONFLICT (name) DO NOTHING"
    )
)
_HOLD = Statement(select(hosts.c.name).where(hosts.c.name == bindparam("name")).with_for_update())
"""Two machines of one name come one after the other: each sees who lives there in a statement that
begins once it has the row, since one that waited for the row would look at what was before."""
_ANNOUNCE = Statement(
    text(
        "UPDATE hosts SET place = :place, root = :root, repositories = :repositories"
        " WHERE name = :name AND (place = :place OR NOT EXISTS"
        " (SELECT 1 FROM workers WHERE workers.host = :name"
        " AND workers.lease_expires_at > :now))"
    )
)
_KNOWN = Statement(
    select(hosts.c.name).where(
        hosts.c.name == bindparam("name"),
        hosts.c.place == bindparam("place"),
        hosts.c.root == bindparam("root"),
        hosts.c.repositories == bindparam("repositories"),
    )
)
"""Asked first: to write what is so already would lock the row, and a frozen worker its host."""
_LIVING = Statement(
    select(hosts.c.name, hosts.c.place, hosts.c.root, hosts.c.repositories)
    .where(
        select(workers.c.name)
        .where(
            workers.c.host == hosts.c.name,
            workers.c.lease_expires_at > bindparam("now"),
            workers.c.slots > 0,
        )
        .exists()
    )
    .order_by(hosts.c.name)
)
_LOADS = Statement(
    select(runs.c.host, func.count())
    .where(or_(text(WAITING_SQL), text(LEASED_SQL)))
    .group_by(runs.c.host)
)


class HostBook:
    """Implements bot.hosts.Hosts on an open connection."""

    def __init__(self, connection: Connection, now: float) -> None:
        self._connection = connection
        self._now = now

    def announce(self, host: Host) -> bool:
        values: dict[str, Any] = {
            "name": host.name,
            "place": host.place,
            "root": host.root,
            "repositories": json.dumps(dict(host.repositories)),
            "now": self._now,
        }
        if _KNOWN.row(self._connection, values) is not None:
            return True
        _LIST.run(self._connection, values)
        _HOLD.row(self._connection, values)
        return _ANNOUNCE.run(self._connection, values) == 1

    def offering(self, workflow: str) -> Sequence[Host]:
        rows = _LIVING.rows(self._connection, {"now": self._now})
        living = [Host(name, place, root, json.loads(has)) for name, place, root, has in rows]
        having = [host for host in living if workflow in host.repositories]
        loads: dict[str, int] = dict(_LOADS.rows(self._connection, {})) if len(having) > 1 else {}
        return sorted(having, key=lambda host: loads.get(host.name, 0))
