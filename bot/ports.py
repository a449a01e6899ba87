"""What the product needs from the store; each method states its promise."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bot.conversation import Conversation, Fence
from bot.hosts import Hosts
from bot.keys import Keys
from bot.output import Outputs
from bot.records import Audit, Cards, Deliveries
from bot.run import Change, Run, RunStatus, Step, Worktree
from bot.watching import Watching

T = TypeVar("T")

PICKER_SIZE = 25
"""How many runs a picker offers; one more is looked up, to know that there are more."""


SHORTEST_PREFIX = 4
"""So many characters of an id name a run, if no other run's id begins with them."""


class WorktreeHeldError(Exception):
    """Another run holds the worktree; the change that wanted it did not happen."""


class DatabaseUnavailableError(Exception):
    """The database could not be read or written; nothing happened, if that is `certain`.

    `busy` where others kept it locked for too long, so that asking again is enough. It is not
    certain where the database went away in the middle of a commit and did not come back.
    """

    def __init__(self, reason: str, *, busy: bool, certain: bool = True) -> None:
        super().__init__(reason)
        self.busy = busy
        self.certain = certain


class Runs(Protocol):
    """Looking at runs. Every look-up returns the newest first."""

    def get(self, run_id: str) -> Run | None:
        """The run with exactly this id."""

    def find(self, reference: str, fence: Fence | None) -> Sequence[Run]:
        """The run with this id, else the runs whose id begins with it (`SHORTEST_PREFIX` or more).

        Stays within the fence where there is one; at most one more than a picker offers.
        """

    def of_conversation(
        self, conversation: Conversation, statuses: Sequence[RunStatus], *, resumable: bool = False
    ) -> Sequence[Run]:
        """The runs of a conversation in these statuses; at most one more than a picker offers.

        A channel sees its own runs and its threads'. With `resumable`, only those that a
        resume would take.
        """

    def recent(self, limit: int | None, fence: Fence | None) -> Sequence[Run]:
        """Every run, or the newest `limit` ones; within the fence where there is one."""

    def holder_of(self, worktree: Worktree) -> Run | None:
        """The run that holds this worktree."""

    def of_branch(self, branch: str) -> Sequence[Run]:
        """The newest runs of a branch, of whatever repository; no more than a picker offers."""


@dataclass(frozen=True, slots=True)
class Move:
    """Where a run works: its worktree, and the repository that this belongs to there."""

    worktree: Worktree
    repository: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to insert; it is claimed by being inserted."""

    id: str
    workflow: str
    conversation: Conversation
    arguments: Mapping[str, str]
    repository: str
    base: str
    branch: str
    worktree: Worktree
    steps: Sequence[Step]


class Claims(Protocol):
    """The changes that people ask for: each one guarded statement.

    `None` means that the guard did not hold and nothing changed. WorktreeHeldError means that
    another run holds the worktree and nothing changed. `worker` claims and starts in one.
    """

    def insert(self, new: NewRun, by: Change, worker: str | None) -> Run:
        """Claim the worktree for a new run: pending, or running where `worker` starts it."""

    def resume(
        self,
        run_id: str,
        by: Change,
        seen_epoch: int | None,
        worker: str | None,
        move: Move | None = None,
    ) -> Run | None:
        """Claim a resumable run under a new epoch; a gate at which it waits is passed.

        With `move` it claims, and holds from now on, another worktree than before.
        """

    def move(self, run: Run, to: Move, notice: str) -> Run | None:
        """Claim for another host what nobody has started, and what its branch is enough for."""

    def cancel(self, run_id: str, by: Change, seen_epoch: int | None) -> Run | None:
        """Cancel a run that is not final; it keeps its worktree while a worker may be in it."""

    def release(self, run_id: str, by: Change, seen_epoch: int | None) -> Run | None:
        """Free the worktree of a cancelled run whose processes nobody is stopping any more."""


@dataclass(frozen=True, slots=True)
class Held:
    """A claim that some worker works or worked on."""

    run_id: str
    epoch: int
    status: RunStatus


@dataclass(frozen=True, slots=True)
class Survey:
    """What a worker needs to know of the database to decide what to do next."""

    mine: Sequence[Held]
    startable: Sequence[Run]
    stranded: Sequence[Run]
    abandoned: Sequence[Run]
    expired: Sequence[Run]
    told: Sequence[Run]


@dataclass(frozen=True, slots=True)
class LivingWorker:
    """A process that is alive; `slots` is how many runs it works on at a time, or 0."""

    name: str
    host: str
    pid: int
    slots: int


class Work(Protocol):
    """The changes that a worker makes; each is fenced by the epoch. `None`: stop now."""

    def survey(self, worker: str, host: str, free: int) -> Survey:
        """What there is for me.

        My claims; runs of this host to start; claims of hosts that are silent; cancelled runs of
        this host to clean up; expired leases.
        """

    def expired(self) -> Sequence[Run]:
        """The runs whose leases have expired untold, except those that others just tell of."""

    def told(self, host: str) -> Sequence[Run]:
        """The runs of a host that were told as lost, except those that others just change."""

    def start(self, run_id: str, epoch: int, worker: str) -> Run | None:
        """Take a claim that no worker has started."""

    def beat(self, worker: LivingWorker, epochs: Mapping[str, int]) -> set[str]:
        """Renew my leases; returns the ids of those that are still mine."""

    def depart(self, worker: str) -> None:
        """This worker takes no more runs."""

    def attempt(self, run: Run) -> Run | None:
        """Count a new attempt at the current step, and note that it began."""

    def step_done(self, run: Run, exit_code: int, pushed: str | None = None) -> Run | None:
        """The current step is done; the next one is current.

        `pushed` is the commit of its branch that other hosts can have, with all that was done.
        """

    def notice(self, run: Run, text: str) -> Run | None:
        """Show this line on the run's card."""

    def pause(self, run: Run) -> Run | None:
        """The run waits at its gate; its tree is proven gone, its worktree free."""

    def complete(self, run: Run) -> Run | None:
        """Every step is done; the tree is proven gone, the worktree free."""

    def fail(self, run: Run, error: str, exit_code: int | None) -> Run | None:
        """The run stopped without a result; the tree is proven gone, the worktree free."""

    def stopped(self, run_id: str, epoch: int) -> Run | None:
        """The tree of a cancelled run is proven gone: free its worktree."""

    def unproven(self, run_id: str, epoch: int, error: str) -> Run | None:
        """The tree could not be proven gone: say so, and let an admin release the worktree."""

    def lost(self, run: Run) -> Run | None:
        """Tell, once per lease, that the worker of this run has not been heard of."""


