"""Limits that base load or generation exceeds whatever is planned: by how little, where, and that it is said.

Two hours in steps of an hour, one group, prices 0.20 and 0.30 per kWh.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from models.domain.asset import BaseLoad, Generator, Storage
from models.domain.capacity import Phase
from models.domain.group import CapacityGroup, LimitCounts
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule
from models.domain.session import ChargingSession
from models.domain.time_grid import TimeGrid
from models.domain.violation import LimitViolation, violations_of
from models.errors import VerificationError
from models.oscp.v20 import GroupCapacityComplianceError
from optimizer.engine import optimize
from optimizer.options import Fairness, LimitMode, OptimizeOptions, Strategy
from optimizer.recheck import recheck
from optimizer.scenario_io import read_result, write_result
from optimizer.verify import verify
from tests.builders import (
    HOUR,
    MORNING,
    make_forecast,
    make_scenario,
    make_series,
    make_session,
    make_site,
    make_storage,
    make_tariff,
)

TWO_HOURS = OptimizeOptions(raster=HOUR, start=MORNING, end=MORNING + 2 * HOUR)


def scenario_of(
    *,
    load_kw: tuple[float, float] = (0.0, 0.0),
    sun_kw: tuple[float, float] = (0.0, 0.0),
    storage: Storage | None = None,
    sessions: tuple[ChargingSession, ...] = (),
    import_limit_kw: float = 10.0,
    export_limit_kw: float | None = None,
    forecast_kw: float | None = None,
) -> Scenario:
    """A building with the sun on its roof, a battery and cars behind one connection."""
    group = CapacityGroup(
        group_id="main",
        import_limit_kw=import_limit_kw,
        export_limit_kw=export_limit_kw,
        limit_counts=LimitCounts.TOTAL,
    )
    return make_scenario(
        site=make_site(
            groups=[group],
            storages=[] if storage is None else [storage],
            generators=[Generator(asset_id="sun", group_id="main", curtailable=False)],
            base_loads=[BaseLoad(asset_id="building", group_id="main")],
        ),
        sessions=sessions,
        tariff=make_tariff(),
        forecasts=[] if forecast_kw is None else [make_forecast([forecast_kw, forecast_kw])],
        base_load_kw={"building": make_series(load_kw)},
        generation_kw={"sun": make_series(sun_kw)},
    )


def battery_kw(schedule: Schedule) -> list[float]:
    """Power of the battery, kW."""
    found = next(asset for asset in schedule.assets if asset.asset_id == "battery")
    return [round(float(value), 4) + 0.0 for value in found.power_kw]


def stages_of(schedule: Schedule) -> dict[str, float]:
    """Value of each stage."""
    return {stage.name: round(stage.value, 4) for stage in schedule.stages}


class TestLeastViolation:
    """What can be done about an excess is done, before anything else."""

    def test_a_battery_takes_all_of_it_away(self) -> None:
        """12 kW where 10 are allowed: the battery gives 2 and is filled again in the dear hour after."""
        plan = optimize(scenario_of(load_kw=(12.0, 6.0), storage=make_storage()), TWO_HOURS)

        assert battery_kw(plan) == [-2.0, 2.0]
        assert plan.violations == ()
        assert stages_of(plan)["over_connection_kwh"] == 0.0

    def test_what_is_left_is_named(self) -> None:
        """14 kW less the 3 kW that the battery can give are 1 kW too much for an hour."""
        plan = optimize(scenario_of(load_kw=(14.0, 2.0), storage=make_storage(power_kw=3.0)), TWO_HOURS)

        (found,) = plan.violations
        assert (found.group_id, found.phase, found.is_export) == ("main", Phase.ALL, False)
        assert (found.start, found.end) == (MORNING, MORNING + HOUR)
        assert (found.limit_kw, found.power_kw, found.excess_kwh) == pytest.approx((10.0, 11.0, 1.0), abs=1e-4)
        assert found.exceeds_connection
        assert "11.000 kW" in found.text
        assert "10.000 kW" in found.text

    def test_the_connection_comes_before_the_provider(self) -> None:
        """14 kW for two hours, 12 allowed by the connection and 10 by the provider, and 3 kWh in the battery.

        Above the connection there are 2 + 2 kWh, of which 3 can be taken away; above what the provider allows, and not
        above the connection, the 2 + 2 kWh stay.
        """
        storage = make_storage(energy_kwh=3.0, final_energy_kwh=0.0)
        scenario = scenario_of(load_kw=(14.0, 14.0), storage=storage, import_limit_kw=12.0, forecast_kw=10.0)
        plan = optimize(scenario, TWO_HOURS)

        assert stages_of(plan)["over_connection_kwh"] == pytest.approx(1.0, abs=1e-4)
        assert stages_of(plan)["over_capacity_kwh"] == pytest.approx(4.0, abs=1e-4)
        assert sum(one.excess_kwh for one in plan.violations) == pytest.approx(5.0, abs=1e-4)

    def test_above_the_provider_only(self) -> None:
        """11 kW where the provider allows 10 and the connection 12 breaks a contract and no fuse."""
        plan = optimize(scenario_of(load_kw=(11.0, 5.0), import_limit_kw=12.0, forecast_kw=10.0), TWO_HOURS)

        (found,) = plan.violations
        assert not found.exceeds_connection
        assert found.excess_kwh == pytest.approx(1.0)

    def test_a_car_takes_up_a_surplus(self) -> None:
        """10 kW of sun where 2 may go out: a car takes its 5 kWh then, though the later hour would cost it less.

        An hour with the sun earns 0.20 for what is fed in and costs nothing less; the car would wait without the limit.
        """
        car = make_session(energy_kwh=5.0)
        scenario = replace(
            scenario_of(sun_kw=(10.0, 0.0), sessions=(car,), export_limit_kw=2.0),
            tariff=make_tariff((0.20, 0.01), exports_per_kwh=(0.20, 0.01)),
        )
        plan = optimize(scenario, TWO_HOURS)
        free = optimize(
            replace(scenario, site=replace(scenario.site, groups=(CapacityGroup(group_id="main"),))), TWO_HOURS
        )

        assert plan.step_index.tolist() == [0]
        assert free.step_index.tolist() == [1]
        (found,) = plan.violations
        assert found.is_export
        assert (found.power_kw, found.excess_kwh) == pytest.approx((5.0, 3.0), abs=1e-4)

    def test_a_car_adds_nothing_to_an_excess(self) -> None:
        """A car waits for the hour in which there is room, with a fair rule too, whatever that costs."""
        scenario = scenario_of(load_kw=(14.0, 4.0), sessions=(make_session(energy_kwh=5.0),), storage=make_storage())
        for fairness in Fairness:
            plan = optimize(scenario, replace(TWO_HOURS, fairness=fairness))

            assert plan.violations == ()
            assert plan.delivered_energy_kwh == pytest.approx(2.0, abs=1e-4)
            assert battery_kw(plan) == [-4.0, 4.0]

    def test_a_site_without_contradiction_is_not_asked(self) -> None:
        """No stage, and no time spent."""
        plan = optimize(scenario_of(load_kw=(9.0, 9.0), storage=make_storage()), TWO_HOURS)

        assert not any(name.startswith("over_") for name in stages_of(plan))
        assert "violation" not in plan.seconds

    def test_a_heuristic_says_what_it_leaves(self) -> None:
        """It leaves the battery alone, and says that 2 kW are too much."""
        scenario = scenario_of(load_kw=(12.0, 6.0), storage=make_storage())
        plan = optimize(scenario, replace(TWO_HOURS, strategy=Strategy.EARLIEST_DEADLINE))

        assert [one.excess_kwh for one in plan.violations] == pytest.approx([2.0])


class TestVerification:
    """Nobody is let off with an excess that is not stated."""

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda found: (), "does not say that it exceeds"),
            (lambda found: (replace(found, excess_kwh=0.5),), "states excess of"),
            (lambda found: (replace(found, power_kw=10.5),), "states power of"),
            (lambda found: (replace(found, exceeds_connection=False),), "says wrongly whether"),
            (lambda found: (found, replace(found, start=MORNING + HOUR)), "exceeds a limit that it holds"),
        ],
    )
    def test_a_false_statement_is_refused(self, change: object, text: str) -> None:
        """Left out, made smaller, called harmless, or made up."""
        scenario = scenario_of(load_kw=(14.0, 2.0))
        plan = optimize(scenario, TWO_HOURS)
        verify(scenario, plan, limit_mode=LimitMode.MEAN)

        (found,) = plan.violations
        false = replace(plan, violations=change(found))  # type: ignore[operator]
        with pytest.raises(VerificationError, match=text):
            verify(scenario, false, limit_mode=LimitMode.MEAN)


class TestFiles:
    """What is written says it, and reads back."""

    def test_the_message_for_the_provider(self, tmp_path: Path) -> None:
        """compliance.json has a message of OSCP with the blocks that cannot be kept; a recheck finds the same."""
        scenario = scenario_of(load_kw=(14.0, 2.0))
        plan = optimize(scenario, TWO_HOURS)
        summary = write_result(tmp_path / "out", plan, scenario, TWO_HOURS)

        (entry,) = json.loads((tmp_path / "out" / "compliance.json").read_text())
        assert (entry["group_id"], entry["type"]) == ("main", "CONSUMPTION")
        message = GroupCapacityComplianceError.model_validate(entry["error"])
        assert message.forecasted_blocks is not None
        (block,) = message.forecasted_blocks
        assert (block.capacity, block.start_time, block.end_time) == (10.0, MORNING, MORNING + HOUR)
        assert "14.000 kW" in message.message
        stated: Any = summary["limit_violations"]
        assert [(one["excess_kwh"], one["start"]) for one in stated] == [(4.0, "2026-03-02T09:00:00+01:00")]
        recheck(scenario, read_result(tmp_path / "out", scenario)).require()

    def test_a_recheck_misses_what_was_struck_out(self, tmp_path: Path) -> None:
        """A summary that does not mention the excess any more is found out."""
        scenario = scenario_of(load_kw=(14.0, 2.0))
        write_result(tmp_path / "out", optimize(scenario, TWO_HOURS), scenario, TWO_HOURS)
        path = tmp_path / "out" / "summary.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "limit_violations": []}))

        found = recheck(scenario, read_result(tmp_path / "out", scenario))

        assert any("does not say" in text for text in found.violations)

    def test_a_safe_plan_tells_nobody(self, tmp_path: Path) -> None:
        """No file without an excess, nor for charging that looks at no limits."""
        scenario = scenario_of(load_kw=(4.0, 4.0), sessions=(make_session(energy_kwh=20.0),))
        for strategy in (Strategy.OPTIMAL, Strategy.UNCONTROLLED):
            options = replace(TWO_HOURS, strategy=strategy)
            write_result(tmp_path / strategy, optimize(scenario, options), scenario, options)

            assert not (tmp_path / strategy / "compliance.json").exists()


def test_stretches_end_where_the_limit_changes() -> None:
    """Three hours of 5 kW above 4, 4 and 3 kW, then one within: two stretches."""
    edges_s = np.array([(MORNING + hour * HOUR).timestamp() for hour in range(5)])
    grid = TimeGrid(edges_s=edges_s, time_zone=ZoneInfo("Europe/Amsterdam"))
    found: list[LimitViolation] = list(
        violations_of(
            grid,
            "main",
            Phase.ALL,
            is_export=False,
            load_kw=np.array([5.0, 6.0, 5.0, 1.0]),
            limit_kw=np.array([4.0, 4.0, 3.0, 3.0]),
            connection_kw=5.5,
        )
    )

    assert [(one.start, one.end) for one in found] == [
        (MORNING, MORNING + 2 * HOUR),
        (MORNING + 2 * HOUR, MORNING + 3 * HOUR),
    ]
    assert [(one.power_kw, one.excess_kwh, one.exceeds_connection) for one in found] == [
        (6.0, 3.0, True),
        (5.0, 2.0, False),
    ]
