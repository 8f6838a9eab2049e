"""Kinds of fields in scenario files: units, bounds, and names that are misspelt."""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from models.domain.asset import (
    MAX_STORED_KWH,
    MAX_WEAR_PRICE_PER_KWH,
    MIN_EFFICIENCY,
)
from models.domain.bounds import MAX_POWER_KW
from models.domain.connection import Connection
from models.domain.group import (
    MAX_CURRENT_A,
)
from models.errors import InputError
from models.units import THREE_PHASES

SCHEMA_VERSION = 1

MAX_STAY = timedelta(days=31)
"""Real stays last days; one of more than a month is a departure with a mistyped month or year."""

MAX_ENERGY_KWH = 1e6
"""The largest traction batteries hold a few MWh; a GWh is a mistaken unit."""

MAX_PRICE_PER_KWH = 1e6

MIN_PRIORITY, MAX_PRIORITY = 1e-6, 1e6
"""Weights farther apart than this drown one another in the rounding of a solver."""

MAX_PRIORITY_CLASS = 99
"""Every class in use is a stage of its own."""

MAX_VOLTAGE_V = 100_000.0

MAX_GROUPS = 10_000

MAX_LEVELS = 1_000

MAX_ASSETS = 10_000

MAX_POINTS = 100

MAX_CHARGERS = 1_000_000

MAX_LINE_LIMITS = 10_000

MAX_WEIGHT = 1_000.0
"""Transformers between a low and a medium voltage multiply currents by less."""

FIRST_YEAR, LAST_YEAR = 1970, 2199


def _calendar_time(value: object) -> object:
    # pydantic also takes a bare number as seconds or milliseconds since 1970: "20190724" would be a day of 1970.
    is_number = ":" not in value if isinstance(value, str) else isinstance(value, int | float)
    if is_number:
        raise PydanticCustomError(
            "iso_time", "Input should be a time in ISO 8601 with an offset, such as 2019-07-24T08:00:00+02:00"
        )
    return value


def _utc(instant: datetime) -> datetime:
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise PydanticCustomError(
            "year_range",
            "Input should be in the years {first} to {last}",
            {"first": FIRST_YEAR, "last": LAST_YEAR},
        )
    return instant.astimezone(UTC)


ID_PATTERN = r"^[^\s\p{Cc}]([^\p{Cc}]*[^\s\p{Cc}])?$"
"""No control character anywhere, no blank at either end: neither can be seen in a table."""

CURRENCY_PATTERN = "^[A-Z]{3}$"


# Never strict: text is the only way to write a time.
Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_calendar_time), AfterValidator(_utc)]

Id = Annotated[str, Field(min_length=1, max_length=128, pattern=ID_PATTERN)]

Efficiency = Annotated[float, Field(ge=MIN_EFFICIENCY, le=1, allow_inf_nan=False)]

StateOfCharge = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

StoredKwh = Annotated[float, Field(ge=0, le=MAX_STORED_KWH, allow_inf_nan=False)]

WearPrice = Annotated[float, Field(ge=0, le=MAX_WEAR_PRICE_PER_KWH, allow_inf_nan=False)]

PowerKw = Annotated[float, Field(ge=0, le=MAX_POWER_KW, allow_inf_nan=False)]

CurrentA = Annotated[float, Field(ge=0, le=MAX_CURRENT_A, allow_inf_nan=False)]

Weight = Annotated[float, Field(ge=-MAX_WEIGHT, le=MAX_WEIGHT, allow_inf_nan=False)]

VoltageV = Annotated[float, Field(ge=1, le=MAX_VOLTAGE_V, allow_inf_nan=False)]

EnergyKwh = Annotated[float, Field(ge=0, le=MAX_ENERGY_KWH, allow_inf_nan=False)]

PricePerKwh = Annotated[float, Field(ge=-MAX_PRICE_PER_KWH, le=MAX_PRICE_PER_KWH, allow_inf_nan=False)]


def require_end_after_start(start: datetime, end: datetime) -> None:
    """Let pass an interval of a record with the fields ``start`` and ``end``.

    Raises:
        PydanticCustomError: It is empty or negative.
    """
    if end <= start:
        raise PydanticCustomError("order", "Input should be after the {other}", {"field": "end", "other": "start"})


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise PydanticCustomError(
            "time_zone", "Input should be a time zone of the IANA database, such as Europe/Amsterdam"
        ) from error
    return name


def _each_conductor(value: object) -> object:
    """One figure stands for all three conductors; what was read of JSON as a list is a tuple where types are strict."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value,) * THREE_PHASES
    return tuple(value) if isinstance(value, list) else value


def _known_connection(text: str) -> str:
    try:
        return Connection(text).text
    except InputError as error:
        raise PydanticCustomError("connection", "{reason}", {"reason": str(error)}) from error


ZoneName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_known_zone)]
ConnectionText = Annotated[str, Field(min_length=1, max_length=16), AfterValidator(_known_connection)]

CurrentLimits = Annotated[tuple[CurrentA, CurrentA, CurrentA], BeforeValidator(_each_conductor)]


def plain_name(name: str) -> str:
    """A field's name without case and punctuation: what a misspelt name has in common with the right one."""
    return re.sub(r"[\W_]", "", name).casefold()


MISSPELT = 0.85
"""Likeness from which an unknown field is a known one misspelt, or given in another unit. Source: difflib."""


@lru_cache(maxsize=1024)
def meant_field(name: str, fields: tuple[str, ...]) -> str | None:
    """The field that an unknown name is a misspelling of; None where it is like none of them."""
    known = {plain_name(field): field for field in fields}
    alike = difflib.get_close_matches(plain_name(name), known, n=1, cutoff=MISSPELT)
    return known[alike[0]] if alike else None


class SiteEntry(BaseModel):
    """Part of site.json; unknown fields are kept aside, misspelt ones refused, since they would lift a limit."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @model_validator(mode="after")
    def _no_misspelt_field(self) -> Self:
        for name in self.model_extra or ():
            if meant := meant_field(name, tuple(type(self).model_fields)):
                raise PydanticCustomError(
                    "misspelt", "the field must be called {meant}; rename it", {"field": name, "meant": meant}
                )
        return self
