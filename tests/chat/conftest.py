"""A scene in whichever platform a test is about."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.keeper import Desk
from tests.chat.platforms import PLAYING
from tests.chat.scenes import Scene


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits follow each other faster than platforms would like: their spacing is no matter."""
    monkeypatch.setattr(Desk.__init__, "__defaults__", (0.05,))


@pytest.fixture
async def scene(platform: str, tmp_path: Path, repository: Path) -> AsyncIterator[Scene]:
    async with PLAYING[platform](tmp_path, repository) as scene:
        yield scene
