"""Bases to start from where sessions share nothing but limits, which makes a program a network or nearly so.

A session fills its columns from the cheapest on. Where everybody can do so under the limits, that is the optimum. Else
its columns cost what the capacity costs that they use, besides; with the right prices of capacity the same rule gives
the optimum but for ties (`optimizer.filling`). Those prices are about the same for every fourth to eighth session, with
limits cut down: a program that is solved in a fraction of the time, in the same way.

Simplex finishes from such a basis, and proves the optimum or goes on to it: a bad start costs time and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.domain.time_grid import BoolArray, FloatArray, IntArray
from optimizer.arrays import sums_by
from optimizer.basis import Basis
from optimizer.filling import BALANCE, ENERGY, LIMITS, UNMET, Filling
from optimizer.linear_program import LinearProgram, StageCost
from optimizer.problem import CapacityProblem

LEAST_COLUMNS = 20_000
"""Below this a program is solved from scratch as soon as a start is found and finished. Measured over dual simplex from
scratch: 0.7 to 1.4 times at 12,000 columns, 0.3 to 1.2 at 24,000 to 48,000, 0.05 to 1.3 at 119,000."""

SESSIONS_PER_LIMIT = 30
"""How many sessions a limit of the sample should hold down in a step, on the average: fewer misjudge its price.
Measured at 500 sessions under one limit: 30 give a start that simplex ends within 200 iterations, 15 one in 1,800."""

LEAST_SAMPLED, MOST_SAMPLED = 4, 8
"""One session of so many is in the sample. Where it would have to be more than one of four, starting from scratch is as
fast."""

MOST_SHORT = 0.005
"""Share of the energy that a start may leave out of place (`Filling.short_kwh`). Measured at 119,000 columns: up to
0.4 % simplex ends within 800 iterations, from 0.7 % on it needs more than a thousand."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """Where and when the energy columns of a program of sessions under limits are.

    Args:
        session: (K,), increasing.
        step: (K,), increasing within a session.
        limit: (R,), which limit each row of capacity is of.
    """

    session: IntArray
    step: IntArray
    limit: IntArray

    @classmethod
    def of(cls, program: LinearProgram, problem: CapacityProblem) -> Network | None:
        """The network of a problem's program; None where it is small, or has more to it than sessions under limits."""
        is_plain = (
            tuple(program.columns) == (ENERGY, UNMET)
            and tuple(program.rows) == (BALANCE, LIMITS)
            and not program.integer_variables
            and program.column_count >= LEAST_COLUMNS
            and bool((problem.limit_rows.coefficient > 0.0).all())
        )
        if not is_plain:
            return None
        return cls(session=problem.column_session, step=problem.column_step, limit=problem.limit_rows.limit_index)

    def unlimited(self, program: LinearProgram, cost: FloatArray) -> Basis | None:
        """The optimal basis where every session can fill its columns from the cheapest and earliest on; else None.

        Args:
            program: The program, with any bounds.
            cost: (C,).
        """
        filling = Filling(program, cost, np.zeros(self.limit.size), session=self.session, step=self.step)
        filling.in_order()
        return filling.basis() if filling.holds else None

    def near(self, program: LinearProgram, cost: FloatArray, price: FloatArray) -> Basis | None:
        """A basis near the optimum of a cost.

        Args:
            program: The program.
            cost: (C,), scaled.
            price: (R,), of each row of capacity as far as it is known, in the same scale; below zero it counts only
                where a row has to be full.

        Returns:
            A basis, which may have too few or too many members; None where starting from scratch is as fast.
        """
        has_to_be_full = np.isfinite(program.row_lower[program.rows[LIMITS]])
        price = np.where(has_to_be_full, price, np.maximum(price, 0.0))
        filling = Filling(program, cost, price, session=self.session, step=self.step)
        filling.by_laxity()
        if filling.short_kwh > MOST_SHORT * filling.needed_kwh:
            return None
        return filling.basis()

    def is_nested(self, program: LinearProgram) -> bool:
        """Whether more than one limit holds energy down."""
        limited = program.row_column.size - int(program.row_start[program.rows[BALANCE].stop])
        return limited > self.session.size

    def sample(self, program: LinearProgram, cost: FloatArray, value: FloatArray | None = None) -> Sample | None:
        """Every fourth to eighth session, each limit cut down to what they use of it and their share of the rest.

        Args:
            program: The program.
            cost: (C,), what is to be minimised.
            value: (C,), values that hold; None for zero. What has to be full is full then in the sample too.

        Returns:
            The sample; None where it would be too small to tell anything.
        """
        sessions = program.rows[BALANCE].stop
        per_row = (program.row_column.size - int(program.row_start[sessions])) / max(self.limit.size, 1)
        sampled = min(MOST_SAMPLED, int(per_row / SESSIONS_PER_LIMIT))
        if sampled < LEAST_SAMPLED:
            return None
        is_session = self._every(sampled, sessions)
        is_energy = is_session[self.session]
        is_column = np.concatenate((is_energy, is_session))
        is_row = np.concatenate((is_session, np.ones(self.limit.size, dtype=bool)))
        is_entry = is_column[program.row_column]
        counts = np.bincount(program.entry_row[is_entry], minlength=program.row_count)[is_row]
        row_lower, row_upper = program.row_lower.copy(), program.row_upper.copy()
        share = self._share(program, is_session)[self.limit]
        held = np.zeros(is_column.size) if value is None else value
        used, mine = program.activity(held), program.activity(np.where(is_column, held, 0.0))
        for bound in (row_lower, row_upper):
            row = sessions + np.flatnonzero(np.isfinite(bound[sessions:]))
            bound[row] = mine[row] + share[row - sessions] * (bound[row] - used[row])
        energies, chosen = int(is_energy.sum()), int(is_session.sum())
        return Sample(
            network=Network(
                session=(np.cumsum(is_session) - 1)[self.session[is_energy]],
                step=self.step[is_energy],
                limit=self.limit,
            ),
            program=LinearProgram(
                column_lower=program.column_lower[is_column],
                column_upper=program.column_upper[is_column],
                row_lower=row_lower[is_row],
                row_upper=row_upper[is_row],
                row_start=np.concatenate(([0], np.cumsum(counts))),
                row_column=(np.cumsum(is_column) - 1)[program.row_column[is_entry]],
                row_value=program.row_value[is_entry],
                stages=(StageCost(name="sample", cost=cost[is_column]),),
                columns={ENERGY: slice(0, energies), UNMET: slice(energies, energies + chosen)},
                rows={BALANCE: slice(0, chosen), LIMITS: slice(chosen, chosen + self.limit.size)},
            ),
            value=None if value is None else value[is_column],
        )

    def _every(self, sampled: int, sessions: int) -> BoolArray:
        """(S,), every so many sessions in the order of their windows."""
        columns = np.bincount(self.session, minlength=sessions)
        present = np.flatnonzero(columns)
        last = np.cumsum(columns)[present] - 1
        order = present[np.lexsort((self.step[last], self.step[last - columns[present] + 1]))]
        chosen = np.zeros(sessions, dtype=bool)
        chosen[order[sampled // 2 :: sampled]] = True
        return chosen

    def _share(self, program: LinearProgram, is_session: BoolArray) -> FloatArray:
        """(limits,), which part of what is needed below each limit some sessions need."""
        sessions = is_session.size
        each = program.row_upper[:sessions] / np.maximum(np.bincount(self.session, minlength=sessions), 1)
        entries = slice(int(program.row_start[sessions]), None)
        session = self.session[program.row_column[entries]]
        need = program.row_value[entries] * each[session]
        limit = self.limit[program.entry_row[entries] - sessions]
        count = int(self.limit.max(initial=-1)) + 1
        every, mine = sums_by(limit, need, count), sums_by(limit, need * is_session[session], count)
        return np.divide(mine, every, out=np.ones(count), where=every > 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """A program of some of the sessions.

    Args:
        network: Of that program.
        program: It; its one stage is what is to be minimised.
        value: Values that hold; None where none are known.
    """

    network: Network
    program: LinearProgram
    value: FloatArray | None

    def price(self, row_dual: FloatArray) -> FloatArray:
        """Price of each row of capacity, (R,), from the duals of the program's rows."""
        return -row_dual[self.program.rows[LIMITS]]
