"""What can be run: workflows as configured, and where their runs work."""

from collections.abc import Mapping
from dataclasses import dataclass

from bot.run import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A named list of steps that runs in worktrees of one repository.

    `repository` is the canonical path of the repository on this host, `base` the branch from
    which new branches start.
    """

    name: str
    repository: str
    base: str
    description: str
    steps: tuple[Step, ...]


Catalogue = Mapping[str, Workflow]
"""Every configured workflow by its name."""
