"""A run at a glance: the same few facts for every place that shows a card."""

from bot.conversation import Door
from bot.run import Run, RunStatus
from bot.words import name_of, spelled, state

_DONE, _OPEN = "■", "□"


def bar(run: Run) -> str:
    """The progress bar: one mark per step."""
    return _DONE * run.steps_done + _OPEN * (len(run.steps) - run.steps_done)


def headline(run: Run, now: float) -> str:
    """Bar, name and state in one line."""
    return f"{bar(run)}  {name_of(run)}: {state(run, now)}"


def follow_up(run: Run, door: Door) -> str:
    """What a person can do about the run now; empty where nothing is to be done."""
    if run.status is RunStatus.PAUSED:
        return f"{spelled(door, 'resume')} passes the gate, {spelled(door, 'cancel')} declines it"
    if run.resumable:
        return f"{spelled(door, 'resume')} goes on from there, {spelled(door, 'cancel')} ends it"
    return ""


def settled(run: Run) -> bool:
    """Whether nothing more happens to this run until somebody asks for it."""
    if run.status is RunStatus.CANCELLED:
        return not run.held or run.error is not None
    return run.stale or run.status not in {RunStatus.PENDING, RunStatus.RUNNING}
