"""What capacity is worth: how much more would help, block by block, and what can be handed back without loss.

The value of a plan is what its unmet energy would have been worth, weighted by priority, less what its energy costs.
With one more kW in a block it rises by a price per kWh that falls in steps as more kW come: the value is concave and
piecewise linear in the capacity of a block, and every corner of it is found exactly.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

import numpy as np

from models.domain.capacity import CapacityKind, Phase
from models.domain.scenario import Scenario
from models.domain.time_grid import FloatArray, IntArray
from models.errors import SolverError
from optimizer.currents import with_all_sides
from optimizer.formulation import formulate
from optimizer.linear_program import LinearProgram, StageCost, Terms
from optimizer.loads import counted_power_kw
from optimizer.objective import applicable_stages
from optimizer.options import OptimizeOptions, SolverOptions, Stage
from optimizer.prepare import prepare
from optimizer.problem import CapacityProblem
from optimizer.solver import solve

SAME_VALUE = 1e-6
"""Currency; values that differ by less are the same."""
NOTHING_KW = 1e-6
LEAST_VALUE_PER_KWH = 0.001
"""Currency per kWh of block; what is worth less is not asked for unless told."""
MOST_CORNERS = 64
"""Corners of one block's value that are told; a real day has a handful."""
TOO_LATE = "no advice was found in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueStep:
    """What further capacity of a block is worth, from where the step before ends.

    Args:
        up_to_kw: How much more capacity than stated this holds for, kW.
        value_per_kwh: Currency per kWh of block, that is per kW and hour.
    """

    up_to_kw: float
    value_per_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockAdvice:
    """What is to be said of one block of one group.

    Args:
        group_id: The group.
        start: Begin of the block, or of the window where that is later.
        end: Its end, or that of the window.
        limit_kw: What is allowed, the lower of forecast and connection, kW.
        planned_kw: The highest power in it of the plan that needs the least capacity among the best, kW.
        more: What more capacity in this block alone would be worth, step by step; none where it is worth nothing. None
            where it was not looked at: nobody asked, or time was up.
        asked_kw: How much more to ask for together with the other blocks, kW.
        asked_value_per_kwh: What a further kWh of the block is worth as it is; 0 where nothing is asked for, None where
            it was not looked at.
    """

    group_id: str
    start: datetime
    end: datetime
    limit_kw: float
    planned_kw: float
    more: tuple[ValueStep, ...] | None
    asked_kw: float
    asked_value_per_kwh: float | None

    @property
    def hand_back_kw(self) -> float:
        """What that plan leaves unused at any time of the block, kW; all blocks can give theirs at once."""
        return max(0.0, self.limit_kw - self.planned_kw)

    @property
    def needed_kw(self) -> float:
        """The capacity to ask for, kW: more than is allowed, or the least that loses nothing."""
        return self.limit_kw + self.asked_kw if self.asked_kw > 0 else self.planned_kw


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What the capacities of a scenario are worth.

    Args:
        blocks: Group by group, in order of time.
        asked_value: What all that is asked for would be worth together, currency.
    """

    blocks: tuple[BlockAdvice, ...]
    asked_value: float


def advise(
    scenario: Scenario,
    options: OptimizeOptions,
    *,
    least_value_per_kwh: float = LEAST_VALUE_PER_KWH,
    step_by_step: bool = True,
) -> Advice:
    """What more capacity would be worth, and what can be handed back, for every block a capacity provider has stated.

    Args:
        scenario: What is known.
        options: Window, raster, meaning of limits, the value of unserved energy, and how long all of it may take.
        least_value_per_kwh: Capacity that is worth less, currency per kWh of block, is not asked for; above zero.
        step_by_step: Whether to say of each block what more in it alone is worth, which takes most of the time.

    Returns:
        The advice. What is asked for in all blocks together is the least after which no block is worth more than the
        least value; blocks may stand in for each other, so that this is not the sum of what each is worth alone.

    Raises:
        InputError: The scenario cannot be planned.
        SolverError: The solver gave no answer, or not in time.
    """
    choice = replace(options.measured, uncertainty=None)
    problem = with_all_sides(prepare(replace(scenario, previous=None), choice))
    blocks = list(_blocks(scenario, problem))
    if not blocks or not problem.columns:
        return Advice(blocks=tuple(_untouched(block) for block in blocks), asked_value=0.0)
    worth = _Worth(problem, options, blocks)
    at_stated = worth.leanest()
    asked = worth.best(np.zeros(len(blocks)), np.full(len(blocks), np.inf), price_per_kwh=least_value_per_kwh)
    advice = []
    for index, block in enumerate(blocks):
        more = worth.steps_in_time(index, at_stated.value) if step_by_step else None
        asked_kw = float(asked.more_kw[index]) if asked.more_kw[index] > NOTHING_KW else 0.0
        advice.append(
            BlockAdvice(
                group_id=block.group_id,
                start=block.start,
                end=block.end,
                limit_kw=block.limit_kw,
                planned_kw=float(at_stated.power_kw(problem, block).max(initial=0.0)),
                more=more,
                asked_kw=asked_kw,
                asked_value_per_kwh=_first_value(more) if asked_kw else 0.0,
            )
        )
    return Advice(blocks=tuple(advice), asked_value=max(0.0, at_stated.value - asked.value))


def _first_value(more: tuple[ValueStep, ...] | None) -> float | None:
    if more is None:
        return None
    return more[0].value_per_kwh if more else 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Block:
    """A block within the window: its steps, the limit it is part of, and what the connection leaves above it, kW."""

    group_id: str
    start: datetime
    end: datetime
    limit: int
    steps: IntArray
    limit_kw: float
    room_kw: float


def _blocks(scenario: Scenario, problem: CapacityProblem) -> Iterator[_Block]:
    edges_s = problem.grid.edges_s
    index_of = {
        limit.owner: index for index, limit in enumerate(problem.limits) if limit.is_group and limit.phase is Phase.ALL
    }
    for group in scenario.site.groups:
        connection_kw = np.inf if group.import_limit_kw is None else group.import_limit_kw
        for block in scenario.forecasts.blocks(group.group_id, CapacityKind.CONSUMPTION):
            inside = (edges_s[:-1] >= block.start.timestamp()) & (edges_s[1:] <= block.end.timestamp())
            steps = np.flatnonzero(inside)
            if steps.size:
                limit = index_of[group.group_id]
                yield _Block(
                    group_id=group.group_id,
                    start=problem.grid.instant(float(edges_s[steps[0]])),
                    end=problem.grid.instant(float(edges_s[steps[-1] + 1])),
                    limit=limit,
                    steps=steps,
                    limit_kw=float(problem.limits[limit].limit_kw[steps].min()),
                    room_kw=max(0.0, connection_kw - block.capacity_kw),
                )


def _untouched(block: _Block) -> BlockAdvice:
    """Nobody is there: all of it can be handed back."""
    return BlockAdvice(
        group_id=block.group_id,
        start=block.start,
        end=block.end,
        limit_kw=block.limit_kw,
        planned_kw=0.0,
        more=(),
        asked_kw=0.0,
        asked_value_per_kwh=0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Best:
    """The best plan for some capacities.

    Args:
        value: Worth of the unmet energy and cost of the rest, currency; the price of capacity left out.
        more_kw: (B,), kW.
        energy_kwh: (K,), kWh.
    """

    value: float
    more_kw: FloatArray
    energy_kwh: FloatArray

    def power_kw(self, problem: CapacityProblem, block: _Block) -> FloatArray:
        """Power of a block's group in the block's steps, as its limit counts it, kW."""
        power_kw = counted_power_kw(problem, np.maximum(self.energy_kwh, 0.0), problem.limits[block.limit].share)
        return np.asarray(power_kw[block.steps])


class _Worth:
    """The scenario as one linear program in which each of B blocks may have more capacity."""

    def __init__(self, problem: CapacityProblem, options: OptimizeOptions, blocks: list[_Block]) -> None:
        limit_s = options.solver.time_limit_s
        self._deadline = None if limit_s is None else time.perf_counter() + limit_s
        self._hours = np.array([float(problem.step_hours[block.steps].sum()) for block in blocks])
        everything_kw = float(problem.max_power_kw.sum() * problem.limit_weight.max(initial=1.0))
        self._stated_kw = np.array([block.limit_kw for block in blocks])
        self._largest_kw = np.array([min(block.room_kw, everything_kw) for block in blocks])
        stages = applicable_stages(problem, (Stage.UNMET_ENERGY, Stage.ENERGY_COST))
        program = formulate(problem, stages, unmet_upper_kwh=problem.reachable_energy_kwh)
        weights = (options.unserved_value_per_kwh, 1.0)
        cost = sum(
            (weight * stage.cost for weight, stage in zip(weights, program.stages, strict=False)),
            start=np.zeros(program.column_count),
        )
        stage = StageCost(name="value", cost=cost)
        plain = replace(program, stages=(stage,), integer_variables=frozenset())
        self._program = _with_more(plain, problem, blocks)

    def best(self, least_kw: FloatArray, most_kw: FloatArray, *, price_per_kwh: float | FloatArray = 0.0) -> _Best:
        """The best plan with capacities between two bounds, each further kWh of block at a price.

        Raises:
            SolverError: There was none, or time was up.
        """
        (stage,) = self._program.stages
        cost = stage.cost.copy()
        cost[self._program.columns["more_kw"]] = price_per_kwh * self._hours
        return self._solved(least_kw, np.minimum(most_kw, self._largest_kw), (replace(stage, cost=cost),))

    def leanest(self) -> _Best:
        """Of the best plans with the capacities as stated the one that needs the least, in kWh of all blocks.

        Raises:
            SolverError: There was none, or time was up.
        """
        cost = np.zeros(self._program.column_count)
        cost[self._program.columns["more_kw"]] = self._hours
        stages = (*self._program.stages, StageCost(name="capacity", cost=cost))
        return self._solved(-self._stated_kw, np.zeros(self._hours.size), stages)

    def _solved(self, least_kw: FloatArray, most_kw: FloatArray, stages: tuple[StageCost, ...]) -> _Best:
        left_s = None if self._deadline is None else self._deadline - time.perf_counter()
        if left_s is not None and left_s <= 0:
            raise SolverError(TOO_LATE)
        program = self._program
        columns = program.columns["more_kw"]
        lower, upper = program.column_lower.copy(), program.column_upper.copy()
        lower[columns], upper[columns] = least_kw, most_kw
        bounded = replace(program, column_lower=lower, column_upper=upper, stages=stages)
        solution = solve(bounded, SolverOptions(time_limit_s=left_s))
        if not solution.is_optimal:
            raise SolverError(f"{TOO_LATE}: {', '.join(str(stage.status) for stage in solution.stages)}")
        value, stage = solution.column_value, self._program.stages[0]
        return _Best(value=stage.value(value), more_kw=value[columns], energy_kwh=value[program.columns["energy_kwh"]])

    def steps_in_time(self, block: int, value: float) -> tuple[ValueStep, ...] | None:
        """What more of one block alone is worth, step by step; None where time was up."""
        try:
            return tuple(self._steps(block, value))
        except SolverError:
            if self._deadline is None or time.perf_counter() < self._deadline:
                raise
            return None

    def _steps(self, block: int, value: float) -> Iterator[ValueStep]:
        """What more of one block alone is worth, step by step.

        Between two points of a convex curve lies a third below their chord, or the chord is the curve.
        """
        fixed = np.zeros(self._hours.size)
        most = fixed.copy()
        most[block] = self._largest_kw[block]
        flat = self.best(fixed, most)
        corners = {0.0: value}
        if value - flat.value > SAME_VALUE:
            # The least capacity that reaches what more cannot better.
            least = self.best(fixed, most, price_per_kwh=SAME_VALUE)
            corners[float(least.more_kw[block])] = least.value
        for _ in range(MOST_CORNERS):
            found = self._corner(block, sorted(corners.items()))
            if found is None:
                break
            corners.update(found)
        known = sorted(corners.items())
        for (low_kw, low), (high_kw, high) in pairwise(known):
            yield ValueStep(up_to_kw=high_kw, value_per_kwh=(low - high) / (high_kw - low_kw) / self._hours[block])

    def _corner(self, block: int, known: list[tuple[float, float]]) -> dict[float, float] | None:
        """A point below a chord of the known ones; None where there is none."""
        least, most = np.zeros(self._hours.size), np.zeros(self._hours.size)
        for (low_kw, low), (high_kw, high) in pairwise(known):
            slope = (low - high) / (high_kw - low_kw)
            least[block], most[block] = low_kw, high_kw
            found = self.best(least, most, price_per_kwh=slope / self._hours[block])
            at_kw = float(found.more_kw[block])
            inside = low_kw + NOTHING_KW < at_kw < high_kw - NOTHING_KW
            if inside and low - slope * (at_kw - low_kw) - found.value > SAME_VALUE:
                return {at_kw: found.value}
        return None


def _with_more(program: LinearProgram, problem: CapacityProblem, blocks: list[_Block]) -> LinearProgram:
    """Let each block's limit rows be higher by a variable: load - step_hours * more_kw <= limit * step_hours."""
    rows = problem.limit_rows
    first = program.rows["capacity_limit"].start if "capacity_limit" in program.rows else 0
    row: list[IntArray] = []
    member: list[IntArray] = []
    for index, block in enumerate(blocks):
        mine = np.flatnonzero((rows.limit_index == block.limit) & np.isin(rows.step_index, block.steps))
        row.append(mine)
        member.append(np.full(mine.size, index))
    rows_of, block_of = np.concatenate(row), np.concatenate(member)

    def terms(columns: Mapping[str, IntArray]) -> Terms:
        hours = problem.step_hours[rows.step_index[rows_of]]
        return Terms(row=first + rows_of, column=columns["more_kw"][block_of], coefficient=-hours)

    return program.extended({"more_kw": np.full(len(blocks), np.inf)}, terms=terms)
