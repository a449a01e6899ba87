"""One order, from taking the worktree to the proof that nothing is left in it."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from math import inf

from adapters.supervisor.child import Child, forked
from adapters.supervisor.guard import go_on_guarded
from adapters.supervisor.leftovers import NotGoneError, stop_recorded
from adapters.supervisor.living import Identity, boot, find
from adapters.supervisor.log import Log
from adapters.supervisor.order import Ended, Order, parsed
from adapters.supervisor.record import (
    LockFile,
    Record,
    RecordDamagedError,
    RecordStuckError,
    Tree,
)
from adapters.supervisor.tree import OwnTree
from adapters.supervisor.watch import Watch

_WORDS, _ANSWERS = 0, 1
_FENCE_SECONDS = 0.5
_DAMAGED = (
    "The worktree's lock record is damaged. Make sure that nothing works in the worktree, "
    "then delete the record."
)
_STUCK = "Another process keeps the worktree's lock record to itself."
_UNSEEN = "A supervisor that cannot be seen from here still works in the worktree."
_SURVIVED = "Some processes could not be proven gone."
_NO_ORDER = "The order could not be understood."
_FENCED = "A newer claim took the worktree."


class SupersededError(Exception):
    """A newer claim stands in the record, or this one was closed."""


def main() -> None:
    """Reads one order, carries it out, tells how it ended."""
    watch = Watch(_WORDS)
    line = watch.order()
    if line is None:
        return
    try:
        order = parsed(line)
    except (ValueError, TypeError):
        _tell(Ended("error", reason=_NO_ORDER))
    else:
        _tell(carry_out(order, watch))


def _tell(ended: Ended) -> None:
    _say({"event": "ended", **ended._asdict()})


def _say(answer: dict[str, object]) -> None:
    """The worker may be gone, and that must not matter."""
    with suppress(OSError):
        os.write(_ANSWERS, json.dumps(answer).encode() + b"\n")


def carry_out(order: Order, watch: Watch) -> Ended:
    """Takes the worktree, stops what is recorded there, starts the command if there is one."""
    lock = LockFile(order.lock)
    try:
        return _carried_out(order, lock, watch)
    except SupersededError:
        return Ended("superseded", stopped=watch.stop_asked, reason=_FENCED)
    except RecordDamagedError:
        return Ended("error", stopped=watch.stop_asked, reason=_DAMAGED)
    except RecordStuckError:
        return Ended("not_gone", stopped=watch.stop_asked, reason=_STUCK)
    except NotGoneError as error:
        reason = _SURVIVED if error.survivors else _UNSEEN
        return Ended("not_gone", stopped=watch.stop_asked, reason=reason, survivors=error.survivors)
    except OSError as error:
        reason = f"The worktree could not be taken: {error.strerror}."
        return Ended("error", stopped=watch.stop_asked, reason=reason)
    finally:
        lock.let_go()


def _carried_out(order: Order, lock: LockFile, watch: Watch) -> Ended:
    recorded = _take(order, lock)
    grace = max((tree.grace_seconds for tree in recorded), default=order.grace_seconds)
    stop_recorded(lambda: _confirmed(order, lock).trees, lock.hold, grace, watch.wait)
    if order.command is None or watch.stop_asked:
        _forget_all(order, lock)
        return Ended("clean", stopped=watch.stop_asked)
    guard = go_on_guarded(order.grace_seconds, _tell_lost)
    child = _start(order, lock, guard)
    return Step(order, lock, watch, child, guard).carried_out()


def _tell_lost(survivors: Sequence[int]) -> None:
    if survivors:
        _tell(Ended("not_gone", reason=_SURVIVED, survivors=survivors))
    else:
        _tell(Ended("lost"))


def _take(order: Order, lock: LockFile) -> Sequence[Tree]:
    """Writes this claim into the record: older ones are refused from now on."""
    with lock.changing():
        record = lock.read()
        if record is not None and _refuses(record, order):
            raise SupersededError
        claimed = _claimed(order, record)
        if claimed != record:
            lock.write(claimed)
        return record.trees if record else ()


def _claimed(order: Order, record: Record | None) -> Record:
    again = record is not None and record.claim == order.claim and record.closed
    return Record(
        claim=order.claim,
        run=order.run,
        epoch=order.epoch,
        closed=order.closes or again,
        trees=record.trees if record else (),
    )


def _confirmed(order: Order, lock: LockFile) -> Record:
    """The record as it is now. Raises SupersededError if it is no longer this claim's."""
    record = lock.read()
    if record is None or _refuses(record, order):
        raise SupersededError
    return record


