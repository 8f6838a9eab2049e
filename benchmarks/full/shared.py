"""From a scenario to what peers are given: the program of a plan, or the day itself."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.program import SharedDay, SharedProgram
from models.domain import Phase, Scenario
from optimizer.formulation import formulate
from optimizer.objective import applicable_stages, merge_weight
from optimizer.options import OptimizeOptions, Stage
from optimizer.prepare import prepare

STAGES = (Stage.UNMET_ENERGY, Stage.ENERGY_COST)
COLUMNS, ROWS = ("energy_kwh", "unmet_kwh"), {"energy_balance", "capacity_limit"}
PENALTY = 10.0
"""Times the highest price; for programs whose stages cannot be merged exactly."""


def shared_program(scenario: Scenario, options: OptimizeOptions) -> SharedProgram:
    """The program of the first two stages in one objective.

    Raises:
        ValueError: It has more than energies and limits: assets, peaks or whole numbers.
    """
    problem = prepare(scenario, options)
    stages = applicable_stages(problem, STAGES)
    program = formulate(problem, stages)
    if tuple(program.columns) != ("energy_kwh", "unmet_kwh") or set(program.rows) - {
        "energy_balance",
        "capacity_limit",
    }:
        raise ValueError(
            f"the program has {', '.join((*program.columns, *program.rows))}: peers take sessions and limits"
        )
    unmet, energy = program.stages
    weight = merge_weight(problem, stages) or PENALTY * float(np.abs(energy.cost).max())
    return SharedProgram(
        cost=weight * unmet.cost + energy.cost,
        column_upper=program.column_upper,
        row_lower=program.row_lower,
        row_upper=program.row_upper,
        row_start=program.row_start,
        row_column=program.row_column,
        row_value=program.row_value,
        sessions=np.array([len(problem.sessions)]),
    )


def shared_day(scenario: Scenario, options: OptimizeOptions) -> SharedDay:
    """The day, where steps are equal and one group holds everything down.

    Raises:
        ValueError: They are not.
    """
    problem = prepare(scenario, options)
    limited = [limit for limit in problem.limits if np.isfinite(limit.limit_kw).any()]
    if len(limited) != 1 or limited[0].phase is not Phase.ALL or np.ptp(problem.step_hours) > 0:
        raise ValueError("the day has several limits or uneven steps")
    if problem.price_per_kwh is None:
        raise ValueError("the day has no prices")
    max_kw = np.zeros((len(problem.sessions), problem.grid.steps))
    max_kw[problem.column_session, problem.column_step] = (
        problem.max_energy_kwh / problem.step_hours[problem.column_step]
    )
    return SharedDay(
        max_kw=max_kw,
        energy_kwh=problem.reachable_energy_kwh,
        price_per_kwh=problem.price_per_kwh,
        limit_kw=limited[0].limit_kw,
        step_hours=problem.step_hours[:1],
    )
