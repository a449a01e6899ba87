"""What the processes do that are killed, and those that are left to go on."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from multiprocessing.synchronize import Event
from pathlib import Path

import psycopg

from bot import service
from bot.bootstrap import Installation, Service, install, serving
from bot.cli import main
from bot.execution import audited
from bot.outcome import UNSTORED
from bot.ports import Transaction, Wake
from bot.run import Run
from store import postgres
from tests.conftest import Person
from tests.crashes import witness
from tests.crashes.swift import SwiftWorkshop
from tests.crashes.team import Notes

CLIENTS = 8
PEOPLE = 16
WOKEN, STARTED = "woken", "started"
_AGAIN_SECONDS = 0.1
_PROGRESS_SECONDS = 30
_PAUSE_SECONDS = 0.4
"""After a start, so that runs are not asked for faster than a worker can carry them out."""


def worker(config: Path) -> None:
    """`baton worker`, whose writes are witnessed."""
    witness.take_notes()
    raise SystemExit(main(["worker", "--config", str(config)]))


def swift_worker(config: Path, notes: Notes, seconds: float) -> None:
    """`baton worker` whose steps are pauses of so many seconds."""
    witness.take_notes()
    asyncio.run(service._work(swift(config, notes, seconds), drain=False))


def swift(config: Path, notes: Notes, seconds: float) -> Installation:
    """The installation of this file, without worktrees."""
    installation = install(str(config))
    workshop = SwiftWorkshop(installation.host, notes, seconds)
    return replace(installation, workshop=workshop)  # type: ignore[arg-type] # see above


# --- bots ----------------------------------------------------------------------------------------


def bot(config: Path, notes: Notes) -> None:
    """A Baton without hands: it claims runs for as long as it lives."""
    asyncio.run(_claim(config, notes, naive=False))


def naive_bot(config: Path, notes: Notes) -> None:
    """What Baton must never be: it commits, and then says on another connection what to start."""
    asyncio.run(_claim(config, notes, naive=True))


async def _claim(config: Path, notes: Notes, *, naive: bool) -> None:
    installation = install(str(config))
    if naive:
        installation.database._waker = None  # type: ignore[attr-defined] # the planted fault
    async with serving(installation, concurrency=0) as baton:
        clients = (Person(baton, f"ana{number}") for number in range(CLIENTS))
        await asyncio.gather(*(_ask_on(installation, notes, ana, naive=naive) for ana in clients))


async def _ask_on(installation: Installation, notes: Notes, ana: Person, *, naive: bool) -> None:
    assert installation.waker is not None
    url = installation.settings.database.url
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as another:
        while True:
            run_id = await ana.starts("/run told")
            if naive:
                wake = Wake(run_id, 1, installation.host)
                await asyncio.to_thread(installation.waker.enqueue, another, [wake])
            notes.add(run_id)


def starter(config: Path, notes: Notes) -> None:
    """Starts what it is woken for, and looks for nothing by itself."""
    asyncio.run(_start_on(install(str(config)), notes))


async def _start_on(installation: Installation, notes: Notes) -> None:
    assert installation.waker is not None
    engine, store = installation.waker.engine, installation.database.open_store()
    store.start()

    async def take_up(run_id: str, epoch: int) -> None:
        notes.add(run_id, epoch, WOKEN)
        if await store.write(partial(_start, run_id=run_id, epoch=epoch)) is not None:
            notes.add(run_id, epoch, STARTED)

    async with engine.running():
        await engine.work(installation.host, CLIENTS, take_up, listens=True)


def _start(tx: Transaction, run_id: str, epoch: int) -> Run | None:
    before = tx.runs.get(run_id)
    assert before is not None
    return audited(tx, tx.work.start(run_id, epoch, "starter:1:a"), "start", before)


# --- a Baton that is talked to while its database goes away ---------------------------------------


@dataclass
class Talk:
    """Many people talk to a Baton, each in a conversation of their own, until it is over.

    They start runs, and resume those that are waiting for it. Whoever is told `busy` or `error`
    says the same again; at the end each says once more all that they had said.
    """

    baton: Service
    notes: Notes
    failed: Sequence[str]
    over: Event

    async def by(self, number: int, people: int) -> None:
        ana = Person(self.baton, f"ana{number}")
        said = {}
        failed = iter(self.failed[number::people])
        for turn in count():
            if self.over.is_set():
                break
            delivery = f"terminal:{ana.name}:{turn}"
            resumed = next(failed, None) if turn % 3 else None
            text = f"/resume {resumed}" if resumed else f"/run told delivery={delivery}"
            said[delivery] = text
            await self._answered(ana, text, delivery)
            if not resumed:
                await asyncio.sleep(_PAUSE_SECONDS)
        for delivery, text in said.items():
            await self._answered(ana, text, delivery, "again")

    async def _answered(self, ana: Person, text: str, delivery: str, *more: str) -> None:
        tries = 1
        while (answer := await ana.says(text, delivery=delivery)).word in UNSTORED:
            tries += 1
            await asyncio.sleep(_AGAIN_SECONDS)
        self.notes.add(delivery, answer.word, answer.run_id, tries, time.time(), *more)


def talked_to(config: Path, work: Notes, notes: Notes, failed: Sequence[str], over: Event) -> None:
    """A Baton with hands that is talked to; ends once it has done what it was asked for.

    It is less patient with its database than others are, so that people have to say things twice.
    """
    postgres._AGAIN_SECONDS = (0.05, 0.2)  # type: ignore[assignment] # fewer of them
    postgres._REPEATS = 1
    asyncio.run(_talk(swift(config, work, 0), notes, failed, over))


async def _talk(
    installation: Installation, notes: Notes, failed: Sequence[str], over: Event
) -> None:
    async with serving(installation) as baton:
        talk = Talk(baton, notes, failed, over)
        await asyncio.gather(*(talk.by(number, PEOPLE) for number in range(PEOPLE)))
        left = _unfinished(installation)
        while left:
            before = left
            async with asyncio.timeout(_PROGRESS_SECONDS):
                while left >= before:
                    await asyncio.sleep(_AGAIN_SECONDS)
                    left = _unfinished(installation)


def _unfinished(installation: Installation) -> int:
    """How many runs are still to be done here."""
    question = "SELECT count(*) FROM runs WHERE host = %s AND status <> 'completed'"
    with psycopg.connect(installation.settings.database.url) as asking:
        ((left,),) = asking.execute(question, [installation.host]).fetchall()
    return int(left)
