"""The Web API methods about messages, and response_urls."""

import math
import time
from dataclasses import dataclass

from tests.slack.limits import MOST_TEXT, MOST_TEXT_OF_UPDATE, wrong_with
from tests.slack.records import (
    Channel,
    Ephemeral,
    Json,
    Response,
    SentMessage,
    as_slack_shows,
    next_ts,
)
from tests.slack.state import SlackError, State, Window


@dataclass(frozen=True)
class Asked:
    """A call whose token was found good."""

    method: str
    values: Json
    token: str
    team: str


def post_message(state: State, asked: Asked) -> Json:
    channel = _writable(state, asked)
    if state.enforce_rates:
        _within(state.posts[channel.id])
    text, blocks = _content(asked.values)
    message = SentMessage(
        channel.id,
        next_ts(),
        text,
        blocks,
        thread_ts=_root(state, channel, asked.values.get("thread_ts")),
        metadata=_metadata(asked.values),
        token=asked.token,
    )
    shown = as_slack_shows(state.keep(message), asked.team)
    return {"ok": True, "channel": channel.id, "ts": message.ts, "message": shown}


def update(state: State, asked: Asked) -> Json:
    if state.enforce_rates:
        _within(state.updates[asked.team])
    values = asked.values
    message = _own(state, asked)
    if values.get("text") is None and values.get("blocks") is None:
        raise SlackError("no_text")
    text, blocks = _content(values, MOST_TEXT_OF_UPDATE)
    if values.get("metadata") is not None:
        message.metadata = _metadata(values)
    message.change(time.monotonic(), text, blocks)
    return {
        "ok": True,
        "channel": message.channel,
        "ts": message.ts,
        "text": text,
        "message": as_slack_shows(message, asked.team),
    }


def post_ephemeral(state: State, asked: Asked) -> Json:
    channel = _writable(state, asked)
    user = asked.values.get("user")
    if not isinstance(user, str):
        raise SlackError("invalid_arguments")
    text, blocks = _content(asked.values)
    thread = _root(state, channel, asked.values.get("thread_ts"))
    shown = Ephemeral(channel.id, user, text, blocks, thread, token=asked.token)
    state.ephemerals.append(shown)
    return {"ok": True, "message_ts": shown.ts}


def delete(state: State, asked: Asked) -> Json:
    message = _own(state, asked)
    state.remove(message)
    return {"ok": True, "channel": message.channel, "ts": message.ts}


def history(state: State, asked: Asked) -> Json:
    channel = _readable(state, asked)
    found = [
        message
        for message in state.messages.values()
        if message.channel == channel.id and message.thread_ts in {None, message.ts}
    ]
    found.sort(key=lambda message: message.ts, reverse=True)
    return _page(asked, [one for one in found if _in_window(one, asked.values)], 100)


def replies(state: State, asked: Asked) -> Json:
    channel = _readable(state, asked)
    ts = asked.values.get("ts")
    found = [
        message
        for message in state.messages.values()
        if message.channel == channel.id and ts in {message.ts, message.thread_ts}
    ]
    if not found:
        raise SlackError("thread_not_found")
    found.sort(key=lambda message: message.ts)
    inside = [one for one in found if one.ts == ts or _in_window(one, asked.values)]
    return _page(asked, inside, 1000)


def respond(state: State, url: str, body: Json) -> None:
    """What somebody posted to a response_url."""
    origin = state.origins.get(url)
    if origin is None:
        raise SlackError("invalid_url")
    if not origin.uses_left:
        raise SlackError("used_url")
    if not body.get("delete_original"):
        _content(body)
    origin.uses_left -= 1
    response = Response(url, body, origin.channel, origin.user)
    state.responses.append(response)
    original = state.messages.get((origin.channel, origin.ts or ""))
    if body.get("delete_original") or body.get("replace_original"):
        if original and body.get("delete_original"):
            state.remove(original)
        elif original:
            original.change(time.monotonic(), response.text, response.blocks)
    elif not response.ephemeral:
        thread = body.get("thread_ts")
        sent = SentMessage(origin.channel, response.ts, response.text, response.blocks, thread)
        state.keep(sent)


def _content(values: Json, most_text: int = MOST_TEXT) -> tuple[str, list[Json]]:
    """Text and blocks of a message that Slack would take."""
    text, blocks = values.get("text") or "", values.get("blocks") or []
    if values.get("markdown_text"):
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        text = values["markdown_text"]
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise SlackError("invalid_blocks_format")
    if not text and not blocks and not values.get("attachments"):
        raise SlackError("no_text")
    wrong = wrong_with(text, blocks, most_text)
    if wrong:
        error, details = wrong
        messages = [f"[ERROR] {detail}" for detail in details]
        raise SlackError(error, errors=details, response_metadata={"messages": messages})
    return text, blocks


def _metadata(values: Json) -> Json | None:
    metadata = values.get("metadata")
    if not metadata:
        return None
    if not isinstance(metadata, dict) or not metadata.keys() >= {"event_type", "event_payload"}:
        raise SlackError("invalid_metadata_format")
    return metadata


def _channel(state: State, asked: Asked) -> Channel:
    channel = state.channels.get(str(asked.values.get("channel")))
    if channel is None or not channel.exists or channel.team != asked.team:
        raise SlackError("channel_not_found")
    return channel


def _writable(state: State, asked: Asked) -> Channel:
    wanted = str(asked.values.get("channel"))
    if wanted.startswith(("U", "W")):
        return state.direct(asked.team, wanted)
    channel = _channel(state, asked)
    if channel.archived:
        raise SlackError("is_archived")
    if not channel.member and "chat:write.public" not in state.scopes:
        raise SlackError("not_in_channel")
    return channel


def _readable(state: State, asked: Asked) -> Channel:
    channel = _channel(state, asked)
    if not channel.member:
        raise SlackError("not_in_channel")
    return channel


def _own(state: State, asked: Asked) -> SentMessage:
    channel = _channel(state, asked)
    if channel.archived:
        raise SlackError("is_inactive")
    if not channel.member:
        raise SlackError("channel_not_found")
    message = state.messages.get((channel.id, str(asked.values.get("ts"))))
    if message is None:
        raise SlackError("message_not_found")
    return message


def _root(state: State, channel: Channel, ts: str | None) -> str | None:
    """The thread's first message; Slack finds it from a reply's ts as well."""
    message = state.messages.get((channel.id, str(ts)))
    return message.thread_ts or ts if message else ts


def _in_window(message: SentMessage, values: Json) -> bool:
    at = float(message.ts)
    oldest = float(values.get("oldest") or 0)
    latest = float(values.get("latest") or math.inf)
    if truthy(values.get("inclusive")):
        return oldest <= at <= latest
    return oldest < at < latest


def _page(asked: Asked, messages: list[SentMessage], most: int) -> Json:
    start = int(asked.values.get("cursor") or 0)
    end = start + int(asked.values.get("limit") or most)
    shown = []
    for message in messages[start:end]:
        one = as_slack_shows(message, asked.team)
        if message.metadata and truthy(asked.values.get("include_all_metadata")):
            one["metadata"] = message.metadata
        shown.append(one)
    more = end < len(messages)
    following = {"response_metadata": {"next_cursor": str(end)}} if more else {}
    return {"ok": True, "messages": shown, "has_more": more, **following}


def _within(window: Window) -> None:
    wait = window.wait(time.monotonic())
    if wait:
        raise SlackError("ratelimited", retry_after=math.ceil(wait))


def truthy(value: object) -> bool:
    """Whether an argument means yes, in a form or in JSON."""
    return value is True or str(value).lower() in {"1", "true"}
