"""Stops the processes that the worktree's record names, and proves them gone."""

import signal
import time
from collections.abc import Callable, Iterable, Sequence

from adapters.supervisor.living import (
    LINUX,
    Identity,
    Process,
    boot,
    find,
    is_marked,
    living,
    myself_and_ancestors,
    send,
    with_descendants,
)
from adapters.supervisor.order import bound, marks
from adapters.supervisor.record import Tree

_PAUSE_SECONDS = 0.02
_LOOKS = 5


class NotGoneError(Exception):
    """Some processes could not be proven gone. No survivors: one lives where none can be seen."""

    def __init__(self, survivors: Sequence[int]) -> None:
        super().__init__()
        self.survivors = survivors


def stop_recorded(
    recorded: Callable[[], Sequence[Tree]],
    hold: Callable[[], bool],
    grace_seconds: float,
    pause: Callable[[float], None],
) -> None:
    """Stops the recorded trees: gently at first, then by force.

    Nobody records another tree once `hold` is true, so the proof is: held, and after that
    nothing left; seen several times, since a process that forks and ends at once can slip
    through a look. `pause` waits some seconds. Raises NotGoneError after three times the grace.
    """
    begun = time.monotonic()
    limit = bound(grace_seconds)
    # A living supervisor stops its own tree, which takes it the grace and a moment more.
    gentle = grace_seconds + min(1.0, limit / 3)
    firm = (gentle + limit) / 2
    asked: set[Process] = set()
    looks = 0
    while True:
        held = hold()
        trees = recorded()
        rest = remaining(trees)
        looks = looks + 1 if held and not rest else 0
        if looks >= (_LOOKS if trees else 1):
            return
        elapsed = time.monotonic() - begun
        if elapsed > limit:
            raise NotGoneError([process.pid for process in rest])
        if elapsed < gentle:
            _ask(trees, rest, asked)
        else:
            _kill(rest, sparing=_guards(trees) if elapsed < firm else set())
        pause(_PAUSE_SECONDS)


def _ask(trees: Iterable[Tree], rest: Sequence[Process], asked: set[Process]) -> None:
    """Asks the supervisors, or where none lives all that is left; each only once."""
    known = {tree.supervisor for tree in trees} | _guards(trees)
    supervisors = [process for process in rest if process.identity in known]
    for process in supervisors or rest:
        if process not in asked:
            asked.add(process)
            send(process, signal.SIGTERM, signal.SIGCONT)


def _kill(rest: Iterable[Process], *, sparing: set[Identity]) -> None:
    """A guard is spared at first: it sees what nobody else finds, and stops that too."""
    for process in rest:
        if process.identity not in sparing:
            send(process, signal.SIGKILL)


def _guards(trees: Iterable[Tree]) -> set[Identity]:
    return {tree.guard for tree in trees if tree.guard is not None}


def remaining(trees: Iterable[Tree]) -> list[Process]:
    """The living processes of these trees. Never this process or one that it descends from."""
    here = [tree for tree in trees if tree.boot == boot()]
    if not here:
        return []
    processes = living()
    roots = (pid for tree in here for pid in _roots(tree, processes.values()))
    pids = with_descendants(roots, processes) - myself_and_ancestors()
    return [processes[pid] for pid in sorted(pids) if pid in processes]


def _roots(tree: Tree, processes: Iterable[Process]) -> set[int]:
    """The processes recorded, what is in its group or login session, what bears its marks."""
    leader = find(tree.child.pid)
    # As long as a group has a member nobody gets its number as a pid: a stranger there proves
    # that the group is empty, and that one by this number now is the stranger's.
    groups = set() if leader and leader.identity != tree.child else {tree.child.pid}
    marked = [f"{name}={value}" for name, value in marks(tree.run, tree.epoch).items()]
    return {
        process.pid
        for process in processes
        if process.identity in (tree.guard, tree.supervisor, tree.child)
        or process.group in groups
        or process.session in groups
        or (LINUX and is_marked(process.pid, marked))
    }
