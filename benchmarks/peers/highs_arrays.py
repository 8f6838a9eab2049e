"""highspy from arrays: the floor, and every method that HiGHS has."""

from __future__ import annotations

import highspy
import numpy as np

from benchmarks.peers.program import FloatArray, SharedProgram

PACKAGES = ("highspy", "highspy-extras")
LARGEST_COST = "largest_cost"
"""Option that is not HiGHS's own: what the largest cost is scaled to."""


def solve(program: SharedProgram, options: dict[str, str]) -> FloatArray:
    """Options are those of HiGHS by name, as text, and `LARGEST_COST`."""
    highs = highspy.Highs()
    highs.silent()
    for name, value in options.items():
        if name != LARGEST_COST and highs.setOptionValue(name, value) != highspy.HighsStatus.kOk:
            raise ValueError(f"HiGHS refuses {name}={value}")
    scale = 1.0
    if LARGEST_COST in options:
        scale = float(options[LARGEST_COST]) / float(np.abs(program.cost).max())
    highs.passModel(
        program.cost.size,
        program.row_upper.size,
        program.row_value.size,
        int(highspy.MatrixFormat.kRowwise),
        int(highspy.ObjSense.kMinimize),
        0.0,
        program.cost * scale,
        np.zeros(program.cost.size),
        program.column_upper,
        program.row_lower,
        program.row_upper,
        program.row_start.astype(np.int32),
        program.row_column.astype(np.int32),
        program.row_value,
        np.zeros(program.cost.size, dtype=np.int32),
    )
    highs.run()
    status = highs.getModelStatus()
    if status != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"HiGHS ended with {highs.modelStatusToString(status)}")
    return np.array(highs.getSolution().col_value)
