"""Requests byte by byte, as no well-behaved client sends them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """What came back: the status, and all of it."""

    status: int
    content: bytes

    @property
    def head(self) -> str:
        return self.content.partition(b"\r\n\r\n")[0].decode("latin-1").lower()


@asynccontextmanager
async def connected(base: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to Baton."""
    there = urlsplit(base)
    reader, writer = await asyncio.open_connection(there.hostname, there.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def reply_of(reader: asyncio.StreamReader) -> Reply:
    """What comes until the connection is closed; status 0 where nothing does."""
    content = await reader.read(-1)
    first = content.split(b" ", 2)
    return Reply(int(first[1]) if len(first) > 1 else 0, content)


async def sends(base: str, written: bytes, *, seconds: float = 10) -> Reply:
    """The reply to these bytes; the connection is closed after it."""
    async with asyncio.timeout(seconds), connected(base) as (reader, writer):
        writer.write(written)
        await writer.drain()
        return await reply_of(reader)


def request(base: str, line: str, *headers: str, body: bytes = b"") -> bytes:
    """A whole request, after which the connection is to be closed."""
    lines = [line, f"Host: {urlsplit(base).netloc}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
