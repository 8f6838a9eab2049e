"""HiGHS itself: methods by their options, programs handed over, statuses as types, what it found as arrays."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

import highspy
import numpy as np
from numpy.typing import NDArray

from models.domain.time_grid import FloatArray
from models.errors import SolverConfigError, SolverError
from optimizer.linear_program import LinearProgram
from optimizer.options import SolverOptions

OptionValue = str | float | int | bool

DUAL_SIMPLEX: Mapping[str, OptionValue] = MappingProxyType(
    {"solver": "simplex", "simplex_strategy": 1, "presolve": "off", "parallel": "off"}
)
DEVEX: Mapping[str, OptionValue] = MappingProxyType({**DUAL_SIMPLEX, "simplex_dual_edge_weight_strategy": 1})
"""For programs whose coefficients are all one. Measured over HiGHS's own choice, steepest edges: 0.8 to 1 of the time
at 50 sessions, 0.5 to 1 at 5,000; where phases count 1 to 2.4. From a basis that is not all slack, exact steepest edges
cost a system of equations for each row besides."""
INTERIOR_POINT: Mapping[str, OptionValue] = MappingProxyType(
    {"solver": "ipx", "run_crossover": "on", "presolve": "off", "parallel": "off"}
)
LAST_RESORT: Mapping[str, OptionValue] = MappingProxyType({"solver": "choose", "presolve": "on", "parallel": "off"})
PRIMAL_SIMPLEX: Mapping[str, OptionValue] = MappingProxyType({**DUAL_SIMPLEX, "simplex_strategy": 4})
"""Primal simplex: the start holds its limits and all but keeps its prices. Dual simplex needs hundreds of iterations
where it needs none."""
ROUNDED: Mapping[str, OptionValue] = MappingProxyType({**DUAL_SIMPLEX, "primal_feasibility_tolerance": 1e-6})
"""Ten times HiGHS's own tolerance."""
BRANCH_AND_BOUND: Mapping[str, OptionValue] = MappingProxyType(
    {"solver": "choose", "presolve": "on", "parallel": "off", "mip_rel_gap": 1e-7, "mip_abs_gap": 1e-6}
)
"""Costs are scaled: an absolute gap of 1e-6 is 1e-8 of the largest cost times one unit."""
LARGEST_COST = 100.0
"""Costs are scaled so that the largest is this. HiGHS perturbs costs and tests duals against absolute tolerances: with
the largest cost at 1 instead, dual simplex took 3 to 30 times longer on scarce days."""

FEASIBLE_POINT = 2
"""HiGHS's mark of a primal feasible solution. Source: SolutionStatus in its C++ headers."""


class SolveStatus(StrEnum):
    """How a solve ended."""

    OPTIMAL = "optimal"
    TIME_LIMIT = "time limit"
    ITERATION_LIMIT = "iteration limit"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    FAILED = "failed"


