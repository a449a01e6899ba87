"""A repository, Baton's worktrees of it, and what their preparation says."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.worktrees import Worktrees
from bot.run import Worktree
from bot.workshop import Prepared, Pushed
from tests.adapters.steps import PATIENCE_SECONDS

MADE = Prepared(reason=None, notice=None)


def git(directory: Path, *arguments: str) -> str:
    """What git prints."""
    done = subprocess.run(
        ["git", "-C", str(directory), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class House:
    """A repository with one commit on `main`, or a clone of one, and Baton's worktrees of it."""

    def __init__(self, directory: Path, origin: Path | None = None) -> None:
        self.directory = directory
        self.repository = directory / "repository"
        self.worktrees = Worktrees(directory / "worktrees", "here")
        self.result = directory / "result.json"
        self.said = ""
        if origin is not None:
            git(directory, "clone", "--quiet", str(origin), "repository")
            return
        self.repository.mkdir()
        git(self.repository, "init", "--quiet", "--initial-branch=main")
        self.commit(self.repository, "first", "one")

    def commit(self, directory: Path, name: str, text: str) -> str:
        (directory / name).write_text(text)
        git(directory, "add", ".")
        git(directory, "commit", "--quiet", f"--message={name}")
        return git(directory, "rev-parse", "HEAD")

    def place(self, branch: str = "work") -> Path:
        return Path(self._place(branch).path)

    def _place(self, branch: str) -> Worktree:
        return self.worktrees.place(str(self.repository), branch)

    def command(
        self, branch: str = "work", base: str = "main", commit: str | None = None
    ) -> tuple[str, ...]:
        return self.worktrees.preparation(
            repository=str(self.repository),
            base=base,
            branch=branch,
            worktree=self._place(branch),
            result=self.result,
            commit=commit,
        )

    def prepare(
        self, branch: str = "work", base: str = "main", commit: str | None = None, *more: str
    ) -> Prepared:
        """Carries the preparation out; its code must agree with what it says."""
        code = self._carry_out(*self.command(branch, base, commit), *more)
        prepared = self.worktrees.result(self.result)
        assert code == (0 if prepared.reason is None else 1), self.said
        _check_told(f"{prepared.reason} {prepared.notice}")
        return prepared

    def push(self, branch: str = "work", *more: str) -> Pushed:
        """Carries the push out."""
        pushing = self.worktrees.pushing(
            worktree=self._place(branch), branch=branch, result=self.result
        )
        assert self._carry_out(*pushing, *more) == 0, self.said
        pushed = self.worktrees.push_result(self.result)
        assert pushed.commit is None or pushed.reason is None
        _check_told(str(pushed.reason))
        return pushed

    def _carry_out(self, *command: str) -> int:
        done = subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE_SECONDS)
        self.said = (done.stdout + done.stderr).decode()
        return done.returncode

    def stands(self, branch: str = "work") -> bool:
        """Whether the worktree is whole, clean, on its branch, and registered once."""
        place = self.place(branch)
        listed = git(self.repository, "worktree", "list", "--porcelain").splitlines()
        return (
            git(place, "symbolic-ref", "HEAD") == f"refs/heads/{branch}"
            and git(place, "status", "--porcelain") == ""
            and listed.count(f"worktree {place}") == 1
            and listed.count(f"branch refs/heads/{branch}") == 1
        )

    def asides(self) -> list[Path]:
        """What was moved out of the way."""
        return sorted((self.directory / "worktrees").glob("*/*.aside-*"))


def _check_told(told: str) -> None:
    assert not re.search(r"(^|[\s`'\"])/|://", told), "people read this in chat: no paths"


class Hosts:
    """Two hosts with a clone each, and the bare repository that both know as `origin`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.origin = directory / "origin.git"
        self.a = House(self._made("a"))
        git(directory, "clone", "--quiet", "--bare", str(self.a.repository), str(self.origin))
        git(self.a.repository, "remote", "add", "origin", str(self.origin))
        self.b = House(self._made("b"), self.origin)

    def _made(self, name: str) -> Path:
        (self.directory / name).mkdir()
        return self.directory / name

    def step(self, house: House, name: str, branch: str = "work") -> str:
        """A step that commits, and the push after it; the commit."""
        tip = house.commit(house.place(branch), name, name)
        assert house.push(branch) == Pushed(commit=tip, reason=None), house.said
        return tip

    def begun(self, branch: str = "work") -> str:
        """A run that did a step on host A; the commit."""
        assert self.a.prepare(branch) == MADE, self.a.said
        return self.step(self.a, "step-1", branch)

    def gone_on(self, branch: str = "work") -> str:
        """The run went on to host B, and did another step there; the commit."""
        first = self.begun(branch)
        assert self.b.prepare(branch, commit=first).reason is None, self.b.said
        return self.step(self.b, "step-2", branch)

    def diverged(self, number: int = 1) -> tuple[str, str]:
        """Host A committed what was never pushed, and B went on; the commits of B and A."""
        first = self.begun()
        lost = [self.a.commit(self.a.place(), f"lost-{n}", "not pushed") for n in range(number)]
        assert self.b.prepare(commit=first).reason is None, self.b.said
        return self.step(self.b, "step-2"), lost[-1]

    def pushed_by_hand(self, name: str, branch: str = "work", *how: str) -> str:
        """What somebody pushed to the branch from a machine of their own; the commit."""
        git(self.directory, "clone", "--quiet", f"--branch={branch}", str(self.origin), name)
        tip = House.commit(self.a, self.directory / name, name, "of somebody")
        git(self.directory / name, "push", "--quiet", *how, "origin", branch)
        return tip


@contextmanager
def silent_remote(house: House) -> Iterator[None]:
    """A remote that takes the call and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        git(house.repository, "remote", "set-url", "origin", f"git://127.0.0.1:{port}/it.git")
        yield
