"""Sums over array entries."""

from __future__ import annotations

import numpy as np

from models.domain.time_grid import FloatArray, IntArray


def dot(left: FloatArray, right: FloatArray) -> float:
    """Sum of products, the same on every run.

    NumPy's ``@`` hands long vectors to a threaded BLAS, which may add in any order and costs milliseconds where the
    processor is busy.
    """
    return float(np.multiply(left, right).sum())


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
