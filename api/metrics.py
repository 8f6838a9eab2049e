"""What Prometheus reads: what server processes counted, and what the database says at the moment it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from api.records import PlanFigures

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
WAIT_BUCKETS_S = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFigures:
    """What the database says of all servers together, at one instant.

    Args:
        outbox_age_s: Age of the oldest message that waits to go out, s; zero where none waits.
        outbox_pending: Messages that wait to go out.
        unattended_age_s: How long the longest unattended change has waited, s; zero where none waits.
        peers: Peers by state, of registered ones those that are online and offline apart.
        plans: The plan in force of every site that has one.
    """

    outbox_age_s: float
    outbox_pending: int
    unattended_age_s: float
    peers: dict[str, int]
    plans: tuple[PlanFigures, ...]


class Metrics:
    """What one server process counts, and how it is told.

    Counters and histograms belong to the process. Where several processes of one server share a port, Prometheus
    reaches any one of them: they then count in files of a shared folder, and each tells the sum. Everything that is
    rather a state than an event is read from the database when it is asked for, so that every process of every server
    tells the same, and nothing that is gone.

    Args:
        folder: Where the processes of a server count together; None for a process on its own. The environment variable
            PROMETHEUS_MULTIPROC_DIR has to name it before this module is imported.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self.registry = CollectorRegistry()
        self.requests = self._counter("oscp_requests", "Requests answered", "route", "method", "status")
        self.request_seconds = self._histogram("oscp_request_seconds", "Time to answer", LATENCY_BUCKETS_S, "route")
        self.messages = self._counter(
            "oscp_messages", "Messages of peers, by what became of them: taken, refused, unavailable", "kind", "outcome"
        )
        self.plans = self._counter("oscp_plans", "Plans published", "status", "reason")
        self.plans_discarded = self._counter(
            "oscp_plans_discarded", "Plans not published, for a limit changed meanwhile"
        )
        self.plans_failed = self._counter("oscp_plans_failed", "Attempts to plan that failed")
        self.plan_seconds = self._histogram(
            "oscp_plan_seconds", "Time from taking up a site to its published plan", LATENCY_BUCKETS_S
        )
        self.lease_wait_seconds = self._histogram(
            "oscp_lease_wait_seconds",
            "How long a site that was changed or due waited for a planner",
            WAIT_BUCKETS_S,
        )
        self.deliveries = self._counter("oscp_deliveries", "Attempts to deliver a message", "kind", "outcome")

    def exposition(self, stored: StoredFigures | None) -> bytes:
        """Everything in the text format of Prometheus.

        Args:
            stored: What the database says; None while it cannot be reached, when only what was counted is told.
        """
        counted = self.registry
        if self._folder is not None:
            counted = CollectorRegistry()
            MultiProcessCollector(counted, path=str(self._folder))  # type: ignore[no-untyped-call]
        if stored is None:
            return generate_latest(counted)
        told = CollectorRegistry()
        told.register(_Told(stored))
        return generate_latest(counted) + generate_latest(told)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: Iterable[float], *labels: str) -> Histogram:
        return Histogram(name, documentation, labels, buckets=tuple(buckets), registry=self.registry)


@dataclass(frozen=True, slots=True, eq=False)
class _Told(Collector):
    """The figures of the database as metrics."""

    stored: StoredFigures

    def collect(self) -> Iterator[Metric]:
        stored = self.stored
        yield _gauge("oscp_outbox_age_seconds", "Age of the oldest message that waits to go out", stored.outbox_age_s)
        yield _gauge("oscp_outbox_pending", "Messages that wait to go out", stored.outbox_pending)
        yield _gauge(
            "oscp_unattended_age_seconds", "How long the longest unattended change has waited", stored.unattended_age_s
        )
        peers = GaugeMetricFamily("oscp_peers", "Peers by state", labels=["state"])
        for state, count in sorted(stored.peers.items()):
            peers.add_metric([state], count)
        yield peers
        yield _gauge("oscp_peers_offline", "Registered peers that are offline", stored.peers.get("offline", 0))
        yield from self._plans()

    def _plans(self) -> Iterator[Metric]:
        made_at = _by_site("oscp_plan_made_timestamp_seconds", "When the plan in force was made")
        status = _by_site("oscp_plan_status", "1 for the status of the plan in force", "status")
        unmet = _by_site("oscp_unmet_kwh", "Unmet energy of the plan in force, kWh")
        gap = _by_site("oscp_plan_gap_ratio", "How far it may be from the best plan; zero where that is proved")
        margin = _by_site("oscp_limit_margin_kw", "Its least distance from a limit, kW; zero where one binds")
        for plan in self.stored.plans:
            made_at.add_metric([plan.site_id], plan.made_at.timestamp())
            status.add_metric([plan.site_id, plan.status], 1)
            for family, value in (
                (unmet, plan.unmet_kwh),
                (gap, plan.gap),
                (margin, plan.limit_margin_kw),
            ):
                if value is not None:
                    family.add_metric([plan.site_id], value)
        yield from (made_at, status, unmet, gap, margin)


def _by_site(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=["site", *labels])


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
