"""Powers that chargers can be set to: rounding, the exact program, and what the check of a plan refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.domain.group import Charger
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from models.errors import InputError, VerificationError
from optimizer.engine import optimize
from optimizer.extract import tidy
from optimizer.formulation import formulate
from optimizer.heuristics import allocate
from optimizer.options import LimitMode, OptimizeOptions, PilotMode, SolverOptions, Stage, Strategy
from optimizer.pilot_program import plan_of, start_from
from optimizer.pilots import round_to_pilots
from optimizer.prepare import prepare
from optimizer.verify import verify
from tests.builders import (
    HOUR,
    make_charger,
    make_forecast,
    make_scenario,
    make_session,
    make_site,
    make_tariff,
)
from tests.properties.strategies import Case, cases

HOURLY = OptimizeOptions(raster=HOUR)
MODES = (PilotMode.ROUNDED, PilotMode.EXACT)
SETTINGS: st.SearchStrategy[tuple[float, tuple[float, ...]]] = st.sampled_from(
    [(1.4, ()), (4.1, ()), (0.0, (1.4, 2.3, 3.2, 3.7)), (2.0, (1.0, 2.0, 3.0, 3.5)), (0.0, ())]
)
"""Least power and levels, kW."""


def charger(charger_id: str = "C1", *, minimum_kw: float = 0.0, levels_kw: Iterable[float] = ()) -> Charger:
    """A charger of 22 kW with settings."""
    return replace(make_charger(charger_id), min_power_kw=minimum_kw, power_levels_kw=tuple(levels_kw))


def scenario_of(
    *chargers: Charger, limit_kw: Iterable[float], energy_kwh: float = 10.0, prices: Iterable[float] = (0.2, 0.3)
) -> Scenario:
    """One session of two hours at each charger under hourly limits."""
    sessions = [make_session(f"S{c.charger_id}", charger_id=c.charger_id, energy_kwh=energy_kwh) for c in chargers]
    return make_scenario(
        site=make_site(chargers=chargers),
        sessions=sessions,
        tariff=make_tariff(prices),
        forecasts=[make_forecast(limit_kw)],
    )


def rows(schedule: Schedule, session: int = 0) -> list[tuple[float, float]]:
    """Power and hours of a session's rows."""
    mine = np.flatnonzero(schedule.session_index == session)
    hours = (schedule.end_s - schedule.start_s)[mine] / 3600
    return [(round(p, 9), round(h, 9)) for p, h in zip(schedule.power_kw[mine].tolist(), hours.tolist(), strict=True)]


class TestSettings:
    @pytest.mark.parametrize(
        ("power_kw", "expected_kw"), [(0.0, 0.0), (1.9, 0.0), (2.0, 2.0), (3.9, 2.0), (8.0, 8.0), (30.0, 8.0)]
    )
    def test_the_highest_level_not_above(self, power_kw: float, expected_kw: float) -> None:
        """With levels of 2, 4 and 8 kW, 3.9 kW is set to 2 kW and 1.9 kW to none."""
        assert charger(levels_kw=(2.0, 4.0, 8.0)).setting_kw(power_kw) == expected_kw

    @pytest.mark.parametrize(("power_kw", "expected_kw"), [(1.3, 0.0), (1.4, 1.4), (5.0, 5.0), (30.0, 22.0)])
    def test_any_power_from_the_least_on(self, power_kw: float, expected_kw: float) -> None:
        """With a least power of 1.4 kW, less is none and more is itself, up to 22 kW."""
        assert charger(minimum_kw=1.4).setting_kw(power_kw) == expected_kw

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"min_power_kw": 23.0}, "min_power_kw is 23.0 kW, above max_power_kw of 22.0 kW"),
            ({"min_power_kw": -1.0}, "min_power_kw is -1.0"),
            ({"power_levels_kw": (2.0, 2.0)}, "must increase"),
            ({"power_levels_kw": (2.0, float("inf"))}, "power_levels_kw is inf"),
        ],
    )
    def test_settings_that_cannot_be(self, changes: dict[str, object], message: str) -> None:
        """A least power above the most, a negative one, levels out of order and infinite ones are refused by name."""
        with pytest.raises(InputError, match=message):
            replace(make_charger(), **changes)  # type: ignore[arg-type]

    def test_a_vehicle_below_every_setting_cannot_charge(self) -> None:
        """A vehicle of 1 kW at a charger that begins at 1.4 kW takes nothing: all 10 kWh are unreachable."""
        session = make_session(max_power_kw=1.0)
        plan = optimize(make_scenario(site=make_site(chargers=[charger(minimum_kw=1.4)]), sessions=[session]), HOURLY)

        assert plan.unreachable_energy_kwh == 10.0
        assert plan.power_kw.size == 0

    def test_a_run_that_is_too_long_is_refused(self) -> None:
        """Nobody has to stay on for more than 4 hours."""
        with pytest.raises(InputError, match="minimum_run is 5:00:00"):
            OptimizeOptions(minimum_run=timedelta(hours=5))


