"""The linear program as a Pyomo model: the same variables, constraint families and objectives under the same names."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.var import VarData
from pyomo.core.expr import LinearExpression, MonomialTermExpression, ProductExpression, SumExpression

from models.domain.time_grid import FloatArray, IntArray
from optimizer.linear_program import LinearProgram
from optimizer.runtime import paused_garbage_collection


def pyomo_model(program: LinearProgram) -> pyo.ConcreteModel:
    """Write a program in Pyomo.

    Args:
        program: From `optimizer.formulation.formulate`.

    Returns:
        A model with a ``Var`` for each variable, a ``Constraint`` for each family and an ``Objective`` for each stage,
        by their names and in their order, each indexed from 0. Only the first objective is active.
    """
    model = pyo.ConcreteModel()
    with paused_garbage_collection():
        variables = list(chain.from_iterable(_declare(model, program, name) for name in program.columns))
        for name in program.rows:
            model.add_component(name, _constraint(program, name, variables))
        for stage in program.stages:
            objective = pyo.Objective(sense=pyo.minimize)
            model.add_component(stage.name, objective)
            objective.set_value(_weighted_sum(stage.cost, variables))
            if stage is not program.stages[0]:
                objective.deactivate()
    return model


def dismantle(model: pyo.ConcreteModel) -> None:
    """Take a model apart that is not needed any more.

    Models and scalar objectives refer to themselves, so that only the garbage collector would free them, walking every
    variable and term: that takes longer than building them.
    """
    for component in list(model.component_objects()):
        if component.ctype is pyo.Objective:
            component.set_value(0.0)
        model.del_component(component)


def _declare(model: pyo.ConcreteModel, program: LinearProgram, name: str) -> list[VarData]:
    """Add a variable to the model and give its members; the index is taken as it is instead of being copied into a set.

    The most frequent bound (a full step at a usual charger) is given to all at once and the others are set afterwards:
    a rule for the bounds costs twice the time of the whole variable.
    """
    lower, upper = program.column_lower[program.columns[name]], program.column_upper[program.columns[name]]
    domain = pyo.Integers if name in program.integer_variables else pyo.Reals
    usual_lower, usual_upper = _usual(lower), _usual(upper)
    variable = pyo.Var(pyo.SetOf(range(upper.size)), domain=domain, bounds=(_finite(usual_lower), _finite(usual_upper)))
    model.add_component(name, variable)
    members = list(variable.values())
    for k in np.flatnonzero(lower != usual_lower).tolist():
        members[k].setlb(_finite(lower[k]))
    for k in np.flatnonzero(upper != usual_upper).tolist():
        members[k].setub(_finite(upper[k]))
    return members


def _usual(bound: FloatArray) -> float:
    """The most frequent value, 0 of none."""
    values, counts = np.unique(bound, return_counts=True)
    return float(values[counts.argmax()]) if bound.size else 0.0


def _finite(bound: float) -> float | None:
    return float(bound) if np.isfinite(bound) else None


def _constraint(program: LinearProgram, name: str, variables: list[VarData]) -> pyo.Constraint:
    """One family as a constraint, its rows indexed from 0.

    Bare variables where every coefficient of the row is 1, which Pyomo keeps and gives back several times faster.
    """
    family = program.rows[name]
    entries = slice(int(program.row_start[family.start]), int(program.row_start[family.stop]))
    start = (program.row_start[family.start : family.stop + 1] - entries.start).tolist()
    terms: list[object] = list(_gathered(variables, program.row_column[entries]))
    coefficient = program.row_value[entries]
    for k in np.flatnonzero(coefficient != 1.0).tolist():
        terms[k] = MonomialTermExpression((float(coefficient[k]), terms[k]))
    bounds = list(
        zip(
            map(_finite, program.row_lower[family].tolist()),
            map(_finite, program.row_upper[family].tolist()),
            strict=True,
        )
    )

    def row(_: pyo.Block, r: int) -> object:
        lower, upper = bounds[r]
        body = LinearExpression(terms[start[r] : start[r + 1]])
        return (body, upper) if lower == upper else (lower, body, upper)

    return pyo.Constraint(range(len(bounds)), rule=row)


def _gathered(items: list[VarData], order: IntArray) -> list[VarData]:
    """The items at these positions; an object array would look into each of them."""
    return list(map(items.__getitem__, order.tolist()))


def _weighted_sum(cost: FloatArray, variables: list[VarData]) -> SumExpression:
    """The sum of ``cost * (sum of the variables that have it)`` over those that cost anything.

    Prices and delays are shared by all sessions of a step: a product for each of them is built and read ten times
    faster than a monomial for each variable.
    """
    costly = np.flatnonzero(cost)
    order = costly[np.argsort(cost[costly], kind="stable")]
    in_order = cost[order]
    edges = [0, *(np.flatnonzero(np.diff(in_order)) + 1).tolist(), order.size]
    grouped = _gathered(variables, order)
    return SumExpression(
        [
            ProductExpression((float(in_order[begin]), LinearExpression(grouped[begin:end])))
            for begin, end in pairwise(edges)
            if end > begin
        ]
    )
