"""What Prometheus reads."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one server process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "oscp_requests", "Requests answered", ["route", "method", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "oscp_request_seconds", "Time to answer", ["route"], buckets=LATENCY_BUCKETS_S, registry=self.registry
        )
        self.plans = Counter("oscp_plans", "Plans published", ["status"], registry=self.registry)
        self.plans_discarded = Counter(
            "oscp_plans_discarded", "Plans not published, for a limit changed meanwhile", registry=self.registry
        )
        self.plans_failed = Counter("oscp_plans_failed", "Attempts to plan that failed", registry=self.registry)
        self.plan_seconds = Histogram(
            "oscp_plan_seconds",
            "Time from taking up a site to its published plan",
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.unmet_kwh = Gauge(
            "oscp_unmet_kwh", "Unmet energy of the newest plan, kWh", ["site"], registry=self.registry
        )
        self.deliveries = Counter(
            "oscp_deliveries", "Attempts to deliver a message", ["kind", "outcome"], registry=self.registry
        )
        self.outbox_age_s = Gauge(
            "oscp_outbox_age_seconds", "Age of the oldest message that waits to go out", registry=self.registry
        )
        self.unattended_age_s = Gauge(
            "oscp_unattended_age_seconds", "How long the longest unattended change has waited", registry=self.registry
        )
        self.peers_offline = Gauge("oscp_peers_offline", "Registered peers that are offline", registry=self.registry)
