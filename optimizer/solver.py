"""HiGHS: options checked first, a method chosen by size, statuses as types, and lexicographic stages solved exactly.

Source of the optimal face: complementary slackness. With optimal duals (y, d) of a stage, its optima are exactly the
feasible points at which every column with d != 0 stays at its value and every row with y != 0 at its bound.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

import highspy
import numpy as np

from models.domain.time_grid import FloatArray
from models.errors import SolverConfigError, SolverError
from optimizer.arrays import dot
from optimizer.basis import Basis, basis_of, hand_over
from optimizer.linear_program import LinearProgram, Rows, StageCost
from optimizer.options import SolverOptions

logger = logging.getLogger(__name__)

OptionValue = str | float | int | bool

MissingRows = Callable[[FloatArray], Rows | None]
"""Rows of a program that a solution (C,) breaks and that were left out of it; None where it breaks none."""

DUAL_SIMPLEX: Mapping[str, OptionValue] = MappingProxyType(
    {"solver": "simplex", "simplex_strategy": 1, "presolve": "off", "parallel": "off"}
)
INTERIOR_POINT: Mapping[str, OptionValue] = MappingProxyType(
    {"solver": "ipx", "run_crossover": "on", "presolve": "off", "parallel": "off"}
)
LAST_RESORT: Mapping[str, OptionValue] = MappingProxyType({"solver": "choose", "presolve": "on", "parallel": "off"})
FROM_BASIS: Mapping[str, OptionValue] = MappingProxyType({**DUAL_SIMPLEX, "simplex_dual_edge_weight_strategy": 1})
"""Devex prices: exact steepest edges of a basis that is not all slack cost a system of equations for each row."""
ROUNDED: Mapping[str, OptionValue] = MappingProxyType({**DUAL_SIMPLEX, "primal_feasibility_tolerance": 1e-6})
"""Ten times HiGHS's own tolerance."""
BRANCH_AND_BOUND: Mapping[str, OptionValue] = MappingProxyType(
    {"solver": "choose", "presolve": "on", "parallel": "off", "mip_rel_gap": 1e-7, "mip_abs_gap": 1e-6}
)
"""Costs are scaled: an absolute gap of 1e-6 is 1e-8 of the largest cost times one unit."""
INTEGER_TIME_SHARE = 0.85
"""Of the time there is, for the search over whole numbers; the rest is for the linear program that they leave."""
HELD = 1e-7
"""Relative slack with which a later stage of a mixed-integer program holds what an earlier one reached."""

SIMPLEX_ITERATIONS = 4_000
SIMPLEX_ITERATIONS_PER_ROW = 4
"""Dual simplex that needs more than either is on a hard instance, which interior point with crossover finishes sooner.
Measured: 2 to 4 iterations a row where the energy fits, 6 to 7 where a quarter of it does not."""

LARGE = 20_000
"""Columns from which interior point is ahead where much stays unmet. Measured: 1.3 times the time of dual simplex at
12,000 columns, 0.7 times at 24,000, 0.45 times at 119,000."""

LARGEST_COST = 100.0
"""Costs are scaled so that the largest is this. HiGHS perturbs costs and tests duals against absolute tolerances: with
the largest cost at 1 instead, dual simplex took 3 to 30 times longer on scarce days."""

ZERO_DUAL = 1e-8
"""Duals of scaled costs below it are ties. Exact ties come out below 1e-13, true differences above 1e-5."""

SERVED_KWH = 1e-6
"""Unmet energy below it is rounding."""

CERTIFIED = 1e-7
"""Relative difference below which two values of a stage are the same."""

MERGED = "merged"
"""Name of the basis of the first two stages in one solve."""

FEASIBLE_POINT = 2
"""HiGHS's mark of a primal feasible solution. Source: SolutionStatus in its C++ headers."""


class SolveStatus(StrEnum):
    """How a solve ended."""

    OPTIMAL = "optimal"
    TIME_LIMIT = "time limit"
    ITERATION_LIMIT = "iteration limit"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    FAILED = "failed"


