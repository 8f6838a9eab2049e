"""From the solver's numbers to a schedule: the only place where they are clipped and rounded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from models.domain.capacity import Phase
from models.domain.schedule import (
    AssetResult,
    GroupResult,
    LineResult,
    Schedule,
    ScheduleStatus,
    SessionResult,
    StageResult,
)
from models.domain.time_grid import FloatArray
from models.units import SECONDS_PER_HOUR
from optimizer.accounts import asset_results, costs_of, least_curtailment, net_kwh
from optimizer.asset_formulation import vehicle_columns
from optimizer.currents import LineLoad, fitting_factor
from optimizer.explain import explain
from optimizer.loads import counted_power_kw, excess_kwh, limit_violations, load_of_limit_kw
from optimizer.options import EXCESS_STAGES, Stage, stage_of_class
from optimizer.pilot_rules import PilotPlan
from optimizer.problem import CapacityProblem

NOTHING_KWH = 1e-9
"""Less than that is not planned."""
ROUNDING_KWH = 1e-6
"""What a solver may leave of an excess."""


def tidy_flows(problem: CapacityProblem, energy_kwh: FloatArray, flow_kwh: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Flows of assets within their bounds, batteries either charging or discharging.

    Args:
        problem: The scenario as arrays.
        energy_kwh: (K,), kWh, within a solver's tolerance of feasible.
        flow_kwh: (X,), the same.

    Returns:
        Both, with the vehicles that charged and discharged at once made ones that do one of both.
    """
    if problem.assets is None:
        return energy_kwh, flow_kwh
    bounded = np.clip(flow_kwh, 0.0, problem.assets.flows.max_kwh)
    bounded[bounded < NOTHING_KWH] = 0.0
    both = net_kwh(problem, np.append(np.clip(energy_kwh, 0.0, problem.max_energy_kwh), bounded))
    return both[: problem.columns], both[problem.columns :]


def tidy(problem: CapacityProblem, energy_kwh: FloatArray, flow_kwh: FloatArray | None = None) -> FloatArray:
    """Energies that hold every bound exactly, from a solver's that hold them within its tolerance.

    Negative and tiny values become zero, values above a bound the bound; a session or limit exceeded by rounding is
    scaled down to fit. Scaling down never breaks another limit of what is drawn, since all coefficients are positive.
    Limits of what is fed in, and vehicles that feed in, are left to the solver's tolerance.

    Args:
        problem: The scenario as arrays.
        energy_kwh: (K,), kWh, within a solver's tolerance of feasible.
        flow_kwh: (X,), flows of assets, which stay as they are; all zero where None.

    Returns:
        (K,), kWh.
    """
    energy_kwh = np.clip(energy_kwh, 0.0, problem.max_energy_kwh)
    energy_kwh[energy_kwh < NOTHING_KWH] = 0.0
    delivered_kwh = problem.delivered_kwh(energy_kwh, flow_kwh)
    factor = _shrink(problem.reachable_energy_kwh, delivered_kwh)
    factor[problem.vehicle_discharge[0]] = 1.0
    energy_kwh *= factor[problem.column_session]
    rows = problem.limit_rows
    load_kwh = rows.load_kwh(problem.with_flows(energy_kwh, flow_kwh))
    factor = _shrink(rows.capacity_kwh, load_kwh) if problem.assets is None else _shrink_sessions(problem, load_kwh)
    if (factor < 1.0).any():
        column_factor = np.ones(problem.flow_step.size)
        np.minimum.at(column_factor, rows.column, np.repeat(factor, np.diff(rows.start)))
        column_factor[vehicle_columns(problem)] = 1.0
        energy_kwh *= column_factor[: problem.columns]
    if not problem.curved_lines:
        return energy_kwh
    factor = fitting_factor(problem, problem.with_flows(energy_kwh, flow_kwh))
    factor[vehicle_columns(problem)] = 1.0
    return energy_kwh * factor


