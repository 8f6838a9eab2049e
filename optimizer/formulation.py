"""The linear program: variables only where a session is present, one function per constraint family.

A family gives its rows as arrays. `optimizer.pyomo_model` writes the Pyomo model from them, name by name, and
`optimizer.solver` can take them as they are; either way it is the same program. `FORMULATION.md` beside this file has
the symbols, the units and the reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from models.domain.time_grid import FloatArray
from models.units import SECONDS_PER_HOUR
from optimizer.asset_formulation import (
    SHORT_OF_STORAGES,
    add_asset_families,
    asset_cost,
    balance_terms,
    declare_assets,
    flow_columns,
    idle_cost,
    net_import,
    short_of_storages,
    vehicle_columns,
)
from optimizer.assets import VEHICLE_DISCHARGE
from optimizer.linear_program import LinearProgram, ProgramBuilder, Rows, Terms
from optimizer.options import SERVICE_STAGES, Stage, stage_of_class
from optimizer.pilot_program import add_pilots, declare_pilots
from optimizer.problem import CapacityProblem
from optimizer.recourse import declare_recourse, expected_unmet, recourse_balance, recourse_limit

COST_STAGES = {Stage.ENERGY_COST, Stage.STEADY_COST}
"""Stages in which what is paid for counts."""
MOVING_STAGES = {Stage.PREVIOUS_PLAN, Stage.STEADY_COST}
"""Stages that count what is moved against the previous plan."""


def formulate(
    problem: CapacityProblem, stages: tuple[Stage, ...], *, unmet_upper_kwh: FloatArray | None = None
) -> LinearProgram:
    """Build the whole program: variables, constraint families and one objective for each stage.

    Args:
        problem: The scenario as arrays.
        stages: Those that apply (`optimizer.objective.applicable_stages`), most important first.
        unmet_upper_kwh: (S,), the most that may stay unmet of each session, kWh, where that was decided before; None to
            minimise it, one priority class after the other.

    Returns:
        A program with the variables ``energy_kwh`` (K,) and ``unmet_kwh`` (S,), the rows ``energy_balance`` (S,) and
        ``capacity_limit`` (R,), and what the stages need besides; a family nobody uses is absent.
    """
    builder = ProgramBuilder()
    builder.variable("energy_kwh", lower=problem.least_energy_kwh, upper=problem.max_energy_kwh)
    reachable_kwh = problem.reachable_energy_kwh
    builder.variable("unmet_kwh", upper=reachable_kwh if unmet_upper_kwh is None else unmet_upper_kwh)
    if Stage.PEAK_POWER in stages:
        builder.variable("peak_kw", upper=np.full(1, np.inf))
    if problem.previous_energy_kwh is not None and MOVING_STAGES & set(stages):
        raised_kwh = problem.max_energy_kwh.copy()
        raised_kwh[vehicle_columns(problem)] = np.inf
        builder.variable("raised_kwh", upper=raised_kwh)
        builder.variable("lowered_kwh", upper=np.full(problem.columns, np.inf))
    rules = problem.pilot_rules if problem.pilot_rules is not None and problem.pilot_rules.is_exact else None
    if rules is not None:
        declare_pilots(builder, problem, rules)
    if Stage.EXPECTED_UNMET in stages:
        declare_recourse(builder, problem.recourses, problem.reachable_energy_kwh)
    declare_assets(builder, problem, priced=bool(COST_STAGES & set(stages)))
    builder.family("energy_balance", energy_balance(builder, problem))
    builder.family("capacity_limit", capacity_limit(builder, problem))
    if Stage.PEAK_POWER in stages:
        builder.family("peak_limit", peak_limit(builder, problem))
    if problem.previous_energy_kwh is not None and MOVING_STAGES & set(stages):
        builder.family("energy_moved", energy_moved(builder, problem))
    if rules is not None:
        add_pilots(builder, problem, rules)
    if Stage.EXPECTED_UNMET in stages:
        need_kwh = problem.reachable_energy_kwh
        builder.family("recourse_balance", recourse_balance(builder, problem.recourses, need_kwh))
        builder.family("recourse_limit", recourse_limit(builder, problem.recourses))
    add_asset_families(builder, problem, priced=bool(COST_STAGES & set(stages)))
    for name, cost in _costs(problem, stages, by_class=unmet_upper_kwh is None and has_classes(problem)):
        builder.stage(name, cost)
    return builder.program()


def _costs(
    problem: CapacityProblem, stages: tuple[Stage, ...], *, by_class: bool
) -> Iterator[tuple[str, Mapping[str, FloatArray]]]:
    """Name and cost of each stage; what counts unmet energy class by class where there are several."""
    for stage in stages:
        if stage in SERVICE_STAGES and by_class:
            for rank in np.unique(problem.priority_class).tolist():
                mine = np.where(problem.priority_class == rank, problem.priority, 0.0)
                # A storage that is to be filled counts like a session of the first class.
                storages = rank == problem.priority_class.min()
                cost = OBJECTIVES[stage](replace(problem, priority=mine))
                yield stage_of_class(rank, stage), cost if storages else _without_storages(cost)
        else:
            yield stage.value, OBJECTIVES[stage](problem)


def energy_balance(builder: ProgramBuilder, problem: CapacityProblem) -> Rows:
    """Serve each session's need, or name what is left.

        sum_t energy_kwh[s, t] + unmet_kwh[s]  =  reachable_energy_kwh[s]          for every session s

    What a vehicle feeds in has to be drawn besides, with its losses.

    Returns:
        Rows indexed by s, kWh.
    """
    sessions = np.arange(len(problem.sessions))
    need = problem.reachable_energy_kwh
    energy = Terms(
        row=problem.column_session, column=builder.columns("energy_kwh"), coefficient=np.ones(problem.columns)
    )
    unmet = Terms(row=sessions, column=builder.columns("unmet_kwh"), coefficient=np.ones(sessions.size))
    return Rows.of_terms((energy, unmet, *balance_terms(builder, problem)), lower=need, upper=need)


def capacity_limit(builder: ProgramBuilder, problem: CapacityProblem) -> Rows:
    """Hold every limit on every level of the tree.

        sum_(s below g) weight[s, t] * energy_kwh[s, t]  <=  limit_kw[g, t] * step_hours[t]

    for every limit g and step t in which it is finite and somebody is present. Flows of assets count likewise, with a
    negative weight where they make room; fixed powers are on the right side.

    Returns:
        Rows indexed like `CapacityProblem.limit_rows`, kWh; a dual is in objective units per kWh.
    """
    rows = problem.limit_rows
    return Rows(
        start=rows.start,
        column=flow_columns(builder, problem)[rows.column],
        coefficient=rows.coefficient,
        lower=np.full(rows.capacity_kwh.size, -np.inf),
        upper=rows.capacity_kwh,
    )


def peak_limit(builder: ProgramBuilder, problem: CapacityProblem) -> Rows:
    """Hold the whole site under its own peak.

        sum_s weight[s, t] * energy_kwh[s, t]  -  step_hours[t] * peak_kw  <=  0      for every step t with a session

    Where meters count more than sessions it is the mean import less export, in every step.

    Returns:
        Rows indexed by the steps with a session, or all steps, in order, kWh.
    """
    if problem.assets is not None and problem.assets.meters is not None:
        return metered_peak(builder, problem)
    steps, row = np.unique(problem.column_step, return_inverse=True)
    energy = Terms(row=row, column=builder.columns("energy_kwh"), coefficient=problem.limit_weight)
    peak = Terms(
        row=np.arange(steps.size),
        column=np.repeat(builder.columns("peak_kw"), steps.size),
        coefficient=-problem.step_hours[steps],
    )
    return Rows.of_terms((energy, peak), lower=np.full(steps.size, -np.inf), upper=np.zeros(steps.size))


def metered_peak(builder: ProgramBuilder, problem: CapacityProblem) -> Rows:
    """Hold the whole site's import less export under its own peak.

        import[t] - export[t]  -  step_hours[t] * peak_kw  <=  0      for every step t

    Returns:
        Rows indexed by t, kWh.
    """
    steps = np.arange(problem.grid.steps)
    peak = Terms(row=steps, column=np.repeat(builder.columns("peak_kw"), steps.size), coefficient=-problem.step_hours)
    terms = [*net_import(builder, problem, steps), peak]
    return Rows.of_terms(terms, lower=np.full(steps.size, -np.inf), upper=np.zeros(steps.size))


def energy_moved(builder: ProgramBuilder, problem: CapacityProblem) -> Rows:
    """Say by how much each column is above or below the plan in force.

        energy_kwh[k] - raised_kwh[k] + lowered_kwh[k]  =  previous_energy_kwh[k]     for every column k

    Of a vehicle that feeds in, its energy is what it draws less what it feeds in.

    Returns:
        Rows indexed by k, kWh.
    """
    if problem.previous_energy_kwh is None:
        raise ValueError("a problem without a previous plan cannot stay close to it")
    row = np.arange(problem.columns)
    terms = [
        Terms(row=row, column=builder.columns(name), coefficient=np.full(row.size, sign))
        for name, sign in (("energy_kwh", 1.0), ("raised_kwh", -1.0), ("lowered_kwh", 1.0))
    ]
    vehicles = vehicle_columns(problem)
    if vehicles.size:
        fed_in = builder.columns(VEHICLE_DISCHARGE)
        terms.append(Terms(row=vehicles, column=fed_in, coefficient=np.full(vehicles.size, -1.0)))
    return Rows.of_terms(terms, lower=problem.previous_energy_kwh, upper=problem.previous_energy_kwh)


def _unmet_energy(problem: CapacityProblem) -> Mapping[str, FloatArray]:
    """sum_s priority[s] * unmet_kwh[s], and what storages lack at the end, kWh."""
    return {"unmet_kwh": problem.priority, **short_of_storages(problem)}


def _expected_unmet(problem: CapacityProblem) -> Mapping[str, FloatArray]:
    """Unmet energy of what is believed and of every surprise, by probability and priority, kWh."""
    return expected_unmet(problem.recourses, problem.priority)


def _likely_unmet(problem: CapacityProblem) -> Mapping[str, FloatArray]:
    """What is unmet, and what is planned for when the vehicle may have left, kWh.

    sum_s priority[s] * unmet_kwh[s] + sum_(s, t) priority[s] * (1 - presence[s, t]) * energy_kwh[s, t]
    """
    if problem.presence is None:
        raise ValueError("a problem without departure errors has nothing that may be lost")
    lost = problem.priority[problem.column_session] * (1.0 - problem.presence)
    return {"unmet_kwh": problem.priority, "energy_kwh": lost}


def _without_storages(cost: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
    return {name: values for name, values in cost.items() if name != SHORT_OF_STORAGES}


def has_classes(problem: CapacityProblem) -> bool:
    """Whether sessions of more than one priority class take part."""
    return np.unique(problem.priority_class).size > 1


def _peak_power(_: CapacityProblem) -> Mapping[str, FloatArray]:
    """peak_kw, kW."""
    return {"peak_kw": np.ones(1)}


def _energy_cost(problem: CapacityProblem) -> Mapping[str, FloatArray]:
    """sum_(s, t) price_per_kwh[t] * energy_kwh[s, t], with all else that is paid for, currency."""
    return asset_cost(problem)


def _steady_cost(problem: CapacityProblem) -> Mapping[str, FloatArray]:
    """Cost of the energy, and half the price of moving for each kWh taken away and each kWh put elsewhere.

    sum_(s, t) price_per_kwh[t] * energy_kwh[s, t] + moving_price_per_kwh / 2 * sum_k raised_kwh[k] + lowered_kwh[k]
    """
    each = np.full(problem.columns, problem.moving_price_per_kwh / 2)
    return {**_energy_cost(problem), "raised_kwh": each, "lowered_kwh": each}


def _previous_plan(problem: CapacityProblem) -> Mapping[str, FloatArray]:
    """sum_k raised_kwh[k] + lowered_kwh[k], kWh."""
    each = np.ones(problem.columns)
    return {"raised_kwh": each, "lowered_kwh": each}


def _earliest_delivery(problem: CapacityProblem) -> Mapping[str, FloatArray]:
    """sum_(s, t) delay_hours[s, t] * energy_kwh[s, t], and assets idle where nothing is gained, kWh h."""
    return {"energy_kwh": delay_hours(problem), **idle_cost(problem)}


def delay_hours(problem: CapacityProblem) -> FloatArray:
    """From the window's start to the middle of each column's presence: (K,), h."""
    middle_s = (problem.column_start_s + problem.column_end_s) / 2
    return np.asarray((middle_s - problem.grid.edges_s[0]) / SECONDS_PER_HOUR, dtype=np.float64)


OBJECTIVES: dict[Stage, Callable[[CapacityProblem], Mapping[str, FloatArray]]] = {
    Stage.UNMET_ENERGY: _unmet_energy,
    Stage.EXPECTED_UNMET: _expected_unmet,
    Stage.LIKELY_UNMET: _likely_unmet,
    Stage.PEAK_POWER: _peak_power,
    Stage.STEADY_COST: _steady_cost,
    Stage.ENERGY_COST: _energy_cost,
    Stage.PREVIOUS_PLAN: _previous_plan,
    Stage.EARLIEST_DELIVERY: _earliest_delivery,
}
