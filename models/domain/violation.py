"""Limits of groups that a plan exceeds, because what nobody decides on leaves no plan that does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from models.domain.capacity import Phase
from models.domain.time_grid import FloatArray, TimeGrid

STATED_KW = 1e-4
"""Less than that above a limit is rounding, kW."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitViolation:
    """A stretch of time in which a group exceeds one limit.

    Args:
        group_id: The group.
        phase: The conductor the limit counts; ALL for all together.
        is_export: Whether it limits what is fed in instead of what is drawn.
        start: Begin.
        end: End.
        limit_kw: What is allowed, kW.
        power_kw: The highest power in it, kW, in the limit's direction.
        excess_kwh: Energy above the limit, kWh.
        exceeds_connection: Whether that is more than the connection itself allows, not only more than a capacity
            provider does.
    """

    group_id: str
    phase: Phase
    is_export: bool
    start: datetime
    end: datetime
    limit_kw: float
    power_kw: float
    excess_kwh: float
    exceeds_connection: bool

    @property
    def label(self) -> str:
        """The group and the limit in words."""
        direction = " export" if self.is_export else ""
        return f"group {self.group_id!r}{direction}" + ("" if self.phase is Phase.ALL else f" phase {self.phase}")

    @property
    def text(self) -> str:
        """All of it in a sentence."""
        beyond = ", more than the connection allows" if self.exceeds_connection else ""
        return (
            f"{self.label}: {self.power_kw:.3f} kW from {self.start.isoformat()} to {self.end.isoformat()}, "
            f"allowed are {self.limit_kw:.3f} kW: {self.excess_kwh:.3f} kWh too much{beyond}"
        )


def violations_of(
    grid: TimeGrid,
    group_id: str,
    phase: Phase,
    *,
    is_export: bool,
    load_kw: FloatArray,
    limit_kw: FloatArray,
    connection_kw: float,
) -> Iterator[LimitViolation]:
    """The stretches in which a load exceeds a limit; a new one where the limit changes.

    Args:
        grid: T steps.
        group_id: The group.
        phase: Which conductor.
        is_export: Which direction.
        load_kw: (T,), in that direction, kW.
        limit_kw: (T,), infinite where there is none, kW.
        connection_kw: What the connection allows, kW; infinite where nothing is known of it.
    """
    over = load_kw - limit_kw > STATED_KW
    if not over.any():
        return
    begins = over & ~np.concatenate(([False], over[:-1] & (limit_kw[1:] == limit_kw[:-1])))
    for first in np.flatnonzero(begins).tolist():
        last = first
        while last + 1 < over.size and over[last + 1] and not begins[last + 1]:
            last += 1
        steps = slice(first, last + 1)
        power_kw = float(load_kw[steps].max())
        yield LimitViolation(
            group_id=group_id,
            phase=phase,
            is_export=is_export,
            start=grid.instant(float(grid.edges_s[first])),
            end=grid.instant(float(grid.edges_s[last + 1])),
            limit_kw=float(limit_kw[first]),
            power_kw=power_kw,
            excess_kwh=float(((load_kw - limit_kw)[steps] * grid.step_hours[steps]).sum()),
            exceeds_connection=power_kw > connection_kw + STATED_KW,
        )
