"""Heuristics: examples worked out by hand, and what holds on every problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.domain.capacity import CapacityForecast, Phase
from models.domain.group import CapacityGroup, Charger
from models.domain.scenario import Scenario
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray, IntArray
from models.errors import InputError
from models.units import SECONDS_PER_HOUR
from optimizer.heuristics import NOTHING_KWH, allocate
from optimizer.options import LimitMode, OptimizeOptions, Strategy
from optimizer.prepare import prepare
from optimizer.problem import CapacityProblem
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_forecast,
    make_one_limit,
    make_scenario,
    make_session,
    make_site,
)

MINUTE = timedelta(minutes=1)
HOURLY = OptimizeOptions(raster=HOUR)
INSTANTANEOUS = OptimizeOptions(raster=HOUR, limit_mode=LimitMode.INSTANTANEOUS)
HEURISTICS = tuple(strategy for strategy in Strategy if strategy is not Strategy.OPTIMAL)
LIMITED = tuple(strategy for strategy in HEURISTICS if strategy is not Strategy.UNCONTROLLED)
TOLERANCE_KWH = 1e-8
RELATIVE = 1e-9


def group(group_id: str, limit_kw: float | None, parent_id: str | None = None) -> CapacityGroup:
    """A group with a limit of its own, or none."""
    return CapacityGroup(group_id=group_id, parent_id=parent_id, import_limit_kw=limit_kw)


def table(problem: CapacityProblem, energy_kwh: FloatArray) -> dict[str, list[float]]:
    """Energy of each session in each step, kWh, zero where it is not there."""
    dense = np.zeros((len(problem.sessions), problem.grid.steps))
    dense[problem.column_session, problem.column_step] = energy_kwh
    return {session.session_id: row.tolist() for session, row in zip(problem.sessions, dense, strict=True)}


def planned(scenario: Scenario, strategy: Strategy, options: OptimizeOptions = HOURLY) -> dict[str, list[float]]:
    """What a strategy gives each session in each step, kWh."""
    problem = prepare(scenario, options)
    return table(problem, allocate(problem, strategy))


# Random problems ------------------------------------------------------------------------------------------------------

POWERS_KW = st.one_of(st.sampled_from([0.0, 3.7, 11.0, 22.0]), st.floats(0.0, 22.0))
LIMITS_KW = st.one_of(st.none(), st.just(0.0), st.floats(0.0, 40.0))


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Up to 4 nested groups with limits, also per phase, and up to 8 sessions, some at one charger at a time."""
    groups = [group("g0", draw(LIMITS_KW))]
    for index in range(1, draw(st.integers(1, 4))):
        parent = draw(st.sampled_from([None, *(each.group_id for each in groups)]))
        groups.append(group(f"g{index}", draw(LIMITS_KW), parent))
    group_ids = st.sampled_from([each.group_id for each in groups])
    chargers = [
        make_charger(
            f"c{index}",
            group_id=draw(group_ids),
            max_power_kw=draw(POWERS_KW),
            phases=draw(st.sampled_from([Phase.UNKNOWN, Phase.ALL, Phase.ONE, Phase.TWO])),
        )
        for index in range(draw(st.integers(1, 5)))
    ]
    sessions = draw(st.lists(random_sessions(chargers), min_size=1, max_size=8, unique_by=lambda one: one.session_id))
    return make_scenario(
        site=make_site(groups=groups, chargers=chargers),
        sessions=sessions,
        forecasts=draw(st.lists(random_forecasts(group_ids), max_size=2)),
    )


@st.composite
def random_sessions(draw: st.DrawFn, chargers: list[Charger]) -> ChargingSession:
    """Stays of 1 to 300 minutes that begin within 4 hours."""
    arrival = MORNING + draw(st.integers(0, 240)) * MINUTE
    return make_session(
        f"s{draw(st.integers(0, 99))}",
        charger_id=draw(st.sampled_from(chargers)).charger_id,
        arrival=arrival,
        departure=arrival + draw(st.integers(1, 300)) * MINUTE,
        energy_kwh=draw(st.one_of(st.integers(0, 40).map(float), st.floats(0.0, 40.0))),
        max_power_kw=draw(st.one_of(st.none(), POWERS_KW)),
    )