STATUS_OF = {
    highspy.HighsModelStatus.kOptimal: SolveStatus.OPTIMAL,
    highspy.HighsModelStatus.kModelEmpty: SolveStatus.OPTIMAL,
    highspy.HighsModelStatus.kTimeLimit: SolveStatus.TIME_LIMIT,
    highspy.HighsModelStatus.kIterationLimit: SolveStatus.ITERATION_LIMIT,
    highspy.HighsModelStatus.kInterrupt: SolveStatus.TIME_LIMIT,
    highspy.HighsModelStatus.kInfeasible: SolveStatus.INFEASIBLE,
    highspy.HighsModelStatus.kUnbounded: SolveStatus.UNBOUNDED,
    highspy.HighsModelStatus.kUnboundedOrInfeasible: SolveStatus.INFEASIBLE,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageOutcome:
    """How one stage ended.

    Args:
        name: Name of the stage.
        value: Its value at the final solution.
        status: How its solve ended.
        row_dual: (R,), change of the stage's value per unit of a row's bound, later stages left free and whole numbers
            as they are; None where its solve gave none. Rows that were added by then follow those of the program.
        bound: What no solution can go below, earlier stages held; None where the solve was of a linear program.
    """

    name: str
    value: float
    status: SolveStatus
    row_dual: FloatArray | None = None
    bound: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """What solving a program gave.

    Args:
        column_value: (C,).
        stages: Outcome of each stage.
    """

    column_value: FloatArray
    stages: tuple[StageOutcome, ...]

    @property
    def is_optimal(self) -> bool:
        """Whether every stage was proved optimal."""
        return all(stage.status is SolveStatus.OPTIMAL for stage in self.stages)


def check_options(options: Mapping[str, OptionValue]) -> None:
    """Try options on an instance that is thrown away.

    Raises:
        SolverConfigError: HiGHS does not know an option or refuses its value.
    """
    trial = highspy.Highs()
    trial.silent()
    for name, value in options.items():
        if trial.setOptionValue(name, value) != highspy.HighsStatus.kOk:
            raise SolverConfigError(f"HiGHS refuses the option {name!r} with the value {value!r}")


def loaded(
    program: LinearProgram,
    cost: FloatArray,
    method: Mapping[str, OptionValue],
    options: SolverOptions,
    *,
    integer: bool = False,
) -> highspy.Highs:
    """A fresh instance that minimises a cost, (C,), over a program.

    Raises:
        SolverConfigError: HiGHS refuses an option.
        SolverError: It refuses the program.
    """
    highs = highspy.Highs()
    highs.silent()
    extra = dict(options.extra)
    if options.threads is not None:
        extra["threads"] = options.threads
    _set_options(highs, {**method, **extra})
    status = highs.passModel(
        program.column_count,
        program.row_count,
        program.row_value.size,
        int(highspy.MatrixFormat.kRowwise),
        int(highspy.ObjSense.kMinimize),
        0.0,
        cost,
        program.column_lower,
        program.column_upper,
        program.row_lower,
        program.row_upper,
        program.row_start.astype(np.int32),
        program.row_column.astype(np.int32),
        program.row_value,
        # An empty array would be read past its end.
        program.is_integer.astype(np.int32) if integer else np.zeros(program.column_count, dtype=np.int32),
    )
    if status == highspy.HighsStatus.kError:
        raise SolverError("HiGHS refuses the program: a bound or coefficient is not a number it takes")
    return highs


@dataclass(slots=True, kw_only=True, eq=False)
class Instance:
    """An instance that has solved a program and is kept, to be changed into the next one.

    Args:
        highs: The instance, with all of the program.
        program: What it has solved.
        cost: (C,), what was minimised.
        options: With which it was made.
    """

    highs: highspy.Highs
    program: LinearProgram
    cost: FloatArray
    options: SolverOptions

    def is_like(self, program: LinearProgram) -> bool:
        """Whether a program differs in bounds and costs only."""
        mine = self.program
        return (
            self.highs.getNumRow() == program.row_count
            and mine.column_count == program.column_count
            and np.array_equal(mine.row_start, program.row_start)
            and np.array_equal(mine.row_column, program.row_column)
            and np.array_equal(mine.row_value, program.row_value)
        )

    def takes(self, program: LinearProgram, options: SolverOptions) -> bool:
        """Whether it can be changed into a program that is to be solved with some options; time is limited anew."""
        same = replace(options, time_limit_s=None) == replace(self.options, time_limit_s=None)
        return same and self.is_like(program)

    def change(self, program: LinearProgram, cost: FloatArray, method: Mapping[str, OptionValue]) -> None:
        """Take over bounds, costs and method, in bulk and where they differ; the basis stays.

        Raises:
            SolverConfigError: HiGHS refuses an option.
        """
        mine, highs = self.program, self.highs
        columns = _changed((mine.column_lower, program.column_lower), (mine.column_upper, program.column_upper))
        rows = _changed((mine.row_lower, program.row_lower), (mine.row_upper, program.row_upper))
        costs = _changed((self.cost, cost))
        lower, upper = program.column_lower[columns], program.column_upper[columns]
        highs.changeColsBounds(columns.size, columns, lower, upper)
        lower, upper = program.row_lower[rows], program.row_upper[rows]
        highs.changeRowsBounds(rows.size, rows, lower, upper)  # type: ignore[attr-defined]  # its stubs leave it out
        highs.changeColsCost(costs.size, costs, cost[costs])
        _set_options(highs, {**method, **self.options.extra})
        self.program, self.cost = program, cost


def _changed(*pairs: tuple[FloatArray, FloatArray]) -> NDArray[np.int32]:
    """Where any of some arrays differs from what it was."""
    different = np.zeros(pairs[0][0].size, dtype=bool)
    for before, after in pairs:
        different |= before != after
    return np.flatnonzero(different).astype(np.int32)


def _set_options(highs: highspy.Highs, options: Mapping[str, OptionValue]) -> None:
    for name, setting in options.items():
        if highs.setOptionValue(name, setting) != highspy.HighsStatus.kOk:
            raise SolverConfigError(f"HiGHS refuses the option {name!r} with the value {setting!r}")


def limit_time(highs: highspy.Highs, deadline: float | None) -> None:
    """Give an instance what is left until a deadline, by `time.perf_counter`; its clock counts all its runs."""
    if deadline is not None:
        left_s = max(deadline - time.perf_counter(), 0.0)
        highs.setOptionValue("time_limit", highs.getRunTime() + left_s)


def scale_of(cost: FloatArray) -> float:
    """What costs are divided by, so that tolerances on duals mean the same whatever the currency."""
    largest = float(np.abs(cost).max(initial=0.0))
    return largest / LARGEST_COST if largest > 0 else 1.0


def solution_of(highs: highspy.Highs) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Column values, row duals, column duals."""
    solution = highs.getSolution()
    return np.array(solution.col_value), np.array(solution.row_dual), np.array(solution.col_dual)


def status_of(highs: highspy.Highs) -> SolveStatus:
    """How the last run of an instance ended."""
    return STATUS_OF.get(highs.getModelStatus(), SolveStatus.FAILED)
