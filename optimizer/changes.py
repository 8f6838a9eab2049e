"""The smallest change that would have served a session: minutes later, or kW more on which limit and when.

Served means: a best plan of the changed problem, by the same rule, gives the session all it asks for and nobody less
than the plan in hand. Where several sessions have an equal claim the change is the one that this session needs; where
others outrank it, they are served first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from models.domain.scenario import Scenario
from models.domain.time_grid import FloatArray, IntArray, ceil_to_raster
from models.domain.why import ChangeKind, ServingChange
from models.errors import SolverError
from optimizer.currents import with_every_side
from optimizer.explain import FULL_KWH, held_entries
from optimizer.fairness import fair_unmet_kwh
from optimizer.formulation import formulate
from optimizer.highs import Solution
from optimizer.linear_program import LinearProgram, Rows, StageCost, Terms
from optimizer.options import Fairness, OptimizeOptions, SolverOptions, Stage
from optimizer.prepare import prepare
from optimizer.problem import CapacityProblem
from optimizer.solver import solve

SERVED_KWH = 1e-5
"""Less than that a meter does not show; a solver's rows hold to a hundredth of it."""

LONGEST_WAIT = timedelta(days=1)
"""Nobody is told to leave more than a day later."""

KW_DECIMALS = 3
COARSE_KW = 0.01
"""How exactly a raise is found where others are to be served first; elsewhere it is the exact one, rounded up."""

Served = Callable[[float], bool]
"""Whether a change of some size serves."""


def smallest_changes(
    scenario: Scenario,
    options: OptimizeOptions,
    problem: CapacityProblem,
    all_kwh: FloatArray,
    session: int,
    *,
    deadline: float | None = None,
) -> tuple[ServingChange, ...]:
    """What would have served one session.

    Args:
        scenario: What was planned.
        options: How.
        problem: The scenario as arrays.
        all_kwh: (K + X,), the plan: energies of power columns and flows of assets, kWh.
        session: Index of the session.
        deadline: When to give up, on the clock of `time.perf_counter`; None for never.

    Returns:
        The later departure, if one within a day would do; then for each limit that holds the session back the raise
        that would do by itself, or where none would the raise of all of them together. Empty where nothing of that
        would.

    Raises:
        SolverError: Time is up, or the solver gave no answer.
    """
    # What rounding to settings of chargers takes is left out.
    problem = with_every_side(replace(problem, pilot_rules=None))
    floor_kwh = problem.delivered_kwh(*np.split(all_kwh, [problem.columns]))
    claim = _Claim(session=session, floor_kwh=floor_kwh, deadline=deadline)
    later = _later_departure(scenario, options, problem, claim)
    return (*([] if later is None else [later]), *_raises(problem, all_kwh, claim))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Claim:
    """Who is to be served, and what the others get at least.

    Args:
        session: Index of the session.
        floor_kwh: (S,), what each gets in the plan, kWh.
        deadline: When to give up; None for never.
    """

    session: int
    floor_kwh: FloatArray
    deadline: float | None

    def solver(self) -> SolverOptions:
        """HiGHS, for the time that is left."""
        left_s = None if self.deadline is None else max(self.deadline - time.perf_counter(), 0.0)
        return SolverOptions(time_limit_s=left_s)

    def solved(self, program: LinearProgram) -> Solution:
        """The optimum of a program, every stage proved.

        Raises:
            SolverError: Time is up, or the solver gave no answer.
        """
        solution = solve(program, self.solver())
        if not solution.is_optimal:
            raise SolverError(f"no change was found in time: {solution.stages[-1].status}")
        return solution

    def kept_unmet_kwh(self, problem: CapacityProblem) -> FloatArray:
        """The most that may stay unmet of each session: (S,), kWh; what is asked for itself is left free."""
        kept = np.maximum(problem.reachable_energy_kwh - self.floor_kwh, 0.0) + SERVED_KWH / 10
        kept[self.session] = problem.reachable_energy_kwh[self.session]
        return np.minimum(kept, problem.reachable_energy_kwh)

    def is_in_reach(self, problem: CapacityProblem) -> bool:
        """Whether the stay allows all that is asked for."""
        asked_kwh = problem.sessions[self.session].energy_kwh
        return bool(asked_kwh - problem.reachable_energy_kwh[self.session] <= SERVED_KWH)


