"""What Discord sends to a bot: the data of INTERACTION_CREATE and of MESSAGE_CREATE.

They tell of a fresh double; roles, permissions and channels as a test changed them are filled in
when the double sends them.
"""

import datetime as dt
import itertools
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

from tests.discord import shapes
from tests.discord.permissions import DIRECTLY, USUAL
from tests.discord.records import (
    APP,
    AUTOCOMPLETE,
    BOT,
    CHANNEL,
    COMMAND,
    COMPONENT,
    DIRECT,
    GUILD,
    OTHER_BOT,
    Channel,
    Json,
    SentMessage,
    all_channels,
    direct_channel,
    moment_of,
    snowflake,
)

BUTTON, STRING_SELECT, TEXT_DISPLAY = 2, 3, 10
_CHANNELS = all_channels()
_Moment = float | dt.datetime | None


def slash(
    name: str,
    options: Json | None = None,
    user: str = "1",
    channel: str = CHANNEL,
    guild: str | None = GUILD,
    *,
    at: _Moment = None,
) -> Json:
    """Somebody used a command; "baton resume" is a subcommand, guild None a direct conversation."""
    word, *rest = name.split()
    data = {"id": "1", "name": word, "type": 1, "options": _nested(rest, _options(options or {}))}
    return _interaction(COMMAND, data, (user, channel, guild), at)


def autocomplete(
    name: str,
    options: Json,
    focused: str,
    user: str = "1",
    channel: str = CHANNEL,
    *,
    guild: str | None = GUILD,
    at: _Moment = None,
) -> Json:
    """Somebody is typing the option `focused`, whose text so far is among the options."""
    word, *rest = name.split()
    given = _options({focused: "", **options})
    for option in given:
        if option["name"] == focused:
            option["focused"] = True
    data = {"id": "1", "name": word, "type": 1, "options": _nested(rest, given)}
    return _interaction(AUTOCOMPLETE, data, (user, channel, guild), at)


def click(
    shown: SentMessage, what: str, user: str = "1", *, at: _Moment = None, forged: bool = False
) -> Json:
    """Somebody pressed a button, named by its custom_id or label; `forged` need not be there."""
    custom_id = what if forged else _button(shown, what)["custom_id"]
    data = {"component_type": BUTTON, "custom_id": custom_id, "id": 2}
    return _used(shown, data, user, at)


def select(
    shown: SentMessage,
    values: str | list[str],
    user: str = "1",
    custom_id: str | None = None,
    *,
    at: _Moment = None,
) -> Json:
    """Somebody chose in a menu, by value or label; the menu is the one that has them."""
    wanted = [values] if isinstance(values, str) else values
    for menu in _of_type(shown.components, STRING_SELECT):
        known = {one["value"]: one["value"] for one in menu["options"]}
        known |= {one["label"]: one["value"] for one in menu["options"]} | known
        if custom_id in {None, menu["custom_id"]} and known.keys() >= set(wanted):
            assert not menu.get("disabled"), f"nobody can use a disabled menu: {menu}"
            data = {
                "component_type": STRING_SELECT,
                "custom_id": menu["custom_id"],
                "values": [known[one] for one in wanted],
                "id": 2,
            }
            return _used(shown, data, user, at)
    raise AssertionError(f"nobody can choose what is not there: {wanted}")


def mention(
    text: str,
    user: str = "1",
    channel: str = CHANNEL,
    guild: str | None = GUILD,
    *,
    at: _Moment = None,
    reply_to: str | None = None,
) -> Json:
    """Somebody spoke to the bot in a channel; its name is put in front unless it is there."""
    spoken = text if BOT in shapes.mentioned(text) else f"<@{BOT}> {text}"
    return _said(spoken, user, (channel, guild), at, reply_to)


def channel_message(
    text: str,
    user: str = "1",
    channel: str = CHANNEL,
    guild: str | None = GUILD,
    *,
    at: _Moment = None,
    reply_to: str | None = None,
    readable: bool = False,
) -> Json:
    """Somebody wrote to nobody in particular; only `readable` with the message content intent."""
    said = _said(text, user, (channel, guild), at, reply_to)
    return said if readable else said | {"content": "", "attachments": [], "components": []}


def direct_message(
    text: str, user: str = "1", *, at: _Moment = None, reply_to: str | None = None
) -> Json:
    """Somebody wrote to the bot alone."""
    return _said(text, user, (direct_channel(user), None), at, reply_to)


def bot_message(
    text: str,
    user: str = OTHER_BOT,
    channel: str = CHANNEL,
    guild: str | None = GUILD,
    *,
    at: _Moment = None,
) -> Json:
    """Another bot wrote, perhaps naming ours; with user=BOT it is ours."""
    said = _said(text, user, (channel, guild), at, None)
    return said | {"author": said["author"] | {"bot": True}}


def webhook_message(
    text: str, channel: str = CHANNEL, guild: str | None = GUILD, *, webhook: str = "195"
) -> Json:
    """A webhook wrote, perhaps naming the bot: it is no member and no person."""
    said = _said(text, webhook, (channel, guild), None, None)
    said.pop("member", None)
    author = said["author"] | {"username": "hook", "bot": True, "discriminator": "0000"}
    return said | {"webhook_id": webhook, "author": author}


def edited(message: Json, text: str) -> Json:
    """A message changed by its author: the data of MESSAGE_UPDATE."""
    named = _mentions(text, message.get("guild_id"))
    return message | {
        "content": text,
        "mentions": named,
        "edited_timestamp": moment_of(snowflake()),
    }


