"""Discord's documented limits on messages, commands and choices.

Each check yields (path, code, message), as Discord reports them under "errors".
"""

import re
from collections.abc import Iterator
from typing import Any

from tests.discord.payloads import everything
from tests.discord.records import COMPONENTS_V2, Json

Wrong = tuple[str, str, str]

MOST_CONTENT = 2_000
MOST_EMBEDS_TEXT = 6_000
MOST_COMPONENTS = 40
MOST_V2_TEXT = 4_000
MOST_NONCE = 25
MOST_COMMANDS = 100
MOST_OF_A_COMMAND = 8_000
ROW, BUTTON, STRING_SELECT, SECTION, TEXT, CONTAINER = 1, 2, 3, 9, 10, 17
SELECTS = {3, 5, 6, 7, 8}
LAYOUT = {ROW, SECTION, TEXT, 12, 13, 14, CONTAINER}  # what may stand at the top of a v2 message
LINK, PREMIUM = 5, 6
NAME = re.compile(r"[-_a-z0-9]{1,32}")
SUBCOMMAND, GROUP = 1, 2


def wrong_with(body: Json, flags: int) -> Iterator[Wrong]:
    """What Discord would refuse in a message with such flags."""
    yield from _text(body.get("content") or "", "content", MOST_CONTENT, least=0)
    yield from _embeds(body.get("embeds") or [])
    components = body.get("components") or []
    yield from (_v2(body, components) if flags & COMPONENTS_V2 else _v1(components))
    ids = [one["custom_id"] for one in everything(components) if one.get("custom_id")]
    if len(set(ids)) < len(ids):
        yield (
            "components",
            "COMPONENT_CUSTOM_ID_DUPLICATED",
            "Component custom id cannot be duplicated",
        )
    nonce = body.get("nonce")
    if nonce is not None and len(str(nonce)) > MOST_NONCE:
        yield "nonce", "BASE_TYPE_MAX_LENGTH", f"Must be {MOST_NONCE} or fewer in length."
    yield from _allowed_mentions(body.get("allowed_mentions"))


def wrong_with_choices(choices: Any) -> Iterator[Wrong]:
    """What Discord would refuse in an answer to autocomplete."""
    yield from _count(choices, "data.choices", 25, least=0)
    for number, choice in enumerate(choices or []):
        at = f"data.choices.{number}"
        yield from _text(choice.get("name"), f"{at}.name", 100)
        if isinstance(choice.get("value"), str):
            yield from _text(choice["value"], f"{at}.value", 100)


def wrong_with_modal(data: Json) -> Iterator[Wrong]:
    """What Discord would refuse in a modal."""
    yield from _text(data.get("custom_id"), "data.custom_id", 100)
    yield from _text(data.get("title"), "data.title", 45)
    yield from _count(data.get("components"), "data.components", 5)


def wrong_with_commands(commands: list[Json]) -> Iterator[Wrong]:
    """What Discord would refuse in all the commands of a guild, or in the global ones."""
    yield from _count(commands, "", MOST_COMMANDS, least=0)
    names = [(one.get("type", 1), one.get("name")) for one in commands]
    for number, one in enumerate(commands):
        if names.index(names[number]) != number:
            code = "APPLICATION_COMMANDS_DUPLICATE_NAME"
            yield str(number), code, "Application command names must be unique"
        yield from wrong_with_command(one, f"{number}.")


def wrong_with_command(command: Json, at: str = "") -> Iterator[Wrong]:
    """What Discord would refuse in a command."""
    if command.get("type", 1) != 1:
        yield from _text(command.get("name"), f"{at}name", 32)
        return
    yield from _named(command, at)
    yield from _options(command.get("options") or [], at)
    if _size(command) > MOST_OF_A_COMMAND:
        yield f"{at}name", "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)"


def _named(one: Json, at: str) -> Iterator[Wrong]:
    if not NAME.fullmatch(str(one.get("name"))):
        yield f"{at}name", "STRING_TYPE_REGEX", "String value did not match validation regex."
    yield from _text(one.get("description"), f"{at}description", 100)


def _options(options: list[Json], at: str) -> Iterator[Wrong]:
    yield from _count(options, f"{at}options", 25, least=0)
    optional = False
    for number, option in enumerate(options):
        inside = f"{at}options.{number}."
        yield from _named(option, inside)
        if option.get("type") in {SUBCOMMAND, GROUP}:
            yield from _options(option.get("options") or [], inside)
        elif option.get("required") and optional:
            code = "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID"
            yield f"{inside}required", code, "Required options must be placed before non-required"
        optional = optional or not option.get("required")
        choices = option.get("choices") or []
        yield from _count(choices, f"{inside}choices", 25, least=0)
        for place, choice in enumerate(choices):
            yield from _text(choice.get("name"), f"{inside}choices.{place}.name", 100)
    names = [option.get("name") for option in options]
    if len(set(names)) < len(names):
        code = "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS"
        yield f"{at}options", code, "Option name already exists"


def _size(command: Json) -> int:
    own = len(str(command.get("name", ""))) + len(str(command.get("description", "")))
    values = command.get("choices") or []
    own += sum(len(str(one.get("name"))) + len(str(one.get("value"))) for one in values)
    return own + sum(_size(option) for option in command.get("options") or [])


def _v1(components: list[Json]) -> Iterator[Wrong]:
    yield from _count(components, "components", 5, least=0)
    for number, row in enumerate(components):
        if row.get("type") != ROW:
            yield (
                f"components.{number}",
                "UNION_TYPE_CHOICES",
                "Value of field must be one of (1,).",
            )
        else:
            yield from _row(row, f"components.{number}")


