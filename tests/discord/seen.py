"""What people see of what Baton shows in Discord, and what must never be seen."""

import re
from collections.abc import Iterator

from tests.discord.double import Discord, Interaction, SentMessage
from tests.discord.payloads import buttons_of

TITLE = re.compile(r"\*\*.+\*\* `([a-z0-9]{8})`\n")
ASIDE = re.compile(r"\n-# ([^\n]*)\Z")


def plain(content: str) -> str:
    """What people read: without what keeps it from being live."""
    return re.sub(r"\\(.)|[*`\u200b]", r"\1", content)


def words_of(message: SentMessage) -> str:
    """What it says, without who did it."""
    return plain(ASIDE.sub("", message.content))


def aside_of(message: SentMessage) -> str | None:
    """Who did it, in small letters at the end of what everybody is told."""
    found = ASIDE.search(message.content)
    return plain(found[1]) if found else None


def title_of(message: SentMessage) -> str | None:
    """The run whose card this is."""
    found = TITLE.match(message.content) if message.interaction is None else None
    return found[1] if found else None


def is_over(interaction: Interaction) -> bool:
    """Whether something better than a promise came of it, here or elsewhere."""
    taken_back = interaction.original is not None and interaction.original.deleted
    return interaction.answered or (bool(interaction.responses) and taken_back)


def answers_to(interaction: Interaction) -> Iterator[SentMessage]:
    """What is there because of it: a new message, or what became of the one that was clicked."""
    message = interaction.original
    if message is not None and not message.deleted:
        begun = interaction.sent_at[0]
        if message.interaction == interaction.id or any(one.at >= begun for one in message.edits):
            yield message
    yield from interaction.followups


def flaws(discord: Discord) -> Iterator[str]:
    """What is wrong with anything that was ever shown."""
    for message in discord.posted:
        if message.loading and not message.deleted:
            yield f"goes on thinking: {message}"
        if not message.content and not message.deleted:
            yield f"says nothing: {message}"
        if message.pinged and (message.reference is None or aside_of(message)):
            yield f"calls somebody: {message}"
        acts = [one.split(":")[1] for one in buttons_of(message.components).values()]
        if "cancel" in acts and "keep" not in acts:
            yield f"cancels without asking: {message.components}"
    for interaction in discord.interactions.values():
        if interaction.refused:
            yield f"answered in a way that Discord refused: {interaction.refused}"
