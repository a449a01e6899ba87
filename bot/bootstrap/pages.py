"""Joins the web with the rest of Baton; imported only by a Baton that serves."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from socket import socket

from starlette.routing import BaseRoute

from adapters.descriptors import raised
from adapters.web.app import application
from adapters.web.changes import Changes
from adapters.web.guard import Guard
from adapters.web.house import WebHouse
from adapters.web.serve import bound, listening, most_connections
from bot import log, notices
from bot.access import Role
from bot.bootstrap import Installation, Service, login_name
from bot.errors import ConfigurationError
from bot.feed import RunFeed
from bot.ports import DatabaseUnavailableError
from store.schema import is_current


@asynccontextmanager
async def web(
    installation: Installation, service: Service, mounted: Sequence[BaseRoute]
) -> AsyncIterator[str | None]:
    """The web is answered inside of this; yields what to tell whoever started it.

    Raises ConfigurationError where it would be open to everybody without being protected, or
    where a platform needs an address that is taken.
    """
    server = installation.settings.server
    if server.in_the_clear:
        raise ConfigurationError(notices.open_to_all(server.host))
    most = most_connections(raised())
    try:
        at = bound(server.host, server.port)
    except OSError as error:
        reason = str(error.strerror)
        log.event("web.listen_failed", host=server.host, port=server.port, reason=reason)
        if mounted:
            taken = notices.address_taken(server.host, server.port, reason)
            raise ConfigurationError(taken) from error
        yield notices.no_web(server.host, server.port, reason)
        return
    # What matters is logged by ourselves.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    # The other half is for whoever asks for anything else.
    feed = RunFeed(service.store, most // 2)
    guard = Guard(service.store, installation.conductor.policy.local)
    house = _house(installation, service, feed)
    await feed.begin()
    following = asyncio.create_task(feed.keep())
    try:
        app = application(house, guard, [server.host], mounted)
        async with listening(app, at, most=most, proxied=bool(server.public_url)):
            log.event("web.listen_completed", host=server.host, port=at.getsockname()[1])
            with closing(feed):
                yield _told(installation, guard, at)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def _house(installation: Installation, service: Service, feed: RunFeed) -> WebHouse:
    catalogue = installation.conductor.house.catalogue
    return WebHouse(
        store=service.store,
        dispatcher=service.dispatcher,
        policy=installation.conductor.policy,
        feed=feed,
        workflows={name: workflow.description for name, workflow in catalogue.items()},
        host=installation.conductor.house.host,
        log_path=installation.workshop.log_path,
        changes=Changes(installation.workshop.changes).of,
        ready=partial(_wrong, installation, service, feed),
        public_url=installation.settings.server.public_url,
    )


async def _wrong(installation: Installation, service: Service, feed: RunFeed) -> Mapping[str, str]:
    """What is not ready, and why."""
    wrong: dict[str, str] = {}
    try:
        post = service.worker.post
        host = post.host
        if service.worker.heart.barred:
            wrong["worker"] = notices.host_taken(host)
        elif post.concurrency and not await service.store.read(lambda tx: tx.live_worker(host)):
            wrong["worker"] = notices.no_live_worker()
        if not await asyncio.to_thread(is_current, installation.database):
            wrong["migrations"] = notices.other_tables()
        if feed.late:
            wrong["feed"] = notices.nothing_heard()
    except DatabaseUnavailableError as error:
        wrong["database"] = str(error)
    wrong.update(
        {name: notices.not_connected() for name, up in service.connected.items() if not up()}
    )
    return wrong


def _told(installation: Installation, guard: Guard, at: socket) -> str:
    server, port = installation.settings.server, at.getsockname()[1]
    if not server.local:
        return notices.web_at(server.public_url)
    role = installation.conductor.policy.local
    shown = f"[{server.host}]" if ":" in server.host else server.host
    address = f"http://{shown}:{port}/"
    if role is Role.NONE:
        return notices.web_at(address)
    return notices.sign_in_at(f"{address}signin?ticket={guard.ticket(login_name(), role)}")
