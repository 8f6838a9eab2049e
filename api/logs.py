"""Log lines, for people or for machines."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        entry = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
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
