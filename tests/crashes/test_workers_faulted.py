"""Workers are killed, frozen and thawed: each run is done once, and zombies write nothing.

Real worktrees cost half a second of work a run. So most runs are worked on without them, and as
many with them as fit into a minute.
"""

import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from bot.bootstrap import install, serving
from tests.conftest import Person
from tests.crashes import members, witness
from tests.crashes.house import House
from tests.crashes.swift import PREPARES
from tests.crashes.team import Notes, Team, eventually, send

pytestmark = pytest.mark.heavy

WORKERS = 4
FROZEN_SECONDS = 4.0
LEFT_SECONDS = 4.0
"""For each fault; what is left to do then, on a slow machine."""
LONG_FROZEN_SECONDS = 7.0
"""Long enough for a newer claim to be prepared and to begin its step."""
LONG_STEP_SECONDS = 8
"""It is still under way then, unless somebody stops it."""
SHORT: dict[str, Any] = {"heartbeat_seconds": 0.4, "lease_seconds": 2, "auto_resume": True}
SOAK = pytest.mark.soak
PATIENT = pytest.mark.timeout(200)
rounds = pytest.mark.parametrize

_UNFINISHED = (
    "SELECT id, status, epoch, worker, steps_done, attempt, error, notice FROM runs"
    " WHERE status <> 'completed'"
)
_WORK = "SELECT run_id, verb, epoch FROM events WHERE door = 'worker' ORDER BY id"


@dataclass
class Faults:
    """So many faults, evenly among a team of workers that stays as large as it was."""

    team: Team
    new_worker: Callable[[], BaseProcess]
    dice: random.Random
    frozen_seconds: float = FROZEN_SECONDS
    frozen: set[BaseProcess] = field(default_factory=set)

    def happen(self, count: int, pause_seconds: float) -> None:
        for _ in range(count):
            time.sleep(self.dice.uniform(0.5, 1.5) * pause_seconds)
            awake = [member for member in self.team.members if member not in self.frozen]
            if awake and self.dice.random() < 0.5:
                self._freeze(self.dice.choice(awake))
            else:
                self._kill(self.dice.choice(self.team.members))

    def _kill(self, worker: BaseProcess) -> None:
        self.team.kill(worker)
        self.new_worker()

    def _freeze(self, worker: BaseProcess) -> None:
        self.frozen.add(worker)
        send(worker, signal.SIGSTOP)
        threading.Timer(self.frozen_seconds, self._thaw, [worker]).start()

    def _thaw(self, worker: BaseProcess) -> None:
        if worker in self.team.members:
            send(worker, signal.SIGCONT)
        self.frozen.discard(worker)


def happen(house: House, faults: Faults, count: int, pause_seconds: float) -> None:
    """Let a team of workers have its faults, under a witness, and then do what is left."""
    witness.watch_over(house.url)
    for _ in range(WORKERS):
        faults.new_worker()
    faults.happen(count, pause_seconds)
    done = eventually(lambda: house.asked(_UNFINISHED) == [], LEFT_SECONDS * count)
    assert done, "\n".join(map(str, house.asked(_UNFINISHED)))


async def order(config: Path, runs: int) -> None:
    """Claim so many runs, and leave."""
    async with serving(install(str(config)), concurrency=0) as baton:
        ana = Person(baton)
        for _ in range(runs):
            await ana.starts("/run told")


def check_database(house: House, runs: int) -> None:
    """Every run was completed once, no claim started twice, and nothing late was taken."""
    ids = {run_id for (run_id,) in house.asked("SELECT id FROM runs")}
    assert len(ids) == runs
    events = house.asked(_WORK)
    completed = Counter(run_id for run_id, verb, _ in events if verb == "complete")
    assert completed == Counter(dict.fromkeys(ids, 1))
    starts = Counter((run_id, epoch) for run_id, verb, epoch in events if verb == "start")
    assert max(starts.values()) == 1
    epochs = defaultdict(list)
    for run_id, _, epoch in events:
        epochs[run_id].append(epoch)
    assert all(sorted(told) == told for told in epochs.values())
    assert witness.taken(house.url) > runs
    assert witness.taken_of_zombies(house.url) == []
    assert witness.refused_to_zombies(house.url)


def told(notes: Notes) -> dict[str, list[tuple[int, int]]]:
    """What each run told of its steps: epoch and step; each attempt told of each moment once."""
    lines = [line for line in notes.lines() if not line.endswith(PREPARES)]
    assert max(Counter(lines).values()) == 1
    by_run = defaultdict(list)
    for run_id, epoch, step, *_ in map(str.split, lines):
        by_run[run_id].append((int(epoch), int(step.partition(".")[0])))
    return by_run


@rounds(
    ("runs", "count"), [pytest.param(200, 30, marks=PATIENT), pytest.param(800, 120, marks=SOAK)]
)
async def test_many_runs_are_done_once(house: House, runs: int, count: int) -> None:
    config = house.config(10, concurrency=4, **SHORT)

    def new_worker() -> BaseProcess:
        return house.team.take_on(members.swift_worker, config, house.notes, 0.1)

    await order(config, runs)
    happen(house, Faults(house.team, new_worker, random.Random(count)), count, 0.5)
    check_database(house, runs)
    for steps in told(house.notes).values():
        assert {step for _, step in steps} == set(range(10))


@rounds(
    ("runs", "count"),
    [pytest.param(40, 30, marks=[PATIENT, SOAK]), pytest.param(200, 120, marks=SOAK)],
)
async def test_runs_in_worktrees_are_done_once(house: House, runs: int, count: int) -> None:
    config = house.config(3, LONG_STEP_SECONDS, concurrency=16, **SHORT)

    def new_worker() -> BaseProcess:
        return house.team.take_on(members.worker, config)

    await order(config, runs)
    dice = random.Random(count)
    faults = Faults(house.team, new_worker, dice, LONG_FROZEN_SECONDS)
    happen(house, faults, count, 0.5)
    check_database(house, runs)
    for steps in told(house.notes).values():
        # Nothing is heard of the step of an older claim once a newer claim has begun one.
        assert sorted(steps) == steps
        assert {step for _, step in steps} == set(range(3))


async def test_a_run_goes_on_whoever_told_that_its_worker_was_lost(house: House) -> None:
    """The only worker of its host was killed; before that is back, another host noticed."""
    here = house.config(4, **SHORT)
    there = house.config(4, host="there", **SHORT)
    killed = house.team.take_on(members.swift_worker, here, house.notes, 0.5)
    await order(here, 1)
    assert eventually(lambda: house.asked("SELECT steps_done > 0 FROM runs") == [(True,)])
    house.team.take_on(members.swift_worker, there, Notes(house.directory / "told-there"), 0.5)
    living = "SELECT count(*) FROM workers WHERE host = 'there' AND slots > 0"
    assert eventually(lambda: house.asked(living) == [(1,)])
    house.team.kill(killed)
    lost = "SELECT count(*) FROM events WHERE verb = 'lost'"
    assert eventually(lambda: house.asked(lost) == [(1,)])
    house.team.take_on(members.swift_worker, here, house.notes, 0.5)
    assert eventually(lambda: house.asked(_UNFINISHED) == [], 15), house.asked(_UNFINISHED)
