"""Commands that only look: `status`, `runs`, `logs`, `history`, `help`."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from bot import replies
from bot.commands.choosing import OPEN_THEN_ANY, choose
from bot.commands.context import Context
from bot.commands.placing import unstarted
from bot.conversation import Door
from bot.history import history as history_of
from bot.outcome import Outcome, Word
from bot.output import Output
from bot.ports import Transaction
from bot.run import Change, Run, RunStatus

LISTED_IN_CHAT = 20
LOG_LINES = 20
_READ_BYTES = 64 * 1024
_LONGEST_LINE = 1000
_UNLIMITED_DOORS = frozenset({Door.CLI, Door.API})
_ESCAPES = re.compile(
    r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|.)"
    r"|\x9b[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def status(context: Context) -> Outcome:
    """Where one run stands, or every open run of this conversation."""
    chosen = choose(context, OPEN_THEN_ANY)
    if isinstance(chosen, Run):
        waits, cancelled_by = unstarted(context, chosen), _cancelled_by(context, chosen)
        reply = replies.status(chosen, context.tx.now, context.door, waits, cancelled_by)
        return Outcome(word=Word.SHOWN, reply=reply, run=chosen, by=chosen.changed)
    if chosen.candidates and not context.rest:
        return _listed(context, chosen.candidates, more=False)
    return chosen


def _cancelled_by(context: Context, run: Run) -> Change | None:
    """Who cancelled it; whoever released its worktree has changed it since."""
    if run.status is not RunStatus.CANCELLED:
        return None
    for event in reversed(context.tx.watching.transitions(run.id)):
        if event.verb == "cancel":
            return Change(event.actor, event.door, event.at, event.name)
    return run.changed


def runs(context: Context) -> Outcome:
    """Every run, newest first; in chat the newest ones of this team or guild."""
    limit = None if context.door in _UNLIMITED_DOORS else LISTED_IN_CHAT + 1
    found = context.tx.runs.recent(limit, context.fence)
    more = limit is not None and len(found) == limit
    return _listed(context, found[:LISTED_IN_CHAT] if more else found, more=more)


def _listed(context: Context, found: Sequence[Run], *, more: bool) -> Outcome:
    reply = replies.run_list(found, context.tx.now, more=more, door=context.door)
    return Outcome(word=Word.SHOWN, reply=reply, candidates=tuple(found))


def logs(context: Context) -> Outcome:
    """The last lines of a run's output."""
    chosen = choose(context, OPEN_THEN_ANY)
    if isinstance(chosen, Outcome):
        return chosen
    lines = _last_lines(context, chosen)
    reply = replies.log_tail(chosen, lines)
    return Outcome(word=Word.SHOWN, reply=reply, run=chosen, by=chosen.changed)


def _last_lines(context: Context, run: Run) -> Sequence[str]:
    output = (
        told_elsewhere(context.tx, run.id, context.house.host)
        or end_of(context.house.log_path(run.id))
        or context.tx.outputs.get(run.id)
    )
    return last_lines(output) if output else ()


def told_elsewhere(tx: Transaction, run_id: str, host: str) -> Output | None:
    """What another host told of the output, where the run is there; a file here may be older."""
    run = tx.runs.get(run_id)
    return tx.outputs.get(run_id) if run is not None and run.worktree.host != host else None


def last_lines(output: Output) -> Sequence[str]:
    """The last lines of an output, without what would steer a terminal."""
    lines = output.content.decode("utf-8", "replace").splitlines()
    whole = lines[1:] if output.start and len(lines) > 1 else lines
    return [plain(line)[:_LONGEST_LINE] for line in whole[-LOG_LINES:]]


def end_of(path: Path) -> Output | None:
    """The end of a file, however large it is; None where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(0, size - _READ_BYTES))
            return Output(start, file.read())
    except FileNotFoundError:
        return None


def plain(line: str) -> str:
    """A line of output without its end and without whatever would steer a terminal."""
    return _ESCAPES.sub("", line.rstrip("\n"))


def history(context: Context) -> Outcome:
    """What was asked of a run, by whom, and what came of it."""
    chosen = choose(context, OPEN_THEN_ANY)
    if isinstance(chosen, Outcome):
        return chosen
    events = tuple(context.tx.audit.of(chosen.id))
    reply = history_of(chosen, events, context.tx.now)
    return Outcome(word=Word.SHOWN, reply=reply, run=chosen, by=chosen.changed, events=events)


def help_(context: Context) -> Outcome:
    """What this person may do here."""
    usages = [
        (usage, meaning)
        for usage, meaning, needed in context.house.usages.values()
        if context.role >= needed
    ]
    workflows = {name: flow.description for name, flow in context.house.catalogue.items()}
    reply = replies.help_text(usages, workflows, context.door)
    return Outcome(word=Word.SHOWN, reply=reply)