class TestByHand:
    @pytest.mark.parametrize("mode", MODES)
    def test_below_the_least_power_is_off(self, mode: PilotMode) -> None:
        """Under 1 kW a charger that begins at 1.4 kW can run for 43 minutes in its last hour at the most: by the mean
        of the hour, 1 kWh at 1.4 kW. Before, it is off, since a break would follow.
        """
        plan = optimize(scenario_of(charger(minimum_kw=1.4), limit_kw=(1.0, 1.0)), replace(HOURLY, pilots=mode))

        assert rows(plan) == [(1.4, round(1.0 / 1.4, 9))]
        assert plan.delivered_energy_kwh == pytest.approx(1.0)

    @pytest.mark.parametrize("mode", MODES)
    def test_the_rest_is_served_in_a_shortened_row(self, mode: PilotMode) -> None:
        """10 kWh at levels of 4 and 8 kW, cheaper in the first hour: 8 kW for an hour, then 4 kW for half an hour."""
        plan = optimize(scenario_of(charger(levels_kw=(4.0, 8.0)), limit_kw=(50.0, 50.0)), replace(HOURLY, pilots=mode))

        assert rows(plan) == [(8.0, 1.0), (4.0, 0.5)]
        assert plan.energy_cost == pytest.approx(8 * 0.2 + 2 * 0.3)

    @pytest.mark.parametrize("mode", MODES)
    def test_instantaneous_limits_count_the_power_of_a_shortened_row(self, mode: PilotMode) -> None:
        """Two sessions of 5 kWh at 4 kW under 7 kW at every moment: 4 kW each do not fit at once, so that one of them
        charges in each hour: 4 kWh each at 4 kW, never 7 kWh in an hour.
        """
        options = replace(HOURLY, pilots=mode, limit_mode=LimitMode.INSTANTANEOUS)
        pair = (charger("C1", levels_kw=(4.0,)), charger("C2", levels_kw=(4.0,)))

        plan = optimize(scenario_of(*pair, limit_kw=(7.0, 7.0), energy_kwh=5.0), options)

        assert plan.delivered_energy_kwh == pytest.approx(8.0)
        assert plan.group("main").power_kw.tolist() == pytest.approx([4.0, 4.0])

    def test_what_a_step_loses_the_next_one_makes_up_for(self) -> None:
        """Three hours under 5 kW with levels of 2 kW each: always rounding down gives 4 + 4 + 4 kWh of the 15 that
        the limit allows. Two chargers at 2, 4 and 6 kW cannot do better by the hour, but three at 1 kW notches can.
        """
        chargers = [charger(f"C{i}", levels_kw=(1.0, 2.0, 3.0)) for i in range(3)]
        sessions = [make_session(f"S{i}", charger_id=f"C{i}", departure=None, energy_kwh=10.0) for i in range(3)]
        scenario = make_scenario(
            site=make_site(chargers=chargers), sessions=sessions, forecasts=[make_forecast((5.0, 5.0))]
        )

        plan = optimize(scenario, HOURLY)

        assert plan.delivered_energy_kwh == pytest.approx(10.0)

    @pytest.mark.parametrize("mode", MODES)
    def test_a_session_stays_on(self, mode: PilotMode) -> None:
        """A session of 6 kWh at 4 kW in half-hours of alternating price would run in the three cheap ones; with a
        least run of an hour it is on without a break of less than an hour's run before.
        """
        prices = make_tariff((0.1, 0.9, 0.1, 0.9, 0.1, 0.9))
        session = make_session(departure=make_session().arrival + 6 * HOUR, energy_kwh=12.0)
        scenario = make_scenario(
            site=make_site(chargers=[charger(levels_kw=(4.0,))]), sessions=[session], tariff=prices
        )
        options = replace(HOURLY, pilots=mode, minimum_run=timedelta(hours=2))

        free = optimize(scenario, replace(options, minimum_run=timedelta(0)))
        held = optimize(scenario, options)

        assert free.energy_cost == pytest.approx(12 * 0.1)
        assert held.unmet_energy_kwh == pytest.approx(0.0)
        runs = np.split(held.step_index, np.flatnonzero(np.diff(held.step_index) > 1) + 1)
        assert all(run.size >= 2 for run in runs[:-1])

    def test_continuous_plans_ignore_settings(self) -> None:
        """Asked to plan any power, the plan is that of a charger without settings."""
        with_settings = scenario_of(charger(levels_kw=(4.0, 8.0)), limit_kw=(5.0, 3.0))
        options = replace(HOURLY, pilots=PilotMode.CONTINUOUS)

        plan = optimize(with_settings, options)

        assert plan.status is ScheduleStatus.OPTIMAL
        assert rows(plan) == [(5.0, 1.0), (3.0, 1.0)]

    def test_a_rounded_plan_says_how_far_the_best_may_be(self) -> None:
        """Levels of 4 and 8 kW under 5 and 3 kW: 4 kWh and, by the mean, 3 kWh more at 4 kW for 45 minutes. 7 of
        10 kWh; no plan leaves less than 2 kWh, as a stepless one does.
        """
        plan = optimize(scenario_of(charger(levels_kw=(4.0, 8.0)), limit_kw=(5.0, 3.0)), HOURLY)

        unmet = plan.stages[0]
        assert plan.status is ScheduleStatus.FEASIBLE
        assert unmet.value == pytest.approx(3.0)
        assert unmet.bound == pytest.approx(2.0)
        assert not unmet.proved