class Transaction(Protocol):
    """An open transaction. Everything in it is committed, or nothing."""

    @property
    def now(self) -> float:
        """The database's clock, unix seconds: one value throughout the transaction."""

    @property
    def runs(self) -> Runs:
        """Looking at runs."""

    @property
    def claims(self) -> Claims:
        """What people ask for."""

    @property
    def work(self) -> Work:
        """What a worker changes."""

    @property
    def audit(self) -> Audit:
        """The record of every attempt."""

    @property
    def deliveries(self) -> Deliveries:
        """What was delivered before."""

    @property
    def cards(self) -> Cards:
        """What people are shown."""

    @property
    def keys(self) -> Keys:
        """What opens the API and the web page."""

    @property
    def outputs(self) -> Outputs:
        """The ends of outputs whose files are elsewhere."""

    @property
    def hosts(self) -> Hosts:
        """The machines on which runs are worked on."""

    @property
    def watching(self) -> Watching:
        """What a page shows beside the runs themselves."""

    def live_worker(self, host: str) -> bool:
        """Whether some worker of this host has been heard of lately."""

    def live_workers(self) -> Collection[str]:
        """The names of all processes that have been heard of lately."""


class Presence(Protocol):
    """Which processes are alive, by the names that they took.

    `stretch` numbers the times in which nobody could take this process itself for gone.
    """

    @property
    def stretch(self) -> int:
        """The one that lasts, as far as it is known."""

    def surely_lasts(self, stretch: int) -> bool:
        """Whether nobody can have taken this process for gone since, as far as it knows itself."""

    async def lasts(self, stretch: int) -> bool:
        """Whether nobody can have taken this process for gone since; nobody does from now on.

        Raises DatabaseUnavailableError.
        """

    async def gone(self, names: Collection[str]) -> Collection[str]:
        """Those of these processes that have ended; none where that cannot be told.

        Raises DatabaseUnavailableError.
        """


@dataclass(frozen=True, slots=True)
class Wake:
    """A claim that waits for, or is worked on by, a worker of this host."""

    run_id: str
    epoch: int
    host: str


class Waker(Protocol):
    """Tells workers on other machines what they are to look at; the runs alone say what is so."""

    def enqueue(self, connection: Any, wakes: Sequence[Wake]) -> None:  # noqa: ANN401 - the driver's
        """Wake a worker for each of these, if the open transaction is committed."""

    def abort(self, wakes: Sequence[Wake]) -> None:
        """Tell whoever works on these to look at once; they are not theirs any more."""


class Watch(Protocol):
    """Tells when any process has committed something."""

    async def changed(self, timeout_seconds: float) -> None:
        """Return once something was committed since the last call, or after the timeout."""

    def close(self) -> None:
        """Watch no longer."""


class Store(Protocol):
    """The database. Callables get an open transaction and must have no other effect."""

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """Run `change` in a transaction that is durable when this returns.

        Raises DatabaseUnavailableError, or what `change` raised; then nothing happened.
        """

    async def read(self, look: Callable[[Transaction], T]) -> T:
        """Run `look` in a transaction of one snapshot; it never waits for a writer."""

    def watch(self) -> Watch:
        """A new watch; it tells of everything that is committed from now on."""
