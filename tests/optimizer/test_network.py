"""Starts of large programs: the energies that prices lead to, samples, and that no start changes a value."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.scenario import Scenario
from models.domain.time_grid import FloatArray
from optimizer import network as networks
from optimizer import stages
from optimizer.basis import AT_UPPER, BASIC, Basis, hand_over
from optimizer.bench.synthetic import scenario as synthetic_scenario
from optimizer.engine import optimize
from optimizer.filling import Filling
from optimizer.formulation import formulate
from optimizer.highs import PRIMAL_SIMPLEX, SolveStatus, loaded, scale_of, solution_of, status_of
from optimizer.linear_program import LinearProgram
from optimizer.network import Network
from optimizer.objective import applicable_stages, merge_weight
from optimizer.options import COST_OBJECTIVE, OptimizeOptions, SolverOptions
from optimizer.prepare import prepare
from optimizer.problem import CapacityProblem
from optimizer.solver import solve
from optimizer.stages import Hints, Run
from tests.properties.strategies import Case, cases

PLAIN = SolverOptions()
TOLERANCE = 1e-5
"""kWh or currency, of stages that each hold to 1e-6."""
ITERATIONS = re.compile(r"columns=(\d+) iterations=(\d+)")


class Day:
    """A day's program of unmet energy and cost."""

    def __init__(self, scenario: Scenario) -> None:
        options = OptimizeOptions(objective=COST_OBJECTIVE)
        self.problem: CapacityProblem = prepare(scenario, options)
        stages_ = applicable_stages(self.problem, COST_OBJECTIVE)
        self.program: LinearProgram = formulate(self.problem, stages_)
        self.weight = merge_weight(self.problem, stages_)
        assert self.weight is not None
        cost = self.weight * self.program.stages[0].cost + self.program.stages[1].cost
        self.cost: FloatArray = cost / scale_of(cost)

    @property
    def network(self) -> Network:
        """Its network, which it is to have."""
        network = Network.of(self.program, self.problem)
        assert network is not None
        return network

    def filling(self, price: FloatArray) -> Filling:
        """What sessions take at prices of the limits."""
        return Filling(self.program, self.cost, price, session=self.network.session, step=self.network.step)

    def optimum(self, basis: Basis | None = None) -> tuple[highspy.Highs, FloatArray]:
        """HiGHS after a run from a basis, and the duals of the limits."""
        highs = loaded(self.program, self.cost, PRIMAL_SIMPLEX, PLAIN)
        if basis is not None:
            assert hand_over(basis, highs)
        highs.run()
        assert status_of(highs) is SolveStatus.OPTIMAL
        return highs, solution_of(highs)[1][self.program.rows["capacity_limit"]]


