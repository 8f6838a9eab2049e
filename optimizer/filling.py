"""The energies that sessions take where capacity has prices.

    1. Each session takes what is cheaper than the column with which it has enough, in full.
    2. What it still needs goes to columns that are as cheap as that one, forward in time and by least laxity, first
       under limits that have to be full, as all that have a price do.
    3. What found no place then, or is missing where it has to be full, is brought there along ways through sessions
       that can have their energy at either of two places (`optimizer.augmenting`).

Where nothing has a price and no limit is exceeded, filling from the cheapest and earliest column on is the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.domain.time_grid import FloatArray, IntArray
from optimizer.arrays import sums_by
from optimizer.augmenting import Places, settle
from optimizer.basis import AT_LOWER, AT_UPPER, BASIC, Basis
from optimizer.linear_program import LinearProgram

ENERGY, UNMET = "energy_kwh", "unmet_kwh"
BALANCE, LIMITS = "energy_balance", "capacity_limit"

TIE = 1e-5
"""Difference of reduced costs that is none; costs are scaled to 100."""

LEAST_SERVED = 0.9
"""Share of the sessions that are to be served in full where ties are mended. Measured on days of which a quarter of the
energy stays unmet: simplex has no less left to do afterwards."""

MOST_CELLS = 4_000_000
"""Places times sessions up to which ties are mended: two tables of 32 MB."""

ROUNDING_KWH = 1e-7
"""What is nearer to a bound is at it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Entries:
    """Coefficients of the rows of capacity.

    Args:
        row: (N,), increasing.
        column: (N,).
        coefficient: (N,).
    """

    row: IntArray
    column: IntArray
    coefficient: FloatArray

    def by_row(self, value: FloatArray, rows: int) -> FloatArray:
        """(rows,), what columns of these values, (C,), put on each row."""
        return sums_by(self.row, self.coefficient * value[self.column], rows)

    def by_column(self, price: FloatArray, columns: int) -> FloatArray:
        """(columns,), what a unit of each column costs at these prices of rows, (R,)."""
        return sums_by(self.column, self.coefficient * price[self.row], columns)


