"""Planning the same site again: what the last plan left, on the columns and rows of the next one.

Where nothing but limits, needs and costs has changed, they are changed in bulk in the instances of HiGHS that solved
the last plan. Where somebody came or went, instances are made anew, and begin with the old bases where energy is short.
Where a program is large and a network an iteration from a basis costs ten times what one from scratch does: what the
last plan's limits were worth says more there, and takes the place of a sample (`optimizer.network`).
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from models.domain.time_grid import FloatArray, IntArray
from optimizer.basis import AT_LOWER, BASIC, Basis, basis_of
from optimizer.highs import Instance, StageOutcome
from optimizer.linear_program import LinearProgram
from optimizer.options import Stage
from optimizer.problem import CapacityLimit, CapacityProblem
from optimizer.stages import SERVED_KWH, Hints

SESSION_VARIABLES = ("unmet_kwh",)
POWER_VARIABLES = ("energy_kwh", "raised_kwh", "lowered_kwh")
SESSION_ROWS = ("energy_balance",)
POWER_ROWS = ("energy_moved",)
LIMIT_ROWS = ("capacity_limit",)

MANY_COLUMNS = 5_000
"""From here on a basis may be worth more than an instance that goes on. Measured at 1,200 and at 12,000 columns, solver
alone over from scratch: where energy suffices, limits or needs changed 0.5 to 1.0 in place, 0.9 to 1.6 from bases, and
somebody came or went 0.9 to 1.7 from bases; where energy is short, limits or prices changed 0.5 to 0.9 and 0.7 to 1.1
in place, 0.8 to 0.9 and 0.5 to 0.7 from bases, and somebody came or went 1.0 to 1.3 and 0.4 to 0.6 from bases."""

ALIKE = 0.1
"""Change of a limit up to which its old price may be about right. Measured at 119,000 columns, from the last plan's
prices over from scratch: limits 3 % lower 0.8, 20 % lower or other costs 1.1 to 1.4."""

ABSENT = -1
"""Place of what the last plan did not have."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Last:
    """What a plan left.

    Args:
        problem: What was planned.
        program: As the solver read it.
        bases: By what was minimised.
        instances: Likewise, until the next plan takes them; their bases are asked for when they are needed.
        stages: How the stages ended.
    """

    problem: CapacityProblem
    program: LinearProgram
    bases: Mapping[str, Basis]
    instances: MutableMapping[str, Instance]
    stages: tuple[StageOutcome, ...]

    @property
    def is_scarce(self) -> bool:
        """Whether something stayed unmet."""
        return self.stages[0].value > SERVED_KWH


class Memory:
    """What one plan of a site leaves for the next one; empty at first.

    It holds instances of HiGHS: it can be given to one plan at a time, and not to another process.
    """

    def __init__(self) -> None:
        self.last: _Last | None = None

    def of(self, problem: CapacityProblem) -> Again:
        """The same with what is to be planned next."""
        return Again(self, problem)


