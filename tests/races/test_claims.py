"""Several Batons want the same run, or the same worktree, in the same moment."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.run import RunStatus
from store.database import Database
from store.schema import CURRENT
from tests.postgres import Postgres
from tests.races import callers
from tests.races.crew import Crew
from tests.store.factories import get, message, put, row_of

rounds = pytest.mark.parametrize
SOAK = pytest.mark.soak


def winners(results: Sequence[dict[str, Any]], ids: Sequence[str]) -> dict[str, list[int]]:
    """Which members were told that they have each run."""
    told = {run_id: [result[run_id] for result in results] for run_id in ids}
    errors = [word for words in told.values() for word in words if isinstance(word, str)]
    assert errors == []
    return {
        run_id: [member for member, epoch in enumerate(epochs) if epoch is not None]
        for run_id, epochs in told.items()
    }


def race(
    crew: Crew, claim: Callable[..., Any], url: str, ids: Sequence[str]
) -> dict[str, list[int]]:
    results = crew.together(claim, [(url, f"p{n}", ids) for n in range(crew.size)])
    return winners(results, ids)


@rounds("count", [40, pytest.param(250, marks=SOAK)])
def test_one_run_has_one_claimant(crew: Crew, database: Database, count: int) -> None:
    ids = [put(database, "failed") for _ in range(count)]
    won = race(crew, callers.swap, database.url, ids)
    assert {len(members) for members in won.values()} == {1}
    for run_id, (member,) in won.items():
        run = get(database, run_id)
        assert (run.status, run.epoch, run.changed.actor) == ("running", 3, f"cli:p{member}")


def test_looking_before_leaping_is_found_out(crew: Crew, database: Database) -> None:
    """The race is hard enough, and the count above sharp enough, to show a naive claim."""
    ids = [put(database, "failed") for _ in range(40)]
    won = race(crew, callers.look_then_swap, database.url, ids)
    assert max(len(members) for members in won.values()) > 1


@rounds("locked", [True, False], ids=["locked", "unlocked"])
@rounds("count", [3, pytest.param(20, marks=SOAK)])
def test_of_many_callers_one_wins_and_the_others_are_told_who(
    crew: Crew, database: Database, count: int, locked: bool
) -> None:
    ids = [put(database, "failed") for _ in range(count)]
    told = _resume_from_everywhere(crew, database.url, ids, locked=locked)
    for line, run_id in zip(told, ids, strict=True):
        assert Counter(body["outcome"] for _, body in line) == {
            "resumed": 1,
            "already_running": 63,
        }
        winner = get(database, run_id).changed
        name = winner.actor.removeprefix("cli:")
        for reply, body in line:
            assert body["by"]["actor"] == winner.actor
            assert body["run"]["id"] == run_id
            if body["outcome"] != "resumed":
                assert f"by {name} from the command line, " in reply
                assert "Nothing changed." in reply


def _resume_from_everywhere(
    crew: Crew, url: str, ids: Sequence[str], *, locked: bool
) -> list[list[callers.Told]]:
    """What 64 callers were told of each run."""

    def lines(member: int) -> list[list[Any]]:
        return [[message(f"resume {i}", f"p{member}-{n}") for n in range(16)] for i in ids]

    each = [(url, lines(member)) for member in range(4)]
    say = callers.say_locked if locked else callers.say_unlocked
    results = crew.together(say, each)
    return [[told for result in results for told in result[n]] for n in range(len(ids))]


@rounds("locked", [True, False], ids=["locked", "unlocked"])
@rounds("count", [20, pytest.param(60, marks=SOAK)])
def test_one_branch_has_one_holder(
    crew: Crew, database: Database, count: int, locked: bool
) -> None:
    pairs = [
        tuple(put(database, "failed", path=f"/worktrees/shared-{n}") for _ in range(2))
        for n in range(count)
    ]
    say = callers.say_locked if locked else callers.say_unlocked
    each = [
        (
            database.url,
            [[message(f"resume {pair[member % 2]}", f"p{member}")] for pair in pairs],
        )
        for member in range(4)
    ]
    results = crew.together(say, each)
    for n, pair in enumerate(pairs):
        told = [result[n][0] for result in results]
        _one_holder(database, pair, told)


def _one_holder(database: Database, pair: Sequence[str], told: Sequence[tuple[str, Any]]) -> None:
    runs = {run_id: get(database, run_id) for run_id in pair}
    holders = [run for run in runs.values() if run.held]
    kept = [run for run in runs.values() if not run.held]
    assert len(holders) == len(kept) == 1
    holder, loser = holders[0], kept[0]
    assert (loser.status, loser.epoch, loser.resumable) == (RunStatus.FAILED, 2, True)
    assert row_of(database, loser.id)["version"] == 3
    expected = {holder.id: ["already_running", "resumed"], loser.id: ["worktree_busy"] * 2}
    for run_id, outcomes in expected.items():
        about = [body for _, body in told if body["run"]["id"] == run_id]
        assert sorted(body["outcome"] for body in about) == outcomes
        assert {body["by"]["actor"] for body in about} == {holder.changed.actor}
    for reply, body in told:
        if body["outcome"] == "worktree_busy":
            assert f"held by deploy {holder.id}" in reply
            assert f"deploy {loser.id} stays as it was" in reply


@rounds("count", [3, pytest.param(25, marks=SOAK)])
@rounds("there", [False, True], ids=["missing", "empty"])
def test_first_boots_do_not_trip_over_each_other(
    crew: Crew, tmp_path: Path, count: int, there: bool
) -> None:
    files = [tmp_path / f"boot-{n}" / "baton.db" for n in range(count)]
    for file in files if there else []:
        file.parent.mkdir()
        file.touch()
    urls = [f"sqlite:///{file}" for file in files]
    results = crew.together(callers.boot, [(urls,)] * 8)
    assert results == [[CURRENT] * count] * 8


@rounds("count", [20, pytest.param(100, marks=SOAK)])
def test_first_boots_of_four_replicas_succeed(crew: Crew, postgres: Postgres, count: int) -> None:
    urls = [postgres.empty() for _ in range(count)]
    results = crew.together(callers.boot, [(urls,)] * 4)
    assert results == [[CURRENT] * count] * 4
    for url in urls:
        postgres.drop(url)


@pytest.mark.heavy
def test_a_crew_starts_together(crew: Crew) -> None:
    """Otherwise nothing above is a race."""
    moments = crew.together(_moment, [()] * 8)
    assert max(moments) - min(moments) < 1.0


def _moment(gate: Callable[[], None]) -> float:
    gate()
    return time.monotonic()
