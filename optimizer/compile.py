"""A linear Pyomo model as arrays, several times faster than Pyomo's own writers.

Pyomo's solver interfaces walk every expression generically and cost more than the solve itself. The formulation writes
`LinearExpression`s of variables and monomials only, so that one pass over their arguments is enough; anything else is
refused rather than guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from operator import attrgetter

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.var import VarData
from pyomo.core.expr import LinearExpression, MonomialTermExpression

from models.domain.time_grid import FloatArray
from models.errors import SolverError
from optimizer.linear_program import LinearProgram, StageCost
from optimizer.runtime import paused_garbage_collection

INFINITY = float("inf")
ARGUMENTS = attrgetter("_args_")
OWN_LOWER = attrgetter("_lb")
OWN_UPPER = attrgetter("_ub")


def compile_model(model: pyo.ConcreteModel) -> LinearProgram:
    """Translate a model whose constraints and objectives are linear expressions.

    Columns and rows come in the order in which variables and constraints were declared; objectives, active or not,
    become the stages in the order of their declaration.

    Args:
        model: Variables indexed from 0, domains that are intervals, constraints with constant bounds.

    Returns:
        The same program as arrays.

    Raises:
        SolverError: An expression is not a plain linear one.
    """
    with paused_garbage_collection():
        columns, variables = _columns(model)
        column_of = dict(zip(map(id, variables), range(len(variables)), strict=True))
        lower, upper = _bounds(model)
        rows = _Rows()
        for component in model.component_objects(pyo.Constraint, active=True):
            rows.add(component, column_of)
        stages = tuple(_stage(objective, column_of) for objective in model.component_objects(pyo.Objective))
    return LinearProgram(
        column_lower=lower,
        column_upper=upper,
        row_lower=np.array(rows.lower, dtype=np.float64),
        row_upper=np.array(rows.upper, dtype=np.float64),
        row_start=np.concatenate(([0], np.cumsum(np.array(rows.counts, dtype=np.int64)))),
        row_column=np.array(rows.columns, dtype=np.int64),
        row_value=np.concatenate([np.zeros(0), *rows.values]),
        stages=stages,
        columns=columns,
        rows=rows.families,
    )


def _columns(model: pyo.ConcreteModel) -> tuple[dict[str, slice], list[VarData]]:
    columns: dict[str, slice] = {}
    variables: list[VarData] = []
    for component in model.component_objects(pyo.Var):
        columns[component.local_name] = slice(len(variables), len(variables) + len(component))
        variables.extend(component.values())
    return columns, variables


def _bounds(model: pyo.ConcreteModel) -> tuple[FloatArray, FloatArray]:
    """Bounds of all columns; a domain is read once for each variable, since it is the same for all its members.

    The attributes behind ``bounds`` are read because that property asks the domain again for each member (ten times
    slower).
    """
    lowers, uppers = [np.zeros(0)], [np.zeros(0)]
    for component in model.component_objects(pyo.Var):
        members = list(component.values())
        domain_lower, domain_upper = members[0].domain.bounds() if members else (None, None)
        lowers.append(np.fmax(_own(OWN_LOWER, members), -INFINITY if domain_lower is None else domain_lower))
        uppers.append(np.fmin(_own(OWN_UPPER, members), INFINITY if domain_upper is None else domain_upper))
    return np.concatenate(lowers), np.concatenate(uppers)


def _own(bound: Callable[[object], float | None], members: list[VarData]) -> FloatArray:
    """What each member says of itself, NaN where it says nothing."""
    own = list(map(bound, members))
    if own.count(None) == len(own):
        return np.full(len(own), np.nan)
    return np.array(own, dtype=np.float64)


class _Rows:
    """Rows under construction, family by family."""

    def __init__(self) -> None:
        self.families: dict[str, slice] = {}
        self.lower: list[float] = []
        self.upper: list[float] = []
        self.counts: list[int] = []
        self.columns: list[int] = []
        self.values: list[FloatArray] = []

    def add(self, family: pyo.Constraint, column_of: dict[int, int]) -> None:
        bodies = []
        for member in family.values():
            low, body, high = member.to_bounded_expression(evaluate_bounds=True)
            self.lower.append(-INFINITY if low is None else low)
            self.upper.append(INFINITY if high is None else high)
            bodies.append(_arguments(body, family.name))
        sizes = list(map(len, bodies))
        self.families[family.local_name] = slice(len(self.counts), len(self.counts) + len(sizes))
        self.counts.extend(sizes)
        columns, values = _terms(list(chain.from_iterable(bodies)), column_of, family.name)
        self.columns.extend(columns)
        self.values.append(values)


def _stage(objective: pyo.Objective, column_of: dict[int, int]) -> StageCost:
    cost = np.zeros(len(column_of))
    columns, values = _terms(_arguments(objective.expr, objective.name), column_of, objective.name)
    np.add.at(cost, np.array(columns, dtype=np.int64), values)
    return StageCost(name=objective.local_name, cost=cost if objective.sense == pyo.minimize else -cost)


def _arguments(expression: object, name: str) -> list[object]:
    if not isinstance(expression, LinearExpression):
        raise SolverError(f"{name} is a {type(expression).__name__}; only a LinearExpression can be compiled")
    return list(ARGUMENTS(expression))[: expression.nargs()]


def _terms(terms: list[object], column_of: dict[int, int], name: str) -> tuple[list[int], FloatArray]:
    """Column and coefficient of each term, a bare variable counting once."""
    kinds = set(map(type, terms))
    if MonomialTermExpression not in kinds:
        variables, coefficients = terms, np.ones(len(terms))
    else:
        mixed = len(kinds) > 1
        pairs = (
            [t if type(t) is MonomialTermExpression else MonomialTermExpression((1.0, t)) for t in terms]
            if mixed
            else terms
        )
        flat = list(chain.from_iterable(map(ARGUMENTS, pairs)))
        variables = flat[1::2]
        coefficients = np.array(flat[0::2], dtype=np.float64)
    try:
        return list(map(column_of.__getitem__, map(id, variables))), coefficients
    except KeyError:
        raise SolverError(f"{name} has a term that is not a number times a variable") from None
