"""linopy with its direct interface to HiGHS: sums by group over one dimension of columns."""

from __future__ import annotations

import linopy
import numpy as np
import pandas as pd

from benchmarks.peers.program import FloatArray, SharedProgram

PACKAGES = ("linopy", "xarray", "highspy")


def solve(program: SharedProgram, _: dict[str, str]) -> FloatArray:
    """Every column stands in one balance and at most one limit."""
    columns = pd.RangeIndex(program.cost.size, name="column")
    model = linopy.Model()
    x = model.add_variables(lower=0.0, upper=pd.Series(program.column_upper, columns), name="x")
    sessions, row = program.session_count, program.entry_row
    balance, limit = row < sessions, row >= sessions
    for name, entries, sign in (("balance", balance, "="), ("limit", limit, "<=")):
        group = pd.Series(row[entries], pd.Index(program.row_column[entries], name="column"), name="row")
        summed = x.sel(column=group.index).groupby(group).sum()
        rows = np.unique(row[entries])
        model.add_constraints(summed, sign, pd.Series(program.row_upper[rows], pd.Index(rows, name="row")), name=name)
    model.add_objective((x * pd.Series(program.cost, columns)).sum())
    status, condition = model.solve(solver_name="highs", io_api="direct", output_flag=False)
    if status != "ok":
        raise RuntimeError(f"linopy: {condition}")
    return np.asarray(model.solution["x"].to_numpy(), dtype=np.float64)