def _later_departure(
    scenario: Scenario, options: OptimizeOptions, problem: CapacityProblem, claim: _Claim
) -> ServingChange | None:
    staying = _Staying(scenario, options, problem, claim.session)

    def possible(minutes: float) -> bool:
        return _is_possible(staying.longer(int(minutes)), claim)

    def served(minutes: float) -> bool:
        return _is_served(staying.longer(int(minutes)), claim)

    longest = staying.longest_minutes
    found = _smallest(possible, served, longest) if longest > 0 else None
    if found is None:
        return None
    departure = problem.sessions[claim.session].departure + timedelta(minutes=found)
    return ServingChange(kind=ChangeKind.DEPARTURE, minutes_later=found, departure=departure)


def _smallest(possible: Served, served: Served, largest: int) -> int | None:
    """The smallest whole number from 1 on that serves; None where the largest does not.

    What is possible at all is cheaper to find out, and grows with the change; it bounds the search for what the rule
    gives from below.
    """
    if not possible(largest):
        return None
    least = _bisected(possible, 0, largest)
    if served(least):
        return least
    return _bisected(served, least, largest) if served(largest) else None


def _bisected(holds: Served, low: int, high: int) -> int:
    """The smallest number above ``low`` that holds, given that ``high`` does and ``low`` does not."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


class _Staying:
    """The problem with a later departure of one session."""

    def __init__(self, scenario: Scenario, options: OptimizeOptions, problem: CapacityProblem, session: int) -> None:
        self._session = problem.sessions[session]
        self._sessions = problem.sessions
        self._has_assets = problem.assets is not None
        self._grid = problem.grid
        self._options = replace(options.measured, uncertainty=None)
        zone = scenario.site.time_zone
        end_s = self._session.departure_s + LONGEST_WAIT.total_seconds() + options.raster.total_seconds()
        tariff = scenario.tariff
        if tariff is not None and end_s > problem.grid.edges_s[-1]:
            # Prices only divide the time here, and no price is known beyond the window.
            tariff, _ = tariff.extended(float(problem.grid.edges_s[0]), end_s, zone)
        self._scenario = replace(scenario, sessions=problem.sessions, tariff=tariff, previous=None)

    @property
    def longest_minutes(self) -> int:
        """How much later it may leave: a day, or to the window's end where assets are known no longer."""
        longest = LONGEST_WAIT
        if self._has_assets:
            longest = min(longest, self._grid.end - self._session.departure)
        return int(longest / timedelta(minutes=1))

    def longer(self, minutes: int) -> CapacityProblem:
        departure = self._session.departure + timedelta(minutes=minutes)
        stays = replace(self._session, departure=departure)
        sessions = tuple(stays if one is self._session else one for one in self._sessions)
        end = self._grid.end
        if stays.departure_s > self._grid.edges_s[-1]:
            end = ceil_to_raster(departure, self._options.raster, self._scenario.site.time_zone)
        options = replace(self._options, start=self._grid.start, end=end)
        return with_every_side(prepare(replace(self._scenario, sessions=sessions), options))


def _raises(problem: CapacityProblem, all_kwh: FloatArray, claim: _Claim) -> Iterator[ServingChange]:
    """Raises of single limits that would do by themselves; where none does, of all that hold the session back."""
    if not claim.is_in_reach(problem):
        return
    holding = _holding_limits(problem, all_kwh, claim.session)
    alone = [found for limits in holding if (found := _raise(problem, claim, limits)) is not None]
    yield from alone
    if not alone and len(holding) > 1:
        together = _raise(problem, claim, tuple(limit for limits in holding for limit in limits))
        if together is not None:
            yield together


