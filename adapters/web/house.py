"""What the web works with."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from bot.access import Policy
from bot.dispatcher import Dispatcher
from bot.feed import RunFeed
from bot.ports import Store
from bot.run import Run

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""How this machine calls itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebHouse:
    """What the pages and the API need of the rest of Baton.

    `policy` says who may. `workflows` are those that can be started, with their descriptions.
    `changes` tells what a run's worktree holds, if git tells that within so many seconds; `ready`
    names what is not, and why.
    """

    store: Store
    dispatcher: Dispatcher
    policy: Policy
    feed: RunFeed
    workflows: Mapping[str, str]
    host: str
    log_path: Callable[[str], Path]
    changes: Callable[[Run, float], Awaitable[str]]
    ready: Callable[[], Awaitable[Mapping[str, str]]]
    public_url: str = ""

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by https."""
        return self.public_url.startswith("https://")


def _house(request: Request) -> WebHouse:
    house: WebHouse = request.app.state.house
    return house


House = Annotated[WebHouse, Depends(_house)]
