"""Text as Discord shows it: what people and processes wrote is never live.

Discord reads Markdown, mentions and addresses in every message
(docs.discord.com: reference#message-formatting).
"""

import re

from bot.words import clean

LONGEST_CONTENT = 2000
_LIVE = re.compile(r"([\\`*_~|\[\]<])")
_AT_LINE_START = re.compile(r"^([^\S\n]*)([-#>+]|\d+(?=\.))", re.MULTILINE)
_EVERYBODY = re.compile(r"@(?=everyone|here)", re.IGNORECASE)
_FENCE = re.compile(r"`(?=``)")
_NAMED = re.compile(r":(?=[\w+-]+:)")
"""Between two colons stands the name of an emoji."""
_INVITATION = re.compile(r"(?<=discord)(?=\.gg/|(?:app)?\.com/invite/)", re.IGNORECASE)
_JOINER = "\u200b"


def escaped(text: str) -> str:
    """Text of any origin: it looks as it is, calls nobody and links nowhere."""
    dead = _LIVE.sub(r"\\\1", clean(text, LONGEST_CONTENT * 2))
    dead = _AT_LINE_START.sub(_defused, dead)
    dead = _INVITATION.sub(_JOINER, _NAMED.sub(r"\\:", dead))
    return _EVERYBODY.sub(f"@{_JOINER}", dead).replace("://", ":\\//")


def _defused(found: re.Match[str]) -> str:
    marker = found[2]
    return f"{found[1]}\\{marker}" if not marker.isdigit() else f"{found[1]}{marker}{_JOINER}"


def fitted(text: str, limit: int = LONGEST_CONTENT) -> str:
    """Escaped text, cut so that it is no longer than this."""
    shown = escaped(text)
    while len(shown) > limit:
        text = text[: len(text) * limit // len(shown) - 1].rstrip("…") + "…"
        shown = escaped(text)
    return shown


def fits(text: str, limit: int = LONGEST_CONTENT) -> bool:
    """Whether the whole text can be shown within this length."""
    return len(text) <= limit and len(escaped(text)) <= limit


def block(text: str) -> str:
    """Output of a program, shown as it is."""
    return f"```\n{_FENCE.sub(f'`{_JOINER}', clean(text, LONGEST_CONTENT * 2))}\n```"


def moment(at: float) -> str:
    """How long ago something was: it goes on being true, since the reader's Discord writes it."""
    return f"<t:{int(at)}:R>"


def small(text: str) -> str:
    """A line in small letters; the text is escaped already."""
    return f"-# {text}"
