"""A valid scenario folder as text; a test replaces the part it is about."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pandas as pd

from tests.builders import MORNING

HEADER = "session_id,charger_id,arrival,departure,energy_kwh"
ROW = "S1,C1,2026-03-02T09:00:00+01:00,2026-03-02T11:00:00+01:00,10"
PRICE_HEADER = "start,end,import_price_per_kwh"
PRICE = "2026-03-02T09:00:00+01:00,2026-03-02T10:00:00+01:00,0.20"


def site_json(**overrides: object) -> dict[str, object]:
    """A valid site.json with some of its fields replaced."""
    site: dict[str, object] = {
        "schema": 1,
        "site_id": "depot",
        "time_zone": "Europe/Amsterdam",
        "currency": "EUR",
        "nominal_voltage_v": 230,
        "groups": [group_json("main")],
        "chargers": [{"charger_id": "C1", "group_id": "main", "max_power_kw": 22}],
    }
    return site | overrides


def group_json(group_id: str, parent_id: str | None = None, **overrides: object) -> dict[str, object]:
    """A valid group of site.json."""
    group = {"group_id": group_id, "parent_id": parent_id, "import_limit_kw": 100, "export_limit_kw": None}
    return group | overrides


def block_json(**overrides: object) -> dict[str, object]:
    """A valid block of a message."""
    block: dict[str, object] = {
        "capacity": 50,
        "phase": "ALL",
        "unit": "KW",
        "start_time": "2026-03-02T08:00:00Z",
        "end_time": "2026-03-02T09:00:00Z",
    }
    return block | overrides


def message_json(group_id: str = "main", blocks: Iterable[dict[str, object]] | None = None) -> dict[str, object]:
    """A valid message of forecasts.json."""
    return {
        "group_id": group_id,
        "type": "CONSUMPTION",
        "forecasted_blocks": [block_json()] if blocks is None else list(blocks),
    }


def write_csv(path: Path, *lines: str) -> None:
    """Write lines of text."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(value), encoding="utf-8")


def write_folder(path: Path) -> Path:
    """A valid scenario folder of one session."""
    path.mkdir()
    write_json(path / "site.json", site_json())
    write_csv(path / "sessions.csv", HEADER, ROW)
    return path


def session_frame(**columns: list[object]) -> pd.DataFrame:
    """A table of one valid session with some columns replaced."""
    cells: dict[str, list[object]] = {
        "session_id": ["S1"],
        "charger_id": ["C1"],
        "arrival": [pd.Timestamp(MORNING).tz_convert("Europe/Amsterdam")],
        "departure": [pd.Timestamp(MORNING + timedelta(hours=2))],
        "energy_kwh": [10.0],
    }
    return pd.DataFrame(cells | columns)