class Filling:
    """The energies that sessions take at some prices of capacity."""

    def __init__(
        self, program: LinearProgram, cost: FloatArray, price: FloatArray, *, session: IntArray, step: IntArray
    ) -> None:
        """Nothing is taken yet.

        Args:
            program: Of sessions under limits.
            cost: (C,).
            price: (R,), of each row of capacity; negative only where it has to be full.
            session: (K,), of each energy column, increasing.
            step: (K,), increasing within a session.
        """
        sessions = program.rows[BALANCE].stop
        entries = slice(int(program.row_start[sessions]), None)
        self._program = program
        self._session = np.concatenate((session, np.arange(sessions)))
        self._step = step
        self._entries = _Entries(
            row=program.entry_row[entries] - sessions,
            column=program.row_column[entries],
            coefficient=program.row_value[entries],
        )
        self._is_to_fill = (price > 0.0) | np.isfinite(program.row_lower[sessions:])
        self._width = program.column_upper - program.column_lower
        self._value = program.column_lower.copy()
        self._need = program.row_lower[:sessions] - sums_by(self._session, self._value, sessions)
        self._reduced = cost + self._entries.by_column(price, cost.size)
        # Columns of a session are in order of time, what it goes without at the end: the sort keeps that among ties.
        self._order = np.lexsort((self._reduced, self._session))
        self._first = np.searchsorted(self._session[self._order], np.arange(sessions + 1))
        self._is_tied = np.zeros(cost.size, dtype=bool)
        self.short_kwh = 0.0
        """What found no place, and what limits lack that have to be full, twice: it is somewhere else besides."""

    @property
    def needed_kwh(self) -> float:
        """What all sessions need."""
        return float(self._need.sum())

    @property
    def holds(self) -> bool:
        """Whether all limits hold."""
        program, sessions = self._program, self._need.size
        load = self._load_kwh()
        return bool(
            (load <= program.row_upper[sessions:] + ROUNDING_KWH).all()
            and (load >= program.row_lower[sessions:] - ROUNDING_KWH).all()
        )

    def in_order(self) -> None:
        """Fill from the cheapest on, whatever limits say."""
        need = self._need[self._session[self._order]]
        self._value[self._order] += np.clip(need - self._before_kwh, 0.0, self._width[self._order])

    def by_laxity(self) -> None:
        """Take what is cheaper than the last column needed, and of what is as cheap what limits let through."""
        program, sessions = self._program, self._need.size
        above = self._reduced - self._reduced[self._enough][self._session]
        can = self._width > ROUNDING_KWH
        taken = (above < -TIE) & can
        self._is_tied = (np.abs(above) <= TIE) & can
        self._value[taken] = program.column_upper[taken]
        left = self._need - sums_by(self._session[taken], self._width[taken], sessions)
        self._fill_ties(left)
        unmet = slice(self._step.size, None)
        is_served = ~self._is_tied[unmet]
        given = np.where(is_served, 0.0, np.minimum(left, self._width[unmet]))
        self._value[unmet] += given
        left -= given
        if np.count_nonzero(is_served) > LEAST_SERVED * sessions:
            left = self._mended(left)
        self._value[unmet] = np.minimum(self._value[unmet] + left, program.column_upper[unmet])
        lacking = np.maximum(program.row_lower[sessions:] - self._load_kwh(), 0.0)
        self.short_kwh = float(left.sum() + 2.0 * lacking.sum())

    def basis(self) -> Basis:
        """What is strictly between its bounds, one column of each session at least, and limits with room."""
        program, sessions = self._program, self._need.size
        at_upper = self._value >= program.column_upper - ROUNDING_KWH
        is_basic = ~at_upper & (self._value > program.column_lower + ROUNDING_KWH)
        lacks = np.ones(sessions, dtype=bool)
        lacks[self._session[is_basic]] = False
        # The last of a session's columns that are as cheap as any, or else the one with which it has enough.
        one = self._enough.copy()
        tied = np.flatnonzero(self._is_tied)
        one[self._session[tied]] = tied
        is_basic[one[lacks]] = True
        columns = np.full(at_upper.size, AT_LOWER, dtype=object)
        columns[at_upper] = AT_UPPER
        columns[is_basic] = BASIC
        is_full = np.ones(program.row_count, dtype=bool)
        is_full[sessions:] = self._load_kwh() >= program.row_upper[sessions:] - ROUNDING_KWH
        rows = np.full(is_full.size, BASIC, dtype=object)
        rows[is_full] = AT_UPPER
        return Basis(columns=columns, rows=rows)

    def _load_kwh(self) -> FloatArray:
        """(R,), what limits carry."""
        return self._entries.by_row(self._value, self._program.row_count - self._need.size)

    @cached_property
    def _before_kwh(self) -> FloatArray:
        """(C,), in order: what the cheaper columns of the same session hold."""
        filled = np.concatenate(([0.0], np.cumsum(self._width[self._order])))
        before: FloatArray = filled[:-1] - filled[self._first[self._session[self._order]]]
        return before

    @cached_property
    def _enough(self) -> IntArray:
        """(S,), the column with which each session, filled from the cheapest on, has what it needs."""
        session = self._session[self._order]
        is_short = self._before_kwh + self._width[self._order] < self._need[session] - ROUNDING_KWH
        place = self._first[:-1] + np.bincount(session[is_short], minlength=self._need.size)
        enough: IntArray = self._order[np.minimum(place, self._first[1:] - 1)]
        return enough

    def _mended(self, left: FloatArray) -> FloatArray:
        """Move energy among ties until sessions have what is left of their need, (S,), and limits are full.

        Returns:
            (S,), what is left then.
        """
        program, sessions = self._program, self._need.size
        room = program.row_upper[sessions:] - self._load_kwh()
        lacks = self._is_to_fill & (room > ROUNDING_KWH)
        if not lacks.any() and not (left > ROUNDING_KWH).any():
            return left
        row = self._tightest(room)
        # What sessions go without is a place as well, one that takes all.
        row[self._step.size :] = room.size
        tied = np.flatnonzero(self._is_tied & (row >= 0))
        rows = np.flatnonzero(np.bincount(row[tied], minlength=room.size + 1))
        if rows.size * sessions > MOST_CELLS or (self._entries.coefficient != 1.0).any():
            return left
        # A session has one column at most below a row, which is one step's.
        at = (np.searchsorted(rows, row[tied]), self._session[tied])
        places = Places(
            energy_kwh=np.zeros((rows.size + 1, sessions)),
            free_kwh=np.zeros((rows.size + 1, sessions)),
            room_kwh=np.append(np.append(room, np.inf)[rows], 0.0),
            is_to_fill=np.append(np.append(self._is_to_fill, False)[rows], False),
        )
        places.energy_kwh[at] = self._value[tied] - program.column_lower[tied]
        places.energy_kwh[-1] = left
        places.free_kwh[at] = program.column_upper[tied] - self._value[tied]
        settle(places)
        self._value[tied] = program.column_lower[tied] + places.energy_kwh[at]
        short: FloatArray = places.energy_kwh[-1]
        return short

    def _tightest(self, room: FloatArray) -> IntArray:
        """(C,), the row that holds each column down: a full one, else the one of most columns; -1 where none does."""
        row, column = self._entries.row, self._entries.column
        is_full = self._is_to_fill | (room <= ROUNDING_KWH)
        by_rank = np.lexsort((np.bincount(row, minlength=room.size), is_full))
        rank = np.empty(room.size, dtype=np.int64)
        rank[by_rank] = np.arange(room.size)
        highest = np.full(self._value.size, -1)
        np.maximum.at(highest, column, rank[row])
        tightest: IntArray = np.append(by_rank, -1)[highest]
        return tightest

    def _fill_ties(self, left: FloatArray) -> None:
        """Give sessions what is left of their need, (S,), which is lowered."""
        tied = np.flatnonzero(self._is_tied[: self._step.size])
        if not tied.size:
            return
        sessions = self._need.size
        room = np.maximum(self._program.row_upper[sessions:] - self._load_kwh(), 0.0)
        fills = np.zeros(self._value.size, dtype=bool)
        fills[self._entries.column[self._is_to_fill[self._entries.row]]] = True
        turn = self._step[tied] + np.where(fills[tied], 0, self._step.max() + 1)
        by_turn = np.argsort(turn, kind="stable")
        columns, turn = tied[by_turn], turn[by_turn]
        bounds = np.flatnonzero(np.diff(turn, prepend=-1, append=turn[-1] + 1))
        turns = _Turns(self._entries, columns, bounds, self._value.size)
        later = sums_by(self._session[tied], self._width[tied], sessions)
        for number, (begin, end) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
            column = columns[begin:end]
            session = self._session[column]
            width, wanted = self._width[column], left[session]
            given = np.minimum(width, wanted)
            turns.hold(number, given, (later[session] - wanted) / width, room)
            self._value[column] += given
            left[session] = wanted - given
            later[session] -= width


