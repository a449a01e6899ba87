"""`release`: free the worktree of a cancelled run whose processes could not be proven gone."""

from bot import replies
from bot.commands.choosing import HELD, choose
from bot.commands.context import Context
from bot.outcome import Outcome, Word


def release(context: Context) -> Outcome:
    """Release the named run's worktree, or tell why not."""
    chosen = choose(context, HELD)
    if isinstance(chosen, Outcome):
        return chosen
    won = context.tx.claims.release(chosen.id, context.by, context.seen_epoch)
    if won is not None:
        return Outcome(
            word=Word.RELEASED,
            reply=replies.released(won),
            run=won,
            by=won.changed,
            changed_from=chosen.status,
        )
    if not chosen.held:
        return Outcome(word=Word.NOTHING_HERE, reply=replies.nothing_held(chosen), run=chosen)
    reply = replies.still_worked_on(chosen, context.tx.now, context.door)
    return Outcome(word=Word.ALREADY_RUNNING, reply=reply, run=chosen, by=chosen.changed)
