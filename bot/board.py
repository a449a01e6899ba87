"""Where a platform shows cards, and what can go wrong there."""

from typing import Protocol

from bot.run import Run


class PostRefusedError(Exception):
    """The platform will not have this here: no channel, no right. Nothing was said."""


class TakenForGoneError(Exception):
    """Another process may do this by now, since nothing was heard of this one. Nothing was said."""


class PostGoneError(Exception):
    """The message that was to be edited is not there any more."""


class PostUncertainError(Exception):
    """Nobody knows whether the message was posted.

    `fault` where the platform itself reported a fault of its own; else its answer got lost.
    """

    def __init__(self, reason: str, *, fault: bool = False) -> None:
        super().__init__(reason)
        self.fault = fault


class PostLaterError(Exception):
    """Nothing was said; it may work after so many seconds."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Board(Protocol):
    """Where a platform shows cards. Each method may raise the errors above.

    `what` names a post, so that it can be looked for when its answer was lost.
    """

    async def post(self, run: Run, what: str) -> str:
        """Post the card of a run in its conversation; returns the id of the message."""

    async def edit(self, run: Run, message: str) -> None:
        """Show the run as it is now on its card. May be repeated, so it is never uncertain."""

    async def announce(self, run: Run, message: str, what: str, *, mention: bool) -> str:
        """Tell beside the card what happened; with `mention` the requester is called."""

    async def look_for(self, run: Run, message: str | None, what: str) -> str | None:
        """The id of what was posted under this name; None if it was not posted."""
