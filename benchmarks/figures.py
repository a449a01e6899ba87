"""What is measured, and how one figure comes of several rounds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table; `ratio` is to `of`, both measured in the same interleaved rounds."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    of: str | None = None

    def json(self) -> dict[str, Any]:
        """The figure as bench.json has it."""
        ratio = None if self.ratio is None else round(self.ratio, 3)
        return {"ratio": ratio, "of": self.of, "value": round(self.value, 3), "unit": self.unit}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done for each figure, and where there is room for it."""

    folder: Path
    quick: bool

    @property
    def rounds(self) -> int:
        """How many times both sides of a ratio are measured."""
        return 1 if self.quick else 5

    @property
    def seconds(self) -> float:
        """How long one side of one round takes, where that can be chosen."""
        return 0.2 if self.quick else 0.5

    def place(self, name: str) -> Path:
        """A new folder for one measure."""
        folder = self.folder / name
        folder.mkdir()
        return folder


Measure = Callable[[Effort], Iterator[Figure]]
Side = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Pair:
    """The medians of both sides, and of the ratios of neighbours in time."""

    ours: float
    other: float
    ratio: float


def paired(measured: list[tuple[float, float]]) -> Pair:
    """What these rounds come to."""
    return Pair(
        ours=median(ours for ours, _ in measured),
        other=median(other for _, other in measured),
        ratio=median(ours / other for ours, other in measured),
    )


async def rate(
    seconds: float, callers: int, work: Iterable[T], carry_out: Callable[[T], Awaitable[None]]
) -> float:
    """How much of this work was carried out a second, by so many callers at once."""
    waiting = iter(work)
    done = 0
    begun = time.perf_counter()

    async def call() -> None:
        nonlocal done
        for one in waiting:
            await carry_out(one)
            done += 1
            if time.perf_counter() - begun >= seconds:
                return

    await asyncio.gather(*(call() for _ in range(callers)))
    return done / (time.perf_counter() - begun)


async def interleaved(rounds: int, ours: Side, other: Side) -> Pair:
    """Measure both sides by turns; who comes first changes, so that neither gains by it."""
    measured = []
    for number in range(rounds):
        if number % 2:
            second = await other()
            measured.append((await ours(), second))
        else:
            first = await ours()
            measured.append((first, await other()))
    return paired(measured)
