"""One worktree of Baton's own: found, taken up, made, or cleared out of the way."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.branch.git import Git, GitError, RefusedError, say
from adapters.branch.mend import break_locks, ref_lock
from adapters.branch.wish import Wish

_HALF_MADE = "initializing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A worktree that git knows. `locked` is the reason why git must not prune it.

    `whole`: its directory is there and is a worktree of this repository, made to its end.
    """

    path: Path
    branch: str | None = None
    locked: str | None = None
    whole: bool = False


def worktree_here(wish: Wish, git: Git) -> Entry | None:
    """What git knows to be in the wanted place.

    Raises RefusedError if that is no whole worktree, and the branch is checked out in another.
    """
    known = list(_worktrees(git))
    here = next((entry for entry in known if _same(entry.path, wish.path)), None)
    if here is not None and _is_whole(wish, git, here):
        return replace(here, whole=True)
    for entry in known:
        if entry is not here and entry.branch == wish.ref:
            raise checked_out_elsewhere(wish, f"another worktree, `{entry.path.name}`")
    return here


def _worktrees(git: Git) -> Iterator[Entry]:
    for block in git("worktree", "list", "--porcelain").split("\n\n"):
        lines = (line.partition(" ") for line in block.splitlines())
        values = {name: value for name, _, value in lines}
        if "worktree" in values:
            yield Entry(
                path=Path(values["worktree"]),
                branch=values.get("branch"),
                locked=values.get("locked"),
            )


def _same(path: Path, other: Path) -> bool:
    """Whether these are one place; a link there is not what it leads to."""
    return path.parent.resolve() / path.name == other.parent.resolve() / other.name


def _is_whole(wish: Wish, git: Git, here: Entry) -> bool:
    if here.locked == _HALF_MADE:
        return False
    try:
        theirs = Git(wish.path).common_directory()
        top = Path(Git(wish.path)("rev-parse", "--show-toplevel").removesuffix("\n"))
    except GitError:
        return False
    return theirs.resolve() == git.common_directory().resolve() and _same(top, wish.path)


def checked_out_elsewhere(wish: Wish, where: str) -> RefusedError:
    """Why a branch that somebody else works on cannot be had."""
    return RefusedError(
        f"Branch `{wish.branch}` is checked out in {where}; Baton works only in worktrees of its "
        "own. Switch that one to another branch, then resume."
    )


def switched(wish: Wish, here: Entry) -> RefusedError:
    """Why a worktree that does not stand on its branch cannot be had."""
    now = f"on `{here.branch.removeprefix('refs/heads/')}`" if here.branch else "on no branch"
    return RefusedError(
        f"The worktree of branch `{wish.branch}` is {now} now. Switch it back to "
        f"`{wish.branch}`, then resume."
    )


def take_up(wish: Wish, here: Entry, notices: list[str]) -> None:
    """The worktree is whole: leaves it as it is, if it stands on its branch."""
    if here.branch != wish.ref:
        raise switched(wish, here)
    changes = uncommitted(wish, notices)
    if changes == 1:
        notices.append("The worktree had 1 uncommitted change; it was left as it is.")
    elif changes:
        notices.append(
            f"The worktree had {changes} uncommitted changes; they were left as they are."
        )


def uncommitted(wish: Wish, notices: list[str]) -> int:
    """How many changes of a whole worktree are in no commit."""
    _unlock(wish, notices)
    return len(Git(wish.path)("status", "--porcelain").splitlines())


def _unlock(wish: Wish, notices: list[str]) -> None:
    git = Git(wish.path)
    own = git.own_directory()
    break_locks([own / "index.lock", own / "HEAD.lock", ref_lock(git, wish.ref)], notices)


def check_unlocked(here: Entry, wish: Wish, fault: str) -> None:
    """Raises RefusedError if a person wants the worktree to stay."""
    if here.locked and here.locked != _HALF_MADE:
        raise RefusedError(
            f"The worktree of branch `{wish.branch}` is {fault}, and someone locked it by hand. "
            "Unlock it with `git worktree unlock`, then resume."
        )


def clear(wish: Wish, git: Git, here: Entry | None, notices: list[str]) -> None:
    """Makes room where no whole worktree is."""
    if here is not None:
        _discard(wish, here, notices)
    _move_aside(wish, notices)
    if here is not None:
        git("worktree", "remove", "--force", "--force", str(wish.path))


def _discard(wish: Wish, here: Entry, notices: list[str]) -> None:
    """Throws away only what an unfinished `worktree add` made."""
    check_unlocked(here, wish, "damaged")
    if here.locked == _HALF_MADE:
        shutil.rmtree(wish.path, ignore_errors=True)
    elif not os.path.lexists(wish.path):
        notices.append(
            "The worktree had been deleted and was made again from its branch; uncommitted work "
            "of earlier steps is not in it."
        )


def _move_aside(wish: Wish, notices: list[str]) -> None:
    """Clears the way without losing anything."""
    if not os.path.lexists(wish.path):
        return
    with suppress(OSError):
        wish.path.rmdir()
        return
    aside = _aside(wish)
    _move(wish, aside)
    notices.append(
        f"Something else was in the place of the worktree; it was kept beside it as `{aside.name}`."
    )


def set_aside(wish: Wish, stands_on: str, notices: list[str]) -> None:
    """Moves a whole worktree out of the way, which remains one, and lets go of its branch.

    It stands on no branch any more, but on the same commit as before, or on this one where it
    had none. After a kill halfway `clear` takes it to the same place.
    """
    _unlock(wish, notices)
    git, aside = Git(wish.path), _aside(wish)
    git("update-ref", "--no-deref", "HEAD", git.commit("HEAD") or stands_on)
    known_as = git.own_directory() / "gitdir"
    known_as.write_bytes(os.fsencode(aside / ".git") + b"\n")
    _move(wish, aside)
    notices.append(
        "The worktree that was here was kept, with all that was in it, beside the new one as "
        f"`{aside.name}`."
    )


def _aside(wish: Wish) -> Path:
    number = 1
    while os.path.lexists(aside := wish.path.with_name(f"{wish.path.name}.aside-{number}")):
        number += 1
    return aside


def _move(wish: Wish, aside: Path) -> None:
    wish.path.rename(aside)
    say(f"moved {wish.path} to {aside}")


def make(wish: Wish, git: Git, notices: list[str]) -> None:
    """Adds the worktree, and its branch if there is none."""
    break_locks([ref_lock(git, wish.ref)], notices)
    if git.succeeds("show-ref", "--verify", "--quiet", wish.ref):
        wanted = ["--", str(wish.path), wish.branch]
    else:
        wanted = ["-b", wish.branch, "--", str(wish.path), _base(wish, git)]
    try:
        say(git("worktree", "add", *wanted))
    except GitError:
        # Git ends with the code of the user's hook, after everything is made.
        if not any(
            _same(entry.path, wish.path) and entry.locked is None for entry in _worktrees(git)
        ):
            raise
        notices.append("The repository's post-checkout hook failed; the run's log has its words.")


def commit_of_base(base: str, git: Git) -> str | None:
    """The commit that new branches start from; a branch of this name comes before a tag."""
    return git.commit(f"refs/heads/{base}") or git.commit(base)


def _base(wish: Wish, git: Git) -> str:
    if commit := commit_of_base(wish.base, git):
        return commit
    if not git("rev-list", "--all", "--max-count=1"):
        raise RefusedError(
            f"The repository `{wish.repository.name}` has no commit yet. Make the first one."
        )
    raise RefusedError(
        f"Branch `{wish.branch}` does not exist, and neither does `{wish.base}`, from which it "
        "would be made."
    )
