"""Sites with assets, and what a plan says of them.

Unless a test says otherwise: two hours in steps of an hour, one group, prices 0.20 and 0.30 per kWh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from models.domain.asset import BaseLoad, Generator, Storage
from models.domain.group import CapacityGroup, LimitCounts
from models.domain.scenario import Scenario
from models.domain.schedule import AssetResult, Costs, Schedule
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff
from optimizer.options import OptimizeOptions
from tests.builders import HOUR, MORNING, make_scenario, make_series, make_site, make_tariff

HOURLY = OptimizeOptions(raster=HOUR)
TWO_HOURS = OptimizeOptions(raster=HOUR, start=MORNING, end=MORNING + 2 * HOUR)


def scenario_with(
    *,
    sessions: Iterable[ChargingSession] = (),
    storages: Iterable[Storage] = (),
    generation_kw: Mapping[str, Iterable[float]] | None = None,
    base_load_kw: Mapping[str, Iterable[float]] | None = None,
    tariff: EnergyTariff | None = None,
    curtailable: bool = False,
    counts: LimitCounts = LimitCounts.TOTAL,
    import_limit_kw: float | None = None,
    export_limit_kw: float | None = None,
    site_changes: Mapping[str, object] | None = None,
    **changes: object,
) -> Scenario:
    """A site of one group with what a test names."""
    generation, load = generation_kw or {}, base_load_kw or {}
    site = make_site(
        groups=[
            CapacityGroup(
                group_id="main",
                import_limit_kw=import_limit_kw,
                export_limit_kw=export_limit_kw,
                limit_counts=counts,
            )
        ],
        storages=storages,
        generators=[Generator(asset_id=name, group_id="main", curtailable=curtailable) for name in generation],
        base_loads=[BaseLoad(asset_id=name, group_id="main") for name in load],
    )
    scenario = make_scenario(
        site=replace(site, **(site_changes or {})),  # type: ignore[arg-type]
        sessions=sessions,
        tariff=make_tariff() if tariff is None else tariff,
        generation_kw={name: make_series(values) for name, values in generation.items()},
        base_load_kw={name: make_series(values) for name, values in load.items()},
    )
    return replace(scenario, **changes)  # type: ignore[arg-type]


def asset(schedule: Schedule, asset_id: str) -> AssetResult:
    """The result of one asset."""
    return next(result for result in schedule.assets if result.asset_id == asset_id)


def session_kw(schedule: Schedule) -> list[float]:
    """Mean power of all sessions in each step, kW."""
    power_kw = np.zeros(schedule.grid.steps)
    np.add.at(power_kw, schedule.step_index, schedule.energy_kwh / schedule.grid.step_hours[schedule.step_index])
    return [round(float(value), 6) + 0.0 for value in power_kw]


def costs_of(schedule: Schedule) -> Costs:
    """What a plan costs beside its energy."""
    assert schedule.costs is not None
    return schedule.costs


def figures(values: np.ndarray) -> list[float]:
    """Rounded figures."""
    return [round(float(value), 6) + 0.0 for value in values]
