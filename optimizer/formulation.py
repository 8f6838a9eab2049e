"""The linear program in Pyomo: variables only where a session is present, one function per constraint family.

`FORMULATION.md` beside this file has the symbols, the units and the reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.var import VarData
from pyomo.core.expr import LinearExpression, MonomialTermExpression, ProductExpression, SumExpression

from models.domain.time_grid import FloatArray, IntArray
from models.units import SECONDS_PER_HOUR
from optimizer.options import Stage
from optimizer.problem import CapacityProblem
from optimizer.runtime import paused_garbage_collection


def formulate(problem: CapacityProblem, stages: tuple[Stage, ...]) -> pyo.ConcreteModel:
    """Build the whole model: variables, constraint families and one objective for each stage.

    Only the first stage's objective is active.

    Args:
        problem: The scenario as arrays.
        stages: Those that apply (`optimizer.objective.applicable_stages`), most important first.

    Returns:
        A model with the variables ``energy_kwh`` (K,) and ``unmet_kwh`` (S,), the constraints ``energy_balance`` (S,)
        and ``capacity_limit`` (R,), and what the stages need besides; a family nobody uses is absent.
    """
    model = pyo.ConcreteModel()
    with paused_garbage_collection():
        variables = _declare_variables(model, problem, stages)
        model.energy_balance = energy_balance(variables, problem)
        if problem.limit_rows.capacity_kwh.size:
            model.capacity_limit = capacity_limit(variables, problem)
        if Stage.PEAK_POWER in stages:
            model.peak_limit = peak_limit(variables, problem)
        if Stage.PREVIOUS_PLAN in stages:
            model.energy_moved = energy_moved(variables, problem)
        for stage in stages:
            objective = pyo.Objective(sense=pyo.minimize)
            model.add_component(stage.value, objective)
            objective.set_value(OBJECTIVES[stage](variables, problem))
            if stage is not stages[0]:
                objective.deactivate()
    return model


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """The members of the model's variables as lists: iterating over a Pyomo component looks each of them up anew."""

    energy_kwh: list[VarData]
    unmet_kwh: list[VarData]
    peak_kw: list[VarData]
    raised_kwh: list[VarData]
    lowered_kwh: list[VarData]


def _declare_variables(model: pyo.ConcreteModel, problem: CapacityProblem, stages: tuple[Stage, ...]) -> Variables:
    model.energy_kwh = bounded_variable(problem.max_energy_kwh)
    model.unmet_kwh = bounded_variable(problem.reachable_energy_kwh)
    if Stage.PEAK_POWER in stages:
        model.peak_kw = unbounded_variable(1)
    if Stage.PREVIOUS_PLAN in stages:
        model.raised_kwh = bounded_variable(problem.max_energy_kwh)
        model.lowered_kwh = unbounded_variable(problem.columns)

    def members(name: str) -> list[VarData]:
        component = model.component(name)
        return [] if component is None else list(component.values())

    return Variables(**{field.name: members(field.name) for field in fields(Variables)})


def dismantle(model: pyo.ConcreteModel) -> None:
    """Take a model apart that is not needed any more.

    Models and scalar objectives refer to themselves, so that only the garbage collector would free them, walking every
    variable and term: that takes longer than building them.
    """
    for component in list(model.component_objects()):
        if component.ctype is pyo.Objective:
            component.set_value(0.0)
        model.del_component(component)


def bounded_variable(upper: FloatArray) -> pyo.Var:
    """A variable from zero to an upper bound each; the index is taken as it is instead of being copied into a set.

    The most frequent bound (a full step at a usual charger) is given to all at once and the others are set afterwards:
    a rule for the bounds costs twice the time of the whole variable.

    Args:
        upper: (N,), finite.
    """
    values, counts = np.unique(upper, return_counts=True)
    usual = float(values[counts.argmax()]) if upper.size else None
    variable = pyo.Var(pyo.SetOf(range(upper.size)), domain=pyo.NonNegativeReals, bounds=(None, usual))
    variable.construct()
    for k in np.flatnonzero(upper != usual).tolist():
        variable[k].setub(float(upper[k]))
    return variable


def unbounded_variable(size: int) -> pyo.Var:
    """A variable from zero upwards."""
    return pyo.Var(pyo.SetOf(range(size)), domain=pyo.NonNegativeReals)


def energy_balance(variables: Variables, problem: CapacityProblem) -> pyo.Constraint:
    """Serve each session's need, or name what is left.

        sum_t energy_kwh[s, t] + unmet_kwh[s]  =  reachable_energy_kwh[s]          for every session s

    Returns:
        Constraint indexed by s, kWh.
    """
    energy, unmet = variables.energy_kwh, variables.unmet_kwh
    first = problem.first_column.tolist()
    need = problem.reachable_energy_kwh.tolist()

    def row(_: pyo.Block, s: int) -> object:
        return LinearExpression([*energy[first[s] : first[s + 1]], unmet[s]]), need[s]

    return pyo.Constraint(range(len(need)), rule=row)


def capacity_limit(variables: Variables, problem: CapacityProblem) -> pyo.Constraint:
    """Hold every limit on every level of the tree.

        sum_(s below g) weight[s, t] * energy_kwh[s, t]  <=  limit_kw[g, t] * step_hours[t]

    for every limit g and step t in which it is finite and somebody is present: Pyomo refuses an infinite bound and a
    row without variables.

    Returns:
        Constraint indexed like `CapacityProblem.limit_rows`, kWh; its dual is in objective units per kWh.
    """
    rows = problem.limit_rows
    start = rows.start.tolist()
    capacity = rows.capacity_kwh.tolist()
    terms = gathered(variables.energy_kwh, rows.column)
    if not (rows.coefficient == 1.0).all():
        terms = monomials(rows.coefficient, terms)

    def row(_: pyo.Block, r: int) -> object:
        return None, LinearExpression(terms[start[r] : start[r + 1]]), capacity[r]

    return pyo.Constraint(range(len(capacity)), rule=row)


