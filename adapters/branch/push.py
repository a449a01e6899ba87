"""Pushes a branch, so that another host can go on where this one is."""

import time
from contextlib import suppress
from pathlib import Path

from adapters.branch.git import Git, GitError, KilledError, RefusedError
from adapters.branch.remote import OutrunError, Remote, RemoteError, remote_of


def push(path: Path, branch: str, seconds: float) -> str | None:
    """The commit of the branch, which its remote has now; None if it has no remote.

    Raises RefusedError, GitError or KilledError if the remote may not have it.
    """
    git = Git(path)
    ref = f"refs/heads/{branch}"
    commit = git("rev-parse", "--verify", ref).strip()
    remote = remote_of(git, branch)
    if remote is None:
        return None
    try:
        _push(git, remote, ref, commit, seconds)
    except RemoteError as error:
        raise RefusedError(
            f"Branch `{branch}` could not be pushed to {remote.shown}: {error}."
        ) from error
    return commit


def _push(git: Git, remote: Remote, ref: str, commit: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    try:
        remote.push(git, ref, seconds)
    except OutrunError:
        # What somebody pushed on top of this commit is no reason to worry.
        with suppress(RemoteError, GitError, KilledError):
            if git.contains(remote.fetch(git, ref, max(until - time.monotonic(), 1)), commit):
                return
        raise
