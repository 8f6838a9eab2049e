"""What is measured changes what is planned."""

from __future__ import annotations

from datetime import timedelta

import pytest

from models.domain import LimitCounts
from tests.api.oscp.bench import Bench
from tests.api.planning.bench import PlanningBench


class TestMeasurements:
    """What is measured changes what is needed."""

    def test_delivered_energy_is_not_needed_again(self, plans: PlanningBench) -> None:
        """20 kWh are asked for, 5 kWh were delivered: 15 kWh are planned at the next step."""
        begin = plans.now
        plans.put_session(hours=4, energy_kwh=20)
        plans.forecast(20, 20, 20, 20)
        plans.run()
        plans.bench.clock.advance(900)
        plans.measure("C1", energy_kwh=5, since=begin)
        plans.run()

        assert plans.plan()["requested_energy_kwh"] == pytest.approx(15)

    def test_measurements_as_planned_make_no_plan(self, plans: PlanningBench) -> None:
        """20 kW for 10 min are 3.333 kWh, as planned."""
        begin = plans.now
        plans.put_session()
        plans.forecast(20, 20)
        plans.run()
        plans.bench.clock.advance(600)

        plans.measure("C1", energy_kwh=20 / 6, since=begin)

        assert plans.run() == 0
        assert plans.stored_site().attended_version == plans.stored_site().version

    def test_measurements_that_drift_do(self, plans: PlanningBench) -> None:
        """2 kWh instead of 3.333 kWh is more than 1 kWh off."""
        begin = plans.now
        plans.put_session()
        plans.forecast(20, 20)
        plans.run()
        plans.bench.clock.advance(600)

        plans.measure("C1", energy_kwh=2, since=begin)

        assert plans.run() == 1
        assert plans.plan()["requested_energy_kwh"] == pytest.approx(18)

    def test_measurements_that_lag_are_no_drift(self, plans: PlanningBench) -> None:
        """20 kW all along, told ten minutes late each time: what was planned meanwhile is taken as delivered."""
        begin = plans.now
        plans.put_session(hours=8, energy_kwh=100)
        plans.forecast(*[20] * 8)
        plans.run()
        plans.bench.clock.advance(60)
        plans.measure("C1", energy_kwh=20 / 60, since=begin)
        solved = [plans.run()]
        for _ in range(6):
            lagging = plans.now
            plans.bench.clock.advance(600)
            plans.run()  # at the edges of steps
            plans.measure("C1", energy_kwh=20 / 6, since=lagging - timedelta(minutes=10), at=lagging)
            solved.append(plans.run())

        assert solved == [0] * 7

    def test_the_same_need_stated_again_is_not_a_new_one(self, plans: PlanningBench) -> None:
        """A peer that sends its sessions again has not lost what was delivered; a changed need counts anew."""
        begin = plans.now
        plans.put_session(arrival=begin, energy_kwh=20)
        plans.run()
        plans.bench.clock.advance(600)
        plans.measure("C1", energy_kwh=6, since=begin)
        plans.put_session(arrival=begin, hours=5, energy_kwh=20)
        plans.run()
        assert plans.plan()["requested_energy_kwh"] == pytest.approx(14)

        plans.put_session(arrival=begin, hours=5, energy_kwh=12)

        plans.run()
        assert plans.plan()["requested_energy_kwh"] == pytest.approx(12)

    def test_load_takes_head_room_where_the_limit_counts_everything(self, bench: Bench) -> None:
        """20 kW for all, a building that draws 12 kW: 8 kW are left, and the forecast's answer says so."""
        plans = PlanningBench.make(bench, limit_counts=LimitCounts.TOTAL)
        plans.put_session(energy_kwh=80)
        plans.forecast(20, 20)
        plans.run()
        assert plans.power_kw("S1", plans.now) == 20.0

        plans.measure("building", power_kw=12, category="CONSUMPTION")

        assert plans.run() == 1
        assert plans.power_kw("S1", plans.now) == 8.0

    def test_load_above_the_limit_is_named(self, bench: Bench) -> None:
        """20 kW for all, a building that draws 26: nobody charges, and the plan says by how much and until when."""
        plans = PlanningBench.make(bench, limit_counts=LimitCounts.TOTAL)
        plans.put_session(energy_kwh=80)
        plans.forecast(20, 30)
        plans.measure("building", power_kw=26, category="CONSUMPTION")
        plans.run()

        (found,) = plans.plan()["limit_violations"]
        assert (found["group_id"], found["type"]) == ("main", "CONSUMPTION")
        assert (found["limit_kw"], found["power_kw"], found["exceeds_connection"]) == (20.0, 26.0, False)
        assert found["excess_kwh"] == pytest.approx(6.0, abs=0.1)
        assert plans.power_kw("S1", plans.now) == 0.0

    def test_load_takes_none_where_it_counts_chargers(self, plans: PlanningBench) -> None:
        """The same with a limit for the flexible assets: nothing changes."""
        plans.put_session(energy_kwh=80)
        plans.forecast(20, 20)
        plans.run()
        plans.measure("building", power_kw=12, category="CONSUMPTION")

        assert plans.run() == 0

    def test_generation_is_counted_on_for_a_while_only(self, bench: Bench) -> None:
        """5 kW from the roof make 25 kW of 20, until the measurement is older than an hour."""
        plans = PlanningBench.make(bench, limit_counts=LimitCounts.TOTAL)
        plans.put_session(energy_kwh=200, hours=8)
        plans.put_session("S2", charger_id="C2", energy_kwh=200, hours=8)
        plans.measure("roof", power_kw=-5, category="GENERATION")
        plans.forecast(*[20] * 8)
        plans.run()
        drawn = plans.power_kw("S1", plans.now) + plans.power_kw("S2", plans.now)
        plans.bench.clock.advance(3700)

        plans.run()

        left = plans.power_kw("S1", plans.now) + plans.power_kw("S2", plans.now)
        assert [drawn, left] == pytest.approx([25, 20])

    def test_a_reading_from_the_future_changes_nothing(self, plans: PlanningBench) -> None:
        """A meter whose clock is a day ahead does not outdate those to come."""
        plans.put_session()
        plans.run()
        begin = plans.now
        plans.bench.clock.advance(86_400)
        ahead = plans.now
        plans.bench.clock.advance(-86_400 + 600)
        asset = {
            "asset_id": "C1",
            "asset_category": "CHARGING",
            "energy_measurement": {
                "value": 9,
                "phase": "ALL",
                "unit": "KWH",
                "direction": "IMPORT",
                "measure_time": ahead.isoformat(),
                "initial_measure_time": begin.isoformat(),
            },
        }
        plans.peer.send("/update_asset_measurements", {"group_id": "main", "measurements": [asset]})

        assert plans.run() == 0
