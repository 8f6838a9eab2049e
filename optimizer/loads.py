"""What groups draw or feed in as their limits count it, and where that is more than these allow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from models.domain.time_grid import FloatArray
from models.domain.violation import LimitViolation, violations_of
from optimizer.arrays import dot, sums_by
from optimizer.limit_rows import counted_columns
from optimizer.problem import CapacityLimit, CapacityProblem


def limit_violations(problem: CapacityProblem, all_kwh: FloatArray) -> Iterator[LimitViolation]:
    """Every stretch in which a group exceeds a limit.

    Args:
        problem: The scenario as arrays.
        all_kwh: (K + X,), energies of all columns of limit rows, kWh.
    """
    for limit in problem.limits:
        if limit.is_group:
            yield from violations_of(
                problem.grid,
                limit.owner,
                limit.phase,
                is_export=limit.is_export,
                load_kw=load_of_limit_kw(problem, all_kwh, limit),
                limit_kw=limit.limit_kw,
                connection_kw=limit.connection_kw,
            )


def excess_kwh(problem: CapacityProblem, all_kwh: FloatArray) -> tuple[float, float]:
    """What limits are exceeded by that have to be: above what connections allow, and below that, kWh.

    Args:
        problem: The scenario as arrays, with the limits that have to be exceeded held to an excess.
        all_kwh: (K + X,), energies of all columns of limit rows, kWh.
    """
    connection_kwh = total_kwh = 0.0
    for limit in problem.limits:
        if limit.excess_kw is not None:
            mine = np.isfinite(limit.excess_kw)
            load_kw, hours = load_of_limit_kw(problem, all_kwh, limit)[mine], problem.step_hours[mine]
            limit_kw = limit.limit_kw[mine]
            total_kwh += dot(np.maximum(load_kw - limit_kw, 0.0), hours)
            connection_kwh += dot(np.maximum(load_kw - np.maximum(limit_kw, limit.connection_kw), 0.0), hours)
    return connection_kwh, total_kwh - connection_kwh


def load_of_limit_kw(problem: CapacityProblem, all_kwh: FloatArray, limit: CapacityLimit) -> FloatArray:
    """Power of a group in each step, counted as a limit counts it, in its direction: (T,), kW."""
    if limit.others is None:
        return counted_power_kw(problem, all_kwh[: problem.columns] * problem.limit_weight, limit.share)
    column, coefficient = counted_columns(problem, limit)
    load_kwh = sums_by(problem.flow_step[column], coefficient * all_kwh[column], problem.grid.steps)
    fixed_kw = -limit.others.fixed_kw if limit.is_export else limit.others.fixed_kw
    return load_kwh / problem.step_hours + fixed_kw


def counted_power_kw(problem: CapacityProblem, counted_kwh: FloatArray, share: FloatArray) -> FloatArray:
    """Power of some sessions in each step, counted as limits count it.

    Args:
        problem: The scenario as arrays.
        counted_kwh: (K,), what limits count of each column, kWh.
        share: (S,), how much of each session counts.

    Returns:
        (T,), kW.
    """
    shared_kwh = counted_kwh * share[problem.column_session]
    return sums_by(problem.column_step, shared_kwh, problem.grid.steps) / problem.step_hours
