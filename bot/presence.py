"""Which processes are alive, on this host and on others."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from bot.ports import Presence, Store


def name_of(place: str, pid: int, unique: str) -> str:
    """The name of a process in a place: no two have the same."""
    return f"{place}:{pid}:{unique}"


def place_of(name: str) -> str:
    """Where the process of this name is."""
    return name.rsplit(":", 2)[0]


class Pulse(Protocol):
    """What keeps this process alive in the eyes of others; see bot.ports.Presence."""

    @property
    def stretch(self) -> int:
        """The one that lasts, as far as it is known."""

    def surely_lasts(self, stretch: int) -> bool:
        """Whether nobody can have taken this process for gone since, as far as it knows itself."""

    async def lasts(self, stretch: int) -> bool:
        """Whether nobody can have taken this process for gone since; nobody does from now on."""


@dataclass(frozen=True, slots=True)
class SharedPresence:
    """Implements bot.ports.Presence for a database that many hosts share.

    What ends in this place is known at once; of others it is known only that nothing has been
    heard of their processes for some time.
    """

    place: str
    here: Presence
    store: Store
    pulse: Pulse

    @property
    def stretch(self) -> int:
        """The time that lasts in which nobody could take this process for gone."""
        return self.pulse.stretch

    def surely_lasts(self, stretch: int) -> bool:
        """Whether it has lasted until now, as far as this process knows itself."""
        return self.pulse.surely_lasts(stretch)

    async def lasts(self, stretch: int) -> bool:
        """Whether it has lasted until now; from now on it does."""
        return await self.pulse.lasts(stretch)

    async def gone(self, names: Collection[str]) -> Collection[str]:
        """Those of these processes that have ended, as far as anybody can tell."""
        ours = {name for name in names if place_of(name) == self.place}
        gone = set(await self.here.gone(ours))
        elsewhere = set(names) - ours
        if elsewhere:
            gone |= elsewhere - set(await self.store.read(lambda tx: tx.live_workers()))
        return gone
