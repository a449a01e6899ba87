"""What a worker says of a run: why it stopped, and what stands in its log.

Where a sentence becomes the reason of a run, the reply that tells it begins the sentence.
"""

from bot.run import Run
from bot.words import age, position_of


def step_heading(run: Run) -> str:
    """The line in a run's log above the output of an attempt."""
    again = f", attempt {run.attempt}" if run.attempt > 1 else ""
    return f"── {position_of(run)}{again} ──"


def step_failed(exit_code: int) -> str:
    """The reason of a run that failed because its step did."""
    if exit_code < 0:
        return f"it was killed by signal {-exit_code}"
    return f"exit code {exit_code}"


def step_timed_out(seconds: float) -> str:
    """The step was stopped because of its time limit."""
    return f"stopped after its time limit of {age(seconds)}"


def interrupted() -> str:
    """Baton was stopped while the step ran."""
    return "interrupted, because Baton was stopped"


def cut_off() -> str:
    """The worker could not reach the database, and another host might have gone on with it."""
    return "interrupted, because its worker had lost the database for too long"


def not_pushed(reason: str) -> str:
    """Other hosts cannot have what was done; the step itself is done."""
    return f"{reason} Only this host can go on with the run until a later step is pushed."


def moved_here(old: str, new: str) -> str:
    """A claim whose host is silent starts on another one."""
    return f"Host {old} is silent, so it goes on at {new}."


def could_not_prepare(reason: str) -> str:
    """The worktree could not be made or taken; no step ran."""
    return f"no step ran. {reason}"


def could_not_supervise(reason: str) -> str:
    """The step could not be started."""
    return f"the step could not be started: {reason}"


def supervisor_died() -> str:
    """The supervisor vanished; what it had started was stopped."""
    return "its supervisor was killed, and everything it had started was stopped"


def not_provably_gone(host: str) -> str:
    """Processes outlived SIGKILL."""
    return (
        f"cancelled, but on host {host} not all of its processes could be proven gone; its"
        " worktree stays held until an admin releases it"
    )


def log_cut(reason: str) -> str:
    """The log could not be written to its end; the step was not harmed."""
    return f"The log is not complete ({reason}); the step itself went on."
