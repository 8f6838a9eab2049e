"""The quick translation of a model against Pyomo's own, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.core.expr import LinearExpression
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from models.domain.time_grid import FloatArray
from models.domain.uncertainty import DepartureErrors, Surprise, Uncertainty
from models.errors import SolverError
from optimizer.compile import compile_model
from optimizer.engine import optimize
from optimizer.formulation import formulate
from optimizer.linear_program import LinearProgram
from optimizer.objective import applicable_stages
from optimizer.options import OptimizeOptions, Stage, Strategy
from optimizer.prepare import prepare
from optimizer.pyomo_model import dismantle, pyomo_model
from tests.builders import HOUR, make_forecast, make_scenario, make_session, make_site, make_tariff
from tests.optimizer.programs import assert_same_program
from tests.properties.strategies import Case, cases

LATER_STAGES = tuple(stage for stage in Stage if stage is not Stage.UNMET_ENERGY)
OBJECTIVES = tuple(
    (Stage.UNMET_ENERGY, *later)
    for size in range(len(LATER_STAGES) + 1)
    for later in combinations(LATER_STAGES, size)
    if not {Stage.EXPECTED_UNMET, Stage.LIKELY_UNMET} <= set(later)
)
"""Every choice of stages after unmet energy, of which either surprises or departures are prepared for."""


def matrix(program: LinearProgram) -> FloatArray:
    """A, (R, C)."""
    dense = np.zeros((program.row_count, program.column_count))
    rows = np.repeat(np.arange(program.row_count), np.diff(program.row_start))
    np.add.at(dense, (rows, program.row_column), program.row_value)
    return dense


def compiled(program: LinearProgram) -> LinearProgram:
    """The program written in Pyomo and translated back, which has to be the program itself."""
    back = compile_model(pyomo_model(program))
    assert_same_program(back, program)
    return back


def assert_same_as_pyomo(model: pyo.ConcreteModel) -> None:
    """Columns, rows, bounds and every objective are those of Pyomo's own compiler."""
    program = compile_model(model)
    variables = [data for component in model.component_objects(pyo.Var) for data in component.values()]
    column_of = {id(data): column for column, data in enumerate(variables)}
    constraints = [data for component in model.component_objects(pyo.Constraint) for data in component.values()]
    row_of = {id(data): row for row, data in enumerate(constraints)}

    assert [stage.name for stage in program.stages] == [o.local_name for o in model.component_objects(pyo.Objective)]
    assert program.column_lower.tolist() == [data.lb if data.has_lb() else -np.inf for data in variables]
    assert program.column_upper.tolist() == [data.ub if data.has_ub() else np.inf for data in variables]
    for stage in program.stages:
        for objective in model.component_objects(pyo.Objective):
            objective.deactivate()
        model.component(stage.name).activate()
        form = LinearStandardFormCompiler().write(model, mixed_form=True)
        columns = [column_of[id(data)] for data in form.columns]
        expected = np.zeros((program.row_count, program.column_count))
        lower, upper = np.full(program.row_count, -np.inf), np.full(program.row_count, np.inf)
        for number, entry in enumerate(form.rows):
            row = row_of[id(entry.constraint)]
            expected[row, columns] = form.A[[number], :].toarray()[0]
            if entry.bound_type <= 0:
                lower[row] = form.rhs[number]
            if entry.bound_type >= 0:
                upper[row] = form.rhs[number]
        cost = np.zeros(program.column_count)
        cost[columns] = form.c.toarray()[0]
        np.testing.assert_array_equal(matrix(program), expected)
        np.testing.assert_array_equal(program.row_lower, lower)
        np.testing.assert_array_equal(program.row_upper, upper)
        np.testing.assert_array_equal(stage.cost, cost)


@settings(max_examples=80)
@given(cases(), st.sampled_from(OBJECTIVES), st.booleans())
def test_arrays_are_those_of_pyomo(case: Case, objective: tuple[Stage, ...], has_previous: bool) -> None:
    """For random problems, any choice of stages, both meanings of a limit and limits per phase, what is read back from
    the Pyomo model is the program it was written from, and equal to the last bit to what Pyomo's own compiler reads.
    """
    edf = replace(case.options, strategy=Strategy.EARLIEST_DEADLINE)
    previous = optimize(case.scenario, edf) if has_previous else None
    problem = prepare(replace(case, previous=previous).scenario, case.options)

    program = formulate(problem, applicable_stages(problem, objective))
    model = pyomo_model(program)

    assert_same_program(compile_model(model), program)
    assert_same_as_pyomo(model)


