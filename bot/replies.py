"""Every sentence that a person can read. A reply says what happened, what did not, what next.

Replies are plain text: an adapter escapes them for its platform. Nothing here names a path, and
nothing decides anything.
"""

from collections.abc import Iterable, Mapping, Sequence

from bot.access import Role
from bot.conversation import Door
from bot.ports import SHORTEST_PREFIX
from bot.run import Change, Run, RunStatus
from bot.words import (
    ago,
    by_whom,
    ended,
    name_of,
    position_of,
    quoted,
    spelled,
    stands,
    state,
    steps,
    those,
)

# --- what a command came to ------------------------------------------------------------------


def no_worker(host: str | None, door: Door) -> str:
    """Added where nothing will start: no worker is alive on the run's host, named if elsewhere."""
    how = spelled(Door.CLI, "worker")
    here = " (next time, --here works on it at once)" if door is Door.CLI else ""
    where, there = (f" on {host}", " there") if host else ("", "")
    return f" No worker is running{where}, so it waits: start one{there} with {how}{here}."


def moved(run: Run, before: Run) -> str:
    """Added where a run goes on at another host, since its own is silent."""
    old = before.worktree.host
    what = (
        f"as branch {run.branch} was last pushed; what was not pushed stays on {old}"
        if run.pushed
        else "from the beginning, since none of its steps was done"
    )
    return (
        f" Host {old} is silent, so it goes on at {run.worktree.host},"
        f" in a worktree made anew {what}."
    )


def started(run: Run) -> str:
    """`run` won."""
    return f"Started {name_of(run)}: {steps(len(run.steps))} on branch {run.branch}."


def resumed(run: Run, before: Run) -> str:
    """`resume` won; `before` is the run as it was."""
    gate = before.step
    if before.status is RunStatus.PAUSED and gate is not None:
        passed = f"Passed gate {gate.name} of {name_of(run)}"
        return f"{passed}; it goes on with {position_of(run)}." if run.step else f"{passed}."
    kept = f"{run.steps_done} of {len(run.steps)} steps are kept"
    return f"Resuming {name_of(run)} at {position_of(run)}; {kept}."


def already_running(run: Run, by: Change, now: float, door: Door) -> str:
    """`resume` lost, or came when nothing was to be resumed."""
    if run.waiting_for_worker:
        return (
            f"{name_of(run)} was already claimed by {by_whom(by, now)}, and is waiting for a free"
            " worker. Nothing changed."
        )
    return (
        f"{name_of(run)} is already running, asked for by {by_whom(by, now)}. Nothing changed. See"
        f" how far it is with {spelled(door, 'status', run.id)}."
    )


def not_resumable(run: Run, by: Change, now: float, door: Door) -> str:
    """The run is over."""
    again = spelled(door, "run", f"{run.workflow} branch={run.branch}")
    if run.status is RunStatus.COMPLETED:
        return (
            f"{name_of(run)} completed {ago(by.at, now)}; there is nothing to resume. Start a new"
            f" one on its branch with {again}."
        )
    return (
        f"{name_of(run)} was cancelled by {by_whom(by, now)}, and cancelled runs stay so. Nothing"
        f" changed. Start a new one on its branch with {again}."
    )


def moved_on(run: Run, seen_epoch: int, by: Change, now: float, door: Door) -> str:
    """The caller saw an earlier state of the run than the one it is in."""
    return (
        f"{name_of(run)} has moved on since you looked (you saw its claim {seen_epoch}, it is at"
        f" {run.epoch}): last changed by {by_whom(by, now)}; {ended(f'it {stands(run, now)}')}"
        f" Nothing changed. Look with {spelled(door, 'status', run.id)}."
    )


def worktree_busy(branch: str, holder: Run | None, now: float, door: Door, kept: Run | None) -> str:
    """Another run holds the worktree; `kept` is the run that stays as it was."""
    stays = f" {name_of(kept)} stays as it was; resume it later." if kept else " Nothing started."
    if holder is None:
        return f"The worktree of branch {branch} was held by another run until just now.{stays}"
    return (
        f"The worktree of branch {branch} is held by {name_of(holder)} ({state(holder, now)}; last"
        f" changed by {by_whom(holder.changed, now)}).{stays}"
        f" To free it: {spelled(door, 'cancel', holder.id)}."
    )


def cancelled(run: Run, before: Run) -> str:
    """`cancel` won; `before` is the run as it was."""
    if run.stopping and before.stale:
        return (
            f"Cancelled {name_of(run)}. Its worker had not been heard of, so its worktree stays"
            f" held until a worker on {run.worktree.host} has made sure that nothing of it lives."
        )
    if run.stopping:
        return (
            f"Cancelled {name_of(run)}; stopping its processes now. Its worktree is not free yet."
        )
    return f"Cancelled {name_of(run)}. Nothing of it is running; its worktree is free."


