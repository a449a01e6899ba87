"""Baton's own git worktrees: where each one is, and the commands that prepare and push it."""

import asyncio
import hashlib
import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path, PurePath

from bot.hosts import Host
from bot.run import Worktree
from bot.workshop import Prepared, Pushed

STRAY_GIT = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"})
"""What git takes for its own from whoever started Baton within a hook."""
_SCRIPT = Path(__file__).with_name("branch") / "__main__.py"
_NOT_PREPARED = "The preparation of the worktree was cut short."
_NOT_PUSHED = "The push was cut short."
_TELLS_SECONDS = 3.0
_MOST_TOLD = 64 * 1024
_READABLE_LENGTH = 40
_DIGEST_LENGTH = 20


class Worktrees:
    """The worktrees below one directory of this host, one for each branch of each repository."""

    def __init__(self, root: Path, host: str) -> None:
        self._root = root.expanduser().resolve()
        self._host = host

    def place(self, repository: str, branch: str) -> Worktree:
        """The same place for all ways to write the repository's path; no two branches share one.

        Names are lower case ASCII with a digest of the whole, so that neither odd branch names
        nor a file system that ignores case can make two of them meet.
        """
        canonical = Path(repository).expanduser().resolve()
        return Worktree(self._host, _directory(str(self._root), str(canonical), branch))

    @staticmethod
    def place_on(host: Host, repository: str, branch: str) -> Worktree:
        """The same on another host, whose paths mean nothing here."""
        return Worktree(host.name, _directory(host.root, repository, branch))

    def lock_path(self, worktree: Worktree) -> Path:
        """The lock file that the supervisors of this worktree share; never inside the worktree."""
        name = _name(Path(worktree.path).name, worktree.path)
        return self._root / "locks" / f"{name}.lock"

    def preparation(  # noqa: PLR0913 - each is a fact of the run
        self,
        *,
        repository: str,
        base: str,
        branch: str,
        worktree: Worktree,
        result: Path,
        commit: str | None = None,
    ) -> tuple[str, ...]:
        """The command that makes the worktree or takes it up; may be repeated after any crash.

        With `commit`, what the run pushed last, the worktree gets that from the branch's remote
        if this host has it not. The command ends with 0 once the worktree stands on its branch,
        and otherwise changed nothing that a person made. `result` is a file that it writes for
        `result`; take another for every attempt, or an attempt that was cut short may seem to
        have had the earlier one's.
        """
        canonical = str(Path(repository).expanduser().resolve())
        given = [f"--repository={canonical}", f"--base={base}"]
        if commit is not None:
            given.append(f"--commit={commit}")
        return (*_script("prepare", worktree, branch, result), *given)

    def pushing(self, *, worktree: Worktree, branch: str, result: Path) -> tuple[str, ...]:
        """The command that pushes the branch to its remote, if it has one; may be repeated.

        It ends with 0 however that went, and writes `result` for `push_result`; take another
        file for every attempt.
        """
        return _script("push", worktree, branch, result)

    async def changes(self, worktree: Worktree, base: str) -> str:
        """What differs from the base, and what is not committed; empty where nobody can tell."""
        path = Path(worktree.path)
        if worktree.host != self._host or not (path / ".git").exists():
            return ""
        told = [
            await _git(path, "diff", "--stat", f"{base}...HEAD", "--"),
            await _git(path, "status", "--short"),
        ]
        return "\n".join(part.strip("\n") for part in told if part.strip())

    def result(self, path: Path) -> Prepared:
        """What the preparation that ended wrote into this file."""
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
            return Prepared(reason=written["reason"], notice=written["notice"])
        except (OSError, ValueError, KeyError, TypeError):
            return Prepared(reason=_NOT_PREPARED, notice=None)

    def push_result(self, path: Path) -> Pushed:
        """What the push that ended wrote into this file."""
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
            return Pushed(commit=written["commit"], reason=written["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            return Pushed(commit=None, reason=_NOT_PUSHED)


def _script(errand: str, worktree: Worktree, branch: str, result: Path) -> tuple[str, ...]:
    return (
        *(sys.executable, "-I", "-X", "utf8", str(_SCRIPT), errand),
        *(f"--branch={branch}", f"--path={worktree.path}", f"--result={result.absolute()}"),
    )


def may_have_remote(repository: str) -> bool:
    """Whether there can be anybody to push to; asked of the file, since git takes a process."""
    for settings in (Path(repository, ".git", "config"), Path(repository, "config")):
        with suppress(OSError):
            return '[remote "' in settings.read_text(encoding="utf-8", errors="replace")
    return True


async def _git(path: Path, *words: str) -> str:
    """What git says about a worktree: no lock, no monitor, and no more of it than is shown."""
    ours = {name: value for name, value in os.environ.items() if name not in STRAY_GIT}
    try:
        git = await asyncio.create_subprocess_exec(
            *("git", "-C", str(path), "--no-optional-locks", "-c", "core.fsmonitor=false", *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=ours,
        )
    except OSError:
        return ""
    assert git.stdout is not None  # noqa: S101 - it is a pipe
    said = b""
    try:
        async with asyncio.timeout(_TELLS_SECONDS):
            said = await _most_of(git.stdout)
            if len(said) < _MOST_TOLD:
                await git.wait()
    except TimeoutError:
        said = b""
    finally:
        if git.returncode is None:
            git.kill()
            await git.wait()
    return said.decode("utf-8", "replace")


async def _most_of(output: asyncio.StreamReader) -> bytes:
    try:
        return await output.readexactly(_MOST_TOLD)
    except asyncio.IncompleteReadError as all_of_it:
        return all_of_it.partial


def _directory(root: str, repository: str, branch: str) -> str:
    named = _name(PurePath(repository).name, repository)
    return str(PurePath(root) / named / _name(branch, branch))


def _name(readable: str, whole: str) -> str:
    digest = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGEST_LENGTH]
    words = re.sub(r"[^a-z0-9]+", "-", readable.lower())[:_READABLE_LENGTH].strip("-")
    return f"{words}-{digest}" if words else digest
