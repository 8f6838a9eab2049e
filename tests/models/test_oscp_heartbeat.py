"""OSCP 2.0 heartbeats, what peers are let off when they are read, and the other messages of a few properties."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from models.domain import CapacityKind
from models.oscp.v20 import (
    AdjustGroupCapacityForecast,
    GroupCapacityComplianceError,
    Heartbeat,
    ReadingContext,
    UpdateGroupCapacityForecast,
    to_capacity_forecast,
)

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
BERLIN = ReadingContext(naive_time_zone=ZoneInfo("Europe/Berlin"))
NUMERIC_STRINGS = ReadingContext(numeric_strings=True)


def read(text: object, context: ReadingContext | None = None) -> datetime | None:
    """When a heartbeat says its sender goes offline."""
    return Heartbeat.model_validate_json(json.dumps({"offline_mode_at": text}), context=context).offline_mode_at


def make_block(**override: Any) -> dict[str, Any]:
    """A valid block as JSON object, some properties replaced."""
    return {
        "capacity": 80.0,
        "phase": "ALL",
        "unit": "KW",
        "start_time": "2026-12-01T00:45:00.000Z",
        "end_time": "2026-12-01T01:00:00.000Z",
    } | override


def make_forecast(*blocks: dict[str, Any]) -> dict[str, Any]:
    """A valid forecast as JSON object."""
    return {"group_id": "transformer-17", "type": "CONSUMPTION", "forecasted_blocks": list(blocks) or [make_block()]}


# Heartbeats


def test_heartbeat_is_written_as_it_was_read() -> None:
    """A heartbeat in our own format comes out unchanged; unknown properties do not."""
    body = {"offline_mode_at": "2026-12-01T08:17:30.000Z"}

    assert json.loads(Heartbeat.model_validate(body | {"note": "x"}).model_dump_json()) == body


@pytest.mark.parametrize("body", [{}, {"offline_mode_at": None}], ids=json.dumps)
def test_heartbeat_may_lack_its_time(body: dict[str, Any]) -> None:
    """Two client libraries may leave the time out: it is None, and is not written as null."""
    heartbeat = Heartbeat.model_validate(body)

    assert heartbeat.offline_mode_at is None
    assert heartbeat.model_dump(mode="json") == {}


def test_offline_time_is_the_one_stated() -> None:
    """What a peer states holds, whatever its interval."""
    heartbeat = Heartbeat(offline_mode_at=NOON + timedelta(seconds=7))

    assert heartbeat.offline_at(NOON, interval_s=60) == NOON + timedelta(seconds=7)


@pytest.mark.parametrize(("interval_s", "seconds"), [(60, 180), (11, 33), (10, 30), (1, 30)])
def test_offline_time_is_three_intervals_ahead(interval_s: int, seconds: int) -> None:
    """Where a peer states no time, and in what we send: 3 intervals, at least 30 s, after the heartbeat."""
    expected = NOON + timedelta(seconds=seconds)

    assert Heartbeat.sent_at(NOON, interval_s=interval_s).offline_mode_at == expected
    assert Heartbeat().offline_at(NOON, interval_s=interval_s) == expected


def test_heartbeat_cannot_be_changed() -> None:
    """A heartbeat is what was sent: it cannot be assigned to."""
    with pytest.raises(ValidationError, match="frozen"):
        Heartbeat().offline_mode_at = NOON  # type: ignore[misc]


# Times without a zone


@pytest.mark.parametrize("context", [None, ReadingContext(), NUMERIC_STRINGS], ids=["none", "empty", "other"])
def test_time_without_zone_is_refused(context: ReadingContext | None) -> None:
    """A time that names no zone is refused unless the zone of its sender is stated."""
    with pytest.raises(ValidationError, match="2026-12-01T08:17:30 has no time zone; add Z"):
        read("2026-12-01 08:17:30", context)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-12-01 08:17:30", datetime(2026, 12, 1, 7, 17, 30, tzinfo=UTC)),
        ("2026-07-01T08:17:30", datetime(2026, 7, 1, 6, 17, 30, tzinfo=UTC)),
        ("2026-12-01T08:17:30.1239", datetime(2026, 12, 1, 7, 17, 30, 123_000, tzinfo=UTC)),
    ],
)
def test_time_without_zone_is_read_in_the_zone_of_its_sender(text: str, instant: datetime) -> None:
    """Berlin is one hour ahead of UTC in winter and two in summer."""
    assert read(text, BERLIN) == instant


@pytest.mark.parametrize("text", ["2026-12-01T08:17:30Z", "2026-12-01T16:17:30+08:00"])
def test_stated_zone_comes_before_that_of_the_sender(text: str) -> None:
    """A time with a zone or an offset means that, whatever zone its sender is said to be in."""
    assert read(text, BERLIN) == datetime(2026, 12, 1, 8, 17, 30, tzinfo=UTC)


def test_hour_that_comes_twice_is_the_later_one() -> None:
    """On 2026-10-25 Berlin has 02:30 at 00:30 and at 01:30 UTC: the later keeps a peer alive that may be."""
    assert read("2026-10-25 02:30:00", BERLIN) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_hour_that_never_comes_is_read() -> None:
    """On 2026-03-29 Berlin has no 02:30; counted with the summer's offset it is 00:30 UTC."""
    assert read("2026-03-29 02:30:00", BERLIN) == datetime(2026, 3, 29, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-12-01", "1796079600", 1796079600, "08:17:30", "", "soon"], ids=repr)
def test_zone_of_the_sender_excuses_nothing_else(text: object) -> None:
    """A date, a number and a time of day are no instants, in no zone."""
    with pytest.raises(ValidationError, match="offline_mode_at"):
        read(text, BERLIN)


def test_zone_of_the_sender_holds_for_all_its_messages() -> None:
    """The times of a forecast without a zone are read in it too: 01:45 in Berlin is 00:45 UTC."""
    body = make_forecast(make_block(start_time="2026-12-01 01:45:00", end_time="2026-12-01 02:00:00"))

    message = UpdateGroupCapacityForecast.model_validate(body, context=BERLIN)

    assert message.model_dump(mode="json") == make_forecast()


# Capacities in a text


@pytest.mark.parametrize(("text", "capacity"), [("25.5", 25.5), ("0", 0.0), ("1.5e3", 1500.0), ("-0", 0.0)])
def test_capacity_in_a_text_is_read_where_allowed(text: str, capacity: float) -> None:
    """Two client libraries send capacities as text; allowed for a peer, they are numbers like others."""
    body = make_forecast(make_block(capacity=text))

    message = UpdateGroupCapacityForecast.model_validate_json(json.dumps(body), context=NUMERIC_STRINGS)

    assert message.model_dump(mode="json") == make_forecast(make_block(capacity=capacity))


@pytest.mark.parametrize("context", [None, ReadingContext(numeric_strings=False), BERLIN], ids=["none", "no", "other"])
def test_capacity_in_a_text_is_refused_by_default(context: ReadingContext | None) -> None:
    """The schema wants a number."""
    with pytest.raises(ValidationError, match="valid number"):
        UpdateGroupCapacityForecast.model_validate(make_forecast(make_block(capacity="25.5")), context=context)


@pytest.mark.parametrize(
    "text", ["-1", "NaN", "Infinity", "inf", "1_000", " 25.5", "25.5 ", "25,5", "0x10", "", ".5", "1e13", "٣", True]
)
def test_text_must_be_a_number_within_bounds(text: object) -> None:
    """A text is taken only where JSON would take it as a number, and only within the bounds of capacities."""
    with pytest.raises(ValidationError, match=r"forecasted_blocks\.0\.capacity"):
        UpdateGroupCapacityForecast.model_validate(make_forecast(make_block(capacity=text)), context=NUMERIC_STRINGS)


# A wish for other capacity, and one that cannot be kept


def test_adjustment_has_the_body_of_a_forecast() -> None:
    """A wish for capacity is read and written like a forecast, but is not one."""
    body = make_forecast()

    wish = AdjustGroupCapacityForecast.model_validate_json(json.dumps(body))

    assert wish.model_dump(mode="json") == body
    assert not isinstance(wish, UpdateGroupCapacityForecast)
    assert to_capacity_forecast(wish, voltage_v=230.0).kind is CapacityKind.CONSUMPTION


def test_adjustment_is_bounded_like_a_forecast() -> None:
    """A wish needs at least one block."""
    with pytest.raises(ValidationError, match="at least 1 item"):
        AdjustGroupCapacityForecast.model_validate(make_forecast() | {"forecasted_blocks": []})


@pytest.mark.parametrize(
    "body",
    [
        {"message": "Forecast cannot be met"},
        {"message": "Minimum power exceeds the limit", "forecasted_blocks": [make_block()]},
    ],
    ids=["message", "blocks"],
)
def test_compliance_error_is_written_as_it_was_read(body: dict[str, Any]) -> None:
    """The blocks may be left out; unknown properties and null are not written."""
    message = GroupCapacityComplianceError.model_validate({"forecasted_blocks": None, "note": "x"} | body)

    assert json.loads(message.model_dump_json()) == body


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "Field required"),
        ({"message": None}, "valid string"),
        ({"message": "x", "forecasted_blocks": []}, "1 item"),
    ],
)
def test_compliance_error_needs_a_message(body: dict[str, Any], reason: str) -> None:
    """The message is required; blocks, where there are any, are at least one."""
    with pytest.raises(ValidationError, match=reason):
        GroupCapacityComplianceError.model_validate(body)
