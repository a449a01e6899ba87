"""Prepares a run's worktree: brings its branch up to date, then takes it up or makes it."""

import re
import time

from adapters.branch.catch_up import catch_up
from adapters.branch.git import Git, GitError, KilledError, RefusedError
from adapters.branch.mend import mend_links
from adapters.branch.wish import Wish
from adapters.branch.worktree import checked_out_elsewhere, clear, make, take_up, worktree_here

_RETRY_SECONDS = 5.0
_PAUSE_SECONDS = 0.1
_LOCK = re.compile(r"Unable to create '(?:.*/)?([^/]+\.lock)': File exists")
_ELSEWHERE = re.compile(r"(?:checked out|used by worktree) at '")
_NAME_TAKEN = re.compile(r"exists; cannot create 'refs/heads/(.*)'")


def prepare(wish: Wish, notices: list[str]) -> None:
    """Tries again for some seconds: another git command may be busy, or may have been killed.

    Raises RefusedError, GitError, KilledError, OSError.
    """
    until = time.monotonic() + _RETRY_SECONDS
    while True:
        try:
            _prepare(wish, notices)
        except (GitError, KilledError) as error:
            last = time.monotonic() > until
            if (refusal := _refusal(wish, str(error), last=last)) or last:
                raise refusal or error from error
            mend_links(Git(wish.repository))
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _prepare(wish: Wish, notices: list[str]) -> None:
    git = Git(wish.repository)
    _check_repository(wish, git)
    _check_branch_name(wish, git)
    catch_up(wish, git, notices)
    here = worktree_here(wish, git)
    if here is not None and here.whole:
        take_up(wish, here, notices)
    else:
        clear(wish, git, here, notices)
        make(wish, git, notices)


def _check_repository(wish: Wish, git: Git) -> None:
    if not wish.repository.is_dir():
        raise RefusedError(f"The repository `{wish.repository.name}` is missing on this host.")
    try:
        git("rev-parse", "--git-dir")
    except GitError as error:
        if "not a git repository" in str(error):
            name = wish.repository.name
            raise RefusedError(f"`{name}` is not a git repository.") from error
        raise


def _check_branch_name(wish: Wish, git: Git) -> None:
    odd = wish.branch.startswith("-") or wish.branch == "HEAD"
    if odd or not git.succeeds("check-ref-format", wish.ref):
        raise RefusedError(f"`{wish.branch}` cannot be the name of a branch.")


def _refusal(wish: Wish, words: str, *, last: bool) -> RefusedError | None:
    """What stands behind these words of git, if trying again does not help, or is over."""
    if _ELSEWHERE.search(words):
        return checked_out_elsewhere(wish, "another worktree")
    if "dubious ownership" in words:
        return RefusedError(
            f"Git refuses the repository `{wish.repository.name}`, since its files belong to "
            "another user. Git's setting `safe.directory` allows it."
        )
    if taken := _NAME_TAKEN.search(words):
        return RefusedError(
            f"Branch `{taken[1]}` cannot be made: there is a branch whose name is the first "
            "part of it, or begins with it and a slash."
        )
    if last and (lock := _LOCK.search(words)):
        return RefusedError(
            f"Git's lock file `{lock[1]}` is in the way. If no git command is running in the "
            f"repository `{wish.repository.name}`, delete it, then resume."
        )
    return None
