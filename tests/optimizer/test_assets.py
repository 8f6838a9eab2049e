"""Base load, generation, storage, vehicles that feed in, charge curves, peaks and carbon: cases worked out by hand.

Unless a test says otherwise: two hours in steps of an hour, one group, prices 0.20 and 0.30 per kWh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from models.domain.asset import BaseLoad, ChargeCurve, Generator, Storage
from models.domain.capacity import CapacityKind, Phase
from models.domain.demand import DailyWindow, DemandCharge
from models.domain.group import CapacityGroup, LimitCounts, Site
from models.domain.scenario import Scenario
from models.domain.schedule import AssetResult, Costs, Schedule, ScheduleStatus
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff
from models.errors import InputError, VerificationError
from models.oscp.v20 import to_optimum_messages
from optimizer.engine import optimize
from optimizer.formulation import formulate
from optimizer.objective import applicable_stages, merge_weight
from optimizer.options import (
    COST_OBJECTIVE,
    PEAK_OBJECTIVE,
    Backend,
    LimitMode,
    OptimizeOptions,
    SolverOptions,
    Strategy,
)
from optimizer.prepare import prepare
from optimizer.verify import verify
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
    make_vehicle,
)

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


class TestStorage:
    """A battery moves energy to where it is worth more."""

    def test_it_buys_cheap_and_uses_dear(self) -> None:
        """Half full, 5 kW, 10 kWh: it takes 5 kWh at 0.20 and gives them back to a building at 0.30."""
        scenario = scenario_with(storages=[make_storage()], base_load_kw={"building": (6, 6)})

        plan = optimize(scenario, TWO_HOURS)

        battery = asset(plan, "battery")
        assert figures(battery.power_kw) == [5.0, -5.0]
        assert battery.stored_kwh is not None
        assert figures(battery.stored_kwh) == [10.0, 5.0]
        assert plan.energy_cost == pytest.approx(0.2 * 11 + 0.3 * 1)

    @pytest.mark.parametrize("ranks", [(0, 0), (0, 1), (2, 5)])
    def test_it_is_filled_whatever_classes_sessions_have(self, ranks: tuple[int, int]) -> None:
        """5 kWh are wanted in an empty battery by the end: they are bought, though nobody would get less without."""
        scenario = scenario_with(
            storages=[make_storage(energy_kwh=0.0, final_energy_kwh=5.0)],
            sessions=[
                replace(make_session(f"S{one}", charger_id="C1", energy_kwh=1.0), priority_class=rank)
                for one, rank in enumerate(ranks)
            ],
        )

        plan = optimize(scenario, TWO_HOURS)

        assert asset(plan, "battery").short_kwh == pytest.approx(0.0, abs=1e-6)

    def test_losses_count(self) -> None:
        """With 0.9 each way 5 kWh give back 4.05: at 0.20 and 0.30 that saves 0.215; at 0.25 and 0.30 it would lose."""
        pays = scenario_with(storages=[make_storage(efficiency=0.9)], base_load_kw={"building": (6, 6)})
        loses = replace(pays, tariff=make_tariff((0.25, 0.30)))

        plan, idle = optimize(pays, TWO_HOURS), optimize(loses, TWO_HOURS)

        assert figures(asset(plan, "battery").power_kw) == [5.0, -4.05]
        assert plan.energy_cost == pytest.approx(0.2 * 6 + 0.3 * 6 - (0.3 * 4.05 - 0.2 * 5))
        assert figures(asset(idle, "battery").power_kw) == [0.0, 0.0]

    def test_wear_counts(self) -> None:
        """A spread of 0.10 does not pay for 0.12 of wear; with 0.04 it does, and the wear is told."""
        cheap = scenario_with(storages=[make_storage(wear_price_per_kwh=0.04)], base_load_kw={"building": (6, 6)})
        dear = scenario_with(storages=[make_storage(wear_price_per_kwh=0.12)], base_load_kw={"building": (6, 6)})

        plan, idle = optimize(cheap, TWO_HOURS), optimize(dear, TWO_HOURS)

        assert costs_of(plan).wear_cost == pytest.approx(0.2)
        assert plan.total_cost == pytest.approx(0.2 * 11 + 0.3 * 1 + 0.2)
        assert figures(asset(idle, "battery").power_kw) == [0.0, 0.0]

    def test_it_is_left_as_full_as_it_was(self) -> None:
        """At one flat price nothing is gained: it stands still instead of being emptied into the building."""
        scenario = scenario_with(
            storages=[make_storage()], base_load_kw={"building": (6, 6)}, tariff=make_tariff((0.3, 0.3))
        )

        assert figures(asset(optimize(scenario, TWO_HOURS), "battery").power_kw) == [0.0, 0.0]

    def test_it_may_be_emptied_where_told_so(self) -> None:
        """With nothing wanted at the end its 5 kWh go into the dear hour, down to the 1 kWh that has to stay."""
        storage = make_storage(final_energy_kwh=1, min_energy_kwh=1)
        scenario = scenario_with(storages=[storage], base_load_kw={"building": (6, 6)}, tariff=make_tariff((0.3, 0.4)))

        plan = optimize(scenario, TWO_HOURS)

        stored_kwh = asset(plan, "battery").stored_kwh
        assert stored_kwh is not None
        assert figures(stored_kwh) == [6.0, 1.0] or figures(stored_kwh)[1] == 1.0
        assert plan.energy_cost == pytest.approx(0.3 * 6 + 0.4 * 6 - (0.4 * 5 - 0.3 * 1))

    def test_it_is_filled_as_far_as_it_can_be(self) -> None:
        """Wanted: 10 kWh at the end, from 5, behind a limit of 2 kW: 9 after two hours, and 1 is missing."""
        storage = make_storage(final_energy_kwh=10)
        scenario = scenario_with(storages=[storage], import_limit_kw=2, counts=LimitCounts.FLEXIBLE)

        plan = optimize(scenario, TWO_HOURS)

        battery = asset(plan, "battery")
        assert battery.stored_kwh is not None
        assert figures(battery.stored_kwh)[-1] == 9.0
        assert battery.short_kwh == pytest.approx(1.0)

    def test_it_helps_a_session_over_a_limit(self) -> None:
        """8 kWh in the first hour behind 4 kW: the battery gives 4 and takes them back in the second hour."""
        session = make_session(energy_kwh=8, departure=MORNING + HOUR)
        scenario = scenario_with(
            sessions=[session], storages=[make_storage()], import_limit_kw=4, counts=LimitCounts.FLEXIBLE
        )

        plan = optimize(scenario, TWO_HOURS)

        assert plan.unmet_energy_kwh == pytest.approx(0.0, abs=1e-6)
        assert figures(asset(plan, "battery").power_kw) == [-4.0, 4.0]

    @pytest.mark.parametrize("backend", Backend)
    def test_it_never_turns_energy_into_heat_for_money(self, backend: Backend) -> None:
        """At -1 per kWh losing energy would earn: drawing 10 kWh and feeding back 2.5 at once, hour after hour, 7.5 kWh
        are gone each time. It charges or it does not: half full, half of what it draws arrives, it takes 10 kWh once.
        """
        scenario = scenario_with(
            storages=[make_storage(efficiency=0.5, power_kw=10)],
            base_load_kw={"building": (20, 20)},
            tariff=make_tariff((-1.0, -1.0)),
        )
        options = replace(TWO_HOURS, solver=SolverOptions(backend=backend))

        plan = optimize(scenario, options)

        assert plan.status is ScheduleStatus.OPTIMAL
        assert sorted(figures(asset(plan, "battery").power_kw)) == [0.0, 10.0]
        assert plan.energy_cost == pytest.approx(-50.0)

    def test_whole_numbers_are_used_only_where_burning_pays(self) -> None:
        """No binary at positive prices, none for a battery without losses; one for each step with a negative price."""

        def switches(efficiency: float, prices: tuple[float, float]) -> int:
            scenario = scenario_with(
                storages=[make_storage(efficiency=efficiency)],
                base_load_kw={"building": (6, 6)},
                tariff=make_tariff(prices),
            )
            problem = prepare(scenario, TWO_HOURS)
            program = formulate(problem, applicable_stages(problem, COST_OBJECTIVE))
            return int(program.is_integer.sum())

        assert switches(0.9, (0.2, 0.3)) == 0
        assert switches(1.0, (-0.2, 0.3)) == 0
        assert switches(0.9, (-0.2, 0.3)) == 1

    def test_the_peak_is_shaved(self) -> None:
        """A building of 2 and 8 kW: with 3 kWh moved the meter sees 5 and 5."""
        scenario = scenario_with(storages=[make_storage()], base_load_kw={"building": (2, 8)})

        plan = optimize(scenario, replace(TWO_HOURS, objective=PEAK_OBJECTIVE))

        assert plan.peak_import_kw == pytest.approx(5.0)

    def test_an_optimum_tells_what_flexible_assets_draw(self) -> None:
        """Sessions and storages count, base load does not, and feeding in is told as zero."""
        scenario = scenario_with(
            sessions=[make_session(energy_kwh=3, departure=MORNING + HOUR)],
            storages=[make_storage()],
            base_load_kw={"building": (6, 6)},
            forecasts=make_scenario(forecasts=[make_forecast((20, 20))]).forecasts,
        )

        plan = optimize(scenario, TWO_HOURS)
        (message,) = to_optimum_messages(plan, scenario.site, scenario.forecasts, window=None)

        assert [block.capacity for block in message.forecasted_blocks] == [8.0, 0.0]


class TestVehicleToGrid:
    """A car that feeds in leaves with what it asked for."""

    def test_it_lends_energy_in_the_dear_hour(self) -> None:
        """Half full, 5 kW, asks for nothing: at 0.40 then 0.10 it feeds 5 kWh into a building and takes them back."""
        scenario = scenario_with(
            sessions=[make_vehicle(discharge_power_kw=5)],
            base_load_kw={"building": (6, 6)},
            tariff=make_tariff((0.4, 0.1)),
        )

        plan = optimize(scenario, HOURLY)

        assert session_kw(plan) == [-5.0, 5.0]
        stored_kwh = asset(plan, "S1").stored_kwh
        assert stored_kwh is not None
        assert figures(stored_kwh) == [15.0, 20.0]
        assert plan.energy_cost == pytest.approx(0.4 * 1 + 0.1 * 11)
        assert plan.sessions[0].delivered_energy_kwh == pytest.approx(0.0)

    def test_losses_are_drawn_again(self) -> None:
        """With 0.9 each way 4.05 kWh fed in cost 5 drawn: what it asked for, 2 kWh at the plug, comes on top."""
        scenario = scenario_with(
            sessions=[make_vehicle(energy_kwh=2, discharge_power_kw=4.05, efficiency=0.9)],
            base_load_kw={"building": (6, 6)},
            tariff=make_tariff((0.4, 0.1)),
        )

        plan = optimize(scenario, HOURLY)

        assert session_kw(plan) == [-4.05, 7.0]
        assert plan.sessions[0].delivered_energy_kwh == pytest.approx(2.0)
        stored_kwh = asset(plan, "S1").stored_kwh
        assert stored_kwh is not None
        assert figures(stored_kwh) == [15.5, 21.8]

    def test_it_stays_above_its_least_state(self) -> None:
        """No deeper than 45 % of 40 kWh: of 20 kWh only 2 are lent."""
        scenario = scenario_with(
            sessions=[make_vehicle(discharge_power_kw=5, min_soc=0.45)],
            base_load_kw={"building": (6, 6)},
            tariff=make_tariff((0.4, 0.1)),
        )

        assert session_kw(optimize(scenario, HOURLY)) == [-2.0, 2.0]

    def test_it_feeds_in_no_more_than_may_be(self) -> None:
        """No building: 3 kW may be fed in at 0.40; 3 kWh are sold and bought back at 0.10."""
        scenario = scenario_with(
            sessions=[make_vehicle(discharge_power_kw=5)],
            tariff=make_tariff((0.4, 0.1), exports_per_kwh=(0.4, 0.1)),
            export_limit_kw=3,
            counts=LimitCounts.FLEXIBLE,
        )

        plan = optimize(scenario, HOURLY)

        assert session_kw(plan) == [-3.0, 3.0]
        assert plan.energy_cost == pytest.approx(-0.9)

    def test_wear_is_paid(self) -> None:
        """A spread of 0.30 with 0.40 of wear: the car is left alone."""
        scenario = scenario_with(
            sessions=[make_vehicle(discharge_power_kw=5, wear_price_per_kwh=0.4)],
            base_load_kw={"building": (6, 6)},
            tariff=make_tariff((0.4, 0.1)),
        )

        assert session_kw(optimize(scenario, HOURLY)) == [0.0, 0.0]

    def test_one_car_serves_another(self) -> None:
        """Behind 4 kW one car needs 9 kWh in the first hour: the other lends 4 and takes them back in the second."""
        site = make_site(
            groups=[CapacityGroup(group_id="main", import_limit_kw=4)], chargers=[make_charger(), make_charger("C2")]
        )
        lender = make_vehicle("lender", discharge_power_kw=4)
        hasty = make_session("hasty", charger_id="C2", energy_kwh=9, departure=MORNING + HOUR)
        scenario = make_scenario(site=site, sessions=[lender, hasty])

        plan = optimize(scenario, replace(HOURLY, end=MORNING + 2 * HOUR))

        assert [result.unmet_energy_kwh for result in plan.sessions] == pytest.approx([1.0, 0.0])
        assert session_kw(plan) == [4.0, 4.0]

    def test_where_every_moment_counts_a_short_stay_makes_no_room(self) -> None:
        """The lender is there for half of the hour: its power never makes room for one who stays the whole hour."""
        site = make_site(
            groups=[CapacityGroup(group_id="main", import_limit_kw=4)], chargers=[make_charger(), make_charger("C2")]
        )
        lender = replace(make_vehicle("lender", discharge_power_kw=5, energy_kwh=0), departure=MORNING + HOUR / 2)
        stayer = make_session("stayer", charger_id="C2", energy_kwh=9, departure=MORNING + HOUR)
        scenario = make_scenario(site=site, sessions=[lender, stayer])

        plan = optimize(scenario, replace(HOURLY, limit_mode=LimitMode.INSTANTANEOUS))

        assert [result.delivered_energy_kwh for result in plan.sessions] == pytest.approx([0.0, 4.0])

    def test_the_plan_in_force_is_kept(self) -> None:
        """At a flat price lending gains nothing, but the plan in force lends: it is kept, row by row."""
        scenario = scenario_with(
            sessions=[make_vehicle(discharge_power_kw=5)],
            base_load_kw={"building": (6, 6)},
            tariff=make_tariff((0.4, 0.1)),
        )
        before = optimize(scenario, HOURLY)

        again = optimize(replace(scenario, tariff=make_tariff((0.2, 0.2)), previous=before), HOURLY)

        assert session_kw(again) == session_kw(before)


class TestChargeCurve:
    """Power falls as the battery fills."""

    CURVE = ChargeCurve(curve_id="car", points=((0.5, 20.0), (1.0, 0.0)))
    """20 kW up to half full, then falling to nothing: 40 * (1 - soc) kW."""

    def scenario(self, **vehicle: float) -> Scenario:
        """One car of 40 kWh with the curve."""
        site = make_site(charge_curves=[self.CURVE])
        return make_scenario(site=site, sessions=[make_vehicle(charge_curve_id="car", **vehicle)])  # type: ignore[arg-type]

    def test_the_power_is_that_of_the_state_at_the_end_of_a_step(self) -> None:
        """From 20 of 40 kWh: in an hour e with e <= 40 (1 - (20 + e) / 40) = 20 - e: 10 kWh; then 10 - e: 5 kWh."""
        plan = optimize(self.scenario(energy_kwh=20), HOURLY)

        assert session_kw(plan) == [10.0, 5.0]
        assert plan.unmet_energy_kwh == pytest.approx(0.0, abs=1e-6)
        assert plan.unreachable_energy_kwh == pytest.approx(5.0)

    def test_losses_slow_the_filling(self) -> None:
        """With 0.5 in the battery of each kWh: e <= 40 (1 - (20 + e / 2) / 40) = 20 - e / 2: 13.333 kWh."""
        plan = optimize(self.scenario(energy_kwh=40, efficiency=0.5), HOURLY)

        assert session_kw(plan)[0] == pytest.approx(40 / 3, abs=1e-5)

    def test_below_the_first_point_the_power_is_flat(self) -> None:
        """From empty 20 kW in the first hour, to 20 kWh; 10 kW in the second."""
        plan = optimize(self.scenario(energy_kwh=40, arrival_soc=0.0), HOURLY)

        assert session_kw(plan) == [20.0, 10.0]

    @pytest.mark.parametrize("strategy", [s for s in Strategy if s is not Strategy.OPTIMAL])
    def test_heuristics_hold_it(self, strategy: Strategy) -> None:
        """No strategy charges faster than the battery takes."""
        plan = optimize(self.scenario(energy_kwh=20), replace(HOURLY, strategy=strategy))

        assert session_kw(plan) == [10.0, 5.0]

    @pytest.mark.parametrize(
        ("points", "message"),
        [
            ((), "no points"),
            (((0.0, 10.0), (0.9, 1.0)), "end at 1"),
            (((0.5, 10.0), (0.5, 9.0), (1.0, 1.0)), "must increase"),
            (((0.0, 10.0), (1.0, 11.0)), "rises"),
            (((0.0, 10.0), (0.5, 2.0), (1.0, 1.0)), "ever faster"),
            (((0.0, -1.0), (1.0, 0.0)), "between 0 and"),
        ],
        ids=["none", "short", "twice", "rising", "convex", "negative"],
    )
    def test_what_is_no_curve_is_refused(self, points: tuple[tuple[float, float], ...], message: str) -> None:
        """The message names the curve and what is wrong with it."""
        with pytest.raises(InputError, match=f"'bad'.*{message}"):
            ChargeCurve(curve_id="bad", points=points)


class TestDemandCharge:
    """The peak of a month is paid for, as far as it is not yet reached."""

    def charged(self, charge: DemandCharge, *, energy_kwh: float = 10.0) -> Schedule:
        """A plan under one charge, of one session, at 0.20 and 0.30."""
        scenario = make_scenario(sessions=[make_session(energy_kwh=energy_kwh)], tariff=make_tariff())
        return optimize(replace(scenario, demand_charges=(charge,)), HOURLY)

    def test_a_high_price_flattens(self) -> None:
        """At 10 per kW the spread of 0.10 per kWh counts for nothing: 5 and 5 kW, 50 for the peak."""
        plan = self.charged(DemandCharge(charge_id="peak", price_per_kw=10.0))

        assert session_kw(plan) == [5.0, 5.0]
        assert costs_of(plan).demand_cost == pytest.approx(50.0)
        assert plan.total_cost == pytest.approx(0.2 * 5 + 0.3 * 5 + 50.0)

    def test_a_low_price_does_not(self) -> None:
        """A kW more saves 0.10 by moving a kWh and costs 0.05: all 10 kWh come in the cheap hour."""
        plan = self.charged(DemandCharge(charge_id="peak", price_per_kw=0.05))

        assert session_kw(plan) == [10.0, 0.0]

    def test_what_is_already_reached_is_free(self) -> None:
        """8 kW are paid for anyhow: 8 and 2 kW, and nothing more to pay."""
        plan = self.charged(DemandCharge(charge_id="peak", price_per_kw=10.0, peak_so_far_kw=8.0))

        assert session_kw(plan) == [8.0, 2.0]
        assert costs_of(plan).demand_cost == 0.0

    def test_only_its_window_counts(self) -> None:
        """Local time is an hour ahead of UTC: from 09:00 to 10:00 a kW costs 10, after that nothing."""
        window = DailyWindow(start_minute=9 * 60, end_minute=10 * 60)

        plan = self.charged(DemandCharge(charge_id="peak", price_per_kw=10.0, windows=(window,)))

        assert session_kw(plan) == [0.0, 10.0]
        assert costs_of(plan).demand_cost == pytest.approx(0.0)

    def test_a_new_month_begins_at_nothing(self) -> None:
        """The night to the first of April: 8 kW reached in March are of no help in April."""
        start = MORNING.replace(month=3, day=31, hour=21)
        session = make_session(energy_kwh=10, arrival=start)
        charge = DemandCharge(charge_id="peak", price_per_kw=10.0, peak_so_far_kw=8.0)
        scenario = make_scenario(sessions=[session], tariff=make_tariff((0.3, 0.2), start=start))

        plan = optimize(replace(scenario, demand_charges=(charge,)), HOURLY)

        assert session_kw(plan) == [8.0, 2.0]
        assert costs_of(plan).demand_cost == pytest.approx(20.0)

    def test_the_base_load_counts(self) -> None:
        """A building of 4 and 0 kW and a car of 6 kWh: the meter sees 5 and 5."""
        scenario = scenario_with(sessions=[make_session(energy_kwh=6)], base_load_kw={"building": (4, 0)})
        charge = DemandCharge(charge_id="peak", price_per_kw=10.0)

        plan = optimize(replace(scenario, demand_charges=(charge,)), HOURLY)

        assert plan.peak_import_kw == pytest.approx(5.0)

    def test_service_comes_first(self) -> None:
        """However dear the peak, the energy is served."""
        plan = self.charged(DemandCharge(charge_id="peak", price_per_kw=1e5), energy_kwh=40.0)

        assert plan.unmet_energy_kwh == pytest.approx(0.0, abs=1e-6)


class TestCarbon:
    """A price on carbon dioxide moves energy to the clean hour; the kilograms are told either way."""

    def scenario(self, price_per_kg: float) -> Scenario:
        """0.20 and 0.30 per kWh, 0.5 and 0.1 kg per kWh."""
        scenario = make_scenario(site=make_site(carbon_price_per_kg=price_per_kg), tariff=make_tariff())
        return replace(scenario, carbon_kg_per_kwh=make_series((0.5, 0.1)))

    def test_without_a_price_it_is_told_only(self) -> None:
        """10 kWh in the cheap hour: 5 kg that cost nothing."""
        plan = optimize(self.scenario(0.0), HOURLY)

        assert session_kw(plan) == [10.0, 0.0]
        assert (costs_of(plan).carbon_kg, costs_of(plan).carbon_cost) == pytest.approx((5.0, 0.0))

    def test_a_price_moves_energy(self) -> None:
        """At 0.50 per kg the hours count 0.45 and 0.35: 10 kWh in the second, 1 kg, 0.50; energy is told apart."""
        plan = optimize(self.scenario(0.5), HOURLY)

        assert session_kw(plan) == [0.0, 10.0]
        assert costs_of(plan).carbon_kg == pytest.approx(1.0)
        assert plan.energy_cost == pytest.approx(3.0)
        assert plan.total_cost == pytest.approx(3.5)

    def test_it_works_without_prices_of_energy(self) -> None:
        """Carbon alone decides where energy has no price."""
        plan = optimize(replace(self.scenario(0.5), tariff=None), HOURLY)

        assert session_kw(plan) == [0.0, 10.0]


class TestVerification:
    """A plan that does what it cannot is refused, whoever made it."""

    def plan(self) -> tuple[Scenario, Schedule]:
        """A scenario with everything, and its plan."""
        scenario = scenario_with(
            sessions=[make_vehicle(energy_kwh=2, discharge_power_kw=4, efficiency=0.9)],
            storages=[make_storage(efficiency=0.9)],
            base_load_kw={"building": (6, 6)},
            generation_kw={"roof": (4, 1)},
            curtailable=True,
            import_limit_kw=30,
            export_limit_kw=10,
        )
        return scenario, optimize(scenario, HOURLY)

    def broken(self, broken_id: str, **changes: object) -> None:
        """Verify the plan with one asset's result changed."""
        scenario, plan = self.plan()
        assets = tuple(
            replace(result, **changes) if result.asset_id == broken_id else result  # type: ignore[arg-type]
            for result in plan.assets
        )
        verify(scenario, replace(plan, assets=assets), limit_mode=LimitMode.MEAN)

    def test_the_plan_itself_holds(self) -> None:
        """What the engine gave passes, which the tests below rest on."""
        scenario, plan = self.plan()

        verify(scenario, plan, limit_mode=LimitMode.MEAN)

    @pytest.mark.parametrize(
        ("asset_id", "changes", "message"),
        [
            ("battery", {"power_kw": np.array([6.0, 0.0])}, "'battery': planned between"),
            ("battery", {"power_kw": np.array([-5.0, -5.0])}, "'battery': emptied to"),
            ("battery", {"power_kw": np.array([5.0, 5.0])}, "'battery': filled to"),
            ("battery", {"power_kw": np.array([0.0, -1.0])}, "'battery': left with"),
            ("roof", {"power_kw": np.array([-9.0, -1.0])}, "'roof': planned to give what it does not have"),
            ("roof", {"power_kw": np.array([1.0, -1.0])}, "'roof': planned to give what it does not have"),
            ("battery", {"stored_kwh": np.array([1.0, 1.0])}, "state of storage 'battery'"),
            ("building", {"power_kw": np.array([5.0, 6.0])}, "power of 'building'"),
            ("building", {"asset_id": "shed"}, "'shed' is not one"),
        ],
        ids=["power", "empty", "full", "end", "sun", "drawing", "state", "load", "unknown"],
    )
    def test_what_an_asset_cannot_do_is_refused(self, asset_id: str, changes: dict[str, object], message: str) -> None:
        """The message names the asset and what it cannot."""
        with pytest.raises(VerificationError, match=message):
            self.broken(asset_id, **changes)

    def test_a_wrong_cost_is_refused(self) -> None:
        """Wear, peaks, revenue and carbon are recomputed like the cost of energy."""
        scenario, plan = self.plan()
        wrong = replace(plan, costs=replace(costs_of(plan), export_revenue=costs_of(plan).export_revenue + 1.0))

        with pytest.raises(VerificationError, match="export revenue"):
            verify(scenario, wrong, limit_mode=LimitMode.MEAN)

    def test_a_vehicle_emptied_too_far_is_refused(self) -> None:
        """The rows of a car are followed in order of time from its arrival."""
        scenario, plan = self.plan()
        hollow = replace(scenario.sessions[0], arrival_soc=0.05, min_soc=0.05)
        sessions = tuple(replace(result, session=hollow) for result in plan.sessions)
        feeding = replace(plan, sessions=sessions, power_kw=np.array([-4.0, 4.0 / 0.81 + 2.0]))

        with pytest.raises(VerificationError, match="'S1': emptied to"):
            verify(replace(scenario, sessions=(hollow,)), feeding, limit_mode=LimitMode.MEAN)


