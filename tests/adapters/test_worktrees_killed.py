"""Preparations killed at any moment, and repeated."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from tests.adapters.houses import MADE, House, git
from tests.adapters.steps import PATIENCE_SECONDS, until

FILES = 200
ROUNDS = [pytest.param(10, id="short"), pytest.param(30, id="long", marks=pytest.mark.soak)]


def _kill_all(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)


def _kill_git(process: "subprocess.Popen[bytes]") -> None:
    """Only git; the preparation finds out.

    Twice, by the group: a git that was just being started has lost its parent by then, and would
    go on writing into a worktree that is being made again.
    """
    for _ in range(2):
        for pid in psutil.pids():
            with suppress(ProcessLookupError):
                if pid != process.pid and os.getpgid(pid) == process.pid:
                    os.kill(pid, signal.SIGKILL)


def _cut_short(house: House, branch: str, seconds: float, kill: Callable[..., None]) -> None:
    with subprocess.Popen(
        house.command(branch),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                return
            kill(process)
            process.wait(PATIENCE_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", [_kill_all, _kill_git])
@pytest.mark.parametrize("rounds", ROUNDS)
def test_killed_at_any_moment_and_repeated(
    house: House, rounds: int, kill: Callable[..., None]
) -> None:
    for number in range(FILES):
        (house.repository / f"file-{number}").write_text(f"{number}\n" * 1000)
    house.commit(house.repository, "second", "two")
    begun = time.monotonic()
    assert house.prepare("measured") == MADE
    life = time.monotonic() - begun
    chance = random.Random(rounds)
    for number in range(rounds):
        branch = f"round/{number}"
        for _ in range(2):
            _cut_short(house, branch, chance.uniform(0, life), kill)
        assert house.prepare(branch).reason is None, house.said
        assert house.stands(branch)
        if kill is _kill_all:
            assert house.asides() == []
        # A git that is killed while it takes back its own half-made worktree leaves a directory
        # that it does not know any more. Nobody can tell it from a person's, so it is kept.
        assert not list((house.repository / ".git").rglob("*.lock"))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_killed_while_taking_up_loses_nothing(house: House, rounds: int) -> None:
    begun = time.monotonic()
    assert house.prepare() == MADE
    life = time.monotonic() - begun
    (house.place() / "precious").write_text("uncommitted")
    chance = random.Random(rounds)
    for _ in range(rounds):
        _cut_short(house, "work", chance.uniform(0, life), _kill_all)
        assert (house.place() / "precious").read_text() == "uncommitted"
    assert "1 uncommitted change" in str(house.prepare().notice)
    assert house.asides() == []


def test_killed_git_at_its_work_leaves_a_half_made_worktree_that_is_made_again(
    house: House,
) -> None:
    """A checkout that never ends (a filter waits), so that the kill hits halfway for sure."""
    (house.repository / ".gitattributes").write_text("slow filter=slow\n")
    house.commit(house.repository, "slow", "content")
    git(house.repository, "config", "filter.slow.smudge", "sleep 1000; cat")
    command = house.command()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        try:
            until((house.place() / ".git").exists)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    git(house.repository, "config", "--unset", "filter.slow.smudge")
    assert house.prepare().reason is None, house.said
    assert house.stands()
    assert house.asides() == []
    assert (house.place() / "slow").read_text() == "content"
