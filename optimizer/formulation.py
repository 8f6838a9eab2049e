"""The linear program in Pyomo: variables only where a session is present, one function per constraint family.

`FORMULATION.md` beside this file has the symbols, the units and the reasons.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.var import VarData
from pyomo.core.expr import LinearExpression, MonomialTermExpression

from models.domain.time_grid import FloatArray
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
        model.energy_kwh = bounded_variable(problem.max_energy_kwh)
        model.unmet_kwh = bounded_variable(problem.reachable_energy_kwh)
        model.energy_balance = energy_balance(model, problem)
        if problem.limit_rows.capacity_kwh.size:
            model.capacity_limit = capacity_limit(model, problem)
        if Stage.PEAK_POWER in stages:
            model.peak_kw = pyo.Var(range(1), domain=pyo.NonNegativeReals)
            model.peak_limit = peak_limit(model, problem)
        if Stage.PREVIOUS_PLAN in stages:
            model.raised_kwh = bounded_variable(problem.max_energy_kwh)
            model.lowered_kwh = pyo.Var(range(problem.columns), domain=pyo.NonNegativeReals)
            model.previous_plan = previous_plan(model, problem)
        for stage in stages:
            model.add_component(stage.value, OBJECTIVES[stage](model, problem))
        for stage in stages[1:]:
            model.component(stage.value).deactivate()
    return model


def bounded_variable(upper: FloatArray) -> pyo.Var:
    """A variable from zero to an upper bound each.

    Bounds are set afterwards: a bounds rule costs twice the time of the whole variable.

    Args:
        upper: (N,), finite.
    """
    variable = pyo.Var(range(upper.size), domain=pyo.NonNegativeReals)
    variable.construct()
    deque(map(VarData.setub, variable.values(), upper.tolist()), maxlen=0)
    return variable


def energy_balance(model: pyo.ConcreteModel, problem: CapacityProblem) -> pyo.Constraint:
    """Serve each session's need, or name what is left.

        sum_t energy_kwh[s, t] + unmet_kwh[s]  =  reachable_energy_kwh[s]          for every session s

    Returns:
        Constraint indexed by s, kWh.
    """
    energy = list(model.energy_kwh.values())
    unmet = list(model.unmet_kwh.values())
    first = problem.first_column.tolist()
    need = problem.reachable_energy_kwh.tolist()

    def row(_: pyo.Block, s: int) -> object:
        return need[s], LinearExpression([*energy[first[s] : first[s + 1]], unmet[s]]), need[s]

    return pyo.Constraint(range(len(need)), rule=row)


def capacity_limit(model: pyo.ConcreteModel, problem: CapacityProblem) -> pyo.Constraint:
    """Hold every limit on every level of the tree.

        sum_(s below g) weight[s, t] * energy_kwh[s, t]  <=  limit_kw[g, t] * step_hours[t]

    for every limit g and step t in which it is finite and somebody is present: Pyomo refuses an infinite bound and a
    row without variables.

    Returns:
        Constraint indexed like `CapacityProblem.limit_rows`, kWh; its dual is in objective units per kWh.
    """
    rows = problem.limit_rows
    energy = list(model.energy_kwh.values())
    start = rows.start.tolist()
    columns = rows.column.tolist()
    capacity = rows.capacity_kwh.tolist()
    plain = bool((rows.coefficient == 1.0).all())
    coefficients = [] if plain else rows.coefficient.tolist()

    def row(_: pyo.Block, r: int) -> object:
        terms = [energy[k] for k in columns[start[r] : start[r + 1]]]
        if not plain:
            terms = monomials(coefficients[start[r] : start[r + 1]], terms)
        return None, LinearExpression(terms), capacity[r]

    return pyo.Constraint(range(len(capacity)), rule=row)


def peak_limit(model: pyo.ConcreteModel, problem: CapacityProblem) -> pyo.Constraint:
    """Hold the whole site under its own peak.

        sum_s weight[s, t] * energy_kwh[s, t]  -  step_hours[t] * peak_kw  <=  0      for every step t with a session

    Returns:
        Constraint indexed by t, kWh.
    """
    energy = list(model.energy_kwh.values())
    members: dict[int, list[int]] = {}
    for k, t in enumerate(problem.column_step.tolist()):
        members.setdefault(t, []).append(k)
    weight = problem.limit_weight.tolist()
    hours = problem.step_hours.tolist()

    def row(_: pyo.Block, t: int) -> object:
        load = monomials([weight[k] for k in members[t]], [energy[k] for k in members[t]])
        return None, LinearExpression([*load, MonomialTermExpression((-hours[t], model.peak_kw[0]))]), 0.0

    return pyo.Constraint(sorted(members), rule=row)


def previous_plan(model: pyo.ConcreteModel, problem: CapacityProblem) -> pyo.Constraint:
    """Say by how much each column is above or below the plan in force.

        energy_kwh[k] - raised_kwh[k] + lowered_kwh[k]  =  previous_energy_kwh[k]     for every column k

    Returns:
        Constraint indexed by k, kWh.
    """
    if problem.previous_energy_kwh is None:
        raise ValueError("a problem without a previous plan cannot stay close to it")
    previous = problem.previous_energy_kwh.tolist()

    def row(_: pyo.Block, k: int) -> object:
        change = MonomialTermExpression((-1.0, model.raised_kwh[k]))
        return previous[k], LinearExpression([model.energy_kwh[k], change, model.lowered_kwh[k]]), previous[k]

    return pyo.Constraint(range(len(previous)), rule=row)


def monomials(coefficients: Iterable[float], variables: Iterable[object]) -> list[object]:
    """Terms ``coefficient * variable`` without Pyomo's operator dispatch, which costs ten times as much."""
    return list(map(MonomialTermExpression, zip(coefficients, variables, strict=True)))


