"""HiGHS on programs by hand and on random problems: options, statuses, exact stages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import highspy
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.domain.group import CapacityGroup
from models.domain.time_grid import FloatArray
from models.errors import InputError, SolverConfigError, SolverError
from optimizer import highs, linear_program, stages
from optimizer.bench.synthetic import scenario as synthetic_scenario
from optimizer.engine import optimize
from optimizer.highs import DUAL_SIMPLEX, INTERIOR_POINT, LAST_RESORT, Solution, SolveStatus, check_options
from optimizer.linear_program import LinearProgram, StageCost
from optimizer.objective import is_scarce
from optimizer.options import COST_OBJECTIVE, LimitMode, OptimizeOptions, SolverOptions
from optimizer.prepare import prepare
from optimizer.solver import solve
from optimizer.stages import Hints
from tests.builders import (
    HOUR,
    MORNING,
    make_scenario,
    make_session,
    make_site,
    make_tariff,
)
from tests.optimizer.programs import program_of, values
from tests.properties.strategies import Case, cases

PLAIN = SolverOptions()
TOLERANCE = 1e-6
HOURLY = OptimizeOptions(raster=HOUR)


def make_program(
    *costs: Sequence[float],
    rows: Sequence[tuple[float, Sequence[float], float]] = (),
    upper: float = np.inf,
    lower: float = 0.0,
) -> LinearProgram:
    """Columns from 0 up, one cost for each stage, rows as (lower, coefficients, upper)."""
    columns = len(costs[0])
    body = np.array([coefficients for _, coefficients, _ in rows], dtype=np.float64).reshape(len(rows), columns)
    return LinearProgram(
        column_lower=np.full(columns, lower),
        column_upper=np.full(columns, upper),
        row_lower=np.array([low for low, _, _ in rows], dtype=np.float64),
        row_upper=np.array([high for _, _, high in rows], dtype=np.float64),
        row_start=np.arange(len(rows) + 1) * columns,
        row_column=np.tile(np.arange(columns), len(rows)),
        row_value=body.ravel(),
        stages=tuple(
            StageCost(name=f"stage {number}", cost=np.array(cost, dtype=np.float64))
            for number, cost in enumerate(costs)
        ),
        columns={"x": slice(0, columns)},
        rows={"row": slice(0, len(rows))},
    )


class TestOptions:
    """An option that HiGHS would ignore stops the run."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("tim_limit", 5.0),
            ("presolve", "maybe"),
            ("time_limit", "soon"),
            ("time_limit", -1.0),
            ("threads", -1),
            ("simplex_iteration_limit", 1.5),
            ("primal_feasibility_tolerance", 0.0),
            ("", 1),
        ],
        ids=[
            "misspelt",
            "no such choice",
            "text for a number",
            "below its bound",
            "negative",
            "no integer",
            "zero",
            "no name",
        ],
    )
    def test_a_refused_option_is_an_error(self, name: str, value: str | float) -> None:
        """A typing mistake in the settings must not change the solver in silence; the message names the option."""
        with pytest.raises(SolverConfigError, match=f"{name!r}.*{value!r}"):
            check_options({name: value})
        with pytest.raises(SolverConfigError, match=f"{name!r}.*{value!r}"):
            solve(make_program([1.0]), SolverOptions(extra={name: value}))

    def test_a_refused_option_is_not_answered_with_a_fallback(self) -> None:
        """A mistake in the settings is told; it is not the kind of failure that a heuristic stands in for."""
        options = OptimizeOptions(solver=SolverOptions(extra={"tim_limit": 5.0}))

        with pytest.raises(SolverConfigError, match="tim_limit"):
            optimize(make_scenario(), options)

    def test_options_that_hold_are_taken(self) -> None:
        """Every kind of value is taken: text, numbers, truth values; and so are the options the solver uses itself."""
        check_options({"presolve": "on", "time_limit": 5.0, "simplex_iteration_limit": 7, "output_flag": False})
        for method in (DUAL_SIMPLEX, INTERIOR_POINT, LAST_RESORT):
            check_options(method)

    def test_an_extra_option_reaches_the_solver(self) -> None:
        """With no iteration allowed to any method, x >= 1 is not reached: the message names the status."""
        extra: dict[str, str | int] = {"solver": "simplex", "simplex_iteration_limit": 0, "presolve": "off"}
        needs_a_pivot = make_program([1.0, 1.0], rows=[(1.0, [1.0, 2.0], np.inf)])

        with pytest.raises(SolverError, match="iteration limit"):
            solve(needs_a_pivot, SolverOptions(extra=extra))

    @pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
    def test_a_time_limit_is_finite_and_not_negative(self, seconds: float) -> None:
        """A limit that is no time is refused before anything is solved."""
        with pytest.raises(InputError, match="time limit"):
            SolverOptions(time_limit_s=seconds)