def _shrink_sessions(problem: CapacityProblem, load_kwh: FloatArray) -> FloatArray:
    """Factors for the sessions of each row, (R,), that take off its excess by rounding; one where none have to."""
    rows = problem.limit_rows
    excess = np.maximum(load_kwh - rows.capacity_kwh, 0.0)
    exports = np.array([limit.is_export for limit in problem.limits], dtype=bool)[rows.limit_index]
    excess[exports | (excess > ROUNDING_KWH)] = 0.0
    return np.maximum(1.0 - excess / np.maximum(load_kwh, ROUNDING_KWH), 0.0)


def _shrink(allowed: FloatArray, actual: FloatArray) -> FloatArray:
    """Factors of at most one by which actual has to be multiplied not to exceed allowed."""
    factor = np.ones(actual.size)
    over = actual > allowed
    factor[over] = allowed[over] / actual[over]
    return factor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What made the energies of a schedule, and how well.

    Args:
        energy_kwh: (K,), kWh.
        pilots: The same energies at powers that chargers can be set to; None where any power will do.
        is_rounded: Whether these came out of rounding, so that values of stages are bounds.
        status: How good they are known to be.
        strategy: What made them.
        stages: Values of the stages.
        problem: The problem with all limits that held the energies down; None where these are those it came with.
        shadow_price_per_kwh: (R,) for the problem's limit rows, currency saved per further kWh; None where no solver
            said.
        bound_price_per_kwh: (K,), the same for what a session may draw in a step; None where no solver said, or nobody
            asked.
        notes: What happened on the way.
        flow_kwh: (X,), flows of assets, kWh; None where they are left alone.
    """

    energy_kwh: FloatArray
    status: ScheduleStatus
    strategy: str
    stages: tuple[StageResult, ...] = ()
    problem: CapacityProblem | None = None
    shadow_price_per_kwh: FloatArray | None = None
    pilots: PilotPlan | None = None
    is_rounded: bool = False
    bound_price_per_kwh: FloatArray | None = None
    notes: tuple[str, ...] = ()
    flow_kwh: FloatArray | None = None

    @property
    def final_energy_kwh(self) -> FloatArray:
        """(K,), kWh as planned in the end."""
        return self.energy_kwh if self.pilots is None else self.pilots.energy_kwh


def to_schedule(problem: CapacityProblem, outcome: Outcome) -> Schedule:
    """The schedule that energies per column make.

    Args:
        problem: The scenario as arrays.
        outcome: Energies and what is known of them.

    Returns:
        The schedule, not yet verified.
    """
    energy_kwh = outcome.final_energy_kwh
    problem = outcome.problem or problem
    all_kwh = problem.with_flows(energy_kwh, flows_of(problem, outcome))
    drawn_kwh = energy_kwh.copy()
    drawn_kwh[vehicle_columns(problem)] -= all_kwh[problem.columns :][: problem.vehicle_discharge[0].size]
    planned = np.flatnonzero(drawn_kwh)
    start_s, end_s = problem.column_start_s[planned], problem.column_end_s[planned]
    hours = (end_s - start_s) / SECONDS_PER_HOUR
    held = problem
    if outcome.pilots is not None:
        hours = outcome.pilots.hours[planned]
        end_s = np.minimum(start_s + hours * SECONDS_PER_HOUR, end_s)
        held = problem.held_for(outcome.pilots.hours)
    energy_cost, costs, peak_import_kw = costs_of(problem, all_kwh)
    if problem.assets is None or problem.assets.meters is None:
        site_kw = counted_power_kw(held, energy_kwh * held.limit_weight, np.ones(len(problem.sessions)))
        peak_import_kw = float(site_kw.max(initial=0.0))
    sessions, assets = _sessions(problem, all_kwh), asset_results(problem, all_kwh)
    reached: dict[str, float] = {
        **dict(zip(EXCESS_STAGES, excess_kwh(held, all_kwh), strict=True)),
        **_unmet_by_stage(problem, sessions, assets),
        Stage.ENERGY_COST: energy_cost + costs.wear_cost + costs.demand_cost + costs.carbon_cost,
        Stage.PEAK_POWER: peak_import_kw,
    }
    return Schedule(
        grid=problem.grid,
        sessions=sessions,
        session_index=problem.column_session[planned],
        step_index=problem.column_step[planned],
        start_s=start_s,
        end_s=end_s,
        power_kw=drawn_kwh[planned] / hours,
        groups=_groups(problem, held, all_kwh, outcome.shadow_price_per_kwh),
        lines=_lines(problem, held, all_kwh, outcome),
        price_per_kwh=problem.price_per_kwh,
        energy_cost=energy_cost,
        peak_import_kw=peak_import_kw,
        status=outcome.status,
        strategy=outcome.strategy,
        stages=_with_values(outcome.stages, reached) if outcome.is_rounded else outcome.stages,
        notes=(*problem.notes, *outcome.notes),
        assets=assets,
        costs=costs,
        violations=tuple(limit_violations(held, all_kwh)),
    )


def _unmet_by_stage(
    problem: CapacityProblem, sessions: Iterable[SessionResult], assets: Iterable[AssetResult]
) -> dict[str, float]:
    """Weighted unmet energy by the stage that counts it: that of all, and that of each priority class.

    What storages lack counts with the first class.
    """
    short_kwh = sum(asset.short_kwh for asset in assets)
    first = stage_of_class(min(problem.priority_class.tolist(), default=0))
    unmet: dict[str, float] = defaultdict(float, {Stage.UNMET_ENERGY: short_kwh, first: short_kwh})
    for result in sessions:
        weighted_kwh = result.session.priority * result.unmet_energy_kwh
        unmet[Stage.UNMET_ENERGY] += weighted_kwh
        unmet[stage_of_class(result.session.priority_class)] += weighted_kwh
    return unmet


def _with_values(stages: tuple[StageResult, ...], reached: Mapping[str, float]) -> tuple[StageResult, ...]:
    """What stages come to after rounding; what was proved before is what no plan of real powers can go below.

    Excess over limits comes first, and rounding adds something to it only where cars were to take up a surplus.
    """
    return tuple(
        stage
        if stage.name in EXCESS_STAGES and reached[stage.name] <= stage.value + ROUNDING_KWH
        else StageResult(
            name=stage.name,
            value=reached.get(stage.name, np.nan),
            proved=False,
            bound=stage.value if stage.proved else stage.bound,
        )
        for stage in stages
    )


def flows_of(problem: CapacityProblem, outcome: Outcome) -> FloatArray:
    """Flows of assets, (X,), kWh: those of an outcome, or assets left alone."""
    return least_curtailment(problem) if outcome.flow_kwh is None else outcome.flow_kwh


def _sessions(problem: CapacityProblem, all_kwh: FloatArray) -> tuple[SessionResult, ...]:
    delivered = problem.delivered_kwh(all_kwh[: problem.columns], all_kwh[problem.columns :])
    unmet = np.maximum(problem.reachable_energy_kwh - delivered, 0.0)
    unmet[unmet < NOTHING_KWH] = 0.0
    requested = np.array([session.energy_kwh for session in problem.sessions], dtype=np.float64)
    unreachable = requested - problem.reachable_energy_kwh
    unreachable[unreachable < NOTHING_KWH] = 0.0
    reasons = explain(problem, all_kwh, unmet, unreachable)
    return tuple(
        SessionResult(
            session=session,
            delivered_energy_kwh=given,
            unmet_energy_kwh=short,
            unreachable_energy_kwh=beyond,
            reason=why.text,
            reason_codes=tuple(why.codes),
        )
        for session, given, short, beyond, why in zip(
            problem.sessions, delivered.tolist(), unmet.tolist(), unreachable.tolist(), reasons, strict=True
        )
    )


def _groups(
    problem: CapacityProblem, held: CapacityProblem, all_kwh: FloatArray, shadow_price_per_kwh: FloatArray | None
) -> tuple[GroupResult, ...]:
    """What each group carries, as `held` counts it, and what its limits are worth in the problem that was solved."""
    shadow = _shadow_prices(problem, shadow_price_per_kwh, export=False)
    can_feed_in = problem.assets is not None and problem.assets.meters is not None
    export_shadow = _shadow_prices(problem, shadow_price_per_kwh, export=True) if can_feed_in else {}
    unlimited = np.full(problem.grid.steps, np.inf)
    export_kw = {
        limit.owner: limit.limit_kw for limit in problem.limits if limit.is_export and limit.phase is Phase.ALL
    }
    return tuple(
        GroupResult(
            group_id=limit.owner,
            power_kw=load_of_limit_kw(held, all_kwh, limit),
            limit_kw=limit.limit_kw,
            shadow_price_per_kwh=shadow[limit.owner],
            export_limit_kw=export_kw.get(limit.owner, unlimited) if can_feed_in else None,
            export_shadow_price_per_kwh=export_shadow.get(limit.owner),
        )
        for limit in problem.limits
        if limit.is_group and limit.phase is Phase.ALL and not limit.is_export
    )


def _lines(
    problem: CapacityProblem, held: CapacityProblem, all_kwh: FloatArray, outcome: Outcome
) -> tuple[LineResult, ...]:
    if not problem.lines:
        return ()
    shadow = _line_shadow_prices(problem, outcome)
    return tuple(
        LineResult(
            line_id=line.line_id,
            group_id=line.group_id,
            current_a=_largest_current_kw(held, index, all_kwh) * problem.amperes_per_kw,
            limit_a=line.limit_kw * problem.amperes_per_kw,
            shadow_price_per_kwh=shadow[index],
        )
        for index, line in enumerate(problem.lines)
    )


def _largest_current_kw(problem: CapacityProblem, index: int, all_kwh: FloatArray) -> FloatArray:
    """The most that can flow on a line, drawn or fed in: (T,), kW at the nominal voltage."""
    largest_kw = LineLoad.of(problem, index).largest_kw(all_kwh)
    feeding = (limit for limit in problem.limits if limit.line == index and limit.is_export)
    for limit in feeding:
        largest_kw = np.maximum(largest_kw, load_of_limit_kw(problem, all_kwh, limit))
    return largest_kw


def _line_shadow_prices(problem: CapacityProblem, outcome: Outcome) -> FloatArray:
    """What a further kWh of each line's limit is worth, all sides of its polygon together: (lines, T)."""
    prices = np.zeros((len(problem.lines), problem.grid.steps))
    if outcome.shadow_price_per_kwh is None:
        return np.full_like(prices, np.nan)
    slack = np.cos(np.pi / problem.line_sides)
    rows = problem.limit_rows
    for index, limit in enumerate(problem.limits):
        if limit.line is not None:
            mine = rows.limit_index == index
            per_kwh = slack if limit.line in problem.curved_lines else 1.0
            np.add.at(prices[limit.line], rows.step_index[mine], per_kwh * outcome.shadow_price_per_kwh[mine])
    return prices


def _shadow_prices(
    problem: CapacityProblem, shadow_price_per_kwh: FloatArray | None, *, export: bool
) -> dict[str, FloatArray]:
    """For each group (T,), what a further kWh of its limits is worth, those per phase added to the one for all."""
    unknown = shadow_price_per_kwh is None
    prices = {
        limit.owner: np.full(problem.grid.steps, np.nan if unknown else 0.0)
        for limit in problem.limits
        if limit.is_group
    }
    if shadow_price_per_kwh is not None:
        rows = problem.limit_rows
        for index, limit in enumerate(problem.limits):
            if limit.is_group and limit.is_export is export:
                mine = rows.limit_index == index
                np.add.at(prices[limit.owner], rows.step_index[mine], shadow_price_per_kwh[mine])
    return prices
