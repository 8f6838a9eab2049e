"""The optimal energies of a problem: formulated, written in Pyomo, solved in exact lexicographic stages."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.domain.schedule import ScheduleStatus, StageResult
from models.domain.time_grid import FloatArray
from models.errors import SolverConfigError, SolverError
from optimizer.again import Again, Memory
from optimizer.arrays import dot
from optimizer.asset_formulation import columns_of_flows, flow_values, goes_both_ways, vehicle_columns
from optimizer.compile import compile_model
from optimizer.currents import Side, SideFinder, added_order, with_all_sides, with_sides
from optimizer.extract import ROUNDING_KWH, Outcome, tidy, tidy_flows
from optimizer.fairness import fair_unmet_kwh
from optimizer.formulation import formulate, has_classes
from optimizer.highs import Solution, SolveStatus
from optimizer.least_violation import with_least_violation, without_excess
from optimizer.linear_program import LinearProgram, Rows
from optimizer.network import Network
from optimizer.objective import applicable_stages, is_scarce, merge_weight
from optimizer.options import DEFAULT_SOLVER, Backend, Fairness, OptimizeOptions, SolverOptions, Stage, Strategy
from optimizer.pilot_program import plan_of, start_from
from optimizer.pilot_rules import NOTHING_KWH, PilotPlan, PilotRules
from optimizer.pilots import round_to_pilots, set_to
from optimizer.problem import CapacityProblem
from optimizer.pyomo_model import dismantle, pyomo_model
from optimizer.pyomo_solver import solve_with
from optimizer.runtime import Stopwatch
from optimizer.solver import solve
from optimizer.stages import NO_HINTS, Hints, MissingRows

logger = logging.getLogger(__name__)

EXACT_TIME_LIMIT_S = 60.0
"""Wall time for a search over settings where no other is asked for, s: its last proofs may take days."""


def optimum(
    problem: CapacityProblem, options: OptimizeOptions, watch: Stopwatch, memory: Memory | None = None
) -> Outcome:
    """Energies that are optimal in every stage, or as far as the time limit allowed.

    Args:
        problem: The scenario as arrays.
        options: Objective and solver.
        watch: Counts the phases build, translate, solve and extract.
        memory: What the plan before left, to start from; it is left what this one leaves.

    Returns:
        Energies that hold every bound, the stages' values and the limits' shadow prices.

    Raises:
        SolverError: The solver gave no usable answer.
        SolverConfigError: The solver is not there, or refuses an option.
    """
    began = time.perf_counter()
    problem, excess = with_least_violation(problem, options, watch)
    left = options.left_since(began)
    rules = problem.pilot_rules
    if rules is not None and rules.is_exact:
        outcome = _optimum_of_settings(problem, rules, left, watch)
    else:
        outcome = _optimum(problem, left, watch, memory)
        if rules is not None and problem.assets is not None:
            outcome = _rounded_beside_assets(problem, rules, outcome, options.left_since(began), watch)
    return replace(outcome, stages=(*excess, *outcome.stages))


def _optimum(
    problem: CapacityProblem, options: OptimizeOptions, watch: Stopwatch, memory: Memory | None = None
) -> Outcome:
    """The optimum of any powers."""
    began = time.perf_counter()
    solved = _solved_with_sides(problem, options, watch, memory)
    if problem.assets is not None and _goes_both_ways(solved):
        problem = replace(problem, assets=replace(problem.assets, keeps_one_way=True))
        solved = _solved_with_sides(problem, options.left_since(began), watch)
    return _outcome(problem, solved, options, watch)


def _rounded_beside_assets(
    problem: CapacityProblem, rules: PilotRules, outcome: Outcome, options: OptimizeOptions, watch: Stopwatch
) -> Outcome:
    """The optimum at powers that chargers can be set to, with assets that do what is best beside those."""
    with watch.phase("round"):
        pilots = round_to_pilots(with_all_sides(problem), rules, outcome.energy_kwh, outcome.flow_kwh)
    settled = set_to(outcome, pilots)
    makes_less_room = problem.counts_moments and (pilots.hours < pilots.full_hours).any()
    if not settled.is_rounded and not makes_less_room:
        return settled
    # Those powers, and nothing else, are what vehicles take now; who feeds in takes any.
    free = vehicle_columns(problem)
    least_kwh, most_kwh = pilots.energy_kwh.copy(), pilots.energy_kwh.copy()
    least_kwh[free], most_kwh[free] = 0.0, problem.max_energy_kwh[free]
    delivered_kwh = problem.delivered_kwh(pilots.energy_kwh, outcome.flow_kwh)
    beside = replace(
        problem.held_for(pilots.hours),
        pilot_rules=None,
        fairness=Fairness.TOTAL,
        least_energy_kwh=least_kwh,
        max_energy_kwh=most_kwh,
        reachable_energy_kwh=np.maximum(delivered_kwh, 0.0),
    )
    began = time.perf_counter()
    if any(limit.excess_kw is not None for limit in problem.limits):
        # What cars were to take up of a surplus, their chargers may not be able to.
        beside, _ = with_least_violation(without_excess(beside), options, watch)
    found = _optimum(beside, options.left_since(began), watch)
    energy_kwh = pilots.energy_kwh.copy()
    energy_kwh[free] = found.energy_kwh[free]
    return set_to(outcome, replace(pilots, energy_kwh=energy_kwh), found.flow_kwh)


def _goes_both_ways(solved: _Solved) -> bool:
    return goes_both_ways(solved.problem, solved.all_kwh, least_kwh=ROUNDING_KWH)


def _optimum_of_settings(
    problem: CapacityProblem, rules: PilotRules, options: OptimizeOptions, watch: Stopwatch
) -> Outcome:
    """The best plan of powers that chargers can be set to, searched for from the rounded plan of any powers on."""
    began = time.perf_counter()
    search = replace(options.solver, time_limit_s=options.solver.time_limit_s or EXACT_TIME_LIMIT_S)
    stepless = _optimum(replace(problem, pilot_rules=None), options, watch)
    # A search cannot take sides of polygons one by one.
    problem = with_all_sides(problem)
    with watch.phase("round"):
        rounded = round_to_pilots(problem, rules, stepless.energy_kwh, stepless.flow_kwh)
    stages = applicable_stages(problem, options.objective)
    with watch.phase("build"):
        program = formulate(problem, stages)
        start = np.zeros(program.column_count)
        for name, value in start_from(problem, rules, rounded).items():
            start[program.columns[name]] = value
    try:
        solution, program = _solved(program, search.left_since(began), watch, hints=Hints(start=start))
    except SolverConfigError:
        raise
    except SolverError as error:
        # Its time was up, or no settings take up all of a surplus that cars of any powers would.
        logger.info("no plan of settings was found, the rounded one stands in: %s", error)
        return _stand_in(problem, rules, stepless, options, watch)
    solved = _Solved(problem=problem, program=program, solution=solution, added=(), is_whole=True)
    outcome = _outcome(problem, solved, options, watch)
    found = plan_of(problem, rules, outcome.energy_kwh)
    if _served(problem, found, outcome) < _served(problem, rounded, stepless) - NOTHING_KWH:
        # The search had no time to get back to where it was to start.
        return _stand_in(problem, rules, stepless, options, watch)
    return replace(outcome, pilots=found, problem=stepless.problem, shadow_price_per_kwh=stepless.shadow_price_per_kwh)


def _stand_in(
    problem: CapacityProblem, rules: PilotRules, stepless: Outcome, options: OptimizeOptions, watch: Stopwatch
) -> Outcome:
    """The plan of any powers rounded to settings, or to be rounded where no assets have to adapt to it."""
    return stepless if problem.assets is None else _rounded_beside_assets(problem, rules, stepless, options, watch)


def _served(problem: CapacityProblem, plan: PilotPlan, beside: Outcome) -> float:
    """Energy by its weight, less what vehicles feed in, kWh."""
    return dot(problem.priority, problem.delivered_kwh(plan.energy_kwh, beside.flow_kwh))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Solved:
    """A solution, and what it is one of.

    Args:
        problem: With all limits that were added.
        program: As the solver read it, without those that were added to it.
        solution: What it found; duals of added rows follow the others.
        added: Which sides of polygons these are.
        is_whole: Whether no limit is missing.
    """

    problem: CapacityProblem
    program: LinearProgram
    solution: Solution
    added: Sequence[Side]
    is_whole: bool

    @property
    def all_kwh(self) -> FloatArray:
        """(K + X,), energies of power columns and flows of assets, kWh."""
        return flow_values(self.problem, self.program, self.solution.column_value)


def _solved_with_sides(
    problem: CapacityProblem, options: OptimizeOptions, watch: Stopwatch, memory: Memory | None = None
) -> _Solved:
    """Solve, and again with more sides of polygons as long as the solution exceeds one.

    HiGHS takes them as it goes, so that one round is the rule; other solvers are asked anew.
    """
    stages = applicable_stages(problem, options.objective)
    decided_kwh, solver = None, options.solver
    if options.fairness is not Fairness.TOTAL and problem.columns:
        with watch.phase("fairness"):
            decided_kwh, solver = fair_unmet_kwh(with_all_sides(problem), solver)
    mergeable = decided_kwh is not None or not has_classes(problem)
    weight = merge_weight(problem, stages) if mergeable else None
    finder = SideFinder(problem)
    began, allowed = time.perf_counter(), solver
    current = problem
    while True:
        known = len(finder.found)
        with watch.phase("build"):
            program = formulate(current, stages, unmet_upper_kwh=decided_kwh)
        missing = _missing_rows(current, finder, program) if finder.is_needed else None
        again = None if memory is None else memory.of(current)
        hints = Hints(
            merge_weight=weight,
            is_scarce=weight is not None and is_scarce(current),
            network=Network.of(program, current) if missing is None else None,
        )
        solution, program = _solved(program, solver, watch, hints=hints, missing_rows=missing, again=again)
        added = tuple(finder.found[known:])
        is_whole = not finder.exceeded(flow_values(current, program, solution.column_value))
        solver = allowed.left_since(began)
        if is_whole or solver.time_limit_s == 0.0:
            held = with_sides(current, added)
            return _Solved(problem=held, program=program, solution=solution, added=added, is_whole=is_whole)
        current = with_sides(problem, finder.found)


def _missing_rows(problem: CapacityProblem, finder: SideFinder, program: LinearProgram) -> MissingRows:
    columns = columns_of_flows(problem, program)

    def missing(value: FloatArray) -> Rows | None:
        sides = finder.exceeded(value[columns])
        return finder.rows(sides, columns) if sides else None

    return missing


def _outcome(problem: CapacityProblem, solved: _Solved, options: OptimizeOptions, watch: Stopwatch) -> Outcome:
    solution = solved.solution
    with watch.phase("extract"):
        energy_kwh, flow_kwh = tidy_flows(problem, *np.split(solved.all_kwh, [problem.columns]))
        return Outcome(
            energy_kwh=tidy(problem, energy_kwh, flow_kwh),
            flow_kwh=flow_kwh,
            status=ScheduleStatus.OPTIMAL if solution.is_optimal and solved.is_whole else ScheduleStatus.FEASIBLE,
            strategy=Strategy.OPTIMAL,
            stages=tuple(
                StageResult(
                    name=stage.name,
                    value=stage.value,
                    proved=stage.status is SolveStatus.OPTIMAL and solved.is_whole,
                    bound=stage.bound,
                )
                for stage in solution.stages
            ),
            problem=solved.problem,
            shadow_price_per_kwh=_shadow_price(solved, options.unserved_value_per_kwh),
            bound_price_per_kwh=_bound_price(solved, options.unserved_value_per_kwh) if options.why else None,
        )


def _solved(
    program: LinearProgram,
    options: SolverOptions,
    watch: Stopwatch,
    *,
    hints: Hints = NO_HINTS,
    missing_rows: MissingRows | None = None,
    again: Again | None = None,
) -> tuple[Solution, LinearProgram]:
    """The solution, and the program as the solver read it."""

    def solve_arrays(program: LinearProgram) -> Solution:
        if again is None:
            return solve(program, options, hints=hints, missing_rows=missing_rows)
        told = again.hints(program, hints)
        solution = solve(program, options, hints=told, missing_rows=missing_rows)
        again.keep(program, told, solution.stages)
        return solution

    if options.backend is Backend.ARRAYS:
        with watch.phase("solve"):
            return solve_arrays(program), program
    with watch.phase("build"):
        model = pyomo_model(program)
    with watch.phase("translate"):
        program = compile_model(model)
    try:
        with watch.phase("solve"):
            if options.name == DEFAULT_SOLVER:
                return solve_arrays(program), program
            return solve_with(model, program, options), program
    finally:
        dismantle(model)


def _shadow_price(solved: _Solved, unserved_value_per_kwh: float) -> FloatArray | None:
    """What a further kWh of each capacity limit saves: (R,), currency per kWh.

    unserved_value_per_kwh * (less unmet energy per kWh) + (less energy cost per kWh)
    """
    duals = {
        stage.name: _limit_dual(solved, stage.row_dual)
        for stage in solved.solution.stages
        if stage.row_dual is not None
    }
    worth = _worth(duals, unserved_value_per_kwh)
    if worth is None:
        return None
    saved: FloatArray = np.zeros(solved.problem.limit_rows.limit_index.size)
    for stage, value in worth.items():
        saved -= value * duals[stage]
    # Adding zero turns a negative zero into a plain one.
    return np.round(saved, 9) + 0.0


def _limit_dual(solved: _Solved, row_dual: FloatArray) -> FloatArray:
    """Duals of the limits, (R,), in the order of `CapacityProblem.limit_rows`; zero for a limit added later."""
    before = row_dual[solved.program.rows.get("capacity_limit", slice(0, 0))]
    if not solved.added:
        return before
    later = row_dual[solved.program.row_count :]
    dual = np.zeros(solved.problem.limit_rows.limit_index.size)
    dual[: before.size] = before
    dual[before.size + added_order(solved.added)[: later.size]] = later
    return dual


def _worth(duals: Mapping[str, FloatArray], unserved_value_per_kwh: float) -> dict[str, float] | None:
    """Currency per unit of the stages that count in shadow prices; None where none says what unmet energy is.

    What is expected or likely to stay unmet stands for what stays unmet in what is believed; else every priority class
    counts.
    """
    unmet = [name for name in duals if name.startswith(Stage.UNMET_ENERGY)]
    for stage in (Stage.EXPECTED_UNMET, Stage.LIKELY_UNMET):
        unmet = [name for name in duals if name.startswith(stage)] or unmet
    if not unmet:
        return None
    worth = dict.fromkeys(unmet, unserved_value_per_kwh)
    return {**worth, Stage.ENERGY_COST: 1.0} if Stage.ENERGY_COST in duals else worth


def _bound_price(solved: _Solved, unserved_value_per_kwh: float) -> FloatArray | None:
    """What a further kWh of what a session may draw in a step saves: (K,), currency per kWh; as for limits.

    None where limits were added while it was solved: the program does not have them.
    """
    program = solved.program
    duals = {stage.name: stage.row_dual for stage in solved.solution.stages if stage.row_dual is not None}
    worth = _worth(duals, unserved_value_per_kwh)
    if worth is None or solved.added:
        return None
    saved = np.zeros(program.column_count)
    for stage in program.stages:
        if stage.name in worth:
            saved -= worth[stage.name] * program.reduced_cost(stage.cost, duals[stage.name])
    return np.round(saved[program.columns["energy_kwh"]], 9) + 0.0
