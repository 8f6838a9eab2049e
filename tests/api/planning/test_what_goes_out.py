"""What a peer hears of a plan: what is new to it, once, and what it is asked for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from api.records import OutboxKind
from tests.api.oscp.bench import Bench
from tests.api.planning.bench import HOUR, PlanningBench


class TestWhatGoesOut:
    """A peer hears what is new to it, once."""

    def test_an_optimum_it_has_is_not_sent_again(self, plans: PlanningBench) -> None:
        """Nobody charges: the next step's plan says zero as before, and the peer is left alone."""
        plans.forecast(10, 10, 10)
        plans.run()
        plans.sent()
        plans.bench.clock.advance(3600)

        assert plans.run() == 1
        assert plans.waiting() == []

    def test_a_forecast_is_answered_though_nothing_changes(self, plans: PlanningBench) -> None:
        """The peer sent it and waits for the answer."""
        plans.forecast(10, 10)
        plans.run()
        plans.sent()

        plans.forecast(10, 10, request_id="again")
        plans.run()

        (message,) = plans.waiting(OutboxKind.OPTIMUM)
        assert message.message.correlation_id == "again"

    def test_a_plan_of_our_own_accord_names_no_forecast(self, plans: PlanningBench) -> None:
        """A session arrives: the OPTIMUM answers nothing the peer sent."""
        plans.forecast(10, 10)
        plans.run()
        plans.sent()
        plans.put_session()
        plans.run()

        (message,) = plans.waiting(OutboxKind.OPTIMUM)
        assert message.message.correlation_id == ""

    @pytest.mark.parametrize(("overrides", "capacity"), [({}, 10.0), ({"ampere_all_per_conductor": False}, 30.0)])
    def test_current_is_answered_as_the_peer_counts_it(
        self, bench: Bench, overrides: dict[str, Any], capacity: float
    ) -> None:
        """10 A on each of three conductors at 230 V are 6.9 kW; to a peer that states the sum the same is 30 A."""
        plans = PlanningBench.make(bench, overrides=overrides)
        plans.put_session(energy_kwh=100)
        plans.forecast(capacity, unit="A")
        plans.run()

        assert plans.optimum()[0]["capacity"] == capacity
        assert plans.power_kw("S1", plans.now) == pytest.approx(6.9)

    def test_a_newer_plan_supersedes_what_waits(self, plans: PlanningBench) -> None:
        """A peer that was away gets the newest plan, not all of them."""
        plans.put_session(energy_kwh=40)
        for capacity in (10, 9, 8):
            plans.forecast(capacity, capacity)
            plans.run()

        assert [block["capacity"] for block in plans.optimum()] == [8.0, 8.0]

    def test_a_peer_that_refuses_an_optimum_gets_it_as_its_profile_says(self, bench: Bench) -> None:
        """SolarNetwork takes AdjustGroupCapacityForecast from an optimizer."""
        plans = PlanningBench.make(bench, "solarnetwork")
        plans.put_session(energy_kwh=8)
        plans.forecast(10, 10)
        plans.run()

        (message,) = plans.waiting()
        assert message.message.kind is OutboxKind.ADJUST
        assert json.loads(message.message.body or "")["type"] == "OPTIMUM"

    def test_a_received_optimum_is_a_wish_and_no_limit(self, plans: PlanningBench) -> None:
        """It is kept beside the limits and changes nothing."""
        plans.put_session(energy_kwh=80)
        plans.forecast(20, 20)
        plans.forecast(1, 1, kind="OPTIMUM")
        plans.run()

        assert plans.power_kw("S1", plans.now) == 20.0


class TestAsking:
    """Who goes short asks for more, where the profile says that the peer listens."""

    def test_whole_hours_of_the_next_day(self, bench: Bench) -> None:
        """60 kWh at 22 kW from 06:00 to 09:00 local tomorrow under 5 kW: 24 whole hours of that day, 22 kW in three."""
        plans = PlanningBench.make(bench, "elmo", time_zone="Asia/Taipei")
        tomorrow = datetime(2026, 12, 1, 16, tzinfo=UTC)
        plans.put_session(arrival=tomorrow + 6 * HOUR, hours=3, energy_kwh=60)
        plans.forecast(*[5] * 24, start=tomorrow)
        plans.run()

        (message,) = plans.waiting(OutboxKind.ADJUST)
        blocks = json.loads(message.message.body or "")["forecasted_blocks"]
        assert len(blocks) == 24
        assert blocks[0]["start_time"] == "2026-12-01T16:00:00.000Z"
        assert [block["capacity"] for block in blocks[6:9]] == [22.0, 22.0, 22.0]
        assert {block["capacity"] for block in blocks[:6] + blocks[9:]} == {5.0}

    def test_the_same_wish_is_not_repeated(self, bench: Bench) -> None:
        """Asked once, and answered by the same capacity: it is not asked again at each step."""
        plans = PlanningBench.make(bench, "elmo", time_zone="Asia/Taipei")
        tomorrow = datetime(2026, 12, 1, 16, tzinfo=UTC)
        plans.put_session(arrival=tomorrow + 6 * HOUR, hours=3, energy_kwh=60)
        plans.forecast(*[5] * 24, start=tomorrow)
        plans.run()
        plans.sent()
        plans.forecast(*[5] * 24, start=tomorrow)
        plans.run()

        assert plans.waiting(OutboxKind.ADJUST) == []

    def test_nobody_asks_by_the_standard(self, plans: PlanningBench) -> None:
        """A Capacity Optimizer has no such message in the standard."""
        plans.put_session(energy_kwh=80)
        plans.forecast(5, 5, 5, 5)
        plans.run()

        assert plans.waiting(OutboxKind.ADJUST) == []
