"""Forecasts as JSON objects, and how they are read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from models.oscp.v20 import UpdateGroupCapacityForecast

MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
PHASES = ("ONE", "TWO", "THREE")


def at(hour: float) -> datetime:
    """Some hours after midnight."""
    return MIDNIGHT + timedelta(hours=hour)


def make_block(**override: Any) -> dict[str, Any]:
    """A valid block as JSON object, some properties replaced."""
    return {
        "capacity": 110.5,
        "phase": "ALL",
        "unit": "KW",
        "start_time": "2026-12-01T00:00:00.000Z",
        "end_time": "2026-12-01T00:15:00.000Z",
    } | override


def make_body(*blocks: dict[str, Any], **override: Any) -> dict[str, Any]:
    """A valid message as JSON object, some properties replaced."""
    return {
        "group_id": "transformer-17",
        "type": "CONSUMPTION",
        "forecasted_blocks": list(blocks) or [make_block()],
    } | override


def read(body: dict[str, Any]) -> UpdateGroupCapacityForecast:
    """Read a message as text and as objects; both ways must agree."""
    message = UpdateGroupCapacityForecast.model_validate_json(json.dumps(body))
    assert UpdateGroupCapacityForecast.model_validate(body) == message
    return message
