"""What Discord makes of a text, as far as a test has to know it.

The rules are those of its client: a backslash takes the life out of any sign, names between colons
become emojis, addresses become links, and invitations need no "https" to be shown as such.
"""

import re

_ESCAPED = re.compile(r"\\([^0-9A-Za-z\s])")
_JOINER = "\u200b"
_LIVE = re.compile(
    r"""[*_~|`\[\]<]
      | @(?=everyone|here)
      | ://
      | ^[^\S\n]*(?:[-\#>+]|\d+\.)""",
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)
_EMOJI = re.compile(r":(?:smile|skull|warning|x|b|o|100|\+1):")
_INVITATION = re.compile(r"discord(?:\.gg|(?:app)?\.com/invite)/\w", re.IGNORECASE)
_OURS = re.compile(
    r"""^\*\*(?=[^*\n]+\*\*) | (?<=[^\\\n])\*\*(?=$|[ ]`[a-z0-9]{8}`$)
      | `[a-z0-9]{8}`(?=$)
      | ^-\#[ ]
      | (?<!\\)<t:\d+:R>
      | \A<@\d+>[ ]""",
    re.VERBOSE | re.MULTILINE,
)
FENCE = "```"


def seen(content: str) -> str:
    """A text as people read it, without what only takes the life out of it."""
    return _ESCAPED.sub(r"\1", content).replace(_JOINER, "")


def live(content: str) -> str | None:
    """The first piece of a text that does more than be read; None if there is none."""
    found = _LIVE.search(_ESCAPED.sub("\N{BULLET}", content))
    return found[0] if found else None


def emoji(content: str) -> str | None:
    """The first name that becomes an emoji: some of those that also stand in logs and paths."""
    found = _EMOJI.search(_ESCAPED.sub("\N{BULLET}", content))
    return found[0] if found else None


def invitation(content: str) -> str | None:
    """The first invitation to a server, which gets a button to join it."""
    found = _INVITATION.search(content)
    return found[0] if found else None


def live_in_message(content: str) -> str | None:
    """The same of a whole message: what Baton itself makes live in it does not count."""
    text, *block = content.split(f"\n{FENCE}\n", 1)
    if block:
        inside = block[0].removesuffix(f"\n{FENCE}")
        if inside == block[0] or FENCE in inside:
            return FENCE
    return live(_OURS.sub("", text))
