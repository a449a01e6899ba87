"""Who may do what: closed until a list opens it, the same for every door."""

import pytest

from bot.access import Policy, Role, policy_of, valid_entry
from bot.commands import COMMANDS
from bot.conversation import Author, Door

LISTS = policy_of(
    viewers=["slack:U1", "everyone"],
    operators=["slack-group:S1"],
    admins=["web:ana"],
    local=Role.OPERATOR,
)


@pytest.mark.parametrize(
    ("author", "door", "role"),
    [
        (Author("slack:U1"), Door.SLACK_SLASH, Role.VIEWER),
        (Author("slack:U9"), Door.SLACK_SLASH, Role.VIEWER),
        (Author("slack:U9", frozenset({"slack-group:S1"})), Door.SLACK_BUTTON, Role.OPERATOR),
        (Author("web:ana"), Door.WEB, Role.ADMIN),
        (Author("cli:bob"), Door.CLI, Role.OPERATOR),
        (Author("cli:bob"), Door.TERMINAL, Role.OPERATOR),
    ],
)
def test_role(author: Author, door: Door, role: Role) -> None:
    assert LISTS.role_of(author, door) is role


@pytest.mark.parametrize("door", Door)
def test_nobody_may_do_anything_until_the_lists_say_so(door: Door) -> None:
    closed = Policy({}, Role.NONE)
    assert closed.role_of(Author("slack:U1"), door) is Role.NONE
    assert all(command.role > Role.NONE for command in COMMANDS.values())


@pytest.mark.parametrize(
    "entry", ["slack:U1A", "slack-group:S1", "discord:12", "cli:ana", "everyone"]
)
def test_valid_entries(entry: str) -> None:
    assert valid_entry(entry)


@pytest.mark.parametrize(
    "entry", ["", "U1", "slack:", "slack:x", "discord:ab", "*", "cli: a", "Everyone"]
)
def test_malformed_entries(entry: str) -> None:
    assert not valid_entry(entry)
