"""A run's life against a model of a few lines: whatever happens, in whatever order."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bot.ports import Transaction, WorktreeHeldError
from bot.run import Change, Run
from store.sqlite import SqliteDatabase
from tests.store.factories import (
    LEASE_SECONDS,
    ORPHAN_SECONDS,
    STEPS,
    TERMS,
    Clock,
    impossible,
    living,
    new_run,
    row_of,
    write,
)


@dataclass
class Model:
    """A run as the rules have it."""

    branch: str
    active: float
    status: str = "pending"
    epoch: int = 1
    worker: str | None = None
    lease: float | None = None
    held: bool = True
    done: int = 0
    attempt: int = 0
    error: str | None = None
    lost: bool = False
    version: int = 1
    changed_by: str = "cli:ana"

    def set(self, **fields: Any) -> None:
        for name, value in {**fields, "version": self.version + 1}.items():
            setattr(self, name, value)

    def stale(self, now: float) -> bool:
        if self.status != "running":
            return False
        if self.worker is not None:
            return self.lease is not None and self.lease < now
        return self.active < now - ORPHAN_SECONDS

    def resumable(self, now: float) -> bool:
        return self.status in {"failed", "paused"} or self.stale(now)


class Life(RuleBasedStateMachine):
    """Everything that people, workers and time can do to runs of two branches."""

    template: Path

    known = Bundle("known")
    epochs = st.integers(-1, 1).map(lambda off: off if off < 1 else 0)
    """Mostly the epoch that is current; sometimes the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[str, Model] = {}
        self.clock = Clock()
        self.directory = tempfile.TemporaryDirectory()
        file = shutil.copy(self.template, Path(self.directory.name) / "baton.db")
        self.database = SqliteDatabase(Path(file), TERMS, self.clock)
        with self.database.connect() as connection:
            connection.rollback()
            assert connection.connection.driver_connection is not None
            connection.connection.driver_connection.execute("PRAGMA synchronous=OFF")

    def teardown(self) -> None:
        self.database.close()
        self.directory.cleanup()

    def by(self) -> Change:
        return Change("cli:ana", "cli", self.clock.now)

    def change(self, change: Callable[[Transaction], Run | None]) -> Run | None:
        done = write(self.database, change)
        assert done is None or isinstance(done, Run)
        return done

    def holder(self, branch: str) -> str | None:
        holders = [i for i, model in self.runs.items() if model.branch == branch and model.held]
        assert len(holders) <= 1
        return holders[0] if holders else None

    def seen(self, run_id: str, epoch: int) -> Run:
        run = self.database.read(lambda tx: tx.runs.get(run_id))
        assert run is not None
        return replace(run, epoch=epoch)

    # --- people --------------------------------------------------------------------------------

    @rule(target=known, branch=st.sampled_from("ab"), worker=st.sampled_from([None, "w1"]))
    def run(self, branch: str, worker: str | None) -> str:
        run_id = f"run{len(self.runs):05d}"
        holder = self.holder(branch)
        try:
            self.change(lambda tx: tx.claims.insert(new_run(run_id, branch), self.by(), worker))
        except WorktreeHeldError:
            assert holder is not None
            return holder
        assert holder is None
        model = self.runs[run_id] = Model(branch, self.clock.now)
        if worker:
            model.status, model.worker = "running", worker
            model.lease = self.clock.now + LEASE_SECONDS
        return run_id

    @rule(
        run_id=known,
        seen=st.sampled_from([None, 0, -1]),
        worker=st.sampled_from([None, "w1", "w2"]),
    )
    def resume(self, run_id: str, seen: int | None, worker: str | None) -> None:
        model, now = self.runs[run_id], self.clock.now
        epoch = None if seen is None else model.epoch + seen
        allowed = model.resumable(now) and seen != -1
        others = self.holder(model.branch) not in {None, run_id}
        try:
            done = self.change(lambda tx: tx.claims.resume(run_id, self.by(), epoch, worker))
        except WorktreeHeldError:
            assert allowed
            assert others
            return
        assert (done is not None) == allowed
        if done is None:
            return
        assert not others
        gate = model.status == "paused"
        model.set(
            status="running",
            epoch=model.epoch + 1,
            worker=worker,
            lease=now + LEASE_SECONDS if worker else None,
            held=True,
            done=model.done + gate,
            attempt=0 if gate else model.attempt,
            error=None,
            lost=False,
            active=now,
            changed_by="cli:ana",
        )

    @rule(run_id=known, seen=st.sampled_from([None, 0, -1]))
    def cancel(self, run_id: str, seen: int | None) -> None:
        model = self.runs[run_id]
        epoch = None if seen is None else model.epoch + seen
        allowed = model.status not in {"completed", "cancelled"} and seen != -1
        done = self.change(lambda tx: tx.claims.cancel(run_id, self.by(), epoch))
        assert (done is not None) == allowed
        if done:
            held = model.held and model.worker is not None
            model.set(status="cancelled", held=held, changed_by="cli:ana")

    @rule(run_id=known)
    def release(self, run_id: str) -> None:
        model = self.runs[run_id]
        silent = model.lease is None or model.lease < self.clock.now
        done = self.change(lambda tx: tx.claims.release(run_id, self.by(), None))
        assert (done is not None) == (model.status == "cancelled" and model.held and silent)
        if done:
            model.set(held=False, error=None, changed_by="cli:ana")

    # --- workers -------------------------------------------------------------------------------

    @rule(run_id=known, off=epochs, worker=st.sampled_from(["w1", "w2"]))
    def start(self, run_id: str, off: int, worker: str) -> None:
        model = self.runs[run_id]
        waiting = model.status in {"pending", "running"} and model.worker is None
        done = self.change(lambda tx: tx.work.start(run_id, model.epoch + off, worker))
        assert (done is not None) == (waiting and off == 0)
        if done:
            lease = self.clock.now + LEASE_SECONDS
            model.set(status="running", worker=worker, lease=lease, active=self.clock.now)

    @rule(run_id=known, worker=st.sampled_from(["w1", "w2"]))
    def beat(self, run_id: str, worker: str) -> None:
        model, now = self.runs[run_id], self.clock.now
        mine = model.status == "running" and model.worker == worker
        beaten = write(
            self.database, lambda tx: tx.work.beat(living(worker), {run_id: model.epoch})
        )
        assert beaten == ({run_id} if mine else set())
        if mine:
            model.version += model.lost
            model.lease, model.active, model.lost = now + LEASE_SECONDS, now, False

    def work(self, run_id: str, off: int, act: Callable[[Transaction, Run], Run | None]) -> bool:
        """Whether a worker's change was taken, as it must be where the claim is the worker's."""
        model = self.runs[run_id]
        seen = self.seen(run_id, model.epoch + off)
        done = self.change(lambda tx: act(tx, seen))
        assert (done is not None) == (model.status == "running" and off == 0)
        if done:
            model.active = self.clock.now
        return done is not None

    @rule(run_id=known, off=epochs)
    def attempt(self, run_id: str, off: int) -> None:
        model = self.runs[run_id]
        if self.work(run_id, off, lambda tx, run: tx.work.attempt(run)):
            model.set(attempt=model.attempt + 1)

    @rule(run_id=known, off=epochs)
    def step_done(self, run_id: str, off: int) -> None:
        model = self.runs[run_id]
        if model.done < len(STEPS) and self.work(
            run_id, off, lambda tx, run: tx.work.step_done(run, 0)
        ):
            model.set(done=model.done + 1, attempt=0)

    @rule(run_id=known, off=epochs)
    def pause(self, run_id: str, off: int) -> None:
        model = self.runs[run_id]
        if model.done < len(STEPS) and self.work(run_id, off, lambda tx, run: tx.work.pause(run)):
            model.set(status="paused", held=False, changed_by=f"worker:{model.worker}")

    @rule(run_id=known, off=epochs)
    def fail(self, run_id: str, off: int) -> None:
        model = self.runs[run_id]
        if self.work(run_id, off, lambda tx, run: tx.work.fail(run, "exit code 1", 1)):
            model.set(
                status="failed",
                held=False,
                error="exit code 1",
                changed_by=f"worker:{model.worker}",
            )

    @rule(run_id=known, off=epochs)
    def complete(self, run_id: str, off: int) -> None:
        model = self.runs[run_id]
        if self.work(run_id, off, lambda tx, run: tx.work.complete(run)):
            model.set(status="completed", held=False, changed_by=f"worker:{model.worker}")

    @rule(run_id=known, off=epochs, proven=st.booleans())
    def stopped(self, run_id: str, off: int, proven: bool) -> None:
        model = self.runs[run_id]
        epoch = model.epoch + off
        done = self.change(
            lambda tx: (
                tx.work.stopped(run_id, epoch)
                if proven
                else tx.work.unproven(run_id, epoch, "not gone")
            )
        )
        assert (done is not None) == (model.status == "cancelled" and model.held and off == 0)
        if done and proven:
            model.set(held=False, error=None)
        elif done:
            model.set(error="not gone", lease=None)

    @rule(run_id=known, off=epochs)
    def lose(self, run_id: str, off: int) -> None:
        model = self.runs[run_id]
        seen = self.seen(run_id, model.epoch + off)
        silent = model.worker is not None and model.stale(self.clock.now) and not model.lost
        done = self.change(lambda tx: tx.work.lost(seen))
        assert (done is not None) == (silent and off == 0)
        if done:
            model.set(lost=True)

    # --- time ----------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, LEASE_SECONDS, 1 + ORPHAN_SECONDS]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    # --- what always holds -----------------------------------------------------------------------

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        found = self.database.read(lambda tx: tx.runs.recent(None, None))
        assert {run.id: _shown(run) for run in found} == {
            run_id: _expected(model, self.clock.now) for run_id, model in self.runs.items()
        }

    @invariant()
    def every_run_is_possible(self) -> None:
        for run_id in self.runs:
            row = row_of(self.database, run_id)
            assert impossible(row) is None, row

    @invariant()
    def claims_are_told_apart(self) -> None:
        claims = [run.claim for run in self.database.read(lambda tx: tx.runs.recent(None, None))]
        assert len(set(claims)) == len(claims)


def _shown(run: Run) -> dict[str, Any]:
    return {
        "branch": run.branch,
        "status": str(run.status),
        "epoch": run.epoch,
        "worker": run.worker,
        "lease": run.lease_expires_at,
        "active": run.last_activity_at,
        "held": run.held,
        "done": run.steps_done,
        "attempt": run.attempt,
        "error": run.error,
        "version": run.version,
        "changed_by": run.changed.actor,
        "stale": run.stale,
        "resumable": run.resumable,
    }


def _expected(model: Model, now: float) -> dict[str, Any]:
    fields = {name: getattr(model, name) for name in Model.__dataclass_fields__ if name != "lost"}
    return {**fields, "stale": model.stale(now), "resumable": model.resumable(now)}


@pytest.mark.parametrize("examples", [25, pytest.param(2000, marks=pytest.mark.soak)])
def test_a_runs_life_is_as_the_model_has_it(empty_file: Path, examples: int) -> None:
    class LifeHere(Life):
        template = empty_file

    run_state_machine_as_test(
        LifeHere,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
