"""The processes of the step under way: reaping them, stopping them, proving them gone."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from adapters.supervisor.living import Process, living, my_children, send, with_descendants
from adapters.supervisor.order import bound

_SHORTEST_PAUSE_SECONDS = 0.001
_LONGEST_PAUSE_SECONDS = 0.05


class OwnTree:
    """The child and all that comes from it.

    `adopted`: orphans become my children, so that having no child left proves that the whole
    tree is gone. Elsewhere the proof is that nothing is seen of it: neither of its group and
    login session nor of what was seen before.
    """

    def __init__(self, child: int, *, adopted: bool) -> None:
        self.exit_code: int | None = None
        self._child = child
        self._adopted = adopted
        self._seen: set[tuple[int, int]] = set()

    def reap(self) -> bool:
        """Takes leave of the dead; true once nothing of the tree is left."""
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0] != 0:
                if found[0] == self._child:
                    self.exit_code = os.waitstatus_to_exitcode(found[1])
            return False
        return self._adopted or not self.members()

    def members(self) -> list[Process]:
        """The living processes of the tree."""
        processes = living()
        roots = {os.getpid()}
        if not self._adopted:
            roots |= {process.pid for process in processes.values() if self._knows(process)}
        pids = with_descendants(roots, processes) - {os.getpid()}
        found = [processes[pid] for pid in pids]
        if not self._adopted:
            self._seen = {process.identity for process in found}
        return found

    def _knows(self, process: Process) -> bool:
        return self._child in {process.group, process.session} or process.identity in self._seen

    def stop(self, grace_seconds: float, wait: Callable[[float], None]) -> list[int]:
        """SIGTERM to all, the grace, then SIGKILL until none is left; pids of who is still there.

        `wait` returns after some seconds or as soon as something happened.
        """
        begun = time.monotonic()
        pause = _SHORTEST_PAUSE_SECONDS
        for process in self.members():
            send(process, signal.SIGTERM, signal.SIGCONT)
        while not self.reap():
            elapsed = time.monotonic() - begun
            if elapsed > bound(grace_seconds):
                return sorted(process.pid for process in self.members())
            if elapsed < grace_seconds:
                wait(grace_seconds - elapsed if self._adopted else _LONGEST_PAUSE_SECONDS)
            else:
                self._kill()
                wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return []

    def _kill(self) -> None:
        """SIGKILL to all that is there now, in the order that leaves the least time to fork.

        A process that forks and ends, again and again, is a new child of mine every time; a
        group is hit at once, however fast its members fork.
        """
        for pid in my_children() if self._adopted else ():
            with suppress(PermissionError):
                os.kill(pid, signal.SIGKILL)
        members = self.members()
        for group in {process.group for process in members} - {os.getpgrp(), 0}:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        for process in members:
            send(process, signal.SIGKILL)
