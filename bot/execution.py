"""One claim, carried out: prepare the worktree, then step after step until the run settles.

Whatever is written here is fenced by the epoch: a write that changes nothing means that the run
was cancelled or claimed anew, and that this execution has to end.
"""

import asyncio
from collections.abc import Callable
from enum import IntEnum

from bot import log, reports
from bot.conversation import Door
from bot.outcome import AuditEvent
from bot.ports import DatabaseUnavailableError, Store, Transaction
from bot.run import Run, RunStatus
from bot.supervision import Ending, EndingKind, Order
from bot.workshop import Pushed, Supervised, Workshop

_AGAIN_SECONDS = 0.5
_TRIES_WHEN_LEAVING = 10


class Stop(IntEnum):
    """Why an execution has to end before its run is done; a higher one outranks a lower one."""

    INTERRUPTED = 1
    """Baton is being stopped; the run becomes failed and can be resumed."""
    CUT_OFF = 2
    """The database has not been reached for so long that another host may take the run."""
    LOST = 3
    """The claim is not ours any more: cancelled, or claimed anew."""


_INTERRUPTIONS = frozenset({Stop.INTERRUPTED, Stop.CUT_OFF})


class Execution:
    """Works on one claimed and started run in this process, until it has `ended`.

    `cut_off` where the run failed because the database had not been reached for too long.
    """

    def __init__(self, run: Run, store: Store, workshop: Workshop) -> None:
        self.run = run
        self._store = store
        self._workshop = workshop
        self._stop: Stop | None = None
        self._supervised: Supervised | None = None
        self._patient = True
        self.cut_off = False
        self.ended = asyncio.Event()

    def stop(self, why: Stop) -> None:
        """End soon. Safe to repeat."""
        # Whoever is cut off has all the time until the database is back; whoever leaves has not.
        self._patient &= why is Stop.CUT_OFF
        self._stop = max(why, self._stop or why)
        if self._supervised is not None:
            self._supervised.stop()

    async def carry_out(self) -> None:
        """Work until the run settles or the claim is lost."""
        with log.span("run.execution", run=self.run.id, epoch=self.run.epoch) as span:
            going = await self._prepare()
            while going:
                going = await self._next()
            span.fields["status"] = str(self.run.status)

    # --- writing ---------------------------------------------------------------------------

    async def _write(self, change: Callable[[Transaction], Run | None]) -> bool:
        """Write a fenced change, again and again until the database takes it.

        False when the claim is lost; then the worktree is free, if it was still ours to free.
        """
        run = await self._persistently(change)
        if run is not None:
            self.run = run
            return True
        self.run = await self._persistently(self._stopped) or self.run
        return False

    async def _persistently(self, change: Callable[[Transaction], Run | None]) -> Run | None:
        tries, doubtful = 0, False
        while True:
            try:
                run = await self._store.write(change)
                return await self._made_before() if run is None and doubtful else run
            except DatabaseUnavailableError as error:
                log.event("run.write_rejected", run=self.run.id, reason=str(error))
                doubtful |= not error.certain
                tries += not self._patient
                if tries >= _TRIES_WHEN_LEAVING:
                    return None
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _made_before(self) -> Run | None:
        """The run as an earlier try left it, of which nobody could tell; None where it is lost."""
        now = await self._store.read(lambda tx: tx.runs.get(self.run.id))
        if now is None or now.status is RunStatus.CANCELLED:
            return None
        return now if (now.epoch, now.worker) == (self.run.epoch, self.run.worker) else None

    def _stopped(self, tx: Transaction) -> Run | None:
        run = tx.work.stopped(self.run.id, self.run.epoch)
        return audited(tx, run, "stopped", self.run)

    # --- preparing -------------------------------------------------------------------------

    async def _prepare(self) -> bool:
        ending = await self._supervise(self._workshop.preparation(self.run))
        if not await self._survived(ending):
            return False
        prepared = self._workshop.prepared(self.run)
        if ending.exit_code != 0 and ending.stopped and self._stop in _INTERRUPTIONS:
            return await self._interrupted(None)
        if ending.exit_code != 0:
            reason = prepared.reason or reports.step_failed(ending.exit_code or 0)
            return await self._fail(reports.could_not_prepare(reason), None)
        if prepared.notice is None:
            return True
        notice = prepared.notice
        return await self._write(lambda tx: tx.work.notice(self.run, notice))

    # --- one step --------------------------------------------------------------------------

    async def _next(self) -> bool:
        """Carry out the current step; False when there is nothing more to do here."""
        step = self.run.step
        if self._stop in _INTERRUPTIONS:
            return await self._interrupted(None)
        if step is None:
            await self._settle("complete", lambda tx: tx.work.complete(self.run))
            return False
        if step.gate is not None:
            await self._settle("pause", lambda tx: tx.work.pause(self.run), step.name)
            return False
        return await self._attempt()

    async def _attempt(self) -> bool:
        if not await self._write(lambda tx: tx.work.attempt(self.run)):
            return False
        self._workshop.note(self.run, reports.step_heading(self.run))
        ending = await self._supervise(self._workshop.step(self.run))
        if not await self._survived(ending):
            return False
        if ending.log_error:
            await self._write(
                lambda tx: tx.work.notice(self.run, reports.log_cut(ending.log_error or ""))
            )
        return await self._judge(ending)

    async def _judge(self, ending: Ending) -> bool:
        code, step = ending.exit_code, self.run.step
        if ending.timed_out:
            seconds = (step.timeout_seconds if step else None) or 0
            return await self._fail(reports.step_timed_out(seconds), code)
        if ending.stopped and self._stop in _INTERRUPTIONS:
            # A shell whose child was stopped may well say 0: the step has to start again.
            return await self._interrupted(code)
        if code == 0:
            return await self._done()
        return await self._fail(reports.step_failed(code or 0), code)

    async def _done(self) -> bool:
        """The step is done; what it committed is pushed first, so that other hosts can have it."""
        pushed = await self._pushed()
        if pushed.reason is None:
            return await self._write(lambda tx: tx.work.step_done(self.run, 0, pushed.commit))
        notice = reports.not_pushed(pushed.reason)
        self._workshop.note(self.run, notice)

        def done(tx: Transaction) -> Run | None:
            run = tx.work.step_done(self.run, 0)
            return run and tx.work.notice(run, notice)

        return await self._write(done)

    async def _pushed(self) -> Pushed:
        order = self._workshop.pushing(self.run)
        if order is None or not await self._may_push():
            return Pushed(commit=None, reason=None)
        await self._supervise(order)
        return self._workshop.pushed(self.run)

    async def _may_push(self) -> bool:
        """Whether the branch is still for this claim to push, as far as the database tells."""
        try:
            return await self._made_before() is not None
        except DatabaseUnavailableError:
            return True

    # --- endings ---------------------------------------------------------------------------

    def _asked_to_stop(self) -> bool:
        return self._stop is not None

    async def _supervise(self, order: Order) -> Ending:
        if self._asked_to_stop():
            return Ending(kind=EndingKind.CLEAN, stopped=True)
        try:
            self._supervised = await self._workshop.supervise(order)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            return Ending(kind=EndingKind.ERROR, reason=reason)
        if self._asked_to_stop():
            self._supervised.stop()
        ending = await self._supervised.ending()
        self._supervised = None
        return ending

    async def _survived(self, ending: Ending) -> bool:
        """Whether the command came to its own end; otherwise the run is settled here."""
        if ending.kind is EndingKind.EXITED and self._stop is not Stop.LOST:
            return True
        await self._ENDINGS[ending.kind](self, ending)
        return False

    async def _exited(self, _ending: Ending) -> None:
        await self._persistently(self._stopped)

    async def _clean(self, _ending: Ending) -> None:
        if self._stop in _INTERRUPTIONS:
            await self._interrupted(None)
        else:
            await self._persistently(self._stopped)

    async def _superseded(self, _ending: Ending) -> None:
        log.event("run.claim_rejected", run=self.run.id, reason="a newer claim has the worktree")
        await self._persistently(self._stopped)

    async def _not_gone(self, ending: Ending) -> None:
        """The worktree is not free, so the run cannot settle: its lease will run out."""
        log.event("run.stop_rejected", run=self.run.id, reason=ending.reason)
        text = reports.not_provably_gone(self.run.worktree.host)
        await self._persistently(lambda tx: tx.work.unproven(self.run.id, self.run.epoch, text))

    async def _error(self, ending: Ending) -> None:
        await self._fail(reports.could_not_supervise(ending.reason or ""), None)

    async def _lost(self, _ending: Ending) -> None:
        await self._fail(reports.supervisor_died(), None)

    _ENDINGS = {  # noqa: RUF012 - a constant table
        EndingKind.EXITED: _exited,
        EndingKind.CLEAN: _clean,
        EndingKind.SUPERSEDED: _superseded,
        EndingKind.NOT_GONE: _not_gone,
        EndingKind.ERROR: _error,
        EndingKind.LOST: _lost,
    }

    async def _interrupted(self, exit_code: int | None) -> bool:
        cut_off = self._stop is Stop.CUT_OFF
        reason = reports.cut_off() if cut_off else reports.interrupted()
        going = await self._fail(reason, exit_code)
        self.cut_off = cut_off and self.run.status is RunStatus.FAILED
        return going

    async def _fail(self, error: str, exit_code: int | None) -> bool:
        await self._settle("fail", lambda tx: tx.work.fail(self.run, error, exit_code), error)
        return False

    async def _settle(
        self, verb: str, change: Callable[[Transaction], Run | None], detail: str | None = None
    ) -> None:
        before = self.run
        await self._write(lambda tx: audited(tx, change(tx), verb, before, detail))


def audited(
    tx: Transaction, run: Run | None, verb: str, before: Run, detail: str | None = None
) -> Run | None:
    """Record what a worker changed, in the transaction that changes it."""
    if run is not None:
        tx.audit.add(
            AuditEvent(
                at=tx.now,
                actor=f"worker:{run.worker or before.worker}",
                door=Door.WORKER,
                verb=verb,
                outcome=run.status,
                run=run.id,
                conversation=run.conversation,
                from_status=before.status,
                to_status=run.status,
                epoch=run.epoch,
                detail=detail,
            )
        )
    return run
