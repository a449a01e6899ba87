"""Parts of a run's output, as plain text."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from adapters.web.house import WebHouse
from bot.commands.looking import plain, told_elsewhere
from bot.output import Output

_MOST_BYTES = 256 * 1024
_MOST_AT_FIRST = 64 * 1024
_LONGEST_LINE = 4000
_QUIET_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LogPart:
    """Whole lines, without what would steer a terminal, and the offset behind them."""

    text: str
    following: int


async def log_part(house: WebHouse, run_id: str, offset: int) -> LogPart:
    """What stands in the log from an offset on; whole lines, or a piece of one that is too long."""
    kept = await _kept(house, run_id)
    path = house.log_path(run_id)
    if kept is None and await asyncio.to_thread(path.exists):
        return await asyncio.to_thread(_read, path, offset)
    kept = kept or await house.store.read(lambda tx: tx.outputs.get(run_id))
    return _part(kept.since(offset)) if kept else LogPart("", offset)


async def log_end(house: WebHouse, run_id: str) -> LogPart:
    """The last part of a log, from the beginning of a line on."""
    path = house.log_path(run_id)
    if await _kept(house, run_id) is None and await asyncio.to_thread(path.exists):
        return await asyncio.to_thread(_read_end, path)
    return await log_part(house, run_id, 0)


async def whole_log(house: WebHouse, run_id: str) -> AsyncIterator[str]:
    """Everything that stands in a log, part by part."""
    offset, part = -1, await log_part(house, run_id, 0)
    while part.following > offset:
        yield part.text
        offset = part.following
        part = await log_part(house, run_id, offset)


async def _kept(house: WebHouse, run_id: str) -> Output | None:
    """What another host told of the log, where the run is there."""
    return await house.store.read(partial(told_elsewhere, run_id=run_id, host=house.host))


def _read_end(path: Path) -> LogPart:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _MOST_AT_FIRST))
            if file.tell():
                file.readline(_MOST_BYTES)
            start = file.tell()
    except OSError:
        return LogPart("", 0)
    return _read(path, start)


def _read(path: Path, offset: int) -> LogPart:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            found = file.read(_MOST_BYTES)
            quiet = time.time() - os.fstat(file.fileno()).st_mtime > _QUIET_SECONDS
    except OSError:
        return LogPart("", offset)
    return _part(Output(offset, found, still=quiet))


def _part(output: Output) -> LogPart:
    found, quiet = output.content, output.still
    if b"\n" in found or (len(found) < _MOST_BYTES and not quiet):
        # The last line may be under way; it is, unless nothing has been written for a while.
        found = found if quiet and len(found) < _MOST_BYTES else found[: found.rfind(b"\n") + 1]
    lines = found.decode("utf-8", "replace").splitlines()
    text = "".join(f"{_shortened(plain(line))}\n" for line in lines)
    return LogPart(text, output.start + len(found))


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"
