"""A message with buttons, as any bot might post it."""

from tests.slack.records import Json

BUTTON: Json = {
    "type": "button",
    "text": {"type": "plain_text", "text": "Resume"},
    "action_id": "resume",
    "value": "r1",
}
SELECT: Json = {
    "type": "static_select",
    "action_id": "choose",
    "options": [
        {"text": {"type": "plain_text", "text": "demo"}, "value": "r1"},
        {"text": {"type": "plain_text", "text": "other"}, "value": "r2"},
    ],
}


def section(text: str) -> Json:
    """Some words."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def actions(*elements: Json) -> Json:
    """A row of buttons and menus."""
    return {"type": "actions", "elements": list(elements)}


CARD: list[Json] = [section("*demo* failed"), actions(BUTTON, SELECT) | {"block_id": "do"}]
