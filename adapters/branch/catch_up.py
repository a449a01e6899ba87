"""Brings a branch to where another host pushed it, and loses nothing of what is here."""

from adapters.branch.git import Git, GitError, RefusedError, say
from adapters.branch.mend import break_locks, ref_lock
from adapters.branch.remote import Remote, RemoteError, fetched_ref, remote_of
from adapters.branch.wish import Wish
from adapters.branch.worktree import (
    Entry,
    check_unlocked,
    clear,
    set_aside,
    switched,
    uncommitted,
    worktree_here,
)

_SHORT = 10
_REST = "what was not pushed stays where the run worked before."


def catch_up(wish: Wish, git: Git, notices: list[str]) -> None:
    """Does nothing if the branch has the wanted commit; else fetches it.

    A clean worktree that is only behind goes forward. Any other is set aside, so that a new one
    can be made, and commits that were never pushed get a branch of their own. Raises GitError,
    and RefusedError before anything is changed.
    """
    if wish.commit is None or git.contains(wish.ref, wish.commit):
        return
    here, old = worktree_here(wish, git), git.commit(wish.ref)
    break_locks([ref_lock(git, ref) for ref in (wish.ref, fetched_ref(wish.ref))], notices)
    _check_free(wish, git, here, old)
    head = _fetched(wish, git, wish.commit)
    behind = old is None or git.contains(head, old)
    if behind and _went_forward(wish, here, head, notices):
        return
    if here is not None:
        check_unlocked(here, wish, "older than what was pushed of it")
    if old is not None and not behind:
        _keep(wish, git, old, head, notices)
    if here is not None:
        _make_room(wish, git, here, head, notices)
    git("branch", "--force", "--no-track", "--", wish.branch, head)
    notices.append(
        f"The worktree was made anew on this host from branch `{wish.branch}` as it was last "
        f"pushed; {_REST}"
    )


def _check_free(wish: Wish, git: Git, here: Entry | None, old: str | None) -> None:
    """Raises RefusedError or GitError if the branch or its worktree is in somebody's hands."""
    if here is not None and here.branch == wish.ref:
        return
    if here is not None and here.whole and here.branch is not None:
        raise switched(wish, here)
    if old is None:
        return
    try:
        # Changes nothing; but git knows who is in the middle of a rebase of it, say.
        git("branch", "--force", "--no-track", "--", wish.branch, old)
    except GitError as error:
        if here is not None and here.whole:
            raise switched(wish, here) from error
        raise


def _fetched(wish: Wish, git: Git, commit: str) -> str:
    """The branch's head at its remote, which has the commit. Raises RefusedError, GitError."""
    remote = remote_of(git, wish.branch)
    if remote is None:
        raise _not_fetched(wish, commit, "the repository has no remote")
    try:
        head = remote.fetch(git, wish.ref, wish.seconds)
    except RemoteError as error:
        raise _not_fetched(wish, commit, str(error), remote) from error
    if not git.contains(head, commit):
        raise _not_fetched(wish, commit, "the branch there does not have it", remote)
    return head


def _not_fetched(wish: Wish, commit: str, why: str, remote: Remote | None = None) -> RefusedError:
    source = f" from {remote.shown}" if remote else ""
    return RefusedError(
        f"The run's work up to commit `{commit[:_SHORT]}` is not on this host, and could not be "
        f"fetched{source}: {why}. Start a worker on the host that worked on it before, or push "
        f"branch `{wish.branch}` by hand, then resume."
    )


def _went_forward(wish: Wish, here: Entry | None, head: str, notices: list[str]) -> bool:
    """Takes the worktree along, if it stands on the branch and nothing in it could be lost."""
    if here is None or not here.whole or here.branch != wish.ref or uncommitted(wish, notices):
        return False
    git = Git(wish.path)
    try:
        say(git("merge", "--ff-only", "--no-overwrite-ignore", head))
    except GitError:
        return False
    if not git.contains("HEAD", head):
        return False
    notices.append(
        f"The worktree was brought forward to branch `{wish.branch}` as it was last pushed; {_REST}"
    )
    return True


def _keep(wish: Wish, git: Git, old: str, head: str, notices: list[str]) -> None:
    """Gives what is only here a branch, which nobody pushes."""
    kept = f"baton/kept/{wish.branch}-{old[:_SHORT]}"
    ref = f"refs/heads/{kept}"
    break_locks([ref_lock(git, ref)], notices)
    if not git.contains(ref, old):
        git("branch", "--no-track", "--", kept, old)
    number = int(git("rev-list", "--count", f"{head}..{old}"))
    commits, are = ("1 commit", "it is") if number == 1 else (f"{number} commits", "they are")
    notices.append(
        f"Branch `{wish.branch}` had {commits} on this host that nobody pushed; {are} kept on "
        f"branch `{kept}`."
    )


def _make_room(wish: Wish, git: Git, here: Entry, head: str, notices: list[str]) -> None:
    """Has nothing stand on the branch any more."""
    if here.whole:
        set_aside(wish, head, notices)
    else:
        clear(wish, git, here, notices)
