"""Programs of scenarios, and what their stages reach."""

from __future__ import annotations

from models.domain.scenario import Scenario
from optimizer.formulation import formulate
from optimizer.highs import Solution
from optimizer.linear_program import LinearProgram
from optimizer.objective import applicable_stages, merge_weight
from optimizer.options import OptimizeOptions, Stage
from optimizer.prepare import prepare


def program_of(
    scenario: Scenario, options: OptimizeOptions, stages: tuple[Stage, ...] | None = None
) -> tuple[LinearProgram, float | None]:
    """The program of a scenario, and the weight that merges its first two stages."""
    problem = prepare(scenario, options)
    applicable = applicable_stages(problem, options.objective if stages is None else stages)
    return formulate(problem, applicable), merge_weight(problem, applicable)


def values(solution: Solution) -> list[float]:
    """What each stage reached, first stage first."""
    return [stage.value for stage in solution.stages]
