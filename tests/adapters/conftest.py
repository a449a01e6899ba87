"""Fixtures of the adapters' tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
