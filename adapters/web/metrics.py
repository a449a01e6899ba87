"""`/metrics`: what Baton counts of itself and what the database tells, for Prometheus."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from adapters.web.house import WebHouse
from bot.meter import BOUNDS_SECONDS, METER, Durations
from bot.ports import DatabaseUnavailableError, Transaction
from bot.run import RunStatus

_FRESH_SECONDS = 2.0
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _State:
    """What the database tells."""

    runs: Mapping[str, int]
    stale_leases: int


def _state_of(tx: Transaction) -> _State:
    watching = tx.watching
    return _State(watching.counts(), watching.stale_leases())


class Metrics:
    """What `/metrics` says; the database is asked once for all who look within some seconds."""

    def __init__(self, house: WebHouse) -> None:
        self._house = house
        self._asking = asyncio.Lock()
        self._state: _State | None = None
        self._asked_at = -_FRESH_SECONDS

    async def text(self) -> bytes:
        """Everything, in the text form of Prometheus."""
        async with self._asking:
            if monotonic() - self._asked_at >= _FRESH_SECONDS:
                self._state, self._asked_at = await self._look(), monotonic()
        registry = CollectorRegistry()
        registry.register(_Gathered(self._state, self._house.feed.audience))
        return generate_latest(registry)

    async def _look(self) -> _State | None:
        """None without the database: what is counted here matters most when it does not answer."""
        try:
            return await self._house.store.read(_state_of)
        except DatabaseUnavailableError:
            return None


@dataclass(frozen=True, slots=True, eq=False)
class _Gathered(Collector):
    state: _State | None
    streams: int

    def collect(self) -> Iterator[Metric]:
        """The metrics, each with what it means."""
        yield _counter(
            "baton_commands", "Commands answered", ("verb", "door", "outcome"), METER.commands
        )
        yield _counter("baton_sign_ins", "Tokens that came", ("door", "outcome"), METER.sign_ins)
        yield _histogram("baton_lock_wait_seconds", "Wait for a conversation", METER.lock_wait)
        yield _histogram("baton_transaction_seconds", "Write of a command", METER.transaction)
        patience = {(name,): count for name, count in METER.asked_for_patience.items()}
        about = "Answers of a platform that asked for patience"
        yield _counter("baton_platform_429s", about, ("platform",), patience)
        about = "How long the card that waits longest has been behind its run"
        yield _gauge("baton_card_lag_seconds", about, METER.card_lag_seconds())
        yield _gauge("baton_event_streams", "Open streams of events", self.streams)
        if self.state is not None:
            yield from _told(self.state)


def _told(state: _State) -> Iterator[Metric]:
    runs = GaugeMetricFamily("baton_runs", "Runs in each status", labels=("status",))
    for status in RunStatus:
        runs.add_metric((status,), state.runs.get(status, 0))
    yield runs
    yield _gauge("baton_stale_leases", "Runs whose worker is overdue", state.stale_leases)


def _counter(name: str, about: str, labels: Sequence[str], counts: Mapping[Any, int]) -> Metric:
    counter = CounterMetricFamily(name, about, labels=labels)
    for values, count in counts.items():
        counter.add_metric(values, count)
    return counter


def _gauge(name: str, about: str, value: float) -> Metric:
    gauge = GaugeMetricFamily(name, about)
    gauge.add_metric((), value)
    return gauge


def _histogram(name: str, about: str, durations: Durations) -> Metric:
    buckets, sofar = [], 0
    for bound, count in zip((*map(str, BOUNDS_SECONDS), "+Inf"), durations.counts, strict=True):
        sofar += count
        buckets.append((bound, float(sofar)))
    histogram = HistogramMetricFamily(name, about)
    histogram.add_metric((), buckets, sum_value=durations.total_seconds)
    return histogram
