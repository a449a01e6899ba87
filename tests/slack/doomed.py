"""A Baton in Slack that kills itself with SIGKILL at a named point; started by test_repeats."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bot.bootstrap import Service
from bot.conversation import Message
from bot.outcome import Answer
from store.database import Change, Database
from tests.slack.conftest import installation_in, talking
from tests.slack.double import Slack

RECEIVED = "after receive"
BEFORE = "before commit"
AFTER = "after commit before answer"
ANSWERED = "after answer before it is noted"
POINTS = (RECEIVED, BEFORE, AFTER, ANSWERED)


class Doom:
    """Dies at the commit of the first command, before it or after it."""

    def __init__(self, database: Database, point: str) -> None:
        self._commit = database.write
        self._point = point
        self._carried_out = False

    def write(self, changes: Sequence[Change]) -> list[Any]:
        results = self._commit([partial(self._carry_out, change) for change in changes])
        if self._carried_out and self._point == AFTER:
            die()
        return results

    def _carry_out(self, change: Change, tx: Any) -> Any:
        result = change(tx)
        if isinstance(result, Answer):
            self._carried_out = True
            if self._point == BEFORE:
                tx.flush()
                die()
        return result


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def plant(service: Service, point: str) -> None:
    """Have the dispatcher of this process be its end."""
    dispatcher: Any = service.dispatcher
    receive: Callable[[Message], Any] = dispatcher.receive

    async def received(message: Message) -> bool:
        fresh = bool(await receive(message))
        if fresh:
            die()
        return fresh

    async def answered(_message: Message) -> None:
        die()

    if point == RECEIVED:
        dispatcher.receive = received
    if point == ANSWERED:
        dispatcher.answered = answered


async def main(directory: Path, base: str, point: str) -> None:
    slack = Slack()  # the one of the test, which this process knows by its address
    slack.base = base
    installation = installation_in(directory, directory / "repository", slack)
    doom = Doom(installation.database, point)
    installation.database.write = doom.write  # type: ignore[method-assign] # the planted fault
    async with talking(installation, concurrency=0) as service:
        plant(service, point)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
