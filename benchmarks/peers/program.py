"""The linear program that every peer gets, as a file of NumPy arrays; and one day as a file, for whole planners."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrays:
    """A dataclass of arrays that goes to a file and back."""

    def save(self, path: Path) -> None:
        """Write it."""
        np.savez(path, allow_pickle=False, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read one that was written."""
        with np.load(path) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})


@dataclass(frozen=True, kw_only=True, eq=False)
class SharedProgram(Arrays):
    """Least unmet energy, then least cost, in one objective; S sessions, C columns, R rows of which S come first.

        minimise  sum_c cost[c] x[c]
        row_lower <= A x <= row_upper,    0 <= x <= column_upper

    Columns are the energy of each session in each of its steps and then the S energies that stay unmet, all in kWh.
    The first S rows say that a session's columns add up to its need; the others are limits. A is in compressed rows.

    Args:
        cost: (C,), currency per kWh.
        column_upper: (C,), kWh.
        row_lower: (R,), kWh; minus infinity where there is none.
        row_upper: (R,), kWh.
        row_start: (R + 1,), where a row's entries begin.
        row_column: (nnz,).
        row_value: (nnz,).
        sessions: (1,), S.
    """

    cost: FloatArray
    column_upper: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    row_start: IntArray
    row_column: IntArray
    row_value: FloatArray
    sessions: IntArray

    @property
    def session_count(self) -> int:
        """S."""
        return int(self.sessions[0])

    @property
    def entry_row(self) -> IntArray:
        """(nnz,), row of each entry."""
        return np.repeat(np.arange(self.row_upper.size), np.diff(self.row_start))

    def activity(self, x: FloatArray) -> FloatArray:
        """A x, (R,), of (C,)."""
        weights = self.row_value * x[self.row_column]
        return np.bincount(self.entry_row, weights=weights, minlength=self.row_upper.size).astype(np.float64)

    def objective(self, x: FloatArray) -> float:
        """Of (C,), currency."""
        return float((self.cost * x).sum())

    def violation(self, x: FloatArray) -> float:
        """By how much (C,) breaks the worst row or bound, kWh."""
        activity = self.activity(x)
        worst = [self.row_lower - activity, activity - self.row_upper, -x, x - self.column_upper]
        return max(0.0, *(float(part.max(initial=0.0)) for part in worst))


@dataclass(frozen=True, kw_only=True, eq=False)
class SharedDay(Arrays):
    """One day behind one limit, for planners that make their own program of it; S sessions, T steps.

    Args:
        max_kw: (S, T), mean power a session may take over a step, zero where it is absent, kW.
        energy_kwh: (S,), what it needs, kWh.
        price_per_kwh: (T,), currency per kWh.
        limit_kw: (T,), kW.
        step_hours: (1,), h.
    """

    max_kw: FloatArray
    energy_kwh: FloatArray
    price_per_kwh: FloatArray
    limit_kw: FloatArray
    step_hours: FloatArray

    def objective(self, power_kw: FloatArray) -> float:
        """Cost of (S, T), kW, currency."""
        return float((power_kw.sum(axis=0) * self.price_per_kwh).sum() * self.step_hours[0])

    def unmet_kwh(self, power_kw: FloatArray) -> float:
        """What (S, T), kW, leaves of the needs, kWh."""
        return float(np.maximum(self.energy_kwh - power_kw.sum(axis=1) * self.step_hours[0], 0.0).sum())

    def violation(self, power_kw: FloatArray) -> float:
        """By how much (S, T) breaks the worst bound or limit, kW."""
        worst = [-power_kw, power_kw - self.max_kw, power_kw.sum(axis=0) - self.limit_kw]
        return max(0.0, *(float(part.max()) for part in worst))