@st.composite
def random_forecasts(draw: st.DrawFn, group_ids: st.SearchStrategy[str]) -> CapacityForecast:
    """What a group, or a phase of it, may draw for 1 to 5 hours."""
    return make_forecast(
        draw(st.lists(st.floats(0.0, 40.0), min_size=1, max_size=5)),
        group_id=draw(group_ids),
        phase=draw(st.sampled_from([Phase.ALL, Phase.ONE, Phase.TWO])),
    )


OPTIONS = st.builds(
    OptimizeOptions, raster=st.sampled_from([15 * MINUTE, HOUR]), limit_mode=st.sampled_from(list(LimitMode))
)
PROBLEMS = st.builds(prepare, scenarios(), OPTIONS)


def wanted_kwh(problem: CapacityProblem, energy_kwh: FloatArray) -> FloatArray:
    """(K,), what a column could have used: its bound or what its session still needed then, kWh."""
    left_kwh = problem.reachable_energy_kwh.copy()
    wanted = np.zeros(problem.columns)
    for column, session in enumerate(problem.column_session):
        wanted[column] = min(problem.max_energy_kwh[column], left_kwh[session])
        left_kwh[session] -= energy_kwh[column]
    return wanted


def full_rows(problem: CapacityProblem, energy_kwh: FloatArray, strategy: Strategy) -> Iterator[tuple[IntArray, bool]]:
    """Columns of each limit and step that leave no room, of those limits that the strategy has to hold."""
    rows = problem.limit_rows
    room_kwh = rows.capacity_kwh - rows.load_kwh(energy_kwh)
    for row in range(room_kwh.size):
        held = strategy is not Strategy.UNCONTROLLED or not problem.limits[rows.limit_index[row]].is_group
        entries = slice(rows.start[row], rows.start[row + 1])
        # A weight above one, as of a short presence, takes that much more room per kWh.
        yield rows.column[entries], bool(held and room_kwh[row] <= TOLERANCE_KWH * rows.coefficient[entries].max())


@given(problem=PROBLEMS, strategy=st.sampled_from(LIMITED))
def test_no_limit_is_exceeded(problem: CapacityProblem, strategy: Strategy) -> None:
    """Every limit of every group, phase and shared charger holds in every step; rounding stays under 1e-9."""
    rows = problem.limit_rows

    load_kwh = rows.load_kwh(allocate(problem, strategy))

    assert (load_kwh <= rows.capacity_kwh * (1 + RELATIVE)).all()


@given(problem=PROBLEMS)
def test_uncontrolled_holds_the_limits_of_shared_chargers(problem: CapacityProblem) -> None:
    """Uncontrolled knows no group, but a charger gives no more than it can, whoever is plugged in."""
    rows = problem.limit_rows
    of_charger = np.array([not limit.is_group for limit in problem.limits], dtype=bool)[rows.limit_index]

    load_kwh = rows.load_kwh(allocate(problem, Strategy.UNCONTROLLED))

    assert (load_kwh <= rows.capacity_kwh * (1 + RELATIVE))[of_charger].all()


@given(problem=PROBLEMS, strategy=st.sampled_from(HEURISTICS))
def test_nobody_gets_more_than_bounds_and_request(problem: CapacityProblem, strategy: Strategy) -> None:
    """Energy is not negative, not above power times presence, and in total not above the request."""
    energy_kwh = allocate(problem, strategy)

    assert energy_kwh.shape == (problem.columns,)
    assert (energy_kwh >= 0).all()
    assert (energy_kwh <= problem.max_energy_kwh).all()
    assert (problem.delivered_kwh(energy_kwh) <= problem.reachable_energy_kwh * (1 + RELATIVE)).all()


@given(problem=PROBLEMS, strategy=st.sampled_from(HEURISTICS))
def test_room_is_never_left_while_somebody_wants_more(problem: CapacityProblem, strategy: Strategy) -> None:
    """Work-conserving: who is there, unserved and below full power is under a limit that is full in that step."""
    energy_kwh = allocate(problem, strategy)

    short = energy_kwh < wanted_kwh(problem, energy_kwh) - TOLERANCE_KWH
    for columns, is_full in full_rows(problem, energy_kwh, strategy):
        if is_full:
            short[columns] = False
    assert not short.any()


