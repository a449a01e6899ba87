"""The machines on which runs are worked on; what needs one is routed to one that has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Host:
    """A machine with worktrees of its own.

    `place` tells the directory in which it works from every other one, so that two machines
    cannot go by one name. `root` is where its worktrees are, `repositories` the path there of
    each workflow's repository that it has.
    """

    name: str
    place: str
    root: str
    repositories: Mapping[str, str]


class Hosts(Protocol):
    """The hosts that have been heard of."""

    def announce(self, host: Host) -> bool:
        """This is how a host is now; False where another place goes by its name and is alive."""

    def offering(self, workflow: str) -> Sequence[Host]:
        """The living hosts that have a workflow's repository, those with the least work first."""
