"""Which processes are alive, on this host and on others."""

from collections.abc import Collection
from dataclasses import dataclass

from bot.ports import Presence, Store


def name_of(place: str, pid: int, unique: str) -> str:
    """The name of a process in a place: no two have the same."""
    return f"{place}:{pid}:{unique}"


def place_of(name: str) -> str:
    """Where the process of this name is."""
    return name.rsplit(":", 2)[0]


@dataclass(frozen=True, slots=True)
class SharedPresence:
    """Implements bot.ports.Presence for a database that many hosts share.

    What ends in this place is known at once; of others it is known only that nothing has been
    heard of their processes for some time.
    """

    place: str
    here: Presence
    store: Store

    async def gone(self, names: Collection[str]) -> Collection[str]:
        """Those of these processes that have ended, as far as anybody can tell."""
        ours = {name for name in names if place_of(name) == self.place}
        gone = set(await self.here.gone(ours))
        elsewhere = set(names) - ours
        if elsewhere:
            gone |= elsewhere - set(await self.store.read(lambda tx: tx.live_workers()))
        return gone