Numbers = tuple[float, ...]


def best_by_enumeration(limits_kw: Numbers, needs_kwh: Numbers, levels_kw: Numbers) -> float:
    """Most energy of sessions over hours under limits of the mean: every choice of settings, then the most of each.

    The last hour in which a session is on may be cut short, so that it delivers anything up to its setting.
    """
    choices = list(itertools.product((0.0, *levels_kw), repeat=len(limits_kw)))
    best = 0.0
    for plan in itertools.product(choices, repeat=len(needs_kwh)):
        room = list(limits_kw)
        total = 0.0
        feasible = True
        tails: list[tuple[int, float]] = []
        for powers, need in zip(plan, needs_kwh, strict=True):
            on = [hour for hour, power in enumerate(powers) if power > 0]
            if not on:
                continue
            fixed = sum(powers[hour] for hour in on[:-1])
            if fixed > need + 1e-9:
                feasible = False
                break
            for hour in on[:-1]:
                room[hour] -= powers[hour]
            total += fixed
            tails.append((on[-1], min(powers[on[-1]], need - fixed)))
        if not feasible or min(room) < -1e-9:
            continue
        for hour in range(len(limits_kw)):
            total += min(max(room[hour], 0.0), sum(energy for at, energy in tails if at == hour))
        best = max(best, total)
    return best


