"""The REST API: what each route answers."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aiohttp import web

from tests.discord import commands, interactions, messages, shapes
from tests.discord.messages import Answer, Asked, Upload
from tests.discord.permissions import USUAL
from tests.discord.records import APP, BOT, BOT_NAME, OWNER, Json
from tests.discord.state import DiscordError, State

Act = Callable[[State, Asked], Answer]


async def read(request: web.BaseRequest) -> tuple[Any, dict[str, Upload]]:
    """What a call says, and the files that came with it by their number."""
    if not request.can_read_body:
        return None, {}
    if request.content_type != "multipart/form-data":
        text = await request.read()
        return (json.loads(text) if text else None), {}
    body, uploads = None, {}
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            number = name.removeprefix("files[").removesuffix("]")
            uploads[number] = Upload(value.filename, value.file.read())
        elif name == "payload_json":
            body = json.loads(str(value))
    return body, uploads


def perform(state: State, method: str, path: str, asked: Asked, token: str | None) -> Answer:
    """What a call does and answers."""
    segments = path.strip("/").split("/")
    pattern, act = _route(method, segments)
    if pattern[0] not in {"interactions", "webhooks"} and token != f"Bot {state.token}":
        raise DiscordError(401, 0, "401: Unauthorized")
    guild = ""
    for one, known in zip(segments, pattern, strict=True):
        if known == "{}":
            asked.parts.append(one)
        elif known == "{guild}":
            guild = one
    return act(state, replace(asked, guild=guild) if guild else asked)


def _route(method: str, segments: list[str]) -> tuple[list[str], Act]:
    for pattern, act in ROUTES.get((method, len(segments)), ()):
        if all(
            known in {one, "{}", "{guild}"} for known, one in zip(pattern, segments, strict=True)
        ):
            return pattern, act
    raise DiscordError(404, 0, "404: Not Found")


def _me(state: State, _asked: Asked) -> Answer:
    return Answer(200, shapes.user(BOT) | {"mfa_enabled": False, "verified": True, "flags": 0})


def _application(state: State, _asked: Asked) -> Answer:
    told: Json = {
        "id": APP,
        "name": BOT_NAME,
        "icon": None,
        "summary": "",
        "description": "Runs workflows",
        "bot_public": False,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": state.application_flags,
        "owner": shapes.user(OWNER),
        "team": None,
        "tags": [],
        "install_params": None,
        "integration_types_config": {"0": {}},
        "interactions_endpoint_url": None,
        "redirect_uris": [],
        "approximate_guild_count": len(state.guilds),
    }
    return Answer(200, told)


def _gateway(state: State, asked: Asked) -> Answer:
    return Answer(200, {"url": state.gateway_url})


def _gateway_for_bots(state: State, asked: Asked) -> Answer:
    limit = {"total": 1000, "remaining": 999, "reset_after": 14_400_000, "max_concurrency": 1}
    told = {"url": state.gateway_url, "shards": state.shards, "session_start_limit": limit}
    return Answer(200, told)


def _guild(state: State, asked: Asked) -> Answer:
    if asked.guild not in state.guilds:
        raise DiscordError(404, 10004, "Unknown Guild")
    return Answer(200, shapes.guild(state.guilds[asked.guild]))


def _roles(state: State, asked: Asked) -> Answer:
    return Answer(200, _guild(state, asked).body["roles"])


def _member(state: State, asked: Asked) -> Answer:
    _guild(state, asked)
    user = asked.parts[0]
    if user in state.outsiders:
        raise DiscordError(404, 10007, "Unknown Member")
    return Answer(200, shapes.member(user, state.roles_of(user, asked.guild)))


def _channels(state: State, asked: Asked) -> Answer:
    _guild(state, asked)
    return Answer(200, [shapes.channel(one) for one in state.channels_of(asked.guild)])


def _own_guilds(state: State, _asked: Asked) -> Answer:
    return Answer(
        200,
        [
            {"id": one.id, "name": one.name, "icon": None, "owner": False, "features": []}
            | {"permissions": str(USUAL)}
            for one in state.guilds.values()
        ],
    )


def _user(state: State, asked: Asked) -> Answer:
    return Answer(200, shapes.user(asked.parts[0]))


def _channel(state: State, asked: Asked) -> Answer:
    channel = state.channel(asked.parts[0])
    if not state.may(channel, "VIEW_CHANNEL"):
        raise DiscordError(403, 50001, "Missing Access")
    return Answer(200, shapes.channel(channel))


def _change_channel(state: State, asked: Asked) -> Answer:
    channel = state.channel(asked.parts[0])
    _channel(state, asked)
    body = asked.body or {}
    managed = state.may(channel, "MANAGE_THREADS" if channel.is_thread else "MANAGE_CHANNELS")
    opening = body.keys() == {"archived"} and not body["archived"] and not channel.locked
    if not managed and channel.owner != BOT and not opening:
        raise DiscordError(403, 50013, "Missing Permissions")
    channel.name = body.get("name") or channel.name
    if channel.is_thread:
        archived, locked = (body.get(one, getattr(channel, one)) for one in ("archived", "locked"))
        state.set_thread(channel.id, archived=archived, locked=locked)
    return Answer(200, shapes.channel(channel))


def _open_direct(state: State, asked: Asked) -> Answer:
    return Answer(200, shapes.channel(state.direct(str(asked.body["recipient_id"]))))


def _type(state: State, asked: Asked) -> Answer:
    _channel(state, asked)
    return Answer(204)


_TABLE: list[tuple[str, str, Act]] = [
    ("GET", "users/@me", _me),
    ("GET", "users/@me/guilds", _own_guilds),
    ("POST", "users/@me/channels", _open_direct),
    ("GET", "users/{}", _user),
    ("GET", "oauth2/applications/@me", _application),
    ("GET", "applications/@me", _application),
    ("GET", "gateway", _gateway),
    ("GET", "gateway/bot", _gateway_for_bots),
    ("GET", "guilds/{guild}", _guild),
    ("GET", "guilds/{guild}/roles", _roles),
    ("GET", "guilds/{guild}/channels", _channels),
    ("GET", "guilds/{guild}/members/{}", _member),
    ("GET", "channels/{}", _channel),
    ("PATCH", "channels/{}", _change_channel),
    ("POST", "channels/{}/typing", _type),
    ("GET", "channels/{}/messages", messages.history),
    ("POST", "channels/{}/messages", messages.create),
    ("GET", "channels/{}/messages/{}", messages.read),
    ("PATCH", "channels/{}/messages/{}", messages.change),
    ("DELETE", "channels/{}/messages/{}", messages.delete),
    ("POST", "interactions/{}/{}/callback", interactions.respond),
    ("POST", "webhooks/{}/{}", interactions.follow),
    ("GET", "webhooks/{}/{}/messages/{}", interactions.read),
    ("PATCH", "webhooks/{}/{}/messages/{}", interactions.change),
    ("DELETE", "webhooks/{}/{}/messages/{}", interactions.delete),
]
for _root in ("applications/{}/commands", "applications/{}/guilds/{guild}/commands"):
    _TABLE += [
        ("GET", _root, commands.listed),
        ("PUT", _root, commands.replace),
        ("POST", _root, commands.create),
        ("GET", f"{_root}/{{}}", commands.read),
        ("PATCH", f"{_root}/{{}}", commands.change),
        ("DELETE", f"{_root}/{{}}", commands.delete),
    ]

ROUTES: dict[tuple[str, int], list[tuple[list[str], Act]]] = {}
for _method, _path, _act in _TABLE:
    _pattern = _path.split("/")
    ROUTES.setdefault((_method, len(_pattern)), []).append((_pattern, _act))
