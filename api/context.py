"""What every part of the server shares: settings, clock, database, and the signals that wake its loops."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from opentelemetry.trace import NoOpTracer, Tracer

from api.clock import Clock
from api.metrics import Metrics
from api.persistence import Database
from api.settings import Settings


class Signal:
    """Wakes one loop of this process at once; what other servers change, it finds when it looks by itself."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Wake whoever waits, or the next one to wait."""
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Wait until notified, at most some seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Context:
    """What every part of the server shares.

    Args:
        settings: As given at the start.
        clock: Tells the time.
        database: State.
        metrics: What Prometheus reads.
        owner: Names this server process in leases.
        base_url: What peers append paths to: the public URL and ``/oscp/co/2.0``.
        site_changed: Notified after a site was changed.
        outbox_filled: Notified after a message was put into the outbox.
        tracer: Begins spans for OpenTelemetry; by default of a kind that nobody sees.
    """

    settings: Settings
    clock: Clock
    database: Database
    metrics: Metrics
    owner: str
    base_url: str
    site_changed: Signal = field(default_factory=Signal)
    outbox_filled: Signal = field(default_factory=Signal)
    tracer: Tracer = field(default_factory=NoOpTracer)
