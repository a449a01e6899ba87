"""Messages in channels, as REST makes, changes and tells of them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.discord.limits import wrong_with
from tests.discord.mentions import allowed_by, mentions
from tests.discord.records import (
    BOT,
    COMPONENTS_V2,
    LOADING,
    Channel,
    Edit,
    Json,
    SentMessage,
    snowflake,
)
from tests.discord.state import DiscordError, State, refuse

KEPT_FLAGS = 1 << 2 | 1 << 12 | COMPONENTS_V2  # no embeds, no sound, components v2
CONTENTS = ("embeds", "components", "sticker_ids", "poll")


class Upload(NamedTuple):
    """A file that came with a call."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Asked:
    """A call: the changing parts of its path (a guild apart), what it says and brings."""

    parts: list[str]
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    guild: str = ""


class Answer(NamedTuple):
    """What a call is answered with."""

    status: int
    body: Any = None


def create(state: State, asked: Asked) -> Answer:
    channel = state.channel(asked.parts[0])
    _writable(state, channel, asked)
    body = asked.body
    flags = (body.get("flags") or 0) & KEPT_FLAGS
    reference = _reference(state, channel, body)
    check(body, flags, files=bool(asked.uploads))
    known = _known(state, body)
    if known:
        return Answer(200, state.show(known))
    message = SentMessage(channel.id, snowflake(), guild=channel.guild, reference=reference)
    message.flags, message.nonce = flags, body.get("nonce")
    fill(state, message, asked, channel, regular=True)
    _ping_author(state, message, body)
    if body.get("enforce_nonce") and message.nonce is not None:
        state.nonces[str(message.nonce)] = (time.monotonic(), message)
    state.keep(message)
    if channel.archived:
        state.set_thread(channel.id)
    state.tell_of_message("MESSAGE_CREATE", message)
    return Answer(200, state.show(message))


def change(state: State, asked: Asked) -> Answer:
    channel = _visible(state, asked)
    message = _own(state, channel, asked.parts[1], 50005)
    if channel.archived:
        raise DiscordError(400, 50083, "Thread is archived")
    _unlocked(state, channel)
    edit(state, message, asked, channel, regular=True)
    return Answer(200, state.show(message))


def delete(state: State, asked: Asked) -> Answer:
    channel = _visible(state, asked)
    message_id = asked.parts[1]
    author = _there(state, channel, message_id)
    if author != BOT and not state.may(channel, "MANAGE_MESSAGES"):
        raise DiscordError(403, 50013, "Missing Permissions")
    state.delete_message(message_id)
    return Answer(204)


def read(state: State, asked: Asked) -> Answer:
    channel = _visible(state, asked)
    if not state.may(channel, "READ_MESSAGE_HISTORY"):
        raise DiscordError(403, 50013, "Missing Permissions")
    _there(state, channel, asked.parts[1])
    return Answer(200, _found(state, asked.parts[1]))


def history(state: State, asked: Asked) -> Answer:
    channel, query = _visible(state, asked), asked.query
    limit = int(query.get("limit", 50))
    if not 1 <= limit <= 100:
        code = "NUMBER_TYPE_MAX" if limit > 100 else "NUMBER_TYPE_MIN"
        refuse([("limit", code, "int value should be between 1 and 100.")])
    if not state.may(channel, "READ_MESSAGE_HISTORY"):
        return Answer(200, [])
    ids = _window(sorted(map(int, state.in_channel[channel.id])), query, limit)
    return Answer(200, [_found(state, str(one)) for one in reversed(ids)])


def check(body: Json, flags: int, *, files: bool) -> None:
    """Whether Discord would take such a message."""
    refuse(wrong_with(body, flags))
    text = (body.get("content") or "").strip()
    if not text and not files and not any(body.get(name) for name in CONTENTS):
        raise DiscordError(400, 50006, "Cannot send an empty message")


def fill(
    state: State, message: SentMessage, asked: Asked, channel: Channel, *, regular: bool
) -> None:
    """What a new message holds, and whom it makes a sound for."""
    body = asked.body
    message.content = (body.get("content") or "").strip()
    message.components = body.get("components") or []
    message.embeds = _embeds(body)
    message.allowed_mentions = body.get("allowed_mentions")
    message.mentions = mentions(state, channel, body, regular=regular)
    _attach(state, message, asked)
    if not message.ephemeral:
        message.pinged = set(message.mentions)


def edit(
    state: State, message: SentMessage, asked: Asked, channel: Channel, *, regular: bool
) -> None:
    """What a message becomes; nobody is pinged by that."""
    body = asked.body
    flags = message.flags & ~LOADING | (body.get("flags") or 0) & COMPONENTS_V2
    after = {
        "content": body.get("content", message.content),
        "components": body.get("components", message.components),
        "embeds": body.get("embeds", message.embeds),
        "allowed_mentions": body.get("allowed_mentions"),
    }
    kept = body["attachments"] if body.get("attachments") is not None else message.attachments
    check(after, flags, files=bool(kept or asked.uploads))
    message.flags = flags
    message.content = (after["content"] or "").strip()
    message.components = after["components"] or []
    message.embeds = _embeds(after)
    message.allowed_mentions = after["allowed_mentions"] or message.allowed_mentions
    message.mentions = mentions(state, channel, after, regular=regular)
    _attach(state, message, asked)
    message.edits.append(
        Edit(time.monotonic(), message.content, message.components, message.embeds)
    )
    state.tell_of_message("MESSAGE_UPDATE", message)


