"""Makes a git worktree for a branch, or takes up the one there is. A script of its own.

It runs under the supervisor, so that no git outlives a dead worker, and may be killed anywhere
and repeated: what is half-made is made again, what a person or a step made is never thrown
away. The user's hooks run, nothing prompts, submodules are left alone. A git lock in the way
counts as left by a killed command once it stays for some seconds, since only the run that
claimed the worktree works in it.

Ends with 0 when the worktree stands on its branch. Why not, and what is worth telling, goes as
JSON into the result file: sentences without paths, since people read them in chat.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_LOCK_PATIENCE_SECONDS = 2.0
_RETRY_SECONDS = 5.0
_PAUSE_SECONDS = 0.1
_HALF_MADE = "initializing"
_LOCK = re.compile(r"Unable to create '(?:.*/)?([^/]+\.lock)': File exists")
_ELSEWHERE = re.compile(r"is already (?:checked out|used by worktree) at")
# Variables by which a git command around Baton (a hook, say) would redirect ours.
_REDIRECTIONS = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)


class RefusedError(Exception):
    """The worktree cannot be had; the sentence says why and what to do."""


class GitError(Exception):
    """A git command failed; these were its words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which worktree is wanted. `repository` and `path` are absolute."""

    repository: Path
    base: str
    branch: str
    path: Path

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A worktree that git knows. `locked` is the reason why git must not prune it."""

    path: Path
    branch: str | None = None
    locked: str | None = None


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one directory, never in one above it."""

    directory: Path

    def __call__(self, *arguments: str) -> str:
        """What the command prints. Raises GitError, after its words went into the log."""
        done = self._done(*arguments)
        if done.returncode != 0:
            _say(f"git {' '.join(arguments)}\n{done.stdout}{done.stderr}")
            raise GitError(done.stderr)
        return done.stdout

    def succeeds(self, *arguments: str) -> bool:
        """Whether the command ends with 0."""
        return self._done(*arguments).returncode == 0

    def _done(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: os.environ[name] for name in os.environ if name not in _REDIRECTIONS}
        environment |= {
            "GIT_CEILING_DIRECTORIES": str(self.directory.parent),
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        # Files, since a pipe would be kept open by whatever a hook leaves running.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            command = ["git", "-C", str(self.directory), *arguments]
            code = subprocess.call(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
            )
            return subprocess.CompletedProcess(command, code, _text(output), _text(errors))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "surrogateescape")


def _say(text: str) -> None:
    """A line for the run's log."""
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.stdout.flush()


def main() -> None:
    """Prepares what the arguments ask for; writes the result; ends with 0 or 1."""
    wish, result = _arguments()
    result.unlink(missing_ok=True)
    notices: list[str] = []
    reason = _outcome(lambda: _patiently(wish, notices))
    notice = " ".join(notices) or None
    if notice or reason:
        _say("\n".join(filter(None, (notice, reason))))
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps({"reason": reason, "notice": notice}), encoding="utf-8")
    sys.exit(0 if reason is None else 1)