@given(problem=PROBLEMS)
def test_equal_share_is_max_min_fair(problem: CapacityProblem) -> None:
    """Who is short is under a full limit on which nobody has more power: more for them is less for an equal or poorer.

    Power is energy over the presence within the step.
    """
    energy_kwh = allocate(problem, Strategy.EQUAL_SHARE)

    hours = (problem.column_end_s - problem.column_start_s) / SECONDS_PER_HOUR
    power_kw = energy_kwh / hours
    short = energy_kwh < wanted_kwh(problem, energy_kwh) - TOLERANCE_KWH
    for columns, is_full in full_rows(problem, energy_kwh, Strategy.EQUAL_SHARE):
        if is_full:
            highest_kw = power_kw[columns].max()
            short[columns[power_kw[columns] >= highest_kw - TOLERANCE_KWH / hours[columns]]] = False
    assert not short.any()


@given(scenario=scenarios(), options=OPTIONS, strategy=st.sampled_from(HEURISTICS), data=st.data())
def test_order_of_the_input_does_not_matter(
    scenario: Scenario, options: OptimizeOptions, strategy: Strategy, data: st.DataObject
) -> None:
    """Sessions in another order give bit by bit the same energies."""
    shuffled = replace(scenario, sessions=tuple(data.draw(st.permutations(scenario.sessions))))
    problem, other = prepare(scenario, options), prepare(shuffled, options)

    assert table(problem, allocate(problem, strategy)) == table(other, allocate(other, strategy))


@given(scenario=scenarios(), options=OPTIONS, strategy=st.sampled_from(HEURISTICS))
def test_nothing_is_known_of_who_comes_later(scenario: Scenario, options: OptimizeOptions, strategy: Strategy) -> None:
    """Without the session that comes last, nothing changes for anybody until the step in which it would have come."""
    problem = prepare(scenario, options)
    last = problem.sessions[-1]
    others = tuple(session for session in scenario.sessions if session is not last)
    window = replace(options, start=problem.grid.start, end=problem.grid.end)
    without = prepare(replace(scenario, sessions=others), window)

    known = table(problem, allocate(problem, strategy))
    before = int(np.searchsorted(problem.grid.edges_s, last.arrival.timestamp(), side="right")) - 1
    for session_id, energy_kwh in table(without, allocate(without, strategy)).items():
        assert energy_kwh[:before] == pytest.approx(known[session_id][:before], abs=TOLERANCE_KWH)


# Examples -------------------------------------------------------------------------------------------------------------


def test_uncontrolled_charges_from_arrival_until_served() -> None:
    """20 kWh at 6 kW from 8:20 until 13:00: 4, 6, 6 and 4 kWh, though the group has 1 kW."""
    session = make_session(
        arrival=MORNING + 20 * MINUTE, departure=MORNING + 5 * HOUR, energy_kwh=20.0, max_power_kw=6.0
    )

    plan = planned(make_one_limit(1.0, [session]), Strategy.UNCONTROLLED)

    assert plan["S1"] == pytest.approx([4.0, 6.0, 6.0, 4.0, 0.0])


def test_uncontrolled_serves_the_earlier_at_a_shared_charger_first() -> None:
    """A charger of 10 kW: S1 asks for 15 kWh from 8:00, S2 for 10 kWh from 9:00: 10 | 5 and 5 | 5 kWh."""
    first = make_session("S1", energy_kwh=15.0, departure=MORNING + 3 * HOUR)
    second = make_session("S2", energy_kwh=10.0, arrival=MORNING + HOUR, departure=MORNING + 3 * HOUR)
    site = make_site(chargers=[make_charger(max_power_kw=10.0)])

    plan = planned(make_scenario(site=site, sessions=[first, second]), Strategy.UNCONTROLLED)

    assert plan == {"S1": [10.0, 5.0, 0.0], "S2": [0.0, 5.0, 5.0]}


