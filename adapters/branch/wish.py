"""What the preparation is asked for."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which worktree is wanted. `repository` and `path` are absolute.

    `commit` must be in it, wherever it has to be fetched from; a fetch may take `seconds`.
    """

    repository: Path
    base: str
    branch: str
    path: Path
    commit: str | None = None
    seconds: float = 120.0

    @property
    def ref(self) -> str:
        """The branch's full name."""
        return f"refs/heads/{self.branch}"
