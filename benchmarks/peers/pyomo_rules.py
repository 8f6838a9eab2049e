"""Pyomo as its documentation writes models, with rules and sums, and any solver that it knows by name."""

from __future__ import annotations

import numpy as np
import pyomo.environ as pyo
from pyomo.opt import TerminationCondition

from benchmarks.peers.program import FloatArray, SharedProgram

PACKAGES = ("pyomo", "highspy")


def solve(program: SharedProgram, options: dict[str, str]) -> FloatArray:
    """Option ``solver`` is the name in Pyomo's factory."""
    model = _model(program)
    found = pyo.SolverFactory(options["solver"]).solve(model)
    condition = found.solver.termination_condition
    if condition != TerminationCondition.optimal:
        raise RuntimeError(f"{options['solver']} ended with {condition}")
    return np.array([pyo.value(model.x[column]) for column in model.columns])


def _model(program: SharedProgram) -> pyo.ConcreteModel:
    start, column, value = (array.tolist() for array in (program.row_start, program.row_column, program.row_value))
    upper, lower, cost = program.column_upper.tolist(), program.row_lower.tolist(), program.cost.tolist()
    most = program.row_upper.tolist()
    model = pyo.ConcreteModel()
    model.columns = pyo.RangeSet(0, len(cost) - 1)
    model.sessions = pyo.RangeSet(0, program.session_count - 1)
    model.limits = pyo.RangeSet(program.session_count, len(most) - 1)
    model.x = pyo.Var(model.columns, bounds=lambda _, k: (0.0, upper[k]))

    def row(model: pyo.ConcreteModel, r: int) -> object:
        return sum(value[k] * model.x[column[k]] for k in range(start[r], start[r + 1]))

    model.balance = pyo.Constraint(model.sessions, rule=lambda model, r: row(model, r) == lower[r])
    model.limit = pyo.Constraint(model.limits, rule=lambda model, r: row(model, r) <= most[r])
    model.cost = pyo.Objective(expr=sum(cost[k] * model.x[k] for k in model.columns))
    return model
