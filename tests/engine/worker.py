"""A worker of its own, to be killed: `python -m tests.engine.worker URL` works until then."""

import asyncio
import os
import sys

from adapters.engine.engine import Engine


async def _take_up(run_id: str, epoch: int) -> None:
    os.write(1, f"{run_id} {epoch}\n".encode())
    await asyncio.Event().wait()


async def main(url: str) -> None:
    engine = Engine(url)
    async with engine.running():
        await engine.work("here", 4, _take_up, listens=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
