"""A replica of its own process: it works until it is killed, and may freeze itself at a point."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.discord.board import DiscordBoard
from adapters.slack.board import SlackBoard
from bot.bootstrap import Service
from bot.conversation import Message
from bot.keeper import CardKeeper, Desk
from bot.outcome import Answer
from store.database import Change, Database
from tests.discord.double import Discord
from tests.replicas.house import Replica, Town, hurry_database, replica
from tests.slack.double import Slack

RECEIVED = "received"
IN_TRANSACTION = "in the transaction"
CARRIED_OUT = "carried out"
SAID = "said"
EDITING = "editing"
POSTING = "posting"
ANNOUNCING = "announcing"


class Freeze:
    """Freezes this process once so many have come here; whoever came goes on when it is thawed.

    Nobody counts before the file `armed` is there.
    """

    def __init__(self, many: int, armed: Path) -> None:
        self._many = many
        self._armed = armed
        self._came = 0
        self._over = asyncio.Event()

    async def reached(self) -> None:
        if not self._armed.exists():
            return
        self._came += 1
        if self._came == self._many:
            freeze()
            self._over.set()
        await self._over.wait()


def freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


class Locking:
    """Freezes in the first transaction of a command, which holds what it changed."""

    def __init__(self, database: Database, armed: Path) -> None:
        self._commit = database.write
        self._armed = armed
        self._frozen = False

    def write(self, changes: Sequence[Change]) -> list[Any]:
        return self._commit([partial(self._carry_out, change) for change in changes])

    def _carry_out(self, change: Change, tx: Any) -> Any:
        result = change(tx)
        if isinstance(result, Answer) and self._armed.exists() and not self._frozen:
            self._frozen = True
            tx.flush()
            freeze()
        return result


def plant(service: Service, point: str, here: Freeze) -> None:
    """Have this process freeze at this point."""
    dispatcher: Any = service.dispatcher
    receive, handle, answered = dispatcher.receive, dispatcher.handle, dispatcher.answered

    async def received(message: Message) -> bool:
        fresh = bool(await receive(message))
        if fresh:
            await here.reached()
        return fresh

    async def handled(message: Message) -> Answer | None:
        told: Answer | None = await handle(message)
        await here.reached()
        return told

    async def taken(message: Message) -> None:
        await here.reached()
        await answered(message)

    if point == RECEIVED:
        dispatcher.receive = received
    if point == CARRIED_OUT:
        dispatcher.handle = handled
    if point == SAID:
        dispatcher.answered = taken


def plant_in_cards(point: str, here: Freeze) -> None:
    """The same where cards are shown: before an edit, or once it is noted what will be posted."""

    def before(cls: type, name: str) -> None:
        do = getattr(cls, name)

        async def late(self: Any, *words: Any, **more: Any) -> Any:
            await here.reached()
            return await do(self, *words, **more)

        setattr(cls, name, late)

    note: Any = CardKeeper._note_posting

    async def noted(self: CardKeeper, card: Any, what: str | None, *more: Any) -> Any:
        result = await note(self, card, what, *more)
        if what is not None and what.startswith("card") == (point == POSTING):
            await here.reached()
        return result

    if point == EDITING:
        before(DiscordBoard, "edit")
        before(SlackBoard, "edit")
    if point in {POSTING, ANNOUNCING}:
        CardKeeper._note_posting = noted  # type: ignore[method-assign] # the planted fault


def _town(about: dict[str, Any]) -> Town:
    """The doubles are those of the test, which this process knows by their addresses."""
    discord, slack = Discord(), Slack()
    discord.base, slack.base = about["discord"], about["slack"]
    return Town(
        Path(about["directory"]),
        Path(about["repository"]),
        about["url"],
        discord if discord.base else None,
        slack if slack.base else None,
        about["pace"],
    )


async def main(about: dict[str, Any]) -> None:
    town, point = _town(about), about["point"]
    here = Freeze(about["many"], town.armed)
    plant_in_cards(point, here)

    def planted(made: Replica) -> None:
        database: Any = made.database
        if point == IN_TRANSACTION:
            database.write = Locking(database, town.armed).write
        plant(made.service, point, here)

    async with replica(town, about["host"], concurrency=about["concurrency"], planted=planted):
        print("up", flush=True)  # noqa: T201 - the test waits for it
        await asyncio.Event().wait()


if __name__ == "__main__":
    Desk.__init__.__defaults__ = (0.1,)  # cards are edited at once
    hurry_database(pytest.MonkeyPatch())
    asyncio.run(main(json.loads(sys.argv[1])))
