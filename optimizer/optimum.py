"""The optimal energies of a problem: formulated, written in Pyomo, solved in exact lexicographic stages."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from models.domain.schedule import ScheduleStatus, StageResult
from models.domain.time_grid import FloatArray
from optimizer.arrays import dot
from optimizer.compile import compile_model
from optimizer.extract import Outcome, tidy
from optimizer.formulation import formulate
from optimizer.linear_program import LinearProgram
from optimizer.objective import applicable_stages, merge_weight
from optimizer.options import DEFAULT_SOLVER, Backend, OptimizeOptions, SolverOptions, Stage, Strategy
from optimizer.pilot_program import plan_of, start_from
from optimizer.pilot_rules import NOTHING_KWH, PilotPlan, PilotRules
from optimizer.pilots import round_to_pilots
from optimizer.problem import CapacityProblem
from optimizer.pyomo_model import dismantle, pyomo_model
from optimizer.pyomo_solver import solve_with
from optimizer.runtime import Stopwatch
from optimizer.solver import Solution, SolveStatus, solve

EXACT_TIME_LIMIT_S = 60.0
"""Wall time for a search over settings where no other is asked for, s: its last proofs may take days."""


def optimum(problem: CapacityProblem, options: OptimizeOptions, watch: Stopwatch) -> Outcome:
    """Energies that are optimal in every stage, or as far as the time limit allowed.

    Args:
        problem: The scenario as arrays.
        options: Objective and solver.
        watch: Counts the phases build, translate, solve and extract.

    Returns:
        Energies that hold every bound, the stages' values and the limits' shadow prices.

    Raises:
        SolverError: The solver gave no usable answer.
        SolverConfigError: The solver is not there, or refuses an option.
    """
    rules = problem.pilot_rules
    if rules is not None and rules.is_exact:
        return _optimum_of_settings(problem, rules, options, watch)
    stages = applicable_stages(problem, options.objective)
    with watch.phase("build"):
        program = formulate(problem, stages)
    solution, program = _solved(program, options.solver, watch, weight=merge_weight(problem, stages))
    return _outcome(problem, program, solution, options, watch)


def _optimum_of_settings(
    problem: CapacityProblem, rules: PilotRules, options: OptimizeOptions, watch: Stopwatch
) -> Outcome:
    """The best plan of powers that chargers can be set to, searched for from the rounded plan of any powers on."""
    began = time.perf_counter()
    limit_s = options.solver.time_limit_s or EXACT_TIME_LIMIT_S
    stepless = optimum(replace(problem, pilot_rules=None), options, watch)
    with watch.phase("round"):
        rounded = round_to_pilots(problem, rules, stepless.energy_kwh)
    stages = applicable_stages(problem, options.objective)
    with watch.phase("build"):
        program = formulate(problem, stages)
        start = np.zeros(program.column_count)
        for name, value in start_from(problem, rules, rounded).items():
            start[program.columns[name]] = value
    left_s = max(limit_s - (time.perf_counter() - began), 0.0)
    solution, program = _solved(program, replace(options.solver, time_limit_s=left_s), watch, start=start)
    outcome = _outcome(problem, program, solution, options, watch)
    found = plan_of(problem, rules, outcome.energy_kwh)
    if _served(problem, found) < _served(problem, rounded) - NOTHING_KWH:
        # The search had no time to get back to where it was to start.
        return stepless
    return replace(outcome, pilots=found, shadow_price_per_kwh=stepless.shadow_price_per_kwh)


def _served(problem: CapacityProblem, plan: PilotPlan) -> float:
    """Energy by its weight, kWh."""
    return dot(problem.priority, problem.delivered_kwh(plan.energy_kwh))


def _outcome(
    problem: CapacityProblem, program: LinearProgram, solution: Solution, options: OptimizeOptions, watch: Stopwatch
) -> Outcome:
    with watch.phase("extract"):
        return Outcome(
            energy_kwh=tidy(problem, solution.column_value[program.columns["energy_kwh"]]),
            status=ScheduleStatus.OPTIMAL if solution.is_optimal else ScheduleStatus.FEASIBLE,
            strategy=Strategy.OPTIMAL,
            stages=tuple(
                StageResult(
                    name=stage.name,
                    value=stage.value,
                    proved=stage.status is SolveStatus.OPTIMAL,
                    bound=stage.bound,
                )
                for stage in solution.stages
            ),
            shadow_price_per_kwh=_shadow_price(program, solution, options.unserved_value_per_kwh),
        )


def _solved(
    program: LinearProgram,
    options: SolverOptions,
    watch: Stopwatch,
    *,
    weight: float | None = None,
    start: FloatArray | None = None,
) -> tuple[Solution, LinearProgram]:
    """The solution, and the program as the solver read it."""
    if options.backend is Backend.ARRAYS:
        with watch.phase("solve"):
            return solve(program, options, merge_weight=weight, start=start), program
    with watch.phase("build"):
        model = pyomo_model(program)
    with watch.phase("translate"):
        program = compile_model(model)
    try:
        with watch.phase("solve"):
            if options.name == DEFAULT_SOLVER:
                return solve(program, options, merge_weight=weight, start=start), program
            return solve_with(model, program, options), program
    finally:
        dismantle(model)


def _shadow_price(program: LinearProgram, solution: Solution, unserved_value_per_kwh: float) -> FloatArray | None:
    """What a further kWh of each capacity limit saves: (R,), currency per kWh.

    unserved_value_per_kwh * (less unmet energy per kWh) + (less energy cost per kWh)
    """
    duals = {stage.name: stage.row_dual for stage in solution.stages if stage.row_dual is not None}
    rows = program.rows.get("capacity_limit", slice(0, 0))
    if Stage.UNMET_ENERGY not in duals:
        return None
    saved = -unserved_value_per_kwh * duals[Stage.UNMET_ENERGY][rows]
    if Stage.ENERGY_COST in duals:
        saved = saved - duals[Stage.ENERGY_COST][rows]
    # Adding zero turns a negative zero into a plain one.
    return np.round(saved, 9) + 0.0