def _holding_limits(problem: CapacityProblem, all_kwh: FloatArray, session: int) -> list[tuple[int, ...]]:
    """The limits that are full while the session could draw more, in order; all sides of a line as one."""
    row, column = held_entries(problem, all_kwh)
    idle = all_kwh[column] < problem.max_energy_kwh[column] - FULL_KWH
    mine = idle & (problem.column_session[column] == session)
    found: dict[int | str, tuple[int, ...]] = {}
    for limit in np.unique(problem.limit_rows.limit_index[row[mine]]).tolist():
        line = problem.limits[limit].line
        if line is None:
            found[f"limit {limit}"] = (limit,)
        elif line not in found:
            found[line] = tuple(at for at, one in enumerate(problem.limits) if one.line == line and not one.is_export)
    return list(found.values())


def _raise(problem: CapacityProblem, claim: _Claim, limits: tuple[int, ...]) -> ServingChange | None:
    least_kw, steps = _least_raise(problem, claim, limits)
    if not steps.size:
        return None
    more_kw = math.ceil(least_kw * 10**KW_DECIMALS) / 10**KW_DECIMALS
    if not _is_served(raised(problem, limits, steps, more_kw), claim):
        # Others come first, and take of it what they can use.
        steps = _steps_of(problem, claim.session)
        largest = math.ceil(float(problem.max_power_kw.sum() * problem.limit_weight.max()) / COARSE_KW)

        def served(units: float) -> bool:
            return _is_served(raised(problem, limits, steps, units * COARSE_KW), claim)

        if not served(largest):
            return None
        more_kw = round(_bisected(served, math.floor(least_kw / COARSE_KW), largest) * COARSE_KW, KW_DECIMALS)
    return ServingChange(
        kind=ChangeKind.CAPACITY,
        limits=tuple(dict.fromkeys(problem.limits[limit].label for limit in limits)),
        more_kw=more_kw,
        stretches_s=tuple(_stretches_s(problem, steps)),
    )


def raised(problem: CapacityProblem, limits: tuple[int, ...], steps: IntArray, more_kw: float) -> CapacityProblem:
    """The problem with some limits higher in some steps.

    Args:
        problem: The problem.
        limits: Indices of the limits.
        steps: Indices of the steps.
        more_kw: By how much, kW; a side of a line's polygon rises with the line.
    """
    more = np.zeros(problem.grid.steps)
    more[steps] = more_kw
    changed = tuple(
        replace(limit, limit_kw=limit.limit_kw + more * _slack(problem, index)) if index in limits else limit
        for index, limit in enumerate(problem.limits)
    )
    return replace(problem, limits=changed)


def _slack(problem: CapacityProblem, limit: int) -> float:
    """By how much a limit rises with what it is a side of."""
    line = problem.limits[limit].line
    return math.cos(math.pi / problem.line_sides) if line in problem.curved_lines else 1.0


def _least_raise(problem: CapacityProblem, claim: _Claim, limits: tuple[int, ...]) -> tuple[float, IntArray]:
    """The least raise that makes it possible to serve, and the steps in which it is used; no steps where none does.

    Minimise what stays unmet, then the raise, then the energy that comes of it:

        load[g, t]  -  step_hours[t] * used_kw[t]  <=  limit[g, t] * step_hours[t]
        used_kw[t]  <=  raise_kw                                                         while the session is there
    """
    steps = _steps_of(problem, claim.session)
    rows = problem.limit_rows
    place = np.full(problem.grid.steps, -1)
    place[steps] = np.arange(steps.size)
    row = np.flatnonzero(np.isin(rows.limit_index, limits) & (place[rows.step_index] >= 0))
    used = place[rows.step_index[row]]
    slack = np.array([_slack(problem, limit) for limit in rows.limit_index[row].tolist()])
    hours = problem.step_hours[rows.step_index[row]] * slack
    base = _restricted(problem, claim)
    first_row = base.rows["capacity_limit"].start

    def terms(columns: Mapping[str, IntArray]) -> Terms:
        return Terms(row=first_row + row, column=columns["used_kw"][used], coefficient=-hours)

    def no_more_than_the_raise(columns: Mapping[str, IntArray]) -> Rows:
        each = np.arange(steps.size)
        use = Terms(row=each, column=columns["used_kw"], coefficient=np.ones(steps.size))
        most = Terms(row=each, column=np.repeat(columns["raise_kw"], steps.size), coefficient=-np.ones(steps.size))
        return Rows.of_terms((use, most), lower=np.full(steps.size, -np.inf), upper=np.zeros(steps.size))

    program = base.extended(
        {"used_kw": np.full(steps.size, np.inf), "raise_kw": np.full(1, np.inf)},
        terms=terms,
        families={"raise": no_more_than_the_raise},
    )
    step_hours = problem.step_hours[steps]
    costs = (_cost(program, "raise_kw", np.ones(1)), _cost(program, "used_kw", step_hours))
    program = replace(program, stages=(_own_unmet(program, claim.session), *costs))
    value = claim.solved(program).column_value
    if value[program.columns["unmet_kwh"]][claim.session] > SERVED_KWH:
        return math.inf, np.zeros(0, dtype=np.int64)
    used_kw = value[program.columns["used_kw"]]
    return float(value[program.columns["raise_kw"]][0]), steps[used_kw > FULL_KWH]


