"""Slack's documented limits on what a message may hold."""

import json
from collections.abc import Iterator
from typing import Any

from tests.slack.records import Json, elements_of

MOST_TEXT = 40_000
MOST_TEXT_OF_UPDATE = 4_000
MOST_OF_ALL_BLOCKS = 13_200
MOST_BLOCKS = 50
PLAIN = ("plain_text",)
EITHER = ("plain_text", "mrkdwn")
CONFIRM = {
    "title": (100, PLAIN),
    "text": (300, EITHER),
    "confirm": (30, PLAIN),
    "deny": (30, PLAIN),
}
OTHER_ELEMENTS = {
    "channels_select",
    "checkboxes",
    "conversations_select",
    "datepicker",
    "datetimepicker",
    "external_select",
    "multi_static_select",
    "multi_users_select",
    "radio_buttons",
    "timepicker",
    "users_select",
    "workflow_button",
}
OTHER_BLOCKS = {
    "context_actions",
    "divider",
    "file",
    "input",
    "rich_text",
    "table",
    "video",
}


def wrong_with(text: str, blocks: list[Json], most_text: int) -> tuple[str, list[str]] | None:
    """Slack's error for such a message with its details, if it would refuse it."""
    if len(text) > most_text:
        return "msg_too_long", []
    details = list(_blocks(blocks))
    if details:
        return "invalid_blocks", details
    if len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":"))) > MOST_OF_ALL_BLOCKS:
        return "msg_blocks_too_long", []
    return None


def _blocks(blocks: list[Json]) -> Iterator[str]:
    yield from _count(blocks, "/blocks", MOST_BLOCKS, least=0)
    yield from _unique([block.get("block_id") for block in blocks], "block_id", "/blocks")
    for place, block in enumerate(blocks):
        yield from _block(block, f"/blocks/{place}")


def _block(block: Json, at: str) -> Iterator[str]:
    yield from _string(block.get("block_id", "-"), f"{at}/block_id", 255)
    match block.get("type"):
        case "section":
            yield from _section(block, at)
        case "header":
            yield from _text(block.get("text"), f"{at}/text", 150, PLAIN)
        case "actions":
            yield from _count(block.get("elements"), f"{at}/elements", 25)
            for number, element in enumerate(block.get("elements") or []):
                yield from _element(element, f"{at}/elements/{number}")
        case "context":
            yield from _context(block, at)
        case "markdown":
            yield from _string(block.get("text"), f"{at}/text", 12_000)
        case "image":
            yield from _string(block.get("alt_text"), f"{at}/alt_text", 2_000)
        case kind:
            if kind not in OTHER_BLOCKS:
                yield f"unsupported block type: {kind} [json-pointer:{at}/type]"
    ids = [element.get("action_id") for element in elements_of(block)]
    yield from _unique(ids, "action_id", at)


def _section(block: Json, at: str) -> Iterator[str]:
    if "text" not in block and not block.get("fields"):
        yield f"missing required field: text [json-pointer:{at}]"
    if "text" in block:
        yield from _text(block["text"], f"{at}/text", 3_000)
    if "fields" in block:
        yield from _count(block["fields"], f"{at}/fields", 10)
        for number, entry in enumerate(block["fields"]):
            yield from _text(entry, f"{at}/fields/{number}", 2_000)
    if "accessory" in block and block["accessory"].get("type") != "image":
        yield from _element(block["accessory"], f"{at}/accessory")


def _context(block: Json, at: str) -> Iterator[str]:
    yield from _count(block.get("elements"), f"{at}/elements", 10)
    for number, element in enumerate(block.get("elements") or []):
        if element.get("type") == "image":
            yield from _string(element.get("alt_text"), f"{at}/elements/{number}/alt_text", 2_000)
        else:
            yield from _text(element, f"{at}/elements/{number}", 3_000)


def _element(element: Json, at: str) -> Iterator[str]:
    yield from _string(element.get("action_id", "-"), f"{at}/action_id", 255)
    match element.get("type"):
        case "button":
            yield from _button(element, at)
        case "static_select":
            yield from _select(element, at)
        case "overflow":
            yield from _options(element.get("options"), f"{at}/options", 5)
        case kind:
            if kind not in OTHER_ELEMENTS:
                yield f"unsupported type: {kind} [json-pointer:{at}/type]"
    if "confirm" in element:
        for name, (most, kinds) in CONFIRM.items():
            yield from _text(element["confirm"].get(name), f"{at}/confirm/{name}", most, kinds)


def _button(button: Json, at: str) -> Iterator[str]:
    yield from _text(button.get("text"), f"{at}/text", 75, PLAIN)
    yield from _string(button.get("value", "-"), f"{at}/value", 2_000)
    yield from _string(button.get("url", "-"), f"{at}/url", 3_000)
    yield from _string(button.get("accessibility_label", "-"), f"{at}/accessibility_label", 75)
    if button.get("style", "primary") not in {"primary", "danger"}:
        yield f"must be one of: primary, danger [json-pointer:{at}/style]"


def _select(select: Json, at: str) -> Iterator[str]:
    if "placeholder" in select:
        yield from _text(select["placeholder"], f"{at}/placeholder", 150, PLAIN)
    if "option_groups" not in select:
        yield from _options(select.get("options"), f"{at}/options", 100)
        return
    yield from _count(select["option_groups"], f"{at}/option_groups", 100)
    for number, group in enumerate(select["option_groups"]):
        yield from _text(group.get("label"), f"{at}/option_groups/{number}/label", 75, PLAIN)
        yield from _options(group.get("options"), f"{at}/option_groups/{number}/options", 100)


def _options(options: Any, at: str, most: int) -> Iterator[str]:
    yield from _count(options, at, most)
    for number, option in enumerate(options or []):
        yield from _text(option.get("text"), f"{at}/{number}/text", 75, PLAIN)
        yield from _string(option.get("value"), f"{at}/{number}/value", 150)
        if "description" in option:
            yield from _text(option["description"], f"{at}/{number}/description", 75, PLAIN)


def _text(node: Any, at: str, most: int, kinds: tuple[str, ...] = EITHER) -> Iterator[str]:
    if not isinstance(node, dict) or node.get("type") not in kinds:
        yield f"must be a text object of type {' or '.join(kinds)} [json-pointer:{at}]"
    else:
        yield from _string(node.get("text"), f"{at}/text", most)


def _string(value: Any, at: str, most: int) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"must be a string [json-pointer:{at}]"
    elif not value:
        yield f"must be more than 0 characters [json-pointer:{at}]"
    elif len(value) > most:
        yield f"must be less than {most + 1} characters [json-pointer:{at}]"


def _count(items: Any, at: str, most: int, least: int = 1) -> Iterator[str]:
    if not isinstance(items, list) or len(items) < least:
        yield f"no fewer than {least} items required [json-pointer:{at}]"
    elif len(items) > most:
        yield f"no more than {most} items allowed [json-pointer:{at}]"


def _unique(ids: list[str | None], name: str, at: str) -> Iterator[str]:
    given = [one for one in ids if one is not None]
    for twice in sorted({one for one in given if given.count(one) > 1}):
        yield f"{name} {twice} already exists [json-pointer:{at}]"
