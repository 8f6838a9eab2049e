"""Who goes short: by hand, against a filling of one group, and by what no fair outcome allows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus, jain_index
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray
from models.domain.why import ReasonCode
from models.errors import InputError
from optimizer.engine import optimize
from optimizer.options import PEAK_OBJECTIVE, Backend, Fairness, LimitMode, OptimizeOptions, SolverOptions
from optimizer.prepare import prepare
from optimizer.problem import CapacityProblem
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_one_limit,
    make_scenario,
    make_session,
    make_site,
    make_tariff,
)
from tests.properties.strategies import Case, cases

HOURLY = OptimizeOptions(raster=HOUR)
TOLERANCE_KWH = 1e-4
FAIR = [Fairness.MAX_MIN, Fairness.PROPORTIONAL]


def one_hour(limit_kw: float, *sessions: ChargingSession) -> Scenario:
    """Sessions at chargers of 50 kW of their own under one limit."""
    return make_one_limit(limit_kw, sessions, max_power_kw=50.0)


def asking(session_id: str, energy_kwh: float, *, priority: float = 1.0, priority_class: int = 0) -> ChargingSession:
    """A session of one hour."""
    session = make_session(session_id, departure=MORNING + HOUR, energy_kwh=energy_kwh, priority=priority)
    return replace(session, priority_class=priority_class)


def delivered(scenario: Scenario, fairness: Fairness, options: OptimizeOptions = HOURLY) -> dict[str, float]:
    """Energy of each session in the optimum, kWh."""
    schedule = optimize(scenario, replace(options, fairness=fairness))
    assert schedule.status is ScheduleStatus.OPTIMAL
    return {result.session.session_id: round(result.delivered_energy_kwh, 5) for result in schedule.sessions}


class TestByHand:
    def test_max_min_gives_equal_shares(self) -> None:
        """18 kWh for requests of 10, 20 and 30: 30 % of each."""
        scenario = one_hour(18.0, asking("A", 10.0), asking("B", 20.0), asking("C", 30.0))

        assert delivered(scenario, Fairness.MAX_MIN) == {"A": 3.0, "B": 6.0, "C": 9.0}

    def test_proportional_gives_equal_energy(self) -> None:
        """24 kWh for requests of 4, 20 and 30: the small one is served, the others share the rest."""
        scenario = one_hour(24.0, asking("A", 4.0), asking("B", 20.0), asking("C", 30.0))

        assert delivered(scenario, Fairness.PROPORTIONAL) == {"A": 4.0, "B": 10.0, "C": 10.0}

    def test_proportional_goes_by_weight(self) -> None:
        """18 kWh at weights 1 and 2: 6 and 12. Max-min of shares takes no notice of weights."""
        scenario = one_hour(18.0, asking("A", 20.0), asking("B", 20.0, priority=2.0))

        assert delivered(scenario, Fairness.PROPORTIONAL) == {"A": 6.0, "B": 12.0}
        assert delivered(scenario, Fairness.MAX_MIN) == {"A": 9.0, "B": 9.0}

    @pytest.mark.parametrize("fairness", Fairness)
    def test_classes_come_before_everything(self, fairness: Fairness) -> None:
        """12 kWh: the class 0 gets its 10 whatever the weight of the other, which goes short outranked."""
        scenario = one_hour(12.0, asking("A", 10.0), asking("B", 20.0, priority=1000.0, priority_class=1))

        assert delivered(scenario, fairness) == {"A": 10.0, "B": 2.0}
        last = optimize(scenario, replace(HOURLY, fairness=fairness)).sessions[-1]
        assert ReasonCode.OUTRANKED in last.reason_codes

    def test_a_lower_class_is_served_from_what_is_left(self) -> None:
        """Three classes under 12 kWh: 10, 2 and nothing, in total as in any other way; each class is a stage."""
        sessions = [
            asking("A", 10.0, priority_class=1),
            asking("B", 10.0, priority_class=3),
            asking("C", 5.0, priority_class=7),
        ]

        schedule = optimize(one_hour(12.0, *sessions), HOURLY)

        assert [stage.name for stage in schedule.stages[:3]] == [f"unmet_energy_class_{rank}" for rank in (1, 3, 7)]
        assert [round(stage.value, 6) for stage in schedule.stages[:3]] == [0.0, 8.0, 5.0]
        assert schedule.group("main").shadow_price_per_kwh.tolist() == [10.0]

    def test_nested_limits_hold_some_down_earlier(self) -> None:
        """A leaf of 3 kW holds A at 30 % of 10 kWh; of the root's 18 the others share 15: half of 10 and of 20."""
        site = make_site(
            groups=[
                CapacityGroup(group_id="leaf", parent_id="root", import_limit_kw=3.0),
                CapacityGroup(group_id="root", import_limit_kw=18.0),
            ],
            chargers=[make_charger("a", group_id="leaf")] + [make_charger(one, group_id="root") for one in ("b", "c")],
        )
        sessions = [asking("A", 10.0), asking("B", 10.0), asking("C", 20.0)]
        placed = [replace(one, charger_id=one.session_id.lower()) for one in sessions]
        scenario = make_scenario(site=site, sessions=placed)

        assert delivered(scenario, Fairness.MAX_MIN) == {"A": 3.0, "B": 5.0, "C": 10.0}

    def test_a_stay_too_short_takes_nothing_from_others(self) -> None:
        """50 kW for an hour can give 50 of 200 kWh, a quarter; that leaves all of 10 kWh to the other."""
        scenario = one_hour(60.0, asking("A", 200.0), asking("B", 10.0))

        assert delivered(scenario, Fairness.MAX_MIN) == {"A": 50.0, "B": 10.0}

    @pytest.mark.parametrize("fairness", Fairness)
    def test_nobody_and_nothing_asked(self, fairness: Fairness) -> None:
        """No sessions, a request of nothing, a limit of nothing."""
        options = replace(HOURLY, start=MORNING, end=MORNING + HOUR)

        assert delivered(make_scenario(sessions=[]), fairness, options) == {}
        assert delivered(one_hour(5.0, asking("A", 0.0)), fairness) == {"A": 0.0}
        assert delivered(one_hour(0.0, asking("A", 5.0)), fairness) == {"A": 0.0}

    @pytest.mark.parametrize("fairness", FAIR)
    def test_later_stages_still_count(self, fairness: Fairness) -> None:
        """5 kW for two hours at 0.3 and 0.2 serve 8 and 1 kWh: the dear hour is used for 4 kWh only."""
        sessions = [replace(asking(name, kwh), departure=MORNING + 2 * HOUR) for name, kwh in (("A", 8.0), ("B", 1.0))]
        scenario = replace(one_hour(5.0, *sessions), tariff=make_tariff((0.3, 0.2)))

        schedule = optimize(scenario, replace(HOURLY, fairness=fairness))

        assert schedule.energy_cost == pytest.approx(4 * 0.3 + 5 * 0.2, abs=1e-4)

    def test_both_back_ends_agree(self) -> None:
        """Shares are found before either is chosen."""
        scenario = one_hour(18.0, asking("A", 10.0), asking("B", 20.0))
        arrays = replace(HOURLY, solver=SolverOptions(backend=Backend.ARRAYS))

        assert delivered(scenario, Fairness.MAX_MIN, arrays) == delivered(scenario, Fairness.MAX_MIN)

    def test_without_time_a_fallback_answers(self) -> None:
        """A time limit of 0 s: a verified plan all the same, and it says what it is."""
        options = replace(HOURLY, fairness=Fairness.MAX_MIN, solver=SolverOptions(time_limit_s=0.0))

        assert optimize(one_hour(5.0, asking("A", 9.0)), options).status is ScheduleStatus.FALLBACK

    def test_rounding_does_not_stop_a_later_stage(self) -> None:
        """A stay of one second less than another's weighs rounding 1,800 times at every moment: to HiGHS the shares are
        out of reach by 1.6e-7, although an earlier stage reached them, and all stages are proved all the same.
        """
        stays = {
            "s0": (0, 3600, 5.0, 1.0),
            "s1": (0, 8909, 13.0, 1.0),
            "s2": (1, 6339, 5.0, 1.0),
            "s3": (8197, 12102, 5.0, 1.0),
            "s4": (13383, 17215, 5.0, 10.0),
            "s5": (0, 3600, 5.0, 1.0),
        }
        sessions = [
            make_session(
                name,
                charger_id="c0",
                arrival=MORNING + timedelta(seconds=arrival_s),
                departure=MORNING + timedelta(seconds=departure_s),
                energy_kwh=energy_kwh,
                priority=priority,
            )
            for name, (arrival_s, departure_s, energy_kwh, priority) in stays.items()
        ]
        site = make_site(
            groups=[CapacityGroup(group_id="main", import_limit_kw=4.0)],
            chargers=[make_charger("c0", max_power_kw=11.0)],
            time_zone="Asia/Kathmandu",
        )
        options = OptimizeOptions(
            raster=HOUR / 2,
            limit_mode=LimitMode.INSTANTANEOUS,
            objective=PEAK_OBJECTIVE,
            fairness=Fairness.MAX_MIN,
        )

        assert optimize(make_scenario(site=site, sessions=sessions), options).status is ScheduleStatus.OPTIMAL

    def test_a_change_serves_by_the_same_rule(self) -> None:
        """20 kWh for two who ask for 16 each: max-min serves either only when it serves both, with 12 kW more."""
        scenario = one_hour(20.0, asking("A", 16.0), asking("B", 16.0))

        schedule = optimize(scenario, replace(HOURLY, fairness=Fairness.MAX_MIN, why=True))

        assert schedule.why is not None
        for found in schedule.why.changes.values():
            assert found[-1].more_kw == pytest.approx(12.0, abs=0.011)

    def test_a_negative_class_is_refused(self) -> None:
        """Ranks count from 0."""
        with pytest.raises(InputError, match="priority_class is -1"):
            asking("A", 1.0, priority_class=-1)


