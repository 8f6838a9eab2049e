"""Limits as rows over energies: which columns each counts, how much, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.domain.time_grid import BoolArray, FloatArray, IntArray
from optimizer.arrays import sums_by
from optimizer.assets import CURTAILED

if TYPE_CHECKING:
    from optimizer.problem import CapacityLimit, CapacityProblem

ScalarT = TypeVar("ScalarT", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LimitRows:
    """R pairs of a limit and a step in which it is finite and somebody may draw or feed in, in compressed rows.

        sum_k coefficient[k] * energy_kwh[column[k]]  <=  capacity_kwh[r]       for start[r] <= k < start[r + 1]

    Args:
        limit_index: (R,), index into the problem's limits.
        step_index: (R,).
        capacity_kwh: (R,), limit times length of the step, less what nobody decides on, kWh. What that alone exceeds is
            not asked of the plan, which must not add to it: the capacity is then zero, or what can be curtailed.
        unavoidable_kwh: (R,), by how much what nobody decides on alone exceeds it, kWh: capacity less what it leaves.
        start: (R + 1,), where a row begins.
        column: (nnz,), power columns, increasing within a row; from K on flows of assets.
        coefficient: (nnz,), share of the column's energy that counts; below zero where it makes room.
    """

    limit_index: IntArray
    step_index: IntArray
    capacity_kwh: FloatArray
    unavoidable_kwh: FloatArray
    start: IntArray
    column: IntArray
    coefficient: FloatArray

    def load_kwh(self, energy_kwh: FloatArray) -> FloatArray:
        """What columns of these energies, (K + X,), put on each row: (R,), kWh."""
        rows = np.repeat(np.arange(self.limit_index.size), np.diff(self.start))
        weighted = self.coefficient * energy_kwh[self.column]
        return sums_by(rows, weighted, self.limit_index.size)


def rows_of_limits(problem: CapacityProblem) -> LimitRows:
    """The rows of all limits of a problem, limit by limit and step by step."""
    limit_index, step_index, capacity, unavoidable, counts, columns, coefficients = [], [], [], [], [], [], []
    for index, limit in enumerate(problem.limits):
        mine, coefficient = counted_columns(problem, limit)
        kept = np.isfinite(limit.limit_kw[problem.flow_step[mine]])
        if limit.is_export:
            kept &= _may_exceed(problem, limit, mine, coefficient)[problem.flow_step[mine]]
        mine, coefficient = mine[kept], coefficient[kept]
        order = np.argsort(problem.flow_step[mine], kind="stable")
        mine, coefficient = mine[order], coefficient[order]
        steps, sizes = np.unique(problem.flow_step[mine], return_counts=True)
        limit_index.append(np.full(steps.size, index))
        step_index.append(steps)
        capacity_kwh, left_kwh = _capacity_kwh(problem, limit, steps)
        capacity.append(capacity_kwh)
        unavoidable.append(capacity_kwh - left_kwh)
        counts.append(sizes)
        columns.append(mine)
        coefficients.append(coefficient)
    return LimitRows(
        limit_index=_joined(limit_index, np.int64),
        step_index=_joined(step_index, np.int64),
        capacity_kwh=_joined(capacity, np.float64),
        unavoidable_kwh=_joined(unavoidable, np.float64),
        start=np.concatenate(([0], np.cumsum(_joined(counts, np.int64)))),
        column=_joined(columns, np.int64),
        coefficient=_joined(coefficients, np.float64),
    )


def _may_exceed(problem: CapacityProblem, limit: CapacityLimit, mine: IntArray, coefficient: FloatArray) -> BoolArray:
    """In which steps a limit is or can be exceeded at all: (T,)."""
    if problem.assets is None:
        return np.ones(problem.grid.steps, dtype=bool)
    most = np.append(problem.max_energy_kwh, problem.assets.flows.max_kwh)[mine] * np.maximum(coefficient, 0.0)
    limited = np.flatnonzero(np.isfinite(limit.limit_kw))
    exceeded = np.zeros(problem.grid.steps, dtype=bool)
    most_kwh = sums_by(problem.flow_step[mine], most, problem.grid.steps)
    exceeded[limited] = most_kwh[limited] > _capacity_kwh(problem, limit, limited)[1]
    return exceeded


def _capacity_kwh(problem: CapacityProblem, limit: CapacityLimit, steps: IntArray) -> tuple[FloatArray, FloatArray]:
    """What a limit is taken to leave in some steps for those who are planned, and what it really leaves, kWh."""
    capacity_kwh: FloatArray = limit.limit_kw[steps] * problem.step_hours[steps]
    if limit.others is None:
        return capacity_kwh, capacity_kwh
    fixed_kwh = (limit.others.fixed_kw * problem.step_hours)[steps]
    left_kwh = capacity_kwh + fixed_kwh if limit.is_export else capacity_kwh - fixed_kwh
    taken_kwh = np.maximum(left_kwh, least_kwh(problem, limit, steps))
    if limit.excess_kw is not None:
        taken_kwh = np.minimum(taken_kwh, left_kwh + (limit.excess_kw * problem.step_hours)[steps])
    return taken_kwh, left_kwh


def counted_columns(problem: CapacityProblem, limit: CapacityLimit) -> tuple[IntArray, FloatArray]:
    """The columns and flows that a limit counts, and how much of each.

    Where every moment counts, what flows for a part of a step counts as if for all of it, and makes no room.
    """
    others = limit.others
    if others is None or problem.assets is None:
        weight = problem.weight_of(every_moment=limit.every_moment)
        mine = problem.columns_of(np.flatnonzero(limit.share))
        return mine, limit.share[problem.column_session[mine]] * weight[mine]
    flows = problem.assets.flows
    weight = problem.weight_of(every_moment=limit.every_moment)
    if limit.is_export:
        drawn = np.where(weight == 1.0, -others.session_relief[problem.column_session], 0.0)
    else:
        drawn = limit.share[problem.column_session] * weight
    flow_weight = _flow_weight(problem, every_moment=limit.every_moment)
    with_limit = flows.sign < 0 if limit.is_export else flows.sign > 0
    against = -others.relief[flows.owner]
    makes_room = (against < 0) & (flow_weight != 1.0)
    other = np.where(with_limit, others.share[flows.owner], np.where(makes_room, 0.0, against)) * flow_weight
    coefficient = np.concatenate((drawn, other))
    mine = np.flatnonzero(coefficient)
    return mine, coefficient[mine]


def _flow_weight(problem: CapacityProblem, *, every_moment: bool) -> FloatArray:
    """(X,), energy a limit counts per kWh of a flow in its direction."""
    if problem.assets is None:
        return np.zeros(0)
    flows = problem.assets.flows
    if not (problem.counts_moments or every_moment):
        return np.ones(flows.count)
    return problem.step_hours[flows.step] / flows.hours


def least_kwh(problem: CapacityProblem, limit: CapacityLimit, steps: IntArray) -> FloatArray:
    """What a limit's capacity is taken for where fixed powers alone exceed it: zero, or all that can be curtailed."""
    least = np.zeros(steps.size)
    if problem.assets is None or limit.others is None:
        return least
    flows = problem.assets.flows
    curtailed = flows.of(CURTAILED)
    share = limit.others.share[flows.owner[curtailed]]
    relief = np.maximum(share if limit.is_export else -share, 0.0) * flows.max_kwh[curtailed]
    return least - sums_by(flows.step[curtailed], relief, problem.grid.steps)[steps]


def _joined(parts: list[NDArray[ScalarT]], dtype: type[ScalarT]) -> NDArray[ScalarT]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)
