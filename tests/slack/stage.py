"""A Baton in Slack for one test, with what people see of it; its log is read at the end."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bot.bootstrap import Installation, Service, installed
from bot.conversation import Author, Conversation, Door, Message
from bot.run import Run
from tests.conftest import Person, settings_for
from tests.slack.conftest import ACCESS, slack_settings, talking
from tests.slack.double import Channel, Ephemeral, Response, SentMessage, Slack
from tests.slack.payloads import buttons_of, click, slash, texts_of
from tests.slack.records import Json

Said = SentMessage | Ephemeral | Response


def words(message: Said) -> str:
    """All that a person can read in a message."""
    return "\n".join(texts_of(message.blocks))


def labels(message: Said) -> list[str]:
    """The buttons of a message."""
    return list(buttons_of(message.blocks))


def mentions(message: Said) -> list[str]:
    """Whom a message calls."""
    return [node["user_id"] for node in nodes(message.blocks) if node.get("type") == "user"]


def nodes(tree: Any) -> Iterator[Json]:
    """Every object within these blocks."""
    if isinstance(tree, dict):
        yield tree
    for inner in (
        tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    ):
        yield from nodes(inner)


def copy_of(card: SentMessage) -> SentMessage:
    """A card as somebody still sees it whose screen is behind."""
    return replace(card, blocks=list(card.blocks), edits=[])


def posts(slack: Slack, run_id: str, what: str | None = None) -> list[SentMessage]:
    """Cards and news of a run in the order of their posting, deleted ones too."""
    found = []
    for message in slack.posted:
        payload = (message.metadata or {}).get("event_payload", {})
        if payload.get("run") == run_id and what in {None, payload.get("what")}:
            found.append(message)
    return found


def cards(slack: Slack, run_id: str) -> list[SentMessage]:
    """The cards of a run; there should be one."""
    return posts(slack, run_id, "card")


def news(slack: Slack, run_id: str) -> list[SentMessage]:
    """What was announced of a run."""
    return [one for one in posts(slack, run_id) if one not in cards(slack, run_id)]


def log_of(state: Path) -> list[Json]:
    """What the log of this installation says."""
    return [json.loads(line) for line in (state / "baton.log").read_text().splitlines()]


def assert_clean_log(state: Path, *never: str) -> None:
    """No traceback, no token, nothing of these words."""
    broken = [entry for entry in log_of(state) if "traceback" in entry]
    assert not broken, broken[0]["traceback"]
    text = (state / "baton.log").read_text()
    for word in ("xoxb-", "xapp-", "/response/", *never):
        assert word not in text, next(line for line in text.splitlines() if word in line)


@dataclass(frozen=True)
class Stage:
    """Baton, its Slack, and somebody at a terminal."""

    slack: Slack
    service: Service
    installation: Installation

    @property
    def ben(self) -> Person:
        """Somebody at a terminal on Baton's own host."""
        return Person(self.service, "ben")

    async def says(self, text: str, **more: Any) -> str:
        """Somebody types a command in Slack; the response_url that it came with."""
        envelope = slash("/baton", text, **more)
        assert await self.slack.send(envelope), text
        return str(envelope["payload"]["response_url"])

    async def runs(self) -> set[str]:
        """The ids of all runs."""
        found = await self.service.store.read(lambda tx: tx.runs.recent(None, None))
        return {run.id for run in found}

    async def starts(self, text: str, **more: Any) -> str:
        """Somebody starts a run in Slack; its id."""
        known = await self.runs()
        watch = self.service.store.watch()
        await self.says(f"run {text}", **more)
        while not (new := await self.runs() - known):
            await watch.changed(10)
        watch.close()
        return new.pop()

    async def gets(self, run_id: str, holds: Callable[[Run], bool]) -> Run:
        """Wait until this holds for the run."""
        return await self.ben.sees(run_id, holds)

    async def shows(self, run_id: str, *wanted: str, seconds: float = 10) -> SentMessage:
        """Wait until the newest card of a run says all of this; that card."""

        def shown() -> bool:
            found = cards(self.slack, run_id)
            return bool(found) and all(one in words(found[-1]) for one in wanted)

        await self.slack.until(shown, seconds)
        return cards(self.slack, run_id)[-1]

    async def told(self, url: str) -> Response:
        """The one answer that was given at a response_url."""

        def answers() -> list[Response]:
            return [one for one in self.slack.responses if one.url == url]

        await self.slack.until(answers)
        (answer,) = answers()
        return answer

    async def clicks(self, message: Said, label: str, **more: Any) -> Response:
        """Somebody clicks; the private answer."""
        envelope = click(message, buttons_of(message.blocks)[label], **more)
        assert await self.slack.send(envelope), label
        return await self.told(envelope["payload"]["response_url"])

    async def current(self) -> None:
        """Wait until no card is behind its run."""
        watch = self.service.store.watch()
        while await self.service.store.read(lambda tx: list(tx.cards.due("slack:", "slack;", ""))):
            await watch.changed(10)
        watch.close()


@asynccontextmanager
async def on_stage(
    slack: Slack,
    tmp_path: Path,
    repository: Path,
    /,
    *,
    concurrency: int = 2,
    connections: int = 2,
    **sections: Any,
) -> AsyncIterator[Stage]:
    """Baton, connected; afterwards its log must be clean."""
    sections = {"access": ACCESS, "slack": slack_settings(slack), **sections}
    installation = installed(settings_for(tmp_path, repository, **sections), tmp_path)
    async with talking(installation, concurrency=concurrency) as service:
        await slack.connected(connections)
        yield Stage(slack, service, installation)
    assert_clean_log(tmp_path / "state")


def in_slack(text: str, *, channel: str = "slack:T1:C1", **more: Any) -> Message:
    """What U1 says in Slack, past the adapter."""
    author = Author("slack:U1", name="ana")
    place = Conversation(channel)
    return Message(text=text, conversation=place, author=author, door=Door.SLACK_SLASH, **more)


def more_channels(slack: Slack, *names: str) -> None:
    """Channels that Baton is a member of."""
    slack.channels.update({name: Channel(name) for name in names})


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Road:
    """The way to Slack's Web API: closed outside of `async with`."""

    def __init__(self, slack: Slack) -> None:
        self._beyond = int(slack.base.rpartition(":")[2])
        self._gate = socket.socket()
        self._gate.bind(("127.0.0.1", 0))  # refuses until it listens, and nobody else can have it
        self.api_url = f"http://127.0.0.1:{self._gate.getsockname()[1]}/api/"
        self._loads: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> None:
        self._server = await asyncio.start_server(self._carry, sock=self._gate)

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for load in self._loads:
            load.cancel()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._beyond)
        self._loads |= {
            asyncio.create_task(_pour(reader, back)),
            asyncio.create_task(_pour(there, writer)),
        }


async def _pour(source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
    try:
        while load := await source.read(65_536):
            drain.write(load)
    finally:
        drain.close()
