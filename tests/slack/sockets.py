"""Socket Mode: live connections, envelopes to them, acknowledgements back."""

import asyncio
import copy
import json
import secrets
import time
from collections import defaultdict
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from tests.slack.records import APP, Ack, Json
from tests.slack.state import State

MOST_CONNECTIONS = 10
LEAVES = {"link_disabled", "refresh_requested", "too_many_websockets"}


@dataclass(eq=False)
class Connection:
    """One websocket of a client; `leaving` ones get no more envelopes of their own."""

    number: int
    socket: web.WebSocketResponse
    transport: asyncio.Transport
    leaving: bool = False


class Sockets(State):
    """The side of Slack that a Socket Mode client sees."""

    def __init__(self) -> None:
        super().__init__()
        self.acks: list[Ack] = []
        self._open: list[Connection] = []
        self._turn = 0
        self._waiting: defaultdict[str, list[tuple[float, asyncio.Future[Ack]]]] = defaultdict(list)

    @property
    def connections(self) -> list[Connection]:
        """The live ones, oldest first; one that was told to leave is none."""
        return [one for one in self._open if not one.leaving]

    async def connected(self, count: int = 1, seconds: float = 10) -> None:
        """Wait until so many connections are live."""
        await self.until(lambda: len(self.connections) == count, seconds)

    async def send(
        self,
        envelope: Json,
        connection: Connection | None = None,
        *,
        lose_ack: bool = False,
        seconds: float = 5,
    ) -> Ack | None:
        """Deliver an envelope to one connection, each in turn; the acknowledgement, if one came."""
        self.give_out(envelope["payload"])
        chosen = connection or self._next()
        future: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[envelope["envelope_id"]]
        waiting.append((time.monotonic(), future))
        try:
            await chosen.socket.send_json(envelope)
            async with asyncio.timeout(seconds):
                ack = await future
        except (ConnectionError, TimeoutError):
            return None
        finally:
            waiting[:] = [entry for entry in waiting if entry[1] is not future]
        return None if lose_ack else ack

    async def redeliver(
        self, envelope: Json, retry: int = 1, connection: Connection | None = None
    ) -> Ack | None:
        """The same again: an event as Slack retries it, anything else unchanged."""
        again = copy.deepcopy(envelope)
        if retry and envelope["type"] == "events_api":
            again["envelope_id"] = secrets.token_hex(16)
            again |= {"retry_attempt": retry, "retry_reason": "timeout"}
        return await self.send(again, connection)

    async def disconnect(
        self, reason: str = "refresh_requested", connection: Connection | None = None
    ) -> None:
        """Tell a connection, or the oldest, to go; a "warning" comes some seconds before that."""
        chosen = connection or self._oldest()
        chosen.leaving = reason in LEAVES
        host = {"host": "applink-double"}
        await chosen.socket.send_json({"type": "disconnect", "reason": reason, "debug_info": host})
        await self.changed()

    async def drop(self, connection: Connection | None = None) -> None:
        """Cut a connection, or the oldest, without a word."""
        chosen = connection or self._oldest()
        chosen.leaving = True
        chosen.transport.abort()
        await self.changed()

    def _oldest(self) -> Connection:
        assert self.connections, "no live Socket Mode connection"
        return self.connections[0]

    def _next(self) -> Connection:
        assert self.connections, "no live Socket Mode connection"
        self._turn += 1
        return self.connections[self._turn % len(self.connections)]

    async def _serve_socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        connection = Connection(next(self.numbers), socket, request.transport)
        if len(self._open) >= MOST_CONNECTIONS:
            await self.disconnect("too_many_websockets", connection)
            return socket
        self._open.append(connection)
        try:
            await socket.send_json(self._hello())
            await self.changed()
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    await self._hear(connection, frame.data)
        finally:
            self._open.remove(connection)
            await self.changed()
        return socket

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self._open),
            "connection_info": {"app_id": APP},
            "debug_info": {
                "host": "applink-double",
                "build_number": 1,
                "approximate_connection_time": 18_060,
            },
        }

    async def _hear(self, connection: Connection, text: str) -> None:
        said = json.loads(text)
        if said.get("type") == "ping":
            await connection.socket.send_json({"type": "pong", "reply_to": said.get("id")})
            return
        waiting = self._waiting[said["envelope_id"]]
        sent_at, future = waiting.pop(0) if waiting else (time.monotonic(), None)
        ack = Ack(said["envelope_id"], said.get("payload"), time.monotonic() - sent_at)
        self.acks.append(ack)
        if future and not future.done():
            future.set_result(ack)
        await self.changed()
