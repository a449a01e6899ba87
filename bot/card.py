"""A run at a glance: the same few facts, words and buttons for every place that shows a card."""

from dataclasses import dataclass

from bot.conversation import Door
from bot.run import Run, RunStatus
from bot.words import age, ended, name_of, spelled, stands, state, who

_DONE, _OPEN = "■", "□"
_MOST_MARKS = 30


def bar(run: Run) -> str:
    """The progress bar: one mark per step, or for several where there are very many."""
    marks = min(len(run.steps), _MOST_MARKS)
    done = run.steps_done * marks // max(len(run.steps), 1)
    return _DONE * done + _OPEN * (marks - done)


def progress(run: Run) -> str:
    """The bar, and the same in words for whoever cannot see it."""
    return f"{bar(run)}  {run.steps_done} of {len(run.steps)} steps done"


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


def asked_for(run: Run) -> str:
    """Who asked for the run, and where it works."""
    return f"Asked for by {who(run.requested)}, on branch {run.branch}"


def took(run: Run) -> str:
    """How long a run took that came to its end."""
    return f"took {age(run.changed.at - run.requested.at)}"


def news(run: Run, now: float, door: Door) -> str:
    """What is told beside the card, where a person is needed or the run ended."""
    following = follow_up(run, door)
    told = ended(f"{name_of(run)} {stands(run, now)}")
    return f"{told} {following}." if following else told


def settled(run: Run) -> bool:
    """Whether nothing more happens to this run until somebody asks for it."""
    if run.status is RunStatus.CANCELLED:
        return not run.held or run.error is not None
    return run.stale or run.status not in {RunStatus.PENDING, RunStatus.RUNNING}


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is asked before a click counts: the consequence, and two verbs."""

    title: str
    text: str
    yes: str
    no: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """Something to click: a verb for a run at the epoch that the card shows.

    `about` is the label for screen readers.
    """

    verb: str
    label: str
    about: str
    main: bool = False
    confirmation: Confirmation | None = None


def buttons(run: Run) -> tuple[Button, ...]:
    """What can be clicked about a run as it is; nothing once it is over."""
    if run.final and not run.held:
        return ()
    name = name_of(run)
    resume = Button(verb="resume", label="Resume", about=f"Resume run {name}", main=True)
    log = Button(verb="logs", label="Log", about=f"Show the log of run {name}")
    cancel = Button(
        verb="cancel", label="Cancel", about=f"Cancel run {name}", confirmation=cancelling(run)
    )
    chosen = (resume,) if run.resumable else ()
    return (*chosen, log) if run.final else (*chosen, cancel, log)


def cancelling(run: Run | None) -> Confirmation:
    """What a cancel means; of a run that is yet to be chosen where there is None."""
    live = run is None or not settled(run)
    what = f"{name_of(run)} ends for good" if run else "The run that you chose ends for good"
    stops = "; its processes are stopped" if live else ""
    text = f"{what}{stops}. What it committed stays on its branch. It cannot be resumed."
    return Confirmation("Cancel this run?", text, "Cancel run", "Keep running" if live else "Keep")
