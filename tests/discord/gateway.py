"""The gateway: sessions of a bot, events to them, and what they missed."""

import asyncio
import contextlib
import json
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.discord import shapes
from tests.discord.commands import find
from tests.discord.records import (
    APP,
    AUTOCOMPLETE,
    BOT,
    COMMAND,
    Interaction,
    Json,
    Response,
)
from tests.discord.state import State

HEARTBEAT_MS = 41_250
GUILDS, MEMBERS, PRESENCES = 1 << 0, 1 << 1, 1 << 8
GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1 << 9, 1 << 12, 1 << 15
ALWAYS = {"INTERACTION_CREATE", "READY", "USER_UPDATE"}
OF_GUILDS = {"GUILD_CREATE", "GUILD_UPDATE", "GUILD_DELETE"}
FINAL = {1000, 1001, 4004, 4007, 4009, 4010, 4011, 4012, 4013, 4014}  # no session survives these


@dataclass(eq=False)
class Session:
    """A bot's session; its connection may come and go, events are kept meanwhile."""

    id: str
    intents: int
    shard: tuple[int, int]
    socket: web.WebSocketResponse | None = None
    transport: asyncio.Transport | None = None
    sequence: int = 0
    kept: deque[tuple[int, str]] = field(default_factory=deque)  # what may be asked for again
    ready: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    written: int = 0

    @property
    def live(self) -> bool:
        return self.ready and self.socket is not None

    def wants(self, kind: str, data: Json) -> bool:
        """Whether an event is for this shard, with these intents."""
        guild = data["id"] if kind in OF_GUILDS else data.get("guild_id")
        number, count = self.shard
        if (int(guild) >> 22) % count != number if guild else number:
            return False
        if kind in ALWAYS:
            return True
        if kind.startswith("MESSAGE_"):
            return bool(self.intents & (GUILD_MESSAGES if guild else DIRECT_MESSAGES))
        return bool(self.intents & GUILDS)

    def put(self, kind: str, text: str) -> None:
        """Give an event its place in the session."""
        self.sequence += 1
        frame = f'{{"op":0,"t":"{kind}","s":{self.sequence},"d":{text}}}'
        self.kept.append((self.sequence, frame))

    def heard(self, sequence: int) -> None:
        """A client that has got so far never asks for anything before."""
        while self.kept and self.kept[0][0] < sequence:
            self.kept.popleft()

    async def flush(self) -> None:
        """Write what is not written yet, in order."""
        async with self.lock:
            for number, frame in list(self.kept):
                if number > self.written and self.socket is not None:
                    self.written = number
                    await _write(self.socket, frame)


async def _write(socket: web.WebSocketResponse, text: str) -> None:
    with contextlib.suppress(ConnectionError):
        await socket.send_str(text)


