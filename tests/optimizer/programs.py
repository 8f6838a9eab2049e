"""Programs of scenarios, what their stages reach, and when two are the same."""

from __future__ import annotations

import numpy as np

from models.domain.scenario import Scenario
from models.domain.time_grid import FloatArray, IntArray
from optimizer.formulation import formulate
from optimizer.highs import Solution
from optimizer.linear_program import LinearProgram
from optimizer.objective import applicable_stages, merge_weight
from optimizer.options import OptimizeOptions, Stage
from optimizer.prepare import prepare


def program_of(
    scenario: Scenario, options: OptimizeOptions, stages: tuple[Stage, ...] | None = None
) -> tuple[LinearProgram, float | None]:
    """The program of a scenario, and the weight that merges its first two stages."""
    problem = prepare(scenario, options)
    applicable = applicable_stages(problem, options.objective if stages is None else stages)
    return formulate(problem, applicable), merge_weight(problem, applicable)


def values(solution: Solution) -> list[float]:
    """What each stage reached, first stage first."""
    return [stage.value for stage in solution.stages]


def assert_same_program(left: LinearProgram, right: LinearProgram) -> None:
    """Variables, families and stages by name, bounds, matrix and costs are equal to the last bit."""
    assert (left.columns, left.rows, left.integer_variables) == (right.columns, right.rows, right.integer_variables)
    assert [stage.name for stage in left.stages] == [stage.name for stage in right.stages]
    for name in ("column_lower", "column_upper", "row_lower", "row_upper"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    for mine, other in zip(_entries(left), _entries(right), strict=True):
        np.testing.assert_array_equal(mine, other)
    for one, another in zip(left.stages, right.stages, strict=True):
        np.testing.assert_array_equal(one.cost, another.cost)


def _entries(program: LinearProgram) -> tuple[IntArray, IntArray, FloatArray]:
    """Row, column and coefficient of what is not zero, in order; none stands twice within a row."""
    order = np.lexsort((program.row_column, program.entry_row))
    row, column, value = program.entry_row[order], program.row_column[order], program.row_value[order]
    assert not ((np.diff(row) == 0) & (np.diff(column) == 0)).any()
    there = value != 0.0
    return row[there], column[there], value[there]
