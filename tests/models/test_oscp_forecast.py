"""OSCP 2.0 forecasts: what is read and refused, how it is written, what it means in kW, how a plan answers it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.domain import (
    CapacityBlock,
    CapacityForecast,
    CapacityForecasts,
    CapacityGroup,
    CapacityKind,
    CapacityUnit,
    Charger,
    ChargingSession,
    Phase,
    Schedule,
    ScheduleStatus,
    SessionResult,
    Site,
    TimeGrid,
)
from models.errors import InputError
from models.oscp.v20 import (
    MAX_BLOCKS,
    CapacityForecastType,
    ForecastedBlock,
    ForecastedBlockUnit,
    PhaseIndicator,
    UpdateGroupCapacityForecast,
    to_capacity_forecast,
    to_optimum_messages,
)

MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
PHASES = ("ONE", "TWO", "THREE")


def at(hour: float) -> datetime:
    """Some hours after midnight."""
    return MIDNIGHT + timedelta(hours=hour)


def make_block(**override: Any) -> dict[str, Any]:
    """A valid block as JSON object, some properties replaced."""
    return {
        "capacity": 110.5,
        "phase": "ALL",
        "unit": "KW",
        "start_time": "2026-12-01T00:00:00.000Z",
        "end_time": "2026-12-01T00:15:00.000Z",
    } | override


def make_body(*blocks: dict[str, Any], **override: Any) -> dict[str, Any]:
    """A valid message as JSON object, some properties replaced."""
    return {
        "group_id": "transformer-17",
        "type": "CONSUMPTION",
        "forecasted_blocks": list(blocks) or [make_block()],
    } | override


def read(body: dict[str, Any]) -> UpdateGroupCapacityForecast:
    """Read a message as text and as objects; both ways must agree."""
    message = UpdateGroupCapacityForecast.model_validate_json(json.dumps(body))
    assert UpdateGroupCapacityForecast.model_validate(body) == message
    return message


def refused(body: dict[str, Any]) -> str:
    """Where and why a message is refused, as text and as objects."""
    with pytest.raises(ValidationError) as from_text:
        UpdateGroupCapacityForecast.model_validate_json(json.dumps(body))
    with pytest.raises(ValidationError) as from_objects:
        UpdateGroupCapacityForecast.model_validate(body)
    assert [error["loc"] for error in from_text.value.errors()] == [e["loc"] for e in from_objects.value.errors()]
    return str(from_text.value)


# Reading


@pytest.mark.parametrize(
    "body",
    [
        make_body(make_block(capacity=120), make_block(capacity=96.25)),
        make_body(make_block(capacity=20), type="GENERATION"),
        make_body(make_block(capacity=30, end_time="2026-12-02T00:00:00.000Z"), type="FALLBACK_CONSUMPTION"),
        make_body(make_block(capacity=0, end_time="2026-12-02T00:00:00.000Z"), type="FALLBACK_GENERATION"),
        make_body(make_block(capacity=88.0), type="OPTIMUM"),
        make_body(*(make_block(capacity=63, phase=phase, unit="A") for phase in PHASES)),
        make_body(make_block(capacity=12.5, unit="KWH")),
        make_body(make_block(capacity=12500, unit="WH", phase="UNKNOWN")),
        make_body(make_block(capacity=50000, unit="W")),
    ],
    ids=lambda body: f"{body['type']}-{body['forecasted_blocks'][0]['unit']}",
)
def test_message_is_written_as_it_was_read(body: dict[str, Any]) -> None:
    """Every type, phase and unit of the standard is taken, and a message in our own format comes out unchanged."""
    assert read(body).model_dump(mode="json") == body
    assert json.loads(read(body).model_dump_json()) == body


def test_unknown_properties_are_ignored() -> None:
    """Peers add properties of their own; they neither disturb nor come out again."""
    body = make_body(make_block(note="x"), priority=1)

    assert read(body).model_dump(mode="json") == make_body()


@pytest.mark.parametrize("name", ["group_id", "type", "forecasted_blocks"])
def test_property_of_a_message_is_required(name: str) -> None:
    """Every property of the schema is required; null does not count."""
    body = make_body()
    del body[name]

    assert "Field required" in refused(body)
    assert name in refused(make_body(**{name: None}))


@pytest.mark.parametrize("name", ["capacity", "phase", "unit", "start_time", "end_time"])
def test_property_of_a_block_is_required(name: str) -> None:
    """Every property of a block is required; null does not count."""
    block = make_block()
    del block[name]

    assert "Field required" in refused(make_body(block))
    assert f"forecasted_blocks.0.{name}" in refused(make_body(make_block(**{name: None})))


@pytest.mark.parametrize(
    ("capacity", "reason"),
    [
        (-10, "greater than or equal to 0"),
        ("25.5", "valid number"),
        (True, "valid number"),
        (float("nan"), "finite number"),
        (float("inf"), "finite number"),
        (1.1e12, "less than or equal to"),
    ],
)
def test_capacity_is_a_bounded_number(capacity: object, reason: str) -> None:
    """A capacity is a JSON number from zero up to a terawatt; a number in a text, as one client library sends it, is
    refused, and so are NaN and Infinity, which JSON does not know.
    """
    reasons = refused(make_body(make_block(capacity=capacity)))

    assert "forecasted_blocks.0.capacity" in reasons
    assert reason in reasons


@pytest.mark.parametrize(
    ("name", "value"),
    [("unit", "kW"), ("unit", "EUR"), ("unit", "EUR/KWH"), ("phase", "all"), ("phase", "L1"), ("phase", 1)],
)
def test_words_are_exact(name: str, value: object) -> None:
    """Phases and units are the upper-case words of the standard; the currencies of one peer are none of them."""
    assert f"forecasted_blocks.0.{name}" in refused(make_body(make_block(**{name: value})))


def test_type_is_exact() -> None:
    """A type is one of five upper-case words."""
    assert "type" in refused(make_body(type="Consumption"))


@pytest.mark.parametrize("group_id", ["", "x" * 129, 17])
def test_group_id_is_a_text_of_1_to_128_characters(group_id: object) -> None:
    """Longer ids than 128 characters cannot be stored by a peer in use; an empty one names nothing."""
    assert "group_id" in refused(make_body(group_id=group_id))
    assert read(make_body(group_id="x" * 128)).group_id == "x" * 128


def test_number_of_blocks_is_bounded() -> None:
    """A message has 1 to 10,000 blocks."""
    block = make_block()

    assert "at least 1 item" in refused(make_body(forecasted_blocks=[]))
    assert "at most 10000 items" in refused(make_body(forecasted_blocks=[block] * (MAX_BLOCKS + 1)))
    assert len(read(make_body(forecasted_blocks=[block] * MAX_BLOCKS)).forecasted_blocks) == MAX_BLOCKS


@pytest.mark.parametrize("end_time", ["2026-12-01T00:00:00Z", "2026-11-30T23:00:00Z", "2026-12-01T00:00:00.0009Z"])
def test_block_ends_after_its_start(end_time: str) -> None:
    """An empty or backward block is refused, and one shorter than the millisecond that is written."""
    assert "is not after start_time 2026-12-01T00:00:00.000Z" in refused(make_body(make_block(end_time=end_time)))


def test_message_cannot_be_changed() -> None:
    """A message is what was sent: neither it nor its blocks can be assigned to."""
    message = read(make_body())

    with pytest.raises(ValidationError, match="frozen"):
        message.group_id = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        message.forecasted_blocks[0].capacity = 1.0  # type: ignore[misc]


# Times


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-11-30T23:00:00Z", "2026-11-30T23:00:00.000Z"),
        ("2026-11-30T23:00:00.5Z", "2026-11-30T23:00:00.500Z"),
        ("2026-11-30T23:00:00.123Z", "2026-11-30T23:00:00.123Z"),
        ("2026-11-30T23:00:00.123999Z", "2026-11-30T23:00:00.123Z"),
        ("2026-11-30T23:00:00.123456789Z", "2026-11-30T23:00:00.123Z"),
        ("2026-11-30t23:00:00z", "2026-11-30T23:00:00.000Z"),
        ("2026-11-30 23:00:00Z", "2026-11-30T23:00:00.000Z"),
        ("2026-12-01T07:00:00+08:00", "2026-11-30T23:00:00.000Z"),
        ("2026-12-01T00:00:00.000+01:00", "2026-11-30T23:00:00.000Z"),
        ("2026-11-30T19:30:00-03:30", "2026-11-30T23:00:00.000Z"),
    ],
)
def test_times_are_read_in_many_forms_and_written_in_one(text: str, written: str) -> None:
    """Any number of fraction digits, Z or an offset, small t and z, a space for T are read; written are UTC, exactly
    three digits, cut and not rounded, and Z: one peer in use parses nothing but none or three digits.
    """
    block = read(make_body(make_block(start_time=text))).model_dump(mode="json")["forecasted_blocks"][0]

    assert block["start_time"] == written


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-30T23:00:00",
        "2026-11-30 23:00:00",
        "2026-11-30",
        "23:00:00Z",
        "1796079600",
        "-1796079600",
        1796079600,
        1796079600.5,
        "tomorrow",
        "",
        "0001-01-01T00:00:00+01:00",
        True,
    ],
    ids=repr,
)
def test_other_times_are_refused(text: object) -> None:
    """A time without a zone, a date, a number of seconds, and one before the calendar in UTC are no instants here."""
    assert "forecasted_blocks.0.start_time" in refused(make_body(make_block(start_time=text)))


def test_end_of_the_calendar() -> None:
    """The last second of 9999 in UTC, which some write for "for ever", is taken; an hour later there is no calendar."""
    last = read(make_body(make_block(end_time="9999-12-31T23:59:59Z"))).forecasted_blocks[0].end_time

    assert last == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert "outside the years 1 to 9999" in refused(make_body(make_block(end_time="9999-12-31T23:59:59-01:00")))


@given(
    start=st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)),  # noqa: DTZ001 - the zone is drawn beside it
    offset_minutes=st.integers(-14 * 60, 14 * 60),
    capacity=st.floats(0, 1e12),
)
def test_what_is_written_reads_as_the_same(start: datetime, offset_minutes: int, capacity: float) -> None:
    """A message written and read again is written the same: three fraction digits, three decimals, nothing drifts."""
    start = start.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    message = UpdateGroupCapacityForecast(
        group_id="g",
        type=CapacityForecastType.OPTIMUM,
        forecasted_blocks=(
            ForecastedBlock(
                capacity=capacity,
                phase=PhaseIndicator.ALL,
                unit=ForecastedBlockUnit.KW,
                start_time=start,
                end_time=start + timedelta(minutes=15),
            ),
        ),
    )

    written = message.model_dump_json()
    again = UpdateGroupCapacityForecast.model_validate_json(written)

    assert again.model_dump_json() == written
    assert again.forecasted_blocks[0].start_time == message.forecasted_blocks[0].start_time
    assert again.forecasted_blocks[0].capacity == round(capacity, 3)


@pytest.mark.parametrize(("capacity", "written"), [(1.23456, 1.235), (0.1 + 0.2, 0.3), (7, 7.0), (0.0004, 0.0)])
def test_numbers_are_written_with_three_decimals(capacity: float, written: float) -> None:
    """Capacities are written rounded to three decimals; read they stay as they are."""
    message = read(make_body(make_block(capacity=capacity)))

    assert message.forecasted_blocks[0].capacity == capacity
    assert message.model_dump(mode="json")["forecasted_blocks"][0]["capacity"] == written


# From the wire


@pytest.mark.parametrize(
    ("capacity", "unit", "phase", "capacity_kw"),
    [
        (110.5, "KW", "ALL", 110.5),
        (110_500, "W", "ALL", 110.5),
        (63, "A", "ONE", 14.49),
        (63, "A", "TWO", 14.49),
        (63, "A", "THREE", 14.49),
        (63, "A", "ALL", 43.47),
        (63, "A", "UNKNOWN", 43.47),
        (12.5, "KWH", "ALL", 50.0),
        (12_500, "WH", "ALL", 50.0),
        (5, "KW", "ONE", 5.0),
        (0, "A", "ALL", 0.0),
    ],
)
def test_capacity_in_kilowatts(capacity: float, unit: str, phase: str, capacity_kw: float) -> None:
    """63 A at 230 V are 14.49 kW on one conductor and 43.47 kW on three; 12.5 kWh in a quarter of an hour are 50 kW."""
    message = read(make_body(make_block(capacity=capacity, unit=unit, phase=phase)))

    forecast = to_capacity_forecast(message, voltage_v=230.0)

    (block,) = forecast.blocks
    assert block.capacity_kw == pytest.approx(capacity_kw, rel=1e-12)
    assert (block.unit, block.phase) == (CapacityUnit(unit), Phase(phase))
    assert (block.start, block.end) == (at(0), at(0.25))


def test_voltage_is_that_of_the_site() -> None:
    """100 A at 120 V on one conductor are 12 kW."""
    message = read(make_body(make_block(capacity=100, unit="A", phase="ONE")))

    assert to_capacity_forecast(message, voltage_v=120.0).blocks[0].capacity_kw == pytest.approx(12.0)


def test_forecast_keeps_group_type_and_order() -> None:
    """Nothing is sorted, merged or dropped on the way in."""
    blocks = [make_block(capacity=capacity) for capacity in (3, 1, 2)]

    forecast = to_capacity_forecast(read(make_body(*blocks, type="FALLBACK_GENERATION")), voltage_v=230.0)

    assert (forecast.group_id, forecast.kind) == ("transformer-17", CapacityKind.FALLBACK_GENERATION)
    assert [block.capacity_kw for block in forecast.blocks] == [3.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("wire", "domain"),
    [(CapacityForecastType, CapacityKind), (PhaseIndicator, Phase), (ForecastedBlockUnit, CapacityUnit)],
)
def test_every_word_has_a_meaning(wire: type[CapacityForecastType], domain: type[CapacityKind]) -> None:
    """Wire and domain have the same words for types, phases and units."""
    assert {each.value for each in wire} == {each.value for each in domain}


# To the wire

Row = tuple[str, float, float, float]
"""A charger, start and end in hours after midnight, kW."""


def make_site(*chargers: tuple[str, str, Phase]) -> Site:
    """A root with a hall, and a yard beside the hall."""
    return Site(
        site_id="site",
        groups=(
            CapacityGroup(group_id="root"),
            CapacityGroup(group_id="hall", parent_id="root"),
            CapacityGroup(group_id="yard", parent_id="root"),
        ),
        chargers=tuple(
            Charger(charger_id=charger_id, group_id=group_id, max_power_kw=22.0, phases=phases)
            for charger_id, group_id, phases in chargers
        ),
    )


def make_schedule(rows: Sequence[Row], *, start: float = 0, end: float = 2, step_minutes: int = 60) -> Schedule:
    """A plan with one session for each row; the values that no answer depends on are left at nothing."""
    grid = TimeGrid.build(at(start), at(end), raster=timedelta(minutes=step_minutes))
    begin_s = np.array([at(row[1]).timestamp() for row in rows])
    sessions = tuple(
        SessionResult(
            session=ChargingSession(
                session_id=f"s{index}", charger_id=charger_id, arrival=at(start), departure=at(end), energy_kwh=100.0
            ),
            delivered_energy_kwh=0.0,
            unmet_energy_kwh=0.0,
            unreachable_energy_kwh=0.0,
        )
        for index, (charger_id, _, _, _) in enumerate(rows)
    )
    return Schedule(
        grid=grid,
        sessions=sessions,
        session_index=np.arange(len(rows)),
        step_index=np.searchsorted(grid.edges_s, begin_s, side="right") - 1,
        start_s=begin_s,
        end_s=np.array([at(row[2]).timestamp() for row in rows]),
        power_kw=np.array([row[3] for row in rows], dtype=float),
        groups=(),
        price_per_kwh=None,
        energy_cost=0.0,
        peak_import_kw=0.0,
        status=ScheduleStatus.OPTIMAL,
        strategy="test",
    )


def stated(
    *pieces: tuple[float, float, float],
    group_id: str = "root",
    kind: CapacityKind = CapacityKind.CONSUMPTION,
    phase: Phase = Phase.ALL,
    unit: CapacityUnit = CapacityUnit.KW,
) -> CapacityForecast:
    """One message in the domain, a block for each (start, end, kW)."""
    blocks = tuple(
        CapacityBlock(start=at(start), end=at(end), capacity_kw=capacity_kw, phase=phase, unit=unit)
        for start, end, capacity_kw in pieces
    )
    return CapacityForecast(group_id=group_id, kind=kind, blocks=blocks)


def answer(
    rows: Sequence[Row],
    *forecasts: CapacityForecast,
    site: Site | None = None,
    window: tuple[float, float] | None = None,
    schedule: Schedule | None = None,
) -> list[UpdateGroupCapacityForecast]:
    """The answers of a plan to some forecasts, at a site with one balanced charger unless told."""
    return to_optimum_messages(
        schedule or make_schedule(rows),
        site or make_site(("c", "root", Phase.ALL)),
        CapacityForecasts.from_messages(forecasts),
        window=window and (at(window[0]), at(window[1])),
    )


def values(message: UpdateGroupCapacityForecast) -> list[float]:
    """The numbers of a message."""
    return [block.capacity for block in message.forecasted_blocks]


def hours(message: UpdateGroupCapacityForecast) -> list[tuple[float, float]]:
    """Start and end of each block, hours after midnight."""
    hour = timedelta(hours=1)
    return [
        ((block.start_time - MIDNIGHT) / hour, (block.end_time - MIDNIGHT) / hour)
        for block in message.forecasted_blocks
    ]


def test_answer_is_the_mean_power_in_each_block() -> None:
    """10 kW for half of the first hour are 5 kW over it; 6 kW all the second hour are 6 kW."""
    (message,) = answer([("c", 0, 0.5, 10.0), ("c", 1, 2, 6.0)], stated((0, 1, 50.0), (1, 2, 50.0)))

    assert (message.group_id, message.type) == ("root", CapacityForecastType.OPTIMUM)
    assert values(message) == [5.0, 6.0]
    assert hours(message) == [(0, 1), (1, 2)]


def test_answer_is_on_the_blocks_that_hold() -> None:
    """After a day's block and a later one within it the answer has three blocks, in order of time."""
    (message,) = answer([("c", 0, 2, 8.0)], stated((0, 2, 50.0)), stated((0.5, 1, 3.0)))

    assert hours(message) == [(0, 0.5), (0.5, 1), (1, 2)]
    assert values(message) == [8.0, 3.0, 8.0]


