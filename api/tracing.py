"""Traces for OpenTelemetry: of requests, plans and deliveries; off unless a collector is named."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec

from opentelemetry.trace import NoOpTracer, Tracer

from api.settings import Settings
from models.errors import InputError

SERVICE_NAME = "oscp-capacity-optimizer"
EXPORTER = "opentelemetry.exporter"


def require_installed(settings: Settings) -> None:
    """Let pass settings without traces, and those that can be served.

    Raises:
        InputError: A collector is named, and the extra ``tracing`` is not installed.
    """
    if settings.traces_url is not None and not all(find_spec(name) for name in ("opentelemetry.sdk", EXPORTER)):
        raise InputError(
            "OSCP_TRACES_URL names a collector, and opentelemetry-sdk is not installed; install the extra 'tracing'"
        )


def tracer_of(settings: Settings, owner: str) -> Tracer:
    """What begins spans; where no collector is named, spans that nobody sees and that cost next to nothing.

    Args:
        settings: Of the server.
        owner: Names this server process.

    Raises:
        InputError: A collector is named, and the extra ``tracing`` is not installed.
    """
    if settings.traces_url is None:
        return NoOpTracer()
    require_installed(settings)
    # An extra, and half a second to import.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource.create({"service.name": SERVICE_NAME, "service.instance.id": owner})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.traces_url)))
    return provider.get_tracer("api", version(SERVICE_NAME))
