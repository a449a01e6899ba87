"""Bots are killed while they claim runs, on PostgreSQL: what was committed is started, once."""

import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.crashes import members
from tests.crashes.house import House
from tests.crashes.swift import PREPARES
from tests.crashes.team import Notes, eventually

pytestmark = pytest.mark.heavy

BOTS = 2
LONGEST_LIFE_SECONDS = 0.06
CARRIED_OUT_SECONDS = 0.5
PATIENT = pytest.mark.timeout(120)
SOAK = pytest.param(120, marks=pytest.mark.soak)
rounds = pytest.mark.parametrize

Claims = Counter[tuple[str, int]]


def kill_bots(house: House, bot: Callable[..., None], config: Path, kills: int) -> None:
    """Kill so many bots, each at a random moment while it claims; what they answered is so."""
    numbers, dice = count(), random.Random(kills)
    answered = []

    def new_bot() -> tuple[BaseProcess, Notes]:
        answers = Notes(house.directory / f"answered-{next(numbers)}")
        answered.append(answers)
        return house.team.take_on(bot, config, answers), answers

    bots = [new_bot() for _ in range(BOTS)]
    for _ in range(kills):
        killed, answers = bots.pop(0)
        assert eventually(lambda: bool(answers.lines())), "a bot claims nothing"  # noqa: B023 - called now
        time.sleep(dice.uniform(0, LONGEST_LIFE_SECONDS))
        house.team.kill(killed)
        bots.append(new_bot())
    for alive, _ in bots:
        house.team.kill(alive)
    # A commit that was sent is carried out, whoever sent it.
    time.sleep(CARRIED_OUT_SECONDS)
    known = {run_id for run_id, _ in claims(house)}
    assert {run_id for answers in answered for run_id in answers.lines()} <= known


def claims(house: House) -> Claims:
    """The claims that were made."""
    return Counter(house.asked("SELECT id, epoch FROM runs"))


def starts(house: House) -> Claims:
    """How often each claim was started."""
    return Counter(house.asked("SELECT run_id, epoch FROM events WHERE verb = 'start'"))


def told(house: House, word: str) -> Claims:
    """How often somebody noted this of each claim."""
    lines = [line.split() for line in house.notes.lines()]
    return Counter((run_id, int(epoch)) for run_id, epoch, what in lines if what == word)


@rounds("kills", [pytest.param(30, marks=PATIENT), SOAK])
def test_a_worker_starts_every_claim_once(house: House, kills: int) -> None:
    config = house.config(concurrency=16)
    house.team.take_on(members.swift_worker, config, house.notes, 0)
    kill_bots(house, members.bot, config, kills)
    unfinished = "SELECT count(*) FROM runs WHERE status <> 'completed'"
    assert eventually(lambda: house.asked(unfinished) == [(0,)])
    assert starts(house) == claims(house)
    assert told(house, PREPARES) == claims(house)
    assert claims(house).total() > 4 * kills


def kill_beside_a_starter(house: House, bot: Callable[..., None], kills: int) -> None:
    """Kill bots while somebody starts what they are woken for, and nothing else."""
    config = house.config()
    house.team.take_on(members.starter, config, house.notes)
    kill_bots(house, bot, config, kills)
    left = "SELECT count(*) FROM procrastinate_jobs"
    assert eventually(lambda: house.asked(left) == [(0,)])
    assert max(told(house, members.WOKEN).values()) == 1
    assert told(house, members.STARTED) == starts(house)


@rounds("kills", [pytest.param(15, marks=PATIENT), SOAK])
def test_whoever_only_is_woken_starts_every_claim_once(house: House, kills: int) -> None:
    kill_beside_a_starter(house, members.bot, kills)
    assert starts(house) == claims(house)
    assert claims(house).total() > 4 * kills


@rounds("kills", [pytest.param(10, marks=PATIENT), SOAK])
def test_to_commit_and_then_to_wake_is_found_out(house: House, kills: int) -> None:
    """The kills are well placed, and the counts above sharp enough, to show a lost start."""
    kill_beside_a_starter(house, members.naive_bot, kills)
    lost = claims(house) - starts(house)
    assert lost.total() > 0
    assert starts(house) - claims(house) == Counter()
