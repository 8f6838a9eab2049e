"""What holds under any lines, whatever the site looks like."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.connection import Connection
from models.domain.group import CapacityGroup, LineLimit
from models.domain.scenario import Scenario
from models.domain.schedule import ScheduleStatus
from optimizer import optimize
from optimizer.options import LineForm, OptimizeOptions, Strategy
from optimizer.planned_power import PlannedPower
from optimizer.verify_currents import line_currents
from tests.builders import MORNING, make_charger, make_scenario, make_session, make_site, make_tariff
from tests.optimizer.currents.lines import worst_excess_a

HEURISTICS = [strategy for strategy in Strategy if strategy not in (Strategy.OPTIMAL, Strategy.UNCONTROLLED)]


CONNECTIONS = ["L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1", "L1-L2-N", "L3-L1-N", "L1-L2-L3", "L2-L3-L1", None]
WEIGHTS = [(1.0, 1.0, 1.0), (0.25, 0.0, -0.25), (-0.5, 0.25, 0.25), (0.0, 1.0, -1.0)]


@st.composite
def lined(draw: st.DrawFn) -> Scenario:
    """Up to six vehicles at any connections of a small tree, under lines of any kind."""
    places = draw(st.lists(st.tuples(st.sampled_from(CONNECTIONS), st.booleans()), min_size=1, max_size=6))
    chargers = [
        make_charger(
            f"C{index}",
            group_id="row" if below else "main",
            max_power_kw=draw(st.sampled_from([3.7, 7.4, 11.0, 22.0])),
            connection=None if text is None else Connection(text),
            voltage_v=draw(st.sampled_from([None, 208.0, 400.0])),
        )
        for index, (text, below) in enumerate(places)
    ]
    sessions = [
        make_session(
            f"S{index}",
            charger_id=charger.charger_id,
            arrival=MORNING + timedelta(minutes=draw(st.sampled_from([0, 15, 50, 60]))),
            departure=MORNING + timedelta(minutes=draw(st.sampled_from([65, 90, 120, 180]))),
            energy_kwh=draw(st.sampled_from([1.0, 5.0, 20.0])),
            vehicle_phases=draw(st.sampled_from([None, 1, 2, 3])),
        )
        for index, charger in enumerate(chargers)
    ]
    limits_a = st.sampled_from([6.0, 16.0, 32.0])
    groups = [
        CapacityGroup(group_id="main", import_limit_kw=30.0, current_limit_a=draw(st.tuples(*[limits_a] * 3))),
        CapacityGroup(group_id="row", parent_id="main", current_limit_a=draw(st.none() | st.tuples(*[limits_a] * 3))),
    ]
    lines = [
        LineLimit(line_limit_id=f"T{index}", group_id="main", limit_a=draw(limits_a), weights=weights)
        for index, weights in enumerate(draw(st.lists(st.sampled_from(WEIGHTS), max_size=2, unique=True)))
    ]
    site = make_site(groups=groups, chargers=chargers, line_limits=lines)
    return make_scenario(site=site, sessions=sessions, tariff=make_tariff((0.2, 0.3, 0.1)))


class TestAnyScenario:
    """What holds whatever the site looks like."""

    @settings(max_examples=60, deadline=None)
    @given(lined(), st.sampled_from([8, 48]))
    def test_no_line_is_exceeded_at_any_moment(self, scenario: Scenario, sides: int) -> None:
        """Whoever draws less than planned: checked by adding up all subsets of those who draw at each moment."""
        schedule = optimize(scenario, OptimizeOptions(line_sides=sides))

        assert schedule.status is ScheduleStatus.OPTIMAL
        assert worst_excess_a(scenario, schedule) <= 1e-5

    @settings(max_examples=30, deadline=None)
    @given(lined(), st.sampled_from(HEURISTICS))
    def test_heuristics_hold_lines_too(self, scenario: Scenario, strategy: Strategy) -> None:
        """They meet all sides of a coarser polygon."""
        schedule = optimize(scenario, OptimizeOptions(strategy=strategy))

        assert worst_excess_a(scenario, schedule) <= 1e-5

    @settings(max_examples=30, deadline=None)
    @given(lined())
    def test_amounts_never_serve_more_than_a_polygon(self, scenario: Scenario) -> None:
        """The sum of amounts is at least that of phasors; the polygon gives away at most 1 - cos(pi / 48)."""
        amounts = optimize(scenario, OptimizeOptions(line_form=LineForm.MAGNITUDE))
        polygon = optimize(scenario, OptimizeOptions())

        allowance = 1.01 * (1 - math.cos(math.pi / 48)) * polygon.delivered_energy_kwh
        assert amounts.delivered_energy_kwh <= polygon.delivered_energy_kwh + allowance + 1e-5
        assert worst_excess_a(scenario, amounts) <= 1e-5

    @settings(max_examples=30, deadline=None)
    @given(lined())
    def test_what_is_reported_is_what_verification_finds(self, scenario: Scenario) -> None:
        """Two programs of one sum: the largest current of each line in each step."""
        options = OptimizeOptions()
        schedule = optimize(scenario, options)
        plan = PlannedPower(
            grid=schedule.grid,
            sessions=tuple(result.session for result in schedule.sessions),
            session_index=schedule.session_index,
            start_s=schedule.start_s,
            end_s=schedule.end_s,
            power_kw=schedule.power_kw,
        )
        found = {
            name: current_a
            for name, current_a, _ in line_currents(
                scenario, plan, limit_mode=options.limit_mode, current_mode=options.current_mode
            )
        }

        for line in schedule.lines:
            assert line.current_a == pytest.approx(found[f"line {line.line_id!r}"], abs=1e-6)
