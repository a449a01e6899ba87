"""Which runs this process works on: it starts claims, renews leases, and tidies up after others."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from bot import reports
from bot.execution import Execution, Stop, audited
from bot.heart import Heart, Post, safely
from bot.output import Output
from bot.ports import Held, Move, Store, Survey, Transaction, WorktreeHeldError
from bot.run import Change, Run, RunStatus
from bot.supervision import EndingKind
from bot.workshop import Workshop

_PRUNE_SECONDS = 3600.0
_RESCAN_SECONDS = 1.0
_SHARE_SECONDS = 1.0
_HELD_UP_SECONDS = 10.0


class Rounds:
    """Rounds that one makes and others wait for."""

    def __init__(self) -> None:
        self._begun = 0
        self._ended = 0
        self._over = asyncio.Condition()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Make a round."""
        self._begun += 1
        yield
        async with self._over:
            self._ended = self._begun
            self._over.notify_all()

    async def next(self) -> None:
        """Return once a round is over that had not begun yet."""
        wanted = self._begun + 1
        async with self._over:
            await self._over.wait_for(lambda: self._ended >= wanted)


class Worker:
    """Carries out the claims of its host, one per process; its `heart` tells others of it."""

    def __init__(self, post: Post, store: Store, workshop: Workshop) -> None:
        self.post = post
        self._store = store
        self._workshop = workshop
        self._executions: dict[str, Execution] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._cleaning: set[str] = set()
        self._begun: set[tuple[str, int]] = set()
        self._leaving = asyncio.Event()
        self._nudged = asyncio.Event()
        self._looking = Rounds()
        self._told: dict[str, int] = {}
        self.heart = Heart(post, store, self._executions)
        self._interrupts = False
        self._held_up: dict[str, float] = {}
        self._looked_at = time.time()
        self._tells_from = 0.0
        self._pruned_at = 0.0

    async def work(self) -> None:
        """Work until told to leave; then every execution has ended."""
        watch = self._store.watch()
        background = [
            asyncio.create_task(self.heart.beat_on()),
            asyncio.create_task(self.heart.keep_contact()),
            asyncio.create_task(self._share_on()),
        ]
        try:
            while not self._leaving.is_set() or self._under_way:
                self._nudged.clear()
                async with self._looking.one():
                    await safely("survey", self._look_round())
                await self._either(watch.changed(_RESCAN_SECONDS))
        finally:
            for task in background:
                task.cancel()
            watch.close()
        await safely("depart", self._store.write(self._depart))

    def leave(self, *, wait: bool) -> None:
        """Start nothing more; what is under way is waited for, or stopped and interrupted."""
        self._leaving.set()
        self._nudged.set()
        self._interrupts = not wait
        if not wait:
            for execution in list(self._executions.values()):
                execution.stop(Stop.INTERRUPTED)
        elif not self.heart.leaving:
            # At once, so that nobody sends anything more here.
            self._spawn(safely("heartbeat", self.heart.beat()))
        self.heart.leaving = True

    def adopt(self, run: Run) -> None:
        """Work on a run that was claimed and started in this worker's name."""
        if (run.id, run.epoch) not in self._begun:
            self._begin(run)

    async def take_up(self, run_id: str, epoch: int) -> None:
        """Look at a claim at once, and stay while it is worked on here; cancelled, look again."""
        try:
            self._nudged.set()
            await self._looking.next()
            execution = self._executions.get(run_id)
            if execution is not None and execution.run.epoch == epoch:
                await execution.ended.wait()
        except asyncio.CancelledError:
            self._nudged.set()
            raise

    @property
    def idle(self) -> bool:
        """Whether nothing is under way here."""
        return not self._under_way

    # --- looking round ---------------------------------------------------------------------

    async def _look_round(self) -> None:
        if self.heart.barred:
            return
        known, begun = dict(self._executions), set(self._begun)
        free = max(0, self.post.concurrency - len(known))
        survey = await self._store.read(
            lambda tx: tx.work.survey(self.post.name, self.post.host, free)
        )
        self._begun -= begun - {(held.run_id, held.epoch) for held in survey.mine}
        self._stop_lost(known, survey.mine)
        await self._begin_unanswered(survey.mine)
        if self._leaving.is_set():
            return
        for run in survey.startable:
            await self._start(run)
        await self._take_in(survey.stranded, free)
        for run in survey.abandoned:
            self._clean(run)
        await self._tell_expired(survey)
        await self._prune()

    def _stop_lost(self, known: dict[str, Execution], mine: Sequence[Held]) -> None:
        working = {(h.run_id, h.epoch) for h in mine if h.status is RunStatus.RUNNING}
        for run_id, execution in known.items():
            if (run_id, execution.run.epoch) not in working:
                execution.stop(Stop.LOST)

    async def _begin_unanswered(self, mine: Sequence[Held]) -> None:
        """Work on what was started here though nobody heard: the database went away just then."""
        for held in mine:
            claim = (held.run_id, held.epoch)
            if held.status is RunStatus.RUNNING and claim not in self._begun:
                run = await self._store.read(partial(_get, run_id=held.run_id))
                still_mine = run is not None and run.worker == self.post.name
                if run is not None and still_mine and (run.id, run.epoch) not in self._begun:
                    self._begin(run)

    async def _start(self, run: Run) -> None:
        if self._leaving.is_set():
            return

        def start(tx: Transaction) -> Run | None:
            started = tx.work.start(run.id, run.epoch, self.post.name)
            return audited(tx, started, "start", run)

        started = await self._store.write(start)
        if started is not None:
            self._begin(started)

    async def _take_in(self, stranded: Sequence[Run], free: int) -> None:
        """Claim for this host what waits for a silent one, if its branch is enough for that."""
        now = time.monotonic()
        self._held_up = {run_id: until for run_id, until in self._held_up.items() if until > now}
        repositories = self.post.describe().repositories if stranded else {}
        ready = [run for run in stranded if run.id not in self._held_up]
        for run in [run for run in ready if run.workflow in repositories][:free]:
            repository = repositories[run.workflow]
            to = Move(self._workshop.place(repository, run.branch), repository)
            try:
                await self._store.write(partial(_move, run=run, to=to))
            except WorktreeHeldError:
                # Each try is a change that wakes everybody.
                self._held_up[run.id] = now + _HELD_UP_SECONDS

    def _begin(self, run: Run) -> None:
        self._begun.add((run.id, run.epoch))
        execution = Execution(run, self._store, self._workshop)
        self._executions[run.id] = execution
        if self._interrupts:
            execution.stop(Stop.INTERRUPTED)
        self._spawn(self._carry_out(execution))

    async def _carry_out(self, execution: Execution) -> None:
        try:
            await safely("execution", execution.carry_out())
        finally:
            await safely("share", self._share([execution]))
            self._told.pop(execution.run.id, None)
            execution.ended.set()
            if self._executions.get(execution.run.id) is execution:
                del self._executions[execution.run.id]
        if execution.cut_off and self.post.auto_resume and not self.heart.barred:
            await safely("resume", self._store.write(partial(self._go_on, run=execution.run)))

    async def _share_on(self) -> None:
        while True:
            await asyncio.sleep(_SHARE_SECONDS)
            await safely("share", self._share(list(self._executions.values())))

    async def _share(self, executions: Sequence[Execution]) -> None:
        """Let other hosts have the ends of these outputs, where they have grown."""
        if not self.post.shared:
            return
        for execution in executions:
            run_id, epoch = execution.run.id, execution.run.epoch
            output = self._workshop.output(run_id, self._told.get(run_id, 0))
            if output is not None:
                await self._store.write(partial(_put, run_id=run_id, epoch=epoch, output=output))
                self._told[run_id] = output.size

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._leaving.is_set():
            self._nudged.set()

    # --- tidying up after others -----------------------------------------------------------

    def _clean(self, run: Run) -> None:
        if run.id not in self._cleaning and run.id not in self._executions:
            self._cleaning.add(run.id)
            self._spawn(self._cleaned(run))

    async def _cleaned(self, run: Run) -> None:
        """Stop what the worker of a cancelled run left, and free the worktree."""
        try:
            await safely("cleaning", self._clean_up(run))
        finally:
            self._cleaning.discard(run.id)

    async def _clean_up(self, run: Run) -> None:
        supervised = await self._workshop.supervise(self._workshop.cleaning(run))
        ending = await supervised.ending()
        if ending.kind in {EndingKind.CLEAN, EndingKind.SUPERSEDED}:
            await self._store.write(
                lambda tx: audited(tx, tx.work.stopped(run.id, run.epoch), "stopped", run)
            )
            return
        text = reports.not_provably_gone(run.worktree.host)
        await self._store.write(lambda tx: tx.work.unproven(run.id, run.epoch, text))

    async def _tell_expired(self, survey: Survey) -> None:
        """Say of runs whose worker is silent that they are interrupted.

        After a gap in this process's own time (a laptop slept) everybody renews first.
        """
        now, before = time.time(), self._looked_at
        self._looked_at = now
        if any(run.worker == self.post.name for run in survey.expired):
            await self.heart.beat()
        if now - before > 3 * self.post.heartbeat_seconds + _RESCAN_SECONDS:
            self._tells_from = now + 2 * self.post.heartbeat_seconds
        if now < self._tells_from:
            return
        if not all(self._works_on(run) for run in survey.expired):
            await self._store.write(self._tell_lost)
        if self.post.auto_resume and not all(self._works_on(run) for run in survey.told):
            await self._store.write(self._resume_told)

    def _works_on(self, run: Run) -> bool:
        """Whether its lease runs out although we live; not where we never learned of our start."""
        execution = self._executions.get(run.id)
        return execution is not None and execution.run.epoch == run.epoch

    def _tell_lost(self, tx: Transaction) -> None:
        for run in tx.work.expired():
            if not self._works_on(run):
                self._lost(tx, run)

    def _resume_told(self, tx: Transaction) -> None:
        for run in tx.work.told(self.post.host):
            if not self._works_on(run):
                self._go_on(tx, run)

    def _lost(self, tx: Transaction, run: Run) -> None:
        lost = audited(tx, tx.work.lost(run), "lost", run)
        if lost is not None and self.post.auto_resume and run.worktree.host == self.post.host:
            self._go_on(tx, run)

    def _go_on(self, tx: Transaction, run: Run) -> None:
        by = Change(f"worker:{self.post.name}", "worker", tx.now)
        with suppress(WorktreeHeldError):
            audited(tx, tx.claims.resume(run.id, by, run.epoch, None), "resume", run)

    async def _prune(self) -> None:
        if time.monotonic() - self._pruned_at > _PRUNE_SECONDS:
            self._pruned_at = time.monotonic()
            await self._store.write(lambda tx: tx.deliveries.prune())

    # --- leaving ---------------------------------------------------------------------------

    def _depart(self, tx: Transaction) -> None:
        tx.work.depart(self.post.name)

    # --- staying alive ---------------------------------------------------------------------

    async def _either(self, change: Coroutine[Any, Any, None]) -> None:
        """Wait for a change, or for being told to look or to leave."""
        events = [self._nudged.wait()]
        if not self._leaving.is_set():
            events.append(self._leaving.wait())
        waits = [asyncio.ensure_future(wait) for wait in (change, *events)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for waiting in waits:
            waiting.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _put(tx: Transaction, run_id: str, epoch: int, output: Output) -> None:
    tx.outputs.put(run_id, epoch, output)


def _move(tx: Transaction, run: Run, to: Move) -> Run | None:
    notice = reports.moved_here(run.worktree.host, to.worktree.host)
    return audited(tx, tx.claims.move(run, to, notice), "move", run)


def _get(tx: Transaction, run_id: str) -> Run | None:
    return tx.runs.get(run_id)
