"""A database of its own for each test, one Discord and one Slack."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.keeper import Desk
from tests.discord.double import Discord
from tests.postgres import Postgres
from tests.replicas.house import Town
from tests.slack.double import Slack


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """The address of an up-to-date database that many can share."""
    url = postgres.up_to_date()
    yield url
    postgres.give_back(url)


@pytest.fixture
async def discord(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Discord]:
    """discord.py has no setting for its addresses: they are set where it keeps them."""
    async with Discord() as double:
        monkeypatch.setattr(Route, "BASE", double.api_url)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(double.gateway_url))
        yield double


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    """A Slack with nobody in it but people."""
    async with Slack() as double:
        yield double


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards are edited at once: nobody waits for them between rounds."""
    monkeypatch.setattr(Desk.__init__, "__defaults__", (0.1,))


@pytest.fixture
def town(tmp_path: Path, repository: Path, url: str, discord: Discord, slack: Slack) -> Town:
    """A place for replicas, with nobody there yet."""
    return Town(tmp_path, repository, url, discord, slack)
