"""What a command works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.access import Role
from bot.conversation import Conversation, Door, Fence, Invocation
from bot.ports import Transaction
from bot.run import Change
from bot.workflows import Catalogue
from bot.workshop import Places


@dataclass(frozen=True, slots=True)
class House:
    """What every command may know beside the database: what can be run, and where.

    `shared` where other hosts may use the same database, and work on runs, too.
    """

    host: str
    shared: bool
    catalogue: Catalogue
    places: Places
    log_path: Callable[[str], Path]
    usages: Mapping[str, tuple[str, str, Role]]


@dataclass(frozen=True, slots=True)
class Context:
    """One command about to be carried out in an open transaction."""

    tx: Transaction
    invocation: Invocation
    role: Role
    house: House

    @property
    def verb(self) -> str:
        """The command's word."""
        return self.invocation.verb

    @property
    def rest(self) -> str:
        """What was typed behind the verb."""
        return self.invocation.rest

    @property
    def door(self) -> Door:
        """Where the command came in."""
        return self.invocation.message.door

    @property
    def conversation(self) -> Conversation:
        """Where it was said."""
        return self.invocation.message.conversation

    @property
    def fence(self) -> Fence | None:
        """Whose runs may be looked up: an admin's look goes everywhere."""
        return None if self.role is Role.ADMIN else self.conversation.fence

    @property
    def seen_epoch(self) -> int | None:
        """The epoch that the caller saw, if the caller saw one."""
        return self.invocation.message.seen_epoch

    @property
    def by(self) -> Change:
        """The change that this command makes, if it makes one."""
        author = self.invocation.message.author
        return Change(author.actor, self.door, self.tx.now, author.name)