class TestNothingBeside:
    """A site without any of it is planned by the same program as ever."""

    def test_the_program_has_no_trace_of_it(self) -> None:
        """Variables and families are those of plain charging, and two stages are solved as one."""
        problem = prepare(make_scenario(tariff=make_tariff(exports_per_kwh=(0.1, 0.1))), HOURLY)
        stages = applicable_stages(problem, COST_OBJECTIVE)
        program = formulate(problem, stages)

        assert problem.assets is None
        assert list(program.columns) == ["energy_kwh", "unmet_kwh"]
        assert list(program.rows) == ["energy_balance", "capacity_limit"]
        assert merge_weight(problem, stages) is not None

    def test_stages_are_merged_only_where_that_is_proved(self) -> None:
        """Base load and generation leave the program a flow; a battery, a charged peak and a switch do not."""

        def merged(scenario: Scenario) -> bool:
            problem = prepare(scenario, TWO_HOURS)
            return merge_weight(problem, applicable_stages(problem, COST_OBJECTIVE)) is not None

        sessions = [make_session()]
        plain = scenario_with(sessions=sessions, base_load_kw={"building": (6, 6)}, generation_kw={"roof": (9, 9)})
        switch = replace(plain, tariff=make_tariff((0.1, 0.1), exports_per_kwh=(0.5, 0.5)))
        charged = replace(plain, demand_charges=(DemandCharge(charge_id="peak", price_per_kw=1.0),))

        assert merged(plain)
        assert not merged(switch)
        assert not merged(charged)
        assert not merged(scenario_with(sessions=sessions, storages=[make_storage()]))