def _arguments() -> tuple[Wish, Path]:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("repository", "base", "branch", "path", "result"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    repository, path = Path(given.repository), Path(given.path)
    wish = Wish(repository=repository, base=given.base, branch=given.branch, path=path)
    return wish, Path(given.result)


def _outcome(prepare: Callable[[], None]) -> str | None:
    """None if it worked, else the sentence that says why not."""
    try:
        prepare()
    except RefusedError as refused:
        return str(refused)
    except (GitError, OSError) as error:
        if isinstance(error, FileNotFoundError) and error.filename == "git":
            return "Git is not installed on this host."
        traceback.print_exc(file=sys.stdout)
    else:
        return None
    return "Git could not prepare the worktree; the run's log says why."


def _patiently(wish: Wish, notices: list[str]) -> None:
    """Tries again for some seconds: another git command may be busy, or may have been killed."""
    until = time.monotonic() + _RETRY_SECONDS
    while True:
        try:
            _prepare(wish, notices)
        except GitError as error:
            last = time.monotonic() > until
            if (refusal := _refusal(wish, str(error), last=last)) or last:
                raise refusal or error from error
            _mend(wish)
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _mend(wish: Wish) -> None:
    """Gives worktrees back the link to their repository that a killed git left empty.

    It is always the same, and without it git refuses nearly everything in the whole repository.
    """
    with suppress(GitError):
        for link in _common_directory(Git(wish.repository)).glob("worktrees/*/commondir"):
            with suppress(FileNotFoundError):
                if link.stat().st_size == 0:
                    link.write_text("../..\n")


def _refusal(wish: Wish, words: str, *, last: bool) -> RefusedError | None:
    """What stands behind these words of git, if trying again does not help, or is over."""
    if _ELSEWHERE.search(words):
        return _checked_out_elsewhere(wish, "another worktree")
    if "dubious ownership" in words:
        return RefusedError(
            f"Git refuses the repository `{wish.repository.name}`, since its files belong to "
            "another user. Git's setting `safe.directory` allows it."
        )
    if "exists; cannot create" in words:
        return RefusedError(
            f"Branch `{wish.branch}` cannot be made: there is a branch whose name is the first "
            "part of it, or begins with it and a slash."
        )
    if last and (lock := _LOCK.search(words)):
        return RefusedError(
            f"Git's lock file `{lock[1]}` is in the way. If no git command is running in the "
            f"repository `{wish.repository.name}`, delete it, then resume."
        )
    return None


def _checked_out_elsewhere(wish: Wish, where: str) -> RefusedError:
    return RefusedError(
        f"Branch `{wish.branch}` is checked out in {where}; Baton works only in worktrees of its "
        "own. Switch that one to another branch, then resume."
    )


def _prepare(wish: Wish, notices: list[str]) -> None:
    git = Git(wish.repository)
    _check_repository(wish, git)
    _check_branch_name(wish, git)
    known = list(_worktrees(git))
    here = next((entry for entry in known if _same(entry.path, wish.path)), None)
    if here is not None and here.locked != _HALF_MADE and _is_whole(wish, git):
        _take_up(wish, here, notices)
        return
    for entry in known:
        if entry is not here and entry.branch == wish.ref:
            raise _checked_out_elsewhere(wish, f"another worktree, `{entry.path.name}`")
    if here is not None:
        _discard(wish, git, here, notices)
    _move_aside(wish, notices)
    _make(wish, git, notices)


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


def _common_directory(git: Git) -> Path:
    """The directory that all worktrees of the repository share."""
    return Path(git("rev-parse", "--path-format=absolute", "--git-common-dir").strip())


def _is_whole(wish: Wish, git: Git) -> bool:
    """Whether the directory is there and is a worktree of this repository."""
    try:
        theirs = _common_directory(Git(wish.path))
        top = Path(Git(wish.path)("rev-parse", "--show-toplevel").strip())
    except GitError:
        return False
    return theirs.resolve() == _common_directory(git).resolve() and _same(top, wish.path)


def _take_up(wish: Wish, here: Entry, notices: list[str]) -> None:
    """The worktree is whole: leaves it as it is, if it stands on its branch."""
    if here.branch != wish.ref:
        now = f"on `{here.branch.removeprefix('refs/heads/')}`" if here.branch else "on no branch"
        raise RefusedError(
            f"The worktree of branch `{wish.branch}` is {now} now. Switch it back to "
            f"`{wish.branch}`, then resume."
        )
    git = Git(wish.path)
    own = Path(git("rev-parse", "--absolute-git-dir").strip())
    _break_locks([own / "index.lock", own / "HEAD.lock", _ref_lock(wish, git)], notices)
    changes = len(git("status", "--porcelain").splitlines())
    if changes == 1:
        notices.append("The worktree had 1 uncommitted change; it was left as it is.")
    elif changes:
        notices.append(
            f"The worktree had {changes} uncommitted changes; they were left as they are."
        )


def _ref_lock(wish: Wish, git: Git) -> Path:
    return _common_directory(git) / f"{wish.ref}.lock"


def _break_locks(locks: list[Path], notices: list[str]) -> None:
    """Deletes those of these lock files that stay for longer than a git command needs them."""
    until = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while left := [lock for lock in locks if lock.exists()]:
        if time.monotonic() > until:
            for lock in left:
                lock.unlink(missing_ok=True)
            notices.append("A git lock that a killed command had left was deleted.")
            return
        time.sleep(_PAUSE_SECONDS)


def _discard(wish: Wish, git: Git, here: Entry, notices: list[str]) -> None:
    """Has git forget the worktree; throws away only what an unfinished `worktree add` made."""
    if here.locked == _HALF_MADE:
        shutil.rmtree(wish.path, ignore_errors=True)
    elif here.locked:
        raise RefusedError(
            f"The worktree of branch `{wish.branch}` is damaged, and someone locked it by hand. "
            "Unlock it with `git worktree unlock`, then resume."
        )
    elif not os.path.lexists(wish.path):
        notices.append(
            "The worktree had been deleted and was made again from its branch; uncommitted work "
            "of earlier steps is not in it."
        )
    _move_aside(wish, notices)
    git("worktree", "remove", "--force", "--force", str(wish.path))


def _move_aside(wish: Wish, notices: list[str]) -> None:
    """Clears the way without losing anything."""
    if not os.path.lexists(wish.path):
        return
    with suppress(OSError):
        wish.path.rmdir()
        return
    number = 1
    while os.path.lexists(aside := wish.path.with_name(f"{wish.path.name}.aside-{number}")):
        number += 1
    wish.path.rename(aside)
    _say(f"moved {wish.path} to {aside}")
    notices.append(
        f"Something else was in the place of the worktree; it was kept beside it as `{aside.name}`."
    )


def _make(wish: Wish, git: Git, notices: list[str]) -> None:
    _break_locks([_ref_lock(wish, git)], notices)
    if git.succeeds("show-ref", "--verify", "--quiet", wish.ref):
        wanted = ["--", str(wish.path), wish.branch]
    else:
        wanted = ["-b", wish.branch, "--", str(wish.path), _commit_of_base(wish, git)]
    try:
        _say(git("worktree", "add", *wanted))
    except GitError:
        # Git ends with the code of the user's hook, after everything is made.
        if not any(
            _same(entry.path, wish.path) and entry.locked is None for entry in _worktrees(git)
        ):
            raise
        notices.append("The repository's post-checkout hook failed; the run's log has its words.")


def _commit_of_base(wish: Wish, git: Git) -> str:
    """The commit that the new branch starts from; a branch of this name comes before a tag."""
    for name in (f"refs/heads/{wish.base}", wish.base):
        with suppress(GitError):
            return git(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
            ).strip()
    if not git("rev-list", "--all", "--max-count=1"):
        raise RefusedError(
            f"The repository `{wish.repository.name}` has no commit yet. Make the first one."
        )
    raise RefusedError(
        f"Branch `{wish.branch}` does not exist, and neither does `{wish.base}`, from which it "
        "would be made."
    )


if __name__ == "__main__":
    main()
