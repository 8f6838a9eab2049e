"""Log lines."""

from __future__ import annotations

import json
import logging

from api.logs import JsonFormatter


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