def test_power_is_split_over_the_blocks_a_row_straddles() -> None:
    """12 kW from 00:30 to 01:30 put 6 kWh into each hour: the part of a row in a block counts there."""
    (message,) = answer([("c", 0.5, 1.5, 12.0)], stated((0, 1, 50.0), (1, 2, 50.0)))

    assert values(message) == [6.0, 6.0]


def test_group_counts_all_below_it() -> None:
    """A group's power is that of the chargers on it and on the groups below: 7 + 4 at the root, 4 in the hall."""
    site = make_site(("c", "root", Phase.ALL), ("d", "hall", Phase.ALL))

    messages = answer(
        [("c", 0, 1, 7.0), ("d", 0, 1, 4.0)],
        stated((0, 1, 50.0), group_id="yard"),
        stated((0, 1, 50.0), group_id="hall"),
        stated((0, 1, 50.0)),
        site=site,
    )

    assert [(message.group_id, values(message)) for message in messages] == [
        ("root", [11.0]),
        ("hall", [4.0]),
        ("yard", [0.0]),
    ]


def test_group_without_import_forecast_gets_no_answer() -> None:
    """What was said of generation, or by an optimum, asks for no answer; nor does silence."""
    messages = answer(
        [("c", 0, 1, 7.0)],
        stated((0, 1, 50.0), kind=CapacityKind.GENERATION),
        stated((0, 1, 50.0), kind=CapacityKind.FALLBACK_GENERATION),
        stated((0, 1, 50.0), kind=CapacityKind.OPTIMUM, group_id="hall"),
    )

    assert messages == []


