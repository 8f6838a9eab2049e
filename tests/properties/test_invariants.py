"""What holds for the optimum of every scenario, recomputed from rows, blocks and clocks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer import verify
from optimizer.extract import NOTHING_KWH
from optimizer.options import LimitMode
from tests.properties.optima import EXAMPLES, TOLERANCE, solved, values
from tests.properties.recount import counted_rows, limits_kw, price_at, rows, steps
from tests.properties.strategies import Case, cases


class TestEveryPlan:
    """One plan, any scenario."""

    @EXAMPLES
    @given(cases())
    def test_passes_verification(self, case: Case) -> None:
        """What is published was proved optimal and passes the independent check."""
        schedule = solved(case)

        found = verify(case.scenario, schedule, limit_mode=case.options.limit_mode)

        assert found.violations == ()

    @EXAMPLES
    @given(cases())
    def test_no_group_exceeds_its_limit_over_a_step(self, case: Case) -> None:
        """At every level of the tree and on every phase the energy of a step is at most limit x length of the step,
        whatever a limit means: what holds at every moment holds on the mean.
        """
        schedule = solved(case)

        for group in case.site.groups:
            for begin_s, end_s in steps(schedule):
                for phase, limit_kw in limits_kw(case, group.group_id, begin_s).items():
                    counted = counted_rows(case, schedule, group.group_id, phase)
                    energy_kws = sum(kw * (until - since) for since, until, kw in counted if begin_s <= since < end_s)
                    assert energy_kws <= limit_kw * (end_s - begin_s) + TOLERANCE * 3600

    @EXAMPLES
    @given(cases(limit_modes=[LimitMode.INSTANTANEOUS]))
    def test_no_moment_exceeds_a_limit_when_every_moment_counts(self, case: Case) -> None:
        """For instantaneous limits the power of all who draw at a moment is at most the limit at that moment. Load
        only rises where a row begins, so that these moments are all there is to check; limits only fall at edges.
        """
        schedule = solved(case)

        moments = {*schedule.start_s.tolist(), *schedule.grid.edges_s[:-1].tolist()}
        for group in case.site.groups:
            for moment_s in moments:
                for phase, limit_kw in limits_kw(case, group.group_id, moment_s).items():
                    counted = counted_rows(case, schedule, group.group_id, phase)
                    load_kw = sum(kw for since, until, kw in counted if since <= moment_s < until)
                    assert load_kw <= limit_kw + TOLERANCE

    @EXAMPLES
    @given(cases())
    def test_every_row_lies_within_the_stay(self, case: Case) -> None:
        """Nobody draws power before the arrival or after the departure, nor across an edge of the grid."""
        schedule = solved(case)

        sessions = {session.session_id: session for session in case.sessions}
        edges = schedule.grid.edges_s.tolist()
        for session_id, start_s, end_s, _ in rows(schedule):
            assert sessions[session_id].arrival.timestamp() <= start_s < end_s
            assert end_s <= sessions[session_id].departure.timestamp()
            assert not any(start_s < edge < end_s for edge in edges)

    @EXAMPLES
    @given(cases())
    def test_the_grid_holds_every_edge(self, case: Case) -> None:
        """Within a step no price and no limit changes."""
        schedule = solved(case)

        edges = {
            edge.timestamp()
            for message in case.messages
            for block in message.blocks
            for edge in (block.start, block.end)
        } | {block.start.timestamp() for block in case.prices}
        for begin_s, end_s in steps(schedule):
            for inside_s in (edge_s for edge_s in edges if begin_s < edge_s < end_s):
                assert price_at(case, inside_s) == price_at(case, begin_s)
                for group in case.site.groups:
                    assert limits_kw(case, group.group_id, inside_s) == limits_kw(case, group.group_id, begin_s)

    @EXAMPLES
    @given(cases())
    def test_no_session_gets_more_than_it_asks_for_or_can_draw(self, case: Case) -> None:
        """Energy is at most the request, power at most the lower of charger and vehicle; what is delivered, unmet and
        unreachable makes up the request.
        """
        schedule = solved(case)

        chargers = {charger.charger_id: charger for charger in case.site.chargers}
        for session_id, _, _, power_kw in rows(schedule):
            session = next(session for session in case.sessions if session.session_id == session_id)
            limit_kw = chargers[session.charger_id].max_power_kw
            assert 0 < power_kw <= min(limit_kw, session.max_power_kw or math.inf) + TOLERANCE
        for result in schedule.sessions:
            energy_kwh = sum(
                power_kw * (end_s - start_s) / 3600
                for session_id, start_s, end_s, power_kw in rows(schedule)
                if session_id == result.session.session_id
            )
            parts = result.delivered_energy_kwh + result.unmet_energy_kwh + result.unreachable_energy_kwh
            assert energy_kwh == pytest.approx(result.delivered_energy_kwh, abs=TOLERANCE)
            assert energy_kwh <= result.session.energy_kwh + TOLERANCE
            assert parts == pytest.approx(result.session.energy_kwh, abs=TOLERANCE)
            assert result.unmet_energy_kwh == 0.0 or result.unmet_energy_kwh >= NOTHING_KWH

    @EXAMPLES
    @given(cases())
    def test_sessions_at_one_charger_share_its_power(self, case: Case) -> None:
        """In a step in which two stays at one charger overlap, all sessions there together draw on the mean no more
        than the charger delivers.
        """
        schedule = solved(case)

        for charger in case.site.chargers:
            here = [session for session in case.sessions if session.charger_id == charger.charger_id]
            for begin_s, end_s in steps(schedule):
                stays = [
                    (max(s.arrival.timestamp(), begin_s), min(s.departure.timestamp(), end_s))
                    for s in here
                    if s.arrival.timestamp() < end_s and s.departure.timestamp() > begin_s
                ]
                overlap = any(
                    max(one[0], other[0]) < min(one[1], other[1])
                    for index, one in enumerate(stays)
                    for other in stays[:index]
                )
                ids = {session.session_id for session in here}
                energy_kws = sum(
                    kw * (until - since)
                    for session_id, since, until, kw in rows(schedule)
                    if session_id in ids and begin_s <= since < end_s
                )
                if overlap:
                    assert energy_kws <= charger.max_power_kw * (end_s - begin_s) + TOLERANCE * 3600

    @EXAMPLES
    @given(cases())
    def test_cost_and_peak_are_those_of_the_rows(self, case: Case) -> None:
        """Cost is the sum of energy x price; without prices it is zero. The peak is that of the group results' roots
        together.
        """
        schedule = solved(case)

        cost = sum(
            power_kw * (end_s - start_s) / 3600 * (price_at(case, start_s) or 0.0)
            for _, start_s, end_s, power_kw in rows(schedule)
        )
        roots = [group.group_id for group in case.site.groups if group.parent_id is None]
        site_kw = np.sum([schedule.group(group_id).power_kw for group_id in roots], axis=0)
        assert schedule.energy_cost == pytest.approx(cost, abs=TOLERANCE)
        assert schedule.peak_import_kw == pytest.approx(site_kw.max(), abs=TOLERANCE)

    @EXAMPLES
    @given(cases())
    def test_who_goes_short_is_told_why(self, case: Case) -> None:
        """The reason is empty exactly where a session gets all it asks for; an optimum never leaves room unused."""
        schedule = solved(case)

        for result in schedule.sessions:
            is_short = result.unmet_energy_kwh + result.unreachable_energy_kwh > 0
            assert bool(result.reason) == is_short
            assert "not used" not in result.reason

    @EXAMPLES
    @given(cases())
    def test_it_is_the_same_on_every_run(self, case: Case) -> None:
        """Planning the same scenario again gives the same rows to the last bit."""
        first, again = solved(case), solved(case)

        assert rows(first) == rows(again)
        assert values(first) == values(again)

    @EXAMPLES
    @given(st.one_of(cases(), cases(minutes=60)), st.data())
    def test_the_order_of_the_input_does_not_matter(self, case: Case, data: st.DataObject) -> None:
        """Sessions, groups, chargers and prices are sets: listed in another order they give the same rows."""
        shuffled = replace(
            case,
            site=replace(
                case.site,
                groups=tuple(data.draw(st.permutations(case.site.groups))),
                chargers=tuple(data.draw(st.permutations(case.site.chargers))),
            ),
            sessions=tuple(data.draw(st.permutations(case.sessions))),
            prices=tuple(data.draw(st.permutations(case.prices))),
        )

        plan, other = solved(case), solved(shuffled)

        assert rows(plan) == rows(other)
        assert values(plan) == values(other)
        assert {group.group_id: group.power_kw.tolist() for group in plan.groups} == {
            group.group_id: group.power_kw.tolist() for group in other.groups
        }