class TestStatus:
    """How a solve ended is told, and only a plan comes out."""

    def test_an_optimum_is_proved_in_every_stage(self) -> None:
        """Min x + y with x + y >= 3, then min x: (0, 3); the row is worth 1, then nothing as x is at its bound."""
        solution = solve(make_program([1.0, 1.0], [1.0, 0.0], rows=[(3.0, [1.0, 1.0], np.inf)]), PLAIN)

        assert solution.is_optimal
        assert [stage.status for stage in solution.stages] == [SolveStatus.OPTIMAL] * 2
        assert values(solution) == pytest.approx([3.0, 0.0])
        assert solution.column_value.tolist() == pytest.approx([0.0, 3.0])
        assert [None if s.row_dual is None else s.row_dual.tolist() for s in solution.stages] == [[1.0], [0.0]]

    def test_an_infeasible_program_is_an_error(self) -> None:
        """No x lies between 0 and 1 and above 2: there is nothing to publish."""
        with pytest.raises(SolverError, match=r"'stage 0'.*infeasible"):
            solve(make_program([1.0], rows=[(2.0, [1.0], np.inf)], upper=1.0), PLAIN)

    def test_an_unbounded_program_is_never_called_optimal(self) -> None:
        """Min -x with x >= 0 has no least value: what is given out is a point at most, and its status says so."""
        solution = solve(make_program([-1.0], rows=[(0.0, [1.0], np.inf)]), PLAIN)

        assert not solution.is_optimal
        assert solution.stages[0].status is SolveStatus.UNBOUNDED

    def test_a_program_with_a_bound_that_is_no_number_is_an_error(self) -> None:
        """NaN in a program does not come out as a plan."""
        with pytest.raises(SolverError):
            solve(make_program([1.0, 1.0], rows=[(np.nan, [1.0, 1.0], np.nan)]), PLAIN)

    def test_a_program_without_stages_is_an_error(self) -> None:
        """Without anything to minimise there is no optimum."""
        program = replace(make_program([1.0]), stages=())

        with pytest.raises(SolverError, match="without stages"):
            solve(program, PLAIN)

    def test_no_columns_are_an_empty_optimum(self) -> None:
        """Nobody to plan for is no failure: zero columns, the stage at zero."""
        solution = solve(make_program([]), PLAIN)

        assert solution.is_optimal
        assert solution.column_value.size == 0
        assert values(solution) == [0.0]

    def test_stages_without_cost_change_nothing(self) -> None:
        """A stage whose costs are all zero has every feasible point as optimum: the next decides alone."""
        solution = solve(make_program([0.0, 0.0], [1.0, 2.0], rows=[(3.0, [1.0, 1.0], np.inf)]), PLAIN)

        assert solution.is_optimal
        assert solution.column_value.tolist() == pytest.approx([3.0, 0.0])

    @pytest.mark.parametrize("merged", [True, False])
    def test_no_time_gives_an_incumbent_or_an_error(self, merged: bool) -> None:
        """With a time limit of 0 s either nothing is known, which is an error that names the time limit, or what is
        given out holds every row and bound and is not called optimal.
        """
        program, weight = program_of(synthetic_scenario(100, seed=1), OptimizeOptions())

        solution = solved_in_time(program, 0.0, weight if merged else None)

        assert solution is None or not solution.is_optimal

    def test_time_runs_for_all_stages_together(self) -> None:
        """A limit too short for all stages of a large day ends the run soon after it."""
        program, weight = program_of(synthetic_scenario(400, seed=1, limit_share=0.35), OptimizeOptions())
        started = time.perf_counter()

        solved_in_time(program, 0.05, weight)

        assert time.perf_counter() - started < 3.0

    def test_what_earlier_stages_reached_holds_when_time_runs_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the last stage finds no time, its status says so, the plan is the one of the stage before, and its
        values are those of that plan.
        """
        scenario = synthetic_scenario(30, seed=1)
        program, _ = program_of(scenario, OptimizeOptions())
        complete = solve(program, PLAIN)
        attempts: list[int] = []
        real_status = highs.status_of

        def third_stage_stops(highs: highspy.Highs) -> SolveStatus:
            attempts.append(1)
            return SolveStatus.TIME_LIMIT if len(attempts) == len(program.stages) else real_status(highs)

        monkeypatch.setattr(stages, "status_of", third_stage_stops)

        stopped = solve(program, PLAIN)

        assert [stage.status for stage in stopped.stages] == [
            SolveStatus.OPTIMAL,
            SolveStatus.OPTIMAL,
            SolveStatus.TIME_LIMIT,
        ]
        assert not stopped.is_optimal
        assert values(stopped)[:2] == pytest.approx(values(complete)[:2])
        assert values(stopped)[2] == pytest.approx(program.stages[2].value(stopped.column_value))
        assert values(stopped)[2] >= values(complete)[2] - TOLERANCE
        assert_feasible(program, stopped.column_value)

    def test_hard_instances_go_on_to_another_method(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where dual simplex gives up at its iteration limit, interior point with crossover reaches the same."""
        program, _ = program_of(synthetic_scenario(50, seed=2, limit_share=0.35), OptimizeOptions())
        expected = solve(program, PLAIN)
        monkeypatch.setattr(stages, "SIMPLEX_ITERATIONS", 3)
        monkeypatch.setattr(stages, "SIMPLEX_ITERATIONS_PER_ROW", 0)

        again = solve(program, PLAIN)

        assert again.is_optimal
        assert values(again) == pytest.approx(values(expected), rel=1e-6, abs=1e-5)


