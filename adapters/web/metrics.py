"""`/metrics`: what Baton counts of itself and what the database tells, for Prometheus."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from adapters.web.house import WebHouse
from bot.meter import BOUNDS_SECONDS, METER, Durations
from bot.ports import Transaction
from bot.run import RunStatus

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _State:
    """What the database tells."""

    runs: Mapping[str, int]
    stale_leases: int
    card_lag_seconds: float


def _look(tx: Transaction) -> _State:
    watching = tx.watching
    return _State(watching.counts(), watching.stale_leases(), watching.card_lag_seconds())


async def metrics(house: WebHouse) -> bytes:
    """Everything, in the text form of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Gathered(await house.store.read(_look), house.feed.audience))
    return generate_latest(registry)


@dataclass(frozen=True, slots=True, eq=False)
class _Gathered(Collector):
    state: _State
    streams: int

    def collect(self) -> Iterator[Metric]:
        """The metrics, each with what it means."""
        commands = CounterMetricFamily(
            "baton_commands", "Commands carried out", labels=("verb", "door", "outcome")
        )
        for labels, count in METER.commands.items():
            commands.add_metric(labels, count)
        yield commands
        yield _histogram("baton_lock_wait_seconds", "Wait for a conversation", METER.lock_wait)
        yield _histogram("baton_transaction_seconds", "Write of a command", METER.transaction)
        patience = CounterMetricFamily(
            "baton_platform_429s",
            "Answers of a platform that asked for patience",
            labels=("platform",),
        )
        for platform, count in METER.asked_for_patience.items():
            patience.add_metric((platform,), count)
        yield patience
        runs = GaugeMetricFamily("baton_runs", "Runs in each status", labels=("status",))
        for status in RunStatus:
            runs.add_metric((status,), self.state.runs.get(status, 0))
        yield runs
        yield _gauge("baton_stale_leases", "Runs whose worker is overdue", self.state.stale_leases)
        lag = self.state.card_lag_seconds
        yield _gauge("baton_card_lag_seconds", "Age of the oldest change that no card shows", lag)
        yield _gauge("baton_event_streams", "Open streams of events", self.streams)


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
