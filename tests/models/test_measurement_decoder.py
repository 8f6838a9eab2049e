"""From readings of energy registers to the energy that flowed, whatever the registers count from."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain import Phase
from models.domain.measurement import (
    AssetCategory,
    EnergyDelta,
    EnergyMeters,
    EnergyReading,
    EnergyType,
    FlowDirection,
    MeterKey,
    PowerReading,
    StoredEnergyReading,
    next_delta,
)
from models.errors import InputError

MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
KEY = MeterKey(
    group_id="g",
    asset_id="evse",
    direction=FlowDirection.IMPORT,
    phase=Phase.ALL,
    energy_type=EnergyType.TOTAL,
)
NET = replace(KEY, direction=FlowDirection.NET)

Told = tuple[float, float, float]
"""Energy, kWh, and start and end, minutes after midnight."""


def at(minute: float) -> datetime:
    """Some minutes after midnight."""
    return MIDNIGHT + timedelta(minutes=minute)


def shown(minute: float, value_kwh: float, since: float | None = None, *, key: MeterKey = KEY) -> EnergyReading:
    """A register read at a minute after midnight, started at another or never."""
    started_at = None if since is None else at(since)
    return EnergyReading(key=key, value_kwh=value_kwh, measured_at=at(minute), started_at=started_at)


def minutes(instant: datetime) -> float:
    """Minutes after midnight."""
    return (instant - MIDNIGHT) / timedelta(minutes=1)


def told(*readings: EnergyReading) -> list[Told]:
    """What readings tell that come one by one."""
    meters = EnergyMeters()
    deltas: list[EnergyDelta] = []
    for reading in readings:
        meters, more = meters.updated([reading])
        deltas += more
    return [(delta.energy_kwh, minutes(delta.start), minutes(delta.end)) for delta in deltas]


# Registers that never start anew


def test_continuous_register_tells_differences() -> None:
    """100, 102 and 105.5 kWh, a quarter of an hour apart, are 2 and 3.5 kWh; the first has nothing to compare with."""
    assert told(shown(0, 100), shown(15, 102), shown(30, 105.5)) == [(2, 0, 15), (3.5, 15, 30)]


def test_standing_register_tells_zero() -> None:
    """The same value again is zero energy, which is knowledge, not a gap."""
    assert told(shown(0, 100), shown(15, 100)) == [(0, 0, 15)]


def test_fallen_continuous_register_was_reset() -> None:
    """100, then 3 and 5 kWh: what flowed until the reset is not known, so only the 2 kWh after it are told."""
    assert told(shown(0, 100), shown(15, 3), shown(30, 5)) == [(2, 15, 30)]


def test_last_digit_that_falls_is_not_the_whole_register() -> None:
    """A reading a thousandth lower than before must not count as 15,321 kWh from zero."""
    assert told(shown(0, 15321.375), shown(15, 15321.374)) == []


def test_net_register_may_fall() -> None:
    """10, then 7 and -1 kWh of import less export: 3 and 8 kWh were fed in."""
    assert told(shown(0, 10, key=NET), shown(15, 7, key=NET), shown(30, -1, key=NET)) == [(-3, 0, 15), (-8, 15, 30)]


# Registers that start anew


def test_first_reading_of_a_session_tells_all_since_its_start() -> None:
    """4 kWh at minute 30, counted since minute 10, flowed from then on, even where nothing was known before."""
    assert told(shown(30, 4, since=10)) == [(4, 10, 30)]


def test_same_start_tells_differences() -> None:
    """4 kWh at minute 30 and 7 kWh at minute 45, both since minute 10: 3 kWh in between."""
    assert told(shown(30, 4, since=10), shown(45, 7, since=10)) == [(4, 10, 30), (3, 30, 45)]


def test_new_start_tells_all_since_then() -> None:
    """After a session of 9 kWh, the next one shows 2 kWh since minute 60: nothing is told of minutes 45 to 60."""
    assert told(shown(45, 9, since=10), shown(75, 2, since=60)) == [(9, 10, 45), (2, 60, 75)]


def test_new_start_counts_even_where_the_value_has_grown() -> None:
    """A new session with more than the last one showed: 12 kWh flowed in it, not the 3 kWh between the values."""
    assert told(shown(45, 9, since=10), shown(75, 12, since=60)) == [(9, 10, 45), (12, 60, 75)]


def test_reading_at_the_start_itself_tells_nothing() -> None:
    """A session announced with 0 kWh at its start is the base of the next reading."""
    assert told(shown(10, 0, since=10), shown(30, 4, since=10)) == [(4, 10, 30)]


def test_fallen_register_of_a_session_was_reset() -> None:
    """6 kWh, then 1 and 3 kWh since the same start: the 2 kWh after the reset are told."""
    assert told(shown(30, 6, since=10), shown(45, 1, since=10), shown(60, 3, since=10)) == [(6, 10, 30), (2, 45, 60)]


@pytest.mark.parametrize("milliseconds", [-1000, -3, 3, 1000])
def test_starts_a_second_apart_are_one(milliseconds: int) -> None:
    """A sender that computes the start anew is off by milliseconds: 5 and 8 kWh are still 3 kWh in between."""
    start = 10 + milliseconds / 60_000

    assert told(shown(30, 5, since=10), shown(45, 8, since=start))[1:] == [(3, 30, 45)]


def test_starts_more_than_a_second_apart_are_two() -> None:
    """A register started 1.5 s after the last reading is a new one: its 8 kWh count in full."""
    assert told(shown(0.005, 5, since=0), shown(15, 8, since=0.025))[1:] == [(8, 0.025, 15)]


def test_start_before_the_last_reading_counts_in_part() -> None:
    """12 kWh over minutes 0 to 30, when minutes up to 20 were told: a third of the time, 4 kWh, is new."""
    assert told(shown(20, 5, since=10), shown(30, 12, since=0))[1] == pytest.approx((4, 20, 30))


def test_negative_value_of_a_one_way_register_tells_nothing() -> None:
    """Import cannot be negative; net can."""
    assert told(shown(30, -4, since=10)) == []
    assert told(shown(30, -4, since=10, key=NET)) == [(-4, 10, 30)]


def test_start_after_the_reading_is_nonsense() -> None:
    """A register read before it started tells nothing, and changes nothing."""
    assert told(shown(0, 100), shown(15, 7, since=16), shown(30, 103)) == [(3, 0, 30)]


# Differences over a period


def test_period_differences_are_told_as_they_are() -> None:
    """One peer sends the energy of each period, started where the last one ended: 2, 0 and 3 kWh."""
    assert told(shown(15, 2, since=0), shown(30, 0, since=15), shown(45, 3, since=30)) == [
        (2, 0, 15),
        (0, 15, 30),
        (3, 30, 45),
    ]


def test_lost_period_is_a_gap() -> None:
    """Without the period of minutes 15 to 30 nothing is told of it."""
    assert told(shown(15, 2, since=0), shown(45, 3, since=30)) == [(2, 0, 15), (3, 30, 45)]


# A sender that changes its ways


def test_start_that_is_not_sent_any_more_begins_anew() -> None:
    """A value since a start and one since ever cannot be compared: 5 kWh, then 900 and 901 kWh without start."""
    assert told(shown(15, 5, since=0), shown(30, 900), shown(45, 901)) == [(5, 0, 15), (1, 30, 45)]


def test_start_that_is_sent_from_now_on_does_not_count_twice() -> None:
    """After a reading without start at minute 15, 6 kWh over minutes 0 to 30 tell 3 kWh of the last 15 minutes."""
    (only,) = told(shown(15, 900), shown(30, 6, since=0))

    assert only == pytest.approx((3, 15, 30))


# Order, repetition, and keys


def test_late_reading_changes_nothing() -> None:
    """A reading older than the newest is ignored: the next one still counts from the newest."""
    assert told(shown(0, 100), shown(30, 104), shown(15, 102), shown(45, 105)) == [(4, 0, 30), (1, 30, 45)]


def test_repetition_changes_nothing() -> None:
    """A reading of the same time is ignored, whatever its value: the first one counts."""
    assert told(shown(0, 100), shown(15, 102), shown(15, 102), shown(15, 90), shown(30, 103)) == [
        (2, 0, 15),
        (1, 15, 30),
    ]
    assert told(shown(15, 2, since=0), shown(15, 2, since=0)) == [(2, 0, 15)]


def test_readings_that_come_together_are_taken_in_order_of_time() -> None:
    """Within one message the order says nothing: 100, 102 and 103 kWh, listed backwards, are 2 and 1 kWh."""
    _, deltas = EnergyMeters().updated([shown(30, 103), shown(15, 102), shown(0, 100)])

    assert [(delta.energy_kwh, minutes(delta.end)) for delta in deltas] == [(2, 15), (1, 30)]


def test_reading_from_the_future_changes_nothing() -> None:
    """A clock a year ahead must not outdate the readings of that year; a reading of this instant is taken."""
    meters, _ = EnergyMeters().updated([shown(0, 100)])

    meters, deltas = meters.updated([shown(525_600, 999), shown(15, 102)], not_after=at(15))

    assert [(delta.energy_kwh, minutes(delta.end)) for delta in deltas] == [(2, 15)]
    assert meters.last == {KEY: shown(15, 102)}


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, group_id="h"),
        replace(KEY, asset_id="evse-2"),
        replace(KEY, asset_id=None),
        replace(KEY, direction=FlowDirection.EXPORT),
        replace(KEY, phase=Phase.ONE),
        replace(KEY, energy_type=EnergyType.FLEXIBLE),
    ],
    ids=["group", "asset", "no asset", "direction", "phase", "type"],
)
def test_registers_are_apart(other: MeterKey) -> None:
    """Readings of another group, asset, direction, phase or type are those of another register."""
    meters, deltas = EnergyMeters().updated([shown(0, 100), shown(15, 3, key=other), shown(30, 101)])

    assert [(delta.key, delta.energy_kwh) for delta in deltas] == [(KEY, 1)]
    assert meters.last == {KEY: shown(30, 101), other: shown(15, 3, key=other)}


def test_category_is_passed_on() -> None:
    """The energy belongs to the category that the newer reading states."""
    meters, _ = EnergyMeters().updated([shown(0, 100)])

    _, (delta,) = meters.updated([replace(shown(15, 101), category=AssetCategory.STORAGE)])

    assert (delta.key, delta.category) == (KEY, AssetCategory.STORAGE)


def test_meters_cannot_be_changed() -> None:
    """Taking readings gives other meters; those before stay what they were, so a step can be taken again."""
    before, _ = EnergyMeters().updated([shown(0, 100)])

    after, first = before.updated([shown(15, 102)])

    assert before.last == {KEY: shown(0, 100)}
    assert after.last == {KEY: shown(15, 102)}
    assert before.updated([shown(15, 102)])[1] == first
    with pytest.raises(TypeError):
        after.last[KEY] = shown(0, 0)  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        after.last = {}  # type: ignore[misc]


def test_meters_go_on_from_readings_that_were_kept() -> None:
    """The newest reading of a register is all that is needed to go on, after a restart too."""
    assert EnergyMeters(last={KEY: shown(0, 100)}).updated([shown(15, 102)])[1][0].energy_kwh == 2


def test_single_step_knows_old_readings_itself() -> None:
    """Asked directly, a reading that is not newer than the previous one tells nothing."""
    assert next_delta(shown(15, 100), shown(15, 101)) is None
    assert next_delta(shown(15, 100), shown(14, 101)) is None


# Instants and numbers


def test_instants_are_compared_in_utc() -> None:
    """On 2026-10-25 Berlin has 02:30 twice; the second is an hour later, though the clock shows the same."""
    berlin = ZoneInfo("Europe/Berlin")
    first, second = (datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=berlin) for fold in (0, 1))

    delta = next_delta(
        EnergyReading(key=KEY, value_kwh=5, measured_at=first),
        EnergyReading(key=KEY, value_kwh=8, measured_at=second),
    )

    assert delta is not None
    assert (delta.energy_kwh, delta.end - delta.start) == (3, timedelta(hours=1))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_are_finite(value: float) -> None:
    """What is not a number, or infinite, was not measured; the message names group and asset."""
    asset = {"group_id": "g", "asset_id": "evse", "category": AssetCategory.CHARGING, "measured_at": MIDNIGHT}

    with pytest.raises(InputError, match=r"group 'g', asset 'evse': value_kwh is .*; it must be finite"):
        shown(0, value)
    with pytest.raises(InputError, match="group 'g': value_kwh"):
        shown(0, value, key=replace(KEY, asset_id=None))
    with pytest.raises(InputError, match="power_kw is"):
        PowerReading(power_kw=value, phase=Phase.ALL, **asset)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="energy_kwh is"):
        StoredEnergyReading(energy_kwh=value, **asset)  # type: ignore[arg-type]


def test_instants_have_a_time_zone() -> None:
    """A naive instant is refused, not read in the machine's own zone."""
    naive = MIDNIGHT.replace(tzinfo=None)
    asset = {"group_id": "g", "asset_id": "evse", "category": AssetCategory.CHARGING, "measured_at": naive}

    with pytest.raises(InputError, match="measured_at 2026-12-01T00:00:00 has no time zone"):
        EnergyReading(key=KEY, value_kwh=1, measured_at=naive)
    with pytest.raises(InputError, match="started_at"):
        EnergyReading(key=KEY, value_kwh=1, measured_at=MIDNIGHT, started_at=naive)
    with pytest.raises(InputError, match="measured_at"):
        PowerReading(power_kw=1, phase=Phase.ALL, **asset)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="measured_at"):
        StoredEnergyReading(energy_kwh=1, **asset)  # type: ignore[arg-type]