class TestJain:
    @pytest.mark.parametrize(
        ("shares", "index"), [([], 1.0), ([0.0, 0.0], 1.0), ([0.3, 0.3], 1.0), ([1.0, 0.0, 0.0, 0.0], 0.25)]
    )
    def test_index(self, shares: list[float], index: float) -> None:
        """1 for equals, 1 / n where one gets it all."""
        assert jain_index(shares) == pytest.approx(index)


class TestWaterFilling:
    @settings(max_examples=30)
    @given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 120), st.sampled_from(FAIR), st.data())
    def test_one_group_is_filled_like_water(
        self, requests_kwh: list[int], limit_kwh: int, fairness: Fairness, data: st.DataObject
    ) -> None:
        """Under one limit for one hour: everybody at one level, except those who want less than that."""
        weights = data.draw(st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=6, max_size=6))
        sessions = [asking(f"S{index}", float(kwh), priority=weights[index]) for index, kwh in enumerate(requests_kwh)]

        found = delivered(one_hour(float(limit_kwh), *sessions), fairness)

        most = np.array(requests_kwh, dtype=np.float64)
        entitled = most if fairness is Fairness.MAX_MIN else np.array(weights[: most.size])
        assert list(found.values()) == pytest.approx(filled(most, entitled, float(limit_kwh)).tolist(), abs=1e-4)


