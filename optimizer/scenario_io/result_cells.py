"""The cells of a result's tables, and figures and instants as it states them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from itertools import repeat

import numpy as np

from models.domain.schedule import AssetResult, GroupResult, Schedule
from models.domain.time_grid import FloatArray

CODE_SEPARATOR = ";"
POWER_DECIMALS = 12
"""Sums must recheck within the tolerance: 10,000 equal shares rounded to 9 decimals may be off by 5e-6 kW."""
TOTAL_DECIMALS = 9


def schedule_rows(schedule: Schedule, zone: tzinfo) -> Iterable[Sequence[object]]:
    """The cells of schedule.csv, in the order of the fields of `ScheduleRow`."""
    sessions = [result.session for result in schedule.sessions]
    index = schedule.session_index.tolist()
    return zip(
        [sessions[at].session_id for at in index],
        [sessions[at].charger_id for at in index],
        _iso_texts(schedule.start_s, zone),
        _iso_texts(schedule.end_s, zone),
        _rounded(schedule.power_kw),
        strict=True,
    )


def session_rows(schedule: Schedule, zone: tzinfo) -> Iterable[Sequence[object]]:
    """The cells of sessions.csv, in the order of the fields of `SessionResultRow`."""
    for result in schedule.sessions:
        session = result.session
        yield (
            session.session_id,
            session.charger_id,
            iso_text(session.arrival, zone),
            iso_text(session.departure, zone),
            session.priority,
            session.priority_class,
            rounded_total(session.energy_kwh),
            rounded_total(result.delivered_energy_kwh),
            rounded_total(result.unmet_energy_kwh),
            rounded_total(result.unreachable_energy_kwh),
            rounded_total(result.share),
            result.reason,
            CODE_SEPARATOR.join(result.reason_codes),
        )


def group_rows(schedule: Schedule, zone: tzinfo) -> Iterable[Sequence[object]]:
    """The cells of groups.csv, in the order of the fields of `GroupRow`."""
    edges = _iso_texts(schedule.grid.edges_s, zone)
    no_price = np.full(schedule.grid.steps, np.nan)
    prices = _cells(no_price if schedule.price_per_kwh is None else schedule.price_per_kwh)
    for group in schedule.groups:
        yield from zip(*_group_columns(group, edges, prices), strict=True)


def _group_columns(group: GroupResult, edges: Sequence[str], prices: Sequence[object]) -> Iterable[Iterable[object]]:
    steps = len(edges) - 1
    return (
        list(repeat(group.group_id, steps)),
        edges[:-1],
        edges[1:],
        _rounded(group.power_kw),
        _cells(group.limit_kw),
        prices,
        _cells(group.shadow_price_per_kwh),
        _cells_or_none(group.export_limit_kw, steps),
        _cells_or_none(group.export_shadow_price_per_kwh, steps),
    )


def asset_rows(schedule: Schedule, zone: tzinfo) -> Iterable[Sequence[object]]:
    """The cells of assets.csv, in the order of the fields of `AssetRow`."""
    edges = _iso_texts(schedule.grid.edges_s, zone)
    for asset in schedule.assets:
        yield from zip(*_asset_columns(asset, edges), strict=True)


def _asset_columns(asset: AssetResult, edges: Sequence[str]) -> Iterable[Iterable[object]]:
    steps = len(edges) - 1
    return (
        list(repeat(asset.asset_id, steps)),
        list(repeat(asset.category.value, steps)),
        edges[:-1],
        edges[1:],
        _rounded(asset.power_kw),
        _cells_or_none(asset.stored_kwh, steps),
        _cells_or_none(asset.available_kw, steps),
    )


def line_rows(schedule: Schedule, zone: tzinfo) -> Iterable[Sequence[object]]:
    """The cells of lines.csv, in the order of the fields of `LineRow`."""
    edges = _iso_texts(schedule.grid.edges_s, zone)
    for line in schedule.lines:
        yield from zip(
            repeat(line.line_id),
            repeat(line.group_id),
            edges[:-1],
            edges[1:],
            _rounded(line.current_a),
            _cells(line.limit_a),
            _cells(line.shadow_price_per_kwh),
            strict=False,
        )


def iso_text(instant: datetime, zone: tzinfo) -> str:
    """An instant as ISO 8601 text, on the clock of a zone."""
    return instant.astimezone(zone).isoformat()


def _iso_texts(epoch_s: FloatArray, zone: tzinfo) -> list[str]:
    """The instants as text; most rows share theirs with others."""
    distinct, index = np.unique(epoch_s, return_inverse=True)
    texts = [datetime.fromtimestamp(second, tz=zone).isoformat() for second in distinct.tolist()]
    return [texts[at] for at in index.tolist()]


def _rounded(values: FloatArray) -> list[float]:
    rounded: list[float] = (np.round(values, POWER_DECIMALS) + 0.0).tolist()  # adding zero turns -0.0 into 0.0
    return rounded


def _cells(values: FloatArray) -> list[object]:
    """Values as cells: empty where there is none."""
    return [value if math.isfinite(value) else "" for value in _rounded(values)]


def _cells_or_none(values: FloatArray | None, count: int) -> list[object]:
    return list(repeat("", count)) if values is None else _cells(values)


def rounded_total(value: float) -> float | None:
    """A figure of a whole plan as it is stated; None where there is none."""
    return round(value, TOTAL_DECIMALS) + 0.0 if math.isfinite(value) else None
