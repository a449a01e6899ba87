"""Saying one thing once, however often that has to be tried."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.board import PostLaterError, PostUncertainError

PATIENCE_SECONDS = 30 * 60.0
_AGAIN_SECONDS = 1.0

T = TypeVar("T")
Send = Callable[[], Awaitable[object]]
IsThere = Callable[[], Awaitable[bool]]


async def patiently(
    send: Callable[[], Awaitable[T]], is_there: IsThere | None = None, *, unsure: bool = False
) -> T | None:
    """Send until the platform took it; what it may have taken is looked for before a repetition.

    Returns what came of it, or None where it had been sent before.

    `is_there` finds out whether it was sent: without it, only a fault that the platform itself
    reports is repeated. `unsure` where it may have been sent before this. Raises the errors of
    bot.board once there is no way or no time left.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if unsure and is_there is not None and await is_there():
                return None
            unsure = False
            return await send()
        except PostLaterError as later:
            failure: Exception = later
            pause = max(later.seconds, _AGAIN_SECONDS)
        except PostUncertainError as uncertain:
            if is_there is None and not uncertain.fault:
                raise
            unsure, failure, pause = True, uncertain, _AGAIN_SECONDS
        if time.monotonic() + pause > deadline:
            raise failure
        await asyncio.sleep(pause)
