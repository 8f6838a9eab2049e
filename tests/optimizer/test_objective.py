"""Which stages apply, and when one solve may stand for unmet energy and cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.domain.capacity import Phase
from models.domain.scenario import Scenario
from models.domain.session import ChargingSession
from optimizer.engine import optimize
from optimizer.formulation import formulate
from optimizer.linear_program import LinearProgram
from optimizer.objective import LARGEST_WEIGHT, SAFETY, applicable_stages, merge_weight
from optimizer.options import COST_OBJECTIVE, PEAK_OBJECTIVE, LimitMode, OptimizeOptions, SolverOptions, Stage, Strategy
from optimizer.prepare import prepare
from optimizer.solver import solve
from tests.builders import HOUR, make_charger, make_forecast, make_scenario, make_session, make_site, make_tariff
from tests.properties.strategies import Case, cases

HOURLY = OptimizeOptions(raster=HOUR)
INSTANTANEOUS = replace(HOURLY, limit_mode=LimitMode.INSTANTANEOUS)
MERGED = (Stage.UNMET_ENERGY, Stage.ENERGY_COST)
ODD_STAY = {"departure": make_session().arrival + 1.5 * HOUR}


def weight_of(scenario: Scenario, options: OptimizeOptions = HOURLY) -> float | None:
    """The weight for the stages that apply."""
    problem = prepare(scenario, options)
    return merge_weight(problem, applicable_stages(problem, options.objective))


def two_priorities(first: float, second: float) -> list[ChargingSession]:
    """Two sessions at one charger."""
    return [make_session("A", priority=first), make_session("B", priority=second)]


class TestApplicableStages:
    """A stage without data falls away."""

    def test_all_apply_where_everything_is_known(self) -> None:
        """With prices, a plan in force and a price of moving nothing falls away, and the order is kept."""
        scenario = make_scenario(tariff=make_tariff())
        previous = optimize(scenario, replace(HOURLY, strategy=Strategy.EARLIEST_DEADLINE))
        problem = prepare(replace(scenario, previous=previous), replace(HOURLY, moving_price_per_kwh=0.01))

        assert applicable_stages(problem, PEAK_OBJECTIVE) == PEAK_OBJECTIVE

    def test_no_cost_without_prices(self) -> None:
        """Without a tariff and a plan in force, unmet energy and delay are left."""
        problem = prepare(make_scenario(), HOURLY)

        assert applicable_stages(problem, COST_OBJECTIVE) == (Stage.UNMET_ENERGY, Stage.EARLIEST_DELIVERY)

    @pytest.mark.parametrize("stage", [Stage.PEAK_POWER, Stage.EARLIEST_DELIVERY])
    def test_only_unmet_energy_without_sessions(self, stage: Stage) -> None:
        """With nobody to plan for there is nothing to choose."""
        problem = prepare(make_scenario(sessions=[], forecasts=[make_forecast()]), HOURLY)

        assert applicable_stages(problem, (Stage.UNMET_ENERGY, stage)) == (Stage.UNMET_ENERGY,)


class TestMergeWeight:
    """W must outweigh any price where energy is unmet, and any difference of prices between priorities."""

    def test_it_is_twice_the_highest_price(self) -> None:
        """Prices 0.20 and 0.30, priority 1: more than 0.30 is needed, 0.60 is taken."""
        assert weight_of(make_scenario(tariff=make_tariff())) == pytest.approx(SAFETY * 0.30)

    @pytest.mark.parametrize(
        ("first", "second", "needed"),
        [
            pytest.param(1.0, 1.0, 0.30, id="equal"),
            pytest.param(0.5, 0.5, 0.60, id="both low"),
            pytest.param(1.0, 2.0, 0.30, id="far apart"),
            pytest.param(1.0, 1.1, 1.00, id="close: 0.10 between the prices over 0.1 between the priorities"),
        ],
    )
    def test_priorities_raise_it(self, first: float, second: float, needed: float) -> None:
        """W x lowest priority exceeds 0.30, and W x difference of priorities the 0.10 between the prices."""
        scenario = make_scenario(sessions=two_priorities(first, second), tariff=make_tariff())

        assert weight_of(scenario) == pytest.approx(SAFETY * needed)

    def test_priorities_that_differ_by_next_to_nothing_are_not_merged(self) -> None:
        """0.10 between prices over 0.00001 between priorities would need 10 000 for prices of 0.30: prices would drown
        in the solver's tolerance.
        """
        scenario = make_scenario(sessions=two_priorities(1.0, 1.00001), tariff=make_tariff())

        assert LARGEST_WEIGHT * 0.3 < 0.1 / 0.00001
        assert weight_of(scenario) is None

    def test_priorities_far_apart_are_not_merged(self) -> None:
        """0.6 / 0.001 at the highest priority of 100 is 60 000, more than 10 000 times 0.30."""
        scenario = make_scenario(sessions=two_priorities(0.001, 100.0), tariff=make_tariff())

        assert weight_of(scenario) is None

    def test_prices_of_zero_take_any_weight(self) -> None:
        """Where energy costs nothing, unmet energy is all there is."""
        assert weight_of(make_scenario(tariff=make_tariff((0.0, 0.0)))) == 1.0

    def test_negative_prices_count_by_their_size(self) -> None:
        """At -0.50 the highest price by size is 0.50."""
        assert weight_of(make_scenario(tariff=make_tariff((-0.50, 0.30)))) == pytest.approx(SAFETY * 0.50)

    @pytest.mark.parametrize("mode", list(LimitMode))
    def test_whole_steps_merge_in_either_meaning_of_a_limit(self, mode: LimitMode) -> None:
        """Who is there for whole steps counts as it is, whatever a limit means."""
        assert weight_of(make_scenario(tariff=make_tariff()), replace(HOURLY, limit_mode=mode)) is not None

    def test_a_step_shared_in_part_is_not_proved_for_every_moment(self) -> None:
        """Half an hour's stay in an hourly step counts twice where every moment counts: no flow, no proof."""
        scenario = make_scenario(sessions=[make_session(**ODD_STAY)], tariff=make_tariff())  # type: ignore[arg-type]

        assert weight_of(scenario, INSTANTANEOUS) is None
        assert weight_of(scenario) is not None

    def test_limits_per_phase_are_not_proved(self) -> None:
        """Phases cross the tree: a charger of three phases counts against three limits by a third."""
        forecast = make_forecast((5.0, 5.0), phase=Phase.ONE)

        assert weight_of(make_scenario(forecasts=[forecast], tariff=make_tariff())) is None

    def test_shared_chargers_are_nested_in_their_group(self) -> None:
        """A charger that two sessions share is one more level of the tree."""
        assert weight_of(make_scenario(sessions=two_priorities(1.0, 1.0), tariff=make_tariff())) is not None

    @pytest.mark.parametrize(
        "objective",
        [
            pytest.param(PEAK_OBJECTIVE, id="peak before cost"),
            pytest.param((Stage.UNMET_ENERGY, Stage.EARLIEST_DELIVERY, Stage.ENERGY_COST), id="delay before cost"),
            pytest.param((Stage.UNMET_ENERGY,), id="no cost"),
        ],
    )
    def test_only_unmet_energy_and_cost_merge(self, objective: tuple[Stage, ...]) -> None:
        """Whatever comes between unmet energy and cost has no such weight."""
        assert weight_of(make_scenario(tariff=make_tariff()), replace(HOURLY, objective=objective)) is None

    def test_no_prices_no_weight(self) -> None:
        """Without a tariff there is nothing to merge."""
        assert weight_of(make_scenario()) is None


