"""Which stages a problem has, and when one solve may stand for two of them."""

from __future__ import annotations

import numpy as np

from models.domain.capacity import Phase
from models.domain.time_grid import FloatArray
from optimizer.asset_formulation import one_way_pairs
from optimizer.options import Stage
from optimizer.problem import CapacityProblem

SAFETY = 2.0
"""The weight is this many times the least that is proved exact."""

SCARCE = 0.1
"""Share of the energy that cannot be met from which a day is scarce."""

LARGEST_WEIGHT = 1e4
"""Above this many times the prices a weight would hide them behind the solver's tolerances."""


def applicable_stages(problem: CapacityProblem, objective: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """The stages that say anything: no cost without prices, no previous plan without one, nothing without columns.

    Where surprises or departures are to be prepared for, what they leave unmet comes first unless the objective says
    where.
    """
    if problem.columns == 0 and (problem.assets is None or problem.assets.flows.count == 0):
        return (Stage.UNMET_ENERGY,)
    absent = set()
    if not has_cost(problem):
        absent |= {Stage.ENERGY_COST, Stage.STEADY_COST}
    for stage, applies in (
        (Stage.EXPECTED_UNMET, bool(problem.recourses)),
        (Stage.LIKELY_UNMET, problem.presence is not None),
    ):
        if not applies:
            absent.add(stage)
        elif stage not in objective:
            objective = (stage, *objective)
    if problem.previous_energy_kwh is None:
        absent |= {Stage.PREVIOUS_PLAN, Stage.STEADY_COST}
    if problem.moving_price_per_kwh == 0:
        absent.add(Stage.STEADY_COST)
    return tuple(stage for stage in objective if stage not in absent)


def has_cost(problem: CapacityProblem) -> bool:
    """Whether anything is paid for: energy, carbon, peaks or wear."""
    worn = problem.assets is not None and bool(problem.assets.flows.wear_price_per_kwh.any())
    return problem.import_cost_per_kwh is not None or bool(problem.demand_charges) or worn


def merge_weight(problem: CapacityProblem, stages: tuple[Stage, ...]) -> float | None:
    """Weight W with which minimising ``W * unmet + cost`` minimises unmet energy first and cost second.

    Where every limit counts energy as it is and limits are nested, the program is a flow from sessions through steps
    and groups. Improving a flow means pushing one kWh round a cycle; energy moved between sessions within a step costs
    nothing, so that the cost of a cycle is at most the price of one step, less that of another. Hence W suffices if

        W * min_s priority[s]                   >  max_t |price[t]|
        W * min |priority[s] - priority[s']|    >  max_t price[t] - min_t price[t]     over differing priorities

    Generation and base load are flows from or to the grid like others, at the price of what is drawn, of what is fed
    in, or at none where generation is curtailed: the prices of a step are all of these. The proof does not hold where
    batteries carry energy from step to step with losses, where a peak is paid for, or where whole numbers decide.

    Args:
        problem: The scenario as arrays.
        stages: The stages that apply.

    Returns:
        The weight, currency per weighted kWh; None where the proof does not hold or the weight would be too large, and
        each stage has to be solved on its own.
    """
    if stages[:2] != (Stage.UNMET_ENERGY, Stage.ENERGY_COST) or problem.import_cost_per_kwh is None:
        return None
    if problem.demand_charges or not problem.sessions or not _is_flow(problem):
        return None
    plain = bool((np.abs(problem.limit_rows.coefficient) == 1.0).all())
    nested = all(limit.phase is Phase.ALL and limit.line is None for limit in problem.limits)
    if not (plain and nested) or problem.curved_lines:
        return None
    price = _prices(problem, problem.import_cost_per_kwh)
    highest = float(np.abs(price).max())
    if highest == 0.0:
        return 1.0
    levels = np.unique(problem.priority)
    needed = highest / float(levels[0])
    if levels.size > 1:
        needed = max(needed, float(np.ptp(price)) / float(np.diff(levels).min()))
    weight = SAFETY * needed
    return weight if weight * float(levels[-1]) <= LARGEST_WEIGHT * highest else None


def is_scarce(problem: CapacityProblem) -> bool:
    """Whether a tenth of the energy or more stays unmet whatever is planned, as far as one limit alone shows.

    unmet  >=  sum_(s below g) reachable_energy_kwh[s]  -  sum_t min(limit_kwh[g, t], sum_(s below g) most_kwh[s, t])
    """
    rows = problem.limit_rows
    if problem.assets is not None or not rows.limit_index.size:
        return False
    over_kwh = np.maximum(0.0, rows.load_kwh(problem.max_energy_kwh) - rows.capacity_kwh)
    over_kwh = np.bincount(rows.limit_index, weights=over_kwh, minlength=len(problem.limits))
    most_kwh = problem.delivered_kwh(problem.max_energy_kwh)
    unmet_kwh = max(
        over + float((problem.reachable_energy_kwh - most_kwh)[limit.share > 0].sum())
        for limit, over in zip(problem.limits, over_kwh.tolist(), strict=True)
    )
    return bool(unmet_kwh >= SCARCE * problem.reachable_energy_kwh.sum())


def _is_flow(problem: CapacityProblem) -> bool:
    """Whether assets leave the program a flow: none stores anything, and none needs a switch."""
    if problem.assets is None:
        return True
    return problem.assets.stores.count == 0 and one_way_pairs(problem).size == 0


def _prices(problem: CapacityProblem, import_cost_per_kwh: FloatArray) -> FloatArray:
    """Every price at which a kWh may be drawn, fed in or left out."""
    if problem.assets is None:
        return import_cost_per_kwh
    earned = np.zeros(1) if problem.export_price_per_kwh is None else problem.export_price_per_kwh
    return np.concatenate((import_cost_per_kwh, earned, np.zeros(1)))
