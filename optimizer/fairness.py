"""Who goes short, as fairly as can be: lexicographic max-min of what each gets, by linear programs and their duals.

Source of the method: D. Bertsekas and R. Gallager, Data Networks, 2nd ed., section 6.5.2, with duals in place of the
filling: who has a non-zero dual can get no more in any optimum. Source of what ``proportional`` means: S. Fujishige,
Lexicographically optimal base of a polymatroid with respect to a weight vector (1980): on nested limits the max-min of
energy per weight is the maximum of sum_s weight[s] * log(energy[s]).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from models.domain.time_grid import BoolArray, FloatArray, IntArray
from models.errors import SolverError
from optimizer.formulation import formulate
from optimizer.highs import Solution
from optimizer.linear_program import LinearProgram, Rows, StageCost, Terms
from optimizer.options import Fairness, SolverOptions, Stage
from optimizer.problem import CapacityProblem
from optimizer.solver import solve

logger = logging.getLogger(__name__)

SETTLED_DUAL = 1e-7
"""Duals of the level, which add up to one over the sessions, below it are ties."""

ROUNDING_KWH = 1e-7
"""By how much later programs may fall short of what earlier ones reached: a solver's own tolerance."""

SERVED_KWH = 1e-6


def fair_unmet_kwh(problem: CapacityProblem, options: SolverOptions) -> tuple[FloatArray, SolverOptions]:
    """What stays unmet of each session at most, class by class.

    Within a class, with ``got[s] = (reachable_energy_kwh[s] - unmet_kwh[s]) / entitled_kwh[s]``, the lowest ``got`` is
    as high as can be, then the next lowest, and so on. One linear program finds a level:

        maximise level    subject to    unmet_kwh[s] + entitled_kwh[s] * level <= reachable_energy_kwh[s]

    for every s that is not settled yet; who has a non-zero dual, or is served, is settled there.

    Args:
        problem: The scenario as arrays; its fairness says what each is entitled to: the request for ``max_min``, the
            priority for ``proportional``.
        options: Time limit and options of HiGHS, whichever solver is to make the plan.

    Returns:
        (S,), kWh, a solver's tolerance above what was found; and the options for the time that is left.

    Raises:
        SolverError: Time is up, or a level was not found.
    """
    started = time.perf_counter()
    filling = _Filling(problem, options)
    for rank in np.unique(problem.priority_class).tolist():
        filling.fill(problem.priority_class == rank)
    logger.debug("fairness=%s programs=%d", problem.fairness, filling.programs)
    return filling.unmet_upper_kwh, options.left_since(started)


class _Filling:
    """Sessions whose level rises together until something holds them; those stay where they are then.

    Attributes:
        unmet_upper_kwh: (S,), what was settled so far, kWh; all of the need of those who are not.
        programs: Linear programs solved so far.
    """

    def __init__(self, problem: CapacityProblem, options: SolverOptions) -> None:
        self._problem = problem
        # The relaxation of whole numbers: levels come of duals, which only that has.
        self._base = replace(
            formulate(problem, (Stage.UNMET_ENERGY,), unmet_upper_kwh=None), integer_variables=frozenset()
        )
        self._options = SolverOptions(time_limit_s=options.time_limit_s, threads=options.threads)
        self._started = time.perf_counter()
        self._entitled_kwh = _entitled_kwh(problem)
        self.unmet_upper_kwh = problem.reachable_energy_kwh.copy()
        self.programs = 0

    def fill(self, members: BoolArray) -> None:
        """Settle everybody of a class."""
        need_kwh = self._problem.reachable_energy_kwh
        rising = members & (need_kwh > 0) & (self._entitled_kwh > 0)
        if rising.any() and self._all_served(rising):
            self.unmet_upper_kwh[rising] = 0.0
            return
        while rising.any():
            level, dual = self._level(np.flatnonzero(rising))
            left_kwh = np.maximum(need_kwh - self._entitled_kwh * level, 0.0)
            settled = np.zeros(rising.size, dtype=bool)
            settled[rising] = dual >= min(SETTLED_DUAL, float(dual.max()))
            settled |= rising & (left_kwh <= SERVED_KWH)
            self.unmet_upper_kwh[settled] = np.minimum(left_kwh[settled] + ROUNDING_KWH, need_kwh[settled])
            rising &= ~settled

    def _all_served(self, rising: BoolArray) -> bool:
        cost = np.zeros(self._base.column_count)
        cost[self._base.columns["unmet_kwh"]] = rising
        solution = self._solved(self._bounded(), cost)
        return solution.stages[0].value <= SERVED_KWH

    def _level(self, rising: IntArray) -> tuple[float, FloatArray]:
        """The highest common level, and how much each holds it down: (N,), adding up to one."""
        need_kwh, entitled_kwh = self._problem.reachable_energy_kwh[rising], self._entitled_kwh[rising]
        each = np.arange(rising.size)
        unmet = Terms(row=each, column=self._base.columns["unmet_kwh"].start + rising, coefficient=np.ones(rising.size))

        def share_met(columns: Mapping[str, IntArray]) -> Rows:
            level = Terms(row=each, column=np.repeat(columns["level"], rising.size), coefficient=entitled_kwh)
            return Rows.of_terms((unmet, level), lower=np.full(rising.size, -np.inf), upper=need_kwh)

        program = self._bounded().extended({"level": np.full(1, np.inf)}, families={"share_met": share_met})
        cost = np.zeros(program.column_count)
        cost[program.columns["level"]] = -1.0
        solution = self._solved(program, cost)
        dual = solution.stages[0].row_dual
        if dual is None:
            raise SolverError("the solver gave no duals of the level that is common to all")
        return -solution.stages[0].value, np.abs(dual[program.rows["share_met"]]) * entitled_kwh

    def _bounded(self) -> LinearProgram:
        upper = self._base.column_upper.copy()
        upper[self._base.columns["unmet_kwh"]] = self.unmet_upper_kwh
        return replace(self._base, column_upper=upper)

    def _solved(self, program: LinearProgram, cost: FloatArray) -> Solution:
        self.programs += 1
        stage = StageCost(name="level", cost=cost)
        solution = solve(replace(program, stages=(stage,)), self._options.left_since(self._started))
        if not solution.is_optimal:
            raise SolverError(f"no fair shares were found in time: {solution.stages[0].status}")
        return solution


def _entitled_kwh(problem: CapacityProblem) -> FloatArray:
    """What a level of one gives to each: (S,), kWh."""
    return problem.requested_energy_kwh if problem.fairness is Fairness.MAX_MIN else problem.priority