class Again:
    """A problem beside what the last plan left.

    Args:
        memory: Where that is, and where the bases of this one are to be left.
        problem: What is to be planned.
    """

    def __init__(self, memory: Memory, problem: CapacityProblem) -> None:
        self._memory = memory
        self._problem = problem

    def hints(self, program: LinearProgram, hints: Hints) -> Hints:
        """What is known of a program, with what the last plan left that is of use for it.

        Where a program is small, or no network: the last plan's instances if nothing but bounds and costs has changed;
        else its bases if energy is short, nothing otherwise. Of a large network: prices, if they can be about right.
        """
        last = self._memory.last
        if last is None:
            return replace(hints, instances={}, bases={}) if hints.network is None else hints
        places = _Places(last.problem, self._problem)
        if hints.network is None:
            return self._in_place_or_from_bases(last, places, program, hints)
        return replace(hints, prices=_prices(last, places)) if self._is_alike(last, places, program) else hints

    def _is_alike(self, last: _Last, places: _Places, program: LinearProgram) -> bool:
        """Whether what limits were worth says more than a sample: costs as they were, and limits about as they were."""
        is_known = places.limit != ABSENT
        before_kwh = last.problem.limit_rows.capacity_kwh[places.limit[is_known]]
        now_kwh = self._problem.limit_rows.capacity_kwh[is_known]
        columns = _placed(program.columns, last.program.columns, places, program.column_count)
        return (
            bool((np.abs(now_kwh - before_kwh) <= ALIKE * before_kwh).all())
            and columns is not None
            and not _is_priced_anew(last.program, program, columns)
        )

    def _in_place_or_from_bases(self, last: _Last, places: _Places, program: LinearProgram, hints: Hints) -> Hints:
        fit = _fit(last, places, program)
        # Taken out of the memory: whatever ends this plan, what was half changed is not there for the next one.
        instances = dict(last.instances)
        last.instances.clear()
        # Where energy is short, capacity decides who gets it: the way from the old optimum is long if that changes.
        is_long = last.is_scarce and program.column_count >= MANY_COLUMNS
        is_like = bool(instances) and all(one.is_like(program) for one in instances.values())
        if is_like and fit is not None and not (is_long and _is_limited_or_priced_anew(last, program, fit)):
            return replace(hints, instances=instances, bases={})
        return replace(hints, instances={}, bases=_bases(last, instances, fit, program) if is_long else {})

    def keep(self, program: LinearProgram, hints: Hints, stages: tuple[StageOutcome, ...]) -> None:
        """Leave what this plan ended with, and its hints hold."""
        self._memory.last = _Last(
            problem=self._problem,
            program=program,
            bases=dict(hints.bases or {}),
            instances=dict(hints.instances or {}),
            stages=stages,
        )


_Fit: TypeAlias = tuple[IntArray, IntArray]
"""Where the last program had the columns and rows of the next one."""


def _fit(last: _Last, places: _Places, program: LinearProgram) -> _Fit | None:
    """Where things were; None where starting from scratch is faster or that cannot be told."""
    if not last.program.row_count or set(last.program.columns) != set(program.columns):
        return None
    columns = _placed(program.columns, last.program.columns, places, program.column_count)
    rows = _placed(program.rows, last.program.rows, places, program.row_count)
    if columns is None or rows is None:
        return None
    if not last.is_scarce and _is_priced_anew(last.program, program, columns):
        # The way from the old prices is about as long as that from nothing, unless capacity decides.
        return None
    return columns, rows


def _bases(
    last: _Last, instances: Mapping[str, Instance], fit: _Fit | None, program: LinearProgram
) -> dict[str, Basis]:
    """Bases by what is minimised, also those with which instances ended; none where nothing fits."""
    if fit is None:
        return {}
    found = {name: basis_of(instance.highs) for name, instance in instances.items()}
    bases = {**last.bases, **{name: basis for name, basis in found.items() if basis is not None}}
    return {name: _carried(basis, *fit, program) for name, basis in bases.items()}


def _prices(last: _Last, places: _Places) -> dict[str, FloatArray]:
    """Price of each row of capacity, (R,), by stage; empty where there is none."""
    rows = last.program.rows.get(LIMIT_ROWS[0])
    if rows is None:
        return {}
    # What was not there before, `ABSENT`, takes the zero at the end.
    return {
        stage.name: np.append(-stage.row_dual[rows], 0.0)[places.limit]
        for stage in last.stages
        if stage.row_dual is not None
    }


