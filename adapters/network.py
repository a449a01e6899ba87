"""Why something on the network did not answer, in words."""

import os

import aiohttp


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
