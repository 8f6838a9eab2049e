"""The least any code around HiGHS can take: the same program as NumPy arrays straight into highspy."""

from __future__ import annotations

from collections.abc import Mapping

import highspy
import numpy as np

from models.domain import FloatArray, Scenario
from optimizer.highs import DEVEX, LARGEST_COST, OptionValue
from optimizer.objective import applicable_stages, merge_weight
from optimizer.options import COST_OBJECTIVE, OptimizeOptions
from optimizer.prepare import prepare
from optimizer.problem import CapacityProblem

Method = Mapping[str, OptionValue]

SAME_METHOD: Method = DEVEX
HIGHS_DEFAULT: Method = {}


def solve_arrays(scenario: Scenario, options: OptimizeOptions, method: Method, *, scaled: bool) -> FloatArray:
    """Prepare a scenario, pass its program for unmet energy and cost to HiGHS, solve it and read the solution.

    Args:
        scenario: One whose stages of unmet energy and cost may be merged.
        options: Window and raster.
        method: Options of HiGHS.
        scaled: Whether costs are scaled as `optimizer.solver` does.

    Returns:
        (K,), kWh of each power column.

    Raises:
        RuntimeError: HiGHS did not prove the optimum.
    """
    problem = prepare(scenario, options)
    cost = _cost(problem)
    highs = highspy.Highs()
    highs.silent()
    for name, value in method.items():
        highs.setOptionValue(name, value)
    _pass(highs, problem, cost * (LARGEST_COST / np.abs(cost).max()) if scaled else cost)
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"HiGHS ended with {highs.getModelStatus()}")
    return np.array(highs.getSolution().col_value)[: problem.columns]


def _cost(problem: CapacityProblem) -> FloatArray:
    weight = merge_weight(problem, applicable_stages(problem, COST_OBJECTIVE)[:2])
    if weight is None or problem.price_per_kwh is None:
        raise RuntimeError("the stages of this scenario cannot be merged")
    return np.concatenate((problem.price_per_kwh[problem.column_step], weight * problem.priority))


def _pass(highs: highspy.Highs, problem: CapacityProblem, cost: FloatArray) -> None:
    sessions, columns = len(problem.sessions), problem.columns
    limits = problem.limit_rows
    # Balance rows by column order: a session's columns and its slack; then the limit rows.
    order = np.argsort(np.concatenate((problem.column_session, np.arange(sessions))), kind="stable")
    balance_start = problem.first_column + np.arange(sessions + 1)
    need = problem.reachable_energy_kwh
    rows = sessions + limits.capacity_kwh.size
    highs.passModel(
        columns + sessions,
        rows,
        order.size + limits.column.size,
        int(highspy.MatrixFormat.kRowwise),
        int(highspy.ObjSense.kMinimize),
        0.0,
        cost,
        np.zeros(columns + sessions),
        np.concatenate((problem.max_energy_kwh, need)),
        np.concatenate((need, np.full(limits.capacity_kwh.size, -np.inf))),
        np.concatenate((need, limits.capacity_kwh)),
        np.concatenate((balance_start, balance_start[-1] + limits.start[1:])).astype(np.int32),
        np.concatenate((order, limits.column)).astype(np.int32),
        np.concatenate((np.ones(order.size), limits.coefficient)),
        np.zeros(columns + sessions, dtype=np.int32),
    )
