"""The drawing of a run: every attempt at every step, and every wait at a gate, to one scale."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.history import attempted, waited
from bot.outcome import AuditEvent
from bot.run import Run, RunStatus
from bot.watching import Attempt

ROW, _BAR = 28, 16
_LEAST_PERCENT = 0.4
_MOST_TICKS = 5
_TICK_SECONDS = (
    *(1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800),
    *(hours * 3600 for hours in (1, 2, 6, 12, 24, 48, 96, 168, 336, 720, 8760)),
)
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time of one step: where it stands, in percent, and what it tells.

    `kind` is one of done, failed, running and waiting.
    """

    x: float
    y: float
    width: float
    kind: str
    told: str
    height: int = _BAR


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the scale: where it stands, in percent, and how long after the beginning."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The steps as rows, and time from left to right."""

    rows: Sequence[str]
    bars: Sequence[Bar]
    ticks: Sequence[Tick]

    @property
    def height(self) -> int:
        """So many pixels high, without the scale."""
        return ROW * len(self.rows)


@dataclass(frozen=True, slots=True)
class _Span:
    position: int
    start: float
    end: float
    kind: str
    told: str


def timeline(
    run: Run, attempts: Sequence[Attempt], events: Sequence[AuditEvent], now: float
) -> Timeline:
    """What is drawn of a run at this moment."""
    spans = [*(_attempted(run, one, events, now) for one in attempts), *_waits(run, events, now)]
    spans.sort(key=lambda span: span.start)
    first = min((span.start for span in spans), default=now)
    length = max(max((span.end for span in spans), default=now) - first, 1.0)
    bars = [_bar(span, first, length) for span in spans]
    return Timeline([step.name for step in run.steps], bars, _ticks(length) if bars else ())


def _bar(span: _Span, first: float, length: float) -> Bar:
    width = max((span.end - span.start) * 100 / length, _LEAST_PERCENT)
    return Bar(
        x=round(min((span.start - first) * 100 / length, 100 - width), 2),
        y=span.position * ROW + (ROW - _BAR) / 2,
        width=round(width, 2),
        kind=span.kind,
        told=span.told,
    )


def _ticks(length: float) -> Sequence[Tick]:
    """Few enough to be read, at times that a clock has; the beginning needs none."""
    each = next((one for one in _TICK_SECONDS if one * _MOST_TICKS >= length), length)
    size, unit = next((size, unit) for size, unit in _UNITS if each >= size)
    places = range(1, int(length / each) + 1)
    return [Tick(round(n * each * 100 / length, 2), f"{n * each / size:g} {unit}") for n in places]


# --- attempts --------------------------------------------------------------------------------


def _attempted(run: Run, attempt: Attempt, events: Sequence[AuditEvent], now: float) -> _Span:
    kind = _kind(run, attempt)
    start, end = attempt.started_at, max(attempt.started_at, _end(run, attempt, events, now))
    return _Span(attempt.position, start, end, kind, attempted(attempt, kind, end - start))


_CUTS = frozenset({"cancel", "lost", "move", "resume"})


def _end(run: Run, attempt: Attempt, events: Sequence[AuditEvent], now: float) -> float:
    """When an attempt ended; one that lasts goes on until now, one that was cut off until then."""
    if attempt.ended_at is not None:
        return attempt.ended_at
    if _lasts(run, attempt):
        return now
    cuts = (
        event.at
        for event in events
        if event.verb in _CUTS and event.to_status and event.at >= attempt.started_at
    )
    return min(cuts, default=run.last_activity_at or attempt.started_at)


def _lasts(run: Run, attempt: Attempt) -> bool:
    current = (attempt.epoch, attempt.position) == (run.epoch, run.steps_done)
    return current and run.status is RunStatus.RUNNING and not run.stale


def _kind(run: Run, attempt: Attempt) -> str:
    if attempt.ended_at is None and _lasts(run, attempt):
        return "running"
    return "done" if attempt.exit_code == 0 else "failed"


# --- gates -----------------------------------------------------------------------------------


def _waits(run: Run, events: Sequence[AuditEvent], now: float) -> Iterator[_Span]:
    """From when a run came to a gate until somebody answered; gates come one after another."""
    gates = iter([position for position, step in enumerate(run.steps) if step.gate is not None])
    since: float | None = None
    for event in events:
        if event.to_status == RunStatus.PAUSED:
            since = event.at
        elif event.from_status == RunStatus.PAUSED and since is not None:
            yield from _wait(run, next(gates, None), since, event.at, event.verb)
            since = None
    if since is not None:
        yield from _wait(run, next(gates, None), since, now, None)


def _wait(
    run: Run, gate: int | None, since: float, until: float, verb: str | None
) -> Iterator[_Span]:
    if gate is not None:
        told = waited(run.steps[gate].name, verb, until - since)
        yield _Span(gate, since, until, "waiting", told)
