"""How fast a quantity grows with size: the exponent of the power law that fits it best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def growth_exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """The p of ``value = a * size^p``, by least squares of the logarithms.

        p = sum (x - mean x) (y - mean y) / sum (x - mean x)^2        x = log size, y = log value

    Args:
        sizes: Above zero, of which at least two differ.
        values: One for each size; what is not above zero was too short to be measured and leaves no exponent.

    Returns:
        1 where the value doubles with the size, 2 where it quadruples; None where it cannot be told.
    """
    if len(set(sizes)) < 2 or min(values) <= 0.0:  # noqa: PLR2004 - a line takes two points
        return None
    x, y = np.log(sizes), np.log(values)
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / (x * x).sum())


def upper_growth_exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """The same over the larger half of increasing sizes: at the smallest ones, fixed costs hide growth."""
    kept = max(2, (len(sizes) + 1) // 2)
    return growth_exponent(sizes[-kept:], values[-kept:])