def peak_limit(variables: Variables, problem: CapacityProblem) -> pyo.Constraint:
    """Hold the whole site under its own peak.

        sum_s weight[s, t] * energy_kwh[s, t]  -  step_hours[t] * peak_kw  <=  0      for every step t with a session

    Returns:
        Constraint indexed by the steps with a session, in order, kWh.
    """
    by_step = np.argsort(problem.column_step, kind="stable")
    steps, first = np.unique(problem.column_step[by_step], return_index=True)
    start = [*first.tolist(), problem.columns]
    energy = gathered(variables.energy_kwh, by_step)
    terms = monomials(problem.limit_weight[by_step], energy)
    hours = problem.step_hours[steps].tolist()

    def row(_: pyo.Block, r: int) -> object:
        peak = MonomialTermExpression((-hours[r], variables.peak_kw[0]))
        return None, LinearExpression([*terms[start[r] : start[r + 1]], peak]), 0.0

    return pyo.Constraint(range(len(hours)), rule=row)


def energy_moved(variables: Variables, problem: CapacityProblem) -> pyo.Constraint:
    """Say by how much each column is above or below the plan in force.

        energy_kwh[k] - raised_kwh[k] + lowered_kwh[k]  =  previous_energy_kwh[k]     for every column k

    Returns:
        Constraint indexed by k, kWh.
    """
    if problem.previous_energy_kwh is None:
        raise ValueError("a problem without a previous plan cannot stay close to it")
    previous = problem.previous_energy_kwh.tolist()

    def row(_: pyo.Block, k: int) -> object:
        change = MonomialTermExpression((-1.0, variables.raised_kwh[k]))
        return LinearExpression([variables.energy_kwh[k], change, variables.lowered_kwh[k]]), previous[k]

    return pyo.Constraint(range(len(previous)), rule=row)


def gathered(items: list[VarData], order: IntArray) -> list[VarData]:
    """The items at these positions; an object array would look into each of them."""
    return list(map(items.__getitem__, order.tolist()))


def monomials(coefficients: FloatArray, variables: Iterable[VarData]) -> list[MonomialTermExpression]:
    """Terms ``coefficient * variable`` without Pyomo's operator dispatch, which costs ten times as much."""
    return list(map(MonomialTermExpression, zip(coefficients.tolist(), variables, strict=True)))


def weighted_sum(coefficients: FloatArray, variables: list[VarData]) -> SumExpression:
    """The sum of ``coefficient * (sum of the variables that have it)``.

    Prices and delays are shared by all sessions of a step: a product for each of them is built and read ten times
    faster than a monomial for each variable.
    """
    order = np.argsort(coefficients, kind="stable")
    in_order = coefficients[order]
    edges = [0, *(np.flatnonzero(np.diff(in_order)) + 1).tolist(), order.size]
    grouped = gathered(variables, order)
    return SumExpression(
        [
            ProductExpression((float(in_order[begin]), LinearExpression(grouped[begin:end])))
            for begin, end in pairwise(edges)
            if end > begin
        ]
    )


def _unmet_energy(variables: Variables, problem: CapacityProblem) -> SumExpression:
    """sum_s priority[s] * unmet_kwh[s], kWh."""
    return weighted_sum(problem.priority, variables.unmet_kwh)


def _peak_power(variables: Variables, _: CapacityProblem) -> SumExpression:
    """peak_kw, kW."""
    return LinearExpression([variables.peak_kw[0]])


def _energy_cost(variables: Variables, problem: CapacityProblem) -> SumExpression:
    """sum_(s, t) price_per_kwh[t] * energy_kwh[s, t], currency."""
    if problem.price_per_kwh is None:
        raise ValueError("a problem without prices has no cost")
    return weighted_sum(problem.price_per_kwh[problem.column_step], variables.energy_kwh)


def _previous_plan(variables: Variables, _: CapacityProblem) -> SumExpression:
    """sum_k raised_kwh[k] + lowered_kwh[k], kWh."""
    return LinearExpression([*variables.raised_kwh, *variables.lowered_kwh])


def _earliest_delivery(variables: Variables, problem: CapacityProblem) -> SumExpression:
    """sum_(s, t) delay_hours[s, t] * energy_kwh[s, t], kWh h."""
    return weighted_sum(delay_hours(problem), variables.energy_kwh)


def delay_hours(problem: CapacityProblem) -> FloatArray:
    """From the window's start to the middle of each column's presence: (K,), h."""
    middle_s = (problem.column_start_s + problem.column_end_s) / 2
    return np.asarray((middle_s - problem.grid.edges_s[0]) / SECONDS_PER_HOUR, dtype=np.float64)


OBJECTIVES: dict[Stage, Callable[[Variables, CapacityProblem], SumExpression]] = {
    Stage.UNMET_ENERGY: _unmet_energy,
    Stage.PEAK_POWER: _peak_power,
    Stage.ENERGY_COST: _energy_cost,
    Stage.PREVIOUS_PLAN: _previous_plan,
    Stage.EARLIEST_DELIVERY: _earliest_delivery,
}
