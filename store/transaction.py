"""One open transaction, shared by the commands of a batch."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from store.claims import RunClaims
from store.deliveries import KNOWN, TAKEN, DeliveryBook
from store.hosts import HostBook
from store.keys import KeyRing
from store.looks import RunLooks
from store.outputs import OutputShelf
from store.records import AuditTrail, CardRack
from store.statement import Statement
from store.tables import workers
from store.watching import RunWatching
from store.work import RunWork

_ALL_LIVE = Statement(select(workers.c.name).where(workers.c.lease_expires_at > bindparam("now")))
_LIVE = Statement(
    select(workers.c.name)
    .where(
        workers.c.host == bindparam("host"),
        workers.c.lease_expires_at > bindparam("now"),
        workers.c.slots > 0,
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long things last without a word, in seconds: leases, processes, claims not started."""

    lease_seconds: float
    presence_seconds: float
    orphan_seconds: float


class OpenTransaction:
    """Implements bot.ports.Transaction; `flush` before the commit writes what was gathered."""

    def __init__(
        self, connection: Connection, terms: Terms, now: float, *, crowded: bool = False
    ) -> None:
        """`crowded` where others write at the same time, so that what is read must be kept."""
        clock = {"now": now, "orphan_seconds": terms.orphan_seconds}
        bound = {
            **clock,
            "lease_seconds": terms.lease_seconds,
            "presence_seconds": terms.presence_seconds,
        }
        self._connection = connection
        self._live: dict[str, bool] = {}
        self.now = now
        self.runs = RunLooks(connection, clock)
        self.claims = RunClaims(connection, bound)
        self.work = RunWork(connection, bound)
        self.audit = AuditTrail(connection)
        self.deliveries = DeliveryBook(connection, now, TAKEN if crowded else KNOWN)
        self.cards = CardRack(connection, clock)
        self.keys = KeyRing(connection, now)
        self.outputs = OutputShelf(connection, now)
        self.hosts = HostBook(connection, now)
        self.watching = RunWatching(connection, clock)

    def live_worker(self, host: str) -> bool:
        """Whether some worker of this host has been heard of within its lease."""
        if host not in self._live:
            found = _LIVE.row(self._connection, {"host": host, "now": self.now})
            self._live[host] = found is not None
        return self._live[host]

    def live_workers(self) -> Collection[str]:
        """The names of all processes that have been heard of lately."""
        return {name for (name,) in _ALL_LIVE.rows(self._connection, {"now": self.now})}

    def flush(self) -> None:
        """Write what the batch gathered: events, deliveries and cards, one statement each."""
        self.audit.flush()
        self.deliveries.flush()
        self.cards.flush()
