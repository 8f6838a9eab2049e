"""What a plan says, row by row, as its verification reads it, and by how much figures may differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from models.domain.group import Charger
from models.domain.scenario import Scenario
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray, IntArray, TimeGrid
from models.units import SECONDS_PER_HOUR
from optimizer.arrays import sums_by
from optimizer.options import LimitMode

TOLERANCE = 1e-6
"""kW, kWh or units of currency; a millionth of what a meter shows."""

RELATIVE_TOLERANCE = 1e-9
"""Of the figure compared, for sums over large sites."""

SECOND_TOLERANCE = 1e-6
"""A microsecond, the resolution of written times."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlannedPower:
    """What a plan says: K rows of constant power.

    Args:
        grid: The steps over which a limit is counted.
        sessions: (S,), everyone planned for.
        session_index: (K,), index into the sessions.
        start_s: (K,), seconds since the epoch.
        end_s: (K,), seconds since the epoch.
        power_kw: (K,), kW, below zero where a vehicle feeds in.
        asset_kw: Mean power of each storage and generator in each step, (T,), kW, below zero where it feeds in. What is
            left out stands still, or gives all it has.
    """

    grid: TimeGrid
    sessions: tuple[ChargingSession, ...]
    session_index: IntArray
    start_s: FloatArray
    end_s: FloatArray
    power_kw: FloatArray
    asset_kw: Mapping[str, FloatArray] = field(default_factory=dict)

    @cached_property
    def arrival_s(self) -> FloatArray:
        """(S,), seconds since the epoch."""
        return np.array([session.arrival_s for session in self.sessions], dtype=np.float64)

    @cached_property
    def departure_s(self) -> FloatArray:
        """(S,), seconds since the epoch."""
        return np.array([session.departure_s for session in self.sessions], dtype=np.float64)

    @cached_property
    def hours(self) -> FloatArray:
        """(K,), h."""
        return (self.end_s - self.start_s) / SECONDS_PER_HOUR

    @cached_property
    def step(self) -> IntArray:
        """(K,), the step in which a row begins, the nearest one where it begins in none."""
        step = np.searchsorted(self.grid.edges_s, self.start_s + SECOND_TOLERANCE, side="right") - 1
        return np.clip(step, 0, self.grid.steps - 1)

    def load_kw(self, share: FloatArray, limit_mode: LimitMode) -> FloatArray:
        """Power of a share of each session, (S,), as a limit counts it: (T,), kW."""
        counted = self.power_kw * share[self.session_index]
        if limit_mode is LimitMode.MEAN:
            counted = counted * self.hours / self.grid.step_hours[self.step]
        return sums_by(self.step, counted, self.grid.steps)


def chargers_as_used(scenario: Scenario, plan: PlannedPower) -> list[Charger]:
    """The charger of each session, as its vehicle uses it."""
    return [scenario.site.charger(session.charger_id).used_by(session.vehicle_phases) for session in plan.sessions]