def test_fallback_is_answered_only_where_there_is_nothing_else() -> None:
    """A group that has CONSUMPTION is answered on it alone; one that has only FALLBACK_CONSUMPTION, on that."""
    fallback = CapacityKind.FALLBACK_CONSUMPTION

    only_fallback = answer([("c", 0, 1, 7.0)], stated((0, 2, 50.0), kind=fallback))
    both = answer([("c", 0, 1, 7.0)], stated((0, 2, 50.0), kind=fallback), stated((0, 1, 50.0)))

    assert [(hours(message), values(message)) for message in only_fallback] == [([(0, 2)], [3.5])]
    assert [(hours(message), values(message)) for message in both] == [([(0, 1)], [7.0])]


def test_without_a_window_all_blocks_are_answered() -> None:
    """Blocks before and after the plan are answered with zero."""
    (message,) = answer([("c", 0, 2, 8.0)], stated((-1, 0, 50.0), (0, 2, 50.0), (2, 3, 50.0)))

    assert hours(message) == [(-1, 0), (0, 2), (2, 3)]
    assert values(message) == [0.0, 8.0, 0.0]


def test_block_partly_outside_the_plan_is_answered_by_its_part_inside() -> None:
    """A plan from 00:00 says 8 kW; of the block from 23:00 to 01:00 only the hour inside counts: 8 kW, not 4."""
    (message,) = answer([("c", 0, 2, 8.0)], stated((-1, 1, 50.0)))

    assert hours(message) == [(-1, 1)]
    assert values(message) == [8.0]