class Gateway(State):
    """The side of Discord that a bot's websocket sees."""

    def __init__(self) -> None:
        super().__init__()
        self.heartbeat_ms = HEARTBEAT_MS
        self.acks_heartbeats = True
        self.refusing = False
        self.denied_intents = MEMBERS | PRESENCES | MESSAGE_CONTENT
        self.identifies: list[Json] = []
        self.resumes: list[Json] = []
        self.heartbeats = 0
        self.sessions: dict[str, Session] = {}
        self._sockets: dict[web.WebSocketResponse, asyncio.Transport] = {}
        self._flushing: set[asyncio.Task[None]] = set()

    @property
    def live(self) -> list[Session]:
        """The sessions with a connection, oldest first."""
        return [one for one in self.sessions.values() if one.live]

    async def connected(self, n: int = 1, timeout: float = 10) -> None:
        """Wait until so many sessions are live."""
        await self.until(lambda: len(self.live) == n, timeout)

    def emit(self, kind: str, data: Json) -> None:
        """An event for every session that wants it; one that is away gets it when it resumes."""
        if self._put(kind, data):
            task = asyncio.get_running_loop().create_task(self._flush())
            self._flushing.add(task)
            task.add_done_callback(self._flushing.discard)

    async def send(self, kind: str, data: Json) -> None:
        """Dispatch an event; a message of somebody's is from then on there."""
        if kind in {"MESSAGE_CREATE", "MESSAGE_UPDATE"} and data["author"]["id"] != BOT:
            self.said[data["id"]] = data
            self.in_channel[data["channel_id"]].add(data["id"])
        if kind.startswith("MESSAGE_") and "member" in data:
            roles = self.roles_of(data["author"]["id"], data["guild_id"])
            data = {**data, "member": {**data["member"], "roles": roles}}
        self._put(kind, data)
        await self._flush()

    async def say(self, message: Json) -> str:
        """Somebody's message reaches the bot; its id."""
        await self.send("MESSAGE_CREATE", message)
        return str(message["id"])

    async def interact(
        self, payload: Json, *, as_is: bool = False, seconds_ago: float = 0
    ) -> Interaction:
        """Somebody does something, or did some seconds ago; what came of it can be read later."""
        whole = payload if as_is else self._complete(payload)
        interaction = Interaction(whole["id"], whole["token"], whole)
        self.interactions[interaction.token] = interaction
        interaction.sent_at.append(time.monotonic() - seconds_ago)
        await self.send("INTERACTION_CREATE", whole)
        return interaction

    async def redeliver(self, interaction: Interaction) -> None:
        """The same event, once more: its 3 seconds run since the first time."""
        interaction.sent_at.append(time.monotonic())
        await self.send("INTERACTION_CREATE", interaction.payload)

    async def first_response(self, interaction: Interaction, timeout: float = 10) -> Response:
        """Wait for the first response."""
        await self.until(lambda: interaction.responses, timeout)
        return interaction.responses[0]

    async def join(self, guild: str) -> None:
        """The bot is added to a guild; `add_guild` and `add_channel` said what is there."""
        await self.send("GUILD_CREATE", self._guild(guild))

    async def leave(self, guild: str) -> None:
        """The bot is thrown out of a guild."""
        del self.guilds[guild]
        await self.send("GUILD_DELETE", {"id": guild})

    def drop(self, session: Session | None = None) -> None:
        """Cut the connections without a word; the sessions can be resumed."""
        for one in [session] if session else self.live:
            if one.transport:
                one.transport.abort()
            one.socket = one.transport = None
        self.changed()

    async def close(self, code: int, session: Session | None = None) -> None:
        """Close the connections with a code; some codes end the session."""
        for one in [session] if session else self.live:
            socket, one.socket, one.transport = one.socket, None, None
            if code in FINAL:
                self.sessions.pop(one.id, None)
            if socket:
                await socket.close(code=code)
        self.changed()

    async def invalidate(self, *, resumable: bool = False) -> None:
        """Tell the clients that their sessions are no good."""
        for one in self.live:
            socket, one.ready = one.socket, one.ready and resumable
            if not resumable:
                self.sessions.pop(one.id, None)
            if socket:
                await _write(socket, json.dumps({"op": 9, "d": resumable}))
        self.changed()

    async def ask_reconnect(self) -> None:
        """Tell the clients to come back."""
        for one in self.live:
            if one.socket:
                await _write(one.socket, '{"op":7,"d":null}')

    def forget_sessions(self) -> None:
        """Whoever wants to resume has to begin anew."""
        self.sessions.clear()

    def _put(self, kind: str, data: Json) -> bool:
        wanting = [one for one in self.sessions.values() if one.wants(kind, data)]
        text = json.dumps(data) if wanting else ""
        for one in wanting:
            one.put(kind, text)
        return bool(wanting)

    async def _flush(self) -> None:
        for one in list(self.sessions.values()):
            if one.socket is not None and one.written < one.sequence:
                await one.flush()

    def _complete(self, payload: Json) -> Json:
        """An interaction with the roles, permissions, commands and channels of the moment."""
        whole, guild = dict(payload), payload.get("guild_id")
        if payload["type"] in {COMMAND, AUTOCOMPLETE}:
            known = find(self, payload["data"]["name"], guild)
            more = {key: known[key] for key in ("id", "guild_id") if key in known} if known else {}
            whole["data"] = payload["data"] | more
        channel = self.channels.get(payload["channel_id"])
        if channel is None or guild is None or guild not in self.guilds:
            return whole
        user = payload["member"]["user"]["id"]
        may = str(self.permissions(channel, user))
        roles = self.roles_of(user, guild)
        whole["member"] = payload["member"] | {"roles": roles, "permissions": may}
        whole["channel"] = shapes.channel(channel) | {"permissions": may}
        whole["app_permissions"] = str(self.permissions(channel))
        return whole

    async def serve_gateway(self, request: web.BaseRequest) -> web.StreamResponse:
        """One connection of a client, from its first word to its last."""
        assert isinstance(request.transport, asyncio.Transport)
        transport = request.transport
        if self.refusing:
            transport.abort()
            return web.Response(status=503)
        socket = web.WebSocketResponse(max_msg_size=0, compress=False)
        await socket.prepare(request)
        self._sockets[socket] = transport
        try:
            hello = {"op": 10, "d": {"heartbeat_interval": self.heartbeat_ms}}
            await _write(socket, json.dumps(hello))
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    await self._hear(socket, json.loads(frame.data))
        finally:
            self._sockets.pop(socket, None)
            self._leave(socket)
        return socket

    def _leave(self, socket: web.WebSocketResponse) -> None:
        for one in list(self.sessions.values()):
            if one.socket is socket:
                one.socket = one.transport = None
                if socket.close_code in {1000, 1001}:
                    del self.sessions[one.id]
        self.changed()

    async def _hear(self, socket: web.WebSocketResponse, said: Json) -> None:
        data: Any = said.get("d")
        match said.get("op"):
            case 1:
                await self._beat(socket, data)
            case 2:
                await self._identify(socket, data)
            case 6:
                await self._resume(socket, data)
            case _:
                pass  # presences, voice, requests for members: nothing a test asks for

    async def _beat(self, socket: web.WebSocketResponse, sequence: int | None) -> None:
        self.heartbeats += 1
        for one in self.sessions.values():
            if one.socket is socket:
                one.heard(sequence or 0)
        if self.acks_heartbeats:
            await _write(socket, '{"op":11}')
        self.changed()

    async def _identify(self, socket: web.WebSocketResponse, data: Json) -> None:
        self.identifies.append(data)
        code = 4004 if data["token"] != self.token else 4014
        if code == 4004 or data["intents"] & self.denied_intents:
            self.changed()
            await socket.close(code=code)
            return
        number, count = data.get("shard") or (0, 1)
        session = Session(secrets.token_hex(16), data["intents"], (number, count))
        session.socket, session.transport = socket, self._sockets[socket]
        self.sessions[session.id] = session
        guilds = [one for one in self.guilds if (int(one) >> 22) % count == number]
        session.put("READY", json.dumps(self._ready(session, data.get("shard"), guilds)))
        for guild in guilds:
            session.put("GUILD_CREATE", json.dumps(self._guild(guild)))
        await session.flush()
        session.ready = True
        self.changed()

    async def _resume(self, socket: web.WebSocketResponse, data: Json) -> None:
        self.resumes.append(data)
        session = self.sessions.get(data["session_id"])
        if session is None or data["token"] != self.token or data["seq"] > session.sequence:
            await _write(socket, '{"op":9,"d":false}')
            self.changed()
            return
        session.socket, session.transport = socket, self._sockets[socket]
        session.written = data["seq"]
        await session.flush()
        await _write(socket, f'{{"op":0,"t":"RESUMED","s":{session.sequence},"d":{{}}}}')
        session.ready = True
        self.changed()

    def _ready(self, session: Session, shard: list[int] | None, guilds: list[str]) -> Json:
        told: Json = {
            "v": 10,
            "user": shapes.user(BOT) | {"mfa_enabled": False, "verified": True, "flags": 0},
            "guilds": [{"id": one, "unavailable": True} for one in guilds],
            "session_id": session.id,
            "resume_gateway_url": self.gateway_url,
            "application": {"id": APP, "flags": self.application_flags},
        }
        return told | {"shard": shard} if shard else told

    def _guild(self, guild_id: str) -> Json:
        threads = self.channels_of(guild_id, threads=True)
        return shapes.guild(self.guilds[guild_id]) | {
            "joined_at": shapes.JOINED,
            "large": False,
            "unavailable": False,
            "member_count": 4,
            "voice_states": [],
            "members": [shapes.member(BOT, self.roles_of(BOT, guild_id))],
            "channels": [shapes.channel(one) for one in self.channels_of(guild_id)],
            "threads": [shapes.channel(one) for one in threads if not one.archived],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }
