"""Cancel against finish against resume: whatever people are told, it could have been so."""

from collections import defaultdict
from collections.abc import Sequence

import pytest

from store.database import Database
from tests.races import callers
from tests.races.crew import Crew
from tests.races.linear import RULES, Operation, State, order_of
from tests.store.factories import get, put


def histories(
    crew: Crew, database: Database, verbs: Sequence[str], count: int
) -> dict[str, list[Operation]]:
    ids = [put(database, "working", epoch=1) for _ in range(count)]
    each = [(database.url, verb, ids, seed) for seed, verb in enumerate(verbs)]
    by_run: dict[str, list[Operation]] = defaultdict(list)
    for result in crew.together(callers.one_verb, each):
        for operation in result:
            by_run[operation.run_id].append(operation)
    return by_run


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("end", ["fail", "complete"])
def test_every_history_can_be_explained(
    crew: Crew, database: Database, end: str, count: int
) -> None:
    by_run = histories(crew, database, ["cancel", end, "resume", "look"], count)
    seen = set()
    for run_id, history in by_run.items():
        order = order_of(history)
        assert order is not None, history
        final = State()
        for operation in order:
            final, _ = RULES[operation.verb](final)
        run = get(database, run_id)
        assert str(final) == callers.status_of(run)
        assert run.held == final.held
        results = {operation.verb: operation.result for operation in history}
        seen.add((results["cancel"], results[end], results["resume"]))
    if end == "fail":
        # The finish came first, with and without a resume in between; the cancel came first.
        assert {result for _, result, _ in seen} == {"done", "stop"}
        assert {result for _, _, result in seen} >= {"resumed"}
    else:
        assert {result for result, _, _ in seen} == {"cancelled", "already_finished"}


def _history(*told: tuple[str, str]) -> list[Operation]:
    """Operations one after the other."""
    return [Operation(verb, "r", result, 2 * n, 2 * n + 1) for n, (verb, result) in enumerate(told)]


@pytest.mark.parametrize(
    "told",
    [
        [("cancel", "cancelled"), ("resume", "resumed")],
        [("cancel", "cancelled"), ("fail", "done")],
        [("cancel", "cancelled"), ("cancel", "cancelled")],
        [("fail", "done"), ("resume", "resumed"), ("resume", "resumed")],
        [("fail", "done"), ("resume", "resumed"), ("fail", "done")],
        [("fail", "done"), ("look", "running 1")],
        [("complete", "done"), ("cancel", "cancelled")],
        [("resume", "resumed"), ("fail", "done")],
    ],
)
def test_the_checker_finds_what_cannot_be(told: list[tuple[str, str]]) -> None:
    assert order_of(_history(*told)) is None


def test_the_checker_lets_what_overlaps_come_in_any_order() -> None:
    early, late = _history(("resume", "resumed"), ("fail", "done"))
    assert order_of([early, late]) is None
    overlapping = Operation("resume", "r", "resumed", early.began, late.ended)
    assert order_of([overlapping, late]) == [late, overlapping]
