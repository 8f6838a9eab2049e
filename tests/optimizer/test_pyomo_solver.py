"""Other solvers on the same model: the same values in every stage, or a clear refusal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import HealthCheck, given, settings

from models.domain.scenario import Scenario
from models.domain.schedule import ScheduleStatus
from models.errors import SolverConfigError, SolverError
from optimizer import pyomo_solver
from optimizer.bench.synthetic import scenario as synthetic_scenario
from optimizer.compile import compile_model
from optimizer.engine import optimize
from optimizer.formulation import formulate
from optimizer.highs import Solution, SolveStatus
from optimizer.objective import applicable_stages
from optimizer.options import PEAK_OBJECTIVE, LimitMode, OptimizeOptions, SolverOptions, Strategy
from optimizer.prepare import prepare
from optimizer.pyomo_model import pyomo_model
from optimizer.pyomo_solver import solve_with
from optimizer.solver import solve
from optimizer.verify import verify
from tests.builders import HOUR, make_forecast, make_scenario, make_session, make_tariff
from tests.properties.strategies import Case, cases

HOURLY = OptimizeOptions(raster=HOUR)
VALUE_TOLERANCE = 2e-3
"""Relative. A stage gives away some ten-millionths of the earlier ones, and others weigh that differently: a millionth
of a kW at the peak is moved energy in many steps.
"""
FIRST_STAGE_TOLERANCE = 1e-6
"""Relative: nothing is given away before the first."""

OTHERS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not pyo.SolverFactory(name).available(exception_flag=False), reason=f"{name} is not installed"
        ),
    )
    for name in ("appsi_highs", "glpk", "cbc")
]


def other_solution(scenario: Scenario, options: OptimizeOptions) -> Solution:
    """What the solver named in the options gives."""
    problem = prepare(scenario, options)
    model = pyomo_model(formulate(problem, applicable_stages(problem, options.objective)))
    return solve_with(model, compile_model(model), options.solver)


def own_solution(scenario: Scenario, options: OptimizeOptions) -> Solution:
    """What the default path gives."""
    problem = prepare(scenario, options)
    return solve(formulate(problem, applicable_stages(problem, options.objective)), SolverOptions())


def values(solution: Solution) -> list[float]:
    """What each stage reached, first stage first."""
    return [stage.value for stage in solution.stages]


def by(name: str, options: OptimizeOptions = HOURLY) -> OptimizeOptions:
    """The same options with another solver."""
    return replace(options, solver=SolverOptions(name=name))


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("mode", list(LimitMode))
@pytest.mark.parametrize("limit_share", [1.0, 0.3], ids=["ample", "scarce"])
def test_the_stages_reach_the_same(name: str, mode: LimitMode, limit_share: float) -> None:
    """A day of 12 sessions on two feeders, with peak, plan in force and a price of moving: every stage has the value of
    the default.
    """
    scenario = synthetic_scenario(12, seed=3, limit_share=limit_share, feeders=2)
    options = replace(HOURLY, limit_mode=mode, objective=PEAK_OBJECTIVE, moving_price_per_kwh=0.01)
    previous = optimize(scenario, replace(options, strategy=Strategy.EARLIEST_DEADLINE))
    scenario = replace(scenario, previous=previous)

    other, own = other_solution(scenario, by(name, options)), own_solution(scenario, options)

    assert other.is_optimal
    assert [stage.name for stage in other.stages] == list(PEAK_OBJECTIVE)
    assert values(other)[0] == pytest.approx(values(own)[0], rel=FIRST_STAGE_TOLERANCE, abs=FIRST_STAGE_TOLERANCE)
    assert values(other) == pytest.approx(values(own), rel=VALUE_TOLERANCE, abs=VALUE_TOLERANCE)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_random_scenarios_reach_the_same(case: Case) -> None:
    """Pyomo's own way to HiGHS, which shares neither our translation nor our stages, reaches the same values."""
    other = other_solution(case.scenario, by("appsi_highs", case.options))
    own = own_solution(case.scenario, case.options)

    assert values(other) == pytest.approx(values(own), rel=VALUE_TOLERANCE, abs=VALUE_TOLERANCE)


@pytest.mark.parametrize("name", OTHERS)
def test_the_whole_way_to_a_schedule(name: str) -> None:
    """10 kWh at 0.20 and 0.30 under 6 kW: 6 and 4 kWh, 2.40, verified and optimal, whoever solves it."""
    scenario = make_scenario(forecasts=[make_forecast((6.0, 6.0))], tariff=make_tariff())

    plan = optimize(scenario, by(name))

    assert plan.status is ScheduleStatus.OPTIMAL
    assert plan.energy_cost == pytest.approx(2.40, abs=1e-5)
    assert plan.energy_kwh.tolist() == pytest.approx([6.0, 4.0], abs=1e-4)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize(
    ("energy_kwh", "expected"), [(10.0, [0.10, 0.0]), (20.0, [9.80, 9.70])], ids=["served", "short"]
)
def test_prices_of_limits_are_the_same(name: str, energy_kwh: float, expected: list[float]) -> None:
    """Under 6 kW at 0.20 and 0.30: where 10 kWh are served, a further kWh in the cheaper hour saves 0.10; where 20 are
    not, it is worth 10 and costs the price of its hour. Where a solver gives no duals the price is unknown, not zero.
    """
    scenario = make_scenario(
        sessions=[make_session(energy_kwh=energy_kwh)], forecasts=[make_forecast((6.0, 6.0))], tariff=make_tariff()
    )

    prices = optimize(scenario, by(name)).group("main").shadow_price_per_kwh

    assert np.isnan(prices).all() or prices.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", OTHERS)
