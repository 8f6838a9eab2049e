"""Which stages a problem has, and when one solve may stand for two of them."""

from __future__ import annotations

import numpy as np

from models.domain.capacity import Phase
from optimizer.options import Stage
from optimizer.problem import CapacityProblem

SAFETY = 2.0
"""The weight is this many times the least that is proved exact."""

LARGEST_WEIGHT = 1e4
"""Above this many times the prices a weight would hide them behind the solver's tolerances."""


def applicable_stages(problem: CapacityProblem, objective: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """The stages that say anything: no cost without prices, no previous plan without one, nothing without columns.

    Where surprises are to be prepared for, what they leave unmet comes first unless the objective says where.
    """
    if problem.columns == 0:
        return (Stage.UNMET_ENERGY,)
    absent = set()
    if problem.price_per_kwh is None:
        absent |= {Stage.ENERGY_COST, Stage.STEADY_COST}
    if not problem.recourses:
        absent.add(Stage.EXPECTED_UNMET)
    elif Stage.EXPECTED_UNMET not in objective:
        objective = (Stage.EXPECTED_UNMET, *objective)
    if problem.previous_energy_kwh is None:
        absent |= {Stage.PREVIOUS_PLAN, Stage.STEADY_COST}
    if problem.moving_price_per_kwh == 0:
        absent.add(Stage.STEADY_COST)
    return tuple(stage for stage in objective if stage not in absent)


def merge_weight(problem: CapacityProblem, stages: tuple[Stage, ...]) -> float | None:
    """Weight W with which minimising ``W * unmet + cost`` minimises unmet energy first and cost second.

    Where every limit counts energy as it is and limits are nested, the program is a flow from sessions through steps
    and groups. Improving a flow means pushing one kWh round a cycle; energy moved between sessions within a step costs
    nothing, so that the cost of a cycle is at most the price of one step, less that of another. Hence W suffices if

        W * min_s priority[s]                   >  max_t |price[t]|
        W * min |priority[s] - priority[s']|    >  max_t price[t] - min_t price[t]     over differing priorities

    Args:
        problem: The scenario as arrays.
        stages: The stages that apply.

    Returns:
        The weight, currency per weighted kWh; None where the proof does not hold or the weight would be too large, and
        each stage has to be solved on its own.
    """
    if stages[:2] != (Stage.UNMET_ENERGY, Stage.ENERGY_COST) or problem.price_per_kwh is None:
        return None
    plain = bool((problem.limit_rows.coefficient == 1.0).all())
    nested = all(limit.phase is Phase.ALL and limit.line is None for limit in problem.limits)
    if not (plain and nested) or problem.curved_lines:
        return None
    price = problem.price_per_kwh
    highest = float(np.abs(price).max())
    if highest == 0.0:
        return 1.0
    levels = np.unique(problem.priority)
    needed = highest / float(levels[0])
    if levels.size > 1:
        needed = max(needed, float(np.ptp(price)) / float(np.diff(levels).min()))
    weight = SAFETY * needed
    return weight if weight * float(levels[-1]) <= LARGEST_WEIGHT * highest else None
