"""How the words of the command line are read."""

import tomllib
from pathlib import Path

import pytest

from bot.cli import _read, _UsageError

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        (["run", "slow", "--as", "nw", "seconds=2"], ["slow", "seconds=2"]),
        (["run", "--as", "nw", "slow", "seconds=2"], ["slow", "seconds=2"]),
        (
            ["run", "slow", "a=1", "--as", "nw", "b=2", "--json", "c=3"],
            ["slow", "a=1", "b=2", "c=3"],
        ),
        (["run", "slow", "--as", "nw", "--", "a=1"], ["slow", "a=1"]),
        (["resume", "--as", "nw", "k3x9"], "k3x9"),
        (["cancel", "--as", "nw", "--", "-x"], "-x"),
        (["release", "--as", "nw", "k3x9"], ["k3x9"]),
    ],
)
def test_options_stand_anywhere_after_the_verb(words: list[str], taken: object) -> None:
    options = _read(words)
    assert options.words == taken
    assert options.name == "nw"


@pytest.mark.parametrize(
    "words",
    [
        ["token", "--config", "c.toml", "list"],
        ["token", "list", "--config", "c.toml"],
        ["token", "--config", "other.toml", "list", "--config", "c.toml"],
    ],
)
def test_options_stand_before_and_behind_what_is_done_with_tokens(words: list[str]) -> None:
    assert _read(words).config == "c.toml"


@pytest.mark.parametrize(
    "words", [["run", "slow", "--frob", "a=1"], ["cancel", "a", "b"], ["runs", "a"]]
)
def test_what_is_left_over_is_refused(words: list[str]) -> None:
    with pytest.raises(_UsageError, match="unrecognized arguments"):
        _read(words)


@pytest.mark.parametrize(
    "words",
    [
        *(["cancel", ""], ["cancel", " "], ["resume", "\u200b"], ["status", ""], ["release", ""]),
        *(["cancel", "--delivery", ""], ["cancel", "--as", ""], ["runs", "--config", ""]),
    ],
)
def test_a_variable_that_is_not_set_is_not_taken_for_no_word(words: list[str]) -> None:
    with pytest.raises(_UsageError, match="it is empty"):
        _read(words)


def test_baton_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _read(["--version"])
    assert ended.value.code == 0
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert capsys.readouterr().out == f"baton {packaged['project']['version']}\n"
