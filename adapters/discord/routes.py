"""The addresses of Discord's REST API that Baton calls (docs.discord.com: reference)."""

from discord.http import Route

_LOOKED_THROUGH = 100
"""The most messages that one call lists (docs.discord.com: resources/message)."""


def posts(channel: str) -> Route:
    """Where a message is posted."""
    return Route("POST", "/channels/{channel_id}/messages", channel_id=channel)


def newest(channel: str) -> Route:
    """The last messages of a channel."""
    path = f"/channels/{{channel_id}}/messages?limit={_LOOKED_THROUGH}"
    return Route("GET", path, channel_id=channel)


def edits(channel: str, message: str) -> Route:
    """Where a message is changed."""
    path = "/channels/{channel_id}/messages/{message_id}"
    return Route("PATCH", path, channel_id=channel, message_id=message)


def channel(method: str, channel_id: str) -> Route:
    """A channel or thread itself."""
    return Route(method, "/channels/{channel_id}", channel_id=channel_id)


def direct() -> Route:
    """Opens the conversation with one person."""
    return Route("POST", "/users/@me/channels")


def callback(interaction: str, token: str) -> Route:
    """The first answer to an interaction."""
    path = "/interactions/{webhook_id}/{webhook_token}/callback"
    # These two names share a bucket in discord.py, which is right for interactions as well.
    return Route("POST", path, webhook_id=int(interaction), webhook_token=token)


def original(method: str, application: str, token: str) -> Route:
    """The first answer, once it was given."""
    path = "/webhooks/{webhook_id}/{webhook_token}/messages/@original"
    return Route(method, path, webhook_id=int(application), webhook_token=token)
