"""The way to a platform: through which proxy, and why there was no answer."""

import os
from collections.abc import Callable
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for this address (HTTPS_PROXY, NO_PROXY), if any."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)


def why(error: Exception, timeout_seconds: float) -> str:
    """Why there was no answer, in words without addresses."""
    match error:
        case TimeoutError():
            return f"no answer within {timeout_seconds:g} seconds"
        case aiohttp.ClientHttpProxyError() | aiohttp.ClientProxyConnectionError():
            return "the proxy does not let it through"
        case aiohttp.ClientConnectorDNSError():
            return "there is no such host"
        case aiohttp.ClientSSLError():
            return "no secure connection could be made"
        case aiohttp.ClientConnectorError(errno=int(number)) if number > 0:
            return os.strerror(number).lower()
        case _:
            return "the connection failed"


def guarded(check: Callable[[], None]) -> type[aiohttp.ClientRequest]:
    """Requests for a session: each is checked at the last moment, when there is a connection.

    What has no body says nothing.
    """

    class Guarded(aiohttp.ClientRequest):
        async def write_bytes(
            self,
            writer: AbstractStreamWriter,
            conn: Connection,
            content_length: int | None = None,
        ) -> None:
            try:
                check()
            except Exception as error:  # noqa: BLE001 - whoever waits for the answer gets it
                if conn.protocol is not None:
                    conn.protocol.set_exception(error)
            else:
                await super().write_bytes(writer, conn, content_length)

    return Guarded