@given(problem=PROBLEMS)
def test_uncontrolled_is_the_sum_of_what_power_allows(problem: CapacityProblem) -> None:
    """Where nobody shares a charger, the energy up to each step is the least of the request and all bounds so far."""
    assume(all(limit.is_group for limit in problem.limits))
    energy_kwh = allocate(problem, Strategy.UNCONTROLLED)

    for session, (first, behind) in enumerate(zip(problem.first_column, problem.first_column[1:], strict=False)):
        bound_kwh = np.cumsum(problem.max_energy_kwh[first:behind])
        expected_kwh = np.minimum(bound_kwh, problem.reachable_energy_kwh[session])
        total_kwh = np.cumsum(energy_kwh[first:behind])
        # Less than NOTHING_KWH is left out, in every step anew.
        left_out_kwh = max(TOLERANCE_KWH, NOTHING_KWH * total_kwh.size)
        assert total_kwh == pytest.approx(expected_kwh, abs=left_out_kwh)


def test_equal_share_gives_what_the_weak_leave_to_the_strong() -> None:
    """12 kW for vehicles of 2, 11 and 11 kW: 2, 5 and 5 kW; in the second hour the third needs 1 kWh: 2, 9 and 1."""
    sessions = [
        make_session("S1", energy_kwh=4.0, max_power_kw=2.0),
        make_session("S2", energy_kwh=20.0, max_power_kw=11.0),
        make_session("S3", energy_kwh=6.0, max_power_kw=11.0),
    ]

    plan = planned(make_one_limit(12.0, sessions), Strategy.EQUAL_SHARE)

    assert plan == {"S1": [2.0, 2.0], "S2": [5.0, 9.0], "S3": [5.0, 1.0]}


def test_equal_share_meets_a_ceiling_on_the_way_up() -> None:
    """12 kW for vehicles of 2, 4.5 and 11 kW: a third each is 4, without the first 5, so the second has its 4.5 kW."""
    powers_kw = {"S1": 2.0, "S2": 4.5, "S3": 11.0}
    sessions = [
        make_session(name, departure=MORNING + HOUR, energy_kwh=20.0, max_power_kw=power_kw)
        for name, power_kw in powers_kw.items()
    ]

    plan = planned(make_one_limit(12.0, sessions), Strategy.EQUAL_SHARE)

    assert plan == {"S1": [2.0], "S2": [4.5], "S3": [5.5]}


def test_equal_share_fills_nested_groups() -> None:
    """Root 12 kW, under it a row of 4 kW with A and B; C and D beside it: A and B 2 kW each, C and D 4 kW each."""
    groups = [group("main", 12.0), group("row", 4.0, "main")]
    places = {"A": "row", "B": "row", "C": "main", "D": "main"}
    site = make_site(groups=groups, chargers=[make_charger(name, group_id=places[name]) for name in places])
    sessions = [make_session(name, charger_id=name, departure=MORNING + HOUR, energy_kwh=11.0) for name in places]

    plan = planned(make_scenario(site=site, sessions=sessions), Strategy.EQUAL_SHARE)

    assert plan == {"A": [2.0], "B": [2.0], "C": [4.0], "D": [4.0]}


def test_equal_share_counts_what_is_on_the_phase() -> None:
    """6 kW on phase one: A, on that phase, and B, a third on each, have p + p / 3 = 6, so 4.5 kW each; C none of it."""
    phases = {"A": Phase.ONE, "B": Phase.ALL, "C": Phase.TWO}
    site = make_site(chargers=[make_charger(name, phases=phases[name]) for name in phases])
    sessions = [
        make_session(name, charger_id=name, departure=MORNING + HOUR, energy_kwh=11.0, max_power_kw=11.0)
        for name in phases
    ]
    scenario = make_scenario(site=site, sessions=sessions, forecasts=[make_forecast([6.0], phase=Phase.ONE)])

    plan = planned(scenario, Strategy.EQUAL_SHARE)

    assert plan == {"A": [pytest.approx(4.5)], "B": [pytest.approx(4.5)], "C": [11.0]}


@pytest.mark.parametrize(
    ("options", "power_kw"),
    [pytest.param(HOURLY, 8.0, id="mean"), pytest.param(INSTANTANEOUS, 6.0, id="instantaneous")],
)
def test_equal_share_is_equal_in_power_while_present(options: OptimizeOptions, power_kw: float) -> None:
    """A stays the hour, B its second half; 12 kW.

    As a mean, p + p / 2 = 12 allows 8 kW each; at every moment, p + p = 12 allows 6 kW. B gets half the energy.
    """
    sessions = [
        make_session("A", departure=MORNING + HOUR, energy_kwh=11.0),
        make_session("B", arrival=MORNING + HOUR / 2, departure=MORNING + HOUR, energy_kwh=11.0),
    ]

    plan = planned(make_one_limit(12.0, sessions), Strategy.EQUAL_SHARE, options)

    assert plan == {"A": [pytest.approx(power_kw)], "B": [pytest.approx(power_kw / 2)]}