# Whatever comes

any_reading = st.builds(
    shown,
    st.integers(0, 240),
    st.floats(-50, 1000),
    st.none() | st.integers(0, 250),
    key=st.sampled_from([KEY, NET]),
)


@given(batches=st.lists(st.lists(any_reading, max_size=5), max_size=10))
def test_no_instant_is_told_twice(batches: list[list[EnergyReading]]) -> None:
    """Whatever comes in whatever order: deltas of a register follow each other without overlap, each lasts, and only
    those of a NET register are negative.
    """
    meters = EnergyMeters()
    ends: dict[MeterKey, datetime] = {}
    for batch in batches:
        meters, deltas = meters.updated(batch)
        for delta in deltas:
            assert ends.get(delta.key, delta.start) <= delta.start < delta.end
            assert delta.energy_kwh >= 0 or delta.key is NET
            ends[delta.key] = delta.end


@given(
    powers_kw=st.lists(st.floats(0, 350), min_size=1, max_size=30),
    restarts=st.sets(st.integers(1, 29)),
    lost=st.sets(st.integers(0, 28)),
)
def test_all_ways_of_counting_tell_the_same_energy(powers_kw: list[float], restarts: set[int], lost: set[int]) -> None:
    """A charger at some power in each minute, counted since ever, since the start of its sessions, and in periods of a
    minute, all three tell the same total; the first even where readings between its first and last are lost.
    """
    energy_kwh = [power_kw / 60 for power_kw in powers_kw]
    count = len(energy_kwh)
    ever = [shown(0, 7000), *(shown(k + 1, 7000 + sum(energy_kwh[: k + 1])) for k in range(count))]
    starts = [max([0, *(start for start in restarts if start <= k)]) for k in range(count)]
    sessions = [shown(k + 1, sum(energy_kwh[start : k + 1]), since=start) for k, start in enumerate(starts)]
    periods = [shown(k + 1, energy, since=k) for k, energy in enumerate(energy_kwh)]
    some = [reading for k, reading in enumerate(ever) if k not in lost or k in (0, count)]

    totals = [sum(energy for energy, _, _ in told(*readings)) for readings in (ever, some, sessions, periods)]

    assert totals == pytest.approx([sum(energy_kwh)] * 4, abs=1e-6)
