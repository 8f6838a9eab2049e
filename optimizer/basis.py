"""Bases of simplex: read from a solved instance, handed to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import highspy
import numpy as np
from numpy.typing import NDArray

from models.domain.time_grid import IntArray

Standing: TypeAlias = NDArray[np.object_]
"""Where columns or rows stand, in the words of HiGHS: turning these into numbers and back would take longer."""

AT_LOWER = highspy.HighsBasisStatus.kLower
AT_UPPER = highspy.HighsBasisStatus.kUpper
BASIC = highspy.HighsBasisStatus.kBasic


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Basis:
    """Where simplex stood.

    Args:
        columns: (C,).
        rows: (R,).
    """

    columns: Standing
    rows: Standing

    def of(self, column: IntArray, row: IntArray) -> Basis:
        """The same of some of the columns and rows."""
        return Basis(columns=self.columns[column], rows=self.rows[row])

    def with_rows(self, count: int) -> Basis:
        """The same of a program with so many rows: further ones are slack, those beyond are left out."""
        further = max(0, count - self.rows.size)
        slack = np.full(further, BASIC, dtype=object)
        return Basis(columns=self.columns, rows=np.concatenate((self.rows[:count], slack)))


def basis_of(highs: highspy.Highs) -> Basis | None:
    """The basis that an instance ended with; None where it has none."""
    found = highs.getBasis()
    if not found.valid:
        return None
    return Basis(columns=np.array(found.col_status, dtype=object), rows=np.array(found.row_status, dtype=object))


def hand_over(basis: Basis, highs: highspy.Highs) -> bool:
    """Let an instance start from a basis; False where it does not take it.

    HiGHS mends one that has too few or too many members, or is singular.
    """
    given = highspy.HighsBasis()
    given.valid = True
    given.alien = True
    given.col_status = basis.columns.tolist()
    given.row_status = basis.rows.tolist()
    return bool(highs.setBasis(given) == highspy.HighsStatus.kOk)
