"""Who may do what: one policy for every door, closed until the configuration opens it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from bot.conversation import LOCAL_DOORS, Author, Door


class Role(IntEnum):
    """What a person may do; each role includes the ones below it."""

    NONE = 0
    """Nothing: everybody whom no list names."""
    VIEWER = 1
    """Look at runs, logs and history."""
    OPERATOR = 2
    """Also run, resume and cancel."""
    ADMIN = 3
    """Also make tokens, and release a worktree by hand."""

    @property
    def word(self) -> str:
        """The role as people write it."""
        return self.name.lower()


EVERYONE = "everyone"

GRANTED = "token:"
"""A token's role is its entry: `token:operator` is a group that no list can name."""

_ENTRY = re.compile(
    r"""(everyone
      | slack:[UW][A-Z0-9]+ | slack-group:S[A-Z0-9]+ | slack-channel:[CG][A-Z0-9]+
      | discord:\d+ | discord-role:\d+ | discord-channel:\d+
      | (web|api|cli|terminal):[^\s:]+)""",
    re.VERBOSE,
)


def valid_entry(entry: str) -> bool:
    """Whether an entry of an access list has one of the forms that the contract names."""
    return _ENTRY.fullmatch(entry) is not None


_GRANTS = {f"{GRANTED}{role.word}": role for role in Role}


def granted(role: Role) -> frozenset[str]:
    """The groups of whoever comes with a token of this role."""
    return frozenset({f"{GRANTED}{role.word}"})


@dataclass(frozen=True, slots=True)
class Policy:
    """The configured lists, and the role of the local command line and terminal."""

    entries: Mapping[str, Role]
    local: Role

    def role_of(self, author: Author, door: Door) -> Role:
        """The highest role that any list, or being local, gives to this author."""
        named = [self.entries.get(name, Role.NONE) for name in self._names(author)]
        granted = [_GRANTS.get(name, Role.NONE) for name in author.groups]
        return max(*named, *granted, self.local if door in LOCAL_DOORS else Role.NONE)

    def enough_for(self, needed: Role) -> Sequence[str]:
        """The entries of the lists to which this role, or a higher one, is given."""
        return [name for name, role in self.entries.items() if role >= needed]

    @staticmethod
    def _names(author: Author) -> Iterable[str]:
        everyone = () if author.outsider else (EVERYONE,)
        return (author.actor, *everyone, *author.groups)


def policy_of(
    *, viewers: Iterable[str], operators: Iterable[str], admins: Iterable[str], local: Role
) -> Policy:
    """The policy of these lists; an entry in several lists has the highest of their roles."""
    entries: dict[str, Role] = {}
    for role, names in (
        (Role.VIEWER, viewers),
        (Role.OPERATOR, operators),
        (Role.ADMIN, admins),
    ):
        entries.update(dict.fromkeys(names, role))
    return Policy(entries, local)
