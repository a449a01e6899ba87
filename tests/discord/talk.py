"""A Baton in a Discord for one test, with what people see of it; its log is read at the end."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from bot.bootstrap import Installation, Service, installed, platforms, serving
from bot.run import Run
from store.tables import deliveries, events
from tests.conftest import Person, settings_for
from tests.discord.double import Discord, Interaction, SentMessage
from tests.discord.house import ACCESS, open_cards
from tests.discord.payloads import slash
from tests.discord.records import CHANNEL, GUILD, Json
from tests.store.factories import put

SECRET = "MTAw.sEcReT.tOkEn"
HERE = {
    "conversation": f"discord:{GUILD}:{CHANNEL}",
    "channel": f"discord:{GUILD}:{CHANNEL}",
    "requested_by": "discord:1",
    "requested_door": "discord-slash",
    "changed_by": "discord:1",
    "changed_door": "discord-slash",
}
"""Where and by whom a run is asked for, unless a test says otherwise."""
_STARTED = re.compile(r"Started \S+ ([a-z0-9]{8}):")


def discord_settings(discord: Discord, **more: Any) -> Json:
    """The section of a Baton that is joined to this Discord, whose token becomes that one."""
    discord.token = SECRET
    addresses = {"api_url": discord.api_url, "gateway_url": discord.gateway_url}
    return {"token": SECRET, **addresses, **more}


def log_of(state: Path) -> list[Json]:
    """What the log of this installation says."""
    return [json.loads(line) for line in (state / "baton.log").read_text().splitlines()]


def assert_clean_log(state: Path, *never: str) -> None:
    """No traceback, no token, nothing of these words."""
    broken = [entry for entry in log_of(state) if "traceback" in entry]
    assert not broken, broken[0]["traceback"]
    text = (state / "baton.log").read_text()
    for word in (SECRET, *never):
        assert word not in text, next(line for line in text.splitlines() if word in line)


@dataclass(frozen=True)
class Talk:
    """Baton, its Discord, and what people do and see there."""

    discord: Discord
    service: Service
    installation: Installation

    async def does(self, payload: Json) -> Interaction:
        """Somebody uses a command or clicks; all that came of it once it is answered."""
        interaction = await self.discord.interact(payload)
        await self.discord.until(lambda: interaction.answered)
        return interaction

    async def told(self, payload: Json) -> SentMessage:
        """The same, where the answer is for that person alone."""
        interaction = await self.does(payload)
        told = interaction.original
        assert told is not None
        assert told.content
        assert told.ephemeral
        assert told.audience == interaction.user
        assert not told.pinged
        return told

    async def says(self, name: str, options: Json | None = None, **more: Any) -> SentMessage:
        """Somebody uses an app command; the private answer."""
        return await self.told(slash(name, options, **more))

    async def starts(self, workflow: str, arguments: str | None = None, **more: Any) -> str:
        """Somebody starts a run; its id."""
        options = {"workflow": workflow, "arguments": arguments}
        told = await self.says("run", options, **more)
        found = _STARTED.match(told.content)
        assert found, told.content
        return found[1]

    async def gets(self, run_id: str, holds: Callable[[Run], bool]) -> Run:
        """Wait until this holds for the run."""
        return await Person(self.service, "ben").sees(run_id, holds)

    async def shows(self, run_id: str, *wanted: str) -> SentMessage:
        """Wait until the card of a run says all of this; that card."""

        def shown() -> list[SentMessage]:
            return [one for one in cards(self.discord, run_id) if _has(one, wanted)]

        await self.discord.until(shown)
        return shown()[-1]

    def puts(self, state: str, **columns: Any) -> str:
        """A run in this state in the channel, without a card; its id."""
        return put(self.installation.database, state, **HERE | columns)

    async def has(self, state: str, **columns: Any) -> tuple[str, SentMessage]:
        """A run in this state in the channel, with its card there; its id, and the card."""
        run_id = self.puts(state, **columns)
        await self.service.store.write(lambda tx: open_cards(tx, [run_id]))
        await self.discord.until(lambda: cards(self.discord, run_id))
        return run_id, cards(self.discord, run_id)[-1]

    async def hears(self, payload: Json) -> SentMessage:
        """Somebody writes a message; what they are told to it, wherever that is."""
        known = len(self.discord.posted)

        def answers() -> list[SentMessage]:
            new = self.discord.posted[known:]
            return [one for one in new if not _is_unasked(self.discord, one)]

        await self.discord.say(payload)
        await self.discord.until(answers)
        return answers()[0]

    async def runs(self) -> set[str]:
        """The ids of all runs."""
        found = await self.service.store.read(lambda tx: tx.runs.recent(None, None))
        return {run.id for run in found}

    def audit(self, outcome: str) -> list[tuple[str, str, str]]:
        """Who came to this with what and through which door."""
        columns = (events.c.actor, events.c.verb, events.c.door)
        chosen = select(*columns).where(events.c.outcome == outcome).order_by(events.c.id)
        with self.installation.database.connect() as connection:
            return [(actor, verb, door) for actor, verb, door in connection.execute(chosen)]

    def received(self) -> list[str]:
        """The key of every delivery there is."""
        with self.installation.database.connect() as connection:
            return list(connection.execute(select(deliveries.c.key)).scalars())


def cards(discord: Discord, run_id: str) -> list[SentMessage]:
    """The cards of a run; there should be one."""
    name = re.compile(rf"\*\*.+\*\* `{run_id}`\n")
    return [one for one in discord.posted if name.match(one.content)]


def _is_unasked(discord: Discord, message: SentMessage) -> bool:
    """Whether it is a card, or news beside one: they may come at any moment."""
    return message.reference in discord.messages or message.content.startswith("**")


def public(discord: Discord) -> list[SentMessage]:
    """All that everybody in a channel can see."""
    return [one for one in discord.posted if not one.ephemeral and one.guild]


def directly(discord: Discord, user: str) -> list[SentMessage]:
    """What was written to this person alone, in the conversation with them."""
    return [one for one in discord.posted if one.channel == f"60{user}"]


def _has(message: SentMessage, wanted: tuple[str, ...]) -> bool:
    return all(one in message.content for one in wanted)


@asynccontextmanager
async def talking(
    discord: Discord,
    tmp_path: Path,
    repository: Path,
    /,
    *,
    concurrency: int = 2,
    connections: int = 1,
    **sections: Any,
) -> AsyncIterator[Talk]:
    """Baton, connected; afterwards its log must be clean, and nobody called who asked nothing."""
    own = discord_settings(discord, **sections.pop("discord", {}))
    settings = settings_for(tmp_path, repository, **{"access": ACCESS, "discord": own, **sections})
    installation = installed(settings, tmp_path)
    async with (
        serving(installation, concurrency=concurrency) as service,
        platforms(installation, service),
    ):
        await discord.connected(connections)
        yield Talk(discord, service, installation)
    assert_clean_log(tmp_path / "state", *discord.interactions)
    assert_nobody_called(discord)


def assert_nobody_called(discord: Discord) -> None:
    """News call the person who asked for the run; nothing else calls anybody."""
    for message in discord.posted:
        called = re.match(r"<@(\d+)> \S+ [a-z0-9]{8} ", message.content)
        allowed = {f"user:{called[1]}"} if called else set()
        assert message.pinged <= allowed, (message.pinged, message.content)
