"""What the worker orders, and how it ended. `bot/supervision.py` says what the fields mean."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Order(NamedTuple):
    """One order, as it stands in its JSON line."""

    lock: str
    run: str
    epoch: int
    claim: int
    command: Sequence[str] | None
    cwd: str
    env: Mapping[str, str]
    log: str
    grace_seconds: float
    timeout_seconds: float | None
    closes: bool

    @property
    def marks(self) -> dict[str, str]:
        """The variables by which the step's processes are known again, wherever they went."""
        return marks(self.run, self.epoch)


class Ended(NamedTuple):
    """How an order ended; the last line that the supervisor writes."""

    kind: str
    exit_code: int | None = None
    stopped: bool = False
    timed_out: bool = False
    log_error: str | None = None
    reason: str | None = None
    survivors: Sequence[int] = ()


def marks(run: str, epoch: int) -> dict[str, str]:
    """The part of a step's environment that names the run and its claim."""
    return {"BATON_RUN_ID": run, "BATON_EPOCH": str(epoch)}


def parsed(line: bytes) -> Order:
    """The order on this line. Raises ValueError or TypeError if it is none."""
    order = Order(**json.loads(line))
    timeout = order.timeout_seconds
    return order._replace(
        epoch=int(order.epoch),
        claim=int(order.claim),
        command=None if order.command is None else [str(word) for word in order.command],
        env={str(name): str(value) for name, value in dict(order.env).items()},
        grace_seconds=float(order.grace_seconds),
        timeout_seconds=None if timeout is None else float(timeout),
    )


def bound(grace_seconds: float) -> float:
    """Seconds after which processes that were asked to stop count as not provably gone."""
    return max(1.0, 3 * grace_seconds)
