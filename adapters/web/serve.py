"""Listens for the web within a process that does other things as well."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from adapters.web import connections
from adapters.web.connections import Connection, Crowd

MOST_CONNECTIONS = 2000
_BACKLOG = 2048
_GRACE_SECONDS = 2


class _Server(uvicorn.Server):
    """Whoever starts it stops it; signals are not its business."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell that it is up."""
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def bound(host: str, port: int) -> socket.socket:
    """A socket at this address. Raises OSError where that is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    at = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    # Head and body are two small writes; without this the second one waits for the browser to
    # acknowledge the first, which takes it 40 ms. asyncio sees to it for sockets of its own only.
    at.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return at


def most_connections(descriptors: int) -> int:
    """How many connections may be open of so many descriptors; steps and the database need some."""
    return min(MOST_CONNECTIONS, descriptors // 2)


@asynccontextmanager
async def listening(
    app: ASGIApp, at: socket.socket, *, most: int, proxied: bool
) -> AsyncIterator[None]:
    """The application is answered inside of this, on so many connections at `most`.

    `proxied` where a proxy stands before it, and tells whose requests it passes on.
    """
    config = uvicorn.Config(
        app,
        http=partial(Connection, Crowd(most)),  # type: ignore[arg-type] # called as a class is
        ws="none",
        # So many are taken at once before the first of them can be refused.
        backlog=max(1, most // 8),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=proxied,
        timeout_keep_alive=connections.REQUEST_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[at]))
    up = asyncio.create_task(server.up.wait())
    await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
    up.cancel()
    if serving.done():
        serving.result()
    # Whoever waits to be taken needs no descriptor of ours.
    at.listen(_BACKLOG)
    try:
        yield
    finally:
        server.should_exit = True
        await serving
