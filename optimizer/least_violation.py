"""Limits that base load or generation alone exceeds: by how little they have to be exceeded, and where.

Batteries, vehicles that feed in, and sessions that take up a surplus can bring the excess down. An elastic program
finds how far: first above what connections allow, then above what capacity providers do, and only then is it about
energy and its price. What it finds becomes the limit that the plan is made under.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from models.domain.schedule import StageResult
from models.domain.time_grid import FloatArray, IntArray
from optimizer.asset_formulation import flow_values, goes_both_ways
from optimizer.formulation import formulate
from optimizer.highs import SolveStatus
from optimizer.linear_program import LinearProgram, StageCost, Terms
from optimizer.objective import applicable_stages
from optimizer.options import EXCESS_STAGES, OptimizeOptions, SolverOptions, Stage
from optimizer.problem import CapacityProblem
from optimizer.runtime import Stopwatch
from optimizer.solver import solve

OVER_CONNECTION, OVER_CAPACITY = EXCESS_STAGES
"""Names of the variables and, in this order, of the stages that minimise them."""
DECIDING_STAGES = frozenset({Stage.UNMET_ENERGY, Stage.EXPECTED_UNMET, Stage.PEAK_POWER, Stage.ENERGY_COST})
"""Stages that say which of the least violations it is to be."""
ROUNDING_KWH = 1e-7
"""What a solver may leave of an excess."""


def with_least_violation(
    problem: CapacityProblem, options: OptimizeOptions, watch: Stopwatch
) -> tuple[CapacityProblem, tuple[StageResult, ...]]:
    """Bring down what limits are exceeded by, as far as anything can.

    Args:
        problem: The scenario as arrays.
        options: Objective and time limit.
        watch: Counts the phase violation.

    Returns:
        The problem whose limits are exceeded by no more than they have to be, and what that comes to, kWh; the problem
        as it was, and nothing, where no limit is exceeded or nothing can be done about it.

    Raises:
        SolverError: Nothing was found in time.
    """
    if problem.assets is None:
        return problem, ()
    rows = _relieved_rows(problem)
    if not rows.size:
        return problem, ()
    with watch.phase("violation"):
        began = time.perf_counter()
        solver = SolverOptions(time_limit_s=options.solver.time_limit_s, threads=options.solver.threads)
        program = _elastic(problem, options, rows)
        solution = solve(program, solver)
        if _goes_both_ways(problem, program, solution.column_value):
            # Energy turned into heat would bring an excess down that no battery can.
            problem = replace(problem, assets=replace(problem.assets, keeps_one_way=True))
            program = _elastic(problem, options, rows)
            solution = solve(program, solver.left_since(began))
    value = solution.column_value
    over_kwh = value[program.columns[OVER_CONNECTION]] + value[program.columns[OVER_CAPACITY]]
    stages = tuple(
        StageResult(name=stage.name, value=stage.value, proved=stage.status is SolveStatus.OPTIMAL, bound=stage.bound)
        for stage in solution.stages
        if stage.name in EXCESS_STAGES
    )
    return _held_to(problem, rows, np.maximum(over_kwh, 0.0) + ROUNDING_KWH), stages


def without_excess(problem: CapacityProblem) -> CapacityProblem:
    """The problem before anything was found about what limits have to be exceeded by."""
    return replace(problem, limits=tuple(replace(limit, excess_kw=None) for limit in problem.limits))


def _relieved_rows(problem: CapacityProblem) -> IntArray:
    """Limit rows that are exceeded whatever is planned, and in which something can make room."""
    rows = problem.limit_rows
    relieves = np.zeros(rows.limit_index.size, dtype=bool)
    relieves[np.repeat(np.arange(relieves.size), np.diff(rows.start))[rows.coefficient < 0]] = True
    return np.flatnonzero((rows.unavoidable_kwh > ROUNDING_KWH) & relieves)


def _elastic(problem: CapacityProblem, options: OptimizeOptions, rows: IntArray) -> LinearProgram:
    """The program in which some limits may be exceeded, which comes before all else.

        load - over_capacity_kwh - over_connection_kwh  <=  what the limit really leaves

    with over_capacity_kwh up to what the connection allows, and both together up to what nobody decides on takes.
    """
    stages = tuple(stage for stage in applicable_stages(problem, options.objective) if stage in DECIDING_STAGES)
    # Powers of chargers are settled under what is found here.
    program = formulate(replace(problem, pilot_rules=None), stages)
    first = program.rows["capacity_limit"].start
    limits = problem.limit_rows
    unavoidable_kwh = limits.unavoidable_kwh[rows]
    right = program.row_upper.copy()
    right[first + rows] -= unavoidable_kwh

    def terms(columns: Mapping[str, IntArray]) -> Terms:
        both = np.concatenate((columns[OVER_CONNECTION], columns[OVER_CAPACITY]))
        return Terms(row=first + np.tile(rows, 2), column=both, coefficient=np.full(both.size, -1.0))

    upper = {OVER_CONNECTION: unavoidable_kwh, OVER_CAPACITY: np.minimum(unavoidable_kwh, _contract_kwh(problem, rows))}
    program = replace(program, row_upper=right).extended(upper, terms=terms)
    costs = []
    for name in EXCESS_STAGES:
        cost = np.zeros(program.column_count)
        cost[program.columns[name]] = 1.0
        costs.append(StageCost(name=name, cost=cost))
    return replace(program, stages=(*costs, *program.stages))


def _contract_kwh(problem: CapacityProblem, rows: IntArray) -> FloatArray:
    """By how much the limit of each row may be exceeded until its connection is, kWh."""
    limits, steps = problem.limit_rows.limit_index[rows], problem.limit_rows.step_index[rows]
    over_kw = np.array(
        [
            problem.limits[limit].connection_kw - problem.limits[limit].limit_kw[step]
            for limit, step in zip(limits.tolist(), steps.tolist(), strict=True)
        ]
    )
    return np.asarray(np.maximum(over_kw, 0.0) * problem.step_hours[steps], dtype=np.float64)


def _goes_both_ways(problem: CapacityProblem, program: LinearProgram, value: FloatArray) -> bool:
    return goes_both_ways(problem, flow_values(problem, program, value), least_kwh=10 * ROUNDING_KWH)


def _held_to(problem: CapacityProblem, rows: IntArray, over_kwh: FloatArray) -> CapacityProblem:
    """The problem in which limits may be exceeded by so much in some rows, and not by more."""
    limit_index, step_index = problem.limit_rows.limit_index[rows], problem.limit_rows.step_index[rows]
    limits = list(problem.limits)
    for index in np.unique(limit_index).tolist():
        mine = limit_index == index
        excess_kw = np.full(problem.grid.steps, np.inf)
        excess_kw[step_index[mine]] = over_kwh[mine] / problem.step_hours[step_index[mine]]
        limits[index] = replace(limits[index], excess_kw=excess_kw)
    return replace(problem, limits=tuple(limits))
