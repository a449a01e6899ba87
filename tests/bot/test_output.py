"""The end of a run's output, as other hosts know it."""

import pytest

from bot.output import Output

KNOWN = Output(start=10, content=b"abcdef")


@pytest.mark.parametrize(
    ("offset", "start", "content"),
    [(0, 10, b"abcdef"), (10, 10, b"abcdef"), (13, 13, b"def"), (16, 16, b""), (99, 99, b"")],
)
def test_what_stands_behind_an_offset_begins_nowhere_before_it(
    offset: int, start: int, content: bytes
) -> None:
    assert KNOWN.since(offset) == Output(start, content)