def test_window_cuts_and_leaves_out() -> None:
    """In the window 00:30 to 01:30 the block before is left out and those across its ends are cut; 4 kW in the first
    half hour do not count, 8 kW in the second do.
    """
    (message,) = answer(
        [("c", 0, 0.5, 4.0), ("c", 0.5, 2, 8.0)],
        stated((-1, 0, 50.0), (0, 1, 50.0), (1, 2, 50.0), (2, 3, 50.0)),
        window=(0.5, 1.5),
    )

    assert hours(message) == [(0.5, 1), (1, 1.5)]
    assert values(message) == [8.0, 8.0]


def test_no_message_where_the_window_leaves_no_block() -> None:
    """A message needs a block: a group whose blocks all lie outside the window gets none."""
    assert answer([("c", 0, 2, 8.0)], stated((2, 3, 50.0)), window=(0, 2)) == []


def test_window_needs_a_time_zone() -> None:
    """A window without a time zone is refused, not read in the machine's own."""
    naive = (at(0).replace(tzinfo=None), at(1).replace(tzinfo=None))

    with pytest.raises(InputError, match="window 2026-12-01T00:00:00 has no time zone"):
        to_optimum_messages(
            make_schedule([]),
            make_site(),
            CapacityForecasts.from_messages([stated((0, 1, 5.0))]),
            window=naive,
        )


