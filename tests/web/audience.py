"""A process that listens to events on many streams: `python -m tests.web.audience BASE MANY`.

The token comes as its only line of input. It says "ready" once every stream is open, and at the
end of its input how many events it heard.
"""

import asyncio
import contextlib
import sys
from contextlib import AsyncExitStack

import aiohttp

from tests.web.asking import Asking, Stream, open_session


async def _listen(stream: Stream, heard: list[int]) -> None:
    with contextlib.suppress(EOFError, OSError, aiohttp.ClientError):
        while True:
            await stream.run()
            heard[0] += 1


async def main(base: str, many: int) -> None:
    """Listen until nobody wants to know any more."""
    token = sys.stdin.readline().strip()
    heard = [0]
    async with open_session() as session, AsyncExitStack() as stack:
        asking = Asking(session, base, {"Authorization": f"Bearer {token}"})
        streams = [await stack.enter_async_context(asking.stream()) for _ in range(many)]
        listening = [asyncio.create_task(_listen(stream, heard)) for stream in streams]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        for one in listening:
            one.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    sys.stdout.write(f"{heard[0]}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
