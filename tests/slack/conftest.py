"""A Baton that talks in a Slack of its own for each test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from bot.bootstrap import Installation, Service, installed, platforms, serving, web
from tests.conftest import settings_for
from tests.slack.double import Slack

ACCESS = {
    "viewers": ["slack:U3"],
    "operators": ["slack:U1", "slack:U2"],
    "admins": ["slack:U7"],
}


def slack_settings(slack: Slack, **more: Any) -> dict[str, Any]:
    """The section of a Baton that is joined to this Slack."""
    tokens = {"bot_token": "xoxb-1", "app_token": "xapp-1", "signing_secret": "secret"}
    return {**tokens, "api_url": slack.api_url, **more}


def installation_in(
    tmp_path: Path, repository: Path, slack: Slack, /, **sections: Any
) -> Installation:
    """Baton as it is configured for these tests."""
    sections = {"access": ACCESS, "slack": slack_settings(slack), **sections}
    return installed(settings_for(tmp_path, repository, **sections), tmp_path)


@asynccontextmanager
async def talking(
    installation: Installation, *, concurrency: int | None = None
) -> AsyncIterator[Service]:
    """Baton, answering in Slack."""
    async with (
        serving(installation, concurrency=concurrency) as service,
        platforms(installation, service) as joined,
        web(installation, service, joined) if joined.mounted else nullcontext(),
    ):
        yield service


@pytest.fixture
async def slack() -> AsyncIterator[Slack]:
    """A Slack with nobody in it but people."""
    async with Slack() as slack:
        yield slack


@pytest.fixture
def installation(tmp_path: Path, repository: Path, slack: Slack) -> Installation:
    """Baton, configured for this Slack."""
    return installation_in(tmp_path, repository, slack)


@pytest.fixture
async def baton(installation: Installation, slack: Slack) -> AsyncIterator[Service]:
    """Baton, connected twice, with a worker."""
    async with talking(installation) as service:
        await slack.connected(2)
        yield service