def test_block_too_short_to_be_written_is_left_out() -> None:
    """Half a millisecond would be written with its end at its start, which no peer may take."""
    half_a_millisecond = 0.0005 / 3600

    (message,) = answer([("c", 0, 2, 8.0)], stated((0, half_a_millisecond, 50.0), (1, 2, 50.0)))

    assert hours(message) == [(1, 2)]


@pytest.mark.parametrize(
    ("unit", "phase", "value"),
    [
        (CapacityUnit.KW, Phase.ALL, 6.9),
        (CapacityUnit.W, Phase.ALL, 6_900.0),
        (CapacityUnit.A, Phase.ALL, 10.0),
        (CapacityUnit.A, Phase.UNKNOWN, 10.0),
        (CapacityUnit.A, Phase.ONE, 10.0),
        (CapacityUnit.KWH, Phase.ALL, 3.45),
        (CapacityUnit.WH, Phase.ALL, 3_450.0),
        (CapacityUnit.KW, Phase.TWO, 2.3),
    ],
)
def test_answer_is_in_the_unit_and_phase_of_the_block(unit: CapacityUnit, phase: Phase, value: float) -> None:
    """6.9 kW on three phases for half an hour: 10 A on each conductor, 2.3 kW on one phase, 3.45 kWh."""
    (message,) = answer([("c", 0, 0.5, 6.9)], stated((0, 0.5, 50.0), unit=unit, phase=phase))

    (block,) = message.forecasted_blocks
    assert block.capacity == value
    assert (block.unit.value, block.phase.value) == (unit.value, phase.value)


