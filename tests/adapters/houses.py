"""A repository, Baton's worktrees of it, and what their preparation says."""

import re
import subprocess
from pathlib import Path

from adapters.worktrees import Worktrees
from bot.run import Worktree
from bot.workshop import Prepared
from tests.adapters.steps import PATIENCE_SECONDS

MADE = Prepared(reason=None, notice=None)


def git(directory: Path, *arguments: str) -> str:
    """What git prints."""
    done = subprocess.run(
        ["git", "-C", str(directory), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class House:
    """A repository with one commit on `main`, and Baton's worktrees of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.repository = directory / "repository"
        self.worktrees = Worktrees(directory / "worktrees", "here")
        self.result = directory / "result.json"
        self.said = ""
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

    def command(self, branch: str = "work", base: str = "main") -> tuple[str, ...]:
        return self.worktrees.preparation(
            repository=str(self.repository),
            base=base,
            branch=branch,
            worktree=self._place(branch),
            result=self.result,
        )

    def prepare(self, branch: str = "work", base: str = "main") -> Prepared:
        """Carries the preparation out; its code must agree with what it says."""
        done = subprocess.run(
            self.command(branch, base), check=False, capture_output=True, timeout=PATIENCE_SECONDS
        )
        self.said = (done.stdout + done.stderr).decode()
        prepared = self.worktrees.result(self.result)
        assert done.returncode == (0 if prepared.reason is None else 1), self.said
        told = f"{prepared.reason} {prepared.notice}"
        assert not re.search(r"(^|[\s`'\"])/", told), "people read this in chat: no paths"
        return prepared

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
