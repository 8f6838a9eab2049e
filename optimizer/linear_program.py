"""A lexicographic linear program as arrays: what formulations make, Pyomo models are written from and solvers read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from models.domain.time_grid import BoolArray, FloatArray, IntArray
from optimizer.arrays import dot, sums_by

MOST_FREE = 0.7
"""Share of free columns above which leaving out the others saves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageCost:
    """One stage of the objective, to be minimised.

    Args:
        name: Name of the stage.
        cost: (C,), per unit of each column.
        offset: Constant added to the value.
    """

    name: str
    cost: FloatArray
    offset: float = 0.0

    def value(self, solution: FloatArray) -> float:
        """The stage's value at a solution (C,)."""
        return dot(self.cost, solution) + self.offset


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """R rows of one constraint family, compressed.

        lower[r]  <=  sum_k coefficient[k] * x[column[k]]  <=  upper[r]         for start[r] <= k < start[r + 1]

    Args:
        start: (R + 1,), where a row's entries begin.
        column: (nnz,), column of each entry; none twice within a row.
        coefficient: (nnz,).
        lower: (R,), minus infinity where unbounded.
        upper: (R,), infinity where unbounded.
    """

    start: IntArray
    column: IntArray
    coefficient: FloatArray
    lower: FloatArray
    upper: FloatArray

    @classmethod
    def of_terms(cls, terms: Iterable[Terms], *, lower: FloatArray, upper: FloatArray) -> Rows:
        """Rows from terms in any order; within a row, earlier terms stand first.

        Args:
            terms: What the rows add up.
            lower: (R,), minus infinity where unbounded.
            upper: (R,), infinity where unbounded.
        """
        parts = list(terms)
        row = np.concatenate([part.row for part in parts])
        order = np.argsort(row, kind="stable")
        return cls(
            start=np.concatenate(([0], np.cumsum(np.bincount(row, minlength=upper.size)))),
            column=np.concatenate([part.column for part in parts])[order],
            coefficient=np.concatenate([part.coefficient for part in parts])[order],
            lower=lower,
            upper=upper,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Terms:
    """N terms of rows under construction: ``coefficient[n] * x[column[n]]`` is added to row ``row[n]``.

    Args:
        row: (N,).
        column: (N,).
        coefficient: (N,).
    """

    row: IntArray
    column: IntArray
    coefficient: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearProgram:
    """Minimise the stages in order over C columns, subject to R rows.

        row_lower <= A x <= row_upper,    column_lower <= x <= column_upper

    A is held in compressed rows.

    Args:
        column_lower: (C,).
        column_upper: (C,), infinite where unbounded.
        row_lower: (R,), minus infinity where unbounded.
        row_upper: (R,), infinity where unbounded.
        row_start: (R + 1,), where a row's entries begin.
        row_column: (nnz,), column of each entry.
        row_value: (nnz,), coefficient of each entry.
        stages: The objective, most important first; at least one.
        columns: Columns of each variable by its name.
        rows: Rows of each constraint family by its name.
        integer_variables: Names of the variables that take whole numbers only.
    """

    column_lower: FloatArray
    column_upper: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    row_start: IntArray
    row_column: IntArray
    row_value: FloatArray
    stages: tuple[StageCost, ...]
    columns: Mapping[str, slice]
    rows: Mapping[str, slice]
    integer_variables: frozenset[str] = frozenset()

    @property
    def column_count(self) -> int:
        """C."""
        return self.column_lower.size

    @property
    def row_count(self) -> int:
        """R."""
        return self.row_lower.size

    @property
    def is_integer(self) -> BoolArray:
        """(C,), whether a column takes whole numbers only."""
        integer = np.zeros(self.column_count, dtype=bool)
        for name in self.integer_variables:
            integer[self.columns[name]] = True
        return integer

    def with_rows(self, rows: Rows) -> LinearProgram:
        """The program with further rows at the end, of no family."""
        return replace(
            self,
            row_lower=np.concatenate((self.row_lower, rows.lower)),
            row_upper=np.concatenate((self.row_upper, rows.upper)),
            row_start=np.concatenate((self.row_start, self.row_start[-1] + rows.start[1:])),
            row_column=np.concatenate((self.row_column, rows.column)),
            row_value=np.concatenate((self.row_value, rows.coefficient)),
        )

    @property
    def entry_row(self) -> IntArray:
        """(nnz,), row of each entry."""
        return np.repeat(np.arange(self.row_count), np.diff(self.row_start))

    def activity(self, solution: FloatArray) -> FloatArray:
        """A x, (R,)."""
        return sums_by(self.entry_row, self.row_value * solution[self.row_column], self.row_count)

    def reduced_cost(self, cost: FloatArray, row_dual: FloatArray) -> FloatArray:
        """What a unit more of each column changes: (C,) of cost - A' dual, from (C,) and (R,)."""
        return cost - sums_by(self.row_column, self.row_value * row_dual[self.entry_row], self.column_count)

    def without_fixed(self) -> Part | None:
        """The program without columns that have one value only and rows of nothing else; None where few have."""
        free = self.column_lower != self.column_upper
        if np.count_nonzero(free) > MOST_FREE * free.size:
            return None
        column = np.flatnonzero(free)
        fixed = np.where(free, 0.0, self.column_lower)
        entry = free[self.row_column]
        entry_row = self.entry_row
        counts = np.bincount(entry_row[entry], minlength=self.row_count)
        row = np.flatnonzero(counts)
        held = self.activity(fixed)[row]
        program = replace(
            self,
            column_lower=self.column_lower[column],
            column_upper=self.column_upper[column],
            row_lower=self.row_lower[row] - held,
            row_upper=self.row_upper[row] - held,
            row_start=np.concatenate(([0], np.cumsum(counts[row]))),
            row_column=(np.cumsum(free) - 1)[self.row_column[entry]],
            row_value=self.row_value[entry],
            stages=(),
            columns={},
            rows={},
            integer_variables=frozenset(),
        )
        return Part(program=program, column=column, row=row, fixed=fixed, rows=self.row_count)

    def extended(
        self,
        variables: Mapping[str, FloatArray],
        *,
        terms: Callable[[Mapping[str, IntArray]], Terms] | None = None,
        families: Mapping[str, Callable[[Mapping[str, IntArray]], Rows]] | None = None,
    ) -> LinearProgram:
        """The same program with further variables from zero up, in rows it has and in rows of their own.

        Args:
            variables: Upper bounds (N,) of each new variable's members.
            terms: Given the columns of the new variables, what they add to rows there are; None for nothing.
            families: Given the same, further rows of each family.

        Returns:
            The program; in its stages the new variables cost nothing.
        """
        columns: dict[str, IntArray] = {}
        for name, upper in variables.items():
            begin = self.column_count + sum(found.size for found in columns.values())
            columns[name] = np.arange(begin, begin + upper.size)
        count = sum(found.size for found in columns.values())
        old = Terms(row=self.entry_row, column=self.row_column, coefficient=self.row_value)
        in_old = (old,) if terms is None else (old, terms(columns))
        rows = {"": Rows.of_terms(in_old, lower=self.row_lower, upper=self.row_upper)}
        rows |= {name: build(columns) for name, build in (families or {}).items()}
        bounds = np.cumsum([0, *(family.upper.size for family in rows.values())]).tolist()
        places = {name: slice(*bounds[at : at + 2]) for at, name in enumerate(rows) if name}
        parts = list(rows.values())
        return replace(
            self,
            column_lower=np.concatenate((self.column_lower, np.zeros(count))),
            column_upper=_joined([self.column_upper, *variables.values()]),
            row_lower=_joined([family.lower for family in parts]),
            row_upper=_joined([family.upper for family in parts]),
            row_start=np.concatenate(([0], np.cumsum(np.concatenate([np.diff(family.start) for family in parts])))),
            row_column=np.concatenate([family.column for family in parts]),
            row_value=_joined([family.coefficient for family in parts]),
            stages=tuple(replace(stage, cost=np.append(stage.cost, np.zeros(count))) for stage in self.stages),
            columns={**self.columns, **_slices(columns, self.column_count)},
            rows={**self.rows, **places},
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """What is left of a program of C columns and R rows where some columns have one value only.

    Args:
        program: The rest, without stages and names.
        column: Where its columns are in the whole program.
        row: Where its rows are.
        fixed: (C,), values of the others, zero elsewhere.
        rows: R.
    """

    program: LinearProgram
    column: IntArray
    row: IntArray
    fixed: FloatArray
    rows: int

    def value(self, value: FloatArray) -> FloatArray:
        """(C,), from the values of what is left."""
        whole = self.fixed.copy()
        whole[self.column] = value
        return whole

    def of_columns(self, figure: FloatArray) -> FloatArray:
        """(C,), from a figure of each column that is left; zero elsewhere."""
        whole = np.zeros(self.fixed.size)
        whole[self.column] = figure
        return whole

    def of_rows(self, figure: FloatArray) -> FloatArray:
        """(R,), from a figure of each row that is left; zero elsewhere."""
        whole = np.zeros(self.rows)
        whole[self.row] = figure
        return whole


class ProgramBuilder:
    """A program under construction: variables first, then families of rows, then stages."""

    def __init__(self) -> None:
        self._lower: list[FloatArray] = []
        self._upper: list[FloatArray] = []
        self._columns: dict[str, slice] = {}
        self._integer: set[str] = set()
        self._families: dict[str, Rows] = {}
        self._stages: list[StageCost] = []

    @property
    def column_count(self) -> int:
        """Columns declared so far."""
        return max((columns.stop for columns in self._columns.values()), default=0)

    def columns(self, name: str) -> IntArray:
        """The columns of a variable, in order; empty where it was not declared."""
        found = self._columns.get(name, slice(0, 0))
        return np.arange(found.start, found.stop)

    def variable(self, name: str, *, upper: FloatArray, lower: FloatArray | None = None, integer: bool = False) -> None:
        """Declare a variable with a member for each bound.

        Args:
            name: What it is called in models, programs and messages.
            upper: (N,), infinite where unbounded.
            lower: (N,); zero where None.
            integer: Whether it takes whole numbers only.
        """
        begin = self.column_count
        self._columns[name] = slice(begin, begin + upper.size)
        self._lower.append(np.zeros(upper.size) if lower is None else lower)
        self._upper.append(upper)
        if integer:
            self._integer.add(name)

    def family(self, name: str, rows: Rows) -> None:
        """Add a constraint family; one without rows is left out."""
        if rows.upper.size:
            self._families[name] = rows

    def stage(self, name: str, cost: Mapping[str, FloatArray]) -> None:
        """Add a stage of the objective, less important than those before.

        Args:
            name: Name of the stage.
            cost: (N,) per unit of each member, by variable; others cost nothing.
        """
        costs = np.zeros(self.column_count)
        for variable, value in cost.items():
            costs[self._columns[variable]] = value
        self._stages.append(StageCost(name=name, cost=costs))

    def program(self) -> LinearProgram:
        """What was declared, as one program."""
        families = self._families
        sizes = np.concatenate([[0], *(np.diff(rows.start) for rows in families.values())])
        counts = np.cumsum([0, *(rows.upper.size for rows in families.values())]).tolist()
        return LinearProgram(
            column_lower=_joined(self._lower),
            column_upper=_joined(self._upper),
            row_lower=_joined([rows.lower for rows in families.values()]),
            row_upper=_joined([rows.upper for rows in families.values()]),
            row_start=np.cumsum(sizes),
            row_column=np.concatenate([np.zeros(0, dtype=np.int64), *(rows.column for rows in families.values())]),
            row_value=_joined([rows.coefficient for rows in families.values()]),
            stages=tuple(self._stages),
            columns=dict(self._columns),
            rows={name: slice(*counts[index : index + 2]) for index, name in enumerate(families)},
            integer_variables=frozenset(self._integer),
        )


def _slices(columns: Mapping[str, IntArray], begin: int) -> dict[str, slice]:
    """Where consecutive variables lie, the first one beginning at a column."""
    edges = (begin + np.cumsum([0, *(found.size for found in columns.values())])).tolist()
    return {name: slice(*edges[at : at + 2]) for at, name in enumerate(columns)}


def _joined(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros(0), *parts])
