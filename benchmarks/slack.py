"""Slack end to end: payload in, answer out, beside slack-bolt with a handler that does nothing."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import aiohttp
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltRequest
from slack_sdk.web.async_client import AsyncWebClient

from adapters.presence import PresenceFiles
from adapters.slack.api import OneWorkspace, SlackApi, web_client
from adapters.slack.app import SlackDoor
from adapters.slack.connect import SlackSetup, app_of, counter_of
from adapters.slack.inbound import CommandNames
from benchmarks import house
from benchmarks.figures import Effort, Figure, Pair, interleaved, rate
from bot import log
from bot.attendant import Attendant, Inside
from bot.dispatcher import Dispatcher
from bot.locks import ConversationLocks

CALLERS = 16
_RUNS = 6000
_SETUP = SlackSetup(
    mode="socket",
    connections=1,
    bot_token="xoxb-bench",  # noqa: S106 - no secret
    app_token="",
    signing_secret="",
    api_url="http://127.0.0.1/",
    names=CommandNames(),
)


@dataclass
class _Answer:
    data: Mapping[str, Any] = field(default_factory=lambda: {"ok": True, "ts": "1.1"})


@dataclass
class _NoNetwork:
    """Takes every call at once, and tells when an answer came out."""

    token = "xoxb-bench"  # noqa: S105 - no secret
    came_out: dict[str, asyncio.Event] = field(default_factory=dict)

    async def api_call(self, _method: str, **call: Any) -> _Answer:  # noqa: ANN401 - as the SDK's
        user = (call.get("json") or {}).get("user", "")
        if user in self.came_out:
            self.came_out.pop(user).set()
        return _Answer()


def _payload(number: int) -> dict[str, str]:
    name = house.run_name(number)
    return {
        "command": "/resume",
        "text": name,
        "team_id": "T1",
        "channel_id": f"C{number % 64}",
        "user_id": f"U{number}",
        "user_name": "ana",
        "trigger_id": f"{time.monotonic_ns()}.{number}",
        "response_url": "",
    }


def _request(number: int) -> AsyncBoltRequest:
    return AsyncBoltRequest(mode="socket_mode", body=_payload(number))


@dataclass
class _Ours:
    app: AsyncApp
    slack: _NoNetwork

    async def carry_out(self, number: int) -> None:
        """One command, until its answer came out."""
        told = self.slack.came_out[f"U{number}"] = asyncio.Event()
        answer = await self.app.async_dispatch(_request(number))
        assert answer.status == 200, answer.body
        await told.wait()


async def _empty(app: AsyncApp, number: int) -> None:
    answer = await app.async_dispatch(_request(number))
    assert answer.status == 200, answer.body


def _empty_app() -> AsyncApp:
    client = AsyncWebClient()
    app = app_of(_SETUP, client, OneWorkspace(client))

    async def nothing(ack: AsyncAck) -> None:
        await ack()

    app.command("/resume")(nothing)
    return app


async def _measured(effort: Effort) -> Pair:
    folder = effort.place("slack")
    log.write_to(folder / "baton.log")
    database = house.database_in(folder)
    rows = (house.run_row(n, f"slack:T1:C{n % 64}") for n in range(_RUNS))
    house.fill(database, rows)
    store = database.open_store()
    store.start()
    slack = _NoNetwork()
    async with aiohttp.ClientSession() as session:
        clients = OneWorkspace(cast("AsyncWebClient", slack))
        dispatcher = Dispatcher(store, house.conductor_in(folder), ConversationLocks(), "bench")
        presence = PresenceFiles(folder / "presence")
        inside = Inside(store=store, dispatcher=dispatcher, presence=presence, owner="bench")
        attendant = Attendant(counter_of(_SETUP, inside, SlackApi(clients, session)))
        door = SlackDoor(attendant, _SETUP.names)
        app = app_of(_SETUP, web_client("xoxb-bench", _SETUP.api_url, session), clients)
        door.attach(app)

        async def ours() -> float:
            house.restore(database)
            return await rate(effort.seconds, CALLERS, range(_RUNS), _Ours(app, slack).carry_out)

        nothing = partial(_empty, _empty_app())
        other = partial(rate, effort.seconds, CALLERS, range(_RUNS), nothing)
        pair = await interleaved(effort.rounds, ours, other)
        await attendant.drain()
    await store.close()
    return pair


def measure(effort: Effort) -> Iterator[Figure]:
    """Commands a second, each of which won, was acknowledged, carried out and answered."""
    pair = asyncio.run(_measured(effort))
    yield Figure(
        name=f"slack_{CALLERS}",
        value=pair.ours,
        unit="commands/s",
        ratio=pair.ratio,
        of=f"slack-bolt's empty handler, {pair.other:.0f} commands/s",
    )
