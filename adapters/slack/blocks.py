"""What people see in Slack: cards, answers and pickers as blocks.

Text of people and processes goes only into `plain_text` objects and into `text` elements of rich
text, neither of which Slack parses, so no name can forge a mention or a link; the top-level
`text` is escaped (docs.slack.dev: messaging/formatting-message-text). Limits are those of
docs.slack.dev/reference/block-kit.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot.card import Button, Confirmation, asked_for, buttons, cancelling, progress, took
from bot.outcome import Answer, Word
from bot.run import Run
from bot.words import clean, state

Block = dict[str, Any]

_LONGEST_TEXT = 3000
_LONGEST_FALLBACK = 3900
_LONGEST_LABEL = 75
_LONGEST_OPTION = 60
_LONGEST_CONTEXT = 500
_LONGEST_ANSWER = 9000
_BESIDE_A_PICKER = 2000
"""All blocks of a message together have about 13,200 characters (bolt-js issue 2509)."""
_ADDRESS = re.compile(r"(?i)(?<=:)(?=//)|(?<=mailto:)|(?<=tel:)|(?<=www\.)(?=\w)")
"""The places where an address is broken up, so that Slack makes no link of it."""


def escaped(text: str) -> str:
    """The top-level text of a message, which Slack parses: nothing in it is live."""
    dead = _ADDRESS.sub("\u200b", clean(text, _LONGEST_TEXT))
    safe = _escape(dead)
    while len(safe) > _LONGEST_FALLBACK:
        dead = dead[: len(dead) * _LONGEST_FALLBACK // len(safe) - 1] + "…"
        safe = _escape(dead)
    return safe


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fitted(text: str, limit: int) -> str:
    """The text, cut so that it fits into a message, where quotes and line ends count double."""
    shown = clean(text, limit)
    while (size := len(json.dumps(shown, ensure_ascii=False))) > limit:
        shown = shown[: len(shown) * limit // size - 2] + "…"
    return shown


def plain(text: str, limit: int = _LONGEST_TEXT) -> Block:
    """A text object that is shown as it is."""
    return {"type": "plain_text", "text": clean(text, limit) or " ", "emoji": False}


def moment(at: float) -> str:
    """How long ago something was: it goes on being true, since the reader's Slack writes it."""
    fallback = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(at)}^{{ago}}|{fallback}>"


# --- buttons ---------------------------------------------------------------------------------


def value_of(run: Run) -> str:
    """What a click tells: the run, and the epoch that the card showed."""
    return f"{run.id}:{run.epoch}"


def _confirm(asked: Confirmation) -> Block:
    return {
        "title": plain(asked.title, 100),
        "text": plain(asked.text, 300),
        "confirm": plain(asked.yes, 30),
        "deny": plain(asked.no, 30),
        "style": "danger",
    }


def _button(run: Run, button: Button, origin: str) -> Block:
    element: Block = {
        "type": "button",
        "action_id": f"baton:{button.verb}{origin}",
        "text": plain(button.label, _LONGEST_LABEL),
        "value": value_of(run),
        "accessibility_label": clean(button.about, _LONGEST_LABEL),
    }
    if button.main:
        element["style"] = "primary"
    if button.confirmation is not None:
        element |= {"style": "danger", "confirm": _confirm(button.confirmation)}
    return element


def actions(run: Run, origin: str = "") -> list[Block]:
    """The buttons that fit the run; `origin` tells what the buttons stand for."""
    elements = [_button(run, button, origin) for button in buttons(run)]
    return [{"type": "actions", "elements": elements}] if elements else []


# --- cards -----------------------------------------------------------------------------------


def card(run: Run) -> list[Block]:
    """One message per run: name, progress, state in words, who asked, and what can be clicked."""
    lines = [f"{progress(run)}\n{state(run, None)}", *([run.notice] if run.notice else [])]
    headline = [
        {"type": "text", "text": clean(run.workflow, _LONGEST_LABEL), "style": {"bold": True}},
        {"type": "text", "text": " "},
        {"type": "text", "text": run.id, "style": {"code": True}},
        {"type": "text", "text": "\n" + fitted("\n".join(lines), _LONGEST_TEXT)},
    ]
    rich = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": headline}]}
    return [rich, _context(run), *actions(run)]