def _v2(body: Json, components: list[Json]) -> Iterator[Wrong]:
    for field in ("content", "embeds", "poll", "sticker_ids"):
        if body.get(field):
            code = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
            yield field, code, f"The '{field}' field cannot be used with IS_COMPONENTS_V2"
    every = list(everything(components))
    yield from _count(every, "components", MOST_COMPONENTS, least=0)
    if sum(len(one.get("content") or "") for one in every) > MOST_V2_TEXT:
        code = "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED"
        yield "components", code, "The total text in a message must not exceed 4000 characters"
    for number, one in enumerate(components):
        if one.get("type") not in LAYOUT:
            yield (
                f"components.{number}",
                "UNION_TYPE_CHOICES",
                "Value of field is not allowed here.",
            )
    for one in every:
        if one.get("type") == ROW:
            yield from _row(one, "components")
        elif one.get("type") == TEXT:
            yield from _text(one.get("content"), "components.content", MOST_V2_TEXT)
        elif one.get("type") == SECTION:
            yield from _count(one.get("components"), "components.components", 3)


def _row(row: Json, at: str) -> Iterator[Wrong]:
    inside = row.get("components")
    yield from _count(inside, f"{at}.components", 5)
    for number, one in enumerate(inside or []):
        where = f"{at}.components.{number}"
        if one.get("type") == BUTTON:
            yield from _button(one, where)
        elif one.get("type") in SELECTS:
            yield from _select(one, where)
            if len(inside or []) > 1:
                yield (
                    where,
                    "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
                    "The specified component exceeds the maximum width",
                )
        else:
            yield where, "UNION_TYPE_CHOICES", "Value of field is not allowed here."


def _button(button: Json, at: str) -> Iterator[Wrong]:
    yield from _text(button.get("label") or "", f"{at}.label", 80, least=0)
    style = button.get("style")
    if style not in range(1, 7):
        yield f"{at}.style", "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3, 4, 5, 6)."
    if style == LINK:
        yield from _text(button.get("url"), f"{at}.url", 512)
    elif style != PREMIUM:
        yield from _text(button.get("custom_id"), f"{at}.custom_id", 100)
    if style != PREMIUM and not button.get("label") and not button.get("emoji"):
        yield at, "BUTTON_COMPONENT_MISSING_LABEL_OR_EMOJI", "A button must have a label or emoji"


def _select(menu: Json, at: str) -> Iterator[Wrong]:
    yield from _text(menu.get("custom_id"), f"{at}.custom_id", 100)
    yield from _text(menu.get("placeholder") or "", f"{at}.placeholder", 150, least=0)
    if menu["type"] != STRING_SELECT:
        return
    options = menu.get("options")
    yield from _count(options, f"{at}.options", 25)
    for number, option in enumerate(options or []):
        where = f"{at}.options.{number}"
        yield from _text(option.get("label"), f"{where}.label", 100)
        yield from _text(option.get("value"), f"{where}.value", 100)
        yield from _text(option.get("description") or "", f"{where}.description", 100, least=0)
    values = [option.get("value") for option in options or []]
    if len(set(values)) < len(values):
        code = "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED"
        yield f"{at}.options", code, "The specified option value is already used"


def _embeds(embeds: list[Json]) -> Iterator[Wrong]:
    yield from _count(embeds, "embeds", 10, least=0)
    total = 0
    for number, embed in enumerate(embeds):
        at = f"embeds.{number}"
        fields = embed.get("fields") or []
        yield from _count(fields, f"{at}.fields", 25, least=0)
        texts = [
            (embed.get("title"), f"{at}.title", 256),
            (embed.get("description"), f"{at}.description", 4_096),
            ((embed.get("footer") or {}).get("text"), f"{at}.footer.text", 2_048),
            ((embed.get("author") or {}).get("name"), f"{at}.author.name", 256),
        ]
        for place, one in enumerate(fields):
            texts.append((one.get("name") or "", f"{at}.fields.{place}.name", 256))
            texts.append((one.get("value") or "", f"{at}.fields.{place}.value", 1_024))
        for text, where, most in texts:
            if text is not None:
                total += len(text)
                yield from _text(text, where, most)
    if total > MOST_EMBEDS_TEXT:
        yield "embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000"


def _allowed_mentions(allowed: Any) -> Iterator[Wrong]:
    if not allowed:
        return
    parse = allowed.get("parse") or []
    for kind in ("users", "roles"):
        if kind in parse and allowed.get(kind):
            code = "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"
            where = "allowed_mentions"
            yield where, code, f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
        yield from _count(allowed.get(kind) or [], f"allowed_mentions.{kind}", 100, least=0)
    for number, kind in enumerate(parse):
        if kind not in {"everyone", "roles", "users"}:
            where = f"allowed_mentions.parse.{number}"
            yield where, "BASE_TYPE_CHOICES", "Value must be one of ('everyone', 'roles', 'users')."


def _text(value: Any, at: str, most: int, least: int = 1) -> Iterator[Wrong]:
    if value is None:
        yield at, "BASE_TYPE_REQUIRED", "This field is required"
    elif not isinstance(value, str):
        yield at, "STRING_TYPE_CONVERT", f'Could not interpret "{value}" as string.'
    elif not least <= len(value) <= most:
        code = "BASE_TYPE_BAD_LENGTH" if least else "BASE_TYPE_MAX_LENGTH"
        limits = (
            f"between {least} and {most} in length." if least else f"{most} or fewer in length."
        )
        yield at, code, f"Must be {limits}"


def _count(items: Any, at: str, most: int, least: int = 1) -> Iterator[Wrong]:
    if not least <= len(items or []) <= most:
        code = "BASE_TYPE_BAD_LENGTH" if least else "BASE_TYPE_MAX_LENGTH"
        limits = (
            f"between {least} and {most} in length." if least else f"{most} or fewer in length."
        )
        yield at, code, f"Must be {limits}"