def test_a_site_names_each_asset_once() -> None:
    """Two assets of one id, an asset on no group, and a session with an unknown curve are refused by name."""
    with pytest.raises(InputError, match="asset 'battery' is listed twice"):
        make_site(storages=[make_storage(), make_storage()])
    with pytest.raises(InputError, match="'battery' hangs on the unknown group 'nowhere'"):
        make_site(storages=[make_storage(group_id="nowhere")])
    with pytest.raises(InputError, match="charge curve 'car' is not part"):
        make_scenario(sessions=[make_vehicle(charge_curve_id="car")])
    with pytest.raises(InputError, match="generator 'roof' has no forecast"):
        make_scenario(site=make_site(generators=[Generator(asset_id="roof", group_id="main")]))
    site: Site = make_site()
    with pytest.raises(InputError, match="'roof', which is no generator"):
        make_scenario(site=site, generation_kw={"roof": make_series((1,))})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy_kwh": 11.0}, "energy_kwh is 11.0; it must be between 0 and 10"),
        ({"min_energy_kwh": 6.0}, "energy_kwh is 5.0; it must be between 6 and 10"),
        ({"final_energy_kwh": 12.0}, "final_energy_kwh is 12.0"),
        ({"efficiency": 0.0}, "charge_efficiency is 0.0"),
        ({"efficiency": 1.1}, "charge_efficiency is 1.1"),
        ({"power_kw": -1.0}, "max_charge_kw is -1.0"),
        ({"wear_price_per_kwh": -0.1}, "wear_price_per_kwh is -0.1"),
        ({"max_energy_kwh": float("nan")}, "max_energy_kwh is nan"),
    ],
    ids=["overfull", "too empty", "wanted", "no efficiency", "above one", "power", "wear", "nan"],
)
def test_a_storage_that_cannot_be_is_refused(changes: dict[str, float], message: str) -> None:
    """The message names the storage, the field, the value and the bounds."""
    with pytest.raises(InputError, match=f"storage 'battery': {message}"):
        make_storage(**changes)  # type: ignore[arg-type]
