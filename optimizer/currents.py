"""Limits of currents that differ in direction: polygons whose sides become rows where they bind, and never too few.

The currents of a line form a figure of all they may add up to. It lies within the circle of the line's limit if it lies
within a regular polygon inside that circle, and within the polygon if it reaches beyond none of its sides:

    sum_s max(0, Re(phasor[s] e^(-j angle))) power_kw[s]  <=  limit_kw cos(pi / sides)        for the angle of each side

One corner points along the voltage of L1, so that with sides in multiples of 12 the currents of evenly loaded lines,
which lie at multiples of 30 degrees, lose nothing. All coefficients are positive: whatever a vehicle leaves of what it
may draw, no side is exceeded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.domain.time_grid import FloatArray, IntArray
from optimizer.arrays import sums_by
from optimizer.limit_rows import counted_columns, least_kwh
from optimizer.line_limits import line_limit
from optimizer.linear_program import Rows
from optimizer.lines import Line, largest_sum
from optimizer.problem import CapacityLimit, CapacityProblem

CUT_TOLERANCE_KWH = 1e-7
"""A side exceeded by less holds, as the solver means it."""

FEW_SIDES = range(24, 7, -1)
"""Numbers of sides for those who meet every side in every step: of 24 they lose 0.9 % of a line at most."""


def side_angles(sides: int) -> FloatArray:
    """Direction in which each side of a polygon lies: (sides,), rad."""
    angles: FloatArray = (2 * np.arange(sides) + 1) * np.pi / sides
    return angles


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a line's polygon in one step.

    Args:
        line: Index of the line.
        side: Index of the side.
        step: Index of the step.
    """

    line: int
    side: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineLoad:
    """What K columns put on one line, added up by direction. D directions, T steps.

    Args:
        line: The line.
        columns: (M,), columns of its sessions, in order of time.
        steps: (M,), step of each.
        cell: (M,), step times D plus direction, of each.
        amount: (M,), kW of current, at the nominal voltage, per kWh of the column.
        loose: (M,), the same of currents without a known direction.
        limit_kw: (T,), kW.
        flows: (N,), flows of assets that it carries, numbered on from the K columns.
        flow_steps: (N,), step of each.
        flow_amount: (N,), kW per kWh of the flow.
        fixed_kw: (T,), what nobody decides on, kW.
        least_kw: (T,), what is left of the limit at the least, kW: below zero where generation can be curtailed.
    """

    line: Line
    columns: IntArray
    steps: IntArray
    cell: IntArray
    amount: FloatArray
    loose: FloatArray
    limit_kw: FloatArray
    flows: IntArray
    flow_steps: IntArray
    flow_amount: FloatArray
    fixed_kw: FloatArray
    least_kw: FloatArray

    @classmethod
    def of(cls, problem: CapacityProblem, index: int) -> LineLoad:
        """The load of a line of a problem."""
        line = problem.lines[index]
        directions, direction_of = line.directions
        columns = problem.columns_of(np.flatnonzero(line.magnitude))
        columns = columns[np.argsort(problem.column_step[columns], kind="stable")]
        session, steps = problem.column_session[columns], problem.column_step[columns]
        weight = problem.weight_of(every_moment=line.every_moment)[columns] / problem.step_hours[steps]
        flows, flow_amount = np.zeros(0, dtype=np.int64), np.zeros(0)
        fixed_kw = least_kw = np.zeros(problem.grid.steps)
        if line.beside is not None:
            limit = line_limit(problem, index, line.magnitude)
            least_kw = least_kwh(problem, limit, np.arange(problem.grid.steps)) / problem.step_hours
            counted, coefficient = counted_columns(problem, limit)
            beside = counted >= problem.columns
            flows, flow_amount = counted[beside], coefficient[beside]
            fixed_kw = line.beside.fixed_kw
        flow_steps = problem.flow_step[flows]
        return cls(
            line=line,
            columns=columns,
            steps=steps,
            cell=steps * max(directions.size, 1) + direction_of[session],
            amount=np.abs(line.phasor[session]) * weight,
            loose=line.loose[session] * weight,
            limit_kw=line.limit_kw,
            flows=flows,
            flow_steps=flow_steps,
            flow_amount=flow_amount / problem.step_hours[flow_steps],
            fixed_kw=fixed_kw,
            least_kw=least_kw,
        )

    def room_kw(self, slack: float) -> FloatArray:
        """What is left of a share of the limit for all who are planned: (T,), kW."""
        return np.maximum(self.limit_kw * slack - self.fixed_kw, self.least_kw)

    def beside_kw(self, all_kwh: FloatArray) -> FloatArray:
        """What flows of assets put on it, (T,), kW, of the energies of all columns, (K + X,)."""
        return sums_by(self.flow_steps, self.flow_amount * all_kwh[self.flows], self.limit_kw.size)

    def by_direction_kw(self, energy_kwh: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Currents of sessions by step and direction, (T, D), and those without one, (T,), kW, of energies (K,)."""
        count, steps = self.line.directions[0].size, self.limit_kw.size
        energy = energy_kwh[self.columns]
        known = sums_by(self.cell, self.amount * energy, steps * max(count, 1))
        loose = sums_by(self.steps, self.loose * energy, steps)
        return known.reshape(steps, -1)[:, :count], loose

    def largest_kw(self, all_kwh: FloatArray) -> FloatArray:
        """The largest current, whatever vehicles leave, of the energies of all columns, (K + X,): (T,), kW."""
        known, loose = self.by_direction_kw(all_kwh)
        return largest_sum(known, self.line.directions[0]) + loose + self.beside_kw(all_kwh) + self.fixed_kw

    def towards_kw(self, energy_kwh: FloatArray, sides: int) -> FloatArray:
        """What sessions put against each side of a polygon, of energies (K,): (T, sides), kW."""
        known, loose = self.by_direction_kw(energy_kwh)
        towards = np.maximum(np.cos(self.line.directions[0][:, None] - side_angles(sides)), 0.0)
        return np.asarray(known @ towards + loose[:, None], dtype=np.float64)


class SideFinder:
    """Finds sides that a plan exceeds, each once.

    Args:
        problem: The scenario as arrays.

    Attributes:
        found: Those found so far, in order.
    """

    def __init__(self, problem: CapacityProblem) -> None:
        self._problem = problem
        self._sides = problem.line_sides
        self._step_hours = problem.step_hours
        loads = [(index, LineLoad.of(problem, index)) for index in problem.curved_lines]
        most_kwh = problem.with_flows(problem.max_energy_kwh, problem.most_flow_kwh)
        self._loads = {index: load for index, load in loads if self._excess(load, most_kwh).max() > 0}
        self._shares: dict[tuple[int, int], FloatArray] = {}
        self._seen: set[Side] = set()
        self.found: list[Side] = []

    @property
    def is_needed(self) -> bool:
        """Whether any line could be exceeded at all."""
        return bool(self._loads)

    def exceeded(self, all_kwh: FloatArray) -> list[Side]:
        """The side exceeded most of each line in each step, unless it was found before.

        Args:
            all_kwh: (K + X,), energies of power columns and flows of assets, kWh.
        """
        new: list[Side] = []
        for index, load in self._loads.items():
            excess = self._excess(load, all_kwh)
            side = excess.argmax(axis=1)
            steps = np.flatnonzero(excess.max(axis=1) > CUT_TOLERANCE_KWH)
            new += [Side(line=index, side=int(side[step]), step=step) for step in steps.tolist()]
        new = [side for side in new if side not in self._seen]
        self._seen.update(new)
        self.found += new
        return new

    def rows(self, sides: Sequence[Side], columns: IntArray) -> Rows:
        """Sides as rows of a program.

        Args:
            sides: Some of those found.
            columns: (K + X,), column of each energy and flow in the program.

        Returns:
            One row for each, kWh.
        """
        members, coefficients, upper = [], [], []
        for side in sides:
            load = self._loads[side.line]
            first, last = np.searchsorted(load.steps, [side.step, side.step + 1])
            mine = load.columns[first:last]
            share = self._share(side.line, side.side)[self._problem.column_session[mine]]
            weight = self._problem.weight_of(every_moment=load.line.every_moment)[mine]
            here = load.flow_steps == side.step
            hours = self._step_hours[side.step]
            members.append(columns[np.append(mine[share > 0], load.flows[here])])
            coefficients.append(np.append((share * weight)[share > 0], load.flow_amount[here] * hours))
            upper.append(load.room_kw(np.cos(np.pi / self._sides))[side.step] * hours)
        return Rows(
            start=np.concatenate(([0], np.cumsum([part.size for part in members]))),
            column=np.concatenate(members),
            coefficient=np.concatenate(coefficients),
            lower=np.full(len(upper), -np.inf),
            upper=np.array(upper),
        )

    def _share(self, line: int, side: int) -> FloatArray:
        known = self._shares.get((line, side))
        if known is None:
            angle = float(side_angles(self._sides)[side])
            known = self._shares[line, side] = self._problem.lines[line].share_towards(angle)
        return known

    def _excess(self, load: LineLoad, all_kwh: FloatArray) -> FloatArray:
        """By how much each side is exceeded: (T, sides), kWh."""
        allowed_kw = load.room_kw(np.cos(np.pi / self._sides)) - load.beside_kw(all_kwh)
        towards_kw = load.towards_kw(all_kwh, self._sides)
        excess: FloatArray = (towards_kw - allowed_kw[:, None]) * self._step_hours[:, None]
        return excess


def with_sides(problem: CapacityProblem, found: Iterable[Side]) -> CapacityProblem:
    """The problem with some sides of its lines' polygons among the limits.

    Args:
        problem: The scenario as arrays.
        found: Which sides in which steps.

    Returns:
        The problem, its earlier limits first; the problem itself where there are none.
    """
    steps_of: dict[tuple[int, int], list[int]] = defaultdict(list)
    for side in found:
        steps_of[side.line, side.side].append(side.step)
    return _with_limits(problem, [_side_limit(problem, key, np.array(at)) for key, at in sorted(steps_of.items())])


def added_order(found: Sequence[Side]) -> IntArray:
    """Where each side stands among the rows of the limits that `with_sides` makes of all of them: (N,)."""
    place = np.empty(len(found), dtype=np.int64)
    place[sorted(range(len(found)), key=lambda at: (found[at].line, found[at].side, found[at].step))] = range(
        len(found)
    )
    return place


def with_all_sides(problem: CapacityProblem) -> CapacityProblem:
    """The problem with all sides of coarser polygons among the limits, for those who cannot ask for them one by one.

    Corners of these are corners of the polygons: whatever lies within the one lies within the other.
    """
    sides = next((few for few in FEW_SIDES if problem.line_sides % few == 0), problem.line_sides)
    return _with_polygons(problem, sides)


def with_every_side(problem: CapacityProblem) -> CapacityProblem:
    """The problem with all sides of its lines' polygons among the limits: as exact as a plan, and far larger."""
    return _with_polygons(problem, problem.line_sides)


def _with_polygons(problem: CapacityProblem, sides: int) -> CapacityProblem:
    slack = float(np.cos(np.pi / sides))
    limits = [
        line_limit(problem, index, problem.lines[index].share_towards(angle), slack)
        for index in problem.curved_lines
        for angle in side_angles(sides).tolist()
    ]
    return _with_limits(problem, [limit for limit in limits if np.isfinite(limit.limit_kw).any()])


def _with_limits(problem: CapacityProblem, limits: list[CapacityLimit]) -> CapacityProblem:
    return replace(problem, limits=(*problem.limits, *limits)) if limits else problem


def _side_limit(problem: CapacityProblem, key: tuple[int, int], steps: IntArray) -> CapacityLimit:
    index, side = key
    sides = problem.line_sides
    share = problem.lines[index].share_towards(float(side_angles(sides)[side]))
    limit = line_limit(problem, index, share, float(np.cos(np.pi / sides)))
    chosen = np.zeros(problem.grid.steps, dtype=bool)
    chosen[steps] = True
    return replace(limit, limit_kw=np.where(chosen, limit.limit_kw, np.inf))


def fitting_factor(problem: CapacityProblem, all_kwh: FloatArray) -> FloatArray:
    """What each column has to be multiplied by for every line to stay within its polygon: (K,), at most 1.

    Args:
        problem: The scenario as arrays.
        all_kwh: (K + X,), energies of power columns and flows of assets, which stay as they are, kWh.
    """
    factor = np.ones(problem.columns)
    for index in problem.curved_lines:
        load = LineLoad.of(problem, index)
        allowed_kw = np.maximum(load.room_kw(np.cos(np.pi / problem.line_sides)) - load.beside_kw(all_kwh), 0.0)
        most_kw = load.towards_kw(all_kwh, problem.line_sides).max(axis=1)
        over = most_kw > allowed_kw
        in_step = np.where(over, allowed_kw / np.where(over, most_kw, 1.0), 1.0)
        np.minimum.at(factor, load.columns, in_step[load.steps])
    return factor
