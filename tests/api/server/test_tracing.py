"""Traces: what is seen of requests, plans and deliveries, and that nothing is made unless asked for."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer, Tracer
from starlette.testclient import TestClient

from api import tracing
from api.app import create_app
from api.delivery import Delivery
from api.executor import SolveExecutor
from api.logs import JsonFormatter
from api.oscp_client import Answer, OscpClient
from api.settings import Settings
from models.errors import InputError
from tests.api.oscp.bench import Bench, running
from tests.api.oscp.fixtures import empty_database_fixture, folder_fixture
from tests.api.planning.bench import PlanningBench

__all__ = ["empty_database_fixture", "folder_fixture"]


class Seen:
    """A tracer, and the spans that it ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Tracer = provider.get_tracer("tests")

    def one(self, name: str) -> dict[str, object]:
        """Attributes and status of the only span of a name."""
        (span,) = [span for span in self._exporter.get_finished_spans() if span.name == name]
        assert span.context is not None
        status, trace_id = span.status.status_code.name, f"{span.context.trace_id:032x}"
        return {**(span.attributes or {}), "status": status, "trace": trace_id}


class Taker(OscpClient):
    """A peer that takes everything."""

    def __init__(self) -> None:
        """It needs no connection."""

    async def send(self, *_arguments: object, **_options: object) -> Answer:
        return Answer(status=204, message="", retry_after_s=None)


def traced(bench: Bench, seen: Seen) -> Bench:
    """The same bench with a tracer."""
    context = replace(bench.context, tracer=seen.tracer)
    app = create_app(context, loops=False, executor=SolveExecutor(context.settings))
    return replace(bench, context=context, client=TestClient(app))


def test_from_a_request_to_the_delivery_of_its_plan(folder: Path) -> None:
    """A forecast, the plan that comes of it and its OPTIMUM leave a span each, with the ids that join them."""
    seen = Seen()
    with running(folder) as plain:
        bench = traced(plain, seen)
        plans = PlanningBench.make(bench)
        plans.put_session()
        plans.forecast(11.0, request_id="ask-1")
        plans.run()
        asyncio.run(deliver(bench))

    asked = seen.one("POST /oscp/co/2.0/update_group_capacity_forecast")
    planned = seen.one("plan")
    delivered = seen.one("deliver optimum")
    assert (asked["oscp.request_id"], asked["http.response.status_code"]) == ("ask-1", 204)
    assert (planned["oscp.site"], planned["oscp.reason"], planned["oscp.status"]) == ("depot", "change", "optimal")
    assert delivered["oscp.correlation"] == "ask-1"
    assert delivered["oscp.plan"] == planned["oscp.plan"]
    assert delivered["status"] == "UNSET"


async def deliver(bench: Bench) -> None:
    """Deliver what waits."""
    delivery = Delivery(bench.context, Taker())
    while await delivery.deliver_due():
        await delivery.settle()


def test_a_request_joins_the_trace_of_its_caller(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The header traceparent is followed, and a line of the log names the trace."""
    seen, caller = Seen(), "0af7651916cd43dd8448eb211c80319c"
    with running(folder) as plain, caplog.at_level(logging.INFO, logger="api"):
        caplog.handler.setFormatter(JsonFormatter())
        traced(plain, seen).client.get("/v1/sites", headers={"traceparent": f"00-{caller}-b7ad6b7169203331-01"})

    span = seen.one("GET /v1/sites")
    entry = json.loads(caplog.text.splitlines()[-1])
    assert (span["trace"], span["http.response.status_code"]) == (caller, 401)
    assert (entry["trace"], entry["request"]) == (caller, entry["message"].split()[0].removeprefix("request="))


def test_nothing_is_traced_unless_asked_for(folder: Path) -> None:
    """Without a collector spans cost nothing, and no middleware makes any."""
    assert isinstance(tracing.tracer_of(Settings(), "owner"), NoOpTracer)
    with running(folder) as bench:
        app = create_app(bench.context, loops=False)

    assert "RequestTraces" not in [middleware.cls.__name__ for middleware in app.user_middleware]  # type: ignore[attr-defined]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names a collector and has not installed what speaks to it is told how to."""
    monkeypatch.setattr(tracing, "find_spec", lambda _name: None)

    with pytest.raises(InputError, match="extra 'tracing'"):
        tracing.tracer_of(Settings(traces_url="http://127.0.0.1:4318/v1/traces"), "owner")
