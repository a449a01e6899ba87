"""From what Slack sends to a message: every way in ends in the same few words.

Payloads are those of docs.slack.dev: interactivity/implementing-slash-commands,
reference/interaction-payloads and reference/events.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

from adapters.slack.manifest import SHORTCUT
from bot.conversation import Author, Conversation, Door, Message

Body = Mapping[str, Any]

OWN_ACTION = re.compile(r"baton:(resume|cancel|logs)(:shortcut)?")
_RUN_ID = re.compile(r"[a-z0-9]{8}")
_STARTS = re.compile(r"\s*/?run\b", re.IGNORECASE)
_VALUE = re.compile(r"([a-z0-9]{1,8}):(\d{1,9})")
_CALLED = re.compile(r"\s*<@([A-Z0-9]+)(?:\|[^>]*)?>[\s,:]*(.*)", re.DOTALL)
_LONGEST_VALUE = 80


@dataclass(frozen=True, slots=True)
class CommandNames:
    """What the slash commands are called here; the rooted one takes every verb."""

    resume: str = "/resume"
    cancel: str = "/cancel"
    root: str = "/baton"

    def verb_of(self, command: str) -> str | None:
        """The verb that a command stands for; empty for the rooted one, None for others."""
        return {self.resume: "resume", self.cancel: "cancel", self.root: ""}.get(command)


def message_of(body: Body, names: CommandNames) -> Message | None:
    """What somebody says to Baton with this payload; None where nobody does."""
    if "command" in body:
        return _slash(body, names)
    kind = body.get("type")
    if kind == "block_actions":
        return _click(body)
    if kind == "message_action":
        return _shortcut(body)
    return _event(body, body["event"]) if kind == "event_callback" else None


def team_of(body: Body) -> str:
    """The workspace, or the organisation where Slack names no workspace."""
    team = body.get("team_id") or (body.get("team") or {}).get("id")
    enterprise = body.get("enterprise_id") or (body.get("enterprise") or {}).get("id")
    return str(team or enterprise or "")


def _place(team: str, channel: str, thread: str | None) -> Conversation:
    return Conversation(":".join(["slack", team, channel, *([thread] if thread else [])]))


def is_direct(channel: str) -> bool:
    """Whether this channel is a conversation with one person."""
    return channel.startswith("D")


# --- commands --------------------------------------------------------------------------------


def _slash(body: Body, names: CommandNames) -> Message | None:
    verb = names.verb_of(body["command"])
    if verb is None:
        return None
    team, user = team_of(body), body["user_id"]
    text = f"{verb} {unescape(body.get('text') or '')}".strip()
    return Message(
        text=text or "help",
        conversation=_place(team, body["channel_id"], None),
        author=Author(f"slack:{user}", name=body.get("user_name")),
        door=Door.SLACK_SLASH,
        delivery=f"slack:{team}:{body['trigger_id']}",
        reply_to={"url": body.get("response_url") or "", "user": user},
    )


# --- clicks ----------------------------------------------------------------------------------


def _click(body: Body) -> Message | None:
    action = body["actions"][0]
    ours = OWN_ACTION.fullmatch(action.get("action_id") or "")
    if ours is None:
        return None
    chosen = action.get("selected_option") or action
    value = str(chosen.get("value") or "")
    known = _VALUE.fullmatch(value)
    reference, epoch = (known[1], int(known[2])) if known else (value[:_LONGEST_VALUE] or "?", None)
    door = Door.SLACK_SHORTCUT if ours[2] else Door.SLACK_BUTTON
    return _interaction(body, f"{ours[1]} {reference}", door, epoch)


def _shortcut(body: Body) -> Message | None:
    if body.get("callback_id") != SHORTCUT:
        return None
    return _interaction(body, f"status {_run_on(body)}".strip(), Door.SLACK_SHORTCUT, None)


def _run_on(body: Body) -> str:
    """The run whose card was pointed at; empty for every other message."""
    message = body.get("message") or {}
    first: Body = next(iter(message.get("blocks") or ()), {})
    if not message.get("bot_id") or first.get("type") != "rich_text":
        return ""
    parts = [part for section in first["elements"] for part in section.get("elements") or ()]
    coded = (p.get("text") or "" for p in parts if (p.get("style") or {}).get("code"))
    return next((text for text in coded if _RUN_ID.fullmatch(text)), "")


def _interaction(body: Body, text: str, door: Door, epoch: int | None) -> Message:
    team, user = team_of(body), body["user"]
    channel, thread = _where(body, threaded=door is Door.SLACK_SHORTCUT)
    return Message(
        text=text,
        conversation=_place(team, channel, thread),
        author=Author(f"slack:{user['id']}", name=user.get("name") or user.get("username")),
        door=door,
        delivery=f"slack:{team}:{body['trigger_id']}",
        seen_epoch=epoch,
        reply_to={
            "url": body.get("response_url") or "",
            "user": user["id"],
            "private": "yes" if (body.get("container") or {}).get("is_ephemeral") else "",
            "thread": _thread_of(body) or "",
        },
    )


def _where(body: Body, *, threaded: bool) -> tuple[str, str | None]:
    """Channel and thread of the message that was clicked; a card itself begins its thread."""
    container, message = body.get("container") or {}, body.get("message") or {}
    channel = (body.get("channel") or {}).get("id") or container.get("channel_id") or ""
    thread = _thread_of(body)
    if thread is None and threaded and not is_direct(channel):
        thread = message.get("ts") or container.get("message_ts")
    return channel, thread


def _thread_of(body: Body) -> str | None:
    """The thread that somebody has begun already, if the message that was clicked is in one."""
    container, message = body.get("container") or {}, body.get("message") or {}
    return message.get("thread_ts") or container.get("thread_ts") or None


# --- talk ------------------------------------------------------------------------------------


def _event(body: Body, event: Body) -> Message | None:
    """A mention, or a word in a direct message. What bots say and what is edited is no command."""
    if event.get("bot_id") or event.get("subtype") or event.get("edited"):
        return None
    direct = event["type"] == "message" and event.get("channel_type") == "im"
    if not event.get("user") or not (direct or event["type"] == "app_mention"):
        return None
    called = _CALLED.fullmatch(event.get("text") or "")
    if called is not None and called[1] != _own_id(body, called[1]):
        called = None
    if called is None and not direct:
        return None
    text = unescape(called[2] if called else event.get("text") or "")
    return _talk(body, event, text, addressed=called is not None)


def _own_id(body: Body, other: str) -> str:
    """Baton's own user id as the event names it; where it does not, whoever was called."""
    authorizations = body.get("authorizations") or [{}]
    return str(authorizations[0].get("user_id") or other)


def _talk(body: Body, event: Body, text: str, *, addressed: bool) -> Message:
    team, channel = team_of(body), event["channel"]
    thread = event.get("thread_ts")
    if thread is None and _STARTS.match(text) and not is_direct(channel):
        # The card of a run goes below the words that asked for it.
        thread = event["ts"]
    return Message(
        text=text.strip() or ("help" if addressed else ""),
        conversation=_place(team, channel, thread),
        author=Author(f"slack:{event['user']}"),
        door=Door.SLACK_MENTION,
        delivery=f"slack:{team}:{body['event_id']}",
        addressed=addressed,
        reply_to={"user": event["user"], "thread": event.get("thread_ts") or ""},
    )
