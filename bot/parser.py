"""From text to one of exactly three results: a command, an immediate answer, or not for us."""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass

from bot import replies
from bot.conversation import Invocation, Message

LONGEST_MESSAGE = 40_000
_CLOSE = 0.75
"""So alike is a mistyped verb; at the library's own 0.6 hello is taken for help."""
_ID_LIKE = re.compile(r"[a-z0-9]{4,8}", re.IGNORECASE)
_START_LIKE = re.compile(r"\S+(\s+\w+=\S*)*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


_WITH_ARGUMENTS = "run"
"""What stands behind it reaches processes, and no argument of theirs has a NUL."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The text can be answered at once; no command was meant or could be understood."""

    reply: str


@dataclass(frozen=True, slots=True)
class NotForUs:
    """Plain talk: it gets no answer."""


Parsed = Invocation | Answered | NotForUs


def parse(message: Message, verbs: Collection[str]) -> Parsed:
    """What a message asks for. Never raises, whatever the text.

    A text begins with a verb, with or without a slash before it. Where a message may not be
    meant for Baton (`addressed` is False), everything but a whole command is plain talk.
    """
    if len(message.text) > LONGEST_MESSAGE:
        return Answered(replies.too_long(LONGEST_MESSAGE))
    text = _CONTROL.sub(" ", message.text).strip()
    if not text:
        return NotForUs()
    first, *following = text.split(maxsplit=1)
    rest = following[0] if following else ""
    verb = first.removeprefix("/").lower()
    if not message.addressed and not _whole_command(verb, rest, verbs):
        return NotForUs()
    if verb not in verbs:
        close = difflib.get_close_matches(verb, verbs, n=1, cutoff=_CLOSE)
        return Answered(replies.unknown_command(first, close[0] if close else None))
    if verb == _WITH_ARGUMENTS and "\0" in message.text:
        return Answered(replies.no_text())
    return Invocation(verb, rest, message)


def _whole_command(verb: str, rest: str, verbs: Collection[str]) -> bool:
    """Whether unaddressed text is a command and nothing else: `stop the deploy` is speech."""
    if verb not in verbs:
        return False
    return not rest or (_START_LIKE if verb == "run" else _ID_LIKE).fullmatch(rest) is not None
