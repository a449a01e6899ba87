"""Whom a message makes a sound for.

Markdown is not looked at: what a person may see as code counts all the same.
"""

import re

from tests.discord.payloads import everything
from tests.discord.records import Channel, Json
from tests.discord.shapes import mentioned
from tests.discord.state import State

_ROLE = re.compile(r"<@&(\d+)>")
EVERYTHING = {"parse": ["everyone", "roles", "users"], "replied_user": True}
USERS_ONLY = {"parse": ["users"]}  # the default of interaction responses and webhooks


def mentions(state: State, channel: Channel, body: Json, *, regular: bool) -> set[str]:
    """Whom the text of a message may mention: "everyone", "user:1", "role:900"."""
    text = body.get("content") or ""
    for one in everything(body.get("components") or ()):
        text += one.get("content") or ""
    if "@" not in text:
        return set()
    allowed = allowed_by(body, regular=regular)
    parse = allowed.get("parse") or ()
    found = set()
    if "everyone" in parse and ("@everyone" in text or "@here" in text):
        found |= {"everyone"} if state.may(channel, "MENTION_EVERYONE") else set()
    for user in mentioned(text):
        listed = user in map(str, allowed.get("users") or ())
        if ("users" in parse or listed) and _is_here(state, channel, user):
            found.add(f"user:{user}")
    for role in _ROLE.findall(text):
        listed = role in map(str, allowed.get("roles") or ())
        if ("roles" in parse or listed) and _may_call(state, channel, role):
            found.add(f"role:{role}")
    return found


def allowed_by(body: Json, *, regular: bool) -> Json:
    """What a message says of whom it may mention, or Discord's default for its kind."""
    given: Json | None = body.get("allowed_mentions")
    if given is None:
        return EVERYTHING if regular else USERS_ONLY
    return given


def _is_here(state: State, channel: Channel, user: str) -> bool:
    if channel.guild is None:
        return user == channel.user
    return user not in state.outsiders


def _may_call(state: State, channel: Channel, role: str) -> bool:
    known = state.guilds[channel.guild].roles if channel.guild else {}
    if role not in known:
        return False
    return known[role].mentionable or state.may(channel, "MENTION_EVERYONE")