def long_and_urgent() -> Scenario:
    """6 kW for two vehicles of 6 kW: A asks for 6 kWh within 4 h, B for 24 kWh within 5 h."""
    return make_one_limit(
        6.0,
        [
            make_session("A", departure=MORNING + 4 * HOUR, energy_kwh=6.0, max_power_kw=6.0),
            make_session("B", departure=MORNING + 5 * HOUR, energy_kwh=24.0, max_power_kw=6.0),
        ],
    )


def test_earliest_deadline_goes_first() -> None:
    """A leaves first and is served first, B from the second hour on."""
    plan = planned(long_and_urgent(), Strategy.EARLIEST_DEADLINE)

    assert plan == {"A": [6.0, 0.0, 0.0, 0.0, 0.0], "B": [0.0, 6.0, 6.0, 6.0, 6.0]}


def test_least_laxity_goes_first() -> None:
    """Laxity of A: 4 h - 6 / 6 h = 3 h, then 2, then 1; of B: 5 h - 24 / 6 h = 1 h while it is served.

    B goes first until both have 1 h at 10:00; the tie goes to A, as its id comes first.
    """
    plan = planned(long_and_urgent(), Strategy.LEAST_LAXITY)

    assert plan == {"A": [0.0, 0.0, 6.0, 0.0, 0.0], "B": [6.0, 6.0, 0.0, 6.0, 6.0]}


def test_laxity_counts_the_stay_from_arrival() -> None:
    """6 kW; A, there from 8:00 until 10:00, can spare 2 - 6 / 6 = 1 h; B, from 8:30, can spare 1.5 - 6 / 6 = 0.5 h.

    B goes first with the 3 kWh its half hour allows; A has the rest.
    """
    sessions = [
        make_session("A", energy_kwh=6.0, max_power_kw=6.0),
        make_session("B", arrival=MORNING + HOUR / 2, departure=MORNING + 2 * HOUR, energy_kwh=6.0, max_power_kw=6.0),
    ]

    plan = planned(make_one_limit(6.0, sessions), Strategy.LEAST_LAXITY)

    assert plan == {"A": [3.0, 3.0], "B": [3.0, 3.0]}


def test_laxity_counts_need_at_the_vehicles_power() -> None:
    """6 kW; A: 2 h - 6 / 6 h = 1 h to spare; B: 2 h - 5.5 / 3 h = 1/6 h. B goes first though it needs less and leaves
    at the same time: 3 kWh, then 2.5 kWh; A has the rest, 3 and 3 kWh.
    """
    sessions = [
        make_session("A", energy_kwh=6.0, max_power_kw=6.0),
        make_session("B", energy_kwh=5.5, max_power_kw=3.0),
    ]

    plan = planned(make_one_limit(6.0, sessions), Strategy.LEAST_LAXITY)

    assert plan == {"A": [3.0, 3.0], "B": [3.0, 2.5]}


def test_rounding_does_not_break_a_tie() -> None:
    """6 kW; A can spare 70 - 40 minutes, B 80 - 50: a tie, though in floats of hours B has 2e-16 less.

    A goes first with 4 kWh; B has 2 kWh and in its last 20 minutes 2 kWh more.
    """
    sessions = [
        make_session("A", departure=MORNING + 70 * MINUTE, energy_kwh=4.0, max_power_kw=6.0),
        make_session("B", departure=MORNING + 80 * MINUTE, energy_kwh=5.0, max_power_kw=6.0),
    ]

    plan = planned(make_one_limit(6.0, sessions), Strategy.LEAST_LAXITY)

    assert plan == {"A": [4.0, 0.0], "B": [pytest.approx(2.0), pytest.approx(2.0)]}


