"""Joins the parts of the Slack door, and connects it by Socket Mode or HTTP."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.api import OneWorkspace, SlackApi, web_client
from adapters.slack.app import Counter, SlackDoor
from adapters.slack.board import SlackBoard
from adapters.slack.inbound import CommandNames
from adapters.slack.manifest import EVENTS_PATH
from adapters.slack.people import People
from adapters.slack.speaker import Speaker
from bot import log
from bot.dispatcher import Dispatcher
from bot.keeper import CardKeeper, Desk
from bot.ports import Presence, Store

_CONNECT_AGAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackSetup:
    """How this Baton is joined to Slack; `host` and `port` are where it listens in HTTP mode."""

    mode: str
    connections: int
    bot_token: str
    app_token: str
    signing_secret: str
    api_url: str
    host: str
    port: int
    names: CommandNames


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the door needs of the rest of Baton; `entries` are those of the access lists."""

    store: Store
    dispatcher: Dispatcher
    presence: Presence
    owner: str
    entries: Collection[str]


@asynccontextmanager
async def slack_door(setup: SlackSetup, house: House) -> AsyncIterator[SlackDoor]:
    """Slack is answered inside of this; at the end nothing more is taken, and all is answered."""
    async with aiohttp.ClientSession() as session:
        client = web_client(setup.bot_token, setup.api_url, session)
        door = SlackDoor(_counter(setup, house, SlackApi(OneWorkspace(client), session)))
        app = app_of(setup, client)
        door.attach(app)
        keeping = asyncio.create_task(door.keep_on())
        try:
            async with AsyncExitStack() as connections:
                await _connect(setup, app, connections)
                yield door
            await door.drain()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


def _counter(setup: SlackSetup, house: House, api: SlackApi) -> Counter:
    desk = Desk("slack", house.owner)
    return Counter(
        store=house.store,
        dispatcher=house.dispatcher,
        presence=house.presence,
        people=People(api, house.entries),
        speaker=Speaker(api, house.store),
        keeper=CardKeeper(desk, house.store, SlackBoard(api), house.presence),
        names=setup.names,
    )


def app_of(setup: SlackSetup, client: AsyncWebClient) -> AsyncApp:
    """The Bolt app of one workspace. It checks signatures in HTTP mode; a socket has no need."""

    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=enterprise_id, team_id=team_id, bot_token=setup.bot_token
        )

    quiet = logging.getLogger("baton.slack")
    quiet.setLevel(logging.ERROR)
    return AsyncApp(
        name="baton",
        logger=quiet,
        client=client,
        authorize=authorize,
        signing_secret=setup.signing_secret or "none in socket mode",
        request_verification_enabled=setup.mode == "http",
    )


async def _connect(setup: SlackSetup, app: AsyncApp, connections: AsyncExitStack) -> None:
    if setup.mode == "http":
        await connections.enter_async_context(_listening(setup, app))
        return
    for number in range(setup.connections):
        await connections.enter_async_context(_socket(setup, app, number))


@asynccontextmanager
async def _listening(setup: SlackSetup, app: AsyncApp) -> AsyncIterator[None]:
    """Take signed requests. Bolt refuses a forged one, and one that is older than 5 minutes."""

    async def receive(request: web.Request) -> web.Response:
        bolt_request = await to_bolt_request(request)
        return await to_aiohttp_response(await app.async_dispatch(bolt_request))

    server = web.Application(client_max_size=1024**2)
    server.router.add_post(EVENTS_PATH, receive)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, setup.host, setup.port).start()
        log.event("slack.listen_completed", host=setup.host, port=setup.port)
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _socket(setup: SlackSetup, app: AsyncApp, number: int) -> AsyncIterator[None]:
    """One Socket Mode connection of several: while one is renewed, another takes what comes."""
    handler = AsyncSocketModeHandler(app, setup.app_token)
    connecting = asyncio.create_task(_keep_connecting(handler.connect_async, number))
    try:
        yield
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await handler.close_async()  # type: ignore[no-untyped-call]


async def _keep_connecting(connect: Callable[[], object], number: int) -> None:
    """Connect, however long it takes; once connected, the SDK itself stays so."""
    while True:
        try:
            await connect()  # type: ignore[misc]
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = error.response.get("error") if isinstance(error, SlackApiError) else str(error)
            log.event("slack.connect_rejected", connection=number, reason=reason)
            await asyncio.sleep(_CONNECT_AGAIN_SECONDS)
        else:
            log.event("slack.connect_completed", connection=number)
            return
