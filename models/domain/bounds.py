"""Bounds of figures, whoever states them."""

from __future__ import annotations

import math

from models.errors import InputError

MAX_POWER_KW = 1e6
"""Nothing behind one grid connection is larger than a gigawatt; a larger figure is a mistaken unit."""


def check_power_kw(power_kw: float | None, name: str) -> None:
    """Let pass no limit or a finite, non-negative one.

    Raises:
        InputError: It is negative, not finite or above a gigawatt.
    """
    if power_kw is not None and not (math.isfinite(power_kw) and 0 <= power_kw <= MAX_POWER_KW):
        raise InputError(f"{name} is {power_kw} kW; it must be between 0 and {MAX_POWER_KW:g} kW")


def check_between(value: float, low: float, high: float, name: str) -> None:
    """Let pass a finite number within bounds.

    Raises:
        InputError: It is another.
    """
    if not (math.isfinite(value) and low <= value <= high):
        raise InputError(f"{name} is {value}; it must be between {low:g} and {high:g}")