@settings(max_examples=15)
@given(
    st.tuples(*[st.sampled_from([1.0, 2.5, 3.0, 5.0])] * 3),
    st.tuples(*[st.sampled_from([2.0, 4.5, 7.0])] * 2),
    st.sampled_from([(2.0,), (1.5, 3.0), (1.0, 2.0, 4.0)]),
)
def test_the_exact_plan_is_the_best_of_all(limits_kw: Numbers, needs_kwh: Numbers, levels_kw: Numbers) -> None:
    """Two sessions over three hours: no choice of settings out of all of them delivers more than the exact plan, and
    rounding never more than that.
    """
    chargers = [charger(f"C{i}", levels_kw=levels_kw) for i in range(2)]
    sessions = [
        make_session(f"S{i}", charger_id=f"C{i}", departure=make_session().arrival + 3 * HOUR, energy_kwh=need)
        for i, need in enumerate(needs_kwh)
    ]
    scenario = make_scenario(site=make_site(chargers=chargers), sessions=sessions, forecasts=[make_forecast(limits_kw)])

    exact = optimize(scenario, replace(HOURLY, pilots=PilotMode.EXACT))
    rounded = optimize(scenario, HOURLY)

    best_kwh = best_by_enumeration(limits_kw, needs_kwh, levels_kw)
    assert exact.status is ScheduleStatus.OPTIMAL
    assert exact.delivered_energy_kwh == pytest.approx(best_kwh, abs=1e-5)
    assert rounded.delivered_energy_kwh <= best_kwh + 1e-5


@st.composite
def settable_cases(draw: st.DrawFn, *, limit_modes: Iterable[LimitMode] = LimitMode) -> Case:
    """Any case, its chargers with settings."""
    case = draw(cases(limit_modes=limit_modes))
    chargers = []
    for one in case.site.chargers:
        minimum_kw, levels_kw = draw(SETTINGS)
        chargers.append(replace(one, min_power_kw=min(minimum_kw, one.max_power_kw), power_levels_kw=levels_kw))
    return replace(
        case.with_options(minimum_run=draw(st.sampled_from([timedelta(0), timedelta(minutes=40)]))),
        site=replace(case.site, chargers=tuple(chargers)),
    )


@settings(max_examples=80)
@given(settable_cases(), st.sampled_from([Strategy.OPTIMAL, Strategy.LEAST_LAXITY, Strategy.EQUAL_SHARE]))
def test_a_rounded_plan_passes_the_check_itself(case: Case, strategy: Strategy) -> None:
    """Whatever the site, what rounding gives holds every limit, setting and need: nothing has to stand in for it."""
    case = case.with_options(strategy=strategy)

    plan = optimize(case.scenario, case.options)

    assert plan.status is not ScheduleStatus.FALLBACK
    stepless = optimize(case.scenario, replace(case.options, pilots=PilotMode.CONTINUOUS))
    if strategy is Strategy.OPTIMAL and (case.sessions and len({s.priority for s in case.sessions}) == 1):
        reachable = plan.requested_energy_kwh - plan.unreachable_energy_kwh
        assert plan.delivered_energy_kwh <= min(reachable, stepless.delivered_energy_kwh) + 1e-5


@settings(max_examples=30)
@given(cases(), st.sampled_from([Strategy.OPTIMAL, Strategy.EARLIEST_DEADLINE]))
def test_rounding_to_any_power_changes_nothing(case: Case, strategy: Strategy) -> None:
    """A charger whose least power is next to nothing takes every power: the plan is the stepless one."""
    fine = tuple(replace(one, min_power_kw=min(1e-7, one.max_power_kw)) for one in case.site.chargers)
    with_least = replace(case, site=replace(case.site, chargers=fine)).with_options(strategy=strategy)

    plan = optimize(with_least.scenario, with_least.options)
    stepless = optimize(case.scenario, replace(case.options, strategy=strategy))

    assert plan.delivered_energy_kwh == pytest.approx(stepless.delivered_energy_kwh, abs=1e-4)
    assert plan.energy_cost == pytest.approx(stepless.energy_cost, abs=1e-4)


