"""The web of each replica: what is changed through one is heard at the other."""

import asyncio
import statistics
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.access import Role
from bot.conversation import Invocation
from bot.keys import Token, digest, new_token
from bot.outcome import Answer
from bot.ports import Transaction
from bot.run import Run
from tests.replicas.house import CALM, Replica, Town, place_runs, replica, two
from tests.store.factories import conductor, message, write
from tests.web.asking import Asking, open_session
from tests.web.house import address_in

pytestmark = pytest.mark.heavy

HEARD_SECONDS = 2.0
CHANGES = 100


@pytest.fixture
def town(tmp_path: Path, repository: Path, url: str) -> Town:
    """Replicas that talk to nobody but the web."""
    return Town(tmp_path, repository, url, pace=dict(CALM))


@asynccontextmanager
async def asking(*replicas: Replica) -> AsyncIterator[list[Asking]]:
    """A script with one token, at the door of each replica."""
    secret = new_token()
    kept = Token(name="script", role=Role.OPERATOR, created_at=0, created_by="cli:test")
    assert await replicas[0].write(lambda tx: tx.keys.add_token(kept, digest(secret)))
    headers = {"Authorization": f"Bearer {secret}"}
    async with open_session() as session:
        yield [Asking(session, address_in(one.address or ""), headers) for one in replicas]


async def heard(
    asking: Asking, wanted: dict[str, str], listening: asyncio.Event
) -> dict[str, float]:
    """When each of these runs was told to have this status."""
    found: dict[str, float] = {}
    async with asking.stream() as stream:
        listening.set()
        while found.keys() != wanted.keys():
            run = await stream.run()
            if run["status"] == wanted.get(run["id"]):
                found.setdefault(run["id"], time.monotonic())
    return found


async def changed(asking: Asking, run_id: str, verb: str) -> float:
    """Change a run; when that was done."""
    answer = await asking.post(f"/api/runs/{run_id}/{verb}")
    assert answer.status == 200, answer.text
    return time.monotonic()


async def test_a_change_through_one_is_heard_at_the_other(town: Town) -> None:
    """What is told: the time from the answer to whoever changed it."""
    async with two(town, serves=True) as (first, second), asking(first, second) as (one, other):
        took = []
        for here, there in [(one, other), (other, one)] * 5:
            (run_id,) = place_runs(first.database, "slack", "failed", 1)
            async with there.stream() as stream:
                for verb, status in (("resume", "running"), ("cancel", "cancelled")):
                    at = await changed(here, run_id, verb)
                    async with asyncio.timeout(HEARD_SECONDS):
                        await stream.until(run_id, status)
                    took.append(time.monotonic() - at)
    tell("a change through one replica is heard at the other", took)


async def test_of_many_changes_at_both_each_is_heard_at_both(town: Town) -> None:
    async with two(town, serves=True) as (first, second), asking(first, second) as doors:
        ids = place_runs(first.database, "slack", "failed", CHANGES)
        wanted = dict.fromkeys(ids, "cancelled")
        listening = [asyncio.Event() for _ in doors]
        listeners = [
            asyncio.create_task(heard(door, wanted, ready))
            for door, ready in zip(doors, listening, strict=True)
        ]
        await asyncio.gather(*(ready.wait() for ready in listening))
        done_at = await asyncio.gather(
            *(changed(doors[number % 2], run_id, "cancel") for number, run_id in enumerate(ids))
        )
        last = max(done_at)
        try:
            async with asyncio.timeout(HEARD_SECONDS + last - time.monotonic()):
                found = await asyncio.gather(*listeners)
        finally:
            for listener in listeners:
                listener.cancel()
    took = [at[run_id] - done for at in found for run_id, done in zip(ids, done_at, strict=True)]
    tell(f"each of {CHANGES} changes at once is heard at both", took)


async def test_a_change_is_heard_that_was_committed_after_later_ones(town: Town) -> None:
    """Events are numbered when they are written, and not in the order of their commits."""
    written, let_go = threading.Event(), threading.Event()

    def slowly(tx: Transaction, run_id: str) -> Answer:
        asked = Invocation("cancel", run_id, message("cancel"))
        answer = conductor(town.directory).change(tx, asked)
        tx.flush()  # type: ignore[attr-defined] # else its event has no number yet
        written.set()
        assert let_go.wait(10)
        return answer

    async with two(town, serves=True) as (first, second), asking(first, second) as (one, other):
        early, late = place_runs(first.database, "slack", "failed", 2)
        async with other.stream() as stream:
            change = asyncio.to_thread(write, first.database, lambda tx: slowly(tx, early))
            writing = asyncio.create_task(change)
            await asyncio.to_thread(written.wait, 10)
            await changed(one, late, "cancel")
            await stream.until(late, "cancelled")
            let_go.set()
            answer = await writing
            assert answer.word == "cancelled"
            async with asyncio.timeout(HEARD_SECONDS):
                await stream.until(early, "cancelled")


def tell(what: str, seconds: Sequence[float]) -> None:
    """Seen with `-s`, and where the test fails."""
    middle, most = statistics.median(seconds), max(seconds)
    print(f"{what}: {middle:.2f} s, at most {most:.2f} s")  # noqa: T201 - a figure


async def test_a_run_that_one_works_on_is_followed_at_the_other(town: Town) -> None:
    """What workers change is told as well, with the run as it is in the end."""
    async with (
        replica(town, "one", concurrency=2, serves=True) as first,
        replica(town, "two", serves=True) as second,
        asking(first, second) as (one, other),
    ):
        async with other.stream() as stream:
            answer = await one.post("/api/runs", json={"workflow": "quick"})
            assert answer.status == 200, answer.text
            run_id = answer.json["run"]["id"]
            told = await stream.until(run_id, "completed")
        run: Run = await first.run(run_id)
        assert (told[-1]["steps_done"], run.steps_done) == (2, 2)
        assert run.worktree.host == "one"
