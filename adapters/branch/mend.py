"""Clears away what killed git commands left.

A lock in the way counts as left once it stays for some seconds, since only the run that claimed
the worktree works in it.
"""

import time
from contextlib import suppress
from pathlib import Path

from adapters.branch.git import Git, GitError, KilledError

_LOCK_PATIENCE_SECONDS = 2.0
_PAUSE_SECONDS = 0.1


def mend_links(git: Git) -> None:
    """Gives worktrees back the link to their repository that a killed git left empty.

    It is always the same, and without it git refuses nearly everything in the whole repository.
    """
    with suppress(GitError, KilledError):
        for link in git.common_directory().glob("worktrees/*/commondir"):
            with suppress(FileNotFoundError):
                if link.stat().st_size == 0:
                    link.write_text("../..\n")


def ref_lock(git: Git, ref: str) -> Path:
    """The file by which git keeps others from changing this ref."""
    return git.common_directory() / f"{ref}.lock"


def break_locks(locks: list[Path], notices: list[str]) -> None:
    """Deletes those of these lock files that stay for longer than a git command needs them."""
    until = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while left := [lock for lock in locks if lock.exists()]:
        if time.monotonic() > until:
            for lock in left:
                lock.unlink(missing_ok=True)
            notices.append("A git lock that a killed command had left was deleted.")
            return
        time.sleep(_PAUSE_SECONDS)
