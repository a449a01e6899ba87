"""Escaped text looks as it was, and does nothing; output stays in its block."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.discord.text import LONGEST_CONTENT, block, escaped, fits, fitted
from bot.words import clean
from tests.discord.evil import corpus, some, text
from tests.discord.markdown import FENCE, emoji, invitation, live, seen


@settings(max_examples=300, deadline=None)
@given(evil=text)
@example(evil="a:\\//b 1.\u200bc @\u200beveryone")
def test_escaped_text_looks_as_it_was(evil: str) -> None:
    told = escaped(evil)
    assert live(told) is None, (live(told), told)
    assert seen(told) == clean(evil, LONGEST_CONTENT * 2)


@corpus
def test_the_corpus_looks_as_it_was(evil: str) -> None:
    assert seen(escaped(evil)) == clean(evil, LONGEST_CONTENT * 2)


@some
@given(evil=text, limit=st.integers(min_value=20, max_value=LONGEST_CONTENT))
def test_what_is_cut_is_the_beginning_of_what_was_written(evil: str, limit: int) -> None:
    told = fitted(evil, limit)
    assert len(told) <= limit
    assert live(told) is None
    whole = clean(evil, len(evil) + 1)
    if fits(evil, limit):
        assert seen(told) == whole
    else:
        assert seen(told).endswith("…")
        assert whole.startswith(seen(told).removesuffix("…"))


@some
@given(lines=st.lists(text, min_size=1))
@example(lines=["```", "`", "``", "````", "a`"])
def test_a_code_block_cannot_be_broken_out_of(lines: list[str]) -> None:
    output = "\n".join(lines)
    told = block(output)
    assert told.startswith(f"{FENCE}\n")
    assert told.endswith(f"\n{FENCE}")
    inside = told[len(FENCE) : -len(FENCE)]
    assert FENCE not in inside
    assert inside.replace("\u200b", "")[1:-1] == clean(output, LONGEST_CONTENT * 2)


@pytest.mark.parametrize("evil", [":smile:", "a:x:b", ":+1:", "<:b:12345>", "tests/a.py::b::x: no"])
def test_a_name_between_colons_is_no_emoji(evil: str) -> None:
    told = escaped(evil)
    assert emoji(told) is None
    assert seen(told) == evil


@pytest.mark.parametrize(
    "evil", ["discord.gg/abcdef", "on Discord.com/invite/abc", "x/discord.gg/a"]
)
def test_an_invitation_is_mere_text(evil: str) -> None:
    told = escaped(evil)
    assert invitation(told) is None
    assert seen(told) == evil


@pytest.mark.parametrize("evil", ["\n", "\n ", " ", "1.\n", "- ", "`", "@here ", "://", "\\"])
def test_a_long_text_holds_nobody_up(evil: str) -> None:
    """Nothing else happens meanwhile: five of them take some 5 ms."""
    began = time.process_time()
    for _ in range(5):
        fitted(evil * (LONGEST_CONTENT * 2 // len(evil)))
    assert time.process_time() - began < 0.2
