"""A Discord on the loopback interface, and the real client library pointed at it."""

from collections.abc import AsyncIterator

import pytest
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from tests.discord.double import Discord


@pytest.fixture
async def discord(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Discord]:
    """discord.py has no setting for its addresses: they are set where it keeps them."""
    async with Discord() as double:
        monkeypatch.setattr(Route, "BASE", double.api_url)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(double.gateway_url))
        yield double
