"""What goes through Pyomo is the program that HiGHS gets as arrays, on all known days and in every family of rows."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import optimizer
from benchmarks.cases import ReferenceCase, reference_cases
from models.domain.asset import ChargeCurve
from models.domain.scenario import Scenario
from models.domain.uncertainty import Surprise, Uncertainty
from optimizer.compile import compile_model
from optimizer.engine import optimize
from optimizer.formulation import formulate
from optimizer.linear_program import LinearProgram
from optimizer.objective import applicable_stages
from optimizer.options import OptimizeOptions, PilotMode, Stage, Strategy
from optimizer.prepare import prepare
from optimizer.pyomo_model import dismantle, pyomo_model
from tests.builders import HOUR
from tests.optimizer.programs import assert_same_program
from tests.properties.strategies import Case, cases
from tests.properties.test_assets import OPTIONS, Parts, parts

GOLDEN = reference_cases()
ALIKE = settings(max_examples=100, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
"""The same examples every time: what all of them together have to show must not depend on luck."""
HALF_HOUR = timedelta(minutes=30)
CURVE = ChargeCurve(curve_id="battery", points=((0.0, 11.0), (0.5, 11.0), (1.0, 2.0)))


def families() -> set[str]:
    """Names of all families that formulations write, as their sources have them."""
    sources = Path(optimizer.__file__).parent.glob("*.py")
    calls = [
        node for source in sources for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)
    ]
    return {
        str(call.args[0].value)
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == "family"
        and isinstance(call.args[0], ast.Constant)
    }


def same_both_ways(scenario: Scenario, options: OptimizeOptions) -> LinearProgram:
    """The program of a scenario, which is the same read back from Pyomo."""
    problem = prepare(scenario, options)
    program = formulate(problem, applicable_stages(problem, options.objective))
    model = pyomo_model(program)
    assert_same_program(compile_model(model), program)
    dismantle(model)
    return program


@pytest.mark.parametrize("case", GOLDEN, ids=[case.name for case in GOLDEN])
def test_known_days_and_months(case: ReferenceCase) -> None:
    """With their limits, lines and prices, up to 45,000 columns."""
    assert same_both_ways(case.scenario, case.options).column_count > 1_000


def test_every_family() -> None:
    """Assets, settings, peaks, plans in force and surprises, at random: no family is left out, and none is another."""
    seen: set[str] = set()

    @ALIKE
    @given(parts(), st.sampled_from([(4.0, ()), (0.0, (3.0, 6.0, 11.0)), (0.0, ())]), st.booleans())
    def beside_assets(case: Parts, powers: tuple[float, tuple[float, ...]], is_curved: bool) -> None:
        scenario = with_settings(case.scenario, *powers, is_curved=is_curved)
        stages = (*OPTIONS.objective, Stage.PEAK_POWER)
        options = replace(OPTIONS, pilots=PilotMode.EXACT, minimum_run=HOUR, raster=HALF_HOUR, objective=stages)
        seen.update(same_both_ways(scenario, options).rows)

    @ALIKE
    @given(cases(), st.booleans())
    def as_time_goes_on(case: Case, is_surprised: bool) -> None:
        uncertainty = Uncertainty(surprises=(Surprise(probability=0.1, capacity_share=0.5),)) if is_surprised else None
        before = optimize(case.scenario, replace(case.options, strategy=Strategy.EARLIEST_DEADLINE))
        options = replace(case.options, uncertainty=uncertainty, objective=(Stage.UNMET_ENERGY, Stage.PREVIOUS_PLAN))
        seen.update(same_both_ways(replace(case.scenario, previous=before), options).rows)

    beside_assets()
    as_time_goes_on()

    assert seen == families()
    assert "energy_balance" in seen


def with_settings(scenario: Scenario, least_kw: float, levels_kw: tuple[float, ...], *, is_curved: bool) -> Scenario:
    """The scenario with powers that chargers have, cars with a charge curve, and a battery to be filled."""
    site = scenario.site
    chargers = tuple(replace(one, min_power_kw=least_kw, power_levels_kw=levels_kw) for one in site.chargers)
    curves = (CURVE,) if is_curved else ()
    sessions = tuple(replace(one, charge_curve_id=CURVE.curve_id if is_curved else None) for one in scenario.sessions)
    storages = tuple(replace(one, final_energy_kwh=8.0) for one in site.storages)
    site = replace(site, chargers=chargers, charge_curves=curves, storages=storages)
    return replace(scenario, site=site, sessions=sessions)