def assert_feasible(program: LinearProgram, value: FloatArray) -> None:
    """Every bound and row holds within the solver's tolerance."""
    activity = program.activity(value)
    assert (value >= program.column_lower - TOLERANCE).all()
    assert (value <= program.column_upper + TOLERANCE).all()
    assert (activity >= program.row_lower - TOLERANCE).all()
    assert (activity <= program.row_upper + TOLERANCE).all()


def solved_in_time(program: LinearProgram, seconds: float, weight: float | None) -> Solution | None:
    """A solution that holds every row and bound, or None where there was no time for any."""
    try:
        solution = solve(program, SolverOptions(time_limit_s=seconds), hints=Hints(merge_weight=weight))
    except SolverError as error:
        if "time limit" not in str(error):
            raise
        return None
    assert_feasible(program, solution.column_value)
    return solution


class TestStages:
    """Stages are lexicographic and exact, in one solve or in several."""

    @settings(max_examples=80)
    @given(cases(limit_modes=[LimitMode.MEAN], per_phase=False, objectives=[COST_OBJECTIVE]))
    def test_merged_equals_one_after_the_other(self, case: Case) -> None:
        """Unmet energy and cost in one solve reach what each reaches on its own, and so does every later stage."""
        program, weight = program_of(case.scenario, case.options)
        assume(weight is not None)

        merged = solve(program, PLAIN, hints=Hints(merge_weight=weight))
        in_order = solve(program, PLAIN)

        assert merged.is_optimal
        assert values(merged) == pytest.approx(values(in_order), rel=1e-6, abs=1e-5)
        assert_feasible(program, merged.column_value)

    @settings(max_examples=80)
    @given(cases(), st.floats(1e-6, 1e4).map(lambda weight: weight * 1.0000917))
    def test_any_weight_gives_the_exact_optimum(self, case: Case, weight: float) -> None:
        """A weight that proves wrong is found out, whatever the limits: the result is the one without it.

        Weights that equal a price are left out: serving and not serving tie then, which no proved weight comes near.
        """
        program, _ = program_of(case.scenario, case.options)
        assume(len(program.stages) > 1)

        merged = solve(program, PLAIN, hints=Hints(merge_weight=weight))
        in_order = solve(program, PLAIN)

        assert values(merged) == pytest.approx(values(in_order), rel=1e-5, abs=1e-4)

    @given(case=cases())
    @settings(max_examples=50)
    def test_leaving_out_what_is_fixed_changes_no_value(self, case: Case) -> None:
        """Columns that earlier stages fix, and rows of nothing else, may be left out of later ones or not."""
        program, weight = program_of(case.scenario, case.options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(linear_program, "MOST_FREE", 1.0)
            without = solve(program, PLAIN, hints=Hints(merge_weight=weight))
            patch.setattr(linear_program, "MOST_FREE", -1.0)
            whole = solve(program, PLAIN, hints=Hints(merge_weight=weight))

        assert values(without) == pytest.approx(values(whole), rel=1e-5, abs=1e-4)
        assert_feasible(program, without.column_value)

    def test_what_is_left_is_put_back_where_it_was(self) -> None:
        """Of x = 2, y and z, x and the row of it alone go; y and z stay, under what x leaves of their row."""
        program = make_program(
            [0.0, 1.0, 2.0], rows=[(2.0, [1.0, 0.0, 0.0], 2.0), (-np.inf, [1.0, 1.0, 1.0], 5.0)], upper=9.0
        )
        fixed = np.array([2.0, 0.0, 0.0])
        program = replace(program, column_lower=fixed, column_upper=np.array([2.0, 9.0, 9.0]))
        start = np.array([0, 1, 4])
        program = replace(
            program, row_start=start, row_column=np.array([0, 0, 1, 2]), row_value=np.array([1.0, 1.0, 1.0, 1.0])
        )

        part = program.without_fixed()

        assert part is not None
        assert part.program.row_upper.tolist() == [3.0]
        assert part.program.row_column.tolist() == [0, 1]
        assert part.value(np.array([1.0, 2.0])).tolist() == [2.0, 1.0, 2.0]
        assert part.of_columns(np.array([7.0, 8.0])).tolist() == [0.0, 7.0, 8.0]
        assert part.of_rows(np.array([7.0])).tolist() == [0.0, 7.0]

    def test_too_small_a_weight_is_found_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """10 kWh at 0.20: at 0.1 per unmet kWh the merged cost is least with nothing delivered. That is not the least
        unmet energy, so that the stages are solved in order: all 10 kWh for 2.00.
        """
        program, right = program_of(make_scenario(tariff=make_tariff()), HOURLY)
        verdicts: list[bool] = []
        certify = stages.Run.certify

        def recorded(*arguments: object) -> FloatArray | None:
            duals = certify(*arguments)  # type: ignore[arg-type]
            verdicts.append(duals is not None)
            return duals

        monkeypatch.setattr(stages.Run, "certify", recorded)

        solution = solve(program, PLAIN, hints=Hints(merge_weight=0.1))

        assert verdicts == [False]
        assert right is not None
        assert right > 0.30
        assert values(solution)[:2] == pytest.approx([0.0, 2.0])

    def test_a_right_weight_is_certified_where_energy_stays_unmet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """10 kWh asked for, 3 + 3 kWh allowed: 4 kWh stay unmet, which the merged optimum is shown to have to leave."""
        site = make_site()
        tight = replace(site, groups=(replace(site.groups[0], import_limit_kw=3.0),))
        program, weight = program_of(make_scenario(site=tight, tariff=make_tariff()), HOURLY)
        solves: list[int] = []
        load = highs.loaded

        def counted(*arguments: object) -> object:
            solves.append(1)
            return load(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(stages, "loaded", counted)

        solution = solve(program, PLAIN, hints=Hints(merge_weight=weight))

        assert values(solution)[:2] == pytest.approx([4.0, 3 * 0.20 + 3 * 0.30])
        assert len(solves) == len(program.stages) - 1

    def test_the_first_stage_wins_at_any_price(self) -> None:
        """Min x + y over x + 2 y >= 2 is 1 at (0, 1); a second stage that charges a million for y changes nothing."""
        program = make_program([1.0, 1.0], [0.0, 1e6], rows=[(2.0, [1.0, 2.0], np.inf)])

        solution = solve(program, PLAIN)

        assert solution.column_value.tolist() == pytest.approx([0.0, 1.0])
        assert values(solution) == pytest.approx([1.0, 1e6])

    def test_ties_are_left_to_the_next_stage(self) -> None:
        """Min x + y + z over x + y + z >= 1 leaves a triangle, min x an edge of it, min y its corner (0, 0, 1)."""
        program = make_program([1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], rows=[(1.0, [1.0, 1.0, 1.0], np.inf)])

        assert solve(program, PLAIN).column_value.tolist() == pytest.approx([0.0, 0.0, 1.0])

    @pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
    def test_the_unit_of_the_currency_does_not_matter(self, scale: float) -> None:
        """Prices in millionths or millions of a currency unit choose the same plan, here by a difference of 1 %."""
        program = make_program([scale * 1.00, scale * 1.01], rows=[(1.0, [1.0, 1.0], np.inf)])

        solution = solve(program, PLAIN)

        assert solution.column_value.tolist() == pytest.approx([1.0, 0.0])
        assert values(solution) == pytest.approx([scale])


class TestScarcity:
    """A large day on which much stays unmet whatever is planned begins with interior point."""

    @pytest.mark.parametrize(("share", "scarce"), [(1.0, False), (0.35, True)])
    def test_a_tenth_that_no_plan_can_serve_is_scarce(self, share: float, scarce: bool) -> None:
        """A quarter stays unmet at 35 % of a limit under which all is served."""
        assert is_scarce(prepare(synthetic_scenario(100, seed=1, limit_share=share), OptimizeOptions())) is scarce

    def test_the_bound_is_worked_out_by_hand(self) -> None:
        """Two vehicles of 10 kW want 10 kWh each in the same hour: 18 kW leave exactly a tenth, 18.1 kW less."""
        sessions = tuple(
            make_session(session_id=name, departure=MORNING + HOUR, energy_kwh=10.0, max_power_kw=10.0) for name in "ab"
        )

        def scarce(limit_kw: float) -> bool:
            site = make_site(groups=(CapacityGroup(group_id="main", import_limit_kw=limit_kw),))
            return is_scarce(prepare(make_scenario(site=site, sessions=sessions), HOURLY))

        assert [scarce(18.0), scarce(18.1)] == [True, False]

    def test_it_reaches_the_same_values(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Interior point alone solves the merged stages, and no value differs."""
        program, weight = program_of(synthetic_scenario(100, seed=1, limit_share=0.35), OptimizeOptions())
        usual = values(solve(program, PLAIN, hints=Hints(merge_weight=weight)))
        monkeypatch.setattr(stages, "LARGE", 0)

        with caplog.at_level("DEBUG", logger="optimizer.stages"):
            found = values(solve(program, PLAIN, hints=Hints(merge_weight=weight, is_scarce=True)))

        assert found == pytest.approx(usual, rel=TOLERANCE)
        assert ["method=ipx" in record.getMessage() for record in caplog.records] == [True, False]
