"""The forecast message of OSCP 2.0: what is read is bounded, what is written every known peer can read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from models.oscp.v20.enums import CapacityForecastType, ForecastedBlockUnit, PhaseIndicator

MAX_BLOCKS = 10_000
"""Most blocks of one message: more than a hundred days of quarters of an hour, where peers send one or two days."""
MAX_GROUP_ID_LENGTH = 128
"""The schema sets no bound; this is what SolarNetwork, a Flexibility Provider in use, can store."""
MAX_CAPACITY = 1e12
"""In any unit, the largest capacity read: a terawatt in W, above every grid; keeps what follows from it finite."""
CAPACITY_DECIMALS = 3
"""Decimals of a capacity as written."""


def to_wire_instant(instant: datetime) -> datetime:
    """The instant in UTC, cut to the millisecond: all a message can carry.

    Raises:
        ValueError: The calendar ends before the instant does in UTC.
    """
    try:
        utc = instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{instant.isoformat()} lies outside the years 1 to 9999 in UTC") from None
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def _require_text(instant: object) -> object:
    # pydantic would take a number, or a text of digits only, for seconds since 1970.
    if isinstance(instant, datetime) or (isinstance(instant, str) and "-" in instant[1:]):
        return instant
    raise ValueError("must be a text such as 2026-12-01T00:00:00.000Z")


def _to_text(instant: datetime) -> str:
    # SolarNetwork reads no or exactly three digits of a second's fraction, some peers read no offset but Z.
    return instant.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _to_decimals(capacity: float) -> float:
    return round(capacity, CAPACITY_DECIMALS)


WireInstant = Annotated[
    AwareDatetime,
    BeforeValidator(_require_text),
    AfterValidator(to_wire_instant),
    PlainSerializer(_to_text, return_type=str, when_used="json"),
]
"""Read with any number of digits of a second's fraction and any offset; written as ``YYYY-MM-DDTHH:MM:SS.mmmZ``."""

# Strict: a number in a text is refused, as the schema wants it.
Capacity = Annotated[
    float,
    Field(strict=True, ge=0, le=MAX_CAPACITY, allow_inf_nan=False),
    PlainSerializer(_to_decimals, return_type=float, when_used="json"),
]


class ForecastedBlock(BaseModel):
    """One interval of a forecast; holds from ``start_time`` up to ``end_time``.

    Source: OSCP 2.0 JSON schema forecasted-block. That the end is after the start, in milliseconds, is a decision.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    capacity: Capacity
    phase: PhaseIndicator
    unit: ForecastedBlockUnit
    start_time: WireInstant
    end_time: WireInstant

    @model_validator(mode="after")
    def _end_after_start(self) -> ForecastedBlock:
        if self.end_time <= self.start_time:
            raise ValueError(f"end_time {_to_text(self.end_time)} is not after start_time {_to_text(self.start_time)}")
        return self


class UpdateGroupCapacityForecast(BaseModel):
    """Blocks of one type for one group; unordered, with gaps or overlaps, as peers like it.

    Source: OSCP 2.0 section 4.4.1 and JSON schema update-group-capacity-forecast.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    group_id: Annotated[str, Field(min_length=1, max_length=MAX_GROUP_ID_LENGTH)]
    type: CapacityForecastType
    forecasted_blocks: Annotated[tuple[ForecastedBlock, ...], Field(min_length=1, max_length=MAX_BLOCKS)]