@pytest.mark.parametrize(
    ("phases", "on_each"),
    [
        (Phase.ALL, [3.0, 3.0, 3.0]),
        (Phase.ONE, [9.0, 0.0, 0.0]),
        (Phase.TWO, [0.0, 9.0, 0.0]),
        (Phase.THREE, [0.0, 0.0, 9.0]),
        (Phase.UNKNOWN, [9.0, 9.0, 9.0]),
    ],
)
def test_answer_for_a_phase_is_what_the_plan_loads_on_it(phases: Phase, on_each: list[float]) -> None:
    """9 kW: a third on each phase where balanced, all on its own where single, in full on each where not known."""
    (message,) = answer(
        [("c", 0, 1, 9.0)],
        *(stated((0, 1, 50.0), phase=Phase(phase)) for phase in PHASES),
        site=make_site(("c", "root", phases)),
    )

    assert [(block.phase.value, block.capacity) for block in message.forecasted_blocks] == list(
        zip(PHASES, on_each, strict=True)
    )


def test_sum_and_phases_are_answered_in_one_message() -> None:
    """Blocks of all phases of a group are one message, in order of time."""
    (message,) = answer(
        [("c", 0, 2, 9.0)],
        stated((0, 1, 50.0), (1, 2, 50.0), phase=Phase.ONE),
        stated((0, 1, 50.0), (1, 2, 50.0)),
    )

    assert hours(message) == [(0, 1), (0, 1), (1, 2), (1, 2)]
    assert values(message) == [3.0, 9.0, 3.0, 9.0]