STATUS_OF = {
    highspy.HighsModelStatus.kOptimal: SolveStatus.OPTIMAL,
    highspy.HighsModelStatus.kModelEmpty: SolveStatus.OPTIMAL,
    highspy.HighsModelStatus.kTimeLimit: SolveStatus.TIME_LIMIT,
    highspy.HighsModelStatus.kIterationLimit: SolveStatus.ITERATION_LIMIT,
    highspy.HighsModelStatus.kInterrupt: SolveStatus.TIME_LIMIT,
    highspy.HighsModelStatus.kInfeasible: SolveStatus.INFEASIBLE,
    highspy.HighsModelStatus.kUnbounded: SolveStatus.UNBOUNDED,
    highspy.HighsModelStatus.kUnboundedOrInfeasible: SolveStatus.INFEASIBLE,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageOutcome:
    """How one stage ended.

    Args:
        name: Name of the stage.
        value: Its value at the final solution.
        status: How its solve ended.
        row_dual: (R,), change of the stage's value per unit of a row's bound, later stages left free and whole numbers
            as they are; None where its solve gave none. Rows that were added by then follow those of the program.
        bound: What no solution can go below, earlier stages held; None where the solve was of a linear program.
    """

    name: str
    value: float
    status: SolveStatus
    row_dual: FloatArray | None = None
    bound: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """What solving a program gave.

    Args:
        column_value: (C,).
        stages: Outcome of each stage.
    """

    column_value: FloatArray
    stages: tuple[StageOutcome, ...]

    @property
    def is_optimal(self) -> bool:
        """Whether every stage was proved optimal."""
        return all(stage.status is SolveStatus.OPTIMAL for stage in self.stages)


def check_options(options: Mapping[str, OptionValue]) -> None:
    """Try options on an instance that is thrown away.

    Raises:
        SolverConfigError: HiGHS does not know an option or refuses its value.
    """
    trial = highspy.Highs()
    trial.silent()
    for name, value in options.items():
        if trial.setOptionValue(name, value) != highspy.HighsStatus.kOk:
            raise SolverConfigError(f"HiGHS refuses the option {name!r} with the value {value!r}")


def solve(
    program: LinearProgram,
    options: SolverOptions,
    *,
    merge_weight: float | None = None,
    start: FloatArray | None = None,
    missing_rows: MissingRows | None = None,
    bases: MutableMapping[str, Basis] | None = None,
    is_scarce: bool = False,
) -> Solution:
    """Minimise the stages of a program in order, each exactly.

    Args:
        program: The program; it must be feasible and bounded.
        options: Time limit for all stages, threads and further options of HiGHS.
        merge_weight: Where the caller can tell that minimising ``merge_weight * stage 0 + stage 1`` minimises both in
            order, that weight: it saves a solve. The claim is checked where stage 0 does not reach zero.
        missing_rows: Rows to be added until no solution breaks one; finitely many, and such that a solution that
            breaks none keeps all that may still come. A program with whole numbers is solved without them.

        start: (C,), a feasible point from which a search over whole numbers starts; a linear program needs none.
        bases: Bases from which solves start, by what is minimised; those with which they end are left in their place.
            One that leads nowhere costs time and nothing else. A program with whole numbers takes and leaves none.
        is_scarce: Whether the caller can tell that much of stage 0 cannot be avoided: then a large program whose first
            two stages are merged is hard for simplex, and interior point begins.

    Returns:
        The solution. A stage that a time limit stopped is reported as such; what earlier stages reached holds.

    Raises:
        SolverError: Not even the first stage was solved; the message names the status.
        SolverConfigError: HiGHS refuses an option.
    """
    deadline = None if options.time_limit_s is None else time.perf_counter() + options.time_limit_s
    if program.integer_variables:
        return _solve_in_whole_numbers(program, options, deadline, start)
    run = _Run(program, options, deadline, missing_rows, bases)
    if merge_weight is not None and len(program.stages) > 1:
        merged = run.merged(merge_weight, is_scarce=is_scarce)
        if merged is not None:
            return run.in_order(merged, program.stages[2:])
    return run.in_order([], program.stages)


class _Run:
    """One program, narrowed from stage to stage to the face of its optima."""

    def __init__(
        self,
        program: LinearProgram,
        options: SolverOptions,
        deadline: float | None,
        missing_rows: MissingRows | None = None,
        bases: MutableMapping[str, Basis] | None = None,
    ) -> None:
        self.program = program
        self.bases = bases
        self.missing_rows = missing_rows
        self.options = options
        self.deadline = deadline
        self.column_lower = program.column_lower
        self.column_upper = program.column_upper
        self.row_lower = program.row_lower
        self.row_upper = program.row_upper
        self.value: FloatArray | None = None
        self.optimum: tuple[FloatArray, FloatArray] | None = None
        """Row and column duals of the stage solved last, as long as the bounds are not narrowed to its optima."""

    def in_order(self, done: list[StageOutcome], stages: tuple[StageCost, ...]) -> Solution:
        """Solve further stages in order, then report what all of them are worth at the final solution."""
        outcomes = list(done)
        for stage in stages:
            stopped = next((o.status for o in outcomes if o.status is not SolveStatus.OPTIMAL), None)
            if stopped is None:
                status, dual = self.minimise(stage)
                outcomes.append(StageOutcome(name=stage.name, value=np.nan, status=status, row_dual=dual))
            else:
                outcomes.append(StageOutcome(name=stage.name, value=np.nan, status=stopped))
            if self.value is None:
                raise SolverError(f"HiGHS ended stage {stage.name!r} without a solution: {outcomes[-1].status}")
        value = self.value
        if value is None:
            raise SolverError("a program without stages has no solution")
        final = tuple(
            replace(outcome, value=stage.value(value))
            for outcome, stage in zip(outcomes, self.program.stages, strict=True)
        )
        return Solution(column_value=value, stages=final)

    def merged(self, weight: float, *, is_scarce: bool) -> list[StageOutcome] | None:
        """The first two stages in one solve; None where that was not exact or gave nothing."""
        first, second = self.program.stages[:2]
        cost = weight * first.cost + second.cost
        scale = _scale(cost)
        is_hard = is_scarce and cost.size >= LARGE
        if is_hard:
            # A thousand iterations from the last basis take as long as interior point takes for all.
            self.bases = None
        highs, status = self.run(cost / scale, MERGED, is_hard=is_hard)
        if status is not SolveStatus.OPTIMAL:
            return None
        value, row_dual, column_dual = _read(highs)
        first_dual = np.zeros(self.program.row_count)
        if first.value(value) > SERVED_KWH:
            certified = self.certify(highs, first.cost, value)
            if certified is None:
                return None
            first_dual = certified
        self.value = value
        self.optimum = (row_dual, column_dual)
        return [
            StageOutcome(name=first.name, value=np.nan, status=status, row_dual=first_dual),
            StageOutcome(
                name=second.name, value=np.nan, status=status, row_dual=row_dual * scale - weight * first_dual
            ),
        ]

    def certify(self, highs: highspy.Highs, cost: FloatArray, value: FloatArray) -> FloatArray | None:
        """Row duals of a cost for which the last solution is optimal too; None where it is not.

        HiGHS goes on from the last basis; if that is optimal for this cost it needs no iteration.
        """
        scale = _scale(cost)
        highs.changeColsCost(cost.size, np.arange(cost.size, dtype=np.int32), cost / scale)
        highs.setOptionValue("solver", "simplex")
        self.limit_time(highs)
        highs.run()
        if _status(highs) is not SolveStatus.OPTIMAL:
            return None
        best, row_dual, _ = _read(highs)
        gain = dot(cost, value - best)
        return row_dual * scale if gain <= CERTIFIED * max(1.0, dot(cost, best)) else None

    def minimise(self, stage: StageCost) -> tuple[SolveStatus, FloatArray | None]:
        """Minimise one stage over the optima of the stages before."""
        self.narrow()
        scale = _scale(stage.cost)
        highs, status = self.run(stage.cost / scale, stage.name)
        if status is SolveStatus.OPTIMAL:
            self.value, row_dual, column_dual = _read(highs)
            self.optimum = (row_dual, column_dual)
            return status, row_dual * scale
        # A point that was not optimal has not been asked which rows it breaks.
        if (
            self.value is None
            and self.missing_rows is None
            and highs.getInfo().primal_solution_status == FEASIBLE_POINT
        ):
            self.value, _, _ = _read(highs)
        return status, None

    def run(self, cost: FloatArray, name: str, *, is_hard: bool = False) -> tuple[highspy.Highs, SolveStatus]:
        """One solve, from the basis of its name if there is one that leads to an optimum, else from scratch."""
        if self.bases is None:
            return self.run_from_scratch(cost, is_hard=is_hard)
        found = None
        basis = self.bases.pop(name, None)
        if basis is not None:
            most = max(SIMPLEX_ITERATIONS, self.program.row_count)
            found = self.attempt(cost, {**FROM_BASIS, "simplex_iteration_limit": most}, basis)
        if found is None or found[1] not in (SolveStatus.OPTIMAL, SolveStatus.TIME_LIMIT):
            found = self.run_from_scratch(cost, is_hard=is_hard)
        highs, status = found
        left = basis_of(highs) if status is SolveStatus.OPTIMAL else None
        if left is not None:
            self.bases[name] = left
        return found

    def capped(self, method: Mapping[str, OptionValue]) -> Mapping[str, OptionValue]:
        """Simplex that gives up where it goes slowly."""
        iterations = max(SIMPLEX_ITERATIONS, SIMPLEX_ITERATIONS_PER_ROW * self.program.row_count)
        return {**method, "simplex_iteration_limit": iterations}

    def run_from_scratch(self, cost: FloatArray, *, is_hard: bool) -> tuple[highspy.Highs, SolveStatus]:
        """One solve: dual simplex while it is fast, else or at once interior point, else HiGHS's own choice."""
        for method in (INTERIOR_POINT,) if is_hard else (self.capped(DUAL_SIMPLEX), INTERIOR_POINT):
            highs, status = self.attempt(cost, method)
            if status in (SolveStatus.OPTIMAL, SolveStatus.TIME_LIMIT):
                return highs, status
        highs, status = self.attempt(cost, LAST_RESORT)
        if status is SolveStatus.INFEASIBLE and self.value is not None:
            # An earlier stage has a solution: what is narrowed to its optima can be infeasible by rounding only.
            highs, status = self.attempt(cost, ROUNDED)
        return highs, status

    def attempt(
        self, cost: FloatArray, method: Mapping[str, OptionValue], basis: Basis | None = None
    ) -> tuple[highspy.Highs, SolveStatus]:
        """One solve by one method, and from the last basis for as long as rows are missing."""
        highs = self.load(cost, method)
        if basis is not None and not hand_over(basis.with_rows(self.program.row_count), highs):
            return highs, SolveStatus.FAILED
        highs.run()
        status = _status(highs)
        while status is SolveStatus.OPTIMAL and self.add_missing(highs):
            highs.setOptionValue("solver", "simplex")
            self.limit_time(highs)
            highs.run()
            status = _status(highs)
        iterations = highs.getInfo().simplex_iteration_count
        logger.debug(
            "solver method=%s status=%s columns=%d iterations=%d", method["solver"], status, cost.size, iterations
        )
        return highs, status

    def add_missing(self, highs: highspy.Highs) -> bool:
        """Add the rows that an instance's solution breaks, if any."""
        rows = self.missing_rows and self.missing_rows(np.array(highs.getSolution().col_value))
        if not rows:
            return False
        highs.addRows(
            rows.upper.size,
            rows.lower,
            rows.upper,
            rows.column.size,
            rows.start[:-1].astype(np.int32),
            rows.column.astype(np.int32),
            rows.coefficient,
        )
        self.program = self.program.with_rows(rows)
        self.row_lower = np.concatenate((self.row_lower, rows.lower))
        self.row_upper = np.concatenate((self.row_upper, rows.upper))
        return True

    def load(self, cost: FloatArray, method: Mapping[str, OptionValue], *, integer: bool = False) -> highspy.Highs:
        """A fresh instance with the program as narrowed so far."""
        highs = highspy.Highs()
        highs.silent()
        extra = dict(self.options.extra)
        if self.options.threads is not None:
            extra["threads"] = self.options.threads
        for name, setting in {**method, **extra}.items():
            if highs.setOptionValue(name, setting) != highspy.HighsStatus.kOk:
                raise SolverConfigError(f"HiGHS refuses the option {name!r} with the value {setting!r}")
        self.limit_time(highs)
        program = self.program
        status = highs.passModel(
            program.column_count,
            program.row_count,
            program.row_value.size,
            int(highspy.MatrixFormat.kRowwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            cost,
            self.column_lower,
            self.column_upper,
            self.row_lower,
            self.row_upper,
            program.row_start.astype(np.int32),
            program.row_column.astype(np.int32),
            program.row_value,
            # An empty array would be read past its end.
            program.is_integer.astype(np.int32) if integer else np.zeros(program.column_count, dtype=np.int32),
        )
        if status == highspy.HighsStatus.kError:
            raise SolverError("HiGHS refuses the program: a bound or coefficient is not a number it takes")
        return highs

    def limit_time(self, highs: highspy.Highs) -> None:
        """Give an instance what is left until the deadline; its clock counts all its runs."""
        if self.deadline is not None:
            left_s = max(self.deadline - time.perf_counter(), 0.0)
            highs.setOptionValue("time_limit", highs.getRunTime() + left_s)

    def narrow(self) -> None:
        """Keep only the optima of the stage solved last."""
        if self.value is None or self.optimum is None:
            return
        row_dual, column_dual = self.optimum
        self.optimum = None
        fixed = np.abs(column_dual) > ZERO_DUAL
        at = np.clip(self.value, self.column_lower, self.column_upper)
        self.column_lower = np.where(fixed, at, self.column_lower)
        self.column_upper = np.where(fixed, at, self.column_upper)
        activity = self.program.activity(self.value)
        upper_is_nearer = np.abs(activity - self.row_upper) <= np.abs(activity - self.row_lower)
        bound = np.where(upper_is_nearer, self.row_upper, self.row_lower)
        tight = (np.abs(row_dual) > ZERO_DUAL) & np.isfinite(bound)
        self.row_lower = np.where(tight, bound, self.row_lower)
        self.row_upper = np.where(tight, bound, self.row_upper)


def _solve_in_whole_numbers(
    program: LinearProgram, options: SolverOptions, deadline: float | None, start: FloatArray | None
) -> Solution:
    """Search the whole numbers stage by stage, then solve the linear program that they leave, exactly and with duals.

    A stage is proved when the search proved it; else its bound says how far away the best can be.
    """
    started = time.perf_counter()
    search_until = None if deadline is None else started + INTEGER_TIME_SHARE * (deadline - started)
    search = _Search(program, options, search_until, start)
    found = search.in_order(program.stages)
    whole = program.is_integer
    numbers = np.round(search.value[whole])
    run = _Run(program, options, deadline)
    run.column_lower, run.column_upper = program.column_lower.copy(), program.column_upper.copy()
    run.column_lower[whole], run.column_upper[whole] = numbers, numbers
    try:
        refined = run.in_order([], program.stages)
    except SolverError:
        refined = None
    if refined is None or not refined.is_optimal:
        value = search.value
        return Solution(
            column_value=value,
            stages=tuple(
                replace(outcome, value=stage.value(value)) for outcome, stage in zip(found, program.stages, strict=True)
            ),
        )
    return Solution(
        column_value=refined.column_value,
        stages=tuple(
            replace(linear, status=searched.status, bound=searched.bound)
            for linear, searched in zip(refined.stages, found, strict=True)
        ),
    )


class _Search:
    """Branch and bound over a program's whole numbers, each stage held while the next is minimised."""

    def __init__(
        self, program: LinearProgram, options: SolverOptions, deadline: float | None, start: FloatArray | None
    ) -> None:
        self._run = _Run(program, options, deadline)
        self._until = deadline
        self._held: list[tuple[FloatArray, float]] = []
        self._value = start

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
            if self._until is not None:
                now = time.perf_counter()
                self._run.deadline = now + (self._until - now) / (len(stages) - position)
            status, bound = self._minimise(stage)
            if self._value is None:
                raise SolverError(f"HiGHS ended stage {stage.name!r} without a solution: {status}")
            outcomes.append(StageOutcome(name=stage.name, value=np.nan, status=status, bound=bound))
        return outcomes

    def _minimise(self, stage: StageCost) -> tuple[SolveStatus, float | None]:
        scale = _scale(stage.cost)
        cost = stage.cost / scale
        highs = self._run.load(cost, BRANCH_AND_BOUND, integer=True)
        for held, most in self._held:
            entries = np.flatnonzero(held)
            highs.addRow(-np.inf, most, entries.size, entries.astype(np.int32), held[entries])
        if self._value is not None:
            start = highspy.HighsSolution()
            start.col_value = self._value.tolist()
            highs.setSolution(start)
        highs.run()
        status, info = _status(highs), highs.getInfo()
        if info.primal_solution_status != FEASIBLE_POINT:
            return status, None
        self._value = np.array(highs.getSolution().col_value)
        reached = dot(cost, self._value)
        self._held.append((cost, reached + HELD * max(1.0, abs(reached))))
        bound = info.mip_dual_bound
        return status, bound * scale + stage.offset if np.isfinite(bound) else None


def _scale(cost: FloatArray) -> float:
    """What costs are divided by, so that tolerances on duals mean the same whatever the currency."""
    largest = float(np.abs(cost).max(initial=0.0))
    return largest / LARGEST_COST if largest > 0 else 1.0


def _read(highs: highspy.Highs) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Column values, row duals, column duals."""
    solution = highs.getSolution()
    return np.array(solution.col_value), np.array(solution.row_dual), np.array(solution.col_dual)


def _status(highs: highspy.Highs) -> SolveStatus:
    return STATUS_OF.get(highs.getModelStatus(), SolveStatus.FAILED)
