"""Several Batons on one PostgreSQL database, all of them in the same Discord and the same Slack."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from sqlalchemy import select

from bot import log
from bot.bootstrap import Installation, Service, installed, platforms, serving, web
from bot.config import Settings
from bot.conversation import Message
from bot.ports import Transaction
from bot.records import Due
from bot.run import Run
from store import postgres
from store.database import Database
from store.tables import cards as cards_table
from store.tables import deliveries
from tests.chat.scenes import open_cards
from tests.conftest import DEADLINE_SECONDS, settings_for
from tests.discord.double import Discord
from tests.discord.house import discord_settings
from tests.slack.conftest import slack_settings
from tests.slack.double import Channel as SlackChannel
from tests.slack.double import Slack
from tests.store.factories import put

T = TypeVar("T")
Json = dict[str, Any]
ROOT = Path(__file__).parent.parent.parent

QUICK = {"heartbeat_seconds": 0.3, "lease_seconds": 1, "grace_seconds": 1}
"""A process of which nothing is heard for 0.9 s is taken for gone."""
PRESENCE_SECONDS = 0.9
CALM = {"heartbeat_seconds": 2, "lease_seconds": 20, "grace_seconds": 1}
"""However busy this machine is, nobody is taken for gone."""

ACCESS = {
    "viewers": ["discord:3", "slack:U3"],
    "operators": ["discord:1", "discord:2", "slack:U1", "slack:U2"],
}
ROOMS = 20
"""How many channels there are: in each of them one card at a time is edited."""
FROZEN = {psutil.STATUS_STOPPED}


@dataclass(frozen=True)
class Town:
    """What all replicas have in common; without a Slack, or a Discord, nobody is there."""

    directory: Path
    repository: Path
    url: str
    discord: Discord | None = None
    slack: Slack | None = None
    pace: dict[str, float] = field(default_factory=lambda: dict(CALM))

    def settings(self, host: str, **sections: Any) -> Settings:
        """The settings of the replica on this host."""
        place = self.directory / host
        place.mkdir(exist_ok=True)
        joined: dict[str, Any] = {"access": ACCESS, "server": {"port": 0}}
        if self.discord is not None:
            joined["discord"] = discord_settings(self.discord)
        if self.slack is not None:
            joined["slack"] = slack_settings(self.slack, connections=1)
        runner = {**self.pace, "host": host, "directory": str(place / "state")}
        return settings_for(
            place, self.repository, database={"url": self.url}, runner=runner, **joined, **sections
        )

    def has_rooms(self) -> None:
        """Every channel that the tests speak in."""
        if self.discord is not None:
            for number in range(ROOMS):
                self.discord.add_channel(discord_room(number), name=f"room{number}")
        if self.slack is not None:
            for number in range(ROOMS):
                self.slack.channels[slack_room(number)] = SlackChannel(slack_room(number))

    @property
    def armed(self) -> Path:
        """Where this file is, whoever is to freeze does."""
        return self.directory / "armed"

    async def connected(self, replicas: int) -> None:
        """Wait until so many replicas are there."""
        if self.discord is not None:
            await self.discord.connected(replicas, DEADLINE_SECONDS)
        if self.slack is not None:
            await self.slack.connected(replicas, DEADLINE_SECONDS)


def hurry_database(patch: pytest.MonkeyPatch) -> None:
    """Whoever is frozen in the middle of a transaction is thrown out soon, but not at once."""
    words = postgres._TO_WRITE
    assert "lock_timeout = '5s'" in words
    assert "session_timeout = '10s'" in words
    words = words.replace("lock_timeout = '5s'", "lock_timeout = '0.5s'")
    patch.setattr(postgres, "_TO_WRITE", words.replace("= '10s'", "= '3s'"))


def discord_room(number: int) -> str:
    """A channel of the guild."""
    return f"54{number % ROOMS:02}"


def slack_room(number: int) -> str:
    """A channel of the workspace."""
    return f"CROOM{number % ROOMS}"


# --- in this process -------------------------------------------------------------------------


@dataclass
class Replica:
    """One of several Batons, in this process; what it received, and whether it was the first."""

    installation: Installation
    service: Service
    address: str | None = None
    received: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.installation.database

    @property
    def name(self) -> str:
        """By which others know it."""
        return self.service.worker.post.name

    async def read(self, look: Callable[[Transaction], T]) -> T:
        return await self.service.store.read(look)

    async def write(self, change: Callable[[Transaction], T]) -> T:
        return await self.service.store.write(change)

    async def run(self, run_id: str) -> Run:
        run = await self.read(lambda tx: tx.runs.get(run_id))
        assert run is not None
        return run

    async def until(self, look: Callable[[Transaction], T], holds: Callable[[T], object]) -> T:
        """Wait until this holds for what is read."""
        watch = self.service.store.watch()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not holds(found := await self.read(look)):
                    await watch.changed(0.5)
                return found
        finally:
            watch.close()

    async def answered(self) -> None:
        """Wait until nobody waits for an answer."""
        await self.until(lambda tx: tx.deliveries.due(), lambda due: not due)

    async def settled(self) -> None:
        """Wait until every card shows its run."""
        await self.until(due_cards, lambda due: not due)

    async def opens(self, ids: Sequence[str]) -> None:
        """These runs get their cards."""
        await self.write(lambda tx: open_cards(tx, list(ids)))
        await self.settled()

    async def opens_elsewhere(self, ids: Sequence[str]) -> None:
        """The same; it is the one other replica that keeps them."""
        (name,) = await self.read(lambda tx: set(tx.live_workers()) - {self.name})

        def kept(tx: Transaction) -> None:
            open_cards(tx, list(ids))
            tx.flush()  # type: ignore[attr-defined] # else there is nothing to take yet
            for run_id in ids:
                assert tx.cards.take(run_id, None, name)

        await self.write(kept)

    async def words(self, run_id: str, verb: str) -> list[str]:
        """What each attempt with this verb at a run came to."""
        found = await self.read(lambda tx: tx.audit.of(run_id))
        return [str(event.outcome) for event in found if event.verb == verb]

    def listen(self) -> None:
        """Note what is received from now on."""
        dispatcher: Any = self.service.dispatcher
        receive = dispatcher.receive

        async def noted(message: Message) -> bool:
            fresh: bool = await receive(message)
            self.received.append((str(message.delivery), fresh))
            return fresh

        dispatcher.receive = noted


def due_cards(tx: Transaction) -> list[str]:
    """The runs whose cards are behind, wherever they are."""
    return [card.run.id for card in tx.cards.due("", "\U0010ffff", "")]


@asynccontextmanager
async def replica(
    town: Town,
    host: str,
    *,
    concurrency: int = 0,
    serves: bool = False,
    planted: Callable[[Replica], None] = lambda _made: None,
) -> AsyncIterator[Replica]:
    """One more Baton; with `serves` its web is up, too. `planted` is done before it is joined."""
    installation = installed(town.settings(host), town.directory / host)
    async with serving(installation, concurrency=concurrency) as service, AsyncExitStack() as more:
        made = Replica(installation, service)
        planted(made)
        joined = await more.enter_async_context(platforms(installation, service))
        if serves:
            made.address = await more.enter_async_context(web(installation, service, joined))
        yield made


@asynccontextmanager
async def two(town: Town, **how: Any) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two replicas, the first connected before the second; at the end their log is clean."""
    town.has_rooms()
    async with replica(town, "one", **how) as first:
        await town.connected(1)
        async with replica(town, "two", **how) as second:
            await town.connected(2)
            for each in (first, second):
                each.listen()
            yield first, second
    assert_clean_log(town)