class _Places:
    """Where the last problem had the sessions, power columns and limit rows of the next one, or `ABSENT`."""

    def __init__(self, last: CapacityProblem, problem: CapacityProblem) -> None:
        ids = {session.session_id: place for place, session in enumerate(last.sessions)}
        self.session = np.array([ids.get(session.session_id, ABSENT) for session in problem.sessions], dtype=np.int64)
        step = _found(last.grid.edges_s[:-1], problem.grid.edges_s[:-1])
        limits = {_key(limit): place for place, limit in enumerate(last.limits)}
        limit = np.array([limits.get(_key(limit), ABSENT) for limit in problem.limits], dtype=np.int64)
        steps = last.grid.steps
        self.power = _found(
            last.column_session * steps + last.column_step,
            _pairs(self.session[problem.column_session], step[problem.column_step], steps),
        )
        old, new = last.limit_rows, problem.limit_rows
        self.limit = _found(
            old.limit_index * steps + old.step_index, _pairs(limit[new.limit_index], step[new.step_index], steps)
        )
        self.is_same = bool(
            last.grid.steps == problem.grid.steps
            and len(last.sessions) == len(problem.sessions)
            and (step == np.arange(steps)).all()
            and (self.session == np.arange(self.session.size)).all()
        )

    def of(self, name: str) -> IntArray | None:
        """Places within a variable or a family of rows; None where its members are not known one by one."""
        if name in SESSION_VARIABLES + SESSION_ROWS:
            return self.session
        if name in POWER_VARIABLES + POWER_ROWS:
            return self.power
        return self.limit if name in LIMIT_ROWS else None


def _key(limit: CapacityLimit) -> tuple[object, ...]:
    return (limit.owner, limit.is_group, limit.phase, limit.line, limit.every_moment, limit.is_export)


def _pairs(first: IntArray, second: IntArray, count: int) -> IntArray:
    return np.where((first < 0) | (second < 0), ABSENT, first * count + second)


def _found(known: np.ndarray, wanted: np.ndarray) -> IntArray:
    """Places of some numbers among others that increase."""
    place = np.minimum(np.searchsorted(known, wanted), max(0, known.size - 1))
    if not known.size:
        return np.full(wanted.size, ABSENT)
    return np.where(known[place] == wanted, place, ABSENT)


def _placed(now: Mapping[str, slice], before: Mapping[str, slice], places: _Places, count: int) -> IntArray | None:
    """Where the last program had the columns, or rows, of the next one; None where that cannot be told."""
    placed = np.full(count, ABSENT, dtype=np.int64)
    for name, members in now.items():
        old = before.get(name)
        if old is None:
            continue
        within = places.of(name)
        if within is None:
            if old.stop - old.start != members.stop - members.start or not places.is_same:
                return None
            within = np.arange(old.stop - old.start)
        placed[members] = np.where(within == ABSENT, ABSENT, old.start + within)
    return placed


def _is_priced_anew(last: LinearProgram, program: LinearProgram, columns: IntArray) -> bool:
    """Whether anything costs something else than before; how late something is counts from where the window begins."""
    costs = {stage.name: stage.cost for stage in last.stages}
    known = columns != ABSENT
    return any(
        stage.name not in costs or not np.array_equal(costs[stage.name][columns[known]], stage.cost[known])
        for stage in program.stages
        if stage.name != Stage.EARLIEST_DELIVERY
    )


def _is_limited_or_priced_anew(last: _Last, program: LinearProgram, fit: _Fit) -> bool:
    """Whether rows other than those of sessions have other bounds than before, or anything costs something else."""
    balance = program.rows.get(SESSION_ROWS[0], slice(0, 0))
    before, now = np.delete(last.program.row_upper, balance), np.delete(program.row_upper, balance)
    return not np.array_equal(before, now) or _is_priced_anew(last.program, program, fit[0])


def _carried(basis: Basis, columns: IntArray, rows: IntArray, program: LinearProgram) -> Basis:
    """A basis on other columns and rows: new rows are slack, new columns zero, and of newcomers all is unmet."""
    known = columns != ABSENT
    column, row = basis.columns[columns], basis.rows[rows]
    column[~known] = AT_LOWER
    row[rows == ABSENT] = BASIC
    unmet, balance = program.columns["unmet_kwh"], program.rows.get("energy_balance", slice(0, 0))
    came = ~known[unmet]
    column[unmet][came] = BASIC
    row[balance][came] = AT_LOWER
    return Basis(columns=column, rows=row)
