"""Storages of sites that are planned all the time: what they hold, as it was measured and planned since."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from api.records import OutboxKind
from api.site_state import SiteState
from api.site_state_json import state_from_json, state_to_json
from api.storages import KEPT_COURSE, StorageRecord, Stored
from tests.api.oscp.bench import Bench
from tests.api.planning.bench import HOUR, PlanningBench
from tests.builders import MORNING, make_storage

MINUTE = timedelta(minutes=1)


def with_battery(bench: Bench, **battery: Any) -> PlanningBench:
    """A depot with a battery of 10 kWh and 5 kW, half full; prices of 0.20, then 0.30; 10 kWh asked for at 0.30."""
    plans = PlanningBench.make(bench, storages=[make_storage(**battery)])
    begin = plans.now
    plans.put_prices((begin, begin + HOUR, 0.20), (begin + HOUR, begin + 2 * HOUR, 0.30))
    plans.put_session(arrival=begin + HOUR, hours=1, energy_kwh=10)
    return plans


def with_battery_planned(bench: Bench, *, seconds_ago: int) -> PlanningBench:
    """The same, planned some time ago."""
    plans = with_battery(bench)
    plans.run()
    plans.bench.clock.advance(seconds_ago)
    return plans


class TestPlan:
    """A storage is planned as in a scenario."""

    def test_it_is_filled_while_energy_is_cheap(self, bench: Bench) -> None:
        """5 kWh at 0.20 go into it and come out at 0.30, 5 kWh are drawn at 0.30: 2.50 instead of 3.00.

        The OPTIMUM is what vehicle and battery draw together: 5 kWh in each hour.
        """
        plans = with_battery(bench)
        plans.forecast(20, 20)
        plans.run()

        assert plans.plan()["energy_cost"] == pytest.approx(2.5)
        assert plans.asset_kw("battery") == pytest.approx([5.0] * 4 + [-5.0] * 4)
        assert plans.stored_kwh("battery")[3] == pytest.approx(10.0)
        assert [block["capacity"] for block in plans.optimum()] == [5.0, 5.0]

    def test_an_optimum_is_never_below_zero(self, bench: Bench) -> None:
        """Energy is sold at 0.30: the battery feeds in on balance, and the OPTIMUM says zero."""
        plans = PlanningBench.make(bench, storages=[make_storage()])
        begin = plans.now
        plans.put_prices((begin, begin + HOUR, 0.20), (begin + HOUR, begin + 2 * HOUR, 0.30), export=True)
        plans.forecast(20, 20)
        plans.run()

        assert plans.asset_kw("battery") == pytest.approx([5.0] * 4 + [-5.0] * 4)
        assert [block["capacity"] for block in plans.optimum()] == [5.0, 0.0]

    def test_prices_alone_are_a_reason_to_plan(self, bench: Bench) -> None:
        """Nobody charges and nothing is forecast: it buys and sells, to the last price, anew at every step."""
        plans = PlanningBench.make(bench, storages=[make_storage()])
        begin = plans.now
        plans.put_prices((begin, begin + HOUR, 0.20), (begin + HOUR, begin + 2 * HOUR, 0.30), export=True)

        assert plans.run() == 1
        assert plans.plan()["total_cost"] == pytest.approx(-0.5)
        assert plans.stored_site().due_at == begin + 15 * MINUTE
        plans.bench.clock.advance(2 * 3600)
        assert plans.run() == 0
        assert plans.stored_site().due_at is None

    def test_prices_beyond_the_horizon_wake_it_in_time(self, bench: Bench) -> None:
        """Prices that begin in 60 h and a horizon of 48 h: nothing to plan for 12 h."""
        plans = PlanningBench.make(bench, storages=[make_storage()])
        begin = plans.now + 60 * HOUR
        plans.put_prices((begin, begin + HOUR, 0.20), (begin + HOUR, begin + 2 * HOUR, 0.30))
        assert plans.run() == 0

        plans.bench.clock.advance(12 * 3600 + 60)

        assert plans.run() == 1

    def test_a_cut_meanwhile_discards_a_plan_that_breaks_it(self, bench: Bench) -> None:
        """While 5 kW into the battery are being planned, the capacity is cut to 2 kW: only what holds 2 kW goes out."""
        plans = with_battery(bench)
        plans.forecast(20, 20)
        plans.executor.meanwhile = lambda: plans.forecast(2, 20)

        assert plans.run() == 2
        power_kw = plans.asset_kw("battery")
        assert [*power_kw[:4], sum(power_kw[4:])] == pytest.approx([2.0] * 4 + [-8.0])
        sent = plans.bench.context.database.read_now(lambda tx: tx.outbox.of_peer(plans.peer.peer_id, limit=9))
        assert len(sent) == 1

    def test_a_reading_meanwhile_discards_none(self, bench: Bench) -> None:
        """The capacity is raised and a state measured while it solves: the plan holds the limits and goes out."""
        plans = with_battery(bench)
        plans.forecast(4, 4)

        def act() -> None:
            plans.measure("battery", stored_kwh=0.5, category="STORAGE")
            plans.forecast(20, 20)

        plans.executor.meanwhile = act

        assert plans.run() == 2
        sent = plans.bench.context.database.read_now(lambda tx: tx.outbox.of_peer(plans.peer.peer_id, limit=9))
        assert len(sent) == 2


class TestState:
    """What is in it: as it was measured, and since then as it was planned."""

    def test_what_is_measured_counts(self, bench: Bench) -> None:
        """9 kWh of 10 are in it, and 5 are to be left: 1 kWh goes in, and 5 kW for an hour come out."""
        plans = with_battery(bench)
        plans.measure("battery", stored_kwh=9, category="STORAGE")
        plans.run()

        assert plans.stored_kwh("battery")[3] == pytest.approx(10.0)
        assert plans.stored_kwh("battery")[-1] == pytest.approx(5.0)
        assert plans.plan()["energy_cost"] == pytest.approx(1 * 0.20 + 5 * 0.30)

    def test_without_a_measurement_what_was_planned_counts(self, bench: Bench) -> None:
        """After the cheap hour it is full as planned, and what was put in is taken out."""
        plans = with_battery_planned(bench, seconds_ago=3600)

        assert plans.run() == 1
        assert plans.asset_kw("battery") == pytest.approx([-5.0] * 4)
        assert plans.stored_kwh("battery")[-1] == pytest.approx(5.0)

    def test_what_is_lent_is_put_back(self, bench: Bench) -> None:
        """Dear first: 5 kWh are taken out at 0.30, and put back at 0.20 by a plan that finds it empty."""
        plans = PlanningBench.make(bench, storages=[make_storage()])
        begin = plans.now
        plans.put_prices((begin, begin + HOUR, 0.30), (begin + HOUR, begin + 2 * HOUR, 0.20))
        plans.put_session(hours=1, energy_kwh=10)
        plans.run()
        assert plans.stored_kwh("battery")[3] == pytest.approx(0.0)
        plans.bench.clock.advance(3600)

        plans.run()

        assert plans.asset_kw("battery") == pytest.approx([5.0] * 4)

    def test_a_measurement_as_planned_makes_no_plan(self, bench: Bench) -> None:
        """5 kW for 12 minutes make 6 kWh of 5."""
        plans = with_battery_planned(bench, seconds_ago=720)

        plans.measure("battery", stored_kwh=6, category="STORAGE")

        assert plans.run() == 0

    def test_one_that_is_far_off_does(self, bench: Bench) -> None:
        """4.8 kWh instead of 6 kWh is more than 1 kWh off; filled for the rest of the hour it comes to 8.8 kWh."""
        plans = with_battery_planned(bench, seconds_ago=720)

        plans.measure("battery", stored_kwh=4.8, category="STORAGE")

        assert plans.run() == 1
        assert max(plans.stored_kwh("battery")) == pytest.approx(8.8)
        assert plans.run() == 0

    def test_it_follows_the_plan_from_the_measurement_on(self, bench: Bench) -> None:
        """5.5 kWh after 12 minutes, half a kWh short: after another 3 minutes of 5 kW the next plan finds 5.75 kWh."""
        plans = with_battery_planned(bench, seconds_ago=720)
        plans.measure("battery", stored_kwh=5.5, category="STORAGE")
        assert plans.run() == 0
        plans.bench.clock.advance(180)

        assert plans.run() == 1
        assert plans.stored_kwh("battery")[0] == pytest.approx(7.0)

    def test_readings_that_lag_are_no_drift(self, bench: Bench) -> None:
        """The state of twelve minutes ago, told after plans that began since: as planned it is no reason to plan."""
        plans = with_battery(bench)
        plans.run()
        solved = []
        for minute in (18, 33, 48):
            plans.bench.clock.instant = plans.bench.clock.instant.replace(minute=minute)
            plans.run()  # at the edge of a step
            plans.measure("battery", stored_kwh=5 + (minute - 12) / 12, category="STORAGE", at=plans.now - 12 * MINUTE)
            solved.append(plans.run())

        assert solved == [0, 0, 0]
        assert plans.stored_kwh("battery")[0] == pytest.approx(10 - 5 * 12 / 60 + 1)

    def test_a_reading_that_lags_and_is_far_off_counts(self, bench: Bench) -> None:
        """3.5 kWh at six past where 5.5 were planned, told at twenty past: it is 2 kWh short, and comes to 8 of 10."""
        plans = with_battery(bench)
        begin = plans.now
        plans.run()
        plans.bench.clock.advance(1200)
        plans.run()

        plans.measure("battery", stored_kwh=3.5, category="STORAGE", at=begin + 6 * MINUTE)

        assert plans.run() == 1
        assert max(plans.stored_kwh("battery")) == pytest.approx(8.0)

    def test_an_older_reading_undoes_no_newer_one(self, bench: Bench) -> None:
        """8 kWh now, then 2 kWh of ten minutes ago: 2 kWh are bought to fill it, and 5 beside the 5 that come out."""
        plans = with_battery(bench)
        plans.measure("battery", stored_kwh=8, category="STORAGE")
        plans.measure("battery", stored_kwh=2, category="STORAGE", at=plans.now - 10 * MINUTE)
        plans.run()

        assert plans.plan()["energy_cost"] == pytest.approx(2 * 0.20 + 5 * 0.30)

    def test_a_reading_from_the_future_is_not_believed(self, bench: Bench) -> None:
        """A meter whose clock is a day ahead does not outdate those to come."""
        plans = with_battery(bench)
        plans.measure("battery", stored_kwh=1, category="STORAGE", at=plans.now + 24 * HOUR)
        plans.measure("battery", stored_kwh=8, category="STORAGE")
        plans.run()

        assert plans.plan()["energy_cost"] == pytest.approx(2 * 0.20 + 5 * 0.30)

    @pytest.mark.parametrize(
        ("asset_id", "category"), [("battery", "CHARGING"), ("other", "STORAGE"), ("C1", "STORAGE")]
    )
    def test_what_is_no_storage_of_the_site_says_nothing(self, bench: Bench, asset_id: str, category: str) -> None:
        """The charge of a vehicle, or of what the site does not have."""
        plans = with_battery(bench)
        plans.measure(asset_id, stored_kwh=9, category=category)
        plans.run()

        assert plans.stored_kwh("battery")[0] == pytest.approx(5 + 5 / 4)

    def test_a_reading_beyond_its_bounds_is_cut(self, bench: Bench) -> None:
        """14 kWh in a battery of 10 are 10, and that once and for all."""
        plans = with_battery_planned(bench, seconds_ago=60)

        plans.measure("battery", stored_kwh=14, category="STORAGE")

        assert plans.run() == 1
        assert plans.stored_kwh("battery")[0] == pytest.approx(10.0)
        plans.measure("battery", stored_kwh=14, category="STORAGE", at=plans.now + timedelta(seconds=1))
        assert plans.run() == 0

    def test_a_smaller_battery_holds_no_more_than_it_can(self, bench: Bench) -> None:
        """Replaced by one of 6 kWh when it was full."""
        plans = with_battery_planned(bench, seconds_ago=3600)

        plans.put_site(storages=[make_storage(max_energy_kwh=6.0)])

        assert plans.run() == 1
        assert sum(plans.asset_kw("battery")) / 4 == pytest.approx(-1.0)

    def test_a_storage_that_is_gone_stops_nothing(self, bench: Bench) -> None:
        """The site without it is planned, and the plan knows no asset."""
        plans = with_battery(bench)
        plans.measure("battery", stored_kwh=8, category="STORAGE")
        plans.run()

        plans.put_site()

        assert plans.run() == 1
        assert plans.plan()["asset_results"] == []

    def test_messages_go_out_once(self, bench: Bench) -> None:
        """A step later all is as planned, and the peer hears nothing new."""
        plans = with_battery(bench)
        plans.forecast(20, 20)
        plans.run()
        plans.sent()
        plans.bench.clock.advance(900)

        assert plans.run() == 1
        assert plans.waiting(OutboxKind.OPTIMUM) == []


def test_a_state_that_an_earlier_version_wrote_is_read() -> None:
    """It knows of no storages."""
    written: dict[str, Any] = json.loads(state_to_json(SiteState()))
    earlier = {name: value for name, value in written.items() if name not in ("stored", "courses")}

    state = state_from_json(json.dumps(earlier))

    assert (state.stored, state.courses) == ({}, {})


LEVELS = st.floats(-5.0, 20.0)
MINUTES = st.integers(-240, 240)


@st.composite
def any_record(draw: st.DrawFn) -> StorageRecord:
    """A battery of 1 to 10 kWh, its course up to some instant, and perhaps a reading of any time."""
    minutes = sorted(draw(st.sets(MINUTES, max_size=6)))
    course = [Stored(energy_kwh=draw(st.floats(1.0, 10.0)), at=MORNING + minute * MINUTE) for minute in minutes]
    measured = Stored(energy_kwh=draw(LEVELS), at=MORNING + draw(MINUTES) * MINUTE) if draw(st.booleans()) else None
    storage = make_storage(min_energy_kwh=1.0, max_energy_kwh=10.0)
    return StorageRecord(storage=storage, measured=measured, course=course, plan=None)


def is_known(record: StorageRecord) -> bool:
    """Whether what was measured is no older than the course."""
    return record.measured is None or not record.course or record.measured.at >= record.course[0].at


@given(any_record(), MINUTES)
def test_what_is_believed_is_possible_and_as_measured(record: StorageRecord, minute: int) -> None:
    """Within the bounds at any instant, and when it was measured what was measured, cut to them."""
    assume(is_known(record))
    storage = record.planned_for(MORNING + minute * MINUTE)

    assert 1.0 <= storage.energy_kwh <= 10.0
    assert storage.final_energy_kwh == 5.0
    if record.measured is not None:
        measured_kwh = min(max(record.measured.energy_kwh, 1.0), 10.0)
        assert record.believed_kwh(record.measured.at) == pytest.approx(measured_kwh)


@given(any_record(), MINUTES)
def test_another_plan_changes_no_belief(record: StorageRecord, minute: int) -> None:
    """The course that is kept for the next plan says the same, is in order, of late, and takes what was measured in."""
    assume(is_known(record))
    start = MORNING + minute * MINUTE
    course = record.course_until(start)
    after = StorageRecord(storage=record.storage, measured=record.measured, course=course, plan=None)

    assert [one.at for one in course] == sorted({one.at for one in course})
    assert course[0].at >= start - KEPT_COURSE
    assert course[-1].at == start
    if record.measured is None or record.measured.at <= start:
        assert after.believed_kwh(start) == pytest.approx(record.believed_kwh(start))
    if record.measured is None or start - KEPT_COURSE <= record.measured.at <= start:
        assert not after.has_drifted(1e-6)
