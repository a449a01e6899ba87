"""`resume`: claim a run that failed, waits at its gate or lost its worker."""

from bot import replies
from bot.commands.choosing import CLAIMED, RESUMABLE, choose, newest
from bot.commands.context import Context
from bot.commands.placing import move_of, unstarted
from bot.outcome import Outcome, Word
from bot.ports import WorktreeHeldError
from bot.run import FINAL, Run

_JUST_NOW_SECONDS = 60.0
_SWAPS = 3
"""A miss is probed for the truth; where a resume is allowed after all, it is tried again."""


def resume(context: Context) -> Outcome:
    """Claim the chosen run, or tell what happened instead."""
    chosen = _chosen(context)
    if isinstance(chosen, Outcome):
        return chosen
    try:
        return _claim(context, chosen)
    except WorktreeHeldError:
        return _worktree_busy(context, chosen)


def _chosen(context: Context) -> Run | Outcome:
    """The run to resume; where there is none, the one that somebody else has just resumed."""
    chosen = choose(context, RESUMABLE)
    if isinstance(chosen, Run) or chosen.word is not Word.NOTHING_HERE:
        return chosen
    claimed = newest(context, CLAIMED)
    recent = claimed is not None and context.tx.now - claimed.changed.at < _JUST_NOW_SECONDS
    return claimed if claimed is not None and recent else chosen


def _claim(context: Context, seen: Run) -> Outcome:
    worker = context.invocation.message.worker
    for _ in range(_SWAPS):
        move = move_of(context, seen)
        host = (move.worktree if move else seen.worktree).host
        if worker is not None and host != context.house.host:
            return Outcome(word=Word.INVALID, reply=replies.works_elsewhere(seen), run=seen)
        won = context.tx.claims.resume(seen.id, context.by, context.seen_epoch, worker, move)
        if won is not None:
            return _resumed(context, won, seen)
        seen = context.tx.runs.get(seen.id) or seen
        if not seen.resumable or context.seen_epoch not in {None, seen.epoch}:
            break
    return _missed(context, seen)


def _resumed(context: Context, won: Run, before: Run) -> Outcome:
    reply = replies.resumed(won, before)
    if won.worktree.host != before.worktree.host:
        reply += replies.moved(won, before)
    reply += unstarted(context, won)
    gate = before.step.name if before.step and before.step.gate else None
    return Outcome(
        word=Word.RESUMED,
        reply=reply,
        run=won,
        by=won.changed,
        changed_from=before.status,
        detail=f"passed gate {gate}" if gate else before.error,
    )


def _missed(context: Context, run: Run) -> Outcome:
    word, reply = _why(context, run)
    reply += unstarted(context, run)
    return Outcome(word=word, reply=reply, run=run, by=run.changed)


def _why(context: Context, run: Run) -> tuple[Word, str]:
    by, now = run.changed, context.tx.now
    if run.status in FINAL:
        return Word.NOT_RESUMABLE, replies.not_resumable(run, by, now, context.door)
    if run.resumable and context.seen_epoch is not None:
        moved = replies.moved_on(run, context.seen_epoch, by, now, context.door)
        return Word.NOT_RESUMABLE, moved
    return Word.ALREADY_RUNNING, replies.already_running(run, by, now, context.door)


def _worktree_busy(context: Context, kept: Run) -> Outcome:
    move = move_of(context, kept)
    holder = context.tx.runs.holder_of(move.worktree if move else kept.worktree)
    reply = replies.worktree_busy(kept.branch, holder, context.tx.now, context.door, kept)
    by = holder.changed if holder else None
    return Outcome(word=Word.WORKTREE_BUSY, reply=reply, run=kept, by=by)
