"""A lexicographic linear program as arrays: what formulations are compiled to and what the solver reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.domain.time_grid import FloatArray, IntArray
from optimizer.arrays import dot, sums_by


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageCost:
    """One stage of the objective, to be minimised.

    Args:
        name: Name of the stage.
        cost: (C,), per unit of each column.
        offset: Constant added to the value.
    """

    name: str
    cost: FloatArray
    offset: float = 0.0

    def value(self, solution: FloatArray) -> float:
        """The stage's value at a solution (C,)."""
        return dot(self.cost, solution) + self.offset


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearProgram:
    """Minimise the stages in order over C columns, subject to R rows.

        row_lower <= A x <= row_upper,    column_lower <= x <= column_upper

    A is held in compressed rows.

    Args:
        column_lower: (C,).
        column_upper: (C,), infinite where unbounded.
        row_lower: (R,), minus infinity where unbounded.
        row_upper: (R,), infinity where unbounded.
        row_start: (R + 1,), where a row's entries begin.
        row_column: (nnz,), column of each entry.
        row_value: (nnz,), coefficient of each entry.
        stages: The objective, most important first; at least one.
        columns: Columns of each variable by its name.
        rows: Rows of each constraint family by its name.
    """

    column_lower: FloatArray
    column_upper: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    row_start: IntArray
    row_column: IntArray
    row_value: FloatArray
    stages: tuple[StageCost, ...]
    columns: Mapping[str, slice]
    rows: Mapping[str, slice]

    @property
    def column_count(self) -> int:
        """C."""
        return self.column_lower.size

    @property
    def row_count(self) -> int:
        """R."""
        return self.row_lower.size

    def activity(self, solution: FloatArray) -> FloatArray:
        """A x, (R,)."""
        rows = np.repeat(np.arange(self.row_count), np.diff(self.row_start))
        return sums_by(rows, self.row_value * solution[self.row_column], self.row_count)
