"""Processes that do the same thing at the same moment, as several Batons on one machine do."""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any, Self

_DEADLINE_SECONDS = 50
_LOOK_AGAIN_SECONDS = 0.0005
_PRELOADED = ["tests.races.callers", "tests.crashes.members"]
"""There is one server for all that a tests' process forks, so it has what any of them needs."""


def forkserver() -> ForkServerContext:
    """Where processes are forked from; nothing of the tests' process is open in them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


@dataclass(frozen=True)
class Raised:
    """What a member's function raised, in words: some errors cannot travel between processes."""

    error: str


@dataclass
class Gate:
    """Where all members wait for each other, so that what follows begins at one moment."""

    arrived: Any
    size: int
    passed: int = 0

    def __call__(self) -> None:
        self.passed += 1
        with self.arrived.get_lock():
            self.arrived.value += 1
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while self.arrived.value < self.passed * self.size:
            if time.monotonic() > deadline:
                raise TimeoutError("another member never came to the gate")
            time.sleep(_LOOK_AGAIN_SECONDS)


def _member(pipe: Connection, arrived: Any) -> None:
    while (asked := pipe.recv()) is not None:
        function, size, arguments = asked
        try:
            pipe.send(function(Gate(arrived, size), *arguments))
        except Exception as error:  # noqa: BLE001 - the test judges it
            pipe.send(Raised(f"{type(error).__name__}: {error}"))


@dataclass
class Crew:
    """Processes that wait for work; `together` gives each of them its own arguments."""

    size: int
    _members: list[tuple[BaseProcess, Connection]] = field(default_factory=list)

    def __enter__(self) -> Self:
        context = forkserver()
        self._arrived = context.Value("L", 0)
        for _ in range(self.size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_member, args=(theirs, self._arrived), daemon=True)
            process.start()
            theirs.close()
            self._members.append((process, ours))
        return self

    def __exit__(self, *_: object) -> None:
        for process, pipe in self._members:
            process.kill()
            process.join()
            pipe.close()

    def together(
        self, function: Callable[..., Any], each: Sequence[tuple[Any, ...]], seconds: float = 3600
    ) -> list[Any]:
        """What the function returned in each process, one for each tuple of arguments.

        It gets a gate before its arguments; at the gate every one of these members must come by.
        """
        members = self._members[: len(each)]
        self._arrived.value = 0
        for (_, pipe), arguments in zip(members, each, strict=True):
            pipe.send((function, len(each), arguments))
        deadline = time.monotonic() + seconds
        results = []
        for _, pipe in members:
            assert pipe.poll(max(0, deadline - time.monotonic())), "a member did not answer"
            results.append(pipe.recv())
        raised = [result for result in results if isinstance(result, Raised)]
        assert raised == []
        return results
