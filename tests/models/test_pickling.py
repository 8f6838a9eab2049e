"""Values cross to another process and mean the same there."""

from __future__ import annotations

import pickle

from models.domain import CapacityForecasts, CapacityKind
from models.domain.capacity import Phase
from models.domain.measurement import EnergyMeters, EnergyReading, EnergyType, FlowDirection, MeterKey
from optimizer import OptimizeOptions, SolverOptions, optimize
from tests.builders import MORNING, make_forecast, make_scenario, make_tariff


def test_a_scenario_and_its_plan_cross() -> None:
    """The plan of a scenario that crossed is that of the scenario, and crosses back."""
    scenario = make_scenario(tariff=make_tariff(), forecasts=[make_forecast()])
    options = OptimizeOptions(solver=SolverOptions(extra={"output_flag": False}))

    there, chosen = pickle.loads(pickle.dumps((scenario, options)))  # noqa: S301 - our own
    back = pickle.loads(pickle.dumps(optimize(there, chosen)))  # noqa: S301

    expected = optimize(scenario, options)
    assert back.power_kw.tolist() == expected.power_kw.tolist()
    assert back.energy_cost == expected.energy_cost
    assert dict(chosen.solver.extra) == {"output_flag": False}
    assert there.site.path("main") == ("main",)


def test_forecasts_and_meters_cross() -> None:
    """Their mappings are read only on both sides or not at all, but equal."""
    forecasts = CapacityForecasts.from_messages([make_forecast(kind=CapacityKind.OPTIMUM)])
    key = MeterKey(
        group_id="main",
        asset_id=None,
        direction=FlowDirection.NET,
        phase=Phase.ALL,
        energy_type=EnergyType.TOTAL,
    )
    meters, _ = EnergyMeters().updated([EnergyReading(key=key, value_kwh=1.5, measured_at=MORNING)])

    crossed = pickle.loads(pickle.dumps((forecasts, meters)))  # noqa: S301 - our own

    assert dict(crossed[0].series) == dict(forecasts.series)
    assert dict(crossed[1].last) == dict(meters.last)
