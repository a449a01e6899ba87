"""Parts of a run's output, as plain text."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from bot.commands.looking import plain

_MOST_BYTES = 256 * 1024
_LONGEST_LINE = 4000


@dataclass(frozen=True, slots=True)
class LogPart:
    """Whole lines, without what would steer a terminal, and the offset behind them."""

    text: str
    following: int


async def log_part(path: Path, offset: int) -> LogPart:
    """What stands in the log from an offset on; whole lines, or a piece of one that is too long."""
    return await asyncio.to_thread(_read, path, offset)


async def log_end(path: Path) -> LogPart:
    """The last part of a log."""
    size = await asyncio.to_thread(_size, path)
    return await log_part(path, max(0, size - _MOST_BYTES // 4))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path, offset: int) -> LogPart:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            found = file.read(_MOST_BYTES)
    except OSError:
        return LogPart("", offset)
    if len(found) < _MOST_BYTES or b"\n" in found:
        found = found[: found.rfind(b"\n") + 1]
    lines = found.decode("utf-8", "replace").splitlines()
    text = "".join(f"{plain(line)[:_LONGEST_LINE]}\n" for line in lines)
    return LogPart(text, offset + len(found))
