"""From what a peer says to a published plan: when, on what, and that no plan breaks what was known when it went out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from api.records import OutboxKind
from models.errors import CapacityOptimizerError
from tests.api.oscp.bench import Bench
from tests.api.planning.bench import HOUR, PlanningBench


class TestWhen:
    """A plan is made when something asks for one, and only then."""

    def test_a_forecast_is_answered(self, plans: PlanningBench) -> None:
        """20 kWh in 4 h under 5 kW, then 22 kW: 5 kWh in the first hour, the rest as early as it can be."""
        plans.put_session()
        plans.forecast(5, 22, 22, 22, request_id="forecast-1")

        assert plans.run() == 1
        (message,) = plans.waiting(OutboxKind.OPTIMUM)
        assert message.message.correlation_id == "forecast-1"
        assert [block["capacity"] for block in plans.optimum()] == [5.0, 15.0, 0.0, 0.0]

    def test_a_burst_makes_one_plan_of_the_newest_state(self, plans: PlanningBench) -> None:
        """Ten forecasts before the planner looks are one plan, which answers the last."""
        plans.put_session()
        for capacity in range(1, 11):
            plans.forecast(capacity, capacity, request_id=f"forecast-{capacity}")

        assert plans.run() == 1
        (message,) = plans.waiting(OutboxKind.OPTIMUM)
        assert message.message.correlation_id == "forecast-10"
        assert [block["capacity"] for block in plans.optimum()] == [10.0, 10.0]

    def test_nothing_new_makes_no_plan(self, plans: PlanningBench) -> None:
        """The planner comes back only for a reason."""
        plans.put_session()
        plans.forecast(10, 10)
        plans.run()

        assert plans.run() == 0

    def test_it_plans_again_at_the_edge_of_a_block(self, plans: PlanningBench) -> None:
        """With nobody charging and blocks of an hour, the next plan is due when the first block ends."""
        plans.forecast(10, 10)
        plans.run()

        assert plans.stored_site().due_at == plans.now + HOUR
        plans.bench.clock.advance(3599)
        assert plans.run() == 0
        plans.bench.clock.advance(1)
        assert plans.run() == 1

    def test_while_somebody_charges_it_plans_again_at_each_step(self, plans: PlanningBench) -> None:
        """What was delivered meanwhile, or not, is known only then."""
        plans.put_session()
        plans.run()

        assert plans.stored_site().due_at == plans.now + timedelta(minutes=15)

    def test_without_anything_ahead_it_rests(self, plans: PlanningBench) -> None:
        """After the last departure and the last block there is nothing to plan, and no reason to look again."""
        plans.put_session(hours=1)
        plans.forecast(10)
        plans.run()
        plans.bench.clock.advance(3 * 3600)

        assert plans.run() == 0
        assert plans.stored_site().due_at is None

    def test_what_lies_beyond_the_horizon_wakes_it_in_time(self, plans: PlanningBench) -> None:
        """A session in 60 h and a horizon of 48 h: nothing to plan for 12 h, and then a plan though nothing is said."""
        plans.put_session(arrival=plans.now + timedelta(hours=60))
        assert plans.run() == 0

        plans.bench.clock.advance(12 * 3600)
        assert plans.run() == 0
        plans.bench.clock.advance(60)

        assert plans.run() == 1
        assert plans.plan()["requested_energy_kwh"] == 20

    def test_forecasts_wholly_in_the_past_ask_for_nothing(self, plans: PlanningBench) -> None:
        """They are kept, and there is nothing to plan."""
        plans.forecast(10, start=plans.now - 5 * HOUR)

        assert plans.run() == 0
        assert plans.waiting() == []

    def test_a_clock_that_steps_back_stops_nothing(self, plans: PlanningBench) -> None:
        """An hour back, a forecast is planned all the same, and the plan begins at the new present."""
        plans.put_session(hours=8)
        plans.run()
        plans.bench.clock.advance(-3600)
        plans.forecast(10, 10, 10)

        assert plans.run() == 1
        stored = plans.stored_plan()
        assert stored is not None
        assert stored.start == plans.now


class TestWhat:
    """What a plan is made of."""

    def test_zero_means_stop_at_once(self, plans: PlanningBench) -> None:
        """A capacity of nothing is a plan of nothing, from now on."""
        plans.put_session(hours=2)
        plans.run()
        assert plans.power_kw("S1", plans.now) > 0
        plans.bench.clock.advance(600)

        plans.forecast(0, 0)

        assert plans.run() == 1
        assert plans.power_kw("S1", plans.now) == 0
        assert [block["capacity"] for block in plans.optimum()] == [0.0, 0.0]

    def test_when_the_limits_are_stale_the_fallback_holds(self, plans: PlanningBench) -> None:
        """CONSUMPTION covers one hour, FALLBACK_CONSUMPTION all four: 10 kWh, then 3 kW."""
        plans.put_session(energy_kwh=80)
        plans.forecast(3, 3, 3, 3, kind="FALLBACK_CONSUMPTION")
        plans.forecast(10)
        plans.run()

        assert [plans.power_kw("S1", plans.now + hour * HOUR) for hour in range(4)] == [10.0, 3.0, 3.0, 3.0]

    def test_after_the_last_block_the_fallback_goes_out(self, plans: PlanningBench) -> None:
        """No CONSUMPTION block ahead: the fallback is planned, and what goes out answers its blocks."""
        plans.put_session(energy_kwh=80)
        plans.forecast(3, 3, 3, 3, kind="FALLBACK_CONSUMPTION")
        plans.forecast(10)
        plans.run()
        plans.sent()
        plans.bench.clock.advance(3600)

        plans.run()

        assert [block["capacity"] for block in plans.optimum()] == [3.0, 3.0, 3.0]

    def test_a_gap_is_never_unlimited(self, bench: Bench) -> None:
        """A group with forecasts, without a connection limit and without fallback: 0 kW where nothing is said."""
        plans = PlanningBench.make(bench, import_limit_kw=None)
        plans.put_session(energy_kwh=80)
        plans.forecast(10)
        plans.run()
        plans.bench.clock.advance(3600)
        plans.run()

        assert plans.power_kw("S1", plans.now) == 0
        assert any("no capacity is known" in note for note in plans.plan()["notes"])

    def test_an_emergency_cut_holds_from_now_on(self, plans: PlanningBench) -> None:
        """One block from now to midnight overrides the hours stated the day before, the hours after it stay."""
        plans.put_session(hours=30, energy_kwh=400)
        plans.forecast(*[20] * 30)
        plans.run()
        plans.sent()
        plans.bench.clock.advance(1800)
        midnight = datetime(2026, 12, 1, 23, tzinfo=UTC)
        hours = (midnight - plans.now) / HOUR

        plans.forecast(4, hours=hours)
        plans.run()

        capacities = [block["capacity"] for block in plans.optimum() if block["end_time"] <= "2026-12-01T23:00:00.000Z"]
        assert capacities == [4.0]
        assert plans.power_kw("S1", midnight + HOUR) == 20.0

    def test_prices_that_end_do_not_stop_it(self, plans: PlanningBench) -> None:
        """Prices known for two of four hours: the mean stands in, the plan says so, and takes the cheap hour first."""
        plans.put_session(energy_kwh=22)
        plans.put_prices((plans.now, plans.now + HOUR, 0.3), (plans.now + HOUR, plans.now + 2 * HOUR, 0.1))

        assert plans.run() == 1
        assert plans.power_kw("S1", plans.now + HOUR) == 22.0
        assert any("no price is known" in note for note in plans.plan()["notes"])

    def test_a_plan_says_why_somebody_goes_short(self, plans: PlanningBench) -> None:
        """40 kWh in 2 h under 10 kW: 20 are served, 10 kW more would serve the rest. Who is served is left out."""
        plans.forecast(10, 10)
        plans.put_session("S1", charger_id="C1", hours=2, energy_kwh=40)
        plans.put_session("S2", charger_id="C2", hours=2, energy_kwh=0)

        plans.run()

        (short,) = plans.plan()["why"]["sessions"]
        assert (short["session_id"], short["codes"]) == ("S1", ["group_limit"])
        assert short["changes"][-1]["more_kw"] == 10.0

    def test_a_session_that_left_early_frees_its_place(self, plans: PlanningBench) -> None:
        """Two share 20 kW; one is deleted, the other gets it all."""
        plans.forecast(20, 20)
        plans.put_session("S1", charger_id="C1", hours=2, energy_kwh=40)
        plans.put_session("S2", charger_id="C2", hours=2, energy_kwh=40)
        plans.run()
        assert plans.plan()["unmet_energy_kwh"] == pytest.approx(40)

        now = plans.now
        plans.bench.context.database.write_now(lambda tx: tx.sites.delete_session("depot", "S2", now=now))

        plans.run()
        assert plans.power_kw("S1", plans.now) == 20.0

    @pytest.mark.parametrize(
        ("instant", "hours"),
        [
            pytest.param(datetime(2027, 3, 27, 23, tzinfo=UTC), 23, id="spring"),
            pytest.param(datetime(2026, 10, 24, 22, tzinfo=UTC), 25, id="autumn"),
        ],
    )
    def test_a_day_on_which_the_clock_changes(self, plans: PlanningBench, instant: datetime, hours: int) -> None:
        """A local day has 23 or 25 hours; a session over it gets 1 kW in each, no hour twice and none left out."""
        plans.bench.clock.instant = instant
        plans.put_session(hours=hours, energy_kwh=100)
        plans.forecast(*[1] * hours)
        plans.run()

        assert [block["capacity"] for block in plans.optimum()] == [1.0] * hours
        assert plans.plan()["delivered_energy_kwh"] == pytest.approx(hours)


class TestSafety:
    """Nothing goes out that does not hold what is known by then."""

    def test_a_plan_that_breaks_a_newer_limit_is_not_published(self, plans: PlanningBench) -> None:
        """While 20 kW are being planned, the capacity is cut to 4 kW: only the plan of 4 kW goes out."""
        plans.put_session(energy_kwh=80)
        plans.forecast(20, 20)
        plans.executor.meanwhile = lambda: plans.forecast(4, 4)

        assert plans.run() == 2
        assert [block["capacity"] for block in plans.optimum()] == [4.0, 4.0]
        sent = plans.bench.context.database.read_now(lambda tx: tx.outbox.of_peer(plans.peer.peer_id, limit=9))
        assert len(sent) == 1

    def test_a_plan_that_holds_a_newer_limit_goes_out(self, plans: PlanningBench) -> None:
        """The capacity is raised meanwhile: the plan under the old one holds, and the next one uses the new one."""
        plans.put_session(energy_kwh=88)
        plans.forecast(4, 4)
        plans.executor.meanwhile = lambda: plans.forecast(20, 20)

        assert plans.run() == 2
        sent = plans.bench.context.database.read_now(lambda tx: tx.outbox.of_peer(plans.peer.peer_id, limit=9))
        assert len(sent) == 2
        assert [block["capacity"] for block in plans.optimum()] == [20.0, 20.0]

    def test_a_lost_lease_publishes_nothing(self, plans: PlanningBench) -> None:
        """Another server took the site over while this one was solving."""
        plans.put_session()
        plans.forecast(20, 20)

        def take_over() -> None:
            plans.bench.clock.advance(61)
            database, now = plans.bench.context.database, plans.now
            (lease,) = database.write_now(lambda tx: tx.leases.take_due(owner="other", now=now, lease_s=60, limit=1))
            assert lease.site_id == plans.site_id

        plans.executor.meanwhile = take_over
        plans.run()

        assert plans.stored_plan() is None
        assert plans.waiting() == []

    def test_a_site_that_cannot_be_planned_leaves_the_others_alone(self, plans: PlanningBench) -> None:
        """It says why, rests, and is planned when something changes."""
        plans.put_session()
        plans.executor.fail_with = CapacityOptimizerError("no way")
        plans.run()
        assert plans.stored_site().last_error == "no way"
        assert plans.run() == 0

        plans.executor.fail_with = None
        plans.forecast(20, 20)

        assert plans.run() == 1
        assert plans.stored_site().last_error == ""

    def test_a_failure_is_tried_again_after_a_pause(self, plans: PlanningBench) -> None:
        """Nothing changes, and yet it is not forgotten."""
        plans.put_session()
        plans.executor.fail_with = CapacityOptimizerError("no way")
        plans.run()
        plans.executor.fail_with = None
        plans.bench.clock.advance(60)

        assert plans.run() == 1

    def test_a_session_at_a_charger_that_is_gone_stops_nobody(self, plans: PlanningBench) -> None:
        """It is named, the others are planned."""
        plans.put_session("S1")
        plans.put_session("S9", charger_id="C9")
        plans.run()

        assert [row["session_id"] for row in plans.plan()["session_results"]] == ["S1"]
        assert any("'S9'" in note for note in plans.plan()["notes"])
