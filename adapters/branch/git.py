"""Git in one directory: what it is told, what it says, and how long it may take."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

_GRACE_SECONDS = 2.0
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
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
    """What was asked for cannot be had; the sentence says why and what to do."""


class GitError(Exception):
    """A git command failed; these were its words."""


class KilledError(Exception):
    """A git command was killed by somebody else; that is an answer to no question."""


class Done(NamedTuple):
    """How a command ended; it has no code if its time was up."""

    code: int | None
    output: str
    errors: str

    @property
    def words(self) -> str:
        """All that it said."""
        return self.output + self.errors


@dataclass(frozen=True, slots=True)
class Git:
    """Git in one directory, never in one above it."""

    directory: Path

    def __call__(self, *arguments: str) -> str:
        """What the command prints. Raises GitError, after its words went into the log."""
        return self._told(arguments, self.run(*arguments))

    def succeeds(self, *arguments: str) -> bool:
        """Whether the command ends with 0 rather than 1, which is how git says no."""
        return self.line(*arguments) is not None

    def line(self, *arguments: str) -> str | None:
        """The line that the command prints; None if it ends with 1. Raises GitError."""
        done = self.run(*arguments)
        return None if done.code == 1 else self._told(arguments, done).removesuffix("\n")

    def commit(self, name: str) -> str | None:
        """The commit of this name; None if there is none."""
        return self.line(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )

    def contains(self, name: str, commit: str) -> bool:
        """Whether the commit is the one of this name, or one before it."""
        if self.commit(name) is None or self.commit(commit) is None:
            return False
        return self.succeeds("merge-base", "--is-ancestor", commit, name)

    def common_directory(self) -> Path:
        """The directory that all worktrees of the repository share."""
        common = self("rev-parse", "--path-format=absolute", "--git-common-dir")
        return Path(common.removesuffix("\n"))

    def own_directory(self) -> Path:
        """The directory where git keeps what belongs to this worktree alone."""
        return Path(self("rev-parse", "--absolute-git-dir").removesuffix("\n"))

    def run(self, *arguments: str, seconds: float | None = None) -> Done:
        """Carries the command out, and ends it if it takes longer. Raises KilledError."""
        # Files, since a pipe would be kept open by whatever a hook leaves running.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                ["git", "-C", str(self.directory), *arguments],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )
            done = Done(_code(process, seconds), _text(output), _text(errors))
        if done.code is not None and done.code < 0:
            raise KilledError(f"git {' '.join(arguments)} was ended by signal {-done.code}")
        return done

    @staticmethod
    def _told(arguments: tuple[str, ...], done: Done) -> str:
        if done.code != 0:
            say(f"git {' '.join(arguments)}\n{done.words}")
            raise GitError(done.words)
        return done.output

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in os.environ if name not in _REDIRECTIONS}
        return kept | {
            "GIT_CEILING_DIRECTORIES": str(self.directory.parent),
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }


def _code(process: "subprocess.Popen[bytes]", seconds: float | None) -> int | None:
    """Waits for the end; None if it had to be brought about."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        # Asked gently, git stops what works for it and takes its locks along.
        process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return None


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "surrogateescape")


def say(text: str) -> None:
    """A line for the run's log; credentials in URLs do not belong there."""
    safe = _CREDENTIALS.sub("***@", text)
    sys.stdout.buffer.write(safe.encode("utf-8", "surrogateescape") + b"\n")
    sys.stdout.flush()
