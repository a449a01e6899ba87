"""The drawing of a run's steps: to scale, and true of what lasts and what was cut off."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from adapters.web.timeline import Bar, timeline
from bot.outcome import AuditEvent
from bot.run import Change, Run, RunStatus, Step
from bot.watching import Attempt
from tests.runs import run_of

BEGAN = 1_700_000_000.0
BY = Change("cli:ana", "cli", BEGAN, "ana")
STEPS = (Step(name="build", command="make"), Step(name="ship?", gate="Ship?"), Step(name="sure?"))


def run(status: RunStatus, **more: Any) -> Run:
    return run_of("x", BY, status=status, steps=STEPS, epoch=2, **more)


def attempt(position: int, start: float, end: float | None, code: int | None) -> Attempt:
    over = end if end is None else BEGAN + end
    return Attempt(position, 1, STEPS[position].name, 2, BEGAN + start, over, code)


def moved(at: float, verb: str, before: str, after: str) -> AuditEvent:
    return AuditEvent(
        at=BEGAN + at,
        actor="cli:ana",
        door="cli",
        verb=verb,
        outcome=after,
        from_status=before,
        to_status=after,
    )


def drawn(bars: Sequence[Bar]) -> list[tuple[float, float, str, str]]:
    return [(bar.x, bar.width, bar.kind, bar.told) for bar in bars]


def test_attempts_are_drawn_to_one_scale() -> None:
    attempts = [attempt(0, 0, 20, 1), attempt(0, 60, 100, 0)]
    shown = timeline(run(RunStatus.FAILED), attempts, (), BEGAN + 9999)
    assert drawn(shown.bars) == [
        (0, 20, "failed", "build, attempt 1: did not complete, exit code 1, 20.0 s"),
        (60, 40, "done", "build, attempt 1: done, 40.0 s"),
    ]
    assert [(tick.x, tick.label) for tick in shown.ticks] == [
        (20, "20 s"),
        (40, "40 s"),
        (60, "60 s"),
        (80, "80 s"),
        (100, "100 s"),
    ]


def test_an_attempt_that_lasts_goes_on_until_now() -> None:
    lasting = [attempt(0, 0, None, None)]
    shown = timeline(run(RunStatus.RUNNING), lasting, (), BEGAN + 30)
    assert drawn(shown.bars) == [(0, 100, "running", "build, attempt 1: is running, 30.0 s")]


def test_an_attempt_that_was_cut_off_ends_with_what_was_last_heard() -> None:
    cut_off = [attempt(0, 0, None, None)]
    shown = timeline(run(RunStatus.FAILED, last_activity_at=BEGAN + 10), cut_off, (), BEGAN + 9999)
    assert drawn(shown.bars) == [(0, 100, "failed", "build, attempt 1: did not complete, 10.0 s")]


def test_an_attempt_that_was_cancelled_ends_with_the_cancel() -> None:
    events = [moved(5, "start", "pending", "running"), moved(30, "cancel", "running", "cancelled")]
    cancelled = run(RunStatus.CANCELLED, last_activity_at=BEGAN + 10)
    shown = timeline(cancelled, [attempt(0, 10, None, None)], events, BEGAN + 9999)
    assert shown.bars[0].told == "build, attempt 1: did not complete, 20.0 s"


def test_an_attempt_of_an_earlier_claim_ends_before_the_next_one() -> None:
    events = [moved(70, "lost", "running", "running"), moved(80, "resume", "running", "running")]
    again = run(RunStatus.RUNNING, last_activity_at=BEGAN + 500)
    attempts = [replace(attempt(0, 10, None, None), epoch=1), attempt(0, 100, None, None)]
    shown = timeline(again, attempts, events, BEGAN + 500)
    assert [bar.told for bar in shown.bars] == [
        "build, attempt 1: did not complete, 1 min 0 s",
        "build, attempt 1: is running, 6 min 40 s",
    ]


def test_an_attempt_whose_worker_is_silent_does_not_go_on() -> None:
    silent = run(RunStatus.RUNNING, last_activity_at=BEGAN + 10, stale=True)
    shown = timeline(silent, [attempt(0, 0, None, None)], (), BEGAN + 9999)
    assert drawn(shown.bars) == [(0, 100, "failed", "build, attempt 1: did not complete, 10.0 s")]


@pytest.mark.parametrize(
    ("verb", "after", "told"),
    [("resume", "running", "passed"), ("cancel", "cancelled", "declined")],
)
def test_a_wait_at_a_gate_is_drawn_until_its_answer(verb: str, after: str, told: str) -> None:
    events = [moved(10, "pause", "running", "paused"), moved(90, verb, "paused", after)]
    shown = timeline(run(RunStatus.CANCELLED), [attempt(0, 0, 10, 0)], events, BEGAN + 9999)
    assert drawn(shown.bars)[1] == pytest.approx(
        (11.11, 88.89, "waiting", f"ship? was {told}, 1 min 20 s")
    )


def test_each_wait_is_drawn_at_its_own_gate() -> None:
    steps = (*STEPS[:2], Step(name="sure?", gate="Sure?"))
    events = [
        moved(0, "pause", "running", "paused"),
        moved(10, "resume", "paused", "running"),
        moved(10, "pause", "running", "paused"),
    ]
    waiting = run_of("x", BY, status=RunStatus.PAUSED, steps=steps)
    shown = timeline(waiting, (), events, BEGAN + 40)
    assert [bar.told for bar in shown.bars] == [
        "ship? was passed, 10.0 s",
        "sure? waits for an answer, 30.0 s",
    ]
    assert shown.bars[1].y - shown.bars[0].y == 28


@pytest.mark.parametrize("length", [0.0, 1.0, 7.0, 100.0, 4000.0, 90_000.0, 10**7, 10**9])
def test_the_scale_has_few_lines(length: float) -> None:
    shown = timeline(run(RunStatus.FAILED), [attempt(0, 0, length, 0)], (), BEGAN + length)
    assert 1 <= len(shown.ticks) <= 5
    assert all(0 < tick.x <= 100 for tick in shown.ticks)
    assert all(bar.x >= 0 and bar.x + bar.width <= 100.01 for bar in shown.bars)


def test_nothing_is_drawn_of_what_has_not_begun() -> None:
    shown = timeline(run(RunStatus.PENDING), (), (), BEGAN)
    assert (shown.bars, shown.ticks, shown.height) == ([], (), 84)