def already_cancelled(run: Run, by: Change, now: float) -> str:
    """`cancel` came second."""
    then = "its processes are still being stopped" if run.stopping else "its worktree is free"
    return f"{name_of(run)} was already cancelled by {by_whom(by, now)}; {then}. Nothing changed."


def already_finished(run: Run, by: Change, now: float) -> str:
    """`cancel` came after the end."""
    return f"{name_of(run)} had already completed {ago(by.at, now)}. Nothing changed."


def released(run: Run) -> str:
    """`release` won."""
    return (
        f"Released the worktree of {name_of(run)}. Baton could not prove its processes gone: make"
        " sure that none is left before another run works there."
    )


def nothing_held(run: Run) -> str:
    """There is nothing to release."""
    return f"{name_of(run)} holds no worktree; there is nothing to release."


def still_worked_on(run: Run, now: float, door: Door) -> str:
    """A release of a worktree in which somebody works, or whose tree is just being stopped."""
    if run.stopping:
        return (
            f"{name_of(run)} is being stopped right now, and its worktree will be free in a moment."
            " Nothing was released; ask again if it stays."
        )
    return (
        f"{name_of(run)} still has its worktree: {ended(state(run, now))} Nothing was released."
        f" Cancel it first: {spelled(door, 'cancel', run.id)}."
    )


# --- looking ---------------------------------------------------------------------------------


def status(
    run: Run, now: float, door: Door, waits: str = "", cancelled_by: Change | None = None
) -> str:
    """One run, in a few lines; `waits` says why it does, if it does."""
    lines = [
        ended(f"{name_of(run)} {stands(run, now)}"),
        f"  asked for by {by_whom(run.requested, now)}; branch {run.branch}",
    ]
    if cancelled_by:
        lines.append(f"  cancelled by {by_whom(cancelled_by, now)}")
    if run.notice:
        lines.append(f"  {run.notice}")
    following = _next_step(run, door)
    if following:
        lines.append(f"  {following}")
    if waits:
        lines.append(waits.strip())
    return "\n".join(lines)


def _next_step(run: Run, door: Door) -> str:
    resume, cancel = spelled(door, "resume", run.id), spelled(door, "cancel", run.id)
    if run.status is RunStatus.PAUSED:
        return f"{resume} passes the gate, {cancel} declines it"
    if run.resumable:
        return f"{resume} goes on from there, {cancel} ends it"
    return "" if run.final else f"{cancel} stops it"


def run_line(run: Run, now: float) -> str:
    """One run in one line, as lists and pickers show it."""
    return f"{run.id}  {run.workflow}  {state(run, now)}  ({ago(run.changed.at, now)})"


def run_list(runs: Sequence[Run], now: float, *, more: bool, door: Door) -> str:
    """Several runs, newest first."""
    if not runs:
        return f"There are no runs yet. Start one with {spelled(door, 'run', 'WORKFLOW')}."
    lines = [run_line(run, now) for run in runs]
    return "\n".join([*lines, "… and more, which the command line lists."] if more else lines)


def log_tail(run: Run, lines: Sequence[str]) -> str:
    """The end of a run's output."""
    if not lines:
        return f"{name_of(run)} has no output yet."
    return "\n".join([f"The last {len(lines)} lines of {name_of(run)}:", *lines])


def help_text(usages: Iterable[tuple[str, str]], workflows: Mapping[str, str], door: Door) -> str:
    """Every command that this person may use, and what can be run."""
    lines = ["What I understand:"]
    lines += [f"  {spelled(door, usage)} — {meaning}" for usage, meaning in usages]
    if workflows:
        lines.append("Workflows:")
        lines += [f"  {name}{f' — {about}' if about else ''}" for name, about in workflows.items()]
    return "\n".join(lines)


# --- choosing --------------------------------------------------------------------------------


def not_found(reference: str, door: Door, *, fenced: bool) -> str:
    """No run has this id; `fenced` where only runs of this place were looked for."""
    where = " here" if fenced else ""
    told = f"There is no run {quoted(reference)}{where}. Nothing changed."
    if len(reference) < SHORTEST_PREFIX:
        told += f" A run is named by {SHORTEST_PREFIX} characters of its id or more."
    return f"{told} {spelled(door, 'runs')} lists them."


def nothing_here(verb: str, door: Door) -> str:
    """No id was given, and this conversation has no run to choose."""
    return (
        f"There is nothing to {_TO[verb]} in this conversation. Nothing changed."
        f" {spelled(door, 'runs')} lists all runs; name one with {spelled(door, verb, 'RUN')}."
    )