def test_ties_go_to_the_canonical_order() -> None:
    """Alike in everything but the id, the first by id is served first, whatever the order given."""
    sessions = [make_session(name, energy_kwh=6.0, max_power_kw=6.0) for name in ("B", "A")]

    for strategy in (Strategy.EARLIEST_DEADLINE, Strategy.LEAST_LAXITY, Strategy.ROUND_ROBIN):
        assert planned(make_one_limit(6.0, sessions), strategy) == {"A": [6.0, 0.0], "B": [0.0, 6.0]}


def test_round_robin_starts_after_the_last_one_served() -> None:
    """9 kW for three vehicles of 6 kW: A and half of B, then C and half of A, then B and half of C, then A again."""
    sessions = [make_session(name, departure=MORNING + 4 * HOUR, energy_kwh=100.0, max_power_kw=6.0) for name in "ABC"]

    plan = planned(make_one_limit(9.0, sessions), Strategy.ROUND_ROBIN)

    assert plan == {"A": [6.0, 3.0, 0.0, 6.0], "B": [3.0, 0.0, 6.0, 3.0], "C": [0.0, 6.0, 3.0, 0.0]}


def test_round_robin_goes_on_to_a_newcomer() -> None:
    """12 kW serve A and B in the first hour; the turn is past B, so C, who comes then, goes before A and B."""
    sessions = [
        make_session("A", energy_kwh=100.0, max_power_kw=6.0),
        make_session("B", energy_kwh=100.0, max_power_kw=6.0),
        make_session("C", arrival=MORNING + HOUR, departure=MORNING + 2 * HOUR, energy_kwh=100.0, max_power_kw=6.0),
    ]

    plan = planned(make_one_limit(12.0, sessions), Strategy.ROUND_ROBIN)

    assert plan == {"A": [6.0, 6.0], "B": [6.0, 0.0], "C": [0.0, 6.0]}


def test_round_robin_passes_nobody_over_twice() -> None:
    """A and B in a row of 6 kW, C outside; each 6 kW. C is last in every hour, yet A and B take turns."""
    groups = [group("main", 12.0), group("row", 6.0, "main")]
    places = {"A": "row", "B": "row", "C": "main"}
    site = make_site(groups=groups, chargers=[make_charger(name, group_id=places[name]) for name in places])
    sessions = [
        make_session(name, charger_id=name, departure=MORNING + 3 * HOUR, energy_kwh=100.0, max_power_kw=6.0)
        for name in places
    ]

    plan = planned(make_scenario(site=site, sessions=sessions), Strategy.ROUND_ROBIN)

    assert plan == {"A": [6.0, 0.0, 6.0], "B": [0.0, 6.0, 0.0], "C": [6.0, 6.0, 6.0]}


@pytest.mark.parametrize("strategy", LIMITED, ids=str)
def test_no_capacity_gives_nothing(strategy: Strategy) -> None:
    """Under 0 kW all day nobody gets anything, and nothing is divided by zero."""
    sessions = [make_session("A"), make_session("B", arrival=MORNING + 20 * MINUTE)]

    problem = prepare(make_one_limit(0.0, sessions), OptimizeOptions())

    assert not allocate(problem, strategy).any()


@pytest.mark.parametrize("strategy", HEURISTICS, ids=str)
def test_a_problem_without_sessions_has_an_empty_plan(strategy: Strategy) -> None:
    """No sessions, no columns."""
    problem = prepare(make_scenario(sessions=[], forecasts=[make_forecast()]), OptimizeOptions())

    assert allocate(problem, strategy).shape == (0,)


@pytest.mark.parametrize("strategy", HEURISTICS, ids=str)
def test_without_limits_all_do_the_same(strategy: Strategy) -> None:
    """Where nothing holds sessions down, each charges at full power until served: 22 kW, then the rest of 30 kWh."""
    plan = planned(make_one_limit(None, [make_session(name, energy_kwh=30.0) for name in "AB"]), strategy)

    assert plan == {"A": [22.0, 8.0], "B": [22.0, 8.0]}


def test_the_optimum_is_no_heuristic() -> None:
    """Asking for the optimum here is an error, not a plan of another kind."""
    with pytest.raises(InputError, match="optimal needs a solver"):
        allocate(prepare(make_scenario(), OptimizeOptions()), Strategy.OPTIMAL)