@settings(max_examples=30)
@given(settable_cases(limit_modes=[LimitMode.MEAN]))
def test_a_rounded_plan_is_a_point_of_the_exact_program(case: Case) -> None:
    """What rounding found, said in the variables of the exact program, holds all its rows and bounds: the search starts
    from it. Said in powers again, it is the same plan.
    """
    case = case.with_options(minimum_run=timedelta(0), pilots=PilotMode.EXACT)
    problem = prepare(case.scenario, case.options)
    rules = problem.pilot_rules
    assume(rules is not None and problem.columns)
    assert rules is not None
    rounded = round_to_pilots(problem, rules, tidy(problem, allocate(problem, Strategy.EARLIEST_DEADLINE)))
    program = formulate(problem, (Stage.UNMET_ENERGY,))

    values = start_from(problem, rules, rounded)
    point = np.zeros(program.column_count)
    for name, value in values.items():
        point[program.columns[name]] = value
    back = plan_of(problem, rules, values["energy_kwh"])

    activity = program.activity(point)
    assert (activity >= program.row_lower - 1e-5).all()
    assert (activity <= program.row_upper + 1e-5).all()
    assert (point >= program.column_lower - 1e-9).all()
    assert (point <= program.column_upper + 1e-5).all()
    np.testing.assert_allclose(back.energy_kwh, rounded.energy_kwh, atol=1e-5)
    on = back.energy_kwh > 0
    np.testing.assert_allclose((back.energy_kwh / back.hours)[on], (rounded.energy_kwh / rounded.hours)[on], atol=1e-5)


class TestCheck:
    def planned(self) -> tuple[Scenario, Schedule]:
        """8 kW for an hour, then 4 kW for half an hour, at levels of 4 and 8 kW."""
        scenario = scenario_of(charger(levels_kw=(4.0, 8.0)), limit_kw=(50.0, 50.0))
        return scenario, optimize(scenario, HOURLY)

    def test_a_power_without_setting_is_refused(self) -> None:
        """8 kW for an hour is 7.5 kW for an hour and four minutes, but a charger with 4 and 8 kW has no 7.5 kW."""
        scenario, plan = self.planned()
        wrong = replace(plan, power_kw=np.array([7.5, 5.0]))

        with pytest.raises(VerificationError, match=r"planned 7\.500000 kW, which charger 'C1' has no setting for"):
            verify(scenario, wrong, limit_mode=LimitMode.MEAN)

    def test_a_break_within_a_step_is_refused(self) -> None:
        """The row of the first hour may not end early when another one follows."""
        scenario, plan = self.planned()
        wrong = replace(plan, end_s=plan.end_s - np.array([600.0, 0.0]))

        with pytest.raises(VerificationError, match="is switched within a step and not for the last time"):
            verify(scenario, wrong, limit_mode=LimitMode.MEAN)


def test_time_runs_out_and_the_rounded_plan_stands_in() -> None:
    """With next to no time for the search there is a plan all the same, verified and not called optimal."""
    chargers = [charger(f"C{i}", levels_kw=(1.4, 2.1, 2.8, 3.5)) for i in range(12)]
    scenario = scenario_of(*chargers, limit_kw=(13.3, 17.1))
    options = OptimizeOptions(pilots=PilotMode.EXACT, solver=SolverOptions(time_limit_s=0.3))

    plan = optimize(scenario, options)

    rounded = optimize(scenario, replace(options, pilots=PilotMode.ROUNDED))
    assert plan.status in (ScheduleStatus.FEASIBLE, ScheduleStatus.OPTIMAL)
    assert plan.delivered_energy_kwh >= rounded.delivered_energy_kwh - 1e-3
