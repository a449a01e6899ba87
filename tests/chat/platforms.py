"""Every chat platform that the contract holds for, and every way in that it has."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.chat.scenes import Scene
from tests.discord import scenes as discord
from tests.slack import scenes as slack

SCENES: Mapping[str, type[Scene]] = {"slack": slack.Scene, "discord": discord.Scene}
PLAYING: Mapping[str, Callable[[Path, Path], AbstractAsyncContextManager[Scene]]] = {
    "slack": slack.in_slack,
    "discord": discord.in_discord,
}


def _doors(chosen: Callable[[type[Scene]], Iterable[str]]) -> pytest.MarkDecorator:
    doors = [(name, door) for name, kind in SCENES.items() for door in chosen(kind)]
    return pytest.mark.parametrize(("platform", "door"), doors)


on_every_platform = pytest.mark.parametrize("platform", SCENES)
at_every_door = _doors(lambda kind: kind.doors)
wherever_one_speaks = _doors(lambda kind: kind.spoken)
wherever_one_may_mistype = _doors(
    lambda kind: [
        door for door in kind.spoken if door != "direct" and (door, "resum") not in kind.cannot
    ]
)
