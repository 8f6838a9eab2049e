"""cvxpy with a sparse matrix and HiGHS."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
from scipy.sparse import csr_array

from benchmarks.peers.program import FloatArray, SharedProgram

PACKAGES = ("cvxpy", "highspy", "scipy")


def solve(program: SharedProgram, _: dict[str, str]) -> FloatArray:
    """The program as matrices, which is how cvxpy likes it best."""
    shape = (program.row_upper.size, program.cost.size)
    matrix = csr_array((program.row_value, program.row_column, program.row_start), shape=shape)
    sessions = program.session_count
    x = cp.Variable(program.cost.size, bounds=[0.0, program.column_upper])
    rows = [
        matrix[:sessions] @ x == program.row_upper[:sessions],
        matrix[sessions:] @ x <= program.row_upper[sessions:],
    ]
    problem = cp.Problem(cp.Minimize(program.cost @ x), rows)
    problem.solve(solver=cp.HIGHS)
    if problem.status != cp.OPTIMAL:
        raise RuntimeError(f"cvxpy: {problem.status}")
    return np.asarray(x.value, dtype=np.float64)