@pytest.fixture(autouse=True)
def small_programs_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let days of a few hundred sessions start like the largest."""
    monkeypatch.setattr(networks, "LEAST_COLUMNS", 0)
    monkeypatch.setattr(networks, "SESSIONS_PER_LIMIT", 5)
    monkeypatch.setattr(networks, "MOST_SHORT", 1.0)


class TestStart:
    """Bases that HiGHS has nothing left to do from, or little."""

    def test_where_no_limit_binds_nothing_is_left_to_do(self) -> None:
        """Everybody charges when it is cheapest: that basis is optimal."""
        day = Day(synthetic_scenario(60, seed=1, limit_share=10.0))

        basis = day.network.unlimited(day.program, day.cost)

        assert basis is not None
        highs, _ = day.optimum(basis)
        assert highs.getInfo().simplex_iteration_count == 0

    def test_where_a_limit_binds_filling_in_order_is_no_start(self) -> None:
        """It would exceed the limit."""
        day = Day(synthetic_scenario(60, seed=1))

        assert day.network.unlimited(day.program, day.cost) is None

    def test_a_row_that_has_to_be_full_is_no_limit_to_stay_below(self) -> None:
        """Where an earlier stage fills a limit, filling in order is an optimum only if it does too."""
        day = Day(synthetic_scenario(60, seed=1, limit_share=10.0))
        full = day.program.row_upper.copy()
        full[: len(day.problem.sessions)] = -np.inf

        assert (
            day.network.unlimited(replace(day.program, row_lower=np.maximum(day.program.row_lower, full)), day.cost)
            is None
        )

    @pytest.mark.parametrize("limit_share", [1.0, 0.35])
    def test_right_prices_leave_little_to_do(self, limit_share: float) -> None:
        """At the duals of the optimum the start holds every limit, serves as much, and costs about as much."""
        day = Day(synthetic_scenario(300, seed=1, limit_share=limit_share))
        highs, dual = day.optimum()
        from_scratch = highs.getInfo()
        filling = day.filling(np.maximum(-dual, 0.0))
        filling.by_laxity()

        found, _ = day.optimum(filling.basis())

        assert filling.holds
        assert found.getInfo().objective_function_value == pytest.approx(from_scratch.objective_function_value)
        assert found.getInfo().simplex_iteration_count < 0.1 * from_scratch.simplex_iteration_count

    def test_a_sample_has_every_eighth_session_and_their_share_of_the_limit(self) -> None:
        """Its limits are cut down as its need is."""
        day = Day(synthetic_scenario(400, seed=1))
        sample = day.network.sample(day.program, day.cost)

        assert sample is not None
        sessions = sample.program.rows["energy_balance"].stop
        assert sessions == 50
        need = sample.program.row_lower[:sessions].sum() / day.problem.reachable_energy_kwh.sum()
        limits = sample.program.row_upper[sessions:] / day.problem.limit_rows.capacity_kwh
        assert limits == pytest.approx(np.full(limits.size, need), rel=0.02)

    def test_a_sample_of_the_optima_keeps_full_limits_full(self) -> None:
        """What some sessions have in an optimum is one of their own, where limits that have to be full are as well."""
        day = Day(synthetic_scenario(400, seed=1, price="negative"))
        run = Run(day.program, PLAIN, None, hints=Hints(merge_weight=day.weight))
        run.solution()
        run.narrow()

        sample = day.network.sample(run.program, day.cost, run.value)

        assert sample is not None
        assert sample.value is not None
        program = sample.program
        limits = program.rows["capacity_limit"]
        load_kwh = program.activity(sample.value)
        assert (load_kwh >= program.row_lower - TOLERANCE).all()
        assert (load_kwh <= program.row_upper + TOLERANCE).all()
        is_full = np.isfinite(program.row_lower[limits])
        assert is_full.any()
        assert (program.row_lower[limits] == program.row_upper[limits])[is_full].all()

    def test_a_sample_that_would_be_too_small_is_none(self) -> None:
        """Ten sessions a step tell nothing of a limit's price."""
        day = Day(synthetic_scenario(40, seed=1))

        assert day.network.sample(day.program, day.cost) is None

    def test_a_start_that_leaves_much_without_a_place_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without prices everybody wants the cheapest hours."""
        day = Day(synthetic_scenario(300, seed=1))
        nothing = np.zeros(day.network.limit.size)

        assert day.network.near(day.program, day.cost, nothing) is not None
        monkeypatch.setattr(networks, "MOST_SHORT", 0.005)
        assert day.network.near(day.program, day.cost, nothing) is None

    def test_more_than_sessions_under_limits_is_no_network(self) -> None:
        """Nor is a small program worth a start."""
        day = Day(synthetic_scenario(20, seed=1))
        more = day.program.extended({"more_kw": np.ones(1)})

        assert Network.of(more, day.problem) is None
        assert Network.of(day.program, day.problem) is not None

    def test_a_session_has_a_basic_column_and_a_full_limit_none(self) -> None:
        """As many basic columns as rows, but for what the start leaves undecided."""
        day = Day(synthetic_scenario(300, seed=1))
        _, dual = day.optimum()
        filling = day.filling(np.maximum(-dual, 0.0))
        filling.by_laxity()

        basis = filling.basis()

        members = np.count_nonzero(basis.columns == BASIC) + np.count_nonzero(basis.rows == BASIC)
        assert abs(members - day.program.row_count) <= 0.05 * day.program.row_count
        assert (basis.rows[: len(day.problem.sessions)] == AT_UPPER).all()


class TestValues:
    """What a start never does: change what is optimal."""

    @given(case=cases())
    @settings(max_examples=100)
    def test_no_start_changes_a_value(self, case: Case) -> None:
        """All stages reach the same values with and without, on sites of every kind."""
        problem = prepare(case.scenario, case.options)
        stages_ = applicable_stages(problem, case.options.objective)
        program = formulate(problem, stages_)
        weight = merge_weight(problem, stages_)
        network = Network.of(program, problem)

        usual = solve(program, PLAIN, hints=Hints(merge_weight=weight))
        found = solve(program, PLAIN, hints=Hints(merge_weight=weight, network=network))

        assert found.is_optimal
        for one, other in zip(found.stages, usual.stages, strict=True):
            assert one.value == pytest.approx(other.value, rel=TOLERANCE, abs=TOLERANCE)

    @given(
        seed=st.integers(0, 1_000),
        limit_share=st.sampled_from([0.2, 0.5, 0.8, 1.0, 1.3, 5.0]),
        price=st.sampled_from(["varied", "flat", "negative", "none"]),
        feeders=st.sampled_from([0, 3]),
        three_phase=st.booleans(),
    )
    @settings(max_examples=30)
    def test_no_start_changes_a_day(
        self, seed: int, limit_share: float, price: str, feeders: int, *, three_phase: bool
    ) -> None:
        """Whole days from scratch and from starts have the same values in every stage."""
        day = synthetic_scenario(
            80, seed=seed, limit_share=limit_share, price=price, feeders=feeders, three_phase=three_phase
        )
        with pytest.MonkeyPatch.context() as patch:
            found = optimize(day).stages
            patch.setattr(networks, "LEAST_COLUMNS", 10**9)
            usual = optimize(day).stages

        assert all(stage.proved for stage in found)
        for one, other in zip(found, usual, strict=True):
            assert one.value == pytest.approx(other.value, rel=TOLERANCE, abs=TOLERANCE)

    def test_a_bad_start_is_given_up(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        """Simplex that does not get through from it begins from scratch."""
        day = Day(synthetic_scenario(300, seed=1))
        usual = solve(day.program, PLAIN, hints=Hints(merge_weight=day.weight))
        monkeypatch.setattr(stages, "NETWORK_ITERATIONS", 1)
        monkeypatch.setattr(Network, "sample", lambda *_: None)
        backwards = day.filling(np.linspace(100.0, 0.0, day.network.limit.size))
        backwards.by_laxity()
        monkeypatch.setattr(Network, "unlimited", lambda *_: backwards.basis())

        with caplog.at_level(logging.DEBUG, logger="optimizer.stages"):
            found = solve(day.program, PLAIN, hints=Hints(merge_weight=day.weight, network=day.network))

        assert "iteration limit" in caplog.records[0].getMessage()
        assert [stage.value for stage in found.stages] == pytest.approx([stage.value for stage in usual.stages])

    @pytest.mark.parametrize(("price", "limit_share"), [("varied", 0.35), ("varied", 1.0), ("negative", 1.0)])
    def test_most_iterations_are_saved(self, price: str, limit_share: float, caplog: pytest.LogCaptureFixture) -> None:
        """The first solve of a day, and the last, of what is left, take HiGHS 15 % of the iterations at most."""
        day = synthetic_scenario(1_000, seed=1, price=price, limit_share=limit_share)
        problem = prepare(day, OptimizeOptions())
        stages_ = applicable_stages(problem, OptimizeOptions().objective)
        program = formulate(problem, stages_)
        weight = merge_weight(problem, stages_)

        def iterations(network: Network | None) -> tuple[int, int]:
            caplog.clear()
            with caplog.at_level(logging.DEBUG, logger="optimizer.stages"):
                solve(program, PLAIN, hints=Hints(merge_weight=weight, network=network))
            found = [ITERATIONS.search(record.getMessage()) for record in caplog.records]
            known = [(match[1], int(match[2])) for match in found if match is not None]
            return next(count for columns, count in known if columns == str(program.column_count)), known[-1][1]

        for usual, found in zip(iterations(None), iterations(Network.of(program, problem)), strict=True):
            assert found < 0.15 * usual
