"""Vehicles that feed in, and charge curves: cases worked out by hand, see `sites` for what they begin with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.domain.asset import ChargeCurve
from models.domain.group import CapacityGroup, LimitCounts
from models.domain.scenario import Scenario
from models.errors import InputError
from optimizer.engine import optimize
from optimizer.options import LimitMode, Strategy
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_scenario,
    make_session,
    make_site,
    make_tariff,
    make_vehicle,
)
from tests.optimizer.assets.sites import HOURLY, asset, figures, scenario_with, session_kw


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
