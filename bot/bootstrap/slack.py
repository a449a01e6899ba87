"""Joins Slack with the rest of Baton; imported only where somebody needs Slack."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from slack_sdk.oauth.installation_store.sqlalchemy import AsyncSQLAlchemyInstallationStore
from slack_sdk.oauth.state_store.sqlalchemy import AsyncSQLAlchemyOAuthStateStore
from starlette.routing import BaseRoute

from adapters.demo import DEMO_SETTINGS
from adapters.slack.connect import SlackSetup, slack_door
from adapters.slack.diagnosis import diagnose
from adapters.slack.inbound import CommandNames
from adapters.slack.manifest import manifest
from adapters.slack.workspaces import Installations, OAuthApp
from bot import config
from bot.bootstrap import Installation, Service
from store.installations import enterprise_of

_CONSENT_SECONDS = 600


def slack_manifest(config_file: str | None) -> Mapping[str, Any]:
    """What Slack wants to know of Baton, for these settings; the database is not touched."""
    settings, _ = config.current(config_file, DEMO_SETTINGS)
    slack = settings.slack
    return manifest(
        mode=slack.mode,
        public_url=settings.server.public_url,
        resume_command=slack.resume_command,
        cancel_command=slack.cancel_command,
        root_command=slack.root_command,
        oauth=bool(slack.client_id),
    )


async def diagnosed(installation: Installation) -> list[str]:
    """A sentence for each thing that would keep a platform from working."""
    slack = installation.settings.slack
    return await diagnose(
        bot_token=slack.bot_token.get_secret_value(),
        app_token=slack.app_token.get_secret_value(),
        signing_secret=slack.signing_secret.get_secret_value(),
        mode=slack.mode,
        api_url=slack.api_url,
        oauth=bool(slack.client_id),
    )


@asynccontextmanager
async def platform(
    installation: Installation, service: Service
) -> AsyncIterator[Sequence[BaseRoute]]:
    """Slack is answered inside of this; yields where it wants to be called."""
    slack = installation.settings.slack
    setup = SlackSetup(
        mode=slack.mode,
        connections=slack.connections,
        bot_token=slack.bot_token.get_secret_value(),
        app_token=slack.app_token.get_secret_value(),
        signing_secret=slack.signing_secret.get_secret_value(),
        api_url=slack.api_url,
        names=CommandNames(slack.resume_command, slack.cancel_command, slack.root_command),
        entries=frozenset(installation.conductor.policy.entries),
        oauth=_oauth_app(installation.settings),
    )
    async with AsyncExitStack() as open_while_talking:
        if setup.oauth is not None:
            kept = await open_while_talking.enter_async_context(_installations(installation))
            setup = replace(setup, installations=kept)
        inside = installation.inside(service)
        opened = await open_while_talking.enter_async_context(slack_door(setup, inside))
        service.connected["slack"] = opened.connected
        yield opened.routes


def _oauth_app(settings: config.Settings) -> OAuthApp | None:
    slack = settings.slack
    if not slack.client_id:
        return None
    return OAuthApp(
        client_id=slack.client_id,
        client_secret=slack.client_secret.get_secret_value(),
        api_url=slack.api_url,
        public_url=settings.server.public_url,
    )


@asynccontextmanager
async def _installations(installation: Installation) -> AsyncIterator[Installations]:
    """slack_sdk's own stores, on a connection of their own to our database."""
    client_id = installation.settings.slack.client_id
    engine = installation.database.open_engine()
    try:
        yield Installations(
            store=AsyncSQLAlchemyInstallationStore(client_id, engine),
            states=AsyncSQLAlchemyOAuthStateStore(_CONSENT_SECONDS, engine),
            enterprise_of=partial(enterprise_of, engine, client_id),
        )
    finally:
        await engine.dispose()
