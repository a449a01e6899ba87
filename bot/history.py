"""What happened to a run, event by event, in words."""

from collections.abc import Mapping, Sequence

from bot.conversation import Door
from bot.outcome import AuditEvent, Word
from bot.run import Change, Run, RunStatus
from bot.watching import Attempt
from bot.words import ago, name_of, who

_BY_PEOPLE: Mapping[str, str] = {
    Word.STARTED: "Asked for by {who}",
    Word.RESUMED: "Resumed by {who}",
    Word.CANCELLED: "Cancelled by {who}",
    Word.RELEASED: "Worktree released by {who}",
    Word.ALREADY_CANCELLED: "{who} asked to {verb} it, and it was cancelled already",
    Word.ALREADY_FINISHED: "{who} asked to {verb} it, and it was completed already",
    Word.ALREADY_RUNNING: "{who} asked to {verb} it, and it had been claimed already",
    Word.NOT_RESUMABLE: "{who} asked to {verb} it, and it was too late for that",
    Word.WORKTREE_BUSY: "{who} asked to {verb} it, and another run held its worktree",
    Word.DENIED: "{who} asked to {verb} it, and was refused",
}
_BY_WORKERS: Mapping[str, str] = {
    "start": "Taken up by the worker on {host}",
    "pause": "Waits at gate",
    "complete": "Completed",
    "fail": "Failed",
    "stopped": "Its processes are gone, and its worktree is free",
    "lost": "Interrupted, since the worker on {host} was not heard of any more",
    "resume": "Resumed by itself after the interruption",
    "move": "Moved to another host, since its own was silent",
}


def told(event: AuditEvent) -> str:
    """An audit event as a sentence without its full stop: “Resumed by ana in Slack”."""
    return _by_worker(event) if event.door == Door.WORKER else _by_person(event)


def _by_person(event: AuditEvent) -> str:
    by = who(Change(event.actor, event.door, event.at, event.name))
    other = f"{{who}} asked to {{verb}} it: {event.outcome.replace('_', ' ')}"
    words = _BY_PEOPLE.get(event.outcome, other).format(who=by, verb=event.verb)
    # What stands beside a resume after a failure is that failure, which was told of before.
    at_gate = event.from_status == RunStatus.PAUSED and event.detail
    return f"{words}, which {event.detail}" if at_gate else words


def _by_worker(event: AuditEvent) -> str:
    host = event.actor.split(":")[1]
    words = _BY_WORKERS.get(event.verb, event.verb).format(host=host)
    # The failure that a resume leaves behind was told of before.
    return f"{words}: {event.detail}" if event.detail and event.verb != "resume" else words


def history(run: Run, events: Sequence[AuditEvent], now: float) -> str:
    """What was asked of a run and what came of it, oldest first."""
    lines = [f"History of {name_of(run)}:"]
    lines += [f"  {ago(event.at, now)}: {told(event)}" for event in events]
    return "\n".join(lines)


# --- how long it took ------------------------------------------------------------------------

_ENDINGS = {"running": "is running", "done": "done", "failed": "did not complete"}
_ANSWERS = {"resume": "was passed", "cancel": "was declined"}


def attempted(attempt: Attempt, came_to: str, seconds: float) -> str:
    """An attempt at a step, which is `running`, `done` or `failed`."""
    code = f", exit code {attempt.exit_code}" if attempt.exit_code else ""
    ending = f"{_ENDINGS[came_to]}{', stopped' if (attempt.exit_code or 0) < 0 else code}"
    return f"{attempt.name}, attempt {attempt.number}: {ending}, {duration(seconds)}"


def waited(gate: str, verb: str | None, seconds: float) -> str:
    """A wait at a gate until this verb; it lasts where there is none."""
    answer = _ANSWERS.get(verb, "is over") if verb else "waits for an answer"
    return f"{gate} {answer}, {duration(seconds)}"


def duration(seconds: float) -> str:
    """How long something took: 0.4 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    if seconds < 3600:  # noqa: PLR2004 - an hour
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
