"""What Slack sends to a bot, as full envelopes.

Over HTTP the `payload` of one is what arrives. A response_url of "" is filled in by the double
when it sends the envelope.
"""

import itertools
import secrets
from collections.abc import Iterator
from typing import Any

from tests.slack.records import (
    APP,
    BOT,
    NAMES,
    TEAM,
    Json,
    Shown,
    as_slack_shows,
    elements_of,
    next_ts,
    with_ids,
)

_numbers = itertools.count(1)


def slash(
    command: str,
    text: str = "",
    *,
    user: str = "U1",
    channel: str = "C1",
    team: str = TEAM,
    user_name: str | None = None,
    response_url: str = "",
) -> Json:
    """Somebody typed a slash command."""
    payload = {
        "token": "verification-token",
        "team_id": team,
        "team_domain": team.lower(),
        "channel_id": channel,
        "channel_name": _channel_name(channel),
        "user_id": user,
        "user_name": user_name or _name(user),
        "command": command,
        "text": text,
        "api_app_id": APP,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": _trigger(),
    }
    return _envelope("slash_commands", payload, answers=True)


def mention(
    text: str,
    *,
    user: str = "U1",
    channel: str = "C1",
    team: str = TEAM,
    ts: str | None = None,
    thread_ts: str | None = None,
    event_id: str | None = None,
) -> Json:
    """Somebody spoke to the bot in a channel; its name is put in front unless it is there."""
    spoken = text if "<@" in text else f"<@{BOT}> {text}"
    event = _said(spoken, user, (channel, team), (ts, thread_ts))
    return event_envelope(event | {"type": "app_mention"}, team, event_id)


def direct_message(
    text: str,
    *,
    user: str = "U1",
    channel: str = "D1",
    team: str = TEAM,
    ts: str | None = None,
    thread_ts: str | None = None,
    event_id: str | None = None,
) -> Json:
    """Somebody wrote to the bot alone."""
    event = _said(text, user, (channel, team), (ts, thread_ts))
    return event_envelope(event | {"channel_type": "im"}, team, event_id)


def channel_message(
    text: str,
    *,
    user: str = "U1",
    channel: str = "C1",
    team: str = TEAM,
    ts: str | None = None,
    thread_ts: str | None = None,
    event_id: str | None = None,
) -> Json:
    """Somebody wrote in a channel, to nobody in particular."""
    event = _said(text, user, (channel, team), (ts, thread_ts))
    return event_envelope(event | {"channel_type": "channel"}, team, event_id)


def bot_message(
    text: str,
    *,
    channel: str = "C1",
    team: str = TEAM,
    bot_id: str = "BOTHER",
    user: str = "UOTHER",
    kind: str = "message",
) -> Json:
    """Another bot wrote; with kind "app_mention" it named ours."""
    event = _said(text, user, (channel, team), (None, None))
    del event["client_msg_id"]
    event |= {"type": kind, "bot_id": bot_id, "app_id": f"A{bot_id[1:]}"}
    direct = "im" if channel.startswith("D") else "channel"
    return event_envelope(event | {"channel_type": direct}, team)


def uninstalled(team: str = TEAM) -> Json:
    """A workspace threw the bot out."""
    return event_envelope({"type": "app_uninstalled"}, team)


def tokens_revoked(team: str = TEAM) -> Json:
    """The bot's token in a workspace is worth nothing any more."""
    return event_envelope({"type": "tokens_revoked", "tokens": {"bot": [BOT]}}, team)


def click(
    message: Shown,
    action: Json,
    *,
    user: str = "U1",
    channel: str | None = None,
    team: str = TEAM,
    response_url: str = "",
) -> Json:
    """Somebody used a button or select of a message: one that `buttons_of` or `options_of` gave."""
    where = channel or message.channel
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": where,
        "is_ephemeral": message.ephemeral,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    payload = {
        "type": "block_actions",
        **_interaction(user, where, team, response_url),
        "container": container,
        "state": {"values": {}},
        "actions": [_taken(message, action)],
    }
    if not message.ephemeral:
        payload["message"] = as_slack_shows(message, team)
    return _envelope("interactive", payload, answers=False)


def shortcut(
    message: Shown,
    *,
    user: str = "U1",
    callback_id: str = "resume",
    team: str = TEAM,
    response_url: str = "",
) -> Json:
    """Somebody used a shortcut from a message's menu."""
    payload = {
        "type": "message_action",
        **_interaction(user, message.channel, team, response_url),
        "action_ts": next_ts(),
        "callback_id": callback_id,
        "message_ts": message.ts,
        "message": as_slack_shows(message, team),
    }
    return _envelope("interactive", payload, answers=False)


