"""Plans that are prepared for surprises, and plans that move only where that pays: worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule
from models.domain.uncertainty import DepartureErrors, Surprise, Uncertainty
from models.errors import FileInputError, InputError
from optimizer.engine import optimize
from optimizer.options import COST_OBJECTIVE, Backend, OptimizeOptions, SolverOptions, Stage
from optimizer.rolling import moved
from optimizer.scenario_io import load_scenario
from optimizer.verify import verify
from tests.builders import HOUR, MORNING, make_charger, make_scenario, make_session, make_site, make_tariff
from tests.optimizer.scenario_folder import write_folder, write_json
from tests.properties.strategies import Case, cases

HOURLY = OptimizeOptions(raster=HOUR)
AN_HOUR_EARLY = DepartureErrors(hours=(-1.0, 0.0))


def prepared(*surprises: Surprise, errors: DepartureErrors | None = AN_HOUR_EARLY) -> OptimizeOptions:
    """Hourly steps, the first of them prepared."""
    return replace(HOURLY, uncertainty=Uncertainty(surprises=surprises, departure_errors=errors))


def one_session(hours: int, *, prices: tuple[float, ...], limit_kw: float = 100.0) -> Scenario:
    """10 kWh at 22 kW within some hours."""
    return make_scenario(
        site=make_site(groups=[CapacityGroup(group_id="main", import_limit_kw=limit_kw)]),
        sessions=[make_session(departure=MORNING + hours * HOUR)],
        tariff=make_tariff(prices),
    )


def by_step(plan: Schedule) -> list[float]:
    """Energy of each step, kWh."""
    steps: list[float] = np.bincount(plan.step_index, weights=plan.energy_kwh, minlength=plan.grid.steps).tolist()
    return steps


class TestDepartures:
    """Who may leave early is served while that is sure."""

    def test_what_could_be_lost_is_served_first(self) -> None:
        """Two hours, the second cheaper: who may leave after the first is served in it, who stays in the second."""
        scenario = one_session(2, prices=(0.30, 0.20))

        plan = optimize(scenario, prepared(Surprise(probability=0.1, departure_level=0.0)))

        assert by_step(plan) == pytest.approx([10.0, 0.0])
        assert by_step(optimize(scenario, HOURLY)) == pytest.approx([0.0, 10.0])
        assert [stage.name for stage in plan.stages][:2] == ["expected_unmet", "unmet_energy"]
        assert plan.stages[0].value == pytest.approx(0.0, abs=1e-6)

    def test_what_can_still_be_served_waits(self) -> None:
        """Three hours, each cheaper; who leaves an hour early can still be served in the second: the plan waits."""
        plan = optimize(
            one_session(3, prices=(0.30, 0.25, 0.20)), prepared(Surprise(probability=0.5, departure_level=0.0))
        )

        assert by_step(plan) == pytest.approx([0.0, 0.0, 10.0])

    def test_who_may_leave_goes_before_who_stays(self) -> None:
        """A and B want 10 kWh under 10 kW, A within two hours, B within three, and both may leave an hour early. 10 kWh
        of the first hour go to A, which has no other; B still has the second.
        """
        sessions = [
            make_session("A", charger_id="C1"),
            make_session("B", charger_id="C2", departure=MORNING + 3 * HOUR),
        ]
        site = make_site(
            groups=[CapacityGroup(group_id="main", import_limit_kw=10.0)],
            chargers=[make_charger("C1"), make_charger("C2")],
        )

        plan = optimize(
            make_scenario(site=site, sessions=sessions), prepared(Surprise(probability=0.3, departure_level=0.0))
        )

        first = {plan.sessions[i].session.session_id for i in plan.session_index[plan.step_index == 0].tolist()}
        assert first == {"A"}
        assert plan.unmet_energy_kwh == pytest.approx(0.0)

    def test_quantiles_are_those_of_who_has_not_left(self) -> None:
        """Errors of -2 to 2 h. Of those who err by more than -1 h, three quarters, the half err by less than 0.5 h; who
        is later than anybody was leaves now.
        """
        errors = DepartureErrors(hours=(-2.0, -1.0, 0.0, 1.0, 2.0))

        found = errors.later_than(np.array([-5.0, -1.0, 3.0]), 0.5)

        assert found.tolist() == pytest.approx([0.0, 0.5, 3.0])

    def test_quantiles_of_what_was_measured(self) -> None:
        """Of 0, 1 and 2 h the quantiles at 0, 1/2 and 1 are these."""
        assert DepartureErrors.measured([2.0, 0.0, 1.0], quantiles=3).hours == pytest.approx((0.0, 1.0, 2.0))


class TestWeighedDepartures:
    """Without surprises, what is planned counts as far as the vehicle is likely to be still there."""

    def test_half_of_what_comes_late_is_lost(self) -> None:
        """10 kWh within two hours under 6 kW, the second hour cheaper. Departures are spread evenly over the last hour:
        in the middle of the second hour half of all vehicles are still there. The first hour gives 6 kWh for sure, the
        second 4 kWh, of which 2 are lost.
        """
        scenario = one_session(2, prices=(0.30, 0.20), limit_kw=6.0)

        plan = optimize(scenario, prepared())

        assert by_step(plan) == pytest.approx([6.0, 4.0])
        assert [stage.name for stage in plan.stages][:2] == ["likely_unmet", "unmet_energy"]
        assert plan.stages[0].value == pytest.approx(2.0)
        assert plan.stages[1].value == pytest.approx(0.0, abs=1e-6)

    def test_where_nothing_can_be_lost_cost_decides(self) -> None:
        """Three hours, the second cheapest; nobody leaves before the third: the second is as sure as the first."""
        plan = optimize(one_session(3, prices=(0.30, 0.20, 0.10)), prepared())

        assert by_step(plan) == pytest.approx([0.0, 10.0, 0.0])

    def test_who_is_likelier_to_leave_goes_first(self) -> None:
        """A and B want 10 kWh within two hours under 10 kW. A's like leave during the last hour, B's stay: A is first,
        whichever way round they are known.
        """
        sessions = [make_session(name, charger_id=name, departure=MORNING + 2 * HOUR) for name in ("A", "B")]
        site = make_site(
            groups=[CapacityGroup(group_id="main", import_limit_kw=10.0)],
            chargers=[make_charger("A"), make_charger("B")],
        )
        scenario = make_scenario(site=site, sessions=sessions)
        stays = DepartureErrors(hours=(0.0, 1.0))
        for early, late in (("A", "B"), ("B", "A")):
            own = Uncertainty(departure_errors=stays, own_departure_errors={early: AN_HOUR_EARLY})

            plan = optimize(scenario, replace(HOURLY, uncertainty=own))

            first = {
                plan.sessions[index].session.session_id
                for index, step in zip(plan.session_index.tolist(), plan.step_index.tolist(), strict=True)
                if step == 0
            }
            assert first == {early} != {late}

    def test_how_likely_somebody_stays(self) -> None:
        """Errors spread evenly from -1 to 1 h: at the stated departure half are there; of those who are there then,
        half stay half an hour longer; who stays longer than anybody did is there for certain.
        """
        errors = DepartureErrors(hours=(-1.0, 1.0))

        assert errors.staying(-2.0, np.array([-1.5, 0.0, 1.0])).tolist() == pytest.approx([1.0, 0.5, 0.0])
        assert errors.staying(0.0, np.array([0.5])).tolist() == pytest.approx([0.5])
        assert errors.staying(1.5, np.array([2.0])).tolist() == pytest.approx([1.0])

    @settings(max_examples=40)
    @given(
        cases(objectives=[COST_OBJECTIVE], rasters=[30, 60]),
        st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=5).map(sorted),
    )
    def test_it_is_a_plan(self, case: Case, hours: list[float]) -> None:
        """It holds every limit and proves every stage, and what is believed is served no better than by the plan that
        does nothing else.
        """
        plain = case.with_options(solver=SolverOptions(backend=Backend.ARRAYS))
        ready = plain.with_options(uncertainty=Uncertainty(departure_errors=DepartureErrors(hours=tuple(hours))))

        plan, simple = optimize(ready.scenario, ready.options), optimize(plain.scenario, plain.options)

        assert verify(case.scenario, plan, limit_mode=case.options.limit_mode).violations == ()
        assert all(stage.proved for stage in plan.stages)
        weighted = [sum(one.session.priority * one.unmet_energy_kwh for one in p.sessions) for p in (plan, simple)]
        assert weighted[0] >= weighted[1] - 1e-4


class TestCapacity:
    """What may be cut later is used now."""

    def test_as_much_as_a_cut_would_lose(self) -> None:
        """10 kW for two hours, cheaper in the second; a cut to half would leave 5 kWh for it: 5 go into the first."""
        scenario = one_session(2, prices=(0.30, 0.20), limit_kw=10.0)

        plan = optimize(scenario, prepared(Surprise(probability=0.1, capacity_share=0.5), errors=None))

        assert by_step(plan) == pytest.approx([5.0, 5.0])


class TestSteadiness:
    """A plan moves where that saves enough."""

    @pytest.mark.parametrize(("price", "hours"), [(0.02, [10.0, 0.0]), (0.005, [0.0, 10.0]), (0.0, [0.0, 10.0])])
    def test_a_small_saving_is_not_worth_moving_for(self, price: float, hours: list[float]) -> None:
        """10 kWh are planned for the first hour, when the second becomes cheaper by 0.01: they move for 0.005 per kWh,
        and not for 0.02.
        """
        before = optimize(one_session(2, prices=(0.20, 0.30)), HOURLY)
        scenario = replace(one_session(2, prices=(0.21, 0.20)), previous=before)

        plan = optimize(scenario, replace(HOURLY, moving_price_per_kwh=price))

        assert by_step(plan) == pytest.approx(hours)

    @settings(max_examples=40)
    @given(cases(objectives=[COST_OBJECTIVE], rasters=[60]), st.floats(0.5, 1.5))
    def test_where_moving_is_dear_nothing_moves(self, case: Case, factor: float) -> None:
        """Other prices alone move no energy where that costs more than they differ by, and service stays the same."""
        plain = case.with_options(solver=SolverOptions(backend=Backend.ARRAYS))
        before = optimize(plain.scenario, plain.options)
        prices = tuple(
            replace(block, import_price_per_kwh=block.import_price_per_kwh * (factor if index % 2 else 1.0))
            for index, block in enumerate(plain.prices)
        )
        later = replace(plain, prices=prices, previous=before).with_options(moving_price_per_kwh=100.0)

        plan = optimize(later.scenario, later.options)

        assert plan.unmet_energy_kwh == pytest.approx(before.unmet_energy_kwh, abs=1e-5)
        if prices:
            assert moved(before, plan, float(plan.grid.edges_s[0]))[1] == pytest.approx(0.0, abs=1e-3)


@settings(max_examples=40)
@given(cases(objectives=[COST_OBJECTIVE], rasters=[30, 60]), st.integers(1, 3))
def test_surprises_that_change_nothing_change_nothing(case: Case, count: int) -> None:
    """Prepared for what is believed anyway, a plan serves as much at the same cost, and holds every limit."""
    plain = case.with_options(solver=SolverOptions(backend=Backend.ARRAYS))
    nothing = Uncertainty(surprises=tuple(Surprise(probability=0.3) for _ in range(count)))
    ready = plain.with_options(uncertainty=nothing)

    plan, simple = optimize(ready.scenario, ready.options), optimize(plain.scenario, plain.options)

    assert verify(case.scenario, plan, limit_mode=case.options.limit_mode).violations == ()
    weighted = [sum(one.session.priority * one.unmet_energy_kwh for one in p.sessions) for p in (plan, simple)]
    assert weighted[0] == pytest.approx(weighted[1], abs=1e-4)
    assert plan.energy_cost == pytest.approx(simple.energy_cost, abs=1e-4)


@settings(max_examples=40)
@given(
    cases(objectives=[COST_OBJECTIVE], rasters=[30, 60]),
    st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=5).map(sorted),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
)
def test_a_prepared_plan_is_a_plan(case: Case, hours: list[float], level: float, share: float) -> None:
    """Whatever may come, the plan holds what is believed: every limit, stay and request, and all stages are proved."""
    surprises = (Surprise(probability=0.3, departure_level=level), Surprise(probability=0.2, capacity_share=share))
    errors = DepartureErrors(hours=tuple(hours))
    options = replace(
        case.options,
        solver=SolverOptions(backend=Backend.ARRAYS),
        uncertainty=Uncertainty(surprises=surprises, departure_errors=errors),
    )

    plan = optimize(case.scenario, options)

    assert verify(case.scenario, plan, limit_mode=options.limit_mode).violations == ()
    assert all(stage.proved for stage in plan.stages)


class TestRefusals:
    """Bad input is named."""

    @pytest.mark.parametrize(
        ("hours", "why"),
        [((1.0,), "at least two"), ((1.0, 0.0), "in order"), ((0.0, math.nan), "finite"), ((0.0, 1e6), "at most 744")],
    )
    def test_errors(self, hours: tuple[float, ...], why: str) -> None:
        """Quantiles are in order, finite, and within a month."""
        with pytest.raises(InputError, match=why):
            DepartureErrors(hours=hours)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("probability", 0.0), ("probability", 1.5), ("departure_level", -0.1), ("capacity_share", 1.1)],
    )
    def test_a_surprise(self, field: str, value: float) -> None:
        """Each value has its bounds."""
        with pytest.raises(InputError, match=f"{field}.*{value}"):
            Surprise(**{"probability": 0.1, field: value})

    def test_surprises_together(self) -> None:
        """Probabilities add up to at most 1; levels need errors to refer to; there are 1 to 20 surprises, or errors."""
        with pytest.raises(InputError, match=r"add up to 1\.2"):
            Uncertainty(surprises=(Surprise(probability=0.6),) * 2)
        with pytest.raises(InputError, match="no departure errors"):
            Uncertainty(surprises=(Surprise(probability=0.6, departure_level=0.5),))
        with pytest.raises(InputError, match="nothing to be prepared for"):
            Uncertainty(surprises=())
        with pytest.raises(InputError, match="21 surprises"):
            Uncertainty(surprises=(Surprise(probability=0.01),) * 21)

    @pytest.mark.parametrize("value", [-0.01, math.inf])
    def test_a_moving_price(self, value: float) -> None:
        """It is finite and not negative."""
        with pytest.raises(InputError, match="moving_price_per_kwh"):
            replace(HOURLY, moving_price_per_kwh=value)

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"schema": 2}, "schema"),
            ({"surprises": [], "departure_error_hours": None}, "nothing to be prepared for"),
            ({"own_departure_error_hours": {"S1": [2.0, 1.0]}}, "in order"),
            ({"own_departure_error_hours": {"S1": [2.0]}}, "at least two"),
            ({"surprises": [{"probability": 2}]}, "row 1, field surprises.probability"),
            ({"surprises": [{"probability": 0.1, "departure_levl": 0.5}]}, "departure_levl"),
            ({"departure_error_hours": [1.0, 0.0]}, "in order"),
            ({"departure_error_hours": None}, "no departure errors"),
        ],
    )
    def test_a_file(self, tmp_path: Path, change: dict[str, object], field: str) -> None:
        """The message names file and field, or what does not fit together."""
        folder = write_folder(tmp_path / "s")
        write_json(folder / "uncertainty.json", uncertainty_json() | change)

        with pytest.raises(FileInputError) as caught:
            load_scenario(folder)

        assert str(caught.value).startswith("uncertainty.json")
        assert field in str(caught.value)

    def test_a_file_without_surprises(self, tmp_path: Path) -> None:
        """Departure errors alone are enough, of all and of single sessions."""
        folder = write_folder(tmp_path / "s")
        own = {"own_departure_error_hours": {"S1": [-1.0, 0.5]}, "surprises": []}
        write_json(folder / "uncertainty.json", uncertainty_json() | own)

        assert load_scenario(folder).uncertainty == Uncertainty(
            departure_errors=DepartureErrors(hours=(-2.0, 0.0, 2.0)),
            own_departure_errors={"S1": DepartureErrors(hours=(-1.0, 0.5))},
        )

    def test_a_good_file(self, tmp_path: Path) -> None:
        """It is read as it is written."""
        folder = write_folder(tmp_path / "s")
        write_json(folder / "uncertainty.json", uncertainty_json())

        assert load_scenario(folder).uncertainty == Uncertainty(
            surprises=(Surprise(probability=0.2, departure_level=0.1), Surprise(probability=0.1, capacity_share=0.5)),
            departure_errors=DepartureErrors(hours=(-2.0, 0.0, 2.0)),
        )


def uncertainty_json() -> dict[str, object]:
    """A valid uncertainty.json."""
    return {
        "schema": 1,
        "departure_error_hours": [-2.0, 0.0, 2.0],
        "surprises": [{"probability": 0.2, "departure_level": 0.1}, {"probability": 0.1, "capacity_share": 0.5}],
    }


def test_the_order_of_the_objective_can_be_chosen() -> None:
    """Asked for after the cost, preparation is free: where the second hour is cheaper it waits all the same."""
    objective = (Stage.UNMET_ENERGY, Stage.ENERGY_COST, Stage.EXPECTED_UNMET)
    options = replace(prepared(Surprise(probability=0.1, departure_level=0.0)), objective=objective)

    assert by_step(optimize(one_session(2, prices=(0.30, 0.20)), options)) == pytest.approx([0.0, 10.0])
    assert by_step(optimize(one_session(2, prices=(0.20, 0.20)), options)) == pytest.approx([10.0, 0.0])


def test_classes_come_before_weights_in_what_is_expected_too() -> None:
    """10 kW for two hours, of which the second may be halved, and 10 kWh for each of two.

    The first class lacks nothing even then, though a kWh of the second weighs ten times as much; that lacks 5 kWh in
    one of two cases.
    """
    site = make_site(
        groups=[CapacityGroup(group_id="main", import_limit_kw=10.0)], chargers=[make_charger("C1"), make_charger("C2")]
    )
    sessions = [
        replace(make_session("S1", charger_id="C1"), priority_class=0),
        replace(make_session("S2", charger_id="C2"), priority_class=1, priority=10.0),
    ]
    options = prepared(Surprise(probability=0.5, capacity_share=0.5))

    plan = optimize(make_scenario(site=site, sessions=sessions), replace(options, raster=timedelta(hours=1)))

    expected = {stage.name: stage.value for stage in plan.stages if stage.name.startswith("expected")}
    assert expected == pytest.approx({"expected_unmet_class_0": 0.0, "expected_unmet_class_1": 25.0}, abs=1e-5)


def test_the_window_bounds_every_surprise() -> None:
    """Nobody stays beyond the end of the window, however late a surprise lets them leave."""
    options = replace(
        prepared(Surprise(probability=0.5, departure_level=1.0), errors=DepartureErrors(hours=(0.0, 9.0))),
        start=MORNING,
        end=MORNING + timedelta(hours=2),
    )

    assert optimize(one_session(2, prices=(0.30, 0.20)), options).unmet_energy_kwh == pytest.approx(0.0)