def _embeds(body: Json) -> list[Json]:
    return [{"type": "rich", **embed} for embed in body.get("embeds") or ()]


def _attach(state: State, message: SentMessage, asked: Asked) -> None:
    """Keep the attachments that are named (all, if none are), and add those that came."""
    named = asked.body.get("attachments")
    if named is not None:
        ids = {str(one.get("id")) for one in named}
        message.attachments = [one for one in message.attachments if one["id"] in ids]
        left = {one["filename"] for one in message.attachments}
        message.files = {name: file for name, file in message.files.items() if name in left}
    for upload in asked.uploads.values():
        attachment_id = snowflake()
        address = f"{state.base}/attachments/{attachment_id}/{upload.name}"
        state.uploads[attachment_id] = upload.content
        message.files = {**message.files, upload.name: upload.content}
        one = {
            "id": attachment_id,
            "filename": upload.name,
            "size": len(upload.content),
            "url": address,
            "proxy_url": address,
            "content_type": "application/octet-stream",
        }
        message.attachments = [*message.attachments, one]


def _writable(state: State, channel: Channel, asked: Asked) -> None:
    if channel.guild is None:
        if channel.user in state.no_dms:
            raise DiscordError(403, 50007, "Cannot send messages to this user")
        return
    if not state.may(channel, "VIEW_CHANNEL"):
        raise DiscordError(403, 50001, "Missing Access")
    speaking = "SEND_MESSAGES_IN_THREADS" if channel.is_thread else "SEND_MESSAGES"
    if not state.may(channel, speaking):
        raise DiscordError(403, 50013, "Missing Permissions")
    if asked.uploads and not state.may(channel, "ATTACH_FILES"):
        raise DiscordError(403, 50013, "Missing Permissions")
    _unlocked(state, channel)


def _unlocked(state: State, channel: Channel) -> None:
    if channel.locked and not state.may(channel, "MANAGE_THREADS"):
        raise DiscordError(403, 50083, "Thread is archived")  # so Discord says of a locked one too


def _visible(state: State, asked: Asked) -> Channel:
    channel = state.channel(asked.parts[0])
    if not state.may(channel, "VIEW_CHANNEL"):
        raise DiscordError(403, 50001, "Missing Access")
    return channel


def _reference(state: State, channel: Channel, body: Json) -> str | None:
    reference = body.get("message_reference")
    if not reference:
        return None
    message_id = str(reference.get("message_id"))
    if message_id not in state.in_channel[channel.id]:
        if reference.get("fail_if_not_exists", True):
            refuse([("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")])
        return None
    if not state.may(channel, "READ_MESSAGE_HISTORY"):
        raise DiscordError(403, 160002, "Cannot reply without permission to read message history")
    return message_id


def _known(state: State, body: Json) -> SentMessage | None:
    """The message that already has this nonce."""
    if not body.get("enforce_nonce") or body.get("nonce") is None:
        return None
    at, message = state.nonces.get(str(body["nonce"]), (0.0, None))
    if message is None or message.deleted or time.monotonic() - at > state.nonce_seconds:
        return None
    return message


def _ping_author(state: State, message: SentMessage, body: Json) -> None:
    if message.reference and allowed_by(body, regular=True).get("replied_user"):
        author = state.author_of(message.reference)
        if author not in {None, BOT}:
            message.pinged.add(f"user:{author}")
            message.mentions.add(f"user:{author}")


def _there(state: State, channel: Channel, message_id: str) -> str | None:
    """The author of a message that is in the channel."""
    if message_id not in state.in_channel[channel.id]:
        raise DiscordError(404, 10008, "Unknown Message")
    return state.author_of(message_id)


def _own(state: State, channel: Channel, message_id: str, code: int) -> SentMessage:
    if _there(state, channel, message_id) != BOT or message_id not in state.messages:
        raise DiscordError(403, code, "Cannot edit a message authored by another user")
    return state.messages[message_id]


def _found(state: State, message_id: str) -> Json:
    if message_id in state.messages:
        return state.show(state.messages[message_id])
    return state.said[message_id]


def _window(ids: list[int], query: Mapping[str, str], limit: int) -> list[int]:
    """The wanted ones, oldest first."""
    if "after" in query:
        return [one for one in ids if one > int(query["after"])][:limit]
    if "around" in query:
        middle, half = int(query["around"]), limit // 2
        before = [one for one in ids if one < middle][-half:] if half else []
        return before + [one for one in ids if one >= middle][: limit - len(before)]
    if "before" in query:
        ids = [one for one in ids if one < int(query["before"])]
    return ids[-limit:]