class TestExactness:
    """A merged solve without any check gives what the stages give one after the other."""

    @settings(max_examples=100)
    @given(cases(limit_modes=[LimitMode.MEAN], per_phase=False, objectives=[MERGED]))
    def test_the_weight_alone_is_exact(self, case: Case) -> None:
        """Minimising W x unmet + cost as one cost, with nothing to catch a mistake, reaches the least unmet energy and
        at that the least cost.
        """
        problem = prepare(case.scenario, case.options)
        stages = applicable_stages(problem, case.options.objective)
        weight = merge_weight(problem, stages)
        assume(weight is not None)
        program = formulate(problem, stages)

        together = solve(one_stage(program, weight or 0.0), SolverOptions())
        in_order = solve(program, SolverOptions())

        reached = [stage.value(together.column_value) for stage in program.stages]
        assert reached == pytest.approx([stage.value for stage in in_order.stages], rel=1e-6, abs=1e-5)

    @settings(max_examples=60)
    @given(
        st.lists(st.sampled_from([1.0, 1.1, 1.5, 2.0, 7.0]), min_size=2, max_size=5),
        st.lists(st.sampled_from([-0.2, 0.0, 0.1, 0.25, 0.6]), min_size=2, max_size=2),
        st.floats(1.0, 15.0),
    )
    def test_priorities_decide_before_prices(
        self, priorities: list[float], prices: list[float], limit_kw: float
    ) -> None:
        """Sessions that all stay two hours and ask for 10 kWh each are served in order of priority, whatever the
        prices, until two hours of the limit are spent.
        """
        site = make_site(chargers=[make_charger(f"C{index}") for index in range(len(priorities))])
        site = replace(site, groups=(replace(site.groups[0], import_limit_kw=limit_kw),))
        sessions = [
            make_session(f"S{index}", charger_id=f"C{index}", priority=priority)
            for index, priority in enumerate(priorities)
        ]

        plan = optimize(make_scenario(site=site, sessions=sessions, tariff=make_tariff(prices)), HOURLY)

        left_kwh, weighted_kwh = 2 * limit_kw, 0.0
        for priority in sorted(priorities, reverse=True):
            given_kwh = min(10.0, left_kwh)
            left_kwh -= given_kwh
            weighted_kwh += priority * (10.0 - given_kwh)
        assert plan.stages[0].value == pytest.approx(weighted_kwh, abs=1e-5)


def one_stage(program: LinearProgram, weight: float) -> LinearProgram:
    """The program with its first two stages added up."""
    first, second = program.stages
    return replace(program, stages=(replace(first, cost=np.add(weight * first.cost, second.cost)),))
