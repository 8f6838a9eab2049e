"""What plans are made for: cost, peak, and closeness to the plan in force."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from models.domain.group import CapacityGroup
from models.domain.schedule import Schedule
from models.domain.tariff import EnergyTariff, PriceBlock
from optimizer.options import PEAK_OBJECTIVE, OptimizeOptions
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_one_limit,
    make_scenario,
    make_schedule,
    make_session,
    make_site,
    make_tariff,
)
from tests.optimizer.plans.by_hand import HOURLY, approx, planned, table


class TestCost:
    """Unmet energy first, then cost."""

    def test_the_cheaper_hour_is_filled_first(self) -> None:
        """10 kWh at 0.30, then 0.20 per kWh, at most 6 kW: 6 kWh in the second hour, 4 in the first; 1.20 + 1.20."""
        plan = planned(make_one_limit(6.0, [make_session()], tariff=make_tariff((0.30, 0.20))))

        assert table(plan) == approx({"S1": [4.0, 6.0]})
        assert plan.energy_cost == pytest.approx(2.40)
        assert [(stage.name, stage.proved) for stage in plan.stages] == [
            ("unmet_energy", True),
            ("energy_cost", True),
            ("earliest_delivery", True),
        ]

    def test_two_sessions_share_one_limit(self) -> None:
        """A (both hours) and B (first hour only) ask for 10 kWh each under 12 kW, the first hour being cheaper: B takes
        10 of the 12 kWh of the first hour, A the other 2 and 8 in the second. Cost 12 x 0.20 + 8 x 0.30.
        """
        plan = planned(
            make_one_limit(12.0, [make_session("A"), make_session("B", departure=MORNING + HOUR)], tariff=make_tariff())
        )

        assert table(plan) == approx({"A": [2.0, 8.0], "B": [10.0, 0.0]})
        assert plan.energy_cost == pytest.approx(4.80)
        assert plan.unmet_energy_kwh == 0.0

    def test_service_comes_before_cost(self) -> None:
        """At 100 per kWh a vehicle is still served."""
        plan = planned(make_one_limit(50.0, [make_session()], tariff=make_tariff((100.0, 200.0))))

        assert plan.delivered_energy_kwh == pytest.approx(10.0)
        assert plan.energy_cost == pytest.approx(1000.0)

    @pytest.mark.parametrize("prices", [(-0.50, -0.10), (-0.10, -0.50), (-0.20, 0.20)])
    def test_negative_prices_never_overcharge(self, prices: tuple[float, float]) -> None:
        """Who asks for 10 kWh gets 10 kWh however much more would earn, all of it in the cheaper hour."""
        plan = planned(make_one_limit(50.0, [make_session()], tariff=make_tariff(prices)))

        assert plan.delivered_energy_kwh == pytest.approx(10.0)
        assert plan.energy_cost == pytest.approx(10.0 * min(prices))

    def test_priority_decides_who_goes_short(self) -> None:
        """12 kWh for two who ask for 10 each: the one of priority 2 gets 10, the other 2; with equal priority 8 go
        unserved as well.
        """
        short = [make_session("A", departure=MORNING + HOUR), make_session("B", departure=MORNING + HOUR)]
        favoured = [short[0], replace(short[1], priority=2.0)]

        plan, equal = planned(make_one_limit(12.0, favoured)), planned(make_one_limit(12.0, short))

        assert table(plan) == approx({"A": [2.0], "B": [10.0]})
        assert plan.stages[0].value == pytest.approx(8.0)
        assert plan.unmet_energy_kwh == equal.unmet_energy_kwh == pytest.approx(8.0)

    def test_without_prices_there_is_no_cost(self) -> None:
        """Without a tariff the cost is zero, no price is shown, and the stage falls away."""
        plan = planned(make_one_limit(50.0, [make_session()]))

        assert plan.energy_cost == 0.0
        assert plan.price_per_kwh is None
        assert [stage.name for stage in plan.stages] == ["unmet_energy", "earliest_delivery"]

    def test_a_flat_price_delivers_early(self) -> None:
        """At one price nothing is gained by waiting: 6 kWh in the first hour, 4 in the second."""
        plan = planned(make_one_limit(6.0, [make_session()], tariff=make_tariff((0.25, 0.25))))

        assert table(plan) == approx({"S1": [6.0, 4.0]})

    def test_steps_of_different_length(self) -> None:
        """Prices change at 08:20 and 09:10: 20 min at 0.30, 50 min at 0.10, 50 min at 0.20. Under 6 kW the 10 kWh take
        5 kWh of the second, 5 of the third: the steps are the union of price edges and full hours.
        """
        edges = [MORNING + timedelta(minutes=minutes) for minutes in (0, 20, 70, 120)]
        prices = [
            PriceBlock(start=start, end=end, import_price_per_kwh=price)
            for start, end, price in zip(edges, edges[1:], (0.30, 0.10, 0.20), strict=False)
        ]
        plan = planned(make_one_limit(6.0, [make_session()], tariff=EnergyTariff.from_blocks(prices)))

        assert (plan.grid.step_hours * 60).tolist() == pytest.approx([20, 40, 10, 50])
        assert table(plan) == approx({"S1": [0.0, 4.0, 1.0, 5.0]})
        assert plan.energy_cost == pytest.approx(5 * 0.10 + 5 * 0.20)


class TestPeak:
    """`PEAK_OBJECTIVE`: the lowest peak, then the least cost at that peak."""

    def test_the_peak_is_as_low_as_it_gets(self) -> None:
        """10 kWh over two hours cannot peak below 5 kW, whatever the prices."""
        scenario = make_one_limit(50.0, [make_session()], tariff=make_tariff((0.10, 0.50)))

        plan = planned(scenario, replace(HOURLY, objective=PEAK_OBJECTIVE))

        assert table(plan) == approx({"S1": [5.0, 5.0]})
        assert plan.peak_import_kw == pytest.approx(5.0)
        assert plan.energy_cost == pytest.approx(3.0)

    def test_cost_uses_what_the_peak_leaves(self) -> None:
        """B needs 8 kW in the third hour, so that the peak is 8 kW anyway: A may take 8 of its 10 kWh in the cheap
        second hour and only 2 in the first.
        """
        late = make_session("B", arrival=MORNING + 2 * HOUR, departure=MORNING + 3 * HOUR, energy_kwh=8.0)
        scenario = make_one_limit(50.0, [make_session("A"), late], tariff=make_tariff((0.30, 0.10, 0.20)))

        plan = planned(scenario, replace(HOURLY, objective=PEAK_OBJECTIVE))

        assert table(plan) == approx({"A": [2.0, 8.0, 0.0], "B": [0.0, 0.0, 8.0]})
        assert [stage.value for stage in plan.stages[:3]] == pytest.approx([0.0, 8.0, 3.0])

    def test_service_comes_before_the_peak(self) -> None:
        """A vehicle that needs 20 kW for its only hour gets them."""
        plan = planned(
            make_one_limit(50.0, [make_session(departure=MORNING + HOUR, energy_kwh=20.0)]),
            replace(HOURLY, objective=PEAK_OBJECTIVE),
        )

        assert plan.peak_import_kw == pytest.approx(20.0)

    def test_the_peak_is_that_of_all_roots_together(self) -> None:
        """Two grid connections with 10 kWh each over two hours: 5 kW each, 10 kW together."""
        site = make_site(
            groups=[CapacityGroup(group_id="east"), CapacityGroup(group_id="west")],
            chargers=[make_charger("C1", group_id="east"), make_charger("C2", group_id="west")],
        )
        sessions = [make_session("A"), make_session("B", charger_id="C2")]

        plan = planned(make_scenario(site=site, sessions=sessions), replace(HOURLY, objective=PEAK_OBJECTIVE))

        assert plan.peak_import_kw == pytest.approx(10.0)
        assert (plan.group("east").power_kw + plan.group("west").power_kw).tolist() == pytest.approx([10.0, 10.0])


class TestPreviousPlan:
    """The plan in force is kept where nothing is gained by leaving it."""

    def late(self) -> Schedule:
        """10 kWh in the second of two hours, because it was the cheaper."""
        plan = planned(make_one_limit(50.0, [make_session()], tariff=make_tariff((0.30, 0.20))))
        assert table(plan) == approx({"S1": [0.0, 10.0]})
        return plan

    def test_it_is_kept_when_equally_good(self) -> None:
        """At a flat price the plan in force stays, although it could deliver earlier."""
        now = replace(make_one_limit(50.0, [make_session()], tariff=make_tariff((0.25, 0.25))), previous=self.late())

        plan = planned(now)

        assert table(plan) == approx({"S1": [0.0, 10.0]})
        assert {stage.name: stage.value for stage in plan.stages}["previous_plan"] == pytest.approx(0.0)

    def test_it_is_left_for_a_lower_cost(self) -> None:
        """With the first hour cheaper all 10 kWh move there: 10 raised, 10 lowered."""
        now = replace(make_one_limit(50.0, [make_session()], tariff=make_tariff((0.20, 0.30))), previous=self.late())

        plan = planned(now)

        assert table(plan) == approx({"S1": [10.0, 0.0]})
        assert {stage.name: stage.value for stage in plan.stages}["previous_plan"] == pytest.approx(20.0)

    def test_it_is_left_as_little_as_a_limit_demands(self) -> None:
        """A limit of 7 kW leaves 7 of its 10 kWh in the second hour and moves 3."""
        now = replace(make_one_limit(7.0, [make_session()], tariff=make_tariff((0.25, 0.25))), previous=self.late())

        assert table(planned(now)) == approx({"S1": [3.0, 7.0]})

    def test_it_may_be_on_another_grid(self) -> None:
        """Made on hours, read on steps of 30 minutes: its 10 kW from 09:00 on are 5 kWh in each half hour."""
        now = replace(make_one_limit(50.0, [make_session()]), previous=self.late())

        plan = planned(now, OptimizeOptions(raster=HOUR / 2))

        assert table(plan) == approx({"S1": [0.0, 0.0, 5.0, 5.0]})

    def test_it_may_be_on_a_grid_that_does_not_fit(self) -> None:
        """15 kW from 08:40 to 09:20, read on hours, are 5 kWh in each."""
        since_s, until_s = ((MORNING + timedelta(minutes=minutes)).timestamp() for minutes in (40, 80))
        previous = replace(
            make_schedule(), start_s=np.array([since_s]), end_s=np.array([until_s]), power_kw=np.array([15.0])
        )

        plan = planned(replace(make_one_limit(50.0, [make_session()]), previous=previous))

        assert table(plan) == approx({"S1": [5.0, 5.0]})

    def test_sessions_it_does_not_know_are_planned(self) -> None:
        """Who left is forgotten, who came is served: only those in both are held to it."""
        now = replace(make_one_limit(50.0, [make_session("S2")]), previous=self.late())

        assert table(planned(now)) == approx({"S2": [10.0, 0.0]})