def filled(most_kwh: FloatArray, entitled: FloatArray, total_kwh: float) -> FloatArray:
    """Bisection for the level at which what is taken is what is there."""
    low, high = 0.0, float((most_kwh / entitled).max())
    for _ in range(100):
        level = (low + high) / 2
        low, high = (level, high) if np.minimum(most_kwh, level * entitled).sum() <= total_kwh else (low, level)
    return np.minimum(most_kwh, low * entitled)


class TestEveryScenario:
    """Nested limits, phases, odd stays: what no fair outcome allows, asked of SciPy."""

    @settings(max_examples=25)
    @given(cases(rasters=[30, 60], minutes=5), st.sampled_from(FAIR), st.data())
    def test_nobody_can_be_raised_at_the_cost_of_the_better_off_only(
        self, case: Case, fairness: Fairness, data: st.DataObject
    ) -> None:
        """Who goes short cannot get more while everybody who got as much, or less, keeps what they got.

        Nobody is there for less than five minutes: a limit on every moment counts the energy of a second's stay by the
        length of its whole step, thousands of times, and any rounding with it.
        """
        case = case.with_options(fairness=fairness)
        schedule = optimize(case.scenario, case.options)
        assert schedule.status is ScheduleStatus.OPTIMAL
        problem = prepare(case.scenario, case.options)
        got_kwh = np.array([result.delivered_energy_kwh for result in schedule.sessions])
        entitled = problem.requested_energy_kwh if fairness is Fairness.MAX_MIN else problem.priority
        level = np.divide(got_kwh, entitled, out=np.ones_like(got_kwh), where=entitled > 0)
        short = np.flatnonzero(problem.reachable_energy_kwh - got_kwh > 10 * TOLERANCE_KWH)
        if short.size:
            one = int(data.draw(st.sampled_from(short.tolist())))
            kept_kwh = np.where(level <= level[one] + 1e-4, np.maximum(got_kwh - TOLERANCE_KWH / 200, 0.0), 0.0)
            assert most_for(problem, one, kept_kwh) <= got_kwh[one] + TOLERANCE_KWH * max(1.0, entitled[one])

    @settings(max_examples=15)
    @given(cases(rasters=[60], per_phase=False, limit_modes=[LimitMode.MEAN]))
    def test_on_nested_limits_fairness_costs_no_energy(self, case: Case) -> None:
        """What all get together is the most there is, and proportional shares meet Kelly's condition: no other outcome
        gains more in proportion than it loses, sum_s weight (other - got) / got <= 0.
        """
        equal = replace(case, sessions=tuple(replace(session, priority=1.0) for session in case.sessions))
        total = optimize(equal.scenario, equal.options).delivered_energy_kwh
        for fairness in FAIR:
            fair = optimize(equal.scenario, replace(equal.options, fairness=fairness))
            assert fair.delivered_energy_kwh == pytest.approx(total, abs=1e-3)
        proportional = optimize(case.scenario, replace(case.options, fairness=Fairness.PROPORTIONAL))
        assert_kelly(prepare(case.scenario, case.options), proportional)

    @settings(max_examples=15)
    @given(cases(rasters=[60], limit_modes=[LimitMode.MEAN]), st.sampled_from(list(Fairness)), st.data())
    def test_a_class_is_served_as_if_it_were_alone(self, case: Case, fairness: Fairness, data: st.DataObject) -> None:
        """Sessions of the first class get together what they would without the others."""
        sessions = tuple(
            replace(session, priority_class=data.draw(st.sampled_from([0, 1])), priority=1.0)
            for session in case.sessions
        )
        options = replace(case.options, fairness=fairness)
        first = tuple(session for session in sessions if session.priority_class == 0)
        start, end = prepare(case.scenario, options).grid.start, prepare(case.scenario, options).grid.end
        alone = optimize(replace(case.scenario, sessions=first), replace(options, start=start, end=end))

        schedule = optimize(replace(case.scenario, sessions=sessions), options)

        theirs = [result for result in schedule.sessions if result.session.priority_class == 0]
        assert sum(result.delivered_energy_kwh for result in theirs) == pytest.approx(
            alone.delivered_energy_kwh, abs=1e-3
        )


