"""A guard over the supervisor, so that even its sudden death loses sight of no process.

Orphans go to their nearest ancestor that adopts them: to the supervisor, and if that is killed,
to the guard, which does nothing but wait for this. Only when both are killed at once must the
next supervisor find what they left by its marks.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from adapters.supervisor.living import Identity, adopt_orphans, at_parents_end, find
from adapters.supervisor.tree import OwnTree

_PAUSE_SECONDS = 0.005


def go_on_guarded(grace_seconds: float, lost: Callable[[Sequence[int]], None]) -> Identity | None:
    """Goes on in a fork of this process, which itself becomes the guard and never returns.

    Returns the guard; None, and no fork, where orphans cannot be adopted. If the fork dies, the
    guard stops all it left and calls `lost` with the pids of the survivors; if the guard dies,
    the fork gets a SIGTERM.
    """
    guard = find(os.getpid())
    if guard is None or not adopt_orphans():
        return None
    # A SIGTERM that comes meanwhile is for the fork, as soon as it can be told.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    supervisor = os.fork()
    if supervisor != 0:
        _stand_guard(supervisor, grace_seconds, lost)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    at_parents_end(signal.SIGTERM)
    adopt_orphans()
    return guard.identity


def _stand_guard(
    supervisor: int, grace_seconds: float, lost: Callable[[Sequence[int]], None]
) -> NoReturn:
    def forward(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signals call it
        with suppress(ProcessLookupError):
            os.kill(supervisor, number)

    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, forward)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        _, status = os.waitpid(supervisor, 0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if status != 0:
            lost(OwnTree(supervisor, adopted=True).stop(grace_seconds, _sleep))
    finally:
        os._exit(0)


def _sleep(seconds: float) -> None:
    time.sleep(min(seconds, _PAUSE_SECONDS))