def _refuses(record: Record, order: Order) -> bool:
    if record.claim == order.claim:
        return record.closed and order.command is not None
    return record.claim > order.claim


def _forget_all(order: Order, lock: LockFile) -> None:
    """Takes all trees, which are gone, out of the record."""
    with lock.changing():
        record = _confirmed(order, lock)
        if record.trees:
            lock.write(record._replace(trees=()))


def _start(order: Order, lock: LockFile, guard: Identity | None) -> Child:
    """Records a new tree in place of what is gone, and only then lets it begin."""
    with lock.changing():
        record = _confirmed(order, lock)
        child = forked(order)
        try:
            lock.write(record._replace(trees=(_tree(order, guard, child.pid),)))
        except BaseException:
            child.abandon()
            raise
        child.release()
        return child


def _tree(order: Order, guard: Identity | None, child: int) -> Tree:
    supervisor, first = find(os.getpid()), find(child)
    if supervisor is None or first is None:
        raise ProcessLookupError
    return Tree(
        run=order.run,
        epoch=order.epoch,
        boot=boot(),
        grace_seconds=order.grace_seconds,
        supervisor=supervisor.identity,
        child=first.identity,
        guard=guard,
    )


class Step:
    """A command under way, until nothing is left of it."""

    def __init__(
        self, order: Order, lock: LockFile, watch: Watch, child: Child, guard: Identity | None
    ) -> None:
        self._order = order
        self._lock = lock
        self._watch = watch
        self._child = child
        self._guard = guard
        self._tree = OwnTree(child.pid, adopted=guard is not None)
        self._log = Log(order.log)
        self._failure = b""
        self._timed_out = False
        self._fenced = False

    def carried_out(self) -> Ended:
        """Waits for the command's end, or ends it; then for the end of all that came from it."""
        self._watch.read(self._child.output, self._log.write)
        self._watch.read(self._child.report, self._hear_report)
        self._until_over()
        survivors = self._tree.stop(self._order.grace_seconds, self._watch.wait)
        self._watch.drain(self._child.output)
        self._watch.drain(self._child.report)
        if not survivors:
            self._forget()
        return self._ended(survivors)

    def _hear_report(self, piece: bytes) -> None:
        self._failure += piece
        if not piece and not self._failure:
            _say({"event": "started", "pid": self._child.pid})

    def _until_over(self) -> None:
        """Returns when the command ended by itself, or there is a reason to end it."""
        begun = look_again = time.monotonic()
        deadline = begun + (self._order.timeout_seconds or inf)
        while not (self._watch.stop_asked or self._fenced or self._is_unguarded()):
            self._tree.reap()
            if self._tree.exit_code is not None:
                return
            now = time.monotonic()
            if now >= deadline:
                self._timed_out = True
                return
            if now >= look_again:
                look_again = now + _FENCE_SECONDS
                self._fenced = self._is_fenced()
            self._watch.wait(min(look_again, deadline) - now)

    def _is_unguarded(self) -> bool:
        return self._guard is not None and os.getppid() != self._guard.pid

    def _is_fenced(self) -> bool:
        """Whether a newer claim, perhaps one that cannot see this process, wants it gone."""
        try:
            record = self._lock.read()
        except (OSError, RecordDamagedError):
            return False
        return record is not None and _refuses(record, self._order)

    def _forget(self) -> None:
        """Takes the tree out of the record; if that fails, the next claim finds it gone."""
        with suppress(OSError, RecordDamagedError, RecordStuckError), self._lock.changing():
            record, me = self._lock.read(), find(os.getpid())
            if record is not None and me is not None:
                others = tuple(tree for tree in record.trees if tree.supervisor != me.identity)
                self._lock.write(record._replace(trees=others))

    def _ended(self, survivors: Sequence[int]) -> Ended:
        failure = self._failure.decode() or None
        lost = self._is_unguarded()
        return Ended(
            kind=self._kind(survivors, failure, lost=lost),
            exit_code=None if failure or lost else self._tree.exit_code,
            stopped=self._watch.stop_asked and not lost,
            timed_out=self._timed_out,
            log_error=self._log.error,
            reason=_SURVIVED if survivors else failure or (_FENCED if self._fenced else None),
            survivors=survivors,
        )

    @staticmethod
    def _kind(survivors: Sequence[int], failure: str | None, *, lost: bool) -> str:
        if survivors:
            return "not_gone"
        if failure:
            return "error"
        return "lost" if lost else "exited"
