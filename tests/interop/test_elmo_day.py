"""A day with Taipower's ELMO behind the provider: tomorrow's capacity by 10:00, a request for more by 14:00,
the answer by 16:00, and an emergency cut until midnight.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api.records import OutboxKind
from tests.api.oscp.bench import Bench
from tests.api.planning.bench import HOUR, PlanningBench

TAIPEI = ZoneInfo("Asia/Taipei")
TODAY = datetime(2026, 12, 1, tzinfo=TAIPEI)
TOMORROW = TODAY + timedelta(days=1)
ARRIVAL = TOMORROW + 8 * HOUR
# 5 kW in the morning are 20 kWh for a car that needs 60 from 8:00 to 12:00.
OFFERED = [20.0] * 8 + [5.0] * 4 + [20.0] * 12
GRANTED = [20.0] * 8 + [15.0] * 4 + [20.0] * 12


@pytest.fixture
def plans(bench: Bench) -> PlanningBench:
    """A depot near Taipei, and a car tomorrow."""
    made = PlanningBench.make(bench, "elmo", time_zone="Asia/Taipei")
    set_clock(made, TODAY + 9.5 * HOUR)
    made.put_session(arrival=ARRIVAL, hours=4, energy_kwh=60)
    made.forecast(*[20.0] * 24, start=TODAY, request_id="today")
    return made


def set_clock(plans: PlanningBench, instant: datetime) -> None:
    """Set the clock."""
    plans.bench.clock.instant = instant


def blocks(plans: PlanningBench, kind: OutboxKind) -> list[dict[str, Any]]:
    """The blocks of the one message of a kind that waits to go out."""
    (message,) = plans.waiting(kind)
    found: list[dict[str, Any]] = json.loads(message.message.body or "")["forecasted_blocks"]
    return found


def capacities(found: Sequence[dict[str, Any]], start: datetime) -> list[float]:
    """The capacities of blocks from an instant on."""
    return [block["capacity"] for block in found if datetime.fromisoformat(block["start_time"]) >= start]


def test_capacity_request_answer_and_emergency(plans: PlanningBench) -> None:
    """Each message is answered by a plan that keeps to what holds by then, and the request is for 24 whole hours."""
    # By 10:00: 5 kW from 8:00 to 12:00 tomorrow.
    set_clock(plans, TODAY + 9.8 * HOUR)
    plans.forecast(*OFFERED, start=TOMORROW, request_id="tomorrow")
    plans.run()

    assert capacities(blocks(plans, OutboxKind.OPTIMUM), TOMORROW)[8:12] == [5.0] * 4
    asked = blocks(plans, OutboxKind.ADJUST)
    first, last = datetime.fromisoformat(asked[0]["start_time"]), datetime.fromisoformat(asked[-1]["end_time"])
    assert (len(asked), first, last) == (24, TOMORROW, TOMORROW + 24 * HOUR)
    assert sum(capacities(asked, TOMORROW)[8:12]) >= 60
    assert all(wanted >= offered for wanted, offered in zip(capacities(asked, TOMORROW), OFFERED, strict=True))
    plans.sent()

    # By 16:00: 15 kW are granted.
    set_clock(plans, TODAY + 15.9 * HOUR)
    plans.forecast(*GRANTED, start=TOMORROW, request_id="granted")
    plans.run()

    (answer,) = plans.waiting(OutboxKind.OPTIMUM)
    assert answer.message.correlation_id == "granted"
    assert sum(capacities(blocks(plans, OutboxKind.OPTIMUM), TOMORROW)[8:12]) == pytest.approx(60)
    assert plans.waiting(OutboxKind.ADJUST) == []
    assert plans.plan()["unmet_energy_kwh"] == 0
    plans.sent()

    # At 9:20 of the day: 2 kW from now to midnight, in one block over hours that were promised.
    set_clock(plans, TOMORROW + 9 * HOUR + timedelta(minutes=20))
    midnight = TOMORROW + 24 * HOUR
    plans.forecast(2.0, hours=(midnight - plans.now) / HOUR, request_id="emergency")
    plans.run()

    (answer,) = plans.waiting(OutboxKind.OPTIMUM)
    assert answer.message.correlation_id == "emergency"
    assert max(block["capacity"] for block in blocks(plans, OutboxKind.OPTIMUM)) <= 2
    assert all(plans.power_kw("S1", plans.now + minutes * timedelta(minutes=1)) <= 2 for minutes in range(160))


def test_nothing_is_asked_for_today(plans: PlanningBench) -> None:
    """A whole day can only be asked for before it begins."""
    plans.put_session("S2", charger_id="C2", hours=2, energy_kwh=44)
    plans.forecast(5.0, 5.0)
    plans.run()

    assert plans.waiting(OutboxKind.OPTIMUM)
    assert plans.waiting(OutboxKind.ADJUST) == []
