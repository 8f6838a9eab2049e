"""Programs in whole numbers: the best by enumeration, stages in order, duals, and an honest gap."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SolverError
from optimizer.compile import compile_model
from optimizer.highs import SolveStatus
from optimizer.linear_program import LinearProgram, StageCost
from optimizer.options import SolverOptions
from optimizer.pyomo_model import pyomo_model
from optimizer.solver import solve

PLAIN = SolverOptions()


def knapsack(costs: list[list[float]], weights: list[float], most: float, *, upper: float = 1.0) -> LinearProgram:
    """Choose whole numbers of some things of which not more than a weight can be carried."""
    count = len(weights)
    return LinearProgram(
        column_lower=np.zeros(count),
        column_upper=np.full(count, upper),
        row_lower=np.array([-np.inf]),
        row_upper=np.array([most]),
        row_start=np.array([0, count]),
        row_column=np.arange(count),
        row_value=np.array(weights),
        stages=tuple(StageCost(name=f"stage {at}", cost=np.array(cost)) for at, cost in enumerate(costs)),
        columns={"taken": slice(0, count)},
        rows={"weight": slice(0, 1)},
        integer_variables=frozenset({"taken"}),
    )


def test_whole_numbers_are_kept() -> None:
    """Worth 3, 2, 2 at weights 3, 2, 2 under 4.5: half of the first is worth more, two whole ones are worth 4."""
    solution = solve(knapsack([[-3.0, -2.0, -2.0]], [3.0, 2.0, 2.0], 4.5), PLAIN)

    assert solution.column_value.tolist() == [0.0, 1.0, 1.0]
    assert solution.is_optimal
    assert solution.stages[0].bound == pytest.approx(-4.0)


def test_a_later_stage_chooses_among_the_best() -> None:
    """Each of three is worth the same and one fits: the second stage takes the cheapest, and both are proved."""
    solution = solve(knapsack([[-1.0, -1.0, -1.0], [3.0, 1.0, 2.0]], [1.0, 1.0, 1.0], 1.5), PLAIN)

    assert solution.column_value.tolist() == [0.0, 1.0, 0.0]
    assert [stage.value for stage in solution.stages] == pytest.approx([-1.0, 1.0])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_stages_are_the_best_by_enumeration(data: st.DataObject) -> None:
    """Of all choices that fit, the lexicographically best pair of values is reached."""
    count = data.draw(st.integers(1, 6))
    figures = st.lists(st.integers(-5, 5).map(float), min_size=count, max_size=count)
    weights = data.draw(st.lists(st.integers(1, 6).map(float), min_size=count, max_size=count))
    costs = [data.draw(figures), data.draw(figures)]
    most = data.draw(st.integers(0, 15)) + 0.5

    solution = solve(knapsack(costs, weights, most), PLAIN)

    choices = [np.array(choice) for choice in product((0.0, 1.0), repeat=count)]
    best = min(
        tuple(float(np.dot(cost, choice)) for cost in costs) for choice in choices if np.dot(weights, choice) <= most
    )
    assert [stage.value for stage in solution.stages] == pytest.approx(best, abs=1e-6)


def test_duals_are_those_with_the_whole_numbers_fixed() -> None:
    """One switch lets a flow through: with it on, a further unit of the flow's limit saves 2."""
    program = LinearProgram(
        column_lower=np.zeros(2),
        column_upper=np.array([1.0, np.inf]),
        row_lower=np.array([-np.inf, -np.inf]),
        row_upper=np.array([0.0, 3.0]),
        row_start=np.array([0, 2, 3]),
        row_column=np.array([0, 1, 1]),
        row_value=np.array([-10.0, 1.0, 1.0]),
        stages=(StageCost(name="cost", cost=np.array([1.0, -2.0])),),
        columns={"on": slice(0, 1), "flow": slice(1, 2)},
        rows={"switch": slice(0, 1), "limit": slice(1, 2)},
        integer_variables=frozenset({"on"}),
    )

    solution = solve(program, PLAIN)

    assert solution.column_value.tolist() == pytest.approx([1.0, 3.0])
    dual = solution.stages[0].row_dual
    assert dual is not None
    assert dual.tolist() == pytest.approx([0.0, -2.0])
    again = solve(compile_model(pyomo_model(program)), PLAIN)
    assert again.column_value.tolist() == solution.column_value.tolist()


def hard_program() -> LinearProgram:
    """A market split: hundreds of thousands of nodes, while a first solution is found at once."""
    random = np.random.default_rng(7)
    rows, count = 5, 40
    body = random.integers(0, 100, (rows, count)).astype(np.float64)
    half = np.floor(body.sum(axis=1) / 2)
    matrix = np.hstack([body, np.eye(rows), -np.eye(rows)])
    columns = matrix.shape[1]
    return LinearProgram(
        column_lower=np.zeros(columns),
        column_upper=np.concatenate([np.ones(count), np.full(2 * rows, np.inf)]),
        row_lower=half,
        row_upper=half,
        row_start=np.arange(rows + 1) * columns,
        row_column=np.tile(np.arange(columns), rows),
        row_value=matrix.ravel(),
        stages=(
            StageCost(name="slack", cost=np.concatenate([np.zeros(count), np.ones(2 * rows)])),
            StageCost(name="later", cost=np.ones(columns)),
        ),
        columns={"side": slice(0, count), "slack": slice(count, columns)},
        rows={"split": slice(0, rows)},
        integer_variables=frozenset({"side"}),
    )


def test_a_search_that_is_stopped_says_how_far_it_came() -> None:
    """At the time limit the best found comes out with a bound below it; no stage is called proved."""
    program = hard_program()

    solution = solve(program, SolverOptions(time_limit_s=0.5))

    first, later = solution.stages
    assert not solution.is_optimal
    assert (first.status, later.status) == (SolveStatus.TIME_LIMIT, SolveStatus.TIME_LIMIT)
    assert first.bound is not None
    assert first.bound < first.value
    whole = solution.column_value[program.columns["side"]]
    assert whole.tolist() == pytest.approx(np.round(whole).tolist(), abs=1e-6)
    activity = program.activity(solution.column_value)
    assert activity.tolist() == pytest.approx(program.row_upper.tolist(), abs=1e-5)


def test_what_has_no_whole_solution_is_an_error() -> None:
    """2 x = 1 has a solution, but no whole one."""
    program = replace(
        knapsack([[1.0]], [2.0], 1.0), row_lower=np.array([1.0]), stages=(StageCost(name="any", cost=np.ones(1)),)
    )

    with pytest.raises(SolverError, match=r"'any'.*infeasible"):
        solve(program, PLAIN)
