"""What Baton counts of itself while it runs; whoever watches over it reads it (`/metrics`)."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, perf_counter

BOUNDS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Durations:
    """How long something took: how many times up to each bound, and in total."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_SECONDS) + 1))
    total_seconds: float = 0.0

    def note(self, seconds: float) -> None:
        """It took this long once more."""
        self.counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.total_seconds += seconds

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Note how long what is inside takes."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.note(perf_counter() - begun)


@dataclass(slots=True)
class Meter:
    """Of this process, since it started."""

    commands: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By verb, door and outcome."""
    sign_ins: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By door and outcome; at the API only those that were denied."""
    lock_wait: Durations = field(default_factory=Durations)
    transaction: Durations = field(default_factory=Durations)
    asked_for_patience: Counter[str] = field(default_factory=Counter)
    """How often each platform answered 429."""
    behind_since: dict[str, float] = field(default_factory=dict)
    """By platform, since when the card that waits longest is known to be behind its run.

    By the clock of `time.monotonic`; of what this process keeps.
    """

    def card_lag_seconds(self) -> float:
        """How long the card that waits longest has been behind its run; 0 where none is."""
        return max((monotonic() - since for since in self.behind_since.values()), default=0.0)


METER = Meter()
