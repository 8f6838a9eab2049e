"""What holds a session back, and the smallest change that would serve it: by hand, and against a second solver."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from models.domain.asset import BaseLoad
from models.domain.connection import Connection
from models.domain.group import CapacityGroup, LimitCounts
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule
from models.domain.time_grid import FloatArray, ceil_to_raster
from models.domain.why import ChangeKind, ReasonCode, ServingChange, Why
from models.errors import InputError
from optimizer.changes import raised
from optimizer.engine import optimize
from optimizer.options import LimitMode, LineForm, OptimizeOptions, PilotMode, Strategy
from optimizer.prepare import prepare
from optimizer.problem import CapacityProblem
from optimizer.why import SHORT_KWH
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_forecast,
    make_one_limit,
    make_scenario,
    make_series,
    make_session,
    make_site,
    make_storage,
    make_tariff,
)
from tests.properties.strategies import Case, cases
from tests.properties.test_assets import OPTIONS as ASSET_OPTIONS
from tests.properties.test_assets_on_lines import sites as sites_with_assets

WHY = OptimizeOptions(raster=HOUR, why=True)
MINUTE = timedelta(minutes=1)


def explained(scenario: Scenario, options: OptimizeOptions = WHY) -> Why:
    """Why the optimum is what it is."""
    schedule = optimize(scenario, options)
    assert schedule.why is not None
    return schedule.why


def stretch(first_hour: float, last_hour: float) -> tuple[float, float]:
    """Begin and end, hours after `MORNING`."""
    return (MORNING + first_hour * HOUR).timestamp(), (MORNING + last_hour * HOUR).timestamp()


class TestSmallestChange:
    """Worked out by hand."""

    def test_later_or_higher(self) -> None:
        """3 kW for two hours give 6 of 10 kWh. Limits hold on the mean of an hour: the third gives 3 kWh, the fourth
        the last one in 2.7 minutes at 22 kW; or 2 kW more over both hours.
        """
        later, higher = explained(make_one_limit(3.0, [make_session()])).changes["S1"]

        assert (later.kind, later.minutes_later) == (ChangeKind.DEPARTURE, 63)
        assert later.departure == MORNING + 2 * HOUR + 63 * MINUTE
        assert (higher.kind, higher.limits, higher.more_kw) == (ChangeKind.CAPACITY, ("group main",), 2.0)
        assert higher.stretches_s == (stretch(0, 2),)

    def test_a_stay_too_short_takes_minutes_only(self) -> None:
        """50 kWh at 22 kW take 136.36 minutes; two hours are 17 minutes short, whatever the group may draw."""
        (later,) = explained(make_one_limit(100.0, [make_session(energy_kwh=50.0)])).changes["S1"]

        assert later.minutes_later == 17

    def test_what_equals_got_stays_theirs(self) -> None:
        """Two ask for 10 kWh in one hour, 12 are allowed: who goes short needs what both lack together, 8 kW."""
        sessions = [make_session(name, departure=MORNING + HOUR) for name in ("A", "B")]

        changes = explained(make_one_limit(12.0, sessions)).changes

        raises = [change for found in changes.values() for change in found if change.kind is ChangeKind.CAPACITY]
        assert sum(change.more_kw for change in raises) == pytest.approx(8.0)

    def test_who_outranks_comes_first(self) -> None:
        """In one hour of 12 kW, B of priority 2 wants 20 kWh and gets 12; A of priority 1 wants 10 and gets nothing.
        A is served once B has its further 8: with 18 kW more.
        """
        low = make_session("A", departure=MORNING + HOUR)
        high = make_session("B", departure=MORNING + HOUR, energy_kwh=20.0, priority=2.0)

        changes = explained(make_one_limit(12.0, [low, high])).changes

        assert changes["A"][-1].more_kw == pytest.approx(18.0, abs=0.011)
        assert changes["B"][-1].more_kw == pytest.approx(8.0, abs=0.0011)

    def test_levels_that_hold_together_are_raised_together(self) -> None:
        """A leaf and a root of 3 kW each: neither alone would do, both need 2 kW more."""
        site = make_site(
            groups=[
                CapacityGroup(group_id="leaf", parent_id="root", import_limit_kw=3.0),
                CapacityGroup(group_id="root", import_limit_kw=3.0),
            ],
            chargers=[make_charger(group_id="leaf")],
        )

        change = explained(make_scenario(site=site)).changes["S1"][-1]

        assert (change.limits, change.more_kw) == (("group leaf", "group root"), 2.0)

    def test_a_limit_of_nothing_from_then_on_leaves_only_the_raise(self) -> None:
        """The only forecast ends with the stay; what comes after it is planned as 0 kW: staying helps nobody."""
        scenario = make_one_limit(None, [make_session()])
        scenario = make_scenario(site=scenario.site, sessions=scenario.sessions, forecasts=[make_forecast((3.0, 3.0))])

        (change,) = explained(scenario).changes["S1"]

        assert change.kind is ChangeKind.CAPACITY

    def test_who_cannot_be_served_has_no_change(self) -> None:
        """At a charger of 0 kW nothing helps."""
        site = make_site(chargers=[make_charger(max_power_kw=0.0)])

        assert explained(make_scenario(site=site)).changes == {"S1": ()}

    def test_who_is_served_needs_none(self) -> None:
        """10 kWh asked for and given."""
        assert explained(make_one_limit(50.0, [make_session()])).changes == {}

    def test_beyond_the_prices_the_stay_is_still_looked_at(self) -> None:
        """Prices end with the window; a departure after it is judged by the limits alone."""
        scenario = replace(make_one_limit(3.0, [make_session()]), tariff=make_tariff((0.2, 0.3)))

        assert explained(scenario).changes["S1"][0].minutes_later == 63

    def test_without_time_nobody_is_looked_at(self) -> None:
        """A limit of 0 s: who goes short is named as not searched; the rest of the reasons is there."""
        found = explained(make_one_limit(3.0, [make_session()]), replace(WHY, why_limit_s=0.0))

        assert (found.changes, found.not_searched) == ({}, ("S1",))
        assert found.holdings

    def test_of_a_heuristic_nothing_is_claimed(self) -> None:
        """What a rule of thumb would do with more is not known."""
        found = explained(make_one_limit(3.0, [make_session()]), replace(WHY, strategy=Strategy.LEAST_LAXITY))

        assert found.changes == {}

    @pytest.mark.parametrize("limit_s", [-1.0, float("nan"), float("inf")])
    def test_a_time_that_is_none_is_refused(self, limit_s: float) -> None:
        """Negative or not finite."""
        with pytest.raises(InputError, match="why_limit_s"):
            OptimizeOptions(why_limit_s=limit_s)


class TestHoldings:
    """What holds a session back in each step, and what that costs."""

    def test_limits_and_their_prices(self) -> None:
        """Forecasts of 22, 3, 22, 3 kW, 60 kWh at 22 kW: 50 are served. The charger and the group hold in turn; a
        further kWh from either is worth the 10 of unserved energy.
        """
        scenario = make_one_limit(None, [make_session(departure=MORNING + 4 * HOUR, energy_kwh=60.0)])
        forecasts = [make_forecast((30.0, 3.0, 30.0, 3.0))]
        scenario = make_scenario(site=scenario.site, sessions=scenario.sessions, forecasts=forecasts)

        found = explained(scenario).holdings

        assert [(one.code, one.holder, one.price_per_kwh) for one in found] == [
            (ReasonCode.CHARGER_LIMIT, "charger C-S1", 10.0),
            (ReasonCode.GROUP_LIMIT, "group main", 10.0),
        ] * 2
        assert [(one.start_s, one.end_s) for one in found] == [stretch(hour, hour + 1) for hour in range(4)]

    def test_dear_hours_are_left_out_freely(self) -> None:
        """10 kWh at 0.2 rather than 0.3: at half its power nothing holds it back, in the dear hour neither."""
        scenario = replace(make_one_limit(50.0, [make_session()]), tariff=make_tariff((0.2, 0.3)))

        found = explained(scenario).holdings

        assert [(one.code, one.price_per_kwh) for one in found] == [(ReasonCode.OTHER_TIME, 0.0)]

    def test_a_cheap_hour_too_narrow_has_a_price(self) -> None:
        """At most 4 kW in the cheap hour: a further kWh there saves 0.1."""
        scenario = replace(make_one_limit(None, [make_session()]), tariff=make_tariff((0.2, 0.3)))
        scenario = replace(scenario, forecasts=make_scenario(forecasts=[make_forecast((4.0, 22.0))]).forecasts)

        first = explained(scenario).holdings[0]

        assert first.code is ReasonCode.GROUP_LIMIT
        assert first.price_per_kwh == pytest.approx(0.1)

    def test_the_vehicle_is_named(self) -> None:
        """A vehicle of 3.7 kW at a charger of 22 holds itself back."""
        (only,) = explained(make_one_limit(None, [make_session(max_power_kw=3.7)])).holdings

        assert only.code is ReasonCode.VEHICLE_LIMIT


TOLERANCE_KWH = 2e-4
STRICT_KWH = 1e-6
"""For what is not to be enough: a minute more of a weak charger is worth little where others weigh much."""


class TestTruth:
    """With the change it is served, with a little less it is not; SciPy solves programs of its own making."""

    @settings(max_examples=25)
    @given(cases(limit_modes=[LimitMode.MEAN], rasters=[30, 60]), st.data())
    def test_changes_serve_and_a_little_less_does_not(self, case: Case, data: st.DataObject) -> None:
        """A best plan of the changed scenario gives the session all it asks for and nobody less than before. With one
        minute, or 2 % and 0.02 kW, less no such plan exists.
        """
        options = replace(case.options, why=True)
        schedule = optimize(case.scenario, options)
        assert schedule.why is not None
        known = [(name, change) for name, found in schedule.why.changes.items() for change in found]
        assume(known)
        session_id, change = data.draw(st.sampled_from(known))

        if change.kind is ChangeKind.DEPARTURE:
            enough = staying(case.scenario, options, schedule, session_id, change.minutes_later)
            less = staying(case.scenario, options, schedule, session_id, change.minutes_later - 1)
        else:
            enough = with_more(case.scenario, options, change, change.more_kw)
            less = with_more(case.scenario, options, change, 0.98 * change.more_kw - 0.02)

        assert is_served(enough, schedule, session_id)
        assert not is_served(less, schedule, session_id, tolerance_kwh=STRICT_KWH)

    @settings(max_examples=15)
    @given(cases(limit_modes=[LimitMode.MEAN], rasters=[60]), st.data())
    def test_everybody_short_is_answered(self, case: Case, data: st.DataObject) -> None:
        """Each session that lacks energy has its changes, or none that would do."""
        schedule = optimize(case.scenario, replace(case.options, why=True))

        assert schedule.why is not None
        lacking = {
            result.session.session_id
            for result in schedule.sessions
            if result.session.energy_kwh - result.delivered_energy_kwh > SHORT_KWH
        }
        assert schedule.why.changes.keys() == lacking


def staying(
    scenario: Scenario, options: OptimizeOptions, schedule: Schedule, session_id: str, minutes: int
) -> CapacityProblem:
    """The scenario with one departure later."""
    sessions = tuple(
        replace(one, departure=one.departure + minutes * MINUTE) if one.session_id == session_id else one
        for one in (result.session for result in schedule.sessions)
    )
    last = max(session.departure for session in sessions)
    end = max(schedule.grid.end, ceil_to_raster(last, options.raster, scenario.site.time_zone))
    tariff = scenario.tariff
    if tariff is not None:
        tariff, _ = tariff.extended(schedule.grid.start.timestamp(), end.timestamp(), scenario.site.time_zone)
    changed = replace(scenario, sessions=sessions, tariff=tariff)
    return prepare(changed, replace(options, start=schedule.grid.start, end=end))


def with_more(scenario: Scenario, options: OptimizeOptions, change: ServingChange, more_kw: float) -> CapacityProblem:
    """The scenario with some limits higher."""
    problem = prepare(scenario, options)
    limits = tuple(index for index, limit in enumerate(problem.limits) if limit.label in change.limits)
    begins = problem.grid.edges_s[:-1]
    steps = [np.flatnonzero((begins >= start) & (begins < end)) for start, end in change.stretches_s]
    return raised(problem, limits, np.concatenate(steps), max(more_kw, 0.0))


def is_served(
    problem: CapacityProblem, before: Schedule, session_id: str, *, tolerance_kwh: float = TOLERANCE_KWH
) -> bool:
    """Whether some plan of least weighted unmet energy serves a session and gives nobody less than before."""
    index = next(i for i, session in enumerate(problem.sessions) if session.session_id == session_id)
    if problem.sessions[index].energy_kwh - problem.reachable_energy_kwh[index] > tolerance_kwh:
        return False
    given = {result.session.session_id: result.delivered_energy_kwh for result in before.sessions}
    floor_kwh = np.array([given[session.session_id] for session in problem.sessions]) - tolerance_kwh / 10
    floor_kwh[index] = problem.sessions[index].energy_kwh - tolerance_kwh
    kept = most_delivered(problem, np.maximum(floor_kwh, 0.0))
    free = most_delivered(problem, np.zeros(len(problem.sessions)))
    assert free is not None
    return kept is not None and kept >= free - tolerance_kwh * (1 + float(problem.priority.sum()))


def most_delivered(problem: CapacityProblem, floor_kwh: FloatArray) -> float | None:
    """The most energy, weighted by priority, if each session gets a least one; None where that cannot be."""
    columns, sessions = problem.columns, len(problem.sessions)
    member = np.zeros((sessions, columns))
    member[problem.column_session, np.arange(columns)] = 1.0
    rows = problem.limit_rows
    limit = np.zeros((rows.capacity_kwh.size, columns))
    for row in range(rows.capacity_kwh.size):
        entries = slice(rows.start[row], rows.start[row + 1])
        limit[row, rows.column[entries]] = rows.coefficient[entries]
    found = linprog(
        -problem.priority[problem.column_session],
        A_ub=np.vstack((member, -member, limit)),
        b_ub=np.concatenate((problem.reachable_energy_kwh, -floor_kwh, rows.capacity_kwh)),
        bounds=[(0.0, most_kwh) for most_kwh in problem.max_energy_kwh.tolist()],
        method="highs-ipm",
    )
    return None if found.status == 2 else -float(found.fun or 0.0)


class TestLinesAndAssets:
    """Limits in ampere, and what else is on a site, hold sessions back as well."""

    @pytest.mark.parametrize("form", LineForm)
    def test_a_raise_of_a_line_serves(self, form: LineForm) -> None:
        """Two cars between lines share L1, and both go short; with L1 higher by what is said, either lacks nothing.

        32 A on L1 are sqrt(3) times the current of each, 7.36 kWh in an hour; they ask for 8 kWh.
        """
        chargers = [make_charger(f"C{n}", connection=Connection(text)) for n, text in enumerate(("L1-L2", "L3-L1"))]
        group = CapacityGroup(group_id="main", current_limit_a=(32.0, 1000.0, 1000.0))
        scenario = make_scenario(
            site=make_site(groups=[group], chargers=chargers),
            sessions=[
                make_session(f"S{n}", charger_id=f"C{n}", departure=MORNING + HOUR, energy_kwh=8.0) for n in range(2)
            ],
        )
        options = replace(WHY, line_form=form)
        plan = optimize(scenario, options)
        assert plan.why is not None

        for result in plan.sessions:
            if result.unmet_energy_kwh > 1e-3:
                assert ReasonCode.LINE_LIMIT in result.reason_codes
                change = plan.why.changes[result.session.session_id][-1]
                assert change.limits == ("line main L1",)
                higher = replace(group, current_limit_a=(32.0 + change.more_kw / 0.23, 1000.0, 1000.0))
                again = optimize(replace(scenario, site=replace(scenario.site, groups=(higher,))), options)
                assert again.unmet_energy_kwh <= plan.unmet_energy_kwh - result.unmet_energy_kwh + 1e-4
                full_a = 8.0 / 0.23 / math.sqrt(3)
                other_kwh = plan.delivered_energy_kwh - result.delivered_energy_kwh
                needed_a = full_a + other_kwh / 0.23 / math.sqrt(3)
                if form is LineForm.POLYGON:
                    # The most energy goes to both alike until both are full.
                    needed_a = math.sqrt(3) * full_a
                assert change.more_kw == pytest.approx((needed_a - 32.0) * 0.23, rel=0.01)
                assert result.reason == "line main L1 limit 09:00-10:00"

    def test_beside_a_building_and_a_battery(self) -> None:
        """10 kW for a building of 6, then 4 kW leave a car 10 of 30 kWh: it needs 10 kW more in both hours.

        The battery has to be as full in the end as it was, so that it helps nobody.
        """
        scenario = make_scenario(
            site=make_site(
                groups=[CapacityGroup(group_id="main", import_limit_kw=10.0, limit_counts=LimitCounts.TOTAL)],
                base_loads=[BaseLoad(asset_id="building", group_id="main")],
                storages=[make_storage()],
            ),
            sessions=[make_session(energy_kwh=30.0)],
            base_load_kw={"building": make_series((6.0, 4.0))},
        )

        why = explained(scenario, replace(WHY, start=MORNING, end=MORNING + 2 * HOUR))

        (change,) = why.changes["S1"]
        assert (change.kind, change.limits, change.more_kw) == (ChangeKind.CAPACITY, ("group main",), 10.0)
        assert {one.code for one in why.holdings} == {ReasonCode.GROUP_LIMIT}


@settings(max_examples=25, deadline=None)
@given(sites_with_assets())
def test_raises_beside_assets_serve(site: tuple[object, Scenario]) -> None:
    """Whatever hangs on a site: limits raised as is said, the least unmet energy falls by what the session lacked."""
    _, scenario = site
    options = replace(ASSET_OPTIONS, why=True, pilots=PilotMode.CONTINUOUS)
    plan = optimize(scenario, options)
    assert plan.why is not None

    (group,) = scenario.site.groups
    assert group.current_limit_a is not None
    for result in plan.sessions:
        for change in plan.why.changes.get(result.session.session_id, ()):
            if change.kind is ChangeKind.DEPARTURE:
                continue
            more_a = [change.more_kw / 0.23 * (f"line main L{n}" in change.limits) for n in (1, 2, 3)]
            first, second, third = (limit + more for limit, more in zip(group.current_limit_a, more_a, strict=True))
            more_kw = change.more_kw * ("group main" in change.limits)
            higher = replace(
                group,
                current_limit_a=(first, second, third),
                import_limit_kw=None if group.import_limit_kw is None else group.import_limit_kw + more_kw,
            )
            lines = tuple(
                replace(one, limit_a=one.limit_a + change.more_kw / 0.23 * ("line neutral" in change.limits))
                for one in scenario.site.line_limits
            )
            changed = replace(scenario, site=replace(scenario.site, groups=(higher,), line_limits=lines))
            again = optimize(changed, replace(options, why=False))
            lacked_kwh = result.unmet_energy_kwh
            assert again.unmet_energy_kwh <= plan.unmet_energy_kwh - lacked_kwh + 1e-3
