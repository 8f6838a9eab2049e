"""Programs with whole numbers: branch and bound stage by stage, then the exact linear program that they leave."""

from __future__ import annotations

import time
from dataclasses import replace

import highspy
import numpy as np

from models.domain.time_grid import FloatArray
from models.errors import SolverError
from optimizer.arrays import dot
from optimizer.highs import (
    BRANCH_AND_BOUND,
    FEASIBLE_POINT,
    Solution,
    SolveStatus,
    StageOutcome,
    limit_time,
    loaded,
    scale_of,
    status_of,
)
from optimizer.linear_program import LinearProgram, StageCost
from optimizer.options import SolverOptions
from optimizer.stages import Run

INTEGER_TIME_SHARE = 0.85
"""Of the time there is, for the search over whole numbers; the rest is for the linear program that they leave."""
FEASIBLE = 1e-6
"""By how much a bound or a row may be exceeded, as HiGHS has it in a search."""
HELD = 1e-7
"""Relative slack with which a later stage of a mixed-integer program holds what an earlier one reached."""


def search(
    program: LinearProgram, options: SolverOptions, deadline: float | None, start: FloatArray | None
) -> Solution:
    """Search the whole numbers stage by stage, then solve the linear program that they leave, exactly and with duals.

    A stage is proved when the search proved it; else its bound says how far away the best can be.

    Args:
        program: The program; it must be feasible and bounded.
        options: Threads and further options of HiGHS.
        deadline: When all stages are to be done, by `time.perf_counter`, s; None for whenever they are.
        start: (C,), a point from which the search starts; it stands in where nothing is found, if it is feasible.

    Raises:
        SolverError: Not even the first stage found a solution; the message names the status.
        SolverConfigError: HiGHS refuses an option.
    """
    started = time.perf_counter()
    search_until = None if deadline is None else started + INTEGER_TIME_SHARE * (deadline - started)
    searched = _Search(program, options, search_until, start)
    found = searched.in_order(program.stages)
    whole = program.is_integer
    lower, upper = program.column_lower.copy(), program.column_upper.copy()
    lower[whole] = upper[whole] = np.round(searched.value[whole])
    try:
        left = replace(program, column_lower=lower, column_upper=upper)
        refined = Run(left, options, deadline).in_order([], program.stages)
    except SolverError:
        refined = None
    if refined is None or not refined.is_optimal:
        value = searched.value
        return Solution(
            column_value=value,
            stages=tuple(
                replace(outcome, value=stage.value(value)) for outcome, stage in zip(found, program.stages, strict=True)
            ),
        )
    return Solution(
        column_value=refined.column_value,
        stages=tuple(
            replace(linear, status=outcome.status, bound=outcome.bound)
            for linear, outcome in zip(refined.stages, found, strict=True)
        ),
    )


def _is_feasible(program: LinearProgram, value: FloatArray) -> bool:
    """Whether a point of whole numbers, (C,), keeps all bounds and rows as closely as a solver would."""
    activity = program.activity(value)
    return bool(
        (value >= program.column_lower - FEASIBLE).all()
        and (value <= program.column_upper + FEASIBLE).all()
        and (activity >= program.row_lower - FEASIBLE).all()
        and (activity <= program.row_upper + FEASIBLE).all()
    )


class _Search:
    """Branch and bound over a program's whole numbers, each stage held while the next is minimised."""

    def __init__(
        self, program: LinearProgram, options: SolverOptions, deadline: float | None, start: FloatArray | None
    ) -> None:
        self._program = program
        self._options = options
        self._until = deadline
        self._held: list[tuple[FloatArray, float]] = []
        self._start = start
        self._value = start if start is not None and _is_feasible(program, start) else None

    @property
    def value(self) -> FloatArray:
        """(C,), the best solution found."""
        if self._value is None:
            raise SolverError("the search over whole numbers has found nothing")
        return self._value

    def in_order(self, stages: tuple[StageCost, ...]) -> list[StageOutcome]:
        """How each stage ended.

        Each gets an equal part of the time that is left. What one reached that was stopped is held all the same, so
        that a plan that cannot be proved is still the cheapest found of its kind.

        Raises:
            SolverError: Not even the first stage found a solution.
        """
        outcomes: list[StageOutcome] = []
        for position, stage in enumerate(stages):
            until = None
            if self._until is not None:
                now = time.perf_counter()
                until = now + (self._until - now) / (len(stages) - position)
            status, bound = self._minimise(stage, until)
            if self._value is None:
                raise SolverError(f"HiGHS ended stage {stage.name!r} without a solution: {status}")
            outcomes.append(StageOutcome(name=stage.name, value=np.nan, status=status, bound=bound))
        return outcomes

    def _minimise(self, stage: StageCost, until: float | None) -> tuple[SolveStatus, float | None]:
        scale = scale_of(stage.cost)
        cost = stage.cost / scale
        highs = loaded(self._program, cost, BRANCH_AND_BOUND, self._options, integer=True)
        for held, most in self._held:
            entries = np.flatnonzero(held)
            highs.addRow(-np.inf, most, entries.size, entries.astype(np.int32), held[entries])
        point = self._start if self._value is None else self._value
        if point is not None:
            start = highspy.HighsSolution()
            start.col_value = point.tolist()
            highs.setSolution(start)
        limit_time(highs, until)
        highs.run()
        status, info = status_of(highs), highs.getInfo()
        if info.primal_solution_status != FEASIBLE_POINT:
            return status, None
        self._value = np.array(highs.getSolution().col_value)
        # A value outside its bounds, by rounding alone, would be held, and then nothing but that very point.
        reached = dot(cost, np.clip(self._value, self._program.column_lower, self._program.column_upper))
        self._held.append((cost, reached + HELD * max(1.0, abs(reached))))
        bound = info.mip_dual_bound
        return status, bound * scale + stage.offset if np.isfinite(bound) else None
