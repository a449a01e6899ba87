"""`run`: start a workflow in a worktree of its own, or in a branch's."""

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot import replies
from bot.commands.context import Context
from bot.commands.placing import place_of_new, unstarted
from bot.outcome import Outcome, Word
from bot.ports import NewRun, WorktreeHeldError
from bot.workflows import Workflow

LARGEST_ARGUMENTS = 32 * 1024
LONGEST_BRANCH = 240
"""In bytes: git makes a file of the name."""
_ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_PHONE_QUOTES = {0x201C: '"', 0x201D: '"', 0x2018: "'", 0x2019: "'"}
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")
_BRANCH_REFUSED = re.compile(
    r"^[-/.]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|[/.]$|[\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `run` was asked for."""

    workflow: str
    branch: str | None
    arguments: Mapping[str, str]


class _RefusedError(Exception):
    """The words behind `run` cannot be used; the reply says why."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


def run(context: Context) -> Outcome:
    """Claim a worktree for a new run."""
    try:
        given = context.invocation.message.words
        wanted = _read(_words(context.rest) if given is None else given)
        workflow = _workflow(context, wanted)
    except _RefusedError as refused:
        return Outcome(word=Word.INVALID, reply=refused.reply)
    new = _new_run(context, wanted, workflow)
    try:
        claimed = context.tx.claims.insert(new, context.by, context.invocation.message.worker)
    except WorktreeHeldError:
        holder = context.tx.runs.holder_of(new.worktree)
        reply = replies.worktree_busy(new.branch, holder, context.tx.now, context.door, None)
        by = holder.changed if holder else None
        return Outcome(word=Word.WORKTREE_BUSY, reply=reply, by=by)
    context.tx.cards.open(claimed)
    reply = replies.started(claimed) + unstarted(context, claimed)
    return Outcome(word=Word.STARTED, reply=reply, run=claimed, by=claimed.changed)


def _read(words: Sequence[str]) -> Wanted:
    arguments: dict[str, str] = {}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if not equals or not _KEY.fullmatch(key) or _NO_TEXT.search(value):
            raise _RefusedError(replies.bad_argument(word))
        if key.upper() in {known.upper() for known in arguments}:
            raise _RefusedError(replies.argument_twice(key))
        arguments[key] = value
    if sum(len(k) + len(v.encode("utf-8", "replace")) for k, v in arguments.items()) > (
        LARGEST_ARGUMENTS
    ):
        raise _RefusedError(replies.arguments_too_large(LARGEST_ARGUMENTS))
    branch = arguments.pop("branch", None)
    if branch is not None and (
        not branch
        or branch == "@"
        or len(branch.encode("utf-8", "replace")) > LONGEST_BRANCH
        or _BRANCH_REFUSED.search(branch)
    ):
        raise _RefusedError(replies.bad_branch(branch))
    return Wanted(words[0] if words else "", branch, arguments)


def _words(rest: str) -> list[str]:
    """Split as a shell does, taking the quotation marks that phones type for plain ones."""
    plain = rest.translate(_PHONE_QUOTES)
    try:
        return shlex.split(plain)
    except ValueError:
        raise _RefusedError(replies.open_quote()) from None


def _workflow(context: Context, wanted: Wanted) -> Workflow:
    known = context.house.catalogue
    if not wanted.workflow:
        raise _RefusedError(replies.no_workflow_named(known, context.door))
    if wanted.workflow not in known:
        raise _RefusedError(replies.unknown_workflow(wanted.workflow, known))
    return known[wanted.workflow]


def _new_run(context: Context, wanted: Wanted, workflow: Workflow) -> NewRun:
    run_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(8))
    branch = wanted.branch or f"baton/{run_id}"
    where = place_of_new(context, workflow, branch, known_branch=wanted.branch is not None)
    return NewRun(
        id=run_id,
        workflow=workflow.name,
        conversation=context.conversation,
        arguments=wanted.arguments,
        repository=where.repository,
        base=workflow.base,
        branch=branch,
        worktree=where.worktree,
        steps=workflow.steps,
    )
