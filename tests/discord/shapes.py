"""Discord's objects, written as Discord writes them."""

import re

from tests.discord.records import (
    BOT,
    BOT_ROLE,
    COMMAND,
    DIRECT,
    OTHER_BOT,
    Channel,
    Guild,
    Json,
    Role,
    SentMessage,
    moment_of,
    name_of,
)

JOINED = "2024-01-01T00:00:00+00:00"
_MENTION = re.compile(r"<@!?(\d+)>")


def user(user_id: str) -> Json:
    """Anybody."""
    bot = user_id in {BOT, OTHER_BOT}
    return {
        "id": user_id,
        "username": name_of(user_id),
        "discriminator": "0000" if bot else "0",
        "global_name": None,
        "avatar": None,
        "bot": bot,
        "public_flags": 0,
    }


def membership(roles: list[str]) -> Json:
    """Somebody's place in a guild, without saying whose."""
    return {
        "roles": roles,
        "nick": None,
        "avatar": None,
        "banner": None,
        "joined_at": JOINED,
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "flags": 0,
        "pending": False,
        "communication_disabled_until": None,
    }


def member(user_id: str, roles: list[str], may: int | None = None) -> Json:
    """Somebody in a guild; an interaction tells what they may do there."""
    shown = membership(roles)
    shown["user"] = user(user_id)
    if may is not None:
        shown["permissions"] = str(may)
    return shown


def role(one: Role, position: int) -> Json:
    """A role of a guild."""
    colors = {"primary_color": 0, "secondary_color": None, "tertiary_color": None}
    shown = {
        "id": one.id,
        "name": one.name,
        "color": 0,
        "colors": colors,
        "hoist": False,
        "icon": None,
        "unicode_emoji": None,
        "position": position,
        "permissions": str(one.permissions),
        "managed": one.managed,
        "mentionable": one.mentionable,
        "flags": 0,
    }
    return shown | {"tags": {"bot_id": BOT}} if one.id == BOT_ROLE else shown


def roles(guild: Guild) -> list[Json]:
    """The roles of a guild, everybody's first."""
    return [role(one, position) for position, one in enumerate(guild.roles.values())]


def channel(one: Channel) -> Json:
    """A channel, thread or direct conversation."""
    if one.kind == DIRECT:
        return {
            "id": one.id,
            "type": DIRECT,
            "last_message_id": None,
            "flags": 0,
            "recipients": [user(one.user or "0")],
        }
    shown: Json = {
        "id": one.id,
        "type": one.kind,
        "guild_id": one.guild,
        "name": one.name or f"channel{one.id}",
        "parent_id": one.parent,
        "last_message_id": None,
        "rate_limit_per_user": 0,
        "flags": 0,
    }
    return shown | (_of_thread(one) if one.is_thread else _of_channel(one))


def _of_channel(one: Channel) -> Json:
    overwrites = []
    if one.denied:
        overwrites.append({"id": BOT, "type": 1, "allow": "0", "deny": str(one.denied)})
    return {"position": 0, "topic": None, "nsfw": False, "permission_overwrites": overwrites}


def _of_thread(one: Channel) -> Json:
    metadata = {
        "archived": one.archived,
        "locked": one.locked,
        "auto_archive_duration": 1440,
        "archive_timestamp": JOINED,
        "create_timestamp": JOINED,
    }
    return {
        "owner_id": one.owner,
        "message_count": 1,
        "member_count": 2,
        "total_message_sent": 1,
        "thread_metadata": metadata,
    }


def guild(one: Guild) -> Json:
    """A guild as REST tells of it."""
    return {
        "id": one.id,
        "name": one.name,
        "icon": None,
        "splash": None,
        "discovery_splash": None,
        "owner_id": one.owner,
        "afk_channel_id": None,
        "afk_timeout": 300,
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "roles": roles(one),
        "emojis": [],
        "stickers": [],
        "features": [],
        "mfa_level": 0,
        "application_id": None,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "safety_alerts_channel_id": None,
        "vanity_url_code": None,
        "description": None,
        "banner": None,
        "premium_tier": 0,
        "preferred_locale": "en-US",
        "nsfw_level": 0,
        "premium_progress_bar_enabled": False,
    }


def message(one: SentMessage, referenced: Json | None = None) -> Json:
    """A message of the bot's."""
    shown: Json = {
        "id": one.id,
        "channel_id": one.channel,
        "type": _type(one),
        "author": user(one.author),
        "content": one.content,
        "timestamp": moment_of(one.id),
        "edited_timestamp": moment_of(one.id) if one.edits else None,
        "tts": False,
        "pinned": False,
        "mention_everyone": "everyone" in one.mentions,
        "mentions": [user(who) for who in _kind(one.mentions, "user")],
        "mention_roles": _kind(one.mentions, "role"),
        "attachments": one.attachments,
        "embeds": one.embeds,
        "components": one.components,
        "flags": one.flags,
    }
    if one.nonce is not None:
        shown["nonce"] = one.nonce
    if one.metadata:
        shown |= {"application_id": BOT, "webhook_id": BOT, "interaction_metadata": one.metadata}
    if one.reference:
        where = {"type": 0, "message_id": one.reference, "channel_id": one.channel}
        shown["message_reference"] = where | ({"guild_id": one.guild} if one.guild else {})
        shown["referenced_message"] = referenced
    return shown


def mentioned(text: str) -> list[str]:
    """Whom a text names, each once."""
    return list(dict.fromkeys(_MENTION.findall(text)))


def _type(one: SentMessage) -> int:
    if one.metadata:
        return 20 if one.metadata["type"] == COMMAND else 0
    return 19 if one.reference else 0


def _kind(mentions: set[str], kind: str) -> list[str]:
    return [who.partition(":")[2] for who in sorted(mentions) if who.startswith(f"{kind}:")]