def log_of(town: Town) -> list[Json]:
    """All that any replica logged; those of one process share a log."""
    log.write_out()
    found: list[Json] = []
    for file in sorted(town.directory.glob("*/state/baton.log")):
        found += [json.loads(line) for line in file.read_text().splitlines()]
    return found


def assert_clean_log(town: Town) -> None:
    """Nothing went wrong that nobody foresaw."""
    broken = [entry for entry in log_of(town) if "traceback" in entry]
    assert not broken, broken[0]["traceback"]


# --- in processes of their own ----------------------------------------------------------------


@dataclass
class Child:
    """A Baton of its own process."""

    process: Process

    def freeze(self) -> None:
        psutil.Process(self.process.pid).suspend()

    def thaw(self) -> None:
        psutil.Process(self.process.pid).resume()

    async def frozen(self) -> None:
        """Wait until it has stopped."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while psutil.Process(self.process.pid).status() not in FROZEN:
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def says(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            return (await self.process.stdout.readline()).decode().strip()


@asynccontextmanager
async def child(
    town: Town, host: str, *, concurrency: int = 0, point: str = "", many: int = 1
) -> AsyncIterator[Child]:
    """A replica in a process of its own, which is up; it does not outlive this.

    Where so many have come to the `point` of tests/replicas/doomed.py, it freezes by itself.
    """
    about = {
        "directory": str(town.directory),
        "repository": str(town.repository),
        "url": town.url,
        "discord": town.discord.base if town.discord else "",
        "slack": town.slack.base if town.slack else "",
        "pace": town.pace,
        "host": host,
        "concurrency": concurrency,
        "point": point,
        "many": many,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.replicas.doomed", json.dumps(about)),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
    )
    made = Child(process)
    try:
        assert await made.says() == "up"
        yield made
    finally:
        if process.returncode is None:
            await made.kill()


# --- the database ----------------------------------------------------------------------------


def place_runs(
    database: Database, platform: str, state: str, many: int, **columns: Any
) -> list[str]:
    """So many runs in this state, in one channel after the other; their ids."""
    made = []
    for number in range(many):
        if platform == "discord":
            place, actor = f"discord:700:{discord_room(number)}", "discord:1"
        else:
            place, actor = f"slack:T1:{slack_room(number)}", "slack:U1"
        about = {
            "conversation": place,
            "channel": place,
            "requested_by": actor,
            "requested_door": f"{platform}-slash",
            "changed_by": actor,
            "changed_door": f"{platform}-slash",
        }
        made.append(put(database, state, **{**about, **columns}))
    return made


def owners(database: Database) -> dict[str, str | None]:
    """Which process keeps the card of each run."""
    with database.connect() as connection:
        found = connection.execute(select(cards_table.c.run_id, cards_table.c.owner))
        return {row[0]: row[1] for row in found}


def left(database: Database) -> dict[str, Due]:
    """Every delivery that nobody is known to have answered, by its key."""
    return {due.key: due for due in database.read(lambda tx: tx.deliveries.due())}


def received(database: Database) -> list[str]:
    """The key of every delivery there is."""
    with database.connect() as connection:
        return list(connection.execute(select(deliveries.c.key)).scalars())
