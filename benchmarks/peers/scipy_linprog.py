"""SciPy's linprog, which has HiGHS inside."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

from benchmarks.peers.program import FloatArray, SharedProgram

PACKAGES = ("scipy",)


def solve(program: SharedProgram, _: dict[str, str]) -> FloatArray:
    """Equalities and inequalities apart, as linprog has it."""
    shape = (program.row_upper.size, program.cost.size)
    matrix = csr_array((program.row_value, program.row_column, program.row_start), shape=shape)
    sessions = program.session_count
    result = linprog(  # type: ignore[call-overload]  # its stubs know no sparse matrices
        program.cost,
        A_ub=matrix[sessions:],
        b_ub=program.row_upper[sessions:],
        A_eq=matrix[:sessions],
        b_eq=program.row_upper[:sessions],
        bounds=np.column_stack((np.zeros(program.cost.size), program.column_upper)),
        method="highs",
    )
    if result.status != 0:
        raise RuntimeError(f"linprog: {result.message}")
    return np.asarray(result.x, dtype=np.float64)
