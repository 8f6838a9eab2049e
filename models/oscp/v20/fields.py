"""The fields that messages of OSCP 2.0 share: instants, numbers, identifiers, texts, and what a peer is let off."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Annotated, TypedDict

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationInfo

from models.errors import shortened

MAX_GROUP_ID_LENGTH = 128
"""The schema sets no bound; this is what SolarNetwork, a Flexibility Provider in use, can store."""
MAX_TEXT_LENGTH = 1_000
"""Longest explanation kept of a message for humans."""
MAX_CAPACITY = 1e12
"""In any unit, the largest capacity read: a terawatt in W, above every grid; keeps what follows from it finite."""
MAX_MEASURED = 1e15
"""In any unit, the largest magnitude measured: a petawatt hour in Wh, above what any register counts."""
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
"""No control characters: a database may refuse them, and in a log a line break begins a line of the peer's choice."""
MICROSECONDS_PER_MILLISECOND = 1000
WIRE_DECIMALS = 3
"""Decimals of a number as written."""

# As JSON writes a number; Python's float() would also take spaces, underscores and the word infinity.
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class ReadingContext(TypedDict, total=False):
    """What a peer is let off when its messages are read; pass it as ``context`` to ``model_validate_json``.

    Attributes:
        naive_time_zone: Zone of times that name none; without it they are refused. In the hour that comes twice the
            later of the two instants is meant: a peer taken to be alive for an hour too long does less harm than one
            taken to be dead while its heartbeats arrive.
        numeric_strings: Whether a capacity may be a number in a text.
    """

    naive_time_zone: tzinfo
    numeric_strings: bool


def to_wire_instant(instant: datetime) -> datetime:
    """The instant in UTC, cut to the millisecond: all a message can carry.

    Raises:
        ValueError: The calendar ends before the instant does in UTC.
    """
    try:
        utc = instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{instant.isoformat()} lies outside the years 1 to 9999 in UTC") from None
    excess_us = utc.microsecond % MICROSECONDS_PER_MILLISECOND
    return utc.replace(microsecond=utc.microsecond - excess_us) if excess_us else utc


def to_wire_text(instant: datetime) -> str:
    """An instant of UTC as it is written, ``YYYY-MM-DDTHH:MM:SS.mmmZ``."""
    # SolarNetwork reads no or exactly three digits of a second's fraction, some peers read no offset but Z.
    return instant.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def null_as(default: object) -> BeforeValidator:
    """Take the null of an optional property like a missing one."""
    return BeforeValidator(lambda value: default if value is None else value)


def is_none(value: object) -> bool:
    """Whether an optional property is left out when written: no schema allows null."""
    return value is None


def _require_text(instant: object) -> object:
    # pydantic would take a number, or a text of digits only, for seconds since 1970, and a date for its midnight.
    if isinstance(instant, datetime) or (isinstance(instant, str) and "-" in instant[1:] and ":" in instant):
        return instant
    raise ValueError("must be a text such as 2026-12-01T00:00:00.000Z")


def _in_utc(instant: datetime, info: ValidationInfo[ReadingContext | None]) -> datetime:
    if instant.tzinfo is None:
        zone = (info.context or {}).get("naive_time_zone")
        if zone is None:
            raise ValueError(f"{instant.isoformat()} has no time zone; add Z or an offset such as +00:00")
        instant = instant.replace(tzinfo=zone, fold=1)
    return to_wire_instant(instant)


def _number_from_text(value: object, info: ValidationInfo[ReadingContext | None]) -> object:
    if isinstance(value, str) and (info.context or {}).get("numeric_strings") and _NUMBER.fullmatch(value):
        return float(value)
    return value


def _to_decimals(value: float) -> float:
    return round(value, WIRE_DECIMALS)


def _to_kept_text(text: str) -> str:
    return shortened(text, MAX_TEXT_LENGTH - 1)


WireInstant = Annotated[
    datetime,
    BeforeValidator(_require_text),
    AfterValidator(_in_utc),
    PlainSerializer(to_wire_text, return_type=str, when_used="json"),
]
"""Read with any number of digits of a second's fraction and any offset; written as ``YYYY-MM-DDTHH:MM:SS.mmmZ``."""

# Strict: a number in a text is refused, as the schema wants it, unless the peer is let off.
Capacity = Annotated[
    float,
    Field(strict=True, ge=0, le=MAX_CAPACITY, allow_inf_nan=False),
    BeforeValidator(_number_from_text),
    PlainSerializer(_to_decimals, return_type=float, when_used="json"),
]

MeasuredValue = Annotated[
    float,
    Field(strict=True, ge=-MAX_MEASURED, le=MAX_MEASURED, allow_inf_nan=False),
    PlainSerializer(_to_decimals, return_type=float, when_used="json"),
]
"""May be negative: a net flow, a current or power fed in."""

GroupId = Annotated[str, Field(min_length=1, max_length=MAX_GROUP_ID_LENGTH, pattern=PRINTABLE)]

MessageText = Annotated[str, AfterValidator(_to_kept_text)]
"""A text for humans; a longer one is cut, for an explanation is no reason to refuse what it explains."""