def _linear_objective(coefficients: FloatArray, variables: Iterable[object]) -> pyo.Objective:
    return pyo.Objective(expr=LinearExpression(monomials(coefficients.tolist(), variables)), sense=pyo.minimize)


def _unmet_energy(model: pyo.ConcreteModel, problem: CapacityProblem) -> pyo.Objective:
    """sum_s priority[s] * unmet_kwh[s], kWh."""
    return _linear_objective(problem.priority, model.unmet_kwh.values())


def _peak_power(model: pyo.ConcreteModel, _: CapacityProblem) -> pyo.Objective:
    """peak_kw, kW."""
    return pyo.Objective(expr=LinearExpression([model.peak_kw[0]]), sense=pyo.minimize)


def _energy_cost(model: pyo.ConcreteModel, problem: CapacityProblem) -> pyo.Objective:
    """sum_(s, t) price_per_kwh[t] * energy_kwh[s, t], currency."""
    if problem.price_per_kwh is None:
        raise ValueError("a problem without prices has no cost")
    return _linear_objective(problem.price_per_kwh[problem.column_step], model.energy_kwh.values())


def _previous_plan(model: pyo.ConcreteModel, _: CapacityProblem) -> pyo.Objective:
    """sum_k raised_kwh[k] + lowered_kwh[k], kWh."""
    changes = [*model.raised_kwh.values(), *model.lowered_kwh.values()]
    return pyo.Objective(expr=LinearExpression(changes), sense=pyo.minimize)


def _earliest_delivery(model: pyo.ConcreteModel, problem: CapacityProblem) -> pyo.Objective:
    """sum_(s, t) delay_hours[s, t] * energy_kwh[s, t], kWh h."""
    return _linear_objective(delay_hours(problem), model.energy_kwh.values())


def delay_hours(problem: CapacityProblem) -> FloatArray:
    """From the window's start to the middle of each column's presence: (K,), h."""
    middle_s = (problem.column_start_s + problem.column_end_s) / 2
    return np.asarray((middle_s - problem.grid.edges_s[0]) / SECONDS_PER_HOUR, dtype=np.float64)


OBJECTIVES: dict[Stage, Callable[[pyo.ConcreteModel, CapacityProblem], pyo.Objective]] = {
    Stage.UNMET_ENERGY: _unmet_energy,
    Stage.PEAK_POWER: _peak_power,
    Stage.ENERGY_COST: _energy_cost,
    Stage.PREVIOUS_PLAN: _previous_plan,
    Stage.EARLIEST_DELIVERY: _earliest_delivery,
}
