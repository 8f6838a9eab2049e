"""OSCP 2.0 forecasts: what is read and refused, how it is written, what it means in kW."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.domain import CapacityKind, CapacityUnit, Phase
from models.oscp.v20 import (
    MAX_BLOCKS,
    CapacityForecastType,
    ForecastedBlock,
    ForecastedBlockUnit,
    PhaseIndicator,
    UpdateGroupCapacityForecast,
    to_capacity_forecast,
)
from tests.models.oscp_forecast import PHASES, at, make_block, make_body, read


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
