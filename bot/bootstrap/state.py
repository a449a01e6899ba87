"""The directory where this host keeps its worktrees and logs, beside whatever else it needs."""

import secrets
from contextlib import suppress
from pathlib import Path

from bot import notices
from bot.errors import ConfigurationError


def make(state: Path) -> None:
    """Make the directory for its own user alone: logs may hold what is not for everybody here."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(notices.no_directory(state, str(error.strerror))) from error


def hide_from_git(state: Path) -> None:
    """Keep the state out of the repository in which Baton may have been started."""
    ignore = state / ".gitignore"
    if state.name == ".baton" and not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")


def kept_place(worktrees: Path) -> str:
    """The id of this place, kept beside its worktrees; names of hosts change, worktrees stay."""
    file = worktrees / "host-id"
    if not file.exists():
        worktrees.mkdir(parents=True, exist_ok=True)
        offered = f"host-{secrets.token_hex(4)}"
        ready = worktrees / f".{offered}"
        ready.write_text(offered, encoding="utf-8")
        with suppress(FileExistsError):
            # A link appears whole or not at all, and the first one stays.
            file.hardlink_to(ready)
        ready.unlink()
    return file.read_text(encoding="utf-8").strip()