def test_nobody_to_plan_for(name: str) -> None:
    """Without sessions there is nothing to solve; the plan is empty."""
    plan = optimize(make_scenario(sessions=[], forecasts=[make_forecast()]), by(name))

    assert plan.power_kw.size == 0


@pytest.mark.parametrize("name", ["no_such_solver", "", "HIGHS", "gurobi_that_is_not_here"])
def test_an_unknown_solver_is_named(name: str) -> None:
    """A name Pyomo does not know, or that is not installed, is an error that has the name and no fallback."""
    with pytest.raises(SolverConfigError, match=repr(name)):
        optimize(make_scenario(), by(name))


def test_a_time_limit_needs_an_option_to_pass_it_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where we do not know how a solver is told its time limit, the limit is refused and not ignored."""
    monkeypatch.setattr(pyomo_solver, "TIME_LIMIT_OPTION", {})
    options = replace(HOURLY, solver=SolverOptions(name="appsi_highs", time_limit_s=5.0))

    with pytest.raises(SolverConfigError, match="no time limit is known for solver 'appsi_highs'"):
        optimize(make_scenario(), options)


@pytest.mark.parametrize("name", OTHERS)
def test_a_time_limit_is_passed_on(name: str) -> None:
    """With time enough each solver takes the limit and proves the optimum."""
    options = replace(HOURLY, solver=SolverOptions(name=name, time_limit_s=30.0))

    assert optimize(make_scenario(), options).status is ScheduleStatus.OPTIMAL


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.05])
def test_a_deadline_is_kept(seconds: float) -> None:
    """200 sessions in next to no time by a solver of Pyomo's, which would hide that it stopped: the plan holds every
    limit, and is called optimal only where every stage was proved; a stage is not begun past the deadline.
    """
    scenario = synthetic_scenario(200, seed=5, limit_share=0.35, feeders=3)
    options = OptimizeOptions(solver=SolverOptions(name="appsi_highs", time_limit_s=seconds))

    plan = optimize(scenario, options)

    assert verify(scenario, plan, limit_mode=options.limit_mode).violations == ()
    assert (plan.status is ScheduleStatus.OPTIMAL) == (bool(plan.stages) and all(s.proved for s in plan.stages))
    if seconds == 0.0:
        assert plan.status is ScheduleStatus.FALLBACK
        assert any("time limit" in note for note in plan.notes)
    assert plan.delivered_energy_kwh > 0.5 * plan.requested_energy_kwh


@pytest.mark.parametrize("name", OTHERS[:2])
def test_a_refused_option_is_an_error(name: str) -> None:
    """An option the solver does not know does not pass in silence; only CBC itself skips what it does not know."""
    options = SolverOptions(name=name, extra={"no_such_option": 1})

    with pytest.raises(SolverError, match=r"no_such_option|failed"):
        other_solution(make_scenario(), replace(HOURLY, solver=options))


def test_a_stage_that_is_out_of_reach_gets_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver holds rows only within its tolerance, and may reach a value that it cannot find again. 8 kWh unmet are
    first held within a ten-millionth and, where the next stage finds no plan, from then on within a millionth: a stage
    that was given more room has used it.
    """
    bounds: list[list[float]] = []
    solve_active = pyomo_solver._solve_active

    def too_tight_at_first(model: pyo.ConcreteModel, *arguments: object) -> SolveStatus:
        bounds.append([row.ub for row in model.reached.values()])
        return SolveStatus.INFEASIBLE if len(bounds) == 2 else solve_active(model, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pyomo_solver, "_solve_active", too_tight_at_first)
    short = make_scenario(
        sessions=[make_session(energy_kwh=20.0)], forecasts=[make_forecast((6.0, 6.0))], tariff=make_tariff()
    )

    solution = other_solution(short, by("appsi_highs"))

    assert solution.is_optimal
    rooms = [[bound - 8.0 for bound in at_once[:1]] for at_once in bounds]
    assert rooms == [pytest.approx(room, abs=1e-9) for room in ([], [8e-7], [8e-6], [8e-6])]


@pytest.mark.parametrize("name", OTHERS)
def test_an_infeasible_model_is_an_error(name: str) -> None:
    """Where the need is fixed above what the limit allows and slack is forbidden, no solver has a plan."""
    problem = prepare(make_scenario(forecasts=[make_forecast((1.0, 1.0))]), HOURLY)
    model = pyomo_model(formulate(problem, applicable_stages(problem, HOURLY.objective)))
    model.unmet_kwh[0].setub(0.0)

    with pytest.raises(SolverError, match=f"{name!r}.*infeasible|failed"):
        solve_with(model, compile_model(model), SolverOptions(name=name))


def test_a_later_stage_that_fails_keeps_the_plan_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the second stage runs out of time, the values of the first hold and the rest is not called optimal."""
    calls: list[str] = []
    solve_active = pyomo_solver._solve_active

    def second_stops(*arguments: object) -> SolveStatus:
        calls.append("stage")
        return SolveStatus.TIME_LIMIT if len(calls) > 1 else solve_active(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pyomo_solver, "_solve_active", second_stops)
    short = make_scenario(sessions=[make_session(energy_kwh=20.0)], forecasts=[make_forecast((6.0, 6.0))])

    solution = other_solution(replace(short, tariff=make_tariff()), by("appsi_highs"))

    assert [stage.status for stage in solution.stages] == [
        SolveStatus.OPTIMAL,
        SolveStatus.TIME_LIMIT,
        SolveStatus.TIME_LIMIT,
    ]
    assert values(solution)[0] == pytest.approx(8.0)
    assert np.isfinite(values(solution)).all()
    assert len(calls) == 2
