"""On which host a run works: where its branch was worked on, or where there is least to do."""

from collections.abc import Sequence

from bot import replies
from bot.commands.context import Context
from bot.hosts import Host
from bot.ports import Move
from bot.run import Run
from bot.workflows import Workflow


def place_of_new(context: Context, workflow: Workflow, branch: str, *, known_branch: bool) -> Move:
    """Where a new run works; here, where no living host has its repository.

    `known_branch` where other runs may have worked on its branch.
    """
    house = context.house
    here = Move(house.places.place(workflow.repository, branch), workflow.repository)
    if not house.shared or context.invocation.message.worker is not None:
        return here
    having = context.tx.hosts.offering(workflow.name)
    before = _worked_on_before(context, having, workflow.name, branch) if known_branch else None
    chosen = before or next(iter(having), None)
    return _on(context, chosen, workflow.name, branch) if chosen else here


def move_of(context: Context, run: Run) -> Move | None:
    """Where a run goes on whose own host is silent; None where it stays.

    Only its branch moves: what was not pushed stays where it is.
    """
    silent = context.house.shared and not context.tx.live_worker(run.worktree.host)
    if not silent or not run.movable:
        return None
    here_only = context.invocation.message.worker is not None
    for host in context.tx.hosts.offering(run.workflow):
        if host.name == context.house.host or not here_only:
            return _on(context, host, run.workflow, run.branch)
    return None


def unstarted(context: Context, run: Run) -> str:
    """Why nobody will start it, if nobody will; else nothing."""
    host = run.worktree.host
    if not run.waiting_for_worker or context.tx.live_worker(host):
        return ""
    return replies.no_worker(host if host != context.house.host else None, context.door)


def _on(context: Context, host: Host, workflow: str, branch: str) -> Move:
    repository = host.repositories[workflow]
    return Move(context.house.places.place_on(host, repository, branch), repository)


def _worked_on_before(
    context: Context, having: Sequence[Host], workflow: str, branch: str
) -> Host | None:
    """The host on which the newest run of a branch worked: two runs of it want one worktree."""
    repositories = {(host.name, host.repositories[workflow]): host for host in having}
    for run in context.tx.runs.of_branch(branch):
        if (host := repositories.get((run.worktree.host, run.repository))) is not None:
            return host
    return None
