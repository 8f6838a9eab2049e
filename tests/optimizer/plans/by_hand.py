"""What plans worked out by hand are made with and compared in: whole hours, energy of each session in each step."""

from __future__ import annotations

import numpy as np
import pytest

from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from optimizer.engine import optimize
from optimizer.options import OptimizeOptions
from tests.builders import HOUR

HOURLY = OptimizeOptions(raster=HOUR)
TOLERANCE = 1e-6


def table(plan: Schedule) -> dict[str, list[float]]:
    """Energy of each session in each step, kWh."""
    dense = np.zeros((len(plan.sessions), plan.grid.steps))
    np.add.at(dense, (plan.session_index, plan.step_index), plan.energy_kwh)
    return {result.session.session_id: row.tolist() for result, row in zip(plan.sessions, dense, strict=True)}


def planned(scenario: Scenario, options: OptimizeOptions = HOURLY) -> Schedule:
    """A plan proved optimal, or no plan."""
    plan = optimize(scenario, options)
    assert plan.status is ScheduleStatus.OPTIMAL
    return plan


def approx(expected: dict[str, list[float]]) -> object:
    """The same table within a millionth of a kWh."""
    return {name: pytest.approx(row, abs=TOLERANCE) for name, row in expected.items()}
