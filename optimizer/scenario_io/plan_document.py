"""A plan as one JSON document: the figures of summary.json, and the rows of the other files of a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import numpy as np

from models.domain.group import Site
from models.domain.measurement import AssetCategory
from models.domain.scenario import Scenario
from models.domain.schedule import AssetResult, Costs, GroupResult, Schedule, ScheduleStatus, SessionResult
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray, TimeGrid
from models.domain.why import ReasonCode
from optimizer.options import OptimizeOptions
from optimizer.scenario_io.result_cells import (
    CODE_SEPARATOR,
    asset_rows,
    group_rows,
    line_rows,
    schedule_rows,
    session_rows,
)
from optimizer.scenario_io.result_schemas import AssetRow, GroupRow, LineRow, ScheduleRow, SessionResultRow
from optimizer.scenario_io.results import summarize
from optimizer.scenario_io.why_document import why_document

SCHEDULE = "schedule"
SESSION_RESULTS = "session_results"
GROUP_RESULTS = "group_results"
LINE_RESULTS = "line_results"
WHY = "why"
TEXTS = frozenset({"reason", "reason_codes"})
"""Columns in which an empty cell is an empty text."""
ASSET_RESULTS = "asset_results"


def to_plan_document(
    schedule: Schedule,
    scenario: Scenario,
    options: OptimizeOptions,
    *,
    notes: Sequence[str] = (),
    why_short_only: bool = False,
) -> dict[str, object]:
    """A plan as JSON values.

    Args:
        schedule: The plan.
        scenario: What it was made for.
        options: How it was made.
        notes: What else to note, before the schedule's own notes.
        why_short_only: Whether to leave the reasons out of sessions that miss nothing.

    Returns:
        The fields of summary.json, and the rows of schedule.csv, sessions.csv, groups.csv, lines.csv and assets.csv as
        ``schedule``, ``session_results``, ``group_results``, ``line_results`` and ``asset_results``; null where a cell
        is empty. The content of why.json as ``why``; null where the plan does not say.
    """
    site = scenario.site
    zone = site.time_zone
    why = None
    if schedule.why is not None:
        why = why_document(schedule, site_id=site.site_id, currency=site.currency, short_only=why_short_only)
    return {
        **summarize(schedule, scenario, options, notes=notes),
        SCHEDULE: _records(ScheduleRow.model_fields, schedule_rows(schedule, zone)),
        SESSION_RESULTS: _records(SessionResultRow.model_fields, session_rows(schedule, zone)),
        GROUP_RESULTS: _records(GroupRow.model_fields, group_rows(schedule, zone)),
        LINE_RESULTS: _records(LineRow.model_fields, line_rows(schedule, zone)),
        WHY: why,
        ASSET_RESULTS: _records(AssetRow.model_fields, asset_rows(schedule, zone)),
    }


def schedule_from_document(document: Mapping[str, Any], site: Site) -> Schedule:
    """The plan that `to_plan_document` wrote, to stay close to: its power, and who gets it.

    Args:
        document: As written by this program.
        site: Whose plan it is.

    Returns:
        The plan without shadow prices, stages and times.
    """
    instants = _Instants()
    sessions = tuple(_session(row) for row in document[SESSION_RESULTS])
    index_of = {result.session.session_id: index for index, result in enumerate(sessions)}
    rows = document[SCHEDULE]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in document[GROUP_RESULTS]:
        groups.setdefault(row["group_id"], []).append(row)
    steps = next(iter(groups.values()))
    edges = [steps[0]["start"], *(row["end"] for row in steps)]
    prices = [row["price_per_kwh"] for row in steps]
    return Schedule(
        grid=TimeGrid(edges_s=instants.seconds(edges), time_zone=site.time_zone),
        sessions=sessions,
        session_index=np.array([index_of[row["session_id"]] for row in rows], dtype=np.int64),
        step_index=np.searchsorted(instants.seconds(edges), instants.seconds(row["start"] for row in rows), "right")
        - 1,
        start_s=instants.seconds(row["start"] for row in rows),
        end_s=instants.seconds(row["end"] for row in rows),
        power_kw=np.array([row["power_kw"] for row in rows], dtype=np.float64),
        groups=tuple(_group(group_id, found) for group_id, found in groups.items()),
        price_per_kwh=None if None in prices else np.array(prices, dtype=np.float64),
        energy_cost=document["energy_cost"],
        peak_import_kw=document["peak_import_kw"],
        status=ScheduleStatus(document["status"]),
        strategy=document["strategy"],
        notes=tuple(document["notes"]),
        assets=tuple(_assets(document.get(ASSET_RESULTS, ()))),
        costs=Costs(**{item.name: document.get(item.name, 0.0) for item in fields(Costs)}),
    )


class _Instants:
    """Reads instants; most of a plan's share theirs with others."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    def seconds(self, texts: Iterable[str]) -> FloatArray:
        return np.array([self._second(text) for text in texts], dtype=np.float64)

    def _second(self, text: str) -> float:
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = datetime.fromisoformat(text).timestamp()
        return found


def _records(names: Iterable[str], rows: Iterable[Sequence[object]]) -> list[dict[str, object]]:
    fields = list(names)
    return [
        {name: None if cell == "" and name not in TEXTS else cell for name, cell in zip(fields, row, strict=True)}
        for row in rows
    ]


def _session(row: Mapping[str, Any]) -> SessionResult:
    session = ChargingSession(
        session_id=row["session_id"],
        charger_id=row["charger_id"],
        arrival=datetime.fromisoformat(row["arrival"]),
        departure=datetime.fromisoformat(row["departure"]),
        energy_kwh=row["requested_energy_kwh"],
        priority=row["priority"],
        priority_class=row.get("priority_class", 0),
    )
    return SessionResult(
        session=session,
        delivered_energy_kwh=row["delivered_energy_kwh"],
        unmet_energy_kwh=row["unmet_energy_kwh"],
        unreachable_energy_kwh=row["unreachable_energy_kwh"],
        reason=row["reason"],
        # Plans that earlier versions stored have none.
        reason_codes=tuple(ReasonCode(code) for code in row.get("reason_codes", "").split(CODE_SEPARATOR) if code),
    )


def _group(group_id: str, rows: Sequence[Mapping[str, Any]]) -> GroupResult:
    return GroupResult(
        group_id=group_id,
        power_kw=_values(rows, "power_kw", np.nan),
        limit_kw=_values(rows, "limit_kw", np.inf),
        shadow_price_per_kwh=_values(rows, "shadow_price_per_kwh", np.nan),
        export_limit_kw=_values(rows, "export_limit_kw", np.inf),
    )


def _assets(rows: Iterable[Mapping[str, Any]]) -> Iterator[AssetResult]:
    by_asset: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_asset.setdefault(row["asset_id"], []).append(row)
    for asset_id, steps in by_asset.items():
        category = AssetCategory(steps[0]["category"])
        is_generator = category is AssetCategory.GENERATION
        has_state = category in (AssetCategory.STORAGE, AssetCategory.CHARGING)
        yield AssetResult(
            asset_id=asset_id,
            category=category,
            power_kw=_values(steps, "power_kw", np.nan),
            stored_kwh=_values(steps, "stored_kwh", np.nan) if has_state else None,
            available_kw=_values(steps, "available_kw", np.nan) if is_generator else None,
        )


def _values(rows: Sequence[Mapping[str, Any]], name: str, absent: float) -> FloatArray:
    return np.array([absent if row.get(name) is None else row[name] for row in rows], dtype=np.float64)
