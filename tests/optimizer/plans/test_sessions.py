"""Sessions that plans serve, on any clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from models.domain.tariff import EnergyTariff, PriceBlock
from models.errors import InputError
from optimizer.engine import optimize
from optimizer.options import OptimizeOptions
from tests.builders import HOUR, MORNING, make_forecast, make_one_limit, make_scenario, make_session
from tests.optimizer.plans.by_hand import HOURLY, approx, planned, table

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


class TestSessions:
    """Odd sessions are planned as far as they can be."""

    def test_no_sessions_are_a_plan(self) -> None:
        """With a window and nobody in it the plan is empty, optimal, and knows its limits."""
        plan = planned(make_scenario(sessions=[], forecasts=[make_forecast((6.0, 4.0))]))

        assert plan.sessions == ()
        assert plan.power_kw.size == 0
        assert plan.group("main").limit_kw.tolist() == [6.0, 4.0]
        assert plan.group("main").power_kw.tolist() == [0.0, 0.0]

    def test_no_sessions_and_no_window_are_refused(self) -> None:
        """Nothing says when to plan."""
        with pytest.raises(InputError, match="give both start and end"):
            optimize(make_scenario(sessions=[]))

    def test_a_session_without_need_gets_nothing(self) -> None:
        """0 kWh asked for, 0 kWh given, nothing unmet and no reason to give."""
        plan = planned(make_one_limit(50.0, [make_session(energy_kwh=0.0)]))

        (result,) = plan.sessions
        assert (result.delivered_energy_kwh, result.unmet_energy_kwh, result.reason) == (0.0, 0.0, "")
        assert plan.power_kw.size == 0

    def test_what_a_stay_does_not_allow_is_unreachable(self) -> None:
        """50 kWh in two hours at 22 kW: 44 can be had, 6 are out of reach. Under 20 kW 40 are given and 4 unmet."""
        plan = planned(make_one_limit(20.0, [make_session(energy_kwh=50.0)]))

        (result,) = plan.sessions
        energies = (result.delivered_energy_kwh, result.unmet_energy_kwh, result.unreachable_energy_kwh)
        assert energies == pytest.approx((40.0, 4.0, 6.0))

    def test_a_vehicle_that_draws_nothing_gets_nothing(self) -> None:
        """Power 0 kW: all of it is out of reach."""
        plan = planned(make_one_limit(20.0, [make_session(max_power_kw=0.0)]))

        assert plan.unreachable_energy_kwh == pytest.approx(10.0)
        assert plan.delivered_energy_kwh == plan.unmet_energy_kwh == 0.0

    def test_rows_are_clipped_to_the_stay(self) -> None:
        """From 08:10 to 08:50 in an hourly step: one row from 08:10 to 08:50 whose power x 40 min is the energy."""
        stay = make_session(
            arrival=MORNING + timedelta(minutes=10), departure=MORNING + timedelta(minutes=50), energy_kwh=4.0
        )

        plan = planned(make_one_limit(None, [stay]))

        assert (plan.start_s.tolist(), plan.end_s.tolist()) == (
            [stay.arrival.timestamp()],
            [stay.departure.timestamp()],
        )
        assert plan.power_kw.tolist() == pytest.approx([6.0])
        assert plan.group("main").power_kw.tolist() == pytest.approx([4.0])

    def test_sessions_beyond_the_window_are_left_out(self) -> None:
        """Of two sessions only the one wholly inside 08:00 to 10:00 is planned."""
        sessions = [make_session("A"), make_session("B", departure=MORNING + 3 * HOUR)]

        plan = planned(make_one_limit(50.0, sessions), replace(HOURLY, start=MORNING, end=MORNING + 2 * HOUR))

        assert [result.session.session_id for result in plan.sessions] == ["A"]

    def test_a_window_without_its_sessions_is_a_plan(self) -> None:
        """Where nobody is inside the given window, the plan is empty."""
        window = replace(HOURLY, start=MORNING + 5 * HOUR, end=MORNING + 6 * HOUR)

        assert planned(make_one_limit(50.0, [make_session()]), window).sessions == ()


class TestDaylightSaving:
    """A day has 23, 24 or 25 hours, and the hour that comes twice is two hours."""

    @pytest.mark.parametrize(
        ("day", "hours"),
        [(datetime(2026, 3, 29, tzinfo=AMSTERDAM), 23), (datetime(2026, 10, 25, tzinfo=AMSTERDAM), 25)],
        ids=["spring", "autumn"],
    )
    def test_a_whole_local_day(self, day: datetime, hours: int) -> None:
        """From midnight to midnight under 1 kW: 23 or 25 kWh in 92 or 100 quarters."""
        stay = make_session(arrival=day, departure=day + timedelta(days=1), energy_kwh=50.0)

        plan = planned(make_one_limit(1.0, [stay]), OptimizeOptions())

        assert plan.grid.steps == 4 * hours
        assert plan.delivered_energy_kwh == pytest.approx(hours)

    def test_the_hour_that_comes_twice_is_priced_twice(self) -> None:
        """On 25 October 02:00 to 03:00 comes twice, the second time cheaper: 5 kWh at 5 kW go there."""
        first = datetime(2026, 10, 25, 2, tzinfo=AMSTERDAM)
        second = first.replace(fold=1)
        prices = [
            PriceBlock(start=first, end=second, import_price_per_kwh=0.3),
            PriceBlock(start=second, end=datetime(2026, 10, 25, 3, tzinfo=AMSTERDAM), import_price_per_kwh=0.1),
        ]
        stay = make_session(arrival=first, departure=datetime(2026, 10, 25, 3, tzinfo=AMSTERDAM), energy_kwh=5.0)

        plan = planned(make_one_limit(5.0, [stay], tariff=EnergyTariff.from_blocks(prices)))

        assert table(plan) == approx({"S1": [0.0, 5.0]})
        assert plan.energy_cost == pytest.approx(0.5)

    def test_overlaps_are_found_in_the_hour_that_comes_twice(self) -> None:
        """On one charger of 22 kW A leaves at 02:15 the second time, B comes at 02:30 the first time: by the clock on
        the wall they miss each other, in truth they are together for 45 minutes. Both ask for all their stays allow, 2
        1/4 and 1 1/2 hours; together they cover 3 hours, in which the charger gives 66 kWh.
        """
        one = datetime(2026, 10, 25, 1, tzinfo=AMSTERDAM)
        until = one.replace(hour=2, minute=15, fold=1)
        since, end = one.replace(hour=2, minute=30), one.replace(hour=3)
        sessions = [
            make_session("A", arrival=one, departure=until, energy_kwh=49.5),
            make_session("B", arrival=since, departure=end, energy_kwh=33.0),
        ]

        plan = planned(make_scenario(sessions=sessions), OptimizeOptions())

        assert plan.delivered_energy_kwh == pytest.approx(66.0)

    def test_a_window_within_the_hour_that_comes_twice(self) -> None:
        """From 02:30 the first time to 02:15 the second time are 45 minutes, not less than none."""
        arrival = datetime(2026, 10, 25, 2, 30, tzinfo=AMSTERDAM)
        stay = make_session(arrival=arrival, departure=arrival.replace(minute=15, fold=1), energy_kwh=15.0)

        plan = planned(make_one_limit(20.0, [stay]), OptimizeOptions(start=stay.arrival, end=stay.departure))

        assert plan.grid.steps == 3
        assert plan.delivered_energy_kwh == pytest.approx(15.0)

    def test_the_first_and_the_last_are_found_by_time(self) -> None:
        """The window reaches from the first arrival to the last departure, not to the highest on the wall clock: the
        second 02:10 is after the first 02:50.
        """
        first = datetime(2026, 10, 25, 2, 20, tzinfo=AMSTERDAM)
        sessions = [
            make_session("A", arrival=first, departure=first.replace(minute=50), energy_kwh=1.0),
            make_session("B", arrival=first, departure=first.replace(minute=10, fold=1), energy_kwh=1.0),
        ]

        plan = planned(make_one_limit(None, sessions), OptimizeOptions())

        assert len(plan.sessions) == 2
        assert plan.grid.end.astimezone(UTC) == datetime(2026, 10, 25, 1, 15, tzinfo=UTC)
