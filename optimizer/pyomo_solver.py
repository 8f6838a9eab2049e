"""Any other linear solver that Pyomo knows, on the same model; slower, and a second opinion."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
from pyomo.common.errors import ApplicationError
from pyomo.opt import SolverResults, TerminationCondition

from models.domain.time_grid import FloatArray
from models.errors import SolverConfigError, SolverError
from optimizer.highs import Solution, SolveStatus, StageOutcome, check_options
from optimizer.linear_program import LinearProgram
from optimizer.options import DEFAULT_SOLVER, SolverOptions

STAGE_TOLERANCES = (1e-7, 1e-6, 1e-5)
"""Relative slack given to earlier stages, since other solvers offer no exact face of optima. A solver that reached a
value by breaking rows within its own tolerance may find it out of reach afterwards: then the next."""

STATUS_OF = {
    TerminationCondition.optimal: SolveStatus.OPTIMAL,
    TerminationCondition.maxTimeLimit: SolveStatus.TIME_LIMIT,
    TerminationCondition.maxIterations: SolveStatus.ITERATION_LIMIT,
    TerminationCondition.infeasible: SolveStatus.INFEASIBLE,
    TerminationCondition.unbounded: SolveStatus.UNBOUNDED,
}

TIME_LIMIT_OPTION = {
    "glpk": "tmlim",
    "cbc": "sec",
    "appsi_highs": "time_limit",
    "gurobi": "TimeLimit",
    "scip": "limits/time",
}
"""What the usual solvers call their time limit, s."""


WHOLE_SECONDS = frozenset({"glpk"})
"""Solvers that take no part of a second."""


def solve_with(model: pyo.ConcreteModel, program: LinearProgram, options: SolverOptions) -> Solution:
    """Minimise the stages in order with a solver of Pyomo's, each stage bounded by what the earlier ones reached.

    Args:
        model: From `optimizer.pyomo_model.pyomo_model`; it is changed.
        program: The same model as arrays, for the order of columns and rows.
        options: The solver's name, its time limit and options in its own words.

    Returns:
        The solution; duals where the solver gives them.

    Raises:
        SolverConfigError: Pyomo does not know the solver, or it is not installed.
        SolverError: The first stage was not solved.
    """
    solver = pyo.SolverFactory(options.name)
    if not _is_available(solver):
        raise SolverConfigError(f"solver {options.name!r} is not known to Pyomo or not installed")
    if options.name.endswith(DEFAULT_SOLVER):
        # Pyomo's interfaces to HiGHS go on without an option that HiGHS refuses.
        check_options(options.extra)
    deadline = None if options.time_limit_s is None else time.perf_counter() + options.time_limit_s
    model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    outcomes: list[StageOutcome] = []
    reached: dict[str, float] = {}
    tolerances = list(STAGE_TOLERANCES)
    value: FloatArray | None = None
    for stage in program.stages:
        stopped = next((o.status for o in outcomes if o.status is not SolveStatus.OPTIMAL), None)
        if stopped is not None:
            outcomes.append(StageOutcome(name=stage.name, value=np.nan, status=stopped))
            continue
        _activate(model, stage.name)
        _hold(model, reached, tolerances[0])
        status = _solve_active(model, solver, stage.name, options, deadline)
        while reached and len(tolerances) > 1 and status not in (SolveStatus.OPTIMAL, SolveStatus.TIME_LIMIT):
            # For good: a stage that was given more room has used it.
            del tolerances[0]
            _hold(model, reached, tolerances[0])
            status = _solve_active(model, solver, stage.name, options, deadline)
        if status is SolveStatus.OPTIMAL:
            value = _column_values(model)
            reached[stage.name] = stage.value(value)
            duals = _row_duals(model, program, [outcome.row_dual for outcome in outcomes])
            outcomes.append(StageOutcome(name=stage.name, value=np.nan, status=status, row_dual=duals))
        else:
            outcomes.append(StageOutcome(name=stage.name, value=np.nan, status=status))
    if value is None:
        raise SolverError(f"solver {options.name!r} ended the first stage without a solution: {outcomes[0].status}")
    final = tuple(
        replace(outcome, value=stage.value(value)) for outcome, stage in zip(outcomes, program.stages, strict=True)
    )
    return Solution(column_value=value, stages=final)


def _hold(model: pyo.ConcreteModel, reached: Mapping[str, float], tolerance: float) -> None:
    """Keep earlier stages at what they reached."""
    model.del_component("reached")
    model.reached = pyo.ConstraintList()
    for name, value in reached.items():
        model.reached.add(model.component(name).expr <= value + tolerance * max(1.0, abs(value)))


def _is_available(solver: object) -> bool:
    try:
        return bool(solver.available(exception_flag=False))  # type: ignore[attr-defined]
    except (ApplicationError, AttributeError, ImportError):
        return False


def _activate(model: pyo.ConcreteModel, name: str) -> None:
    """Make one stage the objective."""
    for objective in model.component_objects(pyo.Objective):
        objective.deactivate()
    model.component(name).activate()


def _solve_active(
    model: pyo.ConcreteModel, solver: object, name: str, options: SolverOptions, deadline: float | None
) -> SolveStatus:
    settings = dict(options.extra)
    if deadline is not None:
        option = TIME_LIMIT_OPTION.get(options.name)
        if option is None:
            raise SolverConfigError(f"no time limit is known for solver {options.name!r}; leave it out")
        left_s = deadline - time.perf_counter()
        if left_s <= 0:
            return SolveStatus.TIME_LIMIT
        settings[option] = max(1, math.ceil(left_s)) if options.name in WHOLE_SECONDS else left_s
    try:
        results: SolverResults = solver.solve(model, load_solutions=False, options=settings)  # type: ignore[attr-defined]
    except (ApplicationError, RuntimeError, ValueError) as error:
        raise SolverError(f"solver {options.name!r} failed in stage {name!r}: {error}") from error
    status = STATUS_OF.get(results.solver.termination_condition, SolveStatus.FAILED)
    if status is SolveStatus.OPTIMAL:
        model.solutions.load_from(results)
    return status


def _column_values(model: pyo.ConcreteModel) -> FloatArray:
    return np.array(
        [
            0.0 if data.value is None else data.value
            for variable in model.component_objects(pyo.Var)
            for data in variable.values()
        ]
    )


def _row_duals(
    model: pyo.ConcreteModel, program: LinearProgram, earlier: Sequence[FloatArray | None]
) -> FloatArray | None:
    """Change of the active stage's value per unit of each row's bound; None where the solver gives no duals.

        own dual + sum over earlier stages of (dual of what that stage may reach) * (its own change per unit)

    since what an earlier stage reaches moves with the bound too.
    """
    found = [model.dual.get(row) for family in program.rows for row in model.component(family).values()]
    passed_on = [model.dual.get(row) for row in model.reached.values()]
    if None in found or None in passed_on:
        return None
    duals = np.array(found, dtype=np.float64)
    for rate, change in zip(passed_on, earlier, strict=True):
        if change is None:
            return None
        duals += rate * change
    return duals
