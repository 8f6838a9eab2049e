"""Log lines."""

from __future__ import annotations

import json
import logging

from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

from api.logs import JsonFormatter, log_fields


def record(message: str, *arguments: object, with_error: bool = False) -> logging.LogRecord:
    """A record at 2026-03-02T08:00:00.250Z."""
    error = ValueError("no\nway")
    exc_info = (ValueError, error, None) if with_error else None
    found = logging.LogRecord("api.planner", logging.INFO, __file__, 1, message, arguments, exc_info)
    found.created = 1772438400.25
    return found


def test_a_line_is_one_json_object() -> None:
    """Whatever a message holds, it begins no line of its own."""
    line = JsonFormatter().format(record("site=%s", 'a"b\nc', with_error=True))

    entry = json.loads(line)
    assert "\n" not in line
    assert entry["time"] == "2026-03-02T08:00:00.250+00:00"
    assert (entry["level"], entry["logger"], entry["message"]) == ("INFO", "api.planner", 'site=a"b\nc')
    assert "ValueError: no" in entry["exception"]


def test_a_line_carries_the_ids_of_what_it_is_about() -> None:
    """Ids of what surrounds a line are fields of it; inner ones are added, empty ones left out, and all end in time."""
    formatter = JsonFormatter()

    with log_fields(request="r1", correlation=""), log_fields(plan="p1", site=None):
        inner = json.loads(formatter.format(record("kept")))
    outer = json.loads(formatter.format(record("kept")))

    assert (inner["request"], inner["plan"]) == ("r1", "p1")
    assert not {"correlation", "site"} & set(inner)
    assert not {"request", "plan", "trace"} & set(outer)


def test_a_line_within_a_trace_names_it() -> None:
    """Whoever sees the line finds the trace."""
    span = NonRecordingSpan(SpanContext(trace_id=0xABC, span_id=1, is_remote=False))

    with use_span(span):
        entry = json.loads(JsonFormatter().format(record("kept")))

    assert entry["trace"] == f"{0xABC:032x}"
