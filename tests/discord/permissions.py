"""Permissions as Discord computes them."""

from tests.discord.records import BOT, Channel, Guild

BITS = {
    "CREATE_INSTANT_INVITE": 1 << 0,
    "ADMINISTRATOR": 1 << 3,
    "MANAGE_CHANNELS": 1 << 4,
    "MANAGE_GUILD": 1 << 5,
    "ADD_REACTIONS": 1 << 6,
    "VIEW_CHANNEL": 1 << 10,
    "SEND_MESSAGES": 1 << 11,
    "MANAGE_MESSAGES": 1 << 13,
    "EMBED_LINKS": 1 << 14,
    "ATTACH_FILES": 1 << 15,
    "READ_MESSAGE_HISTORY": 1 << 16,
    "MENTION_EVERYONE": 1 << 17,
    "USE_EXTERNAL_EMOJIS": 1 << 18,
    "USE_APPLICATION_COMMANDS": 1 << 31,
    "MANAGE_THREADS": 1 << 34,
    "CREATE_PUBLIC_THREADS": 1 << 35,
    "CREATE_PRIVATE_THREADS": 1 << 36,
    "SEND_MESSAGES_IN_THREADS": 1 << 38,
}
ALL = sum(BITS.values())
MANAGING = (
    "ADMINISTRATOR",
    "MANAGE_CHANNELS",
    "MANAGE_GUILD",
    "MANAGE_MESSAGES",
    "MANAGE_THREADS",
)
USUAL = ALL - sum(BITS[name] for name in MANAGING)
# What nobody can do who may not speak.
SPEAKING = sum(BITS[name] for name in ("ATTACH_FILES", "EMBED_LINKS", "MENTION_EVERYONE"))
# What an app has in a direct conversation with somebody.
DIRECTLY = sum(
    BITS[name]
    for name in ("ATTACH_FILES", "EMBED_LINKS", "MENTION_EVERYONE", "USE_EXTERNAL_EMOJIS")
)


def bit(name: str) -> int:
    """A permission by its name in Discord's documentation."""
    return BITS[name]


def permissions(guild: Guild, user: str, roles: list[str], channel: Channel, denied: int) -> int:
    """What somebody may do in a channel; `denied` is what its overwrites take from the bot."""
    if user == guild.owner:
        return ALL
    may = guild.roles[guild.id].permissions
    for role in roles:
        if role in guild.roles:
            may |= guild.roles[role].permissions
    if may & BITS["ADMINISTRATOR"]:
        return ALL
    if user == BOT:
        may &= ~denied
    speaking = "SEND_MESSAGES_IN_THREADS" if channel.is_thread else "SEND_MESSAGES"
    if not may & BITS[speaking]:
        may &= ~SPEAKING
    return may if may & BITS["VIEW_CHANNEL"] else may & BITS["MANAGE_GUILD"]