@pytest.mark.parametrize("objective", OBJECTIVES, ids="+".join)
def test_every_choice_of_stages_compiles(objective: tuple[Stage, ...]) -> None:
    """With prices, a plan in force, a price of moving, and a surprise or errors of departures, no stage falls away: the
    program has one cost for each, in order.
    """
    plain = make_scenario(tariff=make_tariff())
    previous = optimize(plain, OptimizeOptions(strategy=Strategy.EARLIEST_DEADLINE))
    cut = Uncertainty(surprises=(Surprise(probability=0.1, capacity_share=0.5),))
    early = Uncertainty(surprises=(), departure_errors=DepartureErrors.measured([-2.0, -1.0, 0.0, 1.0]))
    prepared_for = {Stage.EXPECTED_UNMET: cut, Stage.LIKELY_UNMET: early}
    uncertainty = next((known for stage, known in prepared_for.items() if stage in objective), None)
    options = OptimizeOptions(moving_price_per_kwh=0.01, uncertainty=uncertainty)
    problem = prepare(replace(plain, previous=previous), options)

    model = pyomo_model(formulate(problem, applicable_stages(problem, objective)))

    assert_same_as_pyomo(model)
    assert [stage.name for stage in compile_model(model).stages] == list(objective)


def test_columns_and_rows_are_named() -> None:
    """One session in two hourly steps under one limit: 2 energies and 1 slack; 1 balance and 2 limit rows. Energies are
    bounded by 22 kW x 1 h, the slack by the need of 10 kWh, the limits by 50 and 40 kWh.
    """
    scenario = make_scenario(forecasts=[make_forecast((50.0, 40.0))])
    program = compiled(formulate(prepare(scenario, OptimizeOptions(raster=HOUR)), (Stage.UNMET_ENERGY,)))

    assert program.columns == {"energy_kwh": slice(0, 2), "unmet_kwh": slice(2, 3)}
    assert program.rows == {"energy_balance": slice(0, 1), "capacity_limit": slice(1, 3)}
    assert program.column_lower.tolist() == [0.0, 0.0, 0.0]
    assert program.column_upper.tolist() == [22.0, 22.0, 10.0]
    assert program.row_lower.tolist() == [10.0, -np.inf, -np.inf]
    assert program.row_upper.tolist() == [10.0, 50.0, 40.0]
    assert matrix(program).tolist() == [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert program.stages[0].cost.tolist() == [0.0, 0.0, 1.0]


def test_a_family_nobody_uses_is_absent() -> None:
    """A group without limit gives no rows, and no empty family."""
    site = make_site()
    unlimited = replace(site, groups=(replace(site.groups[0], import_limit_kw=None),))
    program = compiled(formulate(prepare(make_scenario(site=unlimited), OptimizeOptions()), (Stage.UNMET_ENERGY,)))

    assert set(program.rows) == {"energy_balance"}


def test_no_sessions_give_an_empty_program() -> None:
    """Without sessions there are no columns and no rows, and one stage that costs nothing."""
    scenario = make_scenario(sessions=[], forecasts=[make_forecast()])
    problem = prepare(scenario, OptimizeOptions())
    program = compiled(formulate(problem, applicable_stages(problem, (Stage.UNMET_ENERGY, Stage.PEAK_POWER))))

    assert (program.column_count, program.row_count) == (0, 0)
    assert [stage.cost.size for stage in program.stages] == [0]


# Models by hand -------------------------------------------------------------------------------------------------------


def two_variables() -> pyo.ConcreteModel:
    """Minimise x[0] + x[1] over x >= 0."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(2), domain=pyo.NonNegativeReals)
    model.total = pyo.Objective(expr=LinearExpression([model.x[0], model.x[1]]))
    return model


def test_bounds_are_the_tighter_of_domain_and_own() -> None:
    """A bound of -1 on a variable that may not be negative is 0; one of 3 is 3; a free one is infinite."""
    model = two_variables()
    model.x[0].setlb(-1.0)
    model.x[1].setlb(3.0)
    model.y = pyo.Var(range(1), domain=pyo.Reals)
    model.z = pyo.Var(range(1), domain=pyo.NonPositiveReals, bounds=(-4.0, 2.0))

    program = compile_model(model)

    assert program.column_lower.tolist() == [0.0, 3.0, -np.inf, -4.0]
    assert program.column_upper.tolist() == [np.inf, np.inf, np.inf, 0.0]


def test_a_maximum_is_the_minimum_of_the_opposite() -> None:
    """Stages are minimised: max x[0] becomes min -x[0]."""
    model = two_variables()
    model.del_component(model.total)
    model.most = pyo.Objective(expr=LinearExpression([model.x[0]]), sense=pyo.maximize)

    assert compile_model(model).stages[0].cost.tolist() == [-1.0, 0.0]


def test_equalities_and_ranges_keep_both_bounds() -> None:
    """x[0] = 2 has both bounds at 2; 1 <= x[1] <= 5 has its own; a row without lower bound is open below."""
    model = two_variables()
    model.rows = pyo.ConstraintList()
    model.rows.add((2.0, LinearExpression([model.x[0]]), 2.0))
    model.rows.add((1.0, LinearExpression([model.x[1]]), 5.0))
    model.rows.add((None, LinearExpression([model.x[1]]), 4.0))

    program = compile_model(model)

    assert program.row_lower.tolist() == [2.0, 1.0, -np.inf]
    assert program.row_upper.tolist() == [2.0, 5.0, 4.0]


def test_a_deactivated_constraint_is_left_out() -> None:
    """What is switched off in the model does not hold in the program."""
    model = two_variables()
    model.gone = pyo.Constraint(expr=(None, LinearExpression([model.x[0]]), 1.0))
    model.gone.deactivate()

    assert compile_model(model).rows == {}


@pytest.mark.parametrize(
    "body",
    [
        lambda model: model.x[0] * model.x[1],
        lambda model: model.x[0] ** 2 + model.x[1],
        lambda model: pyo.exp(model.x[0]),
        lambda model: LinearExpression([model.x[0], 3.0]),
        lambda model: LinearExpression([model.x[0], model.stranger[0]]),
        lambda model: LinearExpression([model.x[0], model.x[0] * model.x[1]]),
        lambda model: model.x[0] + 2.0 * (model.x[0] + 3.0 * model.x[1]),
    ],
    ids=["product", "square", "function", "constant", "variable of another model", "product in a sum", "nested sums"],
)
@pytest.mark.parametrize("place", ["constraint", "objective"])
def test_what_is_not_linear_is_refused(body: Callable[[pyo.ConcreteModel], object], place: str) -> None:
    """What is not a plain sum over variables of the model is refused, by name, and never left out in silence."""
    other = two_variables()
    model = two_variables()
    object.__setattr__(model, "stranger", other.x)
    if place == "constraint":
        model.odd = pyo.Constraint(expr=(None, body(model), 1.0))
    else:
        model.odd = pyo.Objective(expr=body(model))

    with pytest.raises(SolverError, match=r"^odd "):
        compile_model(model)


def test_sums_of_like_coefficients_are_taken_apart() -> None:
    """2 (x[0] + x[1]) + 3 y costs 2, 2 and 3."""
    model = two_variables()
    model.del_component(model.total)
    model.y = pyo.Var(range(1), domain=pyo.NonNegativeReals)
    model.total = pyo.Objective(expr=2.0 * LinearExpression([model.x[0], model.x[1]]) + 3.0 * model.y[0])

    assert compile_model(model).stages[0].cost.tolist() == [2.0, 2.0, 3.0]


def test_a_model_taken_apart_leaves_the_program_whole() -> None:
    """The arrays stand on their own: they are the same after the model is gone."""
    problem = prepare(make_scenario(tariff=make_tariff()), OptimizeOptions())
    model = pyomo_model(formulate(problem, (Stage.UNMET_ENERGY, Stage.ENERGY_COST)))
    program = compile_model(model)
    before = matrix(program).copy()

    dismantle(model)

    assert list(model.component_objects()) == []
    np.testing.assert_array_equal(matrix(program), before)


def test_a_row_of_many_terms_keeps_them_all() -> None:
    """Coefficients of a row that mixes bare variables and multiples are 1 and what stands before them."""
    problem = prepare(make_scenario(sessions=[make_session()], tariff=make_tariff()), OptimizeOptions(raster=HOUR))
    program = compiled(formulate(problem, (Stage.UNMET_ENERGY, Stage.PEAK_POWER)))

    peak = matrix(program)[program.rows["peak_limit"]]

    # energy, energy, unmet, peak: each hourly step holds its energy under one hour of the peak.
    assert peak.tolist() == [[1.0, 0.0, 0.0, -1.0], [0.0, 1.0, 0.0, -1.0]]
