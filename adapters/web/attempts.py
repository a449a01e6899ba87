"""Attempts to sign in, so that nobody can try one token after another without end."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address, ip_network

WITHIN_SECONDS = 60
_MOST = 10
_MOST_ADDRESSES = 10_000
_OF_ONE_HOUSE = 64
"""Whoever has one IPv6 address has as many as go with this prefix."""


class Attempts:
    """Counts the attempts of each address; one that succeeds is taken back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: dict[str, deque[float]] = {}

    def begin(self, address: str) -> bool:
        """Count one more; False where this address has to wait."""
        made = self._made.setdefault(_house(address), deque())
        now = self._clock()
        while made and made[0] < now - WITHIN_SECONDS:
            made.popleft()
        if len(made) >= _MOST:
            return False
        made.append(now)
        if len(self._made) > _MOST_ADDRESSES:
            del self._made[next(iter(self._made))]
        return True

    def forgive(self, address: str) -> None:
        """The last one was none to be counted."""
        made = self._made.get(_house(address))
        if made:
            made.pop()


def _house(address: str) -> str:
    with suppress(ValueError):
        if isinstance(ip_address(address), IPv6Address):
            return str(ip_network((address, _OF_ONE_HOUSE), strict=False))
    return address
