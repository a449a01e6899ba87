"""A checker of histories after Wing and Gong: could one thing after the other have told this?

A history is linearizable when its operations can be put into some order that the rules allow and
in which no operation comes before another that had ended when it began.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Operation:
    """What somebody asked of a run, what they were told, and from when to when it took."""

    verb: str
    run_id: str
    result: str
    began: int
    ended: int


@dataclass(frozen=True)
class State:
    """A run, as far as the rules below go. It begins under way, with a worker in it."""

    status: str = "running"
    epoch: int = 1
    worker: bool = True
    held: bool = True

    def __str__(self) -> str:
        stopping = self.status == "cancelled" and self.held
        return f"{self.status}{' stopping' if stopping else ''} {self.epoch}"


def _cancel(state: State) -> tuple[State, str]:
    if state.status == "cancelled":
        return state, "already_cancelled"
    if state.status == "completed":
        return state, "already_finished"
    return replace(state, status="cancelled", held=state.held and state.worker), "cancelled"


def _resume(state: State) -> tuple[State, str]:
    if state.status == "failed":
        return State("running", state.epoch + 1, worker=False), "resumed"
    if state.status == "running":
        return state, "already_running"
    return state, "not_resumable"


def _settle(status: str) -> Callable[[State], tuple[State, str]]:
    def settle(state: State) -> tuple[State, str]:
        if state.status == "running" and state.epoch == 1:
            return replace(state, status=status, held=False), "done"
        return state, "stop"

    return settle


RULES: dict[str, Callable[[State], tuple[State, str]]] = {
    "cancel": _cancel,
    "resume": _resume,
    "fail": _settle("failed"),
    "complete": _settle("completed"),
    "look": lambda state: (state, str(state)),
}


def order_of(history: Sequence[Operation]) -> list[Operation] | None:
    """An order of these operations on one run that explains every result; None: there is none."""
    return _order(list(history), State())


def _order(left: list[Operation], state: State) -> list[Operation] | None:
    if not left:
        return []
    first_end = min(operation.ended for operation in left)
    for operation in left:
        after, result = RULES[operation.verb](state)
        if operation.began > first_end or result != operation.result:
            continue
        rest = _order([other for other in left if other is not operation], after)
        if rest is not None:
            return [operation, *rest]
    return None