def test_cut_block_of_energy_is_answered_with_the_energy_of_its_rest() -> None:
    """20 kWh for an hour, cut to its second half, allow 10 kWh; 8 kW planned there are 4 kWh, 30 kW would be 10 kWh."""
    budget = stated((0, 1, 20.0), unit=CapacityUnit.KWH)

    (within,) = answer([("c", 0.5, 1, 8.0)], budget, window=(0.5, 1))
    (above,) = answer([("c", 0.5, 1, 30.0)], budget, window=(0.5, 1))

    assert (values(within), values(above)) == ([4.0], [10.0])


@pytest.mark.parametrize(
    ("limit_kw", "value"),
    [(10.0, 10.0), (96.25, 96.25), (10.0006, 10.0), (0.0, 0.0), (9.9999999999, 9.999)],
)
def test_answer_never_exceeds_the_block(limit_kw: float, value: float) -> None:
    """A plan a hair above its limit is answered with the limit, rounded down: 10.0006 kW gives 10.000, not 10.001."""
    (message,) = answer([("c", 0, 1, limit_kw + 1e-7)], stated((0, 1, limit_kw)))

    assert values(message) == [value]


def test_sums_of_many_rows_do_not_cost_a_thousandth() -> None:
    """0.1, 2.3 and 7.7 kW in each of 96 quarters are 10.1 kW in each, though sums of floats end in ...99 at times."""
    quarters = [(quarter / 4, (quarter + 1) / 4) for quarter in range(96)]
    rows = [("c", start, end, power_kw) for start, end in quarters for power_kw in (0.1, 2.3, 7.7)]

    (message,) = answer(
        [], stated(*((start, end, 50.0) for start, end in quarters)), schedule=make_schedule(rows, end=24)
    )

    assert values(message) == [10.1] * 96


