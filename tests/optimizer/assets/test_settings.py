"""Powers that chargers can be set to, where a building, the sun and a battery are on the same connection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from models.domain.asset import BaseLoad, ChargeCurve, Generator, Storage
from models.domain.group import CapacityGroup, Charger, LimitCounts
from models.domain.scenario import Scenario
from models.domain.schedule import ScheduleStatus
from optimizer.engine import optimize
from optimizer.options import LimitMode, PilotMode, Strategy
from tests.builders import (
    HOUR,
    MORNING,
    make_scenario,
    make_series,
    make_session,
    make_site,
    make_storage,
    make_tariff,
    make_vehicle,
)
from tests.optimizer.test_pilots import HOURLY, MODES, charger, rows


class TestBesideAssets:
    """Least powers and levels where a building, the sun and a battery are on the same connection."""

    def test_a_charger_is_off_where_its_least_power_has_no_room(self) -> None:
        """10 kW for a building of 8, then of 2 kW: 2 kW are too few for a charger that needs 4, then it takes all 8.

        Of any powers it would take 2 kW and 8 kW, and get all its 10 kWh.
        """
        scenario = _beside_building(load_kw=(8.0, 2.0), used=charger(minimum_kw=4.0))
        free = optimize(scenario, replace(HOURLY, pilots=PilotMode.CONTINUOUS))

        for mode in (PilotMode.ROUNDED, PilotMode.EXACT):
            plan = optimize(scenario, replace(HOURLY, pilots=mode))

            assert plan.step_index.tolist() == [1]
            assert plan.power_kw == pytest.approx([8.0])
        assert free.power_kw == pytest.approx([2.0, 8.0])

    def test_a_battery_adapts_to_what_a_charger_is_set_to(self) -> None:
        """Levels of 6 and 12 kW beside a building of 4 kW, 10 kW in all, and a battery that is to be as full as before.

        The car, 12 kWh, gets 6 kW in each hour. Had it any power, the battery would help it while that is cheap.
        """
        scenario = _beside_building(
            load_kw=(4.0, 4.0), used=charger(levels_kw=(6.0, 12.0)), energy_kwh=12.0, storage=make_storage()
        )
        plan = optimize(scenario, HOURLY)

        assert plan.power_kw.tolist() == [6.0, 6.0]
        battery = next(asset for asset in plan.assets if asset.asset_id == "battery")
        assert battery.power_kw == pytest.approx([0.0, 0.0], abs=1e-6)
        assert plan.group("main").power_kw == pytest.approx([10.0, 10.0], abs=1e-6)

    @pytest.mark.parametrize("mode", MODES)
    def test_a_row_that_ends_early_makes_no_room_where_every_moment_counts(self, mode: PilotMode) -> None:
        """Levels of 3 and 6 kW. Energy is free in the first hour and sold at 0.05 in the second, with 4 kW of sun then.

        Of any powers a car takes its 5 kWh in the first hour, and a battery the other 5 of 10 kW. The car gets 3 kW for
        the hour and for 40 minutes more: 7 kW are left for the battery. It sells no more than 5 kWh: 9 kW may be fed
        in, and in the last 20 minutes the car takes nothing off the sun's 4. What is sold is 4 + 5 - 2 kWh.
        """
        storage = make_storage(power_kw=8.0, energy_kwh=2.0, min_energy_kwh=2.0)
        scenario = _with_sun_to_sell(levels_kw=(3.0, 6.0), storage=storage, prices=(0.0, 0.1))
        plan = optimize(scenario, replace(HOURLY, pilots=mode, limit_mode=LimitMode.INSTANTANEOUS))

        assert plan.strategy == Strategy.OPTIMAL
        assert plan.power_kw.tolist() == pytest.approx([3.0, 3.0])
        assert (plan.end_s - plan.start_s).tolist() == pytest.approx([3600.0, 2400.0])
        battery = next(asset for asset in plan.assets if asset.asset_id == "battery")
        assert battery.power_kw == pytest.approx([5.0, -5.0], abs=1e-6)
        assert plan.energy_cost == pytest.approx(-0.05 * 7.0)

    def test_it_makes_none_although_its_energy_is_that_of_the_stepless_plan(self) -> None:
        """A level of 6 kW, an hour, and a battery with 8 kWh to sell: 4 + 8 - 5 kW are fed in while a car takes 5 kW.

        At 6 kW the car is done after 50 minutes. Of the 9 kW that may be fed in then, the sun leaves 5 for the battery.
        """
        storage = make_storage(power_kw=8.0, energy_kwh=10.0, final_energy_kwh=2.0, min_energy_kwh=2.0)
        scenario = _with_sun_to_sell(levels_kw=(6.0,), storage=storage, prices=(0.0, 0.1))
        (session,) = scenario.sessions
        scenario = replace(scenario, sessions=(replace(session, arrival=MORNING + HOUR),))
        options = replace(HOURLY, limit_mode=LimitMode.INSTANTANEOUS)
        free = optimize(scenario, replace(options, pilots=PilotMode.CONTINUOUS))
        plan = optimize(scenario, options)

        assert free.energy_cost == pytest.approx(-0.05 * 7.0)
        assert (plan.strategy, plan.status) == (Strategy.OPTIMAL, ScheduleStatus.FEASIBLE)
        assert plan.energy_kwh == pytest.approx(free.energy_kwh)
        assert plan.energy_cost == pytest.approx(-0.05 * 4.0)

    @pytest.mark.parametrize("mode", MODES)
    def test_what_a_charger_cannot_take_up_of_a_surplus_is_named(self, mode: PilotMode) -> None:
        """14 kW of sun where 9 may be fed in: behind 5 kW a car would take the rest. At levels of 4 and 8 it takes 4.

        10 kW are fed in for two hours: 2 kWh above what the connection allows, and none of any powers.
        """
        site = make_site(
            groups=[
                CapacityGroup(group_id="main", export_limit_kw=9.0, limit_counts=LimitCounts.TOTAL),
                CapacityGroup(group_id="cars", parent_id="main", import_limit_kw=5.0),
            ],
            chargers=[replace(charger(levels_kw=(4.0, 8.0)), group_id="cars")],
            generators=[Generator(asset_id="sun", group_id="main", curtailable=False)],
        )
        scenario = make_scenario(
            site=site,
            sessions=[make_session(energy_kwh=20.0)],
            tariff=make_tariff(),
            generation_kw={"sun": make_series((14.0, 14.0))},
        )
        plan = optimize(scenario, replace(HOURLY, pilots=mode, limit_mode=LimitMode.INSTANTANEOUS))

        assert plan.strategy == Strategy.OPTIMAL
        assert plan.power_kw.tolist() == pytest.approx([4.0, 4.0])
        (found,) = plan.violations
        assert found.excess_kwh == pytest.approx(2.0)
        excess = {stage.name: (stage.value, stage.bound) for stage in plan.stages}["over_connection_kwh"]
        assert excess == pytest.approx((2.0, 0.0), abs=1e-5)

    def test_what_a_car_lends_is_not_what_it_is_served(self) -> None:
        """10 kW for a building of 8, then of 2 kW. Behind 5 kW a car of 10 kWh gets a level of 4 kW twice.

        Another lends it 2 kWh. Of any powers it would lend 3: that it draws these again serves nobody.
        """
        scenario = _beside_building(load_kw=(8.0, 2.0), used=charger(levels_kw=(4.0, 8.0)))
        lender = make_vehicle("lender", charger_id="C2", discharge_power_kw=5.0)
        scenario = replace(
            scenario,
            site=replace(
                scenario.site,
                groups=(*scenario.site.groups, CapacityGroup(group_id="cars", parent_id="main", import_limit_kw=5.0)),
                chargers=(replace(scenario.site.chargers[0], group_id="cars"), charger("C2")),
            ),
            sessions=(*scenario.sessions, lender),
        )
        plan = optimize(scenario, replace(HOURLY, pilots=PilotMode.EXACT, limit_mode=LimitMode.INSTANTANEOUS))

        assert plan.status is ScheduleStatus.OPTIMAL
        assert plan.delivered_energy_kwh == pytest.approx(8.0)

    @pytest.mark.parametrize("mode", MODES)
    def test_who_feeds_in_takes_any_power(self, mode: PilotMode) -> None:
        """At a charger of 4 kW and more a car lends 2 of 12 kW to a building that may draw 10, and takes them back."""
        scenario = _beside_building(load_kw=(12.0, 2.0), used=charger(minimum_kw=4.0))
        scenario = replace(scenario, sessions=(make_vehicle(discharge_power_kw=5.0),))
        plan = optimize(scenario, replace(HOURLY, pilots=mode))

        assert plan.violations == ()
        assert plan.power_kw.tolist() == pytest.approx([-2.0, 2.0])

    @pytest.mark.parametrize("mode", MODES)
    def test_a_charge_curve_holds_for_what_is_set(self, mode: PilotMode) -> None:
        """Levels of 4, 8 and 12 kW, and a battery of 40 kWh that takes 20 kW up to half full and none when it is full.

        It comes half full and asks for 16 kWh within two hours. 8 kW leave it at 28 kWh after an hour, where it takes
        12 kW; a further 8 kW leave it at 36 kWh, where it takes 4 kW only: it gets 4.
        """
        scenario = _beside_building(load_kw=(0.0, 0.0), used=charger(levels_kw=(4.0, 8.0, 12.0)))
        curve = ChargeCurve(curve_id="falls", points=((0.5, 20.0), (1.0, 0.0)))
        scenario = replace(
            scenario,
            site=replace(scenario.site, charge_curves=(curve,)),
            sessions=(make_vehicle(energy_kwh=16.0, charge_curve_id="falls"),),
        )
        plan = optimize(scenario, replace(HOURLY, pilots=mode))

        assert plan.power_kw.tolist() == pytest.approx([8.0, 4.0])

    def test_a_charge_curve_holds_until_a_charger_is_switched_off(self) -> None:
        """4 kW and more, and a battery of 40 kWh that takes 40 kW less 1 kW for every kWh in it, half full at first.

        Within an hour each 10 kW leave it at 30 kWh and 5 kW at 35. 4 kW it takes up to 36 kWh: it is switched off
        after a quarter of the third hour. 2.5 kWh in that hour would be no more than it takes, but not at 4 kW.
        """
        scenario = _beside_building(load_kw=(0.0, 0.0, 0.0), used=charger(minimum_kw=4.0))
        curve = ChargeCurve(curve_id="falls", points=((0.5, 20.0), (1.0, 0.0)))
        scenario = replace(
            scenario,
            site=replace(scenario.site, charge_curves=(curve,)),
            sessions=(make_vehicle(energy_kwh=18.0, hours=3.0, charge_curve_id="falls"),),
            tariff=None,
        )
        plan = optimize(scenario, replace(HOURLY, pilots=PilotMode.EXACT))

        assert plan.strategy == Strategy.OPTIMAL
        assert rows(plan) == [(10.0, 1.0), (5.0, 1.0), (4.0, 0.25)]

    @pytest.mark.parametrize("classes", [(0, 0), (0, 1)])
    def test_stages_after_rounding(self, classes: tuple[int, int]) -> None:
        """What a stage comes to is that of the rounded plan, class by class where there are several."""
        scenario = make_scenario(
            site=make_site(
                groups=[CapacityGroup(group_id="main", import_limit_kw=9.0)],
                chargers=[charger("C1", levels_kw=(4.0, 8.0)), charger("C2", levels_kw=(4.0, 8.0))],
            ),
            sessions=[
                replace(make_session(f"S{one}", charger_id=f"C{one}", energy_kwh=12.0), priority_class=rank)
                for one, rank in enumerate(classes, start=1)
            ],
        )
        plan = optimize(scenario, HOURLY)

        unmet = {stage.name: stage.value for stage in plan.stages if stage.name.startswith("unmet_energy")}
        by_class = {f"unmet_energy_class_{rank}": 0.0 for rank in classes} if classes[1] else {"unmet_energy": 0.0}
        for result in plan.sessions:
            name = f"unmet_energy_class_{result.session.priority_class}" if classes[1] else "unmet_energy"
            by_class[name] += result.unmet_energy_kwh
        assert unmet == pytest.approx(by_class, abs=1e-6)

    def test_what_a_battery_lacks_counts_after_rounding_too(self) -> None:
        """A battery of 1 kW that is to be filled with 5 kWh lacks 3 after two hours, whatever a car is set to."""
        storage = make_storage(power_kw=1.0, final_energy_kwh=10.0)
        scenario = _beside_building(
            load_kw=(0.0, 0.0), used=charger(levels_kw=(4.0, 8.0, 12.0)), energy_kwh=12.0, storage=storage
        )
        plan = optimize(scenario, HOURLY)

        assert plan.power_kw.tolist() == [8.0, 4.0]
        (unmet,) = (stage for stage in plan.stages if stage.name == "unmet_energy")
        assert (unmet.value, unmet.bound) == pytest.approx((3.0, 3.0))


def _with_sun_to_sell(*, levels_kw: Iterable[float], storage: Storage, prices: Iterable[float]) -> Scenario:
    """A car of 5 kWh, and 4 kW of sun in the second hour, when 9 kW may be sold at 0.05 per kWh."""
    scenario = _beside_building(
        load_kw=(0.0, 0.0), used=charger(levels_kw=levels_kw), energy_kwh=5.0, storage=storage, export_limit_kw=9.0
    )
    sun = Generator(asset_id="sun", group_id="main", curtailable=False)
    return replace(
        scenario,
        site=replace(scenario.site, generators=(sun,)),
        generation_kw={"sun": make_series((0.0, 4.0))},
        tariff=make_tariff(prices, exports_per_kwh=(0.0, 0.05)),
    )


def _beside_building(
    *,
    load_kw: tuple[float, ...],
    used: Charger,
    energy_kwh: float = 10.0,
    storage: Storage | None = None,
    export_limit_kw: float | None = None,
) -> Scenario:
    """A car at a charger behind 10 kW that a building counts in too."""
    group = CapacityGroup(
        group_id="main", import_limit_kw=10.0, export_limit_kw=export_limit_kw, limit_counts=LimitCounts.TOTAL
    )
    site = make_site(
        groups=[group],
        chargers=[used],
        base_loads=[BaseLoad(asset_id="building", group_id="main")],
        storages=[] if storage is None else [storage],
    )
    return make_scenario(
        site=site,
        sessions=[make_session(energy_kwh=energy_kwh)],
        tariff=make_tariff(),
        base_load_kw={"building": make_series(load_kw)},
    )
