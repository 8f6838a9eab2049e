"""Base load and generation, and what may be fed in: cases worked out by hand, see `sites` for what they begin with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.domain.asset import BaseLoad, Generator
from models.domain.capacity import CapacityKind, Phase
from models.domain.group import CapacityGroup, LimitCounts
from models.domain.schedule import ScheduleStatus
from models.errors import InputError
from optimizer.engine import optimize
from optimizer.options import Strategy
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_forecast,
    make_scenario,
    make_series,
    make_session,
    make_site,
    make_storage,
    make_tariff,
)
from tests.optimizer.assets.sites import HOURLY, TWO_HOURS, asset, costs_of, figures, scenario_with, session_kw


class TestBaseLoadAndGeneration:
    """What nobody decides on counts where it should."""

    def test_a_limit_of_all_power_leaves_what_the_base_load_leaves(self) -> None:
        """Of 10 kW a building takes 8, then 2: 10 kWh wanted are 2 kWh in the cheap hour and 8 kWh in the dear one."""
        scenario = scenario_with(
            sessions=[make_session(energy_kwh=10)], base_load_kw={"building": (8, 2)}, import_limit_kw=10
        )

        plan = optimize(scenario, HOURLY)

        assert session_kw(plan) == [2.0, 8.0]
        assert figures(plan.group("main").power_kw) == [10.0, 10.0]
        assert plan.energy_cost == pytest.approx(0.2 * 10 + 0.3 * 10)

    def test_a_limit_of_flexible_power_leaves_all(self) -> None:
        """The same with a limit that counts flexible assets only: all 10 kWh come in the cheap hour."""
        scenario = scenario_with(
            sessions=[make_session(energy_kwh=10)],
            base_load_kw={"building": (8, 2)},
            import_limit_kw=10,
            counts=LimitCounts.FLEXIBLE,
        )

        plan = optimize(scenario, HOURLY)

        assert session_kw(plan) == [10.0, 0.0]
        assert figures(plan.group("main").power_kw) == [10.0, 0.0]

    def test_generation_makes_room(self) -> None:
        """5 kW from the roof make 15 of 10 kW for the car; the meter sees 10."""
        scenario = scenario_with(
            sessions=[make_session(energy_kwh=15)], generation_kw={"roof": (5, 0)}, import_limit_kw=10
        )

        plan = optimize(scenario, HOURLY)

        assert session_kw(plan) == [15.0, 0.0]
        assert figures(plan.group("main").power_kw) == [10.0, 0.0]

    def test_what_the_base_load_alone_exceeds_is_not_made_worse(self) -> None:
        """12 kW of building over a limit of 10: the car gets nothing then, all it needs later, and the plan stands."""
        scenario = scenario_with(
            sessions=[make_session(energy_kwh=5)], base_load_kw={"building": (12, 2)}, import_limit_kw=10
        )

        plan = optimize(scenario, HOURLY)

        assert plan.status is ScheduleStatus.OPTIMAL
        assert session_kw(plan) == [0.0, 5.0]

    def test_surplus_is_used_before_it_is_exported_where_that_pays(self) -> None:
        """6 kWh of sun earn 0.05 in the first hour; energy costs 0.20 there and 0.10 after. Used at once it costs
        0.05 a kWh: the car takes all 6 kWh, and the rest of its 10 kWh at 0.10.
        """
        tariff = make_tariff((0.20, 0.10), exports_per_kwh=(0.05, 0.05))
        scenario = scenario_with(sessions=[make_session(energy_kwh=10)], generation_kw={"roof": (6, 0)}, tariff=tariff)

        plan = optimize(scenario, HOURLY)

        assert session_kw(plan) == [6.0, 4.0]
        assert plan.energy_cost == pytest.approx(0.4)
        assert costs_of(plan).export_energy_kwh == pytest.approx(0.0, abs=1e-6)

    def test_surplus_is_exported_where_that_pays_more(self) -> None:
        """The same at 0.15 for the export: the sun is sold at 0.15 and the car charged at 0.10."""
        tariff = make_tariff((0.20, 0.10), exports_per_kwh=(0.15, 0.15))
        scenario = scenario_with(sessions=[make_session(energy_kwh=10)], generation_kw={"roof": (6, 0)}, tariff=tariff)

        plan = optimize(scenario, HOURLY)

        assert session_kw(plan) == [0.0, 10.0]
        assert costs_of(plan).export_revenue == pytest.approx(0.9)
        assert plan.energy_cost == pytest.approx(1.0 - 0.9)

    def test_the_export_limit_curtails_what_may_be_curtailed(self) -> None:
        """8 kW of sun, 3 may be fed in, the car takes 2: 3 kW are left unused."""
        scenario = scenario_with(
            sessions=[make_session(energy_kwh=2, departure=MORNING + HOUR)],
            generation_kw={"roof": (8,)},
            curtailable=True,
            export_limit_kw=3,
            tariff=make_tariff((0.2,), exports_per_kwh=(0.1,)),
        )

        plan = optimize(scenario, HOURLY)

        roof = asset(plan, "roof")
        assert figures(roof.power_kw) == [-5.0]
        assert roof.available_kw is not None
        assert figures(roof.available_kw) == [8.0]
        assert costs_of(plan).curtailed_energy_kwh == pytest.approx(3.0)
        assert figures(plan.group("main").power_kw) == [-3.0]

    @pytest.mark.parametrize("kind", [CapacityKind.GENERATION, CapacityKind.FALLBACK_GENERATION])
    def test_a_forecast_of_generation_limits_the_export(self, kind: CapacityKind) -> None:
        """4 kW may be fed in at first, then 1; where the forecast ends nothing may: a gap never means unlimited."""
        scenario = scenario_with(generation_kw={"roof": (8, 8, 8)}, curtailable=True, tariff=make_tariff((0.2,) * 3))
        site = replace(scenario.site, groups=(CapacityGroup(group_id="main", limit_counts=LimitCounts.TOTAL),))
        scenario = make_scenario(
            site=site,
            sessions=[],
            tariff=scenario.tariff,
            generation_kw=scenario.generation_kw,
            forecasts=[make_forecast((4, 1), kind=kind)],
        )

        plan = optimize(scenario, replace(TWO_HOURS, end=MORNING + 3 * HOUR))

        assert figures(plan.group("main").power_kw) == [-4.0, -1.0, 0.0]

    def test_a_negative_price_curtails(self) -> None:
        """At -0.10 a kWh is drawn rather than generated: the sun stands still in the first hour."""
        scenario = scenario_with(
            generation_kw={"roof": (5, 5)},
            base_load_kw={"building": (5, 5)},
            curtailable=True,
            tariff=make_tariff((-0.1, 0.3)),
        )

        plan = optimize(scenario, TWO_HOURS)

        assert figures(asset(plan, "roof").power_kw) == [0.0, -5.0]
        assert plan.energy_cost == pytest.approx(-0.5)

    def test_importing_and_exporting_at_once_never_pays(self) -> None:
        """The export earns more than the import costs: only the net counts, so that 5 kW of sun are sold, no more."""
        tariff = make_tariff((0.1, 0.1), exports_per_kwh=(0.5, 0.5))
        scenario = scenario_with(
            sessions=[make_session(energy_kwh=4)],
            generation_kw={"roof": (5, 5)},
            tariff=tariff,
            import_limit_kw=100,
        )

        plan = optimize(scenario, HOURLY)

        assert plan.status is ScheduleStatus.OPTIMAL
        assert plan.energy_cost == pytest.approx(-0.5 * 6)
        assert plan.stages[1].value == pytest.approx(-3.0)

    def test_each_root_has_a_meter_of_its_own(self) -> None:
        """Sun behind one meter does not serve the car behind another: 5 kWh are drawn at 0.20 and 5 sold at 0.05."""
        site = make_site(
            groups=[CapacityGroup(group_id="cars"), CapacityGroup(group_id="roofs")],
            chargers=[make_charger(group_id="cars")],
            generators=[Generator(asset_id="roof", group_id="roofs")],
        )
        scenario = make_scenario(
            site=site,
            sessions=[make_session(energy_kwh=5, departure=MORNING + HOUR)],
            tariff=make_tariff((0.2,), exports_per_kwh=(0.05,)),
            generation_kw={"roof": make_series((5,))},
        )

        plan = optimize(scenario, HOURLY)

        assert plan.energy_cost == pytest.approx(5 * 0.2 - 5 * 0.05)

    def test_a_phase_loses_a_load_of_unknown_phase_and_gains_nothing(self) -> None:
        """A limit of 10 kW on one phase: 6 kW of load on an unknown phase leave 4, 6 kW of sun leave 10."""
        forecasts = [make_forecast((10,), phase=Phase.ONE)]
        site = make_site(
            groups=[CapacityGroup(group_id="main", limit_counts=LimitCounts.TOTAL)],
            chargers=[make_charger(phases=Phase.ONE)],
            base_loads=[BaseLoad(asset_id="fixed", group_id="main")],
        )
        session = make_session(energy_kwh=20, departure=MORNING + HOUR)

        def most_kwh(load_kw: float) -> float:
            scenario = make_scenario(
                site=site,
                sessions=[session],
                forecasts=forecasts,
                base_load_kw={"fixed": make_series((load_kw,))},
            )
            return optimize(scenario, HOURLY).delivered_energy_kwh

        assert [most_kwh(6.0), most_kwh(-6.0)] == pytest.approx([4.0, 10.0])

    def test_heuristics_count_the_base_load_and_use_the_sun(self) -> None:
        """Of 10 kW a building takes 8, the roof gives 3: the car gets 5 at once and all its 5 kWh."""
        scenario = scenario_with(
            sessions=[make_session(energy_kwh=5)],
            base_load_kw={"building": (8, 8)},
            generation_kw={"roof": (3, 3)},
            curtailable=True,
            import_limit_kw=10,
            storages=[make_storage()],
        )

        plan = optimize(scenario, replace(HOURLY, strategy=Strategy.LEAST_LAXITY))

        assert session_kw(plan) == [5.0, 0.0]
        assert figures(asset(plan, "roof").power_kw) == [-3.0, -3.0]
        assert figures(asset(plan, "battery").power_kw) == [0.0, 0.0]

    def test_heuristics_curtail_what_may_not_be_fed_in(self) -> None:
        """8 kW of sun, 3 may be fed in: 5 are left unused though a car might take some of it."""
        scenario = scenario_with(
            sessions=[make_session(energy_kwh=2, departure=MORNING + HOUR)],
            generation_kw={"roof": (8,)},
            curtailable=True,
            export_limit_kw=3,
        )

        plan = optimize(scenario, replace(HOURLY, strategy=Strategy.EARLIEST_DEADLINE))

        assert figures(asset(plan, "roof").power_kw) == [-3.0]

    def test_a_gap_in_a_forecast_is_refused(self) -> None:
        """Generation known for one of two hours: the message names the asset and the gap."""
        scenario = scenario_with(sessions=[make_session()], generation_kw={"roof": (5,)})

        with pytest.raises(InputError, match=r"generation of 'roof': nothing is said from .* to"):
            optimize(scenario, HOURLY)