def test_noise_of_a_solver_does_not_cost_a_thousandth() -> None:
    """A plan is known to a millionth: 10.09999999 kW are 10.1 kW, 10.09999 kW are 10.099 kW."""
    (message,) = answer([("c", 0, 1, 10.09999999), ("c", 1, 2, 10.09999)], stated((0, 1, 50.0), (1, 2, 50.0)))

    assert values(message) == [10.1, 10.099]


@pytest.mark.parametrize("unit", CapacityUnit)
@pytest.mark.parametrize("phase", Phase)
def test_limit_in_full_use_is_answered_with_the_number_that_was_sent(unit: CapacityUnit, phase: Phase) -> None:
    """A capacity of three decimals survives the way to kW and back to the last digit when the plan uses all of it."""
    numbers = [0.001, 0.29, 1.001, 16.667, 63, 110.5, 99_999.999]
    for number in numbers:
        body = make_body(make_block(capacity=number, unit=unit.value, phase=phase.value), group_id="root")
        forecast = to_capacity_forecast(read(body), voltage_v=230.0)

        (message,) = answer([("c", 0, 0.25, 1e9)], forecast)

        assert values(message) == [number]


def test_empty_plan_is_answered_with_zero() -> None:
    """A plan without sessions answers each block with zero."""
    (message,) = answer([], stated((0, 1, 50.0), (1, 2, 50.0)))

    assert values(message) == [0.0, 0.0]


def test_more_blocks_than_a_message_holds_make_a_second_message() -> None:
    """The limit on what we read holds for what we write: 10,001 minutes are answered in two messages."""
    minutes = [(minute / 60, (minute + 1) / 60, 50.0) for minute in range(MAX_BLOCKS + 1)]

    messages = answer([("c", 0, 2, 8.0)], stated(*minutes))

    assert [len(message.forecasted_blocks) for message in messages] == [MAX_BLOCKS, 1]


def test_answers_can_be_written() -> None:
    """An answer is written as the standard's message."""
    (message,) = answer([("c", 0, 2, 8.1)], stated((0, 0.25, 50.0)))

    assert message.model_dump(mode="json") == make_body(make_block(capacity=8.1), group_id="root", type="OPTIMUM")


rows_strategy = st.lists(st.tuples(st.integers(0, 119), st.integers(1, 60), st.floats(0, 50)), min_size=0, max_size=8)
cuts_strategy = st.lists(st.integers(-30, 150), min_size=2, max_size=8, unique=True)


@given(rows=rows_strategy, cuts=cuts_strategy, capacity_kw=st.floats(0, 200), unit=st.sampled_from(CapacityUnit))
def test_answer_by_the_words_of_the_rule(
    rows: list[tuple[int, int, float]], cuts: list[int], capacity_kw: float, unit: CapacityUnit
) -> None:
    """Whatever the plan and the blocks: the value is the energy of all rows within the block, row by row, over its
    hours inside the plan; less than a thousandth below the lower of plan and limit, and above neither.
    """
    plan = [("c", start / 60, min(start + length, 120) / 60, power_kw) for start, length, power_kw in rows]
    edges = sorted(cuts)
    pieces = [(start / 60, end / 60, capacity_kw) for start, end in pairwise(edges)]
    per_kw = {"KW": 1.0, "W": 1000.0, "A": 1000.0 / 690.0, "KWH": 0.0, "WH": 0.0}[unit.value]

    (message,) = answer(plan, stated(*pieces, unit=unit))

    for (start, end, _), value in zip(pieces, values(message), strict=True):
        energy_kwh = sum(
            power_kw * max(0.0, min(end, row_end) - max(start, row_start)) for _, row_start, row_end, power_kw in plan
        )
        inside = max(0.0, min(end, 2.0) - max(start, 0.0))
        if unit in (CapacityUnit.KWH, CapacityUnit.WH):
            scale = 1000.0 if unit is CapacityUnit.WH else 1.0
            planned, limit = energy_kwh * scale, capacity_kw * (end - start) * scale
        else:
            planned, limit = (energy_kwh / inside if inside else 0.0) * per_kw, capacity_kw * per_kw
        assert value <= limit * (1 + 1e-9)
        assert value <= planned + 1e-6
        assert value >= min(planned, limit) - 0.0011
