"""How Baton gets into a Discord server: an address with the least that it needs."""

import base64
import binascii

import discord

from bot import remedies
from bot.errors import ConfigurationError

SCOPES = ("bot", "applications.commands")
PERMISSIONS = {
    "view_channel": "see the channels in which it is asked",
    "send_messages": "show cards and answers",
    "send_messages_in_threads": "show cards and answers in threads",
    "attach_files": "attach long logs",
    "read_message_history": "tell whether a card was posted before its connection was cut",
}
"""Every permission that Baton asks for, and what it is for."""


def invitation(application_id: str) -> str:
    """The address for this application. Raises ConfigurationError where that is no id."""
    if not application_id.isascii() or not application_id.isdigit():
        raise ConfigurationError(remedies.no_discord_application())
    permissions = discord.Permissions(**dict.fromkeys(PERMISSIONS, True))
    return discord.utils.oauth_url(application_id, permissions=permissions, scopes=SCOPES)


def application_of(token: str) -> str:
    """The application whose bot has this token: its first part is the id; empty if it is not.

    See docs.discord.com: reference#authentication.
    """
    first = token.partition(".")[0]
    try:
        return base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
