"""The remote that a branch is pushed to and fetched from."""

import hashlib
import re
from dataclasses import dataclass

from adapters.branch.git import Done, Git, GitError, RefusedError, say

_ONLY_THIS = (
    *("--no-tags", "--no-prune", "--no-recurse-submodules", "--refmap="),
    *("--no-write-fetch-head", "--no-auto-maintenance"),
)
_LOCKED = "Unable to create"
_NO_ENTRY = "the remote does not let this host in"
_NOT_REACHED = "the remote cannot be reached, or is no repository"
_OUTRUN = re.compile(r"^!.*\[rejected\]", re.MULTILINE)
# What stands behind the words of git; the first that is found.
_REASONS = (
    (r"couldn't find remote ref", "there is no such branch"),
    (r"\(branch is currently checked out\)", "it is checked out there"),
    (r"\[remote rejected\]", "the remote refused it; the run's log says why"),
    (r"could not read (Username|Password)|Authentication failed", _NO_ENTRY),
    (r"Permission denied|Host key verification failed|returned error: 40[13]", _NO_ENTRY),
    (r"unable to (access|connect|look up)|Could not resolve host", _NOT_REACHED),
    (r"Could not read from remote|not appear to be a git repository", _NOT_REACHED),
)


class RemoteError(Exception):
    """The remote did not do it; the clause says why."""


class OutrunError(RemoteError):
    """The remote's branch has commits that are not here."""

    def __init__(self) -> None:
        super().__init__("the remote refused it, since it has commits that are not here")


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote by its name or URL, and what people are told of it, which is never a URL."""

    name: str
    shown: str

    def push(self, git: Git, ref: str, seconds: float) -> None:
        """Pushes, never by force. Raises RemoteError."""
        pushing = ("push", "--porcelain", "--", self.name, f"{ref}:{ref}")
        done = git.run(*pushing, seconds=seconds)
        if done.code != 0 or "[up to date]" not in done.output:
            say(f"git {' '.join(pushing)}\n{done.words}")
        if _OUTRUN.search(done.output):
            raise OutrunError
        if done.code != 0:
            raise RemoteError(_reason(done, seconds))

    def fetch(self, git: Git, ref: str, seconds: float) -> str:
        """The remote's head of this branch, which is here now. Raises RemoteError, GitError."""
        here = fetched_ref(ref)
        fetching = ("fetch", *_ONLY_THIS, "--", self.name, f"+{ref}:{here}")
        done = git.run(*fetching, seconds=seconds)
        if done.code != 0:
            say(f"git {' '.join(fetching)}\n{done.words}")
            if _LOCKED in done.errors:
                raise GitError(done.words)
            raise RemoteError(_reason(done, seconds))
        head = git("rev-parse", "--verify", here).strip()
        # To have git forget it would lock the whole repository, and a kill would leave that lock.
        (git.common_directory() / here).unlink(missing_ok=True)
        return head


def fetched_ref(ref: str) -> str:
    """Where the head of this branch is for the moment; no two branches are in each other's way."""
    digest = hashlib.sha256(ref.encode("utf-8", "surrogateescape")).hexdigest()
    return f"refs/baton/fetched/{digest}"


def remote_of(git: Git, branch: str) -> Remote | None:
    """The remote that git pushes the branch to, else `origin`, else the only one; None if none.

    Raises RefusedError if it is none of these, but there are several.
    """
    names = _names(git)
    for name in (*_configured(git, branch), "origin"):
        if name in names:
            return Remote(name, f"`{name}`")
        if re.search("[:/]", name):
            return Remote(name, "its remote")
    if len(names) > 1:
        raise RefusedError(
            f"The repository has several remotes, and none of them is `origin`. Say with git's "
            f"setting `remote.pushDefault` where branch `{branch}` belongs."
        )
    return Remote(names[0], f"`{names[0]}`") if names else None


def _configured(git: Git, branch: str) -> list[str]:
    """What git's settings name, in the order in which they count."""
    keys = (f"branch.{branch}.pushRemote", "remote.pushDefault", f"branch.{branch}.remote")
    return [name for key in keys if (name := git.line("config", "--get", key))]


def _names(git: Git) -> list[str]:
    """The remotes of which git knows where they are."""
    listed = git.line("config", "--name-only", "--get-regexp", r"^remote\..*\.(push)?url$") or ""
    keys = (line.removeprefix("remote.") for line in listed.splitlines())
    return list(dict.fromkeys(key.rpartition(".")[0] for key in keys))


def _reason(done: Done, seconds: float) -> str:
    if done.code is None:
        return f"it took longer than {seconds:g} seconds"
    found = (reason for words, reason in _REASONS if re.search(words, done.words))
    return next(found, "the run's log says why")
