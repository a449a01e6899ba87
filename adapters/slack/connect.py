"""Joins the parts of the Slack door, and connects it by Socket Mode or HTTP."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.starlette.async_handler import (
    to_async_bolt_request,
    to_starlette_response,
)
from slack_bolt.async_app import AsyncApp, AsyncBoltContext, AsyncBoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from adapters.slack.api import OneWorkspace, SlackApi, http_session, web_client
from adapters.slack.app import SlackDoor
from adapters.slack.board import SlackBoard
from adapters.slack.inbound import CommandNames
from adapters.slack.manifest import EVENTS_PATH, REDIRECT_PATH
from adapters.slack.people import People
from adapters.slack.voice import SlackVoice
from adapters.slack.workspaces import INSTALL_PATH, Installations, OAuthApp, Workspaces
from bot import log, remedies, tenure
from bot.attendant import Attendant, Counter, Inside
from bot.board import PostRefusedError
from bot.keeper import CardKeeper, Desk
from bot.speaker import Speaker

_CONNECT_AGAIN_SECONDS = 2.0
_PING_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackSetup:
    """How this Baton is joined to Slack; `entries` are those of the access lists."""

    mode: str
    connections: int
    bot_token: str
    app_token: str
    signing_secret: str
    api_url: str
    names: CommandNames
    entries: Collection[str] = ()
    oauth: OAuthApp | None = None
    installations: Installations | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """An open door: where it wants to be called, and whether it is connected."""

    routes: Sequence[BaseRoute]
    connected: Callable[[], bool]


@asynccontextmanager
async def slack_door(setup: SlackSetup, inside: Inside) -> AsyncIterator[Opened]:
    """Slack is answered inside of this; at the end nothing more is taken, and all is answered."""
    async with http_session(tenure.guard(inside.presence)) as session:
        client = web_client(setup.bot_token or None, setup.api_url, session)
        clients = _clients(setup, client, session)
        attendant = Attendant(counter_of(setup, inside, SlackApi(clients, session)))
        app = app_of(setup, client, clients)
        SlackDoor(attendant, setup.names).attach(app)
        attending = asyncio.create_task(attendant.attend())
        try:
            async with AsyncExitStack() as connections:
                sockets = [
                    await connections.enter_async_context(_socket(setup, app, number))
                    for number in range(setup.connections if setup.mode == "socket" else 0)
                ]
                yield Opened(_routes(setup, app, clients), partial(_connected, sockets))
            await attendant.drain()
        finally:
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)


def _clients(
    setup: SlackSetup, client: AsyncWebClient, session: aiohttp.ClientSession
) -> OneWorkspace | Workspaces:
    if setup.oauth is None or setup.installations is None:
        return OneWorkspace(client)
    return Workspaces(setup.oauth, setup.installations, session)


def counter_of(setup: SlackSetup, inside: Inside, api: SlackApi) -> Counter:
    """The parts of the door, joined."""
    desk = Desk("slack", inside.owner)
    return Counter(
        platform="slack",
        inside=inside,
        introduced=People(api, setup.entries).introduced,
        speaker=Speaker(SlackVoice(api, inside.store, setup.names.root), inside.store),
        keeper=CardKeeper(desk, inside.store, SlackBoard(api), inside.presence),
    )


def app_of(
    setup: SlackSetup, client: AsyncWebClient, clients: OneWorkspace | Workspaces
) -> AsyncApp:
    """The Bolt app. It checks signatures in HTTP mode; a socket has no need of that."""

    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult | None:
        try:
            known = await clients.of(team_id or enterprise_id or "")
        except PostRefusedError:
            return None
        return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, bot_token=known.token)

    # What matters is logged by ourselves; Bolt gives its loggers the app's name, so that must not
    # be the name of ours.
    quiet = logging.getLogger("slack-door")
    quiet.setLevel(logging.CRITICAL)
    app = AsyncApp(
        name="slack-door",
        logger=quiet,
        client=client,
        authorize=authorize,  # type: ignore[arg-type] # None: not installed there
        signing_secret=setup.signing_secret or "none in socket mode",
        request_verification_enabled=setup.mode == "http",
        user_facing_authorize_error_message=remedies.not_installed(),
    )
    if isinstance(clients, Workspaces):
        _see_off(app, clients)
    return app


def _see_off(app: AsyncApp, workspaces: Workspaces) -> None:
    """Forget a workspace that removes the app, or takes the bot's token back."""

    async def uninstalled(context: AsyncBoltContext) -> None:
        await workspaces.left(context.enterprise_id, context.team_id)

    async def revoked(event: Mapping[str, Any], context: AsyncBoltContext) -> None:
        if (event.get("tokens") or {}).get("bot"):
            await workspaces.left(context.enterprise_id, context.team_id)

    app.event("app_uninstalled")(uninstalled)
    app.event("tokens_revoked")(revoked)


def _routes(
    setup: SlackSetup, app: AsyncApp, clients: OneWorkspace | Workspaces
) -> Sequence[BaseRoute]:
    """Where Slack, and whoever installs the app, call Baton."""
    routes = []
    if setup.mode == "http":
        routes.append(Route(EVENTS_PATH, _taking(app.async_dispatch), methods=["POST"]))
    if isinstance(clients, Workspaces):
        flow = clients.flow(app.client)
        routes.append(Route(INSTALL_PATH, _taking(flow.handle_installation)))
        routes.append(Route(REDIRECT_PATH, _taking(flow.handle_callback)))
    return routes


def _taking(
    carry_out: Callable[[AsyncBoltRequest], Awaitable[BoltResponse]],
) -> Callable[[Request], Awaitable[Response]]:
    """A handler of the web for one of Bolt. Bolt refuses what is forged or older than 5 minutes."""

    async def take(request: Request) -> Response:
        try:
            asked = to_async_bolt_request(request, await request.body())
        except UnicodeDecodeError:
            return Response(status_code=400)
        return to_starlette_response(await carry_out(asked))

    return take


@asynccontextmanager
async def _socket(setup: SlackSetup, app: AsyncApp, number: int) -> AsyncIterator[SocketModeClient]:
    """One Socket Mode connection of several: while one is renewed, another takes what comes."""
    handler = AsyncSocketModeHandler(app, setup.app_token, ping_interval=_PING_SECONDS)
    connecting = asyncio.create_task(_keep_connecting(handler.client, number))
    try:
        yield handler.client
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await handler.close_async()  # type: ignore[no-untyped-call]


def _connected(sockets: Sequence[SocketModeClient]) -> bool:
    """Whether at least one connection is open; where Slack calls us there is none to be open."""
    sessions = [client.current_session for client in sockets]
    return not sockets or any(open_ is not None and not open_.closed for open_ in sessions)


async def _keep_connecting(client: SocketModeClient, number: int) -> None:
    """Connect, however long it takes; once connected, the SDK itself stays so."""
    while True:
        try:
            client.wss_uri = await client.issue_new_wss_url()
            await client.connect()  # type: ignore[no-untyped-call]
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = error.response.get("error") if isinstance(error, SlackApiError) else str(error)
            log.event("slack.connect_rejected", connection=number, reason=reason)
            await asyncio.sleep(_CONNECT_AGAIN_SECONDS)
        else:
            log.event("slack.connect_completed", connection=number)
            return