class _Turns:
    """Entries of limits in the turns in which columns are filled."""

    def __init__(self, entries: _Entries, columns: IntArray, bounds: IntArray, size: int) -> None:
        place = np.full(size, -1)
        place[columns] = np.arange(columns.size)
        entry = np.flatnonzero(place[entries.column] >= 0)
        at = place[entries.column[entry]]
        turn = np.searchsorted(bounds, at, side="right") - 1
        order = np.lexsort((entries.row[entry], turn))
        entry, at, turn = entry[order], at[order], turn[order]
        self._place = at - bounds[turn]
        self._row = entries.row[entry]
        self._coefficient = entries.coefficient[entry]
        self._first = np.searchsorted(turn, np.arange(bounds.size))

    def hold(self, turn: int, given: FloatArray, laxity: FloatArray, room: FloatArray) -> None:
        """Lower what columns are to get, the laxest first, until every limit has room; then take up that room.

        Args:
            turn: Which columns.
            given: (N,), what they are to get, kWh; lowered.
            laxity: (N,).
            room: (R,), of each row, kWh; lowered.
        """
        here = slice(int(self._first[turn]), int(self._first[turn + 1]))
        place, row, coefficient = self._place[here], self._row[here], self._coefficient[here]
        if not row.size:
            return
        first = np.flatnonzero(np.diff(row, prepend=-1, append=row[-1] + 1))
        rows = row[first[:-1]]
        over = np.flatnonzero(np.add.reduceat(coefficient * given[place], first[:-1]) > room[rows])
        if over.size:
            rank = np.empty(laxity.size, dtype=np.int64)
            rank[np.argsort(laxity, kind="stable")] = np.arange(laxity.size)
            for index in over.tolist():
                part = slice(int(first[index]), int(first[index + 1]))
                by_rank = np.argsort(rank[place[part]])
                mine, factor = place[part][by_rank], coefficient[part][by_rank]
                wanted = factor * given[mine]
                before = np.cumsum(wanted) - wanted
                given[mine] = np.clip(room[rows[index]] - before, 0.0, wanted) / factor
        room[rows] -= np.add.reduceat(coefficient * given[place], first[:-1])
