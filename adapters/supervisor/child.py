"""Starts the step's first process: it exists, and is recorded, before it may do anything."""

import os
import signal
from typing import NamedTuple, NoReturn

from adapters.supervisor.living import at_parents_end
from adapters.supervisor.order import Order

_GO = b"1"
_NOT_EXECUTED = 127


class Child(NamedTuple):
    """A forked process that waits at its gate. The ends of the pipes are descriptors.

    `report` ends empty once the command is executed, else it says why it could not be.
    """

    pid: int
    gate: int
    output: int
    report: int

    def release(self) -> None:
        """Lets it execute the command."""
        os.write(self.gate, _GO)
        os.close(self.gate)

    def abandon(self) -> None:
        """Has it end without having done anything."""
        os.close(self.gate)
        os.waitpid(self.pid, 0)


def forked(order: Order) -> Child:
    """A child for this order's command, waiting. Raises OSError."""
    waits, gate = os.pipe()
    output, writes = os.pipe()
    report, tells = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(gate)
        _become(order, waits, writes, tells)
    for descriptor in (waits, writes, tells):
        os.close(descriptor)
    return Child(pid, gate, output, report)


def _become(order: Order, gate: int, output: int, report: int) -> NoReturn:
    """The child's whole life. Whatever happens, it never goes back into the supervisor's code."""
    try:
        os.setsid()
        at_parents_end(signal.SIGKILL)
        # No word but the end of the pipe: the supervisor is gone, or must not start this.
        if os.read(gate, 1) == _GO:
            _arrange(output, report)
            _execute(order, report)
    finally:
        os._exit(_NOT_EXECUTED)


def _arrange(output: int, report: int) -> None:
    """Nothing to read, one pipe to write to, no other descriptors, signals as at first."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, report)
    os.closerange(report + 1, os.sysconf("SC_OPEN_MAX"))
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if signal.getsignal(number) not in {signal.SIG_DFL, None}:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _execute(order: Order, report: int) -> None:
    """Only comes back, with the reason in the report, if it did not work."""
    command = order.command or ()
    reason = "The step's worktree cannot be entered"
    try:
        os.chdir(order.cwd)
        reason = "The step's command cannot be executed"
        os.execvpe(command[0], list(command), {**order.env, **order.marks})  # noqa: S606 - on purpose
    except OSError as error:
        reason = f"{reason}: {error.strerror}."
    except (ValueError, IndexError):
        reason = f"{reason}: it is empty, or a character in it or its environment is not allowed."
    os.write(report, reason.encode(errors="replace"))
