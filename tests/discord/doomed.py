"""A Baton in Discord that kills itself with SIGKILL at a named point, or waits for its killer."""

import asyncio
import sys
from pathlib import Path

from tests.discord.double import Discord
from tests.discord.house import installation_in, talking
from tests.slack.doomed import AFTER, ANSWERED, BEFORE, POINTS, RECEIVED, Doom, plant

__all__ = ["AFTER", "ANSWERED", "BEFORE", "POINTS", "RECEIVED"]

AT_WORK = "at work"
"""No point: it has a worker, and works until somebody kills it."""


async def main(directory: Path, base: str, point: str) -> None:
    discord = Discord()  # the one of the test, which this process knows by its address
    discord.base = base
    installation = installation_in(directory, directory / "repository", discord)
    doom = Doom(installation.database, point)
    installation.database.write = doom.write  # type: ignore[method-assign] # the planted fault
    async with talking(installation, concurrency=2 if point == AT_WORK else 0) as service:
        plant(service, point)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
