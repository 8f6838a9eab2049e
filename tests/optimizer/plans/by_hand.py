"""What plans worked out by hand begin with and are compared in: one limit, whole hours, energy of each session."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff
from optimizer.engine import optimize
from optimizer.options import OptimizeOptions
from tests.builders import HOUR, make_charger, make_scenario, make_site

HOURLY = OptimizeOptions(raster=HOUR)
TOLERANCE = 1e-6


def table(plan: Schedule) -> dict[str, list[float]]:
    """Energy of each session in each step, kWh."""
    dense = np.zeros((len(plan.sessions), plan.grid.steps))
    np.add.at(dense, (plan.session_index, plan.step_index), plan.energy_kwh)
    return {result.session.session_id: row.tolist() for result, row in zip(plan.sessions, dense, strict=True)}


def one_limit(
    limit_kw: float | None, sessions: Iterable[ChargingSession], *, tariff: EnergyTariff | None = None
) -> Scenario:
    """Sessions at chargers of their own in one group."""
    asked = [replace(session, charger_id=f"C-{session.session_id}") for session in sessions]
    site = make_site(
        groups=[CapacityGroup(group_id="main", import_limit_kw=limit_kw)],
        chargers=[make_charger(session.charger_id) for session in asked],
    )
    return make_scenario(site=site, sessions=asked, tariff=tariff)


def planned(scenario: Scenario, options: OptimizeOptions = HOURLY) -> Schedule:
    """A plan proved optimal, or no plan."""
    plan = optimize(scenario, options)
    assert plan.status is ScheduleStatus.OPTIMAL
    return plan


def approx(expected: dict[str, list[float]]) -> object:
    """The same table within a millionth of a kWh."""
    return {name: pytest.approx(row, abs=TOLERANCE) for name, row in expected.items()}
