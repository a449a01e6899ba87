"""What people see in Discord: cards, answers, choices and questions, as content and components.

Plain content, no embeds: it needs no permission, a screen reader reads it in order, and it is
what a phone shows. Limits are those of docs.discord.com: components/reference, resources/message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.discord.api import Attachment
from adapters.discord.text import (
    LONGEST_CONTENT,
    block,
    escaped,
    fits,
    fitted,
    moment,
    small,
)
from bot.card import Button, asked_for, buttons, cancelling, progress, took
from bot.outcome import Answer, Word
from bot.run import Run
from bot.words import clean, state

Components = list[dict[str, Any]]

_LONGEST_LABEL = 80
_LONGEST_OPTION = 100
_LONGEST_STATE = 900
_LONGEST_CONTEXT = 400
_LONGEST_PLACEHOLDER = 150
_LONGEST_QUESTION = 1800
_ROW, _BUTTON, _SELECT = 1, 2, 3
_SECONDARY, _SUCCESS, _DANGER = 2, 3, 4
NOBODY: Mapping[str, Any] = {"parse": []}
"""Nobody is called, whatever the text."""

ASK = "ask"
"""Asks before it cancels."""
KEEP = "keep"
"""Leaves everything as it is."""
ACTS = ("resume", "cancel", "logs", ASK, KEEP)
"""What a button can stand for."""
CHOICE_PREFIX = "baton:choose:"
KEEP_PREFIX = f"baton:{KEEP}:"
CHOSEN = ("resume", "cancel", "release", "status", "logs", "history")
"""The verbs for which a run can be chosen."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as it will be seen."""

    content: str
    components: Components
    attachment: Attachment | None = None

    @property
    def body(self) -> dict[str, Any]:
        """What Discord is sent; nothing stays of an earlier message in this place."""
        body: dict[str, Any] = {
            "content": self.content,
            "components": self.components,
            "allowed_mentions": NOBODY,
        }
        if self.attachment is None:
            return {**body, "attachments": []}
        return {**body, "attachments": [{"id": 0, "filename": self.attachment.name}]}


# --- buttons ---------------------------------------------------------------------------------


def custom_id(act: str, run: Run) -> str:
    """What a click tells: what to do, with which run, at the epoch that was shown."""
    return f"baton:{act}:{run.id}:{run.epoch}"


def choice_id(verb: str) -> str:
    """What a choice tells: what to do with the run that is chosen."""
    return f"{CHOICE_PREFIX}{verb}"


def _button(act: str, label: str, run: Run, style: int) -> dict[str, Any]:
    return {
        "type": _BUTTON,
        "style": style,
        "label": clean(label, _LONGEST_LABEL),
        "custom_id": custom_id(act, run),
    }


def _row(elements: list[dict[str, Any]]) -> Components:
    return [{"type": _ROW, "components": elements}] if elements else []


def _card_button(run: Run, button: Button) -> dict[str, Any]:
    asks = button.confirmation is not None
    style = _DANGER if asks else _SUCCESS if button.main else _SECONDARY
    return _button(ASK if asks else button.verb, button.label, run, style)


def question(run: Run) -> Shown:
    """What is asked before a cancel counts."""
    asked = cancelling(run)
    yes = _button("cancel", asked.yes, run, _DANGER)
    no = _button(KEEP, asked.no, run, _SECONDARY)
    text = fitted(asked.text, _LONGEST_QUESTION)
    return Shown(f"**{escaped(asked.title)}**\n{text}", _row([yes, no]))


def _choice(verb: str, candidates: Sequence[Mapping[str, Any]]) -> Components:
    element = {
        "type": _SELECT,
        "custom_id": choice_id(verb),
        "placeholder": clean(f"Choose a run to {_CHOOSE.get(verb, 'show')}", _LONGEST_PLACEHOLDER),
        "options": [_option(run) for run in candidates],
    }
    return _row([element])


_CHOOSE = {"resume": "resume", "cancel": "cancel", "release": "release"}


def _option(run: Mapping[str, Any]) -> dict[str, Any]:
    label = f"{run['workflow']} {run['id']}"
    about = f"{run['status']}, step {run['step'] or 'none left'}"
    return {
        "label": clean(label, _LONGEST_OPTION),
        "description": clean(about, _LONGEST_OPTION),
        "value": f"{run['id']}:{run['epoch']}",
    }


# --- cards -----------------------------------------------------------------------------------


def title(run: Run) -> str:
    """The first line of a run's card, by which it is known."""
    return f"**{escaped(clean(run.workflow, _LONGEST_LABEL))}** `{run.id}`"


def card(run: Run) -> Shown:
    """One message per run: name, progress, state in words, who asked, and what can be clicked."""
    lines = [title(run), escaped(progress(run)), fitted(state(run, None), _LONGEST_STATE)]
    if run.notice:
        lines.append(fitted(run.notice, _LONGEST_CONTEXT))
    lines.append(small(_context(run)))
    return Shown(fitted_lines(lines), _row([_card_button(run, button) for button in buttons(run)]))


def fitted_lines(lines: Sequence[str]) -> str:
    """Lines that were fitted before, as one content."""
    return "\n".join(lines)[:LONGEST_CONTENT]


def _context(run: Run) -> str:
    parts = [
        fitted(asked_for(run), _LONGEST_CONTEXT),
        f"started {moment(run.requested.at)}",
        f"last change {moment(run.changed.at)}",
    ]
    if run.final and not run.held:
        parts.append(took(run))
    return " · ".join(parts)


# --- answers ---------------------------------------------------------------------------------


def answer(told: Answer, verb: str) -> Shown:
    """An answer to one person: what was said, and what can be chosen."""
    candidates = told.body["candidates"]
    if told.word is Word.AMBIGUOUS and candidates and verb in CHOSEN:
        return Shown(fitted(told.reply), _choice(verb, candidates))
    if verb == "logs" and told.word is Word.SHOWN:
        return _output(told)
    return said(told.reply)


def said(text: str, aside: str = "") -> Shown:
    """An answer as it is; what is too long for a message comes whole as a file."""
    last = f"\n{small(fitted(aside, _LONGEST_CONTEXT))}" if aside else ""
    room = LONGEST_CONTENT - len(last)
    if fits(text, room):
        return Shown(escaped(text) + last, [])
    return Shown(fitted(text, room) + last, [], Attachment("answer.txt", text))


def _output(told: Answer) -> Shown:
    """The first line as it is, and what follows as output of a program."""
    first, _, rest = told.reply.partition("\n")
    if not rest:
        return said(first)
    heading = fitted(first, LONGEST_CONTENT // 2)
    room = LONGEST_CONTENT - len(heading) - 1
    shown = block(rest)
    if len(shown) <= room:
        return Shown(f"{heading}\n{shown}", [])
    attachment = Attachment(f"log-{told.run_id}.txt", rest)
    return Shown(f"{heading}\n{_end_of(rest, room)}", [], attachment)


def _end_of(output: str, room: int) -> str:
    """As much of the end of an output as fits."""
    kept = output[-room:]
    while len(shown := block(f"…{kept}")) > room:
        kept = kept[len(kept) // 8 + 1 :]
    return shown
