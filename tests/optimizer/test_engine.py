"""What comes out when the solver fails or has no time, and what a schedule says of how it was made."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from models.errors import SolverError, VerificationError
from optimizer import engine, highs, optimum, stages
from optimizer.bench.synthetic import scenario as synthetic_scenario
from optimizer.engine import optimize
from optimizer.extract import Outcome, to_schedule
from optimizer.highs import SolveStatus
from optimizer.options import OptimizeOptions, SolverOptions, Stage, Strategy
from optimizer.problem import CapacityProblem
from optimizer.solver import solve
from optimizer.verify import verify
from tests.builders import HOUR, MORNING, make_one_limit, make_scenario, make_session, make_tariff
from tests.optimizer.plans.by_hand import HOURLY, approx, planned, table


class TestFallback:
    """Where the solver fails, something that holds goes out instead, and says what it is."""

    scenario = make_one_limit(
        10.0, [make_session("A", departure=MORNING + HOUR), make_session("B", departure=MORNING + HOUR, priority=3.0)]
    )
    """10 kWh in one hour for two who ask for 10 each; heuristics know no priorities and serve A."""

    @pytest.fixture
    def broken_solver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(*_: object, **__: object) -> None:
            raise SolverError("HiGHS ended stage 'unmet_energy' without a solution: time limit")

        monkeypatch.setattr(optimum, "solve", fails)

    @pytest.fixture
    def verified(self, monkeypatch: pytest.MonkeyPatch) -> list[Schedule]:
        """Every schedule that was verified."""
        seen: list[Schedule] = []

        def recorded(scenario: Scenario, schedule: Schedule, **options: object) -> object:
            seen.append(schedule)
            return verify(scenario, schedule, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(engine, "verify", recorded)
        return seen

    @pytest.mark.usefixtures("broken_solver")
    def test_a_heuristic_stands_in(self, verified: list[Schedule]) -> None:
        """The status is fallback, the strategy a heuristic's, the note says why, and it was verified."""
        plan = optimize(self.scenario, HOURLY)

        assert plan.status is ScheduleStatus.FALLBACK
        assert plan.strategy in (Strategy.LEAST_LAXITY, Strategy.EARLIEST_DEADLINE)
        assert "time limit" in " ".join(plan.notes)
        assert plan.delivered_energy_kwh == pytest.approx(10.0)
        assert [schedule.power_kw.tolist() for schedule in verified] == [plan.power_kw.tolist()]
        assert plan.stages == ()
        assert np.isnan(plan.group("main").shadow_price_per_kwh).all()

    def test_the_plan_in_force_stands_in_when_it_is_better(
        self, monkeypatch: pytest.MonkeyPatch, verified: list[Schedule]
    ) -> None:
        """The optimum of before serves B, of priority 3: 10 weighted kWh unmet instead of a heuristic's 30."""
        previous = planned(self.scenario)
        self.fail_from_now_on(monkeypatch)

        plan = optimize(replace(self.scenario, previous=previous), HOURLY)

        assert (plan.status, plan.strategy) == (ScheduleStatus.FALLBACK, "previous-plan")
        assert table(plan) == approx({"A": [0.0], "B": [10.0]})
        assert verified[-1].strategy == "previous-plan"

    def test_the_plan_in_force_does_not_when_it_is_worse(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A plan in force for somebody who left serves nobody who is here."""
        previous = planned(make_one_limit(10.0, [make_session("gone")]))
        self.fail_from_now_on(monkeypatch)

        plan = optimize(replace(self.scenario, previous=previous), HOURLY)

        assert plan.strategy != "previous-plan"
        assert plan.delivered_energy_kwh == pytest.approx(10.0)

    def test_priorities_decide_what_is_better(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The plan in force serves B, who had the priority then; now A has it. A heuristic that serves A leaves as much
        energy unmet, but energy that counts for less.
        """
        previous = planned(self.scenario)
        assert table(previous) == approx({"A": [0.0], "B": [10.0]})
        self.fail_from_now_on(monkeypatch)
        first, second = self.scenario.sessions
        now = (replace(first, priority=3.0), replace(second, priority=1.0))

        plan = optimize(replace(self.scenario, sessions=now, previous=previous), HOURLY)

        assert plan.strategy != "previous-plan"
        assert table(plan) == approx({"A": [10.0], "B": [0.0]})

    def test_the_plan_in_force_is_cut_to_the_limits_of_now(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It drew 10 kW; under 4 kW now, 4 kW of it are left, and they are B's."""
        previous = planned(self.scenario)
        self.fail_from_now_on(monkeypatch)
        site = self.scenario.site
        tight = replace(site, groups=(CapacityGroup(group_id="main", import_limit_kw=4.0),))

        plan = optimize(replace(self.scenario, site=tight, previous=previous), HOURLY)

        assert plan.strategy == "previous-plan"
        assert table(plan) == approx({"A": [0.0], "B": [4.0]})

    def fail_from_now_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(*_: object, **__: object) -> None:
            raise SolverError("failed")

        monkeypatch.setattr(optimum, "solve", fails)

    def test_a_plan_that_breaks_a_limit_never_gets_out(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Where the optimum's energies come out doubled, verification refuses them, a heuristic stands in, and the
        refusal is logged with the site.
        """
        monkeypatch.setattr(optimum, "tidy", lambda problem, energy_kwh, _: 2.0 * energy_kwh)

        with caplog.at_level(logging.ERROR):
            plan = optimize(self.scenario, HOURLY)

        assert plan.status is ScheduleStatus.FALLBACK
        assert "did not pass verification" in " ".join(plan.notes)
        assert "site=depot" in caplog.text
        assert plan.delivered_energy_kwh == pytest.approx(10.0)

    @pytest.mark.parametrize("strategy", [Strategy.OPTIMAL, Strategy.EQUAL_SHARE, Strategy.UNCONTROLLED])
    def test_where_nothing_passes_nothing_gets_out(self, monkeypatch: pytest.MonkeyPatch, strategy: Strategy) -> None:
        """A fault behind every strategy, here a cost that is not the rows', ends in an error and not in a plan."""

        def misstated(problem: CapacityProblem, outcome: Outcome) -> Schedule:
            return replace(to_schedule(problem, outcome), energy_cost=1.0)

        monkeypatch.setattr(engine, "to_schedule", misstated)

        with pytest.raises(VerificationError, match="energy cost"):
            optimize(self.scenario, replace(HOURLY, strategy=strategy))

    @pytest.mark.parametrize("strategy", [s for s in Strategy if s is not Strategy.OPTIMAL])
    def test_a_heuristic_that_was_asked_for_is_no_fallback(self, strategy: Strategy) -> None:
        """Its status is heuristic; nothing is proved and no shadow price is known."""
        plan = optimize(self.scenario, replace(HOURLY, strategy=strategy))

        assert (plan.status, plan.strategy) == (ScheduleStatus.HEURISTIC, strategy)
        assert plan.stages == ()
        expected_kwh = 20.0 if strategy is Strategy.UNCONTROLLED else 10.0
        assert plan.delivered_energy_kwh == pytest.approx(expected_kwh)


class TestTimeLimit:
    """However little time there is, what comes out holds every limit and says what it is."""

    @pytest.mark.parametrize("seconds", [0.0, 1e-3, 0.01, 0.03, 0.1])
    @pytest.mark.parametrize("limit_share", [1.0, 0.35], ids=["ample", "scarce"])
    def test_little_time(self, seconds: float, limit_share: float) -> None:
        """300 sessions in next to no time: optimal only if every stage was proved, feasible only if the first was or
        an incumbent held, else a fallback with a note.
        """
        scenario = synthetic_scenario(300, seed=5, limit_share=limit_share, feeders=3)
        options = OptimizeOptions(solver=SolverOptions(time_limit_s=seconds))

        plan = optimize(scenario, options)

        assert verify(scenario, plan, limit_mode=options.limit_mode).violations == ()
        proved = [stage.proved for stage in plan.stages]
        if plan.status is ScheduleStatus.FALLBACK:
            assert any("time limit" in note for note in plan.notes)
            assert proved == []
        else:
            assert (plan.status is ScheduleStatus.OPTIMAL) == all(proved)
            assert proved == sorted(proved, reverse=True)
        assert plan.delivered_energy_kwh > 0.5 * plan.requested_energy_kwh

    def test_enough_time_changes_nothing(self) -> None:
        """A limit that is not reached gives the same plan as none."""
        scenario = synthetic_scenario(40, seed=6)

        limited = optimize(scenario, OptimizeOptions(solver=SolverOptions(time_limit_s=60.0)))

        assert limited.status is ScheduleStatus.OPTIMAL
        assert limited.power_kw.tolist() == optimize(scenario).power_kw.tolist()

    def test_stages_that_were_not_proved_are_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where time runs out after unmet energy and cost, the plan has the optimum's cost and is called feasible."""
        scenario = synthetic_scenario(40, seed=6)
        complete = planned(scenario, OptimizeOptions())

        def stopped(program: object, options: object, **merging: object) -> object:
            solution = solve(program, options, **merging)  # type: ignore[arg-type]
            last = replace(solution.stages[-1], status=SolveStatus.TIME_LIMIT)
            return replace(solution, stages=(*solution.stages[:-1], last))

        monkeypatch.setattr(optimum, "solve", stopped)

        plan = optimize(scenario)

        assert plan.status is ScheduleStatus.FEASIBLE
        assert [stage.proved for stage in plan.stages] == [True, True, False]
        assert plan.energy_cost == pytest.approx(complete.energy_cost)


class TestReport:
    """What a schedule says of how it was made."""

    def test_every_phase_is_timed(self) -> None:
        """Preparing, building, translating, solving, extracting and verifying add up to the total."""
        seconds = planned(make_scenario()).seconds

        assert list(seconds) == ["prepare", "build", "translate", "solve", "extract", "verify", "total"]
        assert seconds["total"] == pytest.approx(sum(seconds.values()) - seconds["total"])

    def test_unmet_energy_and_cost_take_one_solve(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Three stages, two solves: the first two are merged wherever that is proved exact."""
        loads: list[str] = []
        load = highs.loaded

        def counted(*arguments: object) -> object:
            loads.append("load")
            return load(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(stages, "loaded", counted)

        plan = planned(make_scenario(tariff=make_tariff()))

        assert len(plan.stages) == 3
        assert len(loads) == 2

    def test_one_line_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        """One INFO line for each optimization, identifiers first."""
        with caplog.at_level(logging.INFO, logger="optimizer.engine"):
            planned(make_scenario())

        (record,) = caplog.records
        assert record.getMessage().startswith("site=depot sessions=1 steps=2 ")
        assert "status=optimal" in record.getMessage()

    def test_defaults_are_taken_without_options(self) -> None:
        """Quarters, means, cost."""
        plan = optimize(make_scenario(tariff=make_tariff()))

        assert plan.grid.step_hours.tolist() == [0.25] * 8
        assert [stage.name for stage in plan.stages] == ["unmet_energy", "energy_cost", "earliest_delivery"]

    def test_the_order_of_stages_is_an_option(self) -> None:
        """Earliest delivery before cost fills the first hour although it is dearer."""
        scenario = make_one_limit(50.0, [make_session()], tariff=make_tariff((0.30, 0.20)))
        early = (Stage.UNMET_ENERGY, Stage.EARLIEST_DELIVERY, Stage.ENERGY_COST)

        plan = planned(scenario, replace(HOURLY, objective=early))

        assert table(plan) == approx({"S1": [10.0, 0.0]})
