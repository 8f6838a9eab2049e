"""Limits that plans hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.domain.capacity import CapacityForecast, CapacityKind, Phase
from models.domain.group import CapacityGroup, Site
from models.domain.scenario import Scenario
from optimizer.options import LimitMode
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_forecast,
    make_one_limit,
    make_scenario,
    make_session,
    make_site,
    make_tariff,
)
from tests.optimizer.plans.by_hand import HOURLY, approx, planned, table


class TestLimits:
    """Every limit on the path of a session holds."""

    def tree(self, root_kw: float | None, leaf_kw: float | None) -> Site:
        return make_site(
            groups=[
                CapacityGroup(group_id="root", import_limit_kw=root_kw),
                CapacityGroup(group_id="leaf", parent_id="root", import_limit_kw=leaf_kw),
            ],
            chargers=[make_charger("C1", group_id="leaf"), make_charger("C2", group_id="root")],
        )

    @pytest.mark.parametrize(
        ("root_kw", "leaf_kw", "expected"),
        [(9.0, 4.0, [4.0, 5.0]), (3.0, 4.0, [3.0, 0.0]), (None, 4.0, [4.0, 10.0]), (16.0, None, [10.0, 6.0])],
    )
    def test_parent_and_child(self, root_kw: float | None, leaf_kw: float | None, expected: list[float]) -> None:
        """L hangs on the leaf (priority 2), R on the root, 10 kWh each in one hour: L gets the least of 10, leaf and
        root; R what the root has left of it.
        """
        sessions = [
            make_session("L", departure=MORNING + HOUR, priority=2.0),
            make_session("R", charger_id="C2", departure=MORNING + HOUR),
        ]

        plan = planned(make_scenario(site=self.tree(root_kw, leaf_kw), sessions=sessions))

        assert [result.delivered_energy_kwh for result in plan.sessions] == pytest.approx(expected)
        assert plan.group("leaf").power_kw.tolist() == pytest.approx(expected[:1])
        assert plan.group("root").power_kw.tolist() == pytest.approx([sum(expected)])

    def test_the_lower_of_connection_and_forecast_holds(self) -> None:
        """A connection of 5 kW under forecasts of 3 and 8 kW allows 3 and 5 kWh."""
        scenario = make_one_limit(5.0, [make_session()])
        scenario = make_scenario(site=scenario.site, sessions=scenario.sessions, forecasts=[make_forecast((3.0, 8.0))])

        plan = planned(scenario)

        assert table(plan) == approx({"S1": [3.0, 5.0]})
        assert plan.group("main").limit_kw.tolist() == [3.0, 5.0]
        assert plan.unmet_energy_kwh == pytest.approx(2.0)

    def test_zero_capacity_all_day_is_a_plan(self) -> None:
        """Nothing allowed, nothing delivered: optimal all the same, and everything unmet is said to be."""
        plan = planned(make_one_limit(0.0, [make_session("A"), make_session("B")], tariff=make_tariff()))

        assert plan.power_kw.size == 0
        assert plan.unmet_energy_kwh == pytest.approx(20.0)
        assert plan.peak_import_kw == plan.energy_cost == 0.0

    def test_a_gap_in_the_forecasts_means_zero_and_is_noted(self) -> None:
        """Without a connection limit, an hour no forecast covers may draw nothing; a note says since when and what to
        do.
        """
        scenario = make_one_limit(None, [make_session()])
        scenario = make_scenario(site=scenario.site, sessions=scenario.sessions, forecasts=[make_forecast((6.0,))])

        plan = planned(scenario)

        assert table(plan) == approx({"S1": [6.0, 0.0]})
        assert plan.group("main").limit_kw.tolist() == [6.0, 0.0]
        (note,) = plan.notes
        assert all(part in note for part in ("'main'", "1 steps", "2026-03-02T10:00:00+01:00", "0 kW"))

    def test_a_connection_limit_fills_a_gap(self) -> None:
        """Where the connection has a limit, it holds in the gap."""
        scenario = make_one_limit(7.0, [make_session(energy_kwh=20.0)])
        scenario = make_scenario(site=scenario.site, sessions=scenario.sessions, forecasts=[make_forecast((6.0,))])

        plan = planned(scenario)

        assert table(plan) == approx({"S1": [6.0, 7.0]})
        assert plan.notes == ()

    def test_the_fallback_fills_a_gap(self) -> None:
        """FALLBACK_CONSUMPTION of 2 kW holds in the second hour only, where CONSUMPTION says nothing."""
        scenario = make_one_limit(None, [make_session()])
        forecasts = [make_forecast((6.0,)), make_forecast((2.0, 2.0), kind=CapacityKind.FALLBACK_CONSUMPTION)]
        scenario = make_scenario(site=scenario.site, sessions=scenario.sessions, forecasts=forecasts)

        plan = planned(scenario)

        assert table(plan) == approx({"S1": [6.0, 2.0]})
        assert plan.notes == ()

    @pytest.mark.parametrize("kind", [CapacityKind.GENERATION, CapacityKind.OPTIMUM, CapacityKind.FALLBACK_GENERATION])
    def test_other_forecasts_limit_nothing(self, kind: CapacityKind) -> None:
        """What may be fed in, and what was answered, does not hold down what is drawn."""
        scenario = make_one_limit(None, [make_session()])
        scenario = make_scenario(
            site=scenario.site, sessions=scenario.sessions, forecasts=[make_forecast((1.0, 1.0), kind=kind)]
        )

        assert planned(scenario).delivered_energy_kwh == pytest.approx(10.0)

    @pytest.mark.parametrize(
        ("phases", "expected_kwh"),
        [
            pytest.param(Phase.ALL, 6.0, id="three phases: a third on each"),
            pytest.param(Phase.ONE, 2.0, id="on the limited phase"),
            pytest.param(Phase.TWO, 10.0, id="on another phase"),
            pytest.param(Phase.UNKNOWN, 2.0, id="unknown: in full on each"),
        ],
    )
    def test_a_limit_of_one_phase(self, phases: Phase, expected_kwh: float) -> None:
        """2 kW on phase ONE for an hour: three-phase power counts by a third, single-phase where it is connected."""
        plan = planned(self.phase_scenario(phases, [make_forecast((2.0,), phase=Phase.ONE)]))

        assert plan.delivered_energy_kwh == pytest.approx(expected_kwh)
        assert bool(plan.notes) == (phases is Phase.UNKNOWN)

    def test_phases_and_their_sum_hold_together(self) -> None:
        """Phase limits of 2, 3 and 4 kW with 5 kW for all: three phases draw 5 kW, not 3 x 2."""
        forecasts = [
            make_forecast((2.0,), phase=Phase.ONE),
            make_forecast((3.0,), phase=Phase.TWO),
            make_forecast((4.0,), phase=Phase.THREE),
            make_forecast((5.0,)),
        ]

        assert planned(self.phase_scenario(Phase.ALL, forecasts)).delivered_energy_kwh == pytest.approx(5.0)

    def phase_scenario(self, phases: Phase, forecasts: list[CapacityForecast]) -> Scenario:
        """10 kWh within an hour at a charger of these phases."""
        site = make_site(chargers=[make_charger(phases=phases)])
        return make_scenario(site=site, sessions=[make_session(departure=MORNING + HOUR)], forecasts=forecasts)

    def test_the_mean_lets_a_short_stay_draw_more(self) -> None:
        """Half an hour in an hourly step under 6 kW: on the mean 6 kWh at 12 kW, at every moment 3 kWh at 6 kW."""
        scenario = make_one_limit(6.0, [make_session(departure=MORNING + HOUR / 2)])

        mean = planned(scenario)
        every_moment = planned(scenario, replace(HOURLY, limit_mode=LimitMode.INSTANTANEOUS))

        assert mean.power_kw.tolist() == pytest.approx([12.0])
        assert mean.delivered_energy_kwh == pytest.approx(6.0)
        assert every_moment.power_kw.tolist() == pytest.approx([6.0])
        assert every_moment.delivered_energy_kwh == pytest.approx(3.0)

    def test_sessions_at_one_charger_share_it(self) -> None:
        """Two at a charger of 22 kW for the same hour, 20 kWh each: 22 kWh between them, 18 unmet, none unreachable."""
        sessions = [make_session(name, departure=MORNING + HOUR, energy_kwh=20.0) for name in ("A", "B")]

        plan = planned(make_scenario(sessions=sessions))

        assert plan.delivered_energy_kwh == pytest.approx(22.0)
        assert plan.unmet_energy_kwh == pytest.approx(18.0)
        assert plan.unreachable_energy_kwh == 0.0
