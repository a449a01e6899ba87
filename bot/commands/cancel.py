"""`cancel`: end a run for good; it never waits for the run."""

from bot import replies
from bot.commands.choosing import CANCELLABLE, choose
from bot.commands.context import Context
from bot.commands.placing import unstarted
from bot.outcome import Outcome, Word
from bot.run import Run, RunStatus


def cancel(context: Context) -> Outcome:
    """Cancel the chosen run, or tell what happened instead."""
    chosen = choose(context, CANCELLABLE)
    if isinstance(chosen, Outcome):
        return chosen
    won = context.tx.claims.cancel(chosen.id, context.by, context.seen_epoch)
    if won is not None:
        return Outcome(
            word=Word.CANCELLED,
            reply=replies.cancelled(won, chosen),
            run=won,
            by=won.changed,
            changed_from=chosen.status,
            detail=_declined(chosen),
        )
    return _missed(context, context.tx.runs.get(chosen.id) or chosen)


def _declined(before: Run) -> str | None:
    waits = before.status is RunStatus.PAUSED and before.step is not None
    return f"declined gate {before.step.name}" if waits and before.step else None


def _missed(context: Context, run: Run) -> Outcome:
    by, now = run.changed, context.tx.now
    if run.status is RunStatus.CANCELLED:
        word, reply = Word.ALREADY_CANCELLED, replies.already_cancelled(run, by, now)
    elif run.status is RunStatus.COMPLETED:
        word, reply = Word.ALREADY_FINISHED, replies.already_finished(run, by, now)
    else:
        seen = context.seen_epoch or 0
        moved = replies.moved_on(run, seen, by, now, context.door)
        word, reply = Word.ALREADY_RUNNING, moved + unstarted(context, run)
    return Outcome(word=word, reply=reply, run=run, by=by)
