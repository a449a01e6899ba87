"""Attempts to sign in, so that nobody can try one token after another without end."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address, ip_network

WITHIN_SECONDS = 60
_MOST = 10
_MOST_ADDRESSES = 10_000
_OF_ONE_HOUSEHOLD = 64
"""Whoever has one IPv6 address has as many as go with this prefix."""


class Attempts:
    """Counts the attempts of each address; one that succeeds is taken back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: dict[str, deque[float]] = {}

    def begin(self, address: str) -> bool:
        """Count one more; False where this address has to wait."""
        house = _household(address)
        # Those that were not heard of for longest come first.
        made = self._made.pop(house, None) or deque()
        self._made[house] = made
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
        made = self._made.get(_household(address))
        if made:
            made.pop()


def _household(address: str) -> str:
    with suppress(ValueError):
        known = ip_address(address)
        if isinstance(known, IPv6Address):
            mapped = known.ipv4_mapped
            return str(mapped or ip_network((known, _OF_ONE_HOUSEHOLD), strict=False))
    return address