def _is_possible(problem: CapacityProblem, claim: _Claim) -> bool:
    """Whether any plan serves the session and gives nobody less."""
    if not claim.is_in_reach(problem):
        return False
    program = _restricted(problem, claim)
    program = replace(program, stages=(_own_unmet(program, claim.session),))
    value = claim.solved(program).column_value
    return bool(value[program.columns["unmet_kwh"]][claim.session] <= SERVED_KWH)


def _is_served(problem: CapacityProblem, claim: _Claim) -> bool:
    """Whether a best plan serves the session and gives nobody less than before."""
    if not _is_possible(problem, claim):
        return False
    if problem.fairness is not Fairness.TOTAL:
        decided_kwh, _ = fair_unmet_kwh(problem, claim.solver())
        return bool(decided_kwh[claim.session] <= 2 * SERVED_KWH)
    free = _relaxed(problem)
    kept = _restricted(problem, claim)
    best = claim.solved(free).stages
    upper = kept.column_upper.copy()
    upper[kept.columns["unmet_kwh"].start + claim.session] = 2 * SERVED_KWH
    reached = claim.solved(replace(kept, column_upper=upper)).stages
    tolerance = 10 * SERVED_KWH * (1.0 + float(problem.priority.sum()))
    return all(mine.value <= least.value + tolerance for mine, least in zip(reached, best, strict=True))


def _relaxed(problem: CapacityProblem) -> LinearProgram:
    """Minimise unmet energy by the rule; whole numbers are left out, so that it is a bound from below."""
    return replace(formulate(problem, (Stage.UNMET_ENERGY,)), integer_variables=frozenset())


def _restricted(problem: CapacityProblem, claim: _Claim) -> LinearProgram:
    """The same, with nobody but the one in question getting less than before."""
    program = _relaxed(problem)
    upper = program.column_upper.copy()
    upper[program.columns["unmet_kwh"]] = claim.kept_unmet_kwh(problem)
    return replace(program, column_upper=upper)


def _own_unmet(program: LinearProgram, session: int) -> StageCost:
    own = np.zeros(program.columns["unmet_kwh"].stop - program.columns["unmet_kwh"].start)
    own[session] = 1.0
    return _cost(program, "unmet_kwh", own)


def _cost(program: LinearProgram, variable: str, cost: FloatArray) -> StageCost:
    costs = np.zeros(program.column_count)
    costs[program.columns[variable]] = cost
    return StageCost(name=variable, cost=costs)


def _steps_of(problem: CapacityProblem, session: int) -> IntArray:
    first, behind = problem.first_column[session : session + 2]
    return problem.column_step[first:behind]


def _stretches_s(problem: CapacityProblem, steps: IntArray) -> Iterator[tuple[float, float]]:
    for run in np.split(steps, np.flatnonzero(np.diff(steps) > 1) + 1):
        yield float(problem.grid.edges_s[run[0]]), float(problem.grid.edges_s[run[-1] + 1])
