"""What the capacities of a site were worth within some time, by the plans that were in force; pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.domain import Schedule, Site
from models.domain.time_grid import FloatArray
from models.units import SECONDS_PER_HOUR

BINDING_KW = 1e-3
"""A limit of which less is left is used in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityUse:
    """One group, over the time within which a plan in force had a limit for it.

    Args:
        group_id: The group.
        limited_hours: How long that was, h.
        full_hours: How long the limit was used in full, h.
        worth_per_kw: What a first further kW all the time would have been worth, currency; None where no solver said.
        highest_kw: The highest power planned, kW.
        never_used_kw: What was left of the limit at any time, kW.
        unused_kwh: What was left of it altogether, kWh.
    """

    group_id: str
    limited_hours: float
    full_hours: float
    worth_per_kw: float | None
    highest_kw: float
    never_used_kw: float
    unused_kwh: float


class CapacityUses:
    """What plans drew of the limits of each group, each while it was in force."""

    def __init__(self) -> None:
        self._rows: dict[str, list[FloatArray]] = {}

    def take(self, schedule: Schedule, from_s: float, until_s: float) -> None:
        """Add a plan, which was in force between two instants."""
        edges_s = schedule.grid.edges_s
        start_s, end_s = np.maximum(edges_s[:-1], from_s), np.minimum(edges_s[1:], until_s)
        for group in schedule.groups:
            rows = np.array([start_s, end_s, group.power_kw, group.limit_kw, group.shadow_price_per_kwh])
            counts = (start_s < end_s) & np.isfinite(group.limit_kw)
            self._rows.setdefault(group.group_id, []).append(rows[:, counts])

    def between(self, site: Site, start_s: float, end_s: float) -> tuple[CapacityUse, ...]:
        """What came of it within some time, for each group of the site that had a limit."""
        found = (
            _use(group.group_id, np.concatenate(self._rows[group.group_id], axis=1), start_s, end_s)
            for group in site.groups
            if group.group_id in self._rows
        )
        return tuple(use for use in found if use is not None)


def _use(group_id: str, rows: FloatArray, first_s: float, last_s: float) -> CapacityUse | None:
    start_s, end_s, power_kw, limit_kw, price = rows
    hours = np.maximum(np.minimum(end_s, last_s) - np.maximum(start_s, first_s), 0.0) / SECONDS_PER_HOUR
    counts = hours > 0
    if not counts.any():
        return None
    hours, power_kw, limit_kw, price = hours[counts], power_kw[counts], limit_kw[counts], price[counts]
    left_kw = np.maximum(limit_kw - power_kw, 0.0)
    full = left_kw <= BINDING_KW
    return CapacityUse(
        group_id=group_id,
        limited_hours=float(hours.sum()),
        full_hours=float(hours[full].sum()),
        worth_per_kw=None if np.isnan(price).all() else float(np.nansum(price * hours)),
        highest_kw=float(power_kw.max()),
        never_used_kw=float(left_kw.min()),
        unused_kwh=float((left_kw * hours).sum()),
    )
