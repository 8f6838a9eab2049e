"""Log lines, for people or for machines."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from opentelemetry.trace import format_trace_id, get_current_span

_fields: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default=MappingProxyType({}))


@contextmanager
def log_fields(**fields: str | None) -> Iterator[None]:
    """Have every JSON line written meanwhile carry some ids, also in tasks begun then; empty ones are left out.

    Args:
        fields: Ids by name: ``request``, ``correlation``, ``peer``, ``site``, ``plan``.
    """
    token = _fields.set({**_fields.get(), **{name: value for name, value in fields.items() if value}})
    try:
        yield
    finally:
        _fields.reset(token)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: when, what, and the ids of what it was about (see `log_fields`)."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        entry = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields.get(),
        }
        span = get_current_span().get_span_context()
        if span.is_valid:
            entry["trace"] = format_trace_id(span.trace_id)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def logging_config(level: str, *, as_json: bool) -> dict[str, Any]:
    """A configuration for `logging.config.dictConfig`: everything to standard error.

    Args:
        level: Least severe level of our own lines; of libraries, warnings.
        as_json: Whether each line is a JSON object.
    """
    formatter: dict[str, object] = (
        {"()": "api.logs.JsonFormatter"} if as_json else {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}
    )
    own = {"level": level, "handlers": ["standard"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"standard": formatter},
        "handlers": {"standard": {"class": "logging.StreamHandler", "formatter": "standard"}},
        "root": {"level": "WARNING", "handlers": ["standard"]},
        "loggers": {"api": own, "optimizer": own, "uvicorn": own, "uvicorn.access": {"level": "WARNING"}},
    }
