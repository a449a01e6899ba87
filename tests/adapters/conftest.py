"""Fixtures of the adapters' tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.houses import Hosts, House
from tests.adapters.steps import Steps


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[Steps]:
    """Steps in a worktree of their own, of which nothing lives on after the test."""
    steps = Steps(tmp_path)
    try:
        yield steps
    finally:
        left = steps.end()
    assert left == []


@pytest.fixture
def own_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git without the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "somebody@example.org")


@pytest.fixture
def house(tmp_path: Path, own_git: None) -> House:
    """A repository with one commit, of which there is no worktree yet."""
    return House(tmp_path.resolve())


@pytest.fixture
def hosts(tmp_path: Path, own_git: None) -> Hosts:
    """Two hosts on which nothing runs yet."""
    return Hosts(tmp_path.resolve())
