"""Which run a command is about: the one that was named, or the only one that fits."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot import replies
from bot.commands.context import Context
from bot.outcome import Outcome, Word
from bot.ports import PICKER_SIZE
from bot.run import Run, RunStatus


@dataclass(frozen=True, slots=True)
class Fitting:
    """Which runs of a conversation fit a command: the first of these lists that is not empty."""

    statuses: Sequence[Sequence[RunStatus]]
    resumable: bool = False


RESUMABLE = Fitting(((RunStatus.FAILED, RunStatus.PAUSED, RunStatus.RUNNING),), resumable=True)
CLAIMED = Fitting(((RunStatus.PENDING, RunStatus.RUNNING),))
CANCELLABLE = Fitting(
    ((RunStatus.PENDING, RunStatus.RUNNING, RunStatus.PAUSED), (RunStatus.FAILED,))
)
HELD = Fitting(((RunStatus.CANCELLED,),))
OPEN_THEN_ANY = Fitting(
    (
        (RunStatus.PENDING, RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.FAILED),
        (RunStatus.COMPLETED, RunStatus.CANCELLED),
    )
)


def choose(context: Context, fitting: Fitting) -> Run | Outcome:
    """The run that the command is about, or the outcome that says why there is none."""
    if context.rest:
        return _one(context, _named(context))
    return _one(context, _fitting(context, fitting))


def newest(context: Context, fitting: Fitting) -> Run | None:
    """The run of this conversation that changed last among those that fit."""
    return next(iter(_fitting(context, fitting)), None)


def _named(context: Context) -> Sequence[Run]:
    return context.tx.runs.find(context.rest, context.fence)


def _fitting(context: Context, fitting: Fitting) -> Sequence[Run]:
    for statuses in fitting.statuses:
        found = context.tx.runs.of_conversation(
            context.conversation, statuses, resumable=fitting.resumable
        )
        if found:
            return found
    return ()


def _one(context: Context, found: Sequence[Run]) -> Run | Outcome:
    if len(found) == 1:
        return found[0]
    return _ambiguous(context, found) if found else _none(context)


def _none(context: Context) -> Outcome:
    if context.rest:
        fenced = context.fence is not None
        reply = replies.not_found(context.rest, context.door, fenced=fenced)
        return Outcome(word=Word.NOT_FOUND, reply=reply)
    return Outcome(word=Word.NOTHING_HERE, reply=replies.nothing_here(context.verb, context.door))


def _ambiguous(context: Context, found: Sequence[Run]) -> Outcome:
    offered = tuple(found[:PICKER_SIZE])
    more = len(found) > PICKER_SIZE
    reply = replies.which_run(context.verb, offered, context.tx.now, more=more, door=context.door)
    return Outcome(word=Word.AMBIGUOUS, reply=reply, candidates=offered)
