"""PuLP with highspy."""

from __future__ import annotations

import numpy as np
import pulp

from benchmarks.peers.program import FloatArray, SharedProgram

PACKAGES = ("pulp", "highspy")


def solve(program: SharedProgram, _: dict[str, str]) -> FloatArray:
    """A variable for each column, an expression for each row."""
    start, column, value = (array.tolist() for array in (program.row_start, program.row_column, program.row_value))
    problem = pulp.LpProblem("charging", pulp.LpMinimize)
    x = [pulp.LpVariable(f"x{k}", 0.0, upper) for k, upper in enumerate(program.column_upper.tolist())]
    problem += pulp.LpAffineExpression(zip(x, program.cost.tolist(), strict=True))
    for row, upper in enumerate(program.row_upper.tolist()):
        entries = range(start[row], start[row + 1])
        summed = pulp.LpAffineExpression((x[column[k]], value[k]) for k in entries)
        problem += (summed == upper) if row < program.session_count else (summed <= upper)
    problem.solve(pulp.HiGHS(msg=False))
    if problem.status != pulp.LpStatusOptimal:
        raise RuntimeError(f"PuLP: {pulp.LpStatus[problem.status]}")
    return np.array([variable.value() for variable in x])