def buttons_of(components: Iterable[Json]) -> dict[str, str]:
    """The custom_id of each button by its label; further ones of a label are "LABEL #2"."""
    found: dict[str, str] = {}
    for button in _of_type(components, BUTTON):
        if "custom_id" in button:
            _put(found, str(button.get("label") or ""), button["custom_id"])
    return found


def options_of(components: Iterable[Json]) -> dict[str, tuple[str, str]]:
    """The custom_id of its menu and the value of each option, by its label."""
    found: dict[str, tuple[str, str]] = {}
    for menu in _of_type(components, STRING_SELECT):
        for option in menu["options"]:
            _put(found, option["label"], (menu["custom_id"], option["value"]))
    return found


def texts_of(shown: SentMessage) -> list[str]:
    """Every text that a person can read, from top to bottom; labels of buttons are no text."""
    texts = [shown.content] if shown.content else []
    for embed in shown.embeds:
        texts += _texts_of_embed(embed)
    return texts + [one["content"] for one in _of_type(shown.components, TEXT_DISPLAY)]


def everything(components: Iterable[Json]) -> Iterator[Json]:
    """Each component, however deep."""
    for one in components:
        yield one
        yield from everything(one.get("components", ()))
        if "accessory" in one:
            yield one["accessory"]


def _texts_of_embed(embed: Json) -> list[str]:
    texts = [embed.get("author", {}).get("name"), embed.get("title"), embed.get("description")]
    for one in embed.get("fields", ()):
        texts += [one["name"], one["value"]]
    return [text for text in [*texts, embed.get("footer", {}).get("text")] if text]


def _of_type(components: Iterable[Json], kind: int) -> Iterator[Json]:
    return (one for one in everything(components) if one["type"] == kind)


def _put(found: dict[str, Any], label: str, what: object) -> None:
    names = itertools.chain([label], (f"{label} #{n}" for n in itertools.count(2)))
    found[next(name for name in names if name not in found)] = what


def _button(shown: SentMessage, what: str) -> Json:
    labels = buttons_of(shown.components)
    for button in _of_type(shown.components, BUTTON):
        if button.get("custom_id") in {what, labels.get(what)} - {None}:
            assert not button.get("disabled"), f"nobody can press a disabled button: {button}"
            return button
    raise AssertionError(f"nobody can press what is not there: {what!r} in {labels}")


def _nested(words: list[str], options: list[Json]) -> list[Json]:
    """Options below a subcommand, and that below its group."""
    for depth, word in enumerate(reversed(words)):
        options = [{"name": word, "type": depth + 1, "options": options}]
    return options


def _options(options: Json) -> list[Json]:
    return [
        {"name": name, "type": _option_type(value), "value": value}
        for name, value in options.items()
        if value is not None
    ]


def _option_type(value: object) -> int:
    match value:
        case bool():
            return 5
        case int():
            return 4
        case float():
            return 10
        case _:
            return 3


def _used(shown: SentMessage, data: Json, user: str, at: _Moment) -> Json:
    assert not shown.deleted, "nobody can use a message that is gone"
    guild = None if shown.channel.startswith("60") else shown.guild
    made = _interaction(COMPONENT, data, (user, shown.channel, guild), at)
    return made | {"message": shapes.message(shown)}


def _interaction(kind: int, data: Json, where: tuple[str, str, str | None], at: _Moment) -> Json:
    user, channel, guild = where
    if guild is None and channel in _CHANNELS:
        channel = direct_channel(user)
    direct = guild is None
    may = DIRECTLY if direct else USUAL
    known = _CHANNELS.get(channel) or Channel(channel, guild, DIRECT if direct else 0, user=user)
    made: Json = {
        "id": snowflake(at),
        "application_id": APP,
        "type": kind,
        "data": data,
        "channel_id": channel,
        "channel": shapes.channel(known) | {"permissions": str(may)},
        "token": secrets.token_urlsafe(48),
        "version": 1,
        "app_permissions": str(may),
        "locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": {"0": guild or "0"},
        "context": 1 if direct else 0,
        "attachment_size_limit": 10_485_760,
    }
    if direct:
        return made | {"user": shapes.user(user)}
    return made | {
        "guild_id": guild,
        "guild": {"id": guild, "locale": "en-US", "features": []},
        "guild_locale": "en-US",
        "member": shapes.member(user, [], may),
    }


def _said(
    text: str,
    user: str,
    where: tuple[str, str | None],
    at: _Moment,
    reply_to: str | None,
) -> Json:
    channel, guild = where
    message_id = snowflake(at)
    said: Json = {
        "id": message_id,
        "channel_id": channel,
        "channel_type": _CHANNELS[channel].kind if channel in _CHANNELS else 0 if guild else 1,
        "type": 19 if reply_to else 0,
        "author": shapes.user(user),
        "content": text,
        "timestamp": moment_of(message_id),
        "edited_timestamp": None,
        "tts": False,
        "pinned": False,
        "mention_everyone": False,
        "mentions": _mentions(text, guild),
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "components": [],
        "flags": 0,
        "nonce": message_id,
    }
    if guild:
        said |= {"guild_id": guild, "member": shapes.membership([])}
    if reply_to:
        said["message_reference"] = {"type": 0, "message_id": reply_to, "channel_id": channel}
        said["message_reference"] |= {"guild_id": guild} if guild else {}
    return said


def _mentions(text: str, guild: str | None) -> list[Json]:
    more = {"member": shapes.membership([])} if guild else {}
    return [shapes.user(who) | more for who in shapes.mentioned(text)]
