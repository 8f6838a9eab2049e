"""From a scenario to a verified schedule: plans worked out by hand, and what happens when the solver fails."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from models.domain.capacity import CapacityForecast, CapacityKind, Phase
from models.domain.group import CapacityGroup, Site
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff, PriceBlock
from models.errors import InputError, SolverError, VerificationError
from optimizer import engine, optimum, solver
from optimizer.bench.synthetic import scenario as synthetic_scenario
from optimizer.engine import optimize
from optimizer.extract import Outcome, to_schedule
from optimizer.options import PEAK_OBJECTIVE, LimitMode, OptimizeOptions, SolverOptions, Stage, Strategy
from optimizer.problem import CapacityProblem
from optimizer.solver import SolveStatus, solve
from optimizer.verify import verify
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_forecast,
    make_scenario,
    make_schedule,
    make_session,
    make_site,
    make_tariff,
)

HOURLY = OptimizeOptions(raster=HOUR)
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
TOLERANCE = 1e-6


def table(plan: Schedule) -> dict[str, list[float]]:
    """Energy of each session in each step, kWh."""
    dense = np.zeros((len(plan.sessions), plan.grid.steps))
    np.add.at(dense, (plan.session_index, plan.step_index), plan.energy_kwh)
    return {result.session.session_id: row.tolist() for result, row in zip(plan.sessions, dense, strict=True)}


def one_limit(
    limit_kw: float | None, sessions: Iterable[ChargingSession], *, tariff: EnergyTariff | None = None
) -> Scenario:
    """Sessions at chargers of their own in one group."""
    asked = [replace(session, charger_id=f"C-{session.session_id}") for session in sessions]
    site = make_site(
        groups=[CapacityGroup(group_id="main", import_limit_kw=limit_kw)],
        chargers=[make_charger(session.charger_id) for session in asked],
    )
    return make_scenario(site=site, sessions=asked, tariff=tariff)


def planned(scenario: Scenario, options: OptimizeOptions = HOURLY) -> Schedule:
    """A plan proved optimal, or no plan."""
    plan = optimize(scenario, options)
    assert plan.status is ScheduleStatus.OPTIMAL
    return plan


def approx(expected: dict[str, list[float]]) -> object:
    """The same table within a millionth of a kWh."""
    return {name: pytest.approx(row, abs=TOLERANCE) for name, row in expected.items()}


class TestCost:
    """Unmet energy first, then cost."""

    def test_the_cheaper_hour_is_filled_first(self) -> None:
        """10 kWh at 0.30, then 0.20 per kWh, at most 6 kW: 6 kWh in the second hour, 4 in the first; 1.20 + 1.20."""
        plan = planned(one_limit(6.0, [make_session()], tariff=make_tariff((0.30, 0.20))))

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
            one_limit(12.0, [make_session("A"), make_session("B", departure=MORNING + HOUR)], tariff=make_tariff())
        )

        assert table(plan) == approx({"A": [2.0, 8.0], "B": [10.0, 0.0]})
        assert plan.energy_cost == pytest.approx(4.80)
        assert plan.unmet_energy_kwh == 0.0

    def test_service_comes_before_cost(self) -> None:
        """At 100 per kWh a vehicle is still served."""
        plan = planned(one_limit(50.0, [make_session()], tariff=make_tariff((100.0, 200.0))))

        assert plan.delivered_energy_kwh == pytest.approx(10.0)
        assert plan.energy_cost == pytest.approx(1000.0)

    @pytest.mark.parametrize("prices", [(-0.50, -0.10), (-0.10, -0.50), (-0.20, 0.20)])
    def test_negative_prices_never_overcharge(self, prices: tuple[float, float]) -> None:
        """Who asks for 10 kWh gets 10 kWh however much more would earn, all of it in the cheaper hour."""
        plan = planned(one_limit(50.0, [make_session()], tariff=make_tariff(prices)))

        assert plan.delivered_energy_kwh == pytest.approx(10.0)
        assert plan.energy_cost == pytest.approx(10.0 * min(prices))

    def test_priority_decides_who_goes_short(self) -> None:
        """12 kWh for two who ask for 10 each: the one of priority 2 gets 10, the other 2; with equal priority 8 go
        unserved as well.
        """
        short = [make_session("A", departure=MORNING + HOUR), make_session("B", departure=MORNING + HOUR)]
        favoured = [short[0], replace(short[1], priority=2.0)]

        plan, equal = planned(one_limit(12.0, favoured)), planned(one_limit(12.0, short))

        assert table(plan) == approx({"A": [2.0], "B": [10.0]})
        assert plan.stages[0].value == pytest.approx(8.0)
        assert plan.unmet_energy_kwh == equal.unmet_energy_kwh == pytest.approx(8.0)

    def test_without_prices_there_is_no_cost(self) -> None:
        """Without a tariff the cost is zero, no price is shown, and the stage falls away."""
        plan = planned(one_limit(50.0, [make_session()]))

        assert plan.energy_cost == 0.0
        assert plan.price_per_kwh is None
        assert [stage.name for stage in plan.stages] == ["unmet_energy", "earliest_delivery"]

    def test_a_flat_price_delivers_early(self) -> None:
        """At one price nothing is gained by waiting: 6 kWh in the first hour, 4 in the second."""
        plan = planned(one_limit(6.0, [make_session()], tariff=make_tariff((0.25, 0.25))))

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
        plan = planned(one_limit(6.0, [make_session()], tariff=EnergyTariff.from_blocks(prices)))

        assert (plan.grid.step_hours * 60).tolist() == pytest.approx([20, 40, 10, 50])
        assert table(plan) == approx({"S1": [0.0, 4.0, 1.0, 5.0]})
        assert plan.energy_cost == pytest.approx(5 * 0.10 + 5 * 0.20)


class TestPeak:
    """`PEAK_OBJECTIVE`: the lowest peak, then the least cost at that peak."""

    def test_the_peak_is_as_low_as_it_gets(self) -> None:
        """10 kWh over two hours cannot peak below 5 kW, whatever the prices."""
        scenario = one_limit(50.0, [make_session()], tariff=make_tariff((0.10, 0.50)))

        plan = planned(scenario, replace(HOURLY, objective=PEAK_OBJECTIVE))

        assert table(plan) == approx({"S1": [5.0, 5.0]})
        assert plan.peak_import_kw == pytest.approx(5.0)
        assert plan.energy_cost == pytest.approx(3.0)

    def test_cost_uses_what_the_peak_leaves(self) -> None:
        """B needs 8 kW in the third hour, so that the peak is 8 kW anyway: A may take 8 of its 10 kWh in the cheap
        second hour and only 2 in the first.
        """
        late = make_session("B", arrival=MORNING + 2 * HOUR, departure=MORNING + 3 * HOUR, energy_kwh=8.0)
        scenario = one_limit(50.0, [make_session("A"), late], tariff=make_tariff((0.30, 0.10, 0.20)))

        plan = planned(scenario, replace(HOURLY, objective=PEAK_OBJECTIVE))

        assert table(plan) == approx({"A": [2.0, 8.0, 0.0], "B": [0.0, 0.0, 8.0]})
        assert [stage.value for stage in plan.stages[:3]] == pytest.approx([0.0, 8.0, 3.0])

    def test_service_comes_before_the_peak(self) -> None:
        """A vehicle that needs 20 kW for its only hour gets them."""
        plan = planned(
            one_limit(50.0, [make_session(departure=MORNING + HOUR, energy_kwh=20.0)]),
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
        plan = planned(one_limit(50.0, [make_session()], tariff=make_tariff((0.30, 0.20))))
        assert table(plan) == approx({"S1": [0.0, 10.0]})
        return plan

    def test_it_is_kept_when_equally_good(self) -> None:
        """At a flat price the plan in force stays, although it could deliver earlier."""
        now = replace(one_limit(50.0, [make_session()], tariff=make_tariff((0.25, 0.25))), previous=self.late())

        plan = planned(now)

        assert table(plan) == approx({"S1": [0.0, 10.0]})
        assert {stage.name: stage.value for stage in plan.stages}["previous_plan"] == pytest.approx(0.0)

    def test_it_is_left_for_a_lower_cost(self) -> None:
        """With the first hour cheaper all 10 kWh move there: 10 raised, 10 lowered."""
        now = replace(one_limit(50.0, [make_session()], tariff=make_tariff((0.20, 0.30))), previous=self.late())

        plan = planned(now)

        assert table(plan) == approx({"S1": [10.0, 0.0]})
        assert {stage.name: stage.value for stage in plan.stages}["previous_plan"] == pytest.approx(20.0)

    def test_it_is_left_as_little_as_a_limit_demands(self) -> None:
        """A limit of 7 kW leaves 7 of its 10 kWh in the second hour and moves 3."""
        now = replace(one_limit(7.0, [make_session()], tariff=make_tariff((0.25, 0.25))), previous=self.late())

        assert table(planned(now)) == approx({"S1": [3.0, 7.0]})

    def test_it_may_be_on_another_grid(self) -> None:
        """Made on hours, read on steps of 30 minutes: its 10 kW from 09:00 on are 5 kWh in each half hour."""
        now = replace(one_limit(50.0, [make_session()]), previous=self.late())

        plan = planned(now, OptimizeOptions(raster=HOUR / 2))

        assert table(plan) == approx({"S1": [0.0, 0.0, 5.0, 5.0]})

    def test_it_may_be_on_a_grid_that_does_not_fit(self) -> None:
        """15 kW from 08:40 to 09:20, read on hours, are 5 kWh in each."""
        since_s, until_s = ((MORNING + timedelta(minutes=minutes)).timestamp() for minutes in (40, 80))
        previous = replace(
            make_schedule(), start_s=np.array([since_s]), end_s=np.array([until_s]), power_kw=np.array([15.0])
        )

        plan = planned(replace(one_limit(50.0, [make_session()]), previous=previous))

        assert table(plan) == approx({"S1": [5.0, 5.0]})

    def test_sessions_it_does_not_know_are_planned(self) -> None:
        """Who left is forgotten, who came is served: only those in both are held to it."""
        now = replace(one_limit(50.0, [make_session("S2")]), previous=self.late())

        assert table(planned(now)) == approx({"S2": [10.0, 0.0]})


class TestLimits:
    """Every limit on the path of a session holds."""

    def tree(self, root_kw: float | None, leaf_kw: float | None) -> Site:
        return make_site(
            groups=[
                CapacityGroup(group_id="root", import_limit_kw=root_kw),
                CapacityGroup(group_id="leaf", parent_id="root", import_limit_kw=leaf_kw),
            ],
            chargers=[make_charger("C1", group_id="leaf"), make_charger("C2", group_id="root")],
        )

    @pytest.mark.parametrize(
        ("root_kw", "leaf_kw", "expected"),
        [(9.0, 4.0, [4.0, 5.0]), (3.0, 4.0, [3.0, 0.0]), (None, 4.0, [4.0, 10.0]), (16.0, None, [10.0, 6.0])],
    )
    def test_parent_and_child(self, root_kw: float | None, leaf_kw: float | None, expected: list[float]) -> None:
        """L hangs on the leaf (priority 2), R on the root, 10 kWh each in one hour: L gets the least of 10, leaf and
        root; R what the root has left of it.
        """
        sessions = [
            make_session("L", departure=MORNING + HOUR, priority=2.0),
            make_session("R", charger_id="C2", departure=MORNING + HOUR),
        ]

        plan = planned(make_scenario(site=self.tree(root_kw, leaf_kw), sessions=sessions))

        assert [result.delivered_energy_kwh for result in plan.sessions] == pytest.approx(expected)
        assert plan.group("leaf").power_kw.tolist() == pytest.approx(expected[:1])
        assert plan.group("root").power_kw.tolist() == pytest.approx([sum(expected)])

    def test_the_lower_of_connection_and_forecast_holds(self) -> None:
        """A connection of 5 kW under forecasts of 3 and 8 kW allows 3 and 5 kWh."""
        scenario = one_limit(5.0, [make_session()])
        scenario = make_scenario(site=scenario.site, sessions=scenario.sessions, forecasts=[make_forecast((3.0, 8.0))])

        plan = planned(scenario)

        assert table(plan) == approx({"S1": [3.0, 5.0]})
        assert plan.group("main").limit_kw.tolist() == [3.0, 5.0]
        assert plan.unmet_energy_kwh == pytest.approx(2.0)

    def test_zero_capacity_all_day_is_a_plan(self) -> None:
        """Nothing allowed, nothing delivered: optimal all the same, and everything unmet is said to be."""
        plan = planned(one_limit(0.0, [make_session("A"), make_session("B")], tariff=make_tariff()))

        assert plan.power_kw.size == 0
        assert plan.unmet_energy_kwh == pytest.approx(20.0)
        assert plan.peak_import_kw == plan.energy_cost == 0.0

    def test_a_gap_in_the_forecasts_means_zero_and_is_noted(self) -> None:
        """Without a connection limit, an hour no forecast covers may draw nothing; a note says since when and what to
        do.
        """
        scenario = one_limit(None, [make_session()])
        scenario = make_scenario(site=scenario.site, sessions=scenario.sessions, forecasts=[make_forecast((6.0,))])

        plan = planned(scenario)

        assert table(plan) == approx({"S1": [6.0, 0.0]})
        assert plan.group("main").limit_kw.tolist() == [6.0, 0.0]
        (note,) = plan.notes
        assert all(part in note for part in ("'main'", "1 steps", "2026-03-02T10:00:00+01:00", "0 kW"))

    def test_a_connection_limit_fills_a_gap(self) -> None:
        """Where the connection has a limit, it holds in the gap."""
        scenario = one_limit(7.0, [make_session(energy_kwh=20.0)])
        scenario = make_scenario(site=scenario.site, sessions=scenario.sessions, forecasts=[make_forecast((6.0,))])

        plan = planned(scenario)

        assert table(plan) == approx({"S1": [6.0, 7.0]})
        assert plan.notes == ()

    def test_the_fallback_fills_a_gap(self) -> None:
        """FALLBACK_CONSUMPTION of 2 kW holds in the second hour only, where CONSUMPTION says nothing."""
        scenario = one_limit(None, [make_session()])
        forecasts = [make_forecast((6.0,)), make_forecast((2.0, 2.0), kind=CapacityKind.FALLBACK_CONSUMPTION)]
        scenario = make_scenario(site=scenario.site, sessions=scenario.sessions, forecasts=forecasts)

        plan = planned(scenario)

        assert table(plan) == approx({"S1": [6.0, 2.0]})
        assert plan.notes == ()

    @pytest.mark.parametrize("kind", [CapacityKind.GENERATION, CapacityKind.OPTIMUM, CapacityKind.FALLBACK_GENERATION])
    def test_other_forecasts_limit_nothing(self, kind: CapacityKind) -> None:
        """What may be fed in, and what was answered, does not hold down what is drawn."""
        scenario = one_limit(None, [make_session()])
        scenario = make_scenario(
            site=scenario.site, sessions=scenario.sessions, forecasts=[make_forecast((1.0, 1.0), kind=kind)]
        )

        assert planned(scenario).delivered_energy_kwh == pytest.approx(10.0)

    @pytest.mark.parametrize(
        ("phases", "expected_kwh"),
        [
            pytest.param(Phase.ALL, 6.0, id="three phases: a third on each"),
            pytest.param(Phase.ONE, 2.0, id="on the limited phase"),
            pytest.param(Phase.TWO, 10.0, id="on another phase"),
            pytest.param(Phase.UNKNOWN, 2.0, id="unknown: in full on each"),
        ],
    )
    def test_a_limit_of_one_phase(self, phases: Phase, expected_kwh: float) -> None:
        """2 kW on phase ONE for an hour: three-phase power counts by a third, single-phase where it is connected."""
        plan = planned(self.phase_scenario(phases, [make_forecast((2.0,), phase=Phase.ONE)]))

        assert plan.delivered_energy_kwh == pytest.approx(expected_kwh)
        assert bool(plan.notes) == (phases is Phase.UNKNOWN)

    def test_phases_and_their_sum_hold_together(self) -> None:
        """Phase limits of 2, 3 and 4 kW with 5 kW for all: three phases draw 5 kW, not 3 x 2."""
        forecasts = [
            make_forecast((2.0,), phase=Phase.ONE),
            make_forecast((3.0,), phase=Phase.TWO),
            make_forecast((4.0,), phase=Phase.THREE),
            make_forecast((5.0,)),
        ]

        assert planned(self.phase_scenario(Phase.ALL, forecasts)).delivered_energy_kwh == pytest.approx(5.0)

    def phase_scenario(self, phases: Phase, forecasts: list[CapacityForecast]) -> Scenario:
        """10 kWh within an hour at a charger of these phases."""
        site = make_site(chargers=[make_charger(phases=phases)])
        return make_scenario(site=site, sessions=[make_session(departure=MORNING + HOUR)], forecasts=forecasts)

    def test_the_mean_lets_a_short_stay_draw_more(self) -> None:
        """Half an hour in an hourly step under 6 kW: on the mean 6 kWh at 12 kW, at every moment 3 kWh at 6 kW."""
        scenario = one_limit(6.0, [make_session(departure=MORNING + HOUR / 2)])

        mean = planned(scenario)
        every_moment = planned(scenario, replace(HOURLY, limit_mode=LimitMode.INSTANTANEOUS))

        assert mean.power_kw.tolist() == pytest.approx([12.0])
        assert mean.delivered_energy_kwh == pytest.approx(6.0)
        assert every_moment.power_kw.tolist() == pytest.approx([6.0])
        assert every_moment.delivered_energy_kwh == pytest.approx(3.0)

    def test_sessions_at_one_charger_share_it(self) -> None:
        """Two at a charger of 22 kW for the same hour, 20 kWh each: 22 kWh between them, 18 unmet, none unreachable."""
        sessions = [make_session(name, departure=MORNING + HOUR, energy_kwh=20.0) for name in ("A", "B")]

        plan = planned(make_scenario(sessions=sessions))

        assert plan.delivered_energy_kwh == pytest.approx(22.0)
        assert plan.unmet_energy_kwh == pytest.approx(18.0)
        assert plan.unreachable_energy_kwh == 0.0


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
        plan = planned(one_limit(50.0, [make_session(energy_kwh=0.0)]))

        (result,) = plan.sessions
        assert (result.delivered_energy_kwh, result.unmet_energy_kwh, result.reason) == (0.0, 0.0, "")
        assert plan.power_kw.size == 0

    def test_what_a_stay_does_not_allow_is_unreachable(self) -> None:
        """50 kWh in two hours at 22 kW: 44 can be had, 6 are out of reach. Under 20 kW 40 are given and 4 unmet."""
        plan = planned(one_limit(20.0, [make_session(energy_kwh=50.0)]))

        (result,) = plan.sessions
        energies = (result.delivered_energy_kwh, result.unmet_energy_kwh, result.unreachable_energy_kwh)
        assert energies == pytest.approx((40.0, 4.0, 6.0))

    def test_a_vehicle_that_draws_nothing_gets_nothing(self) -> None:
        """Power 0 kW: all of it is out of reach."""
        plan = planned(one_limit(20.0, [make_session(max_power_kw=0.0)]))

        assert plan.unreachable_energy_kwh == pytest.approx(10.0)
        assert plan.delivered_energy_kwh == plan.unmet_energy_kwh == 0.0

    def test_rows_are_clipped_to_the_stay(self) -> None:
        """From 08:10 to 08:50 in an hourly step: one row from 08:10 to 08:50 whose power x 40 min is the energy."""
        stay = make_session(
            arrival=MORNING + timedelta(minutes=10), departure=MORNING + timedelta(minutes=50), energy_kwh=4.0
        )

        plan = planned(one_limit(None, [stay]))

        assert (plan.start_s.tolist(), plan.end_s.tolist()) == (
            [stay.arrival.timestamp()],
            [stay.departure.timestamp()],
        )
        assert plan.power_kw.tolist() == pytest.approx([6.0])
        assert plan.group("main").power_kw.tolist() == pytest.approx([4.0])

    def test_sessions_beyond_the_window_are_left_out(self) -> None:
        """Of two sessions only the one wholly inside 08:00 to 10:00 is planned."""
        sessions = [make_session("A"), make_session("B", departure=MORNING + 3 * HOUR)]

        plan = planned(one_limit(50.0, sessions), replace(HOURLY, start=MORNING, end=MORNING + 2 * HOUR))

        assert [result.session.session_id for result in plan.sessions] == ["A"]

    def test_a_window_without_its_sessions_is_a_plan(self) -> None:
        """Where nobody is inside the given window, the plan is empty."""
        window = replace(HOURLY, start=MORNING + 5 * HOUR, end=MORNING + 6 * HOUR)

        assert planned(one_limit(50.0, [make_session()]), window).sessions == ()


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

        plan = planned(one_limit(1.0, [stay]), OptimizeOptions())

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

        plan = planned(one_limit(5.0, [stay], tariff=EnergyTariff.from_blocks(prices)))

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

        plan = planned(one_limit(20.0, [stay]), OptimizeOptions(start=stay.arrival, end=stay.departure))

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

        plan = planned(one_limit(None, sessions), OptimizeOptions())

        assert len(plan.sessions) == 2
        assert plan.grid.end.astimezone(UTC) == datetime(2026, 10, 25, 1, 15, tzinfo=UTC)


class TestFallback:
    """Where the solver fails, something that holds goes out instead, and says what it is."""

    scenario = one_limit(
        10.0, [make_session("A", departure=MORNING + HOUR), make_session("B", departure=MORNING + HOUR, priority=3.0)]
    )
    """10 kWh in one hour for two who ask for 10 each; heuristics know no priorities and serve A."""

    @pytest.fixture
    def broken_solver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(*_: object, **__: object) -> None:
            raise SolverError("HiGHS ended stage 'unmet_energy' without a solution: time limit")

        monkeypatch.setattr(optimum, "solve", fails)

    @pytest.fixture
    def verified(self, monkeypatch: pytest.MonkeyPatch) -> list[Schedule]:
        """Every schedule that was verified."""
        seen: list[Schedule] = []

        def recorded(scenario: Scenario, schedule: Schedule, **options: object) -> object:
            seen.append(schedule)
            return verify(scenario, schedule, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(engine, "verify", recorded)
        return seen

    @pytest.mark.usefixtures("broken_solver")
    def test_a_heuristic_stands_in(self, verified: list[Schedule]) -> None:
        """The status is fallback, the strategy a heuristic's, the note says why, and it was verified."""
        plan = optimize(self.scenario, HOURLY)

        assert plan.status is ScheduleStatus.FALLBACK
        assert plan.strategy in (Strategy.LEAST_LAXITY, Strategy.EARLIEST_DEADLINE)
        assert "time limit" in " ".join(plan.notes)
        assert plan.delivered_energy_kwh == pytest.approx(10.0)
        assert [schedule.power_kw.tolist() for schedule in verified] == [plan.power_kw.tolist()]
        assert plan.stages == ()
        assert np.isnan(plan.group("main").shadow_price_per_kwh).all()

    def test_the_plan_in_force_stands_in_when_it_is_better(
        self, monkeypatch: pytest.MonkeyPatch, verified: list[Schedule]
    ) -> None:
        """The optimum of before serves B, of priority 3: 10 weighted kWh unmet instead of a heuristic's 30."""
        previous = planned(self.scenario)
        self.fail_from_now_on(monkeypatch)

        plan = optimize(replace(self.scenario, previous=previous), HOURLY)

        assert (plan.status, plan.strategy) == (ScheduleStatus.FALLBACK, "previous-plan")
        assert table(plan) == approx({"A": [0.0], "B": [10.0]})
        assert verified[-1].strategy == "previous-plan"

    def test_the_plan_in_force_does_not_when_it_is_worse(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A plan in force for somebody who left serves nobody who is here."""
        previous = planned(one_limit(10.0, [make_session("gone")]))
        self.fail_from_now_on(monkeypatch)

        plan = optimize(replace(self.scenario, previous=previous), HOURLY)

        assert plan.strategy != "previous-plan"
        assert plan.delivered_energy_kwh == pytest.approx(10.0)

    def test_priorities_decide_what_is_better(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The plan in force serves B, who had the priority then; now A has it. A heuristic that serves A leaves as much
        energy unmet, but energy that counts for less.
        """
        previous = planned(self.scenario)
        assert table(previous) == approx({"A": [0.0], "B": [10.0]})
        self.fail_from_now_on(monkeypatch)
        first, second = self.scenario.sessions
        now = (replace(first, priority=3.0), replace(second, priority=1.0))

        plan = optimize(replace(self.scenario, sessions=now, previous=previous), HOURLY)

        assert plan.strategy != "previous-plan"
        assert table(plan) == approx({"A": [10.0], "B": [0.0]})

    def test_the_plan_in_force_is_cut_to_the_limits_of_now(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It drew 10 kW; under 4 kW now, 4 kW of it are left, and they are B's."""
        previous = planned(self.scenario)
        self.fail_from_now_on(monkeypatch)
        site = self.scenario.site
        tight = replace(site, groups=(CapacityGroup(group_id="main", import_limit_kw=4.0),))

        plan = optimize(replace(self.scenario, site=tight, previous=previous), HOURLY)

        assert plan.strategy == "previous-plan"
        assert table(plan) == approx({"A": [0.0], "B": [4.0]})

    def fail_from_now_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(*_: object, **__: object) -> None:
            raise SolverError("failed")

        monkeypatch.setattr(optimum, "solve", fails)

    def test_a_plan_that_breaks_a_limit_never_gets_out(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Where the optimum's energies come out doubled, verification refuses them, a heuristic stands in, and the
        refusal is logged with the site.
        """
        monkeypatch.setattr(optimum, "tidy", lambda problem, energy_kwh, _: 2.0 * energy_kwh)

        with caplog.at_level(logging.ERROR):
            plan = optimize(self.scenario, HOURLY)

        assert plan.status is ScheduleStatus.FALLBACK
        assert "did not pass verification" in " ".join(plan.notes)
        assert "site=depot" in caplog.text
        assert plan.delivered_energy_kwh == pytest.approx(10.0)

    @pytest.mark.parametrize("strategy", [Strategy.OPTIMAL, Strategy.EQUAL_SHARE, Strategy.UNCONTROLLED])
    def test_where_nothing_passes_nothing_gets_out(self, monkeypatch: pytest.MonkeyPatch, strategy: Strategy) -> None:
        """A fault behind every strategy, here a cost that is not the rows', ends in an error and not in a plan."""

        def misstated(problem: CapacityProblem, outcome: Outcome) -> Schedule:
            return replace(to_schedule(problem, outcome), energy_cost=1.0)

        monkeypatch.setattr(engine, "to_schedule", misstated)

        with pytest.raises(VerificationError, match="energy cost"):
            optimize(self.scenario, replace(HOURLY, strategy=strategy))

    @pytest.mark.parametrize("strategy", [s for s in Strategy if s is not Strategy.OPTIMAL])
    def test_a_heuristic_that_was_asked_for_is_no_fallback(self, strategy: Strategy) -> None:
        """Its status is heuristic; nothing is proved and no shadow price is known."""
        plan = optimize(self.scenario, replace(HOURLY, strategy=strategy))

        assert (plan.status, plan.strategy) == (ScheduleStatus.HEURISTIC, strategy)
        assert plan.stages == ()
        expected_kwh = 20.0 if strategy is Strategy.UNCONTROLLED else 10.0
        assert plan.delivered_energy_kwh == pytest.approx(expected_kwh)


class TestTimeLimit:
    """However little time there is, what comes out holds every limit and says what it is."""

    @pytest.mark.parametrize("seconds", [0.0, 1e-3, 0.01, 0.03, 0.1])
    @pytest.mark.parametrize("limit_share", [1.0, 0.35], ids=["ample", "scarce"])
    def test_little_time(self, seconds: float, limit_share: float) -> None:
        """300 sessions in next to no time: optimal only if every stage was proved, feasible only if the first was or
        an incumbent held, else a fallback with a note.
        """
        scenario = synthetic_scenario(300, seed=5, limit_share=limit_share, feeders=3)
        options = OptimizeOptions(solver=SolverOptions(time_limit_s=seconds))

        plan = optimize(scenario, options)

        assert verify(scenario, plan, limit_mode=options.limit_mode).violations == ()
        proved = [stage.proved for stage in plan.stages]
        if plan.status is ScheduleStatus.FALLBACK:
            assert any("time limit" in note for note in plan.notes)
            assert proved == []
        else:
            assert (plan.status is ScheduleStatus.OPTIMAL) == all(proved)
            assert proved == sorted(proved, reverse=True)
        assert plan.delivered_energy_kwh > 0.5 * plan.requested_energy_kwh

    def test_enough_time_changes_nothing(self) -> None:
        """A limit that is not reached gives the same plan as none."""
        scenario = synthetic_scenario(40, seed=6)

        limited = optimize(scenario, OptimizeOptions(solver=SolverOptions(time_limit_s=60.0)))

        assert limited.status is ScheduleStatus.OPTIMAL
        assert limited.power_kw.tolist() == optimize(scenario).power_kw.tolist()

    def test_stages_that_were_not_proved_are_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where time runs out after unmet energy and cost, the plan has the optimum's cost and is called feasible."""
        scenario = synthetic_scenario(40, seed=6)
        complete = planned(scenario, OptimizeOptions())

        def stopped(program: object, options: object, **merging: object) -> object:
            solution = solve(program, options, **merging)  # type: ignore[arg-type]
            last = replace(solution.stages[-1], status=SolveStatus.TIME_LIMIT)
            return replace(solution, stages=(*solution.stages[:-1], last))

        monkeypatch.setattr(optimum, "solve", stopped)

        plan = optimize(scenario)

        assert plan.status is ScheduleStatus.FEASIBLE
        assert [stage.proved for stage in plan.stages] == [True, True, False]
        assert plan.energy_cost == pytest.approx(complete.energy_cost)


class TestReport:
    """What a schedule says of how it was made."""

    def test_every_phase_is_timed(self) -> None:
        """Preparing, building, translating, solving, extracting and verifying add up to the total."""
        seconds = planned(make_scenario()).seconds

        assert list(seconds) == ["prepare", "build", "translate", "solve", "extract", "verify", "total"]
        assert seconds["total"] == pytest.approx(sum(seconds.values()) - seconds["total"])

    def test_unmet_energy_and_cost_take_one_solve(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Three stages, two solves: the first two are merged wherever that is proved exact."""
        loads: list[str] = []
        load = solver._Run.load

        def counted(*arguments: object) -> object:
            loads.append("load")
            return load(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(solver._Run, "load", counted)

        plan = planned(make_scenario(tariff=make_tariff()))

        assert len(plan.stages) == 3
        assert len(loads) == 2

    def test_one_line_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """One INFO line for each optimization, identifiers first."""
        with caplog.at_level(logging.INFO, logger="optimizer.engine"):
            planned(make_scenario())

        (record,) = caplog.records
        assert record.getMessage().startswith("site=depot sessions=1 steps=2 ")
        assert "status=optimal" in record.getMessage()

    def test_defaults_are_taken_without_options(self) -> None:
        """Quarters, means, cost."""
        plan = optimize(make_scenario(tariff=make_tariff()))

        assert plan.grid.step_hours.tolist() == [0.25] * 8
        assert [stage.name for stage in plan.stages] == ["unmet_energy", "energy_cost", "earliest_delivery"]

    def test_the_order_of_stages_is_an_option(self) -> None:
        """Earliest delivery before cost fills the first hour although it is dearer."""
        scenario = one_limit(50.0, [make_session()], tariff=make_tariff((0.30, 0.20)))
        early = (Stage.UNMET_ENERGY, Stage.EARLIEST_DELIVERY, Stage.ENERGY_COST)

        plan = planned(scenario, replace(HOURLY, objective=early))

        assert table(plan) == approx({"S1": [10.0, 0.0]})