_TO = {
    "resume": "resume",
    "cancel": "cancel",
    "release": "release",
    "status": "show",
    "logs": "show",
    "history": "show",
}


def which_run(verb: str, runs: Sequence[Run], now: float, *, more: bool, door: Door) -> str:
    """Several runs fit; nothing was chosen."""
    lines = [f"Which one? Nothing changed. Say {spelled(door, verb, 'RUN')} with one of:"]
    lines += [f"  {run_line(run, now)}" for run in runs]
    return "\n".join([*lines, "  … and more"] if more else lines)


# --- what could not be understood or done ----------------------------------------------------


def unknown_command(word: str, close: str | None) -> str:
    """The first word is no command."""
    hint = f" Did you mean {close}?" if close else ""
    return f"{quoted(word)} is not a command.{hint} Nothing changed; help lists what I understand."


def too_long(limit: int) -> str:
    """The message is longer than anything Baton reads."""
    return (
        f"That message is longer than {limit:,} characters, so I did not read it. Nothing changed."
    )


def no_text() -> str:
    """The message has what no argument of a process can have."""
    return "There is a NUL character in that message, so I did not read it. Nothing changed."


def unknown_workflow(name: str, known: Iterable[str]) -> str:
    """No workflow has this name."""
    names = ", ".join(sorted(known))
    rest = f"Known ones: {names}." if names else "None is configured: see config.example.toml."
    return f"There is no workflow {quoted(name)}. Nothing started. {rest}"


def no_workflow_named(known: Iterable[str], door: Door) -> str:
    """`run` without a workflow."""
    names = ", ".join(sorted(known)) or "none configured: see config.example.toml"
    return f"Which workflow? Say {spelled(door, 'run', 'WORKFLOW')}. There is: {names}."


def bad_argument(word: str) -> str:
    """An argument of `run` is not key=value."""
    return (
        f"I cannot read {quoted(word)}: arguments look like key=value, where key is letters,"
        " digits and _. Nothing started."
    )


def argument_twice(key: str) -> str:
    """A key is given two times."""
    return (
        f"{quoted(key)} is given twice, and I will not guess which one you mean. Nothing started."
    )


def arguments_too_large(limit: int) -> str:
    """More than what fits in the environment."""
    return f"The arguments are larger than {limit // 1024} KiB. Nothing started."


def open_quote() -> str:
    """A quotation mark has no partner."""
    return "A quotation mark is left open. Nothing started. Close it, or leave it out."


def bad_branch(branch: str) -> str:
    """Git would not take this name for a branch."""
    return f"{quoted(branch)} cannot be the name of a branch. Nothing started."


def denied(role: Role, needed: Role, who_can: Sequence[str], actor: str, verb: str) -> str:
    """The policy says no."""
    have = f"your role is {role.word}" if role else "no access list names you"
    return (
        f"You may not {_MAY.get(verb, 'look at runs')} here: that needs the role {needed.word},"
        f" and {have}. Nothing changed. Who can: {those(who_can)}. Your id for the access list is"
        f" {actor}."
    )


def local_command_line() -> str:
    """Among those who can: whoever is on the machine where Baton runs."""
    return "the local command line"


def by_a_token(name: str) -> str:
    """Among those who can: whoever has this token."""
    return f"{name} (by a token)"


_MAY = {
    "run": "start runs",
    "resume": "resume runs",
    "cancel": "cancel runs",
    "release": "release worktrees",
}


def works_elsewhere(run: Run) -> str:
    """`--here` for a run whose worktree is on another host."""
    host = run.worktree.host
    return (
        f"{name_of(run)} has its worktree on {host}, so it cannot be worked on here. Nothing"
        f" changed; resume it on {host}, or without --here."
    )


def delivery_reused() -> str:
    """Same delivery key, other content."""
    return (
        "That delivery id (at the API, Idempotency-Key) was used before for another command."
        " Nothing changed; use a new one."
    )


def takes_no_messages() -> str:
    """The answer is for one person, who takes no direct messages."""
    return (
        "I may show that to you alone, and you take no direct messages from me. Nothing changed."
        " Use the slash command, whose answer only you see, or allow direct messages."
    )


def outdated_command() -> str:
    """The platform still offers a command in an older form."""
    return (
        "That command has changed, and what you see of it is an older form. Nothing changed; try"
        " again in a minute."
    )


def unknown_button() -> str:
    """Something was clicked that means nothing to Baton."""
    return "I do not know that button (any more). Nothing changed; help lists what I understand."


def kept(name: str) -> str:
    """Somebody thought better of a cancel."""
    return f"Nothing changed: {name} was not cancelled."
