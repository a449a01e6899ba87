"""The end of a log, of whatever size."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.commands.looking import LOG_LINES, end_of, last_lines


def _tail(path: Path) -> Sequence[str]:
    output = end_of(path)
    return last_lines(output) if output else ()


@pytest.mark.parametrize("count", [1, LOG_LINES, LOG_LINES + 1, 20_000])
def test_the_last_lines_whole(tmp_path: Path, count: int) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(count)))
    first = max(0, count - LOG_LINES)
    assert list(_tail(log)) == [f"line {number}" for number in range(first, count)]


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x" * 1_000_000)
    [line] = _tail(log)
    assert line == "x" * 1000


def test_nothing_yet(tmp_path: Path) -> None:
    assert list(_tail(tmp_path / "log")) == []
