"""Which processes of this host are alive: each holds a lock on a file of its own until it ends."""

import fcntl
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class PresenceFiles:
    """Implements bot.ports.Presence below one directory that all processes of this host share.

    The kernel takes a lock back when its process ends, however it ends; a pid would be reused.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _file(self, name: str) -> Path:
        return self._directory / f"{name.replace(':', '-').replace('/', '-')}.lock"

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Be alive under this name."""
        self._directory.mkdir(parents=True, exist_ok=True)
        file = self._file(name)
        with file.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
            file.unlink(missing_ok=True)

    @property
    def stretch(self) -> int:
        return 0

    def surely_lasts(self, stretch: int) -> bool:  # noqa: ARG002 - see below
        return True

    async def lasts(self, stretch: int) -> bool:  # noqa: ARG002 - a lock never slips by itself
        return True

    async def gone(self, names: Collection[str]) -> Collection[str]:
        return {name for name in names if self._has_ended(name)}

    def _has_ended(self, name: str) -> bool:
        file = self._file(name)
        ended = _is_free(file)
        if ended:
            # Whoever held it did not live to take it away.
            file.unlink(missing_ok=True)
        return ended

    def alive(self) -> Collection[str]:
        """The names of all that live, with hyphens for what the name of a file cannot have."""
        return [file.stem for file in self._directory.glob("*.lock") if not _is_free(file)]


def _is_free(file: Path) -> bool:
    """Whether nobody holds the lock on this file, or there is none."""
    with suppress(FileNotFoundError), file.open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True