def url_verification() -> Json:
    """Slack asks whether an HTTP endpoint is the bot's."""
    payload = {"type": "url_verification", "token": "verification-token", "challenge": "prove it"}
    return _envelope("events_api", payload, answers=False)


def event_envelope(event: Json, team: str = TEAM, event_id: str | None = None) -> Json:
    """Any event."""
    ts = event.get("event_ts") or next_ts()
    authorization = {
        "enterprise_id": None,
        "team_id": team,
        "user_id": BOT,
        "is_bot": True,
        "is_enterprise_install": False,
    }
    payload = {
        "token": "verification-token",
        "team_id": team,
        "context_team_id": team,
        "context_enterprise_id": None,
        "api_app_id": APP,
        "event": event | {"event_ts": ts},
        "type": "event_callback",
        "event_id": event_id or f"Ev{next(_numbers):010}",
        "event_time": int(float(ts)),
        "authorizations": [authorization],
        "is_ext_shared_channel": False,
        "event_context": f"4-{secrets.token_hex(8)}",
    }
    envelope = _envelope("events_api", payload, answers=False)
    return envelope | {"retry_attempt": 0, "retry_reason": ""}


def buttons_of(blocks: list[Json]) -> dict[str, Json]:
    """Each button by its label; further ones of one label are "LABEL #2" and so on."""
    found: dict[str, Json] = {}
    for element in _elements(blocks):
        if element["type"] == "button":
            _put(found, element["text"]["text"], element)
    return found


def options_of(blocks: list[Json]) -> dict[str, Json]:
    """Each option of a menu by its label: the menu with that option chosen, ready for `click`."""
    found: dict[str, Json] = {}
    for element in _elements(blocks):
        groups = element.get("option_groups") or [element]
        for option in (option for group in groups for option in group.get("options", [])):
            _put(found, option["text"]["text"], element | {"selected_option": option})
    return found


def texts_of(blocks: list[Json]) -> list[str]:
    """Every text that a person can read, from top to bottom."""
    return list(_texts(blocks))


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _texts(one)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in {"text", "alt_text"} and isinstance(value, str):
                yield value
            else:
                yield from _texts(value)


def _elements(blocks: list[Json]) -> Iterator[Json]:
    for block in blocks:
        yield from elements_of(block)


def _put(found: dict[str, Json], label: str, element: Json) -> None:
    names = itertools.chain([label], (f"{label} #{n}" for n in itertools.count(2)))
    found[next(name for name in names if name not in found)] = element


def _taken(message: Shown, action: Json) -> Json:
    """The used element as Slack reports it; it must be in the message."""
    wanted = {key: value for key, value in action.items() if key != "selected_option"}
    for block in with_ids(message.blocks):
        for element in elements_of(block):
            if wanted.items() <= element.items():
                kept = {k: v for k, v in element.items() if k not in {"options", "option_groups"}}
                chosen = {k: action[k] for k in ("selected_option",) if k in action}
                used = {"block_id": block["block_id"], "action_ts": next_ts()}
                return kept | chosen | used
    raise AssertionError(f"nobody can use what is not there: {action}")


def _said(text: str, user: str, where: tuple[str, str], at: tuple[str | None, str | None]) -> Json:
    channel, team = where
    ts, thread_ts = at
    words = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
    moment = ts or next_ts()
    said: Json = {
        "type": "message",
        "user": user,
        "ts": moment,
        "client_msg_id": secrets.token_hex(16),
        "text": text,
        "team": team,
        "blocks": [{"type": "rich_text", "block_id": "said", "elements": [words]}],
        "channel": channel,
        "event_ts": moment,
    }
    return said | {"thread_ts": thread_ts} if thread_ts else said


def _interaction(user: str, channel: str, team: str, response_url: str) -> Json:
    name = _name(user)
    return {
        "user": {"id": user, "username": name, "name": name, "team_id": team},
        "api_app_id": APP,
        "token": "verification-token",
        "trigger_id": _trigger(),
        "team": {"id": team, "domain": team.lower()},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": channel, "name": _channel_name(channel)},
        "response_url": response_url,
    }


def _envelope(kind: str, payload: Json, *, answers: bool) -> Json:
    return {
        "envelope_id": secrets.token_hex(16),
        "type": kind,
        "payload": payload,
        "accepts_response_payload": answers,
    }


def _trigger() -> str:
    return f"{next(_numbers)}.{secrets.token_hex(8)}"


def _name(user: str) -> str:
    return NAMES.get(user, user.lower())


def _channel_name(channel: str) -> str:
    return "directmessage" if channel.startswith("D") else channel.lower()
