"""Which processes live, who their parents are, and signals that hit nobody else."""

import ctypes
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

LINUX = sys.platform == "linux"
_SET_PARENT_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36
_STATE, _PARENT, _GROUP, _SESSION, _THREADS, _START = 0, 1, 2, 3, 17, 19


class Identity(NamedTuple):
    """One process for good: a pid is reused, a pid with its start time is not (in one boot).

    `start` is in clock ticks since the boot on Linux, which no change of the clock moves, and in
    microseconds since 1970 elsewhere.
    """

    pid: int
    start: int


class Process(NamedTuple):
    """A process as it was when looked at; `alive` is false for a zombie."""

    pid: int
    start: int
    parent: int
    group: int
    session: int
    alive: bool

    @property
    def identity(self) -> Identity:
        """What tells it from a later process with the same pid."""
        return Identity(self.pid, self.start)


def find(pid: int) -> Process | None:
    """The process that has this pid now, zombie or not; None if there is none."""
    return from_proc(pid) if LINUX else from_psutil(pid)


def from_proc(pid: int) -> Process | None:
    """`find` on Linux."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs a start 5 ms
            text = file.read()
    except OSError:
        return None
    # The name in front may hold spaces and brackets of its own.
    fields = text[text.rindex(b")") + 2 :].split()
    # A zombie with threads is a process whose first thread ended: the others still work.
    alive = fields[_STATE] not in {b"Z", b"X"} or int(fields[_THREADS]) > 1
    return Process(
        pid=pid,
        start=int(fields[_START]),
        parent=int(fields[_PARENT]),
        group=int(fields[_GROUP]),
        session=int(fields[_SESSION]),
        alive=alive,
    )


def from_psutil(pid: int) -> Process | None:
    """`find` where there is no /proc."""
    import psutil  # noqa: PLC0415 - 20 ms that Linux need not pay

    try:
        seen = psutil.Process(pid)
        with seen.oneshot():
            return Process(
                pid=pid,
                start=round(seen.create_time() * 1_000_000),
                parent=seen.ppid(),
                group=os.getpgid(pid),
                session=os.getsid(pid),
                alive=seen.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD},
            )
    except (psutil.Error, OSError):
        return None


def living() -> dict[int, Process]:
    """Every living process that can be seen, by pid; zombies are left out."""
    found = (find(pid) for pid in _pids())
    return {process.pid: process for process in found if process is not None and process.alive}


def _pids() -> Iterable[int]:
    if LINUX:
        return (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - as above
    import psutil  # noqa: PLC0415 - as above

    return psutil.pids()


def with_descendants(roots: Iterable[int], processes: Mapping[int, Process]) -> set[int]:
    """The pids in `roots` and those of all their descendants among `processes`."""
    children: dict[int, list[int]] = defaultdict(list)
    for process in processes.values():
        children[process.parent].append(process.pid)
    found: set[int] = set()
    unseen = list(roots)
    while unseen:
        pid = unseen.pop()
        if pid not in found:
            found.add(pid)
            unseen += children[pid]
    return found


def my_children() -> list[int]:
    """The pids of this process's own children, in far less time than `living` takes (Linux)."""
    pid = os.getpid()
    with (
        suppress(OSError),
        open(f"/proc/{pid}/task/{pid}/children", "rb") as file,  # noqa: PTH123 - as above
    ):
        return [int(child) for child in file.read().split()]
    return []


def myself_and_ancestors() -> set[int]:
    """The pids of this process, its parent, and so on up."""
    pids: set[int] = set()
    process = find(os.getpid())
    while process is not None and process.pid not in pids:
        pids.add(process.pid)
        process = find(process.parent)
    return pids


def is_marked(pid: int, marks: Iterable[str]) -> bool:
    """Whether the process was started with all these `NAME=value` in its environment (Linux)."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - as above
            text = b"\0" + file.read() + b"\0"
    except OSError:
        return False
    return all(b"\0" + os.fsencode(mark) + b"\0" in text for mark in marks)


def send(process: Process, *signals: signal.Signals) -> None:
    """Signals this very process; does nothing if it is gone, even where its pid lives on."""
    for number in signals:
        found = find(process.pid)
        if found is None or found.identity != process.identity:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)


def boot() -> str:
    """Which boot of this host it is; empty where start times need no boot to be compared."""
    if not LINUX:
        return ""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - as above
        return file.read().strip()


def adopt_orphans() -> bool:
    """Makes orphans among my descendants my children, setsid or not; false where it cannot be."""
    return _process_control(_SET_CHILD_SUBREAPER, 1)


def at_parents_end(number: signal.Signals) -> bool:
    """Has this process signalled the moment its parent is gone; false where it cannot be."""
    return _process_control(_SET_PARENT_DEATH_SIGNAL, number)


def _process_control(option: int, value: int) -> bool:
    unused = ctypes.c_ulong(0)
    return (
        LINUX
        and ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), unused, unused, unused) == 0
    )
