"""Capacity that is asked for by its value when a plan is made, where the peer is said to take that."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from api.records import OutboxKind
from api.situation import Situation
from models.errors import SolverError
from models.oscp.v20 import AdjustGroupCapacityForecast
from optimizer.advice import Advice
from tests.api.oscp.bench import Bench
from tests.api.planning.bench import HOUR, PlanningBench

BY_VALUE = {"adjust_request": "blocks", "adjust_reason": "value"}


def by_value(bench: Bench, *capacities_kw: float, hours: float = 1.0) -> PlanningBench:
    """A depot whose peer is told by value; 10 kWh in two hours at 0.20 and then 0.30."""
    plans = PlanningBench.make(bench, overrides=BY_VALUE)
    plans.put_prices((plans.now, plans.now + HOUR, 0.2), (plans.now + HOUR, plans.now + 2 * HOUR, 0.3))
    plans.put_session(hours=2, energy_kwh=10)
    plans.forecast(*capacities_kw, hours=hours)
    plans.run()
    return plans


def asked(plans: PlanningBench) -> list[float]:
    """The capacities that are asked for in a message of the protocol that waits to go out."""
    (entry,) = plans.waiting(OutboxKind.ADJUST)
    message = AdjustGroupCapacityForecast.model_validate_json(entry.message.body or "")
    assert (message.group_id, message.type) == ("main", "CONSUMPTION")
    return [block.capacity for block in message.forecasted_blocks]


def test_by_value_for_more_and_less(bench: Bench) -> None:
    """10 kWh at 0.20 and then 0.30 under 8 and 8 kW: 2 kW more in the cheap hour save 0.20; none in the dear one is
    needed as soon as they are granted, and only 2 before.
    """
    plans = by_value(bench, 8.0, 8.0)

    assert asked(plans) == [10.0, 2.0]


def test_by_value_though_nobody_goes_short(bench: Bench) -> None:
    """12 and 8 kW for the same: 10 kW in the cheap hour and none in the dear one lose nothing."""
    plans = by_value(bench, 12.0, 8.0)

    assert asked(plans) == [10.0, 0.0]


def test_a_wish_by_value_is_repeated_when_it_changes(bench: Bench) -> None:
    """In either direction; as long as it is the same, once."""
    plans = by_value(bench, 12.0, 8.0)
    plans.sent()
    plans.forecast(12.0, 8.0)
    plans.run()
    assert plans.waiting(OutboxKind.ADJUST) == []

    plans.put_session(hours=2, energy_kwh=8)
    plans.run()
    assert asked(plans) == [8.0, 0.0]
    plans.sent()

    plans.put_session(hours=2, energy_kwh=11)
    plans.run()
    assert asked(plans) == [11.0, 0.0]


def test_too_little_to_be_handed_back(bench: Bench) -> None:
    """0.4 kW are less than wishes differ by."""
    plans = by_value(bench, 10.4)

    assert plans.waiting(OutboxKind.ADJUST) == []


def test_what_lies_beyond_the_horizon_is_not_handed_back(bench: Bench) -> None:
    """Nobody knows who comes there."""
    plans = by_value(bench, 12.0, hours=60.0)

    assert plans.waiting(OutboxKind.ADJUST) == []


def test_whole_days_by_value(bench: Bench) -> None:
    """Of tomorrow, not of today: 24 hours, the two in which it charges at what it needs."""
    plans = PlanningBench.make(bench, "elmo", time_zone="Asia/Taipei", overrides={"adjust_reason": "value"})
    today = datetime(2026, 11, 30, 16, tzinfo=UTC)
    plans.put_session(arrival=today + 30 * HOUR, hours=2, energy_kwh=20)
    plans.forecast(*[15.0] * 48, start=today)
    plans.run()

    (message,) = plans.waiting(OutboxKind.ADJUST)
    blocks = json.loads(message.message.body or "")["forecasted_blocks"]
    assert (len(blocks), blocks[0]["start_time"]) == (24, "2026-12-01T16:00:00.000Z")
    assert sum(block["capacity"] for block in blocks) == pytest.approx(20.0, abs=0.01)
    assert {block["capacity"] for block in blocks[:6] + blocks[8:]} == {0.0}


def test_a_plan_does_not_fail_for_want_of_advice(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The plan goes out, and the log says why nothing is asked for."""

    def late(_: Situation) -> Advice:
        raise SolverError("no advice was found in time")

    plans = PlanningBench.make(bench, overrides=BY_VALUE)
    plans.executor.advise_with = late
    plans.put_session(hours=2, energy_kwh=10)
    plans.forecast(12.0)
    plans.run()

    assert plans.waiting(OutboxKind.ADJUST) == []
    assert plans.optimum()
    assert "nothing is asked for: no advice was found in time" in caplog.text
