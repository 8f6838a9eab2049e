"""Sums over groups of array entries."""

from __future__ import annotations

import numpy as np

from models.domain.time_grid import FloatArray, IntArray


def sums_by(index: IntArray, values: FloatArray, size: int) -> FloatArray:
    """Sum of the values of each index.

    Args:
        index: (N,), from 0 to size - 1.
        values: (N,).
        size: How many sums.

    Returns:
        (size,), zero where an index does not occur.
    """
    return np.bincount(index, weights=values, minlength=size).astype(np.float64, copy=False)
