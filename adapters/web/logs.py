"""Parts of a run's output, as plain text."""

import asyncio
import os
import time
from codecs import getincrementaldecoder
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fastapi.responses import PlainTextResponse

from adapters.web.house import WebHouse
from bot.commands.looking import plain, told_elsewhere
from bot.output import Output
from bot.ports import DatabaseUnavailableError

_MOST_BYTES = 256 * 1024
_MOST_AT_FIRST = 64 * 1024
_LONGEST_LINE = 4000
_QUIET_SECONDS = 1.0
_INSIDE = 0x80
"""The upper bits of each byte inside of a letter of UTF-8."""


@dataclass(frozen=True, slots=True)
class LogPart:
    """Whole lines, without what would steer a terminal, and the offset behind them.

    A line that is longer than a part comes in pieces.
    """

    text: str
    following: int


def answered(part: LogPart) -> PlainTextResponse:
    """The part, and where the next one begins."""
    return PlainTextResponse(part.text, headers={"Log-Next-Offset": str(part.following)})


async def log_part(house: WebHouse, run_id: str, offset: int) -> LogPart:
    """What stands in the log from an offset on."""
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
    """Everything that stands in a log, part by part, for as long as the database answers."""
    offset, part = -1, await log_part(house, run_id, 0)
    with suppress(DatabaseUnavailableError):
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
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(0, size - _MOST_AT_FIRST))
            begun = file.read(_MOST_AT_FIRST) if start else b""
    except OSError:
        return LogPart("", 0)
    return _read(path, start + _beginning(begun))


def _beginning(end_of_file: bytes) -> int:
    """Where its first line begins, or its first letter where it is one line."""
    line = end_of_file.find(b"\n") + 1
    if 0 < line < len(end_of_file):
        return line
    return next((at for at, byte in enumerate(end_of_file[:4]) if byte & 0xC0 != _INSIDE), 0)


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
    found = _whole(output.content, quiet=output.still)
    decoder = getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(found).replace("\r\n", "\n").replace("\r", "\n")
    cut_off, _ = decoder.getstate()
    clean = "\n".join(map(plain, text.split("\n")))
    return LogPart(clean, output.start + len(found) - len(cut_off))


def _whole(found: bytes, *, quiet: bool) -> bytes:
    """Lines that came to their end; the last one may be under way, unless all has been quiet."""
    # A carriage return ends a line as well, but for one whose line feed is yet to come.
    ended = max(found.rfind(b"\n"), found.rfind(b"\r", 0, -1)) + 1
    if len(found) == _MOST_BYTES:
        return found[:ended] or found
    return found if quiet else found[:ended]


def shortened(text: str) -> str:
    """The same with an ellipsis for the rest of each line that no page can show."""
    return "\n".join(
        line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"
        for line in text.split("\n")
    )