def assert_kelly(problem: CapacityProblem, schedule: Schedule) -> None:
    """No feasible outcome gains in proportion; who got too little to divide by keeps it."""
    got_kwh = np.array([result.delivered_energy_kwh for result in schedule.sessions])
    counted = got_kwh > 1e-3
    gain = np.where(counted, problem.priority / np.maximum(got_kwh, 1e-3), 0.0)
    best = most_weighted(problem, gain, np.where(counted, 0.0, np.maximum(got_kwh - TOLERANCE_KWH / 200, 0.0)))
    assert best <= float((gain * got_kwh).sum()) * (1 + 1e-4) + 1e-4


def most_for(problem: CapacityProblem, session: int, floor_kwh: FloatArray) -> float:
    """The most that one session can get while others keep what they have, kWh."""
    return most_weighted(problem, np.eye(len(problem.sessions))[session], floor_kwh)


def most_weighted(problem: CapacityProblem, weight: FloatArray, floor_kwh: FloatArray) -> float:
    """The most weighted energy there is if each session gets a least one."""
    member = np.zeros((len(problem.sessions), problem.columns))
    member[problem.column_session, np.arange(problem.columns)] = 1.0
    rows = problem.limit_rows
    limit = np.zeros((rows.capacity_kwh.size, problem.columns))
    for row in range(rows.capacity_kwh.size):
        entries = slice(rows.start[row], rows.start[row + 1])
        limit[row, rows.column[entries]] = rows.coefficient[entries]
    if not problem.columns:
        return 0.0
    found = linprog(
        -weight[problem.column_session],
        A_ub=np.vstack((member, -member, limit)),
        b_ub=np.concatenate((problem.reachable_energy_kwh, -floor_kwh, rows.capacity_kwh)),
        bounds=[(0.0, most_kwh) for most_kwh in problem.max_energy_kwh.tolist()],
        method="highs-ipm",
    )
    assert found.status == 0
    return -float(found.fun or 0.0)
