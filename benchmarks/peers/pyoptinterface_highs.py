"""pyoptinterface with HiGHS."""

from __future__ import annotations

import numpy as np
import pyoptinterface as poi
from pyoptinterface import highs

from benchmarks.peers.program import FloatArray, SharedProgram

PACKAGES = ("pyoptinterface", "highsbox")


def solve(program: SharedProgram, _: dict[str, str]) -> FloatArray:
    """A variable for each column, an expression for each row."""
    start, column, value = (array.tolist() for array in (program.row_start, program.row_column, program.row_value))
    model = highs.Model()
    model.set_model_attribute(poi.ModelAttribute.Silent, True)
    x = [model.add_variable(lb=0.0, ub=upper) for upper in program.column_upper.tolist()]
    for row, upper in enumerate(program.row_upper.tolist()):
        summed = poi.ExprBuilder()
        for k in range(start[row], start[row + 1]):
            summed.add_affine_term(x[column[k]], value[k])
        sense = poi.ConstraintSense.Equal if row < program.session_count else poi.ConstraintSense.LessEqual
        model.add_linear_constraint(summed, sense, upper)
    total = poi.ExprBuilder()
    for variable, cost in zip(x, program.cost.tolist(), strict=True):
        total.add_affine_term(variable, cost)
    model.set_objective(total, poi.ObjectiveSense.Minimize)
    model.optimize()
    status = model.get_model_attribute(poi.ModelAttribute.TerminationStatus)
    if status != poi.TerminationStatusCode.OPTIMAL:
        raise RuntimeError(f"pyoptinterface: {status}")
    return np.array([model.get_value(variable) for variable in x])
