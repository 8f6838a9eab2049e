"""Lexicographic stages solved exactly with HiGHS, by a method and from a start chosen by size and structure.

Source of the optimal face: complementary slackness. With optimal duals (y, d) of a stage, its optima are exactly the
feasible points at which every column with d != 0 stays at its value and every row with y != 0 at its bound.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace

import highspy
import numpy as np

from models.domain.time_grid import FloatArray
from models.errors import SolverError
from optimizer.arrays import dot
from optimizer.basis import AT_LOWER, BASIC, Basis, basis_of, hand_over
from optimizer.highs import (
    DEVEX,
    DUAL_SIMPLEX,
    FEASIBLE_POINT,
    INTERIOR_POINT,
    LAST_RESORT,
    PRIMAL_SIMPLEX,
    ROUNDED,
    Instance,
    OptionValue,
    Solution,
    SolveStatus,
    StageOutcome,
    limit_time,
    loaded,
    scale_of,
    solution_of,
    status_of,
)
from optimizer.linear_program import LinearProgram, Part, Rows, StageCost
from optimizer.network import Network
from optimizer.options import SolverOptions

logger = logging.getLogger(__name__)

MissingRows = Callable[[FloatArray], Rows | None]
"""Rows of a program that a solution (C,) breaks and that were left out of it; None where it breaks none."""

NETWORK_ITERATIONS = 300
"""Primal simplex that needs more, and more than one for five rows, had a bad start. One takes as long as ten of
dual simplex, of which a solve from scratch needs 1 to 7 a row."""

SIMPLEX_ITERATIONS = 4_000
SIMPLEX_ITERATIONS_PER_ROW = 4
"""Dual simplex that needs more than either is on a hard instance, which interior point with crossover finishes sooner.
Measured: 2 to 4 iterations a row where the energy fits, 6 to 7 where a quarter of it does not."""

LARGE = 20_000
"""Columns from which interior point is ahead where much stays unmet. Measured: 1.3 times the time of dual simplex at
12,000 columns, 0.7 times at 24,000, 0.45 times at 119,000."""

ZERO_DUAL = 1e-8
"""Duals of scaled costs below it are ties. Exact ties come out below 1e-13, true differences above 1e-5."""

SERVED_KWH = 1e-6
"""Unmet energy below it is rounding."""

CERTIFIED = 1e-7
"""Relative difference below which two values of a stage are the same."""

MERGED = "merged"
"""Name of the basis of the first two stages in one solve."""
SAMPLE = "sample"
"""Likewise of a sample's."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hints:
    """What a caller knows of a program that saves time, and changes no value.

    Args:
        merge_weight: Where minimising ``merge_weight * stage 0 + stage 1`` minimises both in order, that weight: it
            saves a solve. The claim is checked where stage 0 does not reach zero.
        is_scarce: Whether much of stage 0 cannot be avoided: then a large program whose first two stages are merged is
            hard for simplex, and interior point begins.
        network: Its network, if it is a large one.
        bases: Bases from which solves start, by what is minimised; those with which they end are left in their place.
            One that leads nowhere costs time and nothing else. A program with whole numbers takes and leaves none.
        instances: Instances that are changed into the program instead of handing it over anew, by what is minimised;
            those that end with an optimum are left in their place. None where none are to be kept.
        prices: (R,), what each row of capacity of a network may be worth, by stage; else a sample is asked.
        start: (C,), a feasible point from which a search over whole numbers starts.
    """

    merge_weight: float | None = None
    is_scarce: bool = False
    network: Network | None = None
    bases: MutableMapping[str, Basis] | None = None
    instances: MutableMapping[str, Instance] | None = None
    prices: Mapping[str, FloatArray] = field(default_factory=dict)
    start: FloatArray | None = None


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """How one solve ended.

    Args:
        highs: The instance.
        status: Its status.
        part: What of the program it was given; None where all of it.
    """

    highs: highspy.Highs
    status: SolveStatus
    part: Part | None = None

    @property
    def is_final(self) -> bool:
        """Whether another method would not lead further."""
        return self.status in (SolveStatus.OPTIMAL, SolveStatus.TIME_LIMIT)

    def solution(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Column values, row duals and column duals of the whole program; duals of what was left out are zero."""
        value, row_dual, column_dual = solution_of(self.highs)
        if self.part is None:
            return value, row_dual, column_dual
        return self.part.value(value), self.part.of_rows(row_dual), self.part.of_columns(column_dual)

    def basis(self) -> Basis | None:
        """The basis of the whole program with which it ended; None where it has none."""
        found = basis_of(self.highs) if self.status is SolveStatus.OPTIMAL else None
        if found is None or self.part is None:
            return found
        columns = np.full(self.part.fixed.size, AT_LOWER, dtype=object)
        columns[self.part.column] = found.columns
        rows = np.full(self.part.rows, BASIC, dtype=object)
        rows[self.part.row] = found.rows
        return Basis(columns=columns, rows=rows)


def _logged(found: _Found, method: OptionValue) -> _Found:
    columns, iterations = found.highs.getNumCol(), found.highs.getInfo().simplex_iteration_count
    logger.debug("solver method=%s status=%s columns=%d iterations=%d", method, found.status, columns, iterations)
    return found


class Run:
    """One program, narrowed from stage to stage to the face of its optima."""

    def __init__(
        self,
        program: LinearProgram,
        options: SolverOptions,
        deadline: float | None,
        *,
        hints: Hints = NO_HINTS,
        missing_rows: MissingRows | None = None,
    ) -> None:
        self.program = program
        """As narrowed so far, with the rows that were missing."""
        self.options = options
        self.deadline = deadline
        self.hints = hints
        self.bases = hints.bases
        self.instances = None if missing_rows is not None else hints.instances
        self.missing_rows = missing_rows
        self.is_unlimited = True
        """Whether no limit of a network is known to bind."""
        self.value: FloatArray | None = None
        self.optimum: tuple[FloatArray, FloatArray] | None = None
        """Row and column duals of the stage solved last, as long as the bounds are not narrowed to its optima."""

    def solution(self) -> Solution:
        """Minimise all stages, the first two in one where that is known to be exact."""
        weight, stages = self.hints.merge_weight, self.program.stages
        if weight is not None and len(stages) > 1:
            merged = self.merged(weight)
            if merged is not None:
                return self.in_order(merged, stages[2:])
        return self.in_order([], stages)

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

    def merged(self, weight: float) -> list[StageOutcome] | None:
        """The first two stages in one solve; None where that was not exact or gave nothing."""
        first, second = self.program.stages[:2]
        cost = weight * first.cost + second.cost
        scale = scale_of(cost)
        is_hard = self.hints.is_scarce and cost.size >= LARGE
        if is_hard and self.hints.network is None:
            # A thousand iterations from the last basis take as long as interior point takes for all.
            self.bases = self.instances = None
        found = self.run(
            cost / scale,
            MERGED,
            price=self.price({first.name: weight / scale, second.name: 1.0 / scale}),
            is_hard=is_hard,
        )
        if found.status is not SolveStatus.OPTIMAL:
            return None
        value, row_dual, column_dual = found.solution()
        first_dual = np.zeros(self.program.row_count)
        if first.value(value) > SERVED_KWH:
            certified = self.certify(found.highs, first.cost, value)
            if certified is None:
                return None
            first_dual = certified
        self.value = value
        self.optimum = (row_dual, column_dual)
        status = found.status
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
        scale = scale_of(cost)
        highs.changeColsCost(cost.size, np.arange(cost.size, dtype=np.int32), cost / scale)
        if self.instances is not None and MERGED in self.instances:
            self.instances[MERGED].cost = cost / scale
        highs.setOptionValue("solver", "simplex")
        limit_time(highs, self.deadline)
        highs.run()
        if status_of(highs) is not SolveStatus.OPTIMAL:
            return None
        best, row_dual, _ = solution_of(highs)
        gain = dot(cost, value - best)
        return row_dual * scale if gain <= CERTIFIED * max(1.0, dot(cost, best)) else None

    def minimise(self, stage: StageCost) -> tuple[SolveStatus, FloatArray | None]:
        """Minimise one stage over the optima of the stages before."""
        self.narrow()
        scale = scale_of(stage.cost)
        found = self.run(stage.cost / scale, stage.name, price=self.price({stage.name: 1.0 / scale}))
        if found.status is SolveStatus.OPTIMAL:
            self.value, row_dual, column_dual = found.solution()
            self.optimum = (row_dual, column_dual)
            return found.status, row_dual * scale
        # A point that was not optimal has not been asked which rows it breaks.
        if (
            self.value is None
            and self.missing_rows is None
            and found.highs.getInfo().primal_solution_status == FEASIBLE_POINT
        ):
            self.value, _, _ = found.solution()
        return found.status, None

    def price(self, weights: Mapping[str, float]) -> FloatArray | None:
        """(R,), what rows of capacity may be worth where stages count so much; None where one was not told."""
        known = self.hints.prices
        if not known.keys() >= weights.keys():
            return None
        return sum((weight * known[name] for name, weight in weights.items()), start=np.zeros(1))

    def run(self, cost: FloatArray, name: str, *, price: FloatArray | None = None, is_hard: bool = False) -> _Found:
        """One solve: in place, or from a basis, if one is at hand that leads to an optimum, else from scratch."""
        found = self.run_in_place(cost, name)
        if found is None or not found.is_final:
            found = self.run_from_basis(cost, name, price)
        if found is None or not found.is_final:
            found = self.run_from_scratch(cost, is_hard=is_hard)
        if self.instances is not None:
            if found.status is SolveStatus.OPTIMAL:
                self.instances[name] = Instance(
                    highs=found.highs, program=self.program, cost=cost, options=self.options
                )
        elif self.bases is not None:
            left = found.basis()
            if left is not None:
                self.bases[name] = left
        return found

    def run_in_place(self, cost: FloatArray, name: str) -> _Found | None:
        """One solve by the instance that its name left before, from where it stands; None where it does not fit."""
        instance = None if self.instances is None else self.instances.pop(name, None)
        if instance is None or not instance.takes(self.program, self.options):
            return None
        most = max(SIMPLEX_ITERATIONS, self.program.row_count)
        instance.change(self.program, cost, {**DEVEX, "simplex_iteration_limit": most})
        limit_time(instance.highs, self.deadline)
        instance.highs.run()
        return _logged(_Found(highs=instance.highs, status=status_of(instance.highs)), "in-place")

    def run_from_basis(self, cost: FloatArray, name: str, price: FloatArray | None) -> _Found | None:
        """One solve from the basis that its name left before, or else from what a network starts from."""
        rows = self.program.row_count
        basis = None if self.bases is None else self.bases.pop(name, None)
        if basis is not None:
            return self.attempt(cost, {**DEVEX, "simplex_iteration_limit": max(SIMPLEX_ITERATIONS, rows)}, basis)
        basis = self.near(cost, price)
        if basis is None:
            return None
        most = max(NETWORK_ITERATIONS, rows // 5)
        part = self.rest()
        if part is not None:
            basis = basis.of(part.column, part.row)
        return self.attempt(cost, {**PRIMAL_SIMPLEX, "simplex_iteration_limit": most}, basis, part=part)

    def near(self, cost: FloatArray, price: FloatArray | None) -> Basis | None:
        """A basis at or near the optimum of a cost, where the program is a network and there is one."""
        network = self.hints.network
        if network is None:
            return None
        if self.is_unlimited:
            basis = network.unlimited(self.program, cost)
            self.is_unlimited = basis is not None
            if basis is not None:
                return basis
        if self.hints.is_scarce and network.is_nested(self.program):
            return None
        basis = None if price is None else network.near(self.program, cost, price)
        if basis is not None:
            return basis
        sample = network.sample(self.program, cost, self.value)
        if sample is None:
            return None
        part = Run(sample.program, self.options, self.deadline, hints=Hints(network=sample.network))
        part.value, part.is_unlimited = sample.value, False
        found = part.run(sample.program.stages[0].cost, SAMPLE)
        if found.status is not SolveStatus.OPTIMAL:
            return None
        _, row_dual, _ = found.solution()
        return network.near(self.program, cost, sample.price(row_dual))

    def rest(self) -> Part | None:
        """What earlier stages have left of the program; None for all of it."""
        # An instance that is to be kept has all of the program.
        if self.value is None or self.missing_rows is not None or self.instances is not None:
            return None
        return self.program.without_fixed()

    def run_from_scratch(self, cost: FloatArray, *, is_hard: bool) -> _Found:
        """One solve: dual simplex while it is fast, else or at once interior point, else HiGHS's own choice."""
        part = self.rest()
        program = self.program if part is None else part.program
        simplex = DEVEX if (np.abs(program.row_value) == 1.0).all() else DUAL_SIMPLEX
        iterations = max(SIMPLEX_ITERATIONS, SIMPLEX_ITERATIONS_PER_ROW * program.row_count)
        capped = {**simplex, "simplex_iteration_limit": iterations}
        for method in (INTERIOR_POINT,) if is_hard else (capped, INTERIOR_POINT):
            found = self.attempt(cost, method, part=part)
            if found.is_final:
                return found
        found = self.attempt(cost, LAST_RESORT)
        if found.status is SolveStatus.INFEASIBLE and self.value is not None:
            # An earlier stage has a solution: what is narrowed to its optima can be infeasible by rounding only.
            found = self.attempt(cost, ROUNDED)
        return found

    def attempt(
        self,
        cost: FloatArray,
        method: Mapping[str, OptionValue],
        basis: Basis | None = None,
        part: Part | None = None,
    ) -> _Found:
        """One solve by one method, and from the last basis for as long as rows are missing."""
        if part is None:
            highs = loaded(self.program, cost, method, self.options)
        else:
            highs = loaded(part.program, cost[part.column], method, self.options)
        if basis is not None and not hand_over(basis.with_rows(highs.getNumRow()), highs):
            return _Found(highs=highs, status=SolveStatus.FAILED)
        limit_time(highs, self.deadline)
        highs.run()
        status = status_of(highs)
        while part is None and status is SolveStatus.OPTIMAL and self.add_missing(highs):
            highs.setOptionValue("solver", "simplex")
            limit_time(highs, self.deadline)
            highs.run()
            status = status_of(highs)
        return _logged(_Found(highs=highs, status=status, part=part), method["solver"])

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
        return True

    def narrow(self) -> None:
        """Keep only the optima of the stage solved last."""
        if self.value is None or self.optimum is None:
            return
        row_dual, column_dual = self.optimum
        self.optimum = None
        program = self.program
        fixed = np.abs(column_dual) > ZERO_DUAL
        at = np.clip(self.value, program.column_lower, program.column_upper)
        activity = program.activity(self.value)
        upper_is_nearer = np.abs(activity - program.row_upper) <= np.abs(activity - program.row_lower)
        bound = np.where(upper_is_nearer, program.row_upper, program.row_lower)
        tight = (np.abs(row_dual) > ZERO_DUAL) & np.isfinite(bound)
        self.program = replace(
            program,
            column_lower=np.where(fixed, at, program.column_lower),
            column_upper=np.where(fixed, at, program.column_upper),
            row_lower=np.where(tight, bound, program.row_lower),
            row_upper=np.where(tight, bound, program.row_upper),
        )
