"""What a person is offered before a command: choices while they type, a question before a cancel.

Nothing is changed and nothing recorded here; whatever is chosen is judged when it comes back.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice

from bot.commands.choosing import CANCELLABLE, HELD, OPEN_THEN_ANY, RESUMABLE, Fitting
from bot.commands.context import Context
from bot.ports import PICKER_SIZE
from bot.run import Run
from bot.words import ago, name_of, state

_LOOKED_THROUGH = 200
"""So many of the newest runs elsewhere are looked through for what was typed."""

_FITTINGS: Mapping[str, Fitting] = {
    "resume": RESUMABLE,
    "cancel": CANCELLABLE,
    "release": HELD,
    "status": OPEN_THEN_ANY,
    "logs": OPEN_THEN_ANY,
    "history": OPEN_THEN_ANY,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to choose: what is shown, and what is typed in its place."""

    label: str
    value: str


def choices(context: Context) -> list[Choice]:
    """What fits the command and what was typed so far: runs of this conversation come first."""
    typed = context.rest.casefold().split()
    offered = _workflows(context) if context.verb == "run" else _runs(context)
    fitting = (one for one in offered if all(part in one.label.casefold() for part in typed))
    return list(islice(fitting, PICKER_SIZE))


def _workflows(context: Context) -> Iterator[Choice]:
    for name, workflow in context.house.catalogue.items():
        about = f": {workflow.description}" if workflow.description else ""
        yield Choice(f"{name}{about}", name)


def _runs(context: Context) -> Iterator[Choice]:
    now = context.tx.now
    for run in _in_order(context, _FITTINGS[context.verb]):
        yield Choice(f"{name_of(run)}: {state(run, None)}, {ago(run.changed.at, now)}", run.id)


def _in_order(context: Context, fitting: Fitting) -> Iterator[Run]:
    """The runs that fit, each once: those that are named, those of this conversation, others."""
    seen: set[str] = set()
    for run in chain(
        _named(context, fitting), _here(context, fitting), _elsewhere(context, fitting)
    ):
        if run.id not in seen:
            seen.add(run.id)
            yield run


def _named(context: Context, fitting: Fitting) -> Iterator[Run]:
    found = context.tx.runs.find(context.rest.strip().lower(), context.fence)
    return (run for run in found if _fits(run, fitting))


def _here(context: Context, fitting: Fitting) -> Iterator[Run]:
    for statuses in fitting.statuses:
        yield from context.tx.runs.of_conversation(
            context.conversation, statuses, resumable=fitting.resumable
        )


def _elsewhere(context: Context, fitting: Fitting) -> Iterator[Run]:
    found = context.tx.runs.recent(_LOOKED_THROUGH, context.fence)
    return (run for run in found if _fits(run, fitting))


def _fits(run: Run, fitting: Fitting) -> bool:
    wanted = any(run.status in statuses for statuses in fitting.statuses)
    return wanted and (run.resumable or not fitting.resumable)


def to_confirm(context: Context) -> Run | None:
    """The run that this cancel would end; None where it would not (any more) end one.

    Then nothing is asked and the command itself tells why: a run that is over stays so, and so
    does one that has moved on from the epoch that was shown.
    """
    found = context.tx.runs.find(context.rest, context.fence)
    if len(found) != 1 or found[0].final or context.seen_epoch not in {None, found[0].epoch}:
        return None
    return found[0]
