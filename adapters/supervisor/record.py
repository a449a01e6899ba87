"""The worktree's lock file: who claimed it last, and which processes may still work in it.

Three files: the record itself, always replaced as a whole; beside it `.flock`, locked for the
moment of a change and never replaced, since a lock on a file that is renamed over guards
nothing; and `.held`, locked for as long as the supervisor of a started step lives. The last
one is seen even across process namespaces (containers on one host that share the worktrees).
"""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from adapters.supervisor.living import Identity, find, send

_PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.005


class RecordDamagedError(Exception):
    """The record is there and cannot be understood; nobody can say what works in the worktree."""


class RecordStuckError(Exception):
    """Somebody holds `.flock` and does not let go."""


class Tree(NamedTuple):
    """The processes of one started step. `child` leads its group and login session.

    The guard is the supervisor's parent; there is none where orphans cannot be adopted.
    """

    run: str
    epoch: int
    boot: str
    grace_seconds: float
    supervisor: Identity
    child: Identity
    guard: Identity | None = None


class Record(NamedTuple):
    """What the lock file says. `closed`: this claim starts nothing more in the worktree."""

    claim: int
    run: str
    epoch: int
    closed: bool
    trees: tuple[Tree, ...]


class LockFile:
    """The lock file of one worktree."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._held: int | None = None

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else changes the record meanwhile.

        Raises RecordStuckError if another process does not let go of it within some seconds.
        """
        os.makedirs(os.path.dirname(self._path), exist_ok=True)  # noqa: PTH103, PTH120
        until = time.monotonic() + _PATIENCE_SECONDS
        while (lock := _locked(self._path + ".flock")) is None:
            if time.monotonic() > until:
                raise RecordStuckError
            self._wake_recorded()
            time.sleep(_PAUSE_SECONDS)
        try:
            yield
        finally:
            os.close(lock)

    def _wake_recorded(self) -> None:
        """A supervisor that was frozen (SIGSTOP) while it changed the record must go on."""
        with suppress(RecordDamagedError):
            record = self.read()
            for tree in record.trees if record else ():
                supervisor = find(tree.supervisor.pid)
                if supervisor is not None and supervisor.identity == tree.supervisor:
                    send(supervisor, signal.SIGCONT)

    def read(self) -> Record | None:
        """The record as last written; None if there is none yet. Raises RecordDamagedError."""
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123
                content = file.read()
        except FileNotFoundError:
            return None
        try:
            return _record(json.loads(content))
        except (ValueError, TypeError, KeyError) as error:
            raise RecordDamagedError from error

    def write(self, record: Record) -> None:
        """Replaces the record as a whole, durably. Raises OSError, and the old one stays."""
        content = {**record._asdict(), "trees": [_written(tree) for tree in record.trees]}
        new = self._path + ".new"
        with open(new, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._path)  # noqa: PTH105

    def hold(self) -> bool:
        """Marks a living supervisor until it and its guard end; false if another one lives."""
        if self._held is None:
            self._held = _locked(self._path + ".held")
        return self._held is not None

    def let_go(self) -> None:
        """Undoes `hold`, for the guard too."""
        if self._held is not None:
            fcntl.flock(self._held, fcntl.LOCK_UN)
            os.close(self._held)
            self._held = None


def _locked(path: str) -> int | None:
    """A descriptor that holds the lock of this file; None if somebody else holds it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Somebody may have deleted the file since: then this is the lock of nothing.
        if os.path.samestat(os.fstat(lock), os.stat(path)):  # noqa: PTH116
            return lock
    os.close(lock)
    return None


def _written(tree: Tree) -> dict[str, object]:
    guard = tree.guard._asdict() if tree.guard else None
    supervisor, child = tree.supervisor._asdict(), tree.child._asdict()
    return {**tree._asdict(), "guard": guard, "supervisor": supervisor, "child": child}


def _record(content: Mapping[str, Any]) -> Record:
    return Record(
        claim=int(content["claim"]),
        run=str(content["run"]),
        epoch=int(content["epoch"]),
        closed=bool(content["closed"]),
        trees=tuple(_tree(tree) for tree in content["trees"]),
    )


def _tree(content: Mapping[str, Any]) -> Tree:
    return Tree(
        run=str(content["run"]),
        epoch=int(content["epoch"]),
        boot=str(content["boot"]),
        grace_seconds=float(content["grace_seconds"]),
        supervisor=_identity(content["supervisor"]),
        child=_identity(content["child"]),
        guard=_identity(content["guard"]) if content["guard"] else None,
    )


def _identity(content: Mapping[str, Any]) -> Identity:
    return Identity(int(content["pid"]), int(content["start"]))
