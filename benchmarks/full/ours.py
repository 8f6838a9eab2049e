"""Our own plans, answered as peers answer."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.full.shared import STAGES
from benchmarks.full.workers import Answer
from benchmarks.peers.program import SharedProgram
from models.domain import Scenario
from optimizer import optimize
from optimizer.formulation import formulate
from optimizer.network import Network
from optimizer.objective import applicable_stages, is_scarce, merge_weight
from optimizer.options import Backend, OptimizeOptions, SolverOptions
from optimizer.prepare import prepare
from optimizer.solver import solve
from optimizer.stages import Hints

Run = Callable[[], Answer]


def whole_plan(scenario: Scenario, options: OptimizeOptions, backend: Backend, unmet_cost: float = 0.0) -> Run:
    """From the scenario to the verified schedule, stages of unmet energy and cost.

    Args:
        scenario: What is known.
        options: Window and raster.
        backend: What carries the program to HiGHS.
        unmet_cost: What a kWh unmet counts in the objective that is told, currency.
    """
    chosen = replace(options, objective=STAGES, solver=SolverOptions(backend=backend))

    def run() -> Answer:
        gc.collect()
        started = time.perf_counter()
        schedule = optimize(scenario, chosen)
        seconds = time.perf_counter() - started
        return {
            "seconds": seconds,
            "objective": unmet_cost * schedule.unmet_energy_kwh + schedule.energy_cost,
            "unmet_kwh": schedule.unmet_energy_kwh,
        }

    return run


def solved_program(scenario: Scenario, options: OptimizeOptions, shared: SharedProgram) -> Run:
    """The engine's own way with the program: its choice of method, its scaling, stages merged where that is exact."""
    problem = prepare(scenario, options)
    stages = applicable_stages(problem, STAGES)
    weight = merge_weight(problem, stages)

    def run() -> Answer:
        gc.collect()
        started = time.perf_counter()
        program = formulate(problem, stages)
        hints = Hints(
            merge_weight=weight,
            is_scarce=weight is not None and is_scarce(problem),
            network=Network.of(program, problem),
        )
        solution = solve(program, SolverOptions(backend=Backend.ARRAYS), hints=hints)
        seconds = time.perf_counter() - started
        value = np.asarray(solution.column_value)
        return {"seconds": seconds, "objective": shared.objective(value), "violation": shared.violation(value)}

    return run