def _context(run: Run) -> Block:
    duration = f", {took(run)}" if run.final and not run.held else ""
    return {
        "type": "context",
        "elements": [
            plain(f"{asked_for(run)}{duration}", _LONGEST_CONTEXT),
            {"type": "mrkdwn", "text": f"Started {moment(run.requested.at)}"},
            {"type": "mrkdwn", "text": f"last change {moment(run.changed.at)}"},
        ],
    }


# --- answers ---------------------------------------------------------------------------------


def said(text: str, limit: int = _LONGEST_ANSWER) -> list[Block]:
    """An answer as it is, in as many blocks as it needs."""
    shown = fitted(text, limit)
    parts = [shown[at : at + _LONGEST_TEXT] for at in range(0, len(shown), _LONGEST_TEXT)]
    return [{"type": "section", "text": plain(part)} for part in parts]


def aside(text: str) -> Block:
    """A line in small letters."""
    return {"type": "context", "elements": [plain(text, _LONGEST_CONTEXT)]}


def output(text: str) -> list[Block]:
    """The first line as it is, and what follows as output of a program."""
    first, _, rest = fitted(text, _LONGEST_ANSWER).partition("\n")
    if not rest:
        return said(first)
    shown = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": rest}]}
    return [*said(first), {"type": "rich_text", "elements": [shown]}]


def picker(verb: str, candidates: Sequence[Mapping[str, Any]], origin: str = "") -> list[Block]:
    """A choice among several runs; what is chosen is checked again when it comes back."""
    element: Block = {
        "type": "static_select",
        "action_id": f"baton:{verb}{origin}",
        "placeholder": plain(f"Choose a run to {verb}", 150),
        "options": [_option(run) for run in candidates],
    }
    if verb == "cancel":
        element["confirm"] = _confirm(cancelling(None))
    return [{"type": "actions", "elements": [element]}]


def _option(run: Mapping[str, Any]) -> Block:
    label = f"{run['workflow']} {run['id']}: {run['status']}, step {run['step'] or 'none left'}"
    return {"text": plain(label, _LONGEST_OPTION), "value": f"{run['id']}:{run['epoch']}"}


def answer(told: Answer, verb: str) -> list[Block]:
    """An answer to one person: what was said, and what can be chosen."""
    candidates = told.body["candidates"]
    if told.word is Word.AMBIGUOUS and candidates and verb in CLICKED:
        return [*said(told.reply, _BESIDE_A_PICKER), *picker(verb, candidates)]
    return output(told.reply) if verb == "logs" else said(told.reply)


CLICKED = ("resume", "cancel", "logs")
"""The verbs that can be clicked."""

SHORTCUT_ORIGIN = ":shortcut"
"""Marks what is clicked in the answer to the message shortcut."""


def choice(told: Answer, runs: Sequence[Run]) -> list[Block]:
    """The answer to the message shortcut: where the runs stand, and what can be done now."""
    if len(runs) == 1:
        return [*said(told.reply), *actions(runs[0], SHORTCUT_ORIGIN)]
    listed = told.body["candidates"]
    if not listed:
        return said(told.reply)
    pickers = (picker(verb, listed, SHORTCUT_ORIGIN) for verb in ("resume", "cancel"))
    shown = said(told.reply, _BESIDE_A_PICKER)
    return [*shown, *(block for picked in pickers for block in picked)]


def called(user: str, text: str) -> list[Block]:
    """A message that calls one person."""
    elements = [
        {"type": "user", "user_id": user},
        {"type": "text", "text": f" {fitted(text, 2900)}"},
    ]
    section = {"type": "rich_text_section", "elements": elements}
    return [{"type": "rich_text", "elements": [section]}]
