"""A linear Pyomo model as arrays, several times faster than Pyomo's own writers.

Pyomo's solver interfaces walk every expression generically and cost more than the solve itself. The formulation writes
sums of variables, monomials, and numbers times sums of variables only, so that one pass over their arguments is enough;
anything else is refused rather than guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.var import VarData
from pyomo.core.expr import LinearExpression, MonomialTermExpression, ProductExpression, SumExpression

from models.domain.time_grid import FloatArray, IntArray
from models.errors import SolverError
from optimizer.linear_program import LinearProgram, StageCost
from optimizer.runtime import paused_garbage_collection

INFINITY = float("inf")
PRODUCTS = (MonomialTermExpression, ProductExpression)
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
        columns = _columns(model)
        places = _Places(columns.variables)
        rows = _Rows()
        for component in model.component_objects(pyo.Constraint, active=True):
            rows.add(component, places)
        stages = tuple(_stage(objective, places) for objective in model.component_objects(pyo.Objective))
    return LinearProgram(
        column_lower=columns.lower,
        column_upper=columns.upper,
        row_lower=np.array(rows.lower, dtype=np.float64),
        row_upper=np.array(rows.upper, dtype=np.float64),
        row_start=np.concatenate(([0], np.cumsum(np.array(rows.counts, dtype=np.int64)))),
        row_column=np.concatenate(rows.columns),
        row_value=np.concatenate([np.zeros(0), *rows.values]),
        stages=stages,
        columns=columns.names,
        rows=rows.families,
        integer_variables=columns.integer,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Columns:
    names: dict[str, slice]
    integer: frozenset[str]
    variables: list[VarData]
    lower: FloatArray
    upper: FloatArray


def _columns(model: pyo.ConcreteModel) -> _Columns:
    """All variables and their bounds; a domain is read once for each, since it is the same for all its members.

    The attributes behind ``bounds`` are read because that property asks the domain again for each member (ten times
    slower).
    """
    names: dict[str, slice] = {}
    integer: set[str] = set()
    variables: list[VarData] = []
    lowers, uppers = [np.zeros(0)], [np.zeros(0)]
    for component in model.component_objects(pyo.Var):
        members = list(component.values())
        names[component.local_name] = slice(len(variables), len(variables) + len(members))
        variables.extend(members)
        if members and members[0].is_integer():
            integer.add(component.local_name)
        domain_lower, domain_upper = members[0].domain.bounds() if members else (None, None)
        lowers.append(np.fmax(_own(OWN_LOWER, members), -INFINITY if domain_lower is None else domain_lower))
        uppers.append(np.fmin(_own(OWN_UPPER, members), INFINITY if domain_upper is None else domain_upper))
    return _Columns(
        names=names,
        integer=frozenset(integer),
        variables=variables,
        lower=np.concatenate(lowers),
        upper=np.concatenate(uppers),
    )


def _own(bound: Callable[[object], float | None], members: list[VarData]) -> FloatArray:
    """What each member says of itself, NaN where it says nothing."""
    own = list(map(bound, members))
    if own.count(None) == len(own):
        return np.full(len(own), np.nan)
    return np.array(own, dtype=np.float64)


class _Places:
    """Columns of variables, by what they are.

    Searched for among sorted ids: half the time of a dictionary, whose lookups jump about in memory.
    """

    def __init__(self, variables: list[VarData]) -> None:
        ids = np.fromiter(map(id, variables), dtype=np.int64, count=len(variables))
        self._order = np.argsort(ids, kind="stable")
        self._ids = ids[self._order]

    @property
    def count(self) -> int:
        """How many columns there are."""
        return self._ids.size

    def of(self, terms: list[object]) -> IntArray:
        """Column of each term.

        Raises:
            KeyError: One is no variable of the model.
        """
        wanted = np.fromiter(map(id, terms), dtype=np.int64, count=len(terms))
        place = np.searchsorted(self._ids, wanted)
        found = place < self._ids.size
        if not found.all() or (self._ids[place] != wanted).any():
            raise KeyError("a term is no variable of the model")
        columns: IntArray = self._order[place]
        return columns


class _Rows:
    """Rows under construction, family by family."""

    def __init__(self) -> None:
        self.families: dict[str, slice] = {}
        self.lower: list[float] = []
        self.upper: list[float] = []
        self.counts: list[int] = []
        self.columns: list[IntArray] = [np.zeros(0, dtype=np.int64)]
        self.values: list[FloatArray] = []

    def add(self, family: pyo.Constraint, places: _Places) -> None:
        bodies = []
        for member in family.values():
            low, body, high = member.to_bounded_expression(evaluate_bounds=True)
            self.lower.append(-INFINITY if low is None else low)
            self.upper.append(INFINITY if high is None else high)
            bodies.append(_arguments(body, family.name))
        sizes = list(map(len, bodies))
        self.families[family.local_name] = slice(len(self.counts), len(self.counts) + len(sizes))
        self.counts.extend(sizes)
        columns, values = _terms(list(chain.from_iterable(bodies)), places, family.name)
        self.columns.append(columns)
        self.values.append(values)


def _stage(objective: pyo.Objective, places: _Places) -> StageCost:
    cost = np.zeros(places.count)
    columns, values = _terms(_arguments(objective.expr, objective.name), places, objective.name)
    np.add.at(cost, columns, values)
    return StageCost(name=objective.local_name, cost=cost if objective.sense == pyo.minimize else -cost)


def _arguments(expression: object, name: str) -> list[object]:
    """Terms of a sum; `LinearExpression` is one of its kinds."""
    if not isinstance(expression, SumExpression):
        raise SolverError(f"{name} is a {type(expression).__name__}; only sums of linear terms can be compiled")
    return list(ARGUMENTS(expression))[: expression.nargs()]


def _terms(terms: list[object], places: _Places, name: str) -> tuple[IntArray, FloatArray]:
    """Column and coefficient of each term, a bare variable counting once."""
    try:
        # The usual row has bare variables only; any other term is not found and leads to the second way.
        return places.of(terms), np.ones(len(terms))
    except KeyError:
        pass
    variables: list[object] = []
    coefficients: list[float] = []
    counts: list[int] = []
    try:
        for term in terms:
            coefficient, factor = ARGUMENTS(term) if type(term) in PRODUCTS else (1.0, term)
            members = _arguments(factor, name) if type(factor) is LinearExpression else [factor]
            variables.extend(members)
            coefficients.append(float(coefficient))
            counts.append(len(members))
        return places.of(variables), np.repeat(np.array(coefficients), counts)
    except (KeyError, TypeError) as error:
        raise SolverError(f"{name} has a term that is not a number times a variable or times a sum of them") from error
