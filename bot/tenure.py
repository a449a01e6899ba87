"""What a process says, it says in everybody's name only while nobody can have taken its place."""

from collections.abc import Callable
from contextvars import ContextVar

from bot.board import TakenForGoneError
from bot.ports import Presence

_SINCE: ContextVar[int | None] = ContextVar("since", default=None)


def begin(stretch: int) -> None:
    """What the current task does has been the business of this process since then."""
    _SINCE.set(stretch)


def guard(presence: Presence) -> Callable[[], None]:
    """What is to be called at the last moment before something is said.

    It raises TakenForGoneError where it may be the business of another process by now.
    """

    def check() -> None:
        since = _SINCE.get()
        if since is not None and not presence.surely_lasts(since):
            raise TakenForGoneError

    return check
