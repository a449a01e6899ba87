"""Every command of Baton, in one table: what it is called, who may, and what carries it out.

A command is a plain function of an open transaction with no effect outside it. A new command is
one function, one line in this table, one reply and one dialogue in the tests.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.access import Role
from bot.commands import looking
from bot.commands.cancel import cancel
from bot.commands.context import Context, House
from bot.commands.release import release
from bot.commands.resume import resume
from bot.commands.run import run
from bot.outcome import Outcome

__all__ = ["COMMANDS", "USAGES", "Command", "Context", "House"]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its handler, how it is typed, what it means, who may, and what it writes."""

    carry_out: Callable[[Context], Outcome]
    usage: str
    meaning: str
    role: Role
    changes: bool = False


COMMANDS: Mapping[str, Command] = {
    "run": Command(run, "run WORKFLOW [key=value ...]", "start a run", Role.OPERATOR, changes=True),
    "resume": Command(
        resume, "resume [RUN]", "go on with a run, or pass its gate", Role.OPERATOR, changes=True
    ),
    "cancel": Command(
        cancel, "cancel [RUN]", "end a run, or decline its gate", Role.OPERATOR, changes=True
    ),
    "release": Command(release, "release RUN", "free a worktree by hand", Role.ADMIN, changes=True),
    "status": Command(looking.status, "status [RUN]", "where a run stands", Role.VIEWER),
    "runs": Command(looking.runs, "runs", "every run, newest first", Role.VIEWER),
    "logs": Command(looking.logs, "logs [RUN]", "the last output of a run", Role.VIEWER),
    "history": Command(looking.history, "history [RUN]", "who asked what of a run", Role.VIEWER),
    "help": Command(looking.help_, "help", "this list", Role.VIEWER),
}

USAGES = {
    verb: (command.usage, command.meaning, command.role) for verb, command in COMMANDS.items()
}
