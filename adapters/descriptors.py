"""How many files and connections this process may have open at once."""

import resource
from contextlib import suppress

ENOUGH = 10_240
"""More than Baton needs, and no more than macOS gives."""


def raised() -> int:
    """How many they are, now that as many were asked for as this process may have.

    Steps, and whatever else is started from now on, may have as many each.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(_counted(hard), ENOUGH)
    if _counted(soft) < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(_counted(resource.getrlimit(resource.RLIMIT_NOFILE)[0]), ENOUGH)


def _counted(limit: int) -> int:
    return ENOUGH if limit == resource.RLIM_INFINITY else limit
