"""Many workspaces: each one's token, as OAuth brought it, renewed before it expires."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth.installation_store import Bot
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.api import web_client
from adapters.slack.manifest import REDIRECT_PATH, SCOPES
from bot import log
from bot.board import PostRefusedError

INSTALL_PATH = "/slack/install"
_RENEWED_MINUTES_BEFORE = 120
_LOOKED_UP_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Installations:
    """Where installations are kept; `enterprise_of` tells of a workspace whose part it is."""

    store: AsyncInstallationStore
    states: AsyncOAuthStateStore
    enterprise_of: Callable[[str], Awaitable[str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthApp:
    """What Slack knows this app by, and where people come back from its consent page."""

    client_id: str
    client_secret: str
    api_url: str
    public_url: str


class Workspaces:
    """Implements Clients for every workspace that installed the app."""

    def __init__(
        self, app: OAuthApp, installations: Installations, session: aiohttp.ClientSession
    ) -> None:
        self._app = app
        self._installations = installations
        self._session = session
        self._kept: dict[str, tuple[float, AsyncWebClient]] = {}
        self._looking = asyncio.Lock()

    async def of(self, team: str) -> AsyncWebClient:
        """The client for this workspace, with a token that is good for a while."""
        async with self._looking:
            looked_up_at, client = self._kept.get(team, (0.0, None))
            if client is None or time.monotonic() - looked_up_at > _LOOKED_UP_SECONDS:
                bot = await self._renewed(await self._found(team))
                client = web_client(bot.bot_token, self._app.api_url, self._session)
                self._kept[team] = (time.monotonic(), client)
            return client

    def forget(self, team: str) -> None:
        """Look this workspace up anew: its token is not good any more."""
        self._kept.pop(team, None)

    async def _found(self, team: str) -> Bot:
        enterprise = await self._installations.enterprise_of(team)
        bot = await self._installations.store.async_find_bot(enterprise_id=enterprise, team_id=team)
        if bot is None or not bot.bot_token:
            raise PostRefusedError("Baton is not installed in that workspace")
        return bot

    async def _renewed(self, bot: Bot) -> Bot:
        """Bolt renews only what comes in; cards are edited without anything coming in."""
        rotator = AsyncTokenRotator(
            client_id=self._app.client_id,
            client_secret=self._app.client_secret,
            client=web_client(None, self._app.api_url, self._session),
        )
        try:
            renewed = await rotator.perform_bot_token_rotation(
                bot=bot, minutes_before_expiration=_RENEWED_MINUTES_BEFORE
            )
        except SlackApiError as error:
            # Another process was faster (a refresh token is good once), or Slack is not well.
            log.event("slack.token_rejected", team=bot.team_id, reason=str(error.response["error"]))
            return await self._found(bot.team_id or "")
        if renewed is None:
            return bot
        await self._installations.store.async_save_bot(renewed)
        log.event("slack.token_completed", team=bot.team_id)
        return renewed

    # --- coming and going ------------------------------------------------------------------

    def flow(self, client: AsyncWebClient) -> AsyncOAuthFlow:
        """The two pages of an installation: where it begins, and where people come back to."""
        base = self._app.public_url.rstrip("/")
        settings = AsyncOAuthSettings(
            client_id=self._app.client_id,
            client_secret=self._app.client_secret,
            scopes=list(SCOPES),
            install_path=INSTALL_PATH,
            redirect_uri_path=REDIRECT_PATH,
            redirect_uri=f"{base}{REDIRECT_PATH}",
            authorization_url=_consent_page(self._app.api_url),
            installation_store=self._installations.store,
            state_store=self._installations.states,
        )
        return AsyncOAuthFlow(client=client, settings=settings)

    async def left(self, enterprise: str | None, team: str | None) -> None:
        """A workspace removed the app, or took its token back: nothing of it is kept."""
        await self._installations.store.async_delete_all(enterprise_id=enterprise, team_id=team)
        self.forget(team or "")
        log.event("slack.removal_completed", team=team)


def _consent_page(api_url: str) -> str:
    parts = urlsplit(api_url)
    return f"{parts.scheme}://{parts.netloc}/oauth/v2/authorize"
