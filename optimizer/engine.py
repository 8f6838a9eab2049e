"""One scenario in, one verified schedule out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from models.errors import SolverConfigError, SolverError, VerificationError
from optimizer.arrays import dot
from optimizer.currents import with_all_sides
from optimizer.extract import Outcome, tidy, to_schedule
from optimizer.heuristics import allocate
from optimizer.options import OptimizeOptions, Strategy
from optimizer.pilots import settable
from optimizer.prepare import prepare
from optimizer.problem import CapacityProblem
from optimizer.runtime import Stopwatch, paused_garbage_collection
from optimizer.verify import verify
from optimizer.why import why

if TYPE_CHECKING:
    from optimizer.again import Memory

logger = logging.getLogger(__name__)

FALLBACK_STRATEGIES = (Strategy.LEAST_LAXITY, Strategy.EARLIEST_DEADLINE)

Candidates = Callable[[CapacityProblem, OptimizeOptions, Stopwatch], Iterator[Outcome]]
"""Plans to try, the best first."""


def optimize(scenario: Scenario, options: OptimizeOptions | None = None, *, memory: Memory | None = None) -> Schedule:
    """Plan one scenario.

    Args:
        scenario: What is known.
        options: Window, raster, objective, strategy, solver; the defaults where None.
        memory: Where the same site is planned again and again, what HiGHS is to start from: give the same one each
            time. Every stage reaches the same value without; where several plans reach it, another may be chosen.

    Returns:
        A schedule that passed `optimizer.verify.verify`. Its status says whether it is proved optimal, was stopped at
        the time limit, or is a fallback because the solver gave nothing usable.

    Raises:
        InputError: The scenario cannot be planned.
        SolverConfigError: The solver is not there, or refuses an option.
        VerificationError: Not even the fallback holds every limit.
    """
    return _planned(scenario, options or OptimizeOptions(), partial(_candidates, memory=memory))


def plan_without_solver(scenario: Scenario, options: OptimizeOptions, *, reason: str) -> Schedule:
    """What stands in for the optimum where whoever was to solve for it did not answer.

    Args:
        scenario: What is known.
        options: Window and raster.
        reason: Why there is no optimum; the schedule's notes give it.

    Returns:
        The previous plan as far as it still holds or that of a heuristic, whichever leaves less energy undelivered.
        It passed `optimizer.verify.verify`.

    Raises:
        InputError: The scenario cannot be planned.
        VerificationError: No fallback holds every limit.
    """

    def candidates(problem: CapacityProblem, _: OptimizeOptions, watch: Stopwatch) -> Iterator[Outcome]:
        return _fallbacks(problem, watch, reason)

    return _planned(scenario, options, candidates)


def _planned(scenario: Scenario, options: OptimizeOptions, candidates: Candidates) -> Schedule:
    watch = Stopwatch()
    with paused_garbage_collection():
        with watch.phase("prepare"):
            problem = prepare(scenario, options)
        outcomes = candidates(problem, options, watch)
        schedule, outcome = _first_that_holds(scenario, problem, options, outcomes, watch)
        if options.why:
            with watch.phase("why"):
                schedule = replace(schedule, why=why(scenario, options, outcome.problem or problem, outcome))
    schedule = replace(schedule, seconds=watch.seconds)
    logger.info(
        "site=%s sessions=%d steps=%d columns=%d strategy=%s status=%s seconds=%.3f unmet_kwh=%.3f",
        scenario.site.site_id,
        len(problem.sessions),
        problem.grid.steps,
        problem.columns,
        schedule.strategy,
        schedule.status,
        schedule.seconds["total"],
        schedule.unmet_energy_kwh,
    )
    return schedule


def _first_that_holds(
    scenario: Scenario,
    problem: CapacityProblem,
    options: OptimizeOptions,
    outcomes: Iterable[Outcome],
    watch: Stopwatch,
) -> tuple[Schedule, Outcome]:
    refused: VerificationError | None = None
    for outcome in outcomes:
        with watch.phase("extract"):
            schedule = to_schedule(problem, settable(problem, outcome))
        try:
            with watch.phase("verify"):
                verify(
                    scenario,
                    schedule,
                    limit_mode=options.limit_mode,
                    current_mode=options.current_mode,
                    group_limits=options.strategy is not Strategy.UNCONTROLLED,
                    stepless=options.is_stepless,
                )
        except VerificationError as error:
            logger.exception("site=%s strategy=%s: refused", scenario.site.site_id, outcome.strategy)
            refused = error
        else:
            return schedule, outcome
    raise refused or VerificationError(("no strategy gave a schedule",))


def _candidates(
    problem: CapacityProblem, options: OptimizeOptions, watch: Stopwatch, *, memory: Memory | None
) -> Iterator[Outcome]:
    """What was asked for and, where that is the optimum and fails, what may stand in for it."""
    if options.strategy is not Strategy.OPTIMAL:
        with watch.phase("solve"):
            if options.strategy is Strategy.UNCONTROLLED:
                energy_kwh = allocate(problem, options.strategy)
            else:
                problem = with_all_sides(problem)
                energy_kwh = tidy(problem, allocate(problem, options.strategy))
        yield Outcome(
            energy_kwh=energy_kwh, status=ScheduleStatus.HEURISTIC, strategy=options.strategy, problem=problem
        )
        return
    # Importing Pyomo takes half a second, which heuristics, checks and the command line's help do without.
    from optimizer.optimum import optimum  # noqa: PLC0415

    failure = "the optimal schedule did not pass verification"
    try:
        yield optimum(problem, options, watch, memory)
    except SolverConfigError:
        raise
    except SolverError as error:
        failure = str(error)
    yield from _fallbacks(problem, watch, failure)


def _fallbacks(problem: CapacityProblem, watch: Stopwatch, failure: str) -> Iterator[Outcome]:
    """What may stand in for the optimum, the one that leaves least undelivered first."""
    logger.warning("falling back: %s", failure)
    with watch.phase("fallback"):
        outcomes = sorted(_stand_ins(problem), key=lambda outcome: _weighted_unmet(problem, outcome))
    for outcome in outcomes:
        yield replace(outcome, notes=(f"fallback to {outcome.strategy}: {failure}",))


def _stand_ins(problem: CapacityProblem) -> Iterator[Outcome]:
    if problem.previous_energy_kwh is not None:
        yield Outcome(
            energy_kwh=tidy(problem, problem.previous_energy_kwh),
            status=ScheduleStatus.FALLBACK,
            strategy="previous-plan",
        )
    problem = with_all_sides(problem)
    for strategy in FALLBACK_STRATEGIES:
        energy_kwh = tidy(problem, allocate(problem, strategy))
        yield Outcome(energy_kwh=energy_kwh, status=ScheduleStatus.FALLBACK, strategy=strategy, problem=problem)


def _weighted_unmet(problem: CapacityProblem, outcome: Outcome) -> float:
    unmet_kwh = problem.reachable_energy_kwh - problem.delivered_kwh(outcome.energy_kwh)
    return dot(problem.priority, unmet_kwh)
