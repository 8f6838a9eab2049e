"""What scenario files hold, field by field: units, bounds, and the way to the domain and back."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from models.domain.asset import (
    MAX_STORED_KWH,
    MAX_WEAR_PRICE_PER_KWH,
    MIN_EFFICIENCY,
    BaseLoad,
    ChargeCurve,
    Generator,
    Storage,
)
from models.domain.bounds import MAX_POWER_KW
from models.domain.capacity import Phase
from models.domain.connection import Connection
from models.domain.day import DriverStatement
from models.domain.group import (
    MAX_CURRENT_A,
    CapacityGroup,
    Charger,
    LimitCounts,
    LineLimit,
    Site,
)
from models.domain.session import MAX_CAPACITY_KWH, MIN_CAPACITY_KWH, ChargingSession
from models.domain.tariff import EnergyTariff, PriceBlock
from models.domain.uncertainty import MAX_SURPRISES, DepartureErrors, Surprise, Uncertainty
from models.errors import InputError
from models.oscp.v20 import UpdateGroupCapacityForecast
from models.units import DEFAULT_NOMINAL_VOLTAGE_V, THREE_PHASES

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


class GroupEntry(SiteEntry):
    """A capacity group of a site."""

    group_id: Id = Field(description="Id agreed with the other parties")
    parent_id: Id | None = Field(default=None, description="Group that feeds this one; null for a root")
    import_limit_kw: PowerKw | None = Field(
        default=None, description="Static limit of the connection, kW; null where there is none"
    )
    export_limit_kw: PowerKw | None = Field(
        default=None, description="The same for feeding in, kW; null where there is none"
    )
    current_limit_a: CurrentLimits | None = Field(
        default=None,
        description="What each of the conductors L1, L2 and L3 of the connection carries at any moment, A: three "
        "figures, or one for all; null where nothing is said",
    )
    limit_counts: LimitCounts = Field(
        default=LimitCounts.FLEXIBLE,
        description="Whose power the limits count: FLEXIBLE: that of chargers and storages; TOTAL: all behind the "
        "connection, so that base load and generation, forecast or measured, change what is left for them",
    )

    @classmethod
    def from_domain(cls, group: CapacityGroup) -> Self:
        """The entry of a group."""
        return cls(
            group_id=group.group_id,
            parent_id=group.parent_id,
            import_limit_kw=group.import_limit_kw,
            export_limit_kw=group.export_limit_kw,
            current_limit_a=group.current_limit_a,
            limit_counts=group.limit_counts,
        )

    def to_domain(self) -> CapacityGroup:
        """The group."""
        return CapacityGroup(
            group_id=self.group_id,
            parent_id=self.parent_id,
            import_limit_kw=self.import_limit_kw,
            export_limit_kw=self.export_limit_kw,
            current_limit_a=self.current_limit_a,
            limit_counts=self.limit_counts,
        )


class ChargerEntry(SiteEntry):
    """A charger of a site."""

    charger_id: Id = Field(description="Unique within the site")
    group_id: Id = Field(description="The group it hangs on")
    max_power_kw: PowerKw = Field(description="The most it delivers, kW")
    phases: Phase = Field(
        default=Phase.UNKNOWN,
        description="ALL: loads three phases equally; ONE, TWO, THREE: that one; UNKNOWN counts in full on each phase",
    )
    min_power_kw: PowerKw = Field(default=0.0, description="The least it delivers when it delivers anything, kW")
    power_levels_kw: Annotated[list[PowerKw], Field(max_length=MAX_LEVELS)] = Field(
        default=[], description="The only powers it can be set to besides zero, kW, increasing; empty where any will do"
    )
    connection: ConnectionText | None = Field(
        default=None,
        description="Its conductors in the order of its terminals, where phases cannot say it: L1-N, L1-L2 (between "
        "two lines), L1-L2-N (two phases), L1-L2-L3 (three phases) or a rotation of these such as L2-L3-L1",
    )
    voltage_v: VoltageV | None = Field(
        default=None,
        description="Across its loads, V: from line to neutral, or between the lines of a connection such as L1-L2; "
        "null for what follows from nominal_voltage_v",
    )

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        if self.connection is not None and self.phases is not Phase.UNKNOWN:
            raise PydanticCustomError("said_twice", "phases says it as well; leave out phases", {"field": "connection"})
        return self

    @classmethod
    def from_domain(cls, charger: Charger) -> Self:
        """The entry of a charger."""
        return cls(
            charger_id=charger.charger_id,
            group_id=charger.group_id,
            max_power_kw=charger.max_power_kw,
            phases=charger.phases,
            min_power_kw=charger.min_power_kw,
            power_levels_kw=list(charger.power_levels_kw),
            connection=None if charger.connection is None else charger.connection.text,
            voltage_v=charger.voltage_v,
        )

    def to_domain(self) -> Charger:
        """The charger."""
        return Charger(
            charger_id=self.charger_id,
            group_id=self.group_id,
            max_power_kw=self.max_power_kw,
            phases=self.phases,
            min_power_kw=self.min_power_kw,
            power_levels_kw=tuple(self.power_levels_kw),
            connection=None if self.connection is None else Connection(self.connection),
            voltage_v=self.voltage_v,
        )


class LineLimitEntry(SiteEntry):
    """A line of a site beside the connections of its groups."""

    line_limit_id: Id = Field(description="Unique within the site")
    group_id: Id = Field(description="Whose chargers, on all levels below it, it carries")
    limit_a: CurrentA = Field(description="What it carries at any moment, A")
    weights: tuple[Weight, Weight, Weight] = Field(
        description="What it carries of the group's currents on L1, L2 and L3: |w1 I1 + w2 I2 + w3 I3| <= limit_a"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any(self.weights):
            raise PydanticCustomError("weights", "at least one weight must differ from 0", {"field": "weights"})
        return self

    @classmethod
    def from_domain(cls, line: LineLimit) -> Self:
        """The entry of a line limit."""
        return cls(line_limit_id=line.line_limit_id, group_id=line.group_id, limit_a=line.limit_a, weights=line.weights)

    def to_domain(self) -> LineLimit:
        """The line limit."""
        return LineLimit(
            line_limit_id=self.line_limit_id, group_id=self.group_id, limit_a=self.limit_a, weights=self.weights
        )


class AssetEntry(SiteEntry):
    """What hangs on a group and is no charger."""

    asset_id: Id = Field(description="Unique among storages, generators and base loads")
    group_id: Id = Field(description="The group it hangs on")
    phases: Phase = Field(default=Phase.UNKNOWN, description="As of a charger")


class StorageEntry(AssetEntry):
    """A stationary battery of a site."""

    max_charge_kw: PowerKw = Field(description="The most it draws, kW")
    max_discharge_kw: PowerKw = Field(description="The most it feeds in, kW")
    energy_kwh: StoredKwh = Field(description="What is in it at the begin of the window, kWh")
    max_energy_kwh: StoredKwh = Field(description="The most it may hold: its usable capacity, kWh")
    min_energy_kwh: StoredKwh = Field(default=0.0, description="What stays in it at all times, kWh")
    final_energy_kwh: StoredKwh | None = Field(
        default=None,
        description="What is to be in it at the end of the window, kWh; null for what is in it now",
    )
    charge_efficiency: Efficiency = Field(default=1.0, description="Stored energy per energy drawn")
    discharge_efficiency: Efficiency = Field(default=1.0, description="Energy fed in per energy taken out")
    wear_price_per_kwh: WearPrice = Field(default=0.0, description="What a kWh fed in costs in wear, currency per kWh")

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        self.to_domain()
        return self

    @classmethod
    def from_domain(cls, storage: Storage) -> Self:
        """The entry of a storage."""
        return cls(**{name: getattr(storage, name) for name in cls.model_fields})

    def to_domain(self) -> Storage:
        """The storage.

        Raises:
            InputError: The state or a bound lies outside the others.
        """
        return Storage(**{name: getattr(self, name) for name in type(self).model_fields})


class GeneratorEntry(AssetEntry):
    """A source of a site, whose power is in generation.csv."""

    curtailable: bool = Field(default=False, description="Whether it may be told to give less")

    @classmethod
    def from_domain(cls, generator: Generator) -> Self:
        """The entry of a generator."""
        return cls(**{name: getattr(generator, name) for name in cls.model_fields})

    def to_domain(self) -> Generator:
        """The generator."""
        return Generator(**{name: getattr(self, name) for name in type(self).model_fields})


class BaseLoadEntry(AssetEntry):
    """Consumption of a site that nobody controls, whose power is in base_load.csv."""

    @classmethod
    def from_domain(cls, load: BaseLoad) -> Self:
        """The entry of a base load."""
        return cls(**{name: getattr(load, name) for name in cls.model_fields})

    def to_domain(self) -> BaseLoad:
        """The base load."""
        return BaseLoad(**{name: getattr(self, name) for name in type(self).model_fields})


class CurvePointEntry(SiteEntry):
    """A point of a charge curve."""

    soc: StateOfCharge = Field(description="State of charge, 0 to 1")
    power_kw: PowerKw = Field(description="The most power there, kW")


class ChargeCurveEntry(SiteEntry):
    """What a battery takes by its state of charge: flat up to the first point, then from point to point."""

    curve_id: Id = Field(description="Unique within the site")
    points: tuple[CurvePointEntry, ...] = Field(
        min_length=1, max_length=MAX_POINTS, description="States increase and end at 1; powers fall ever faster"
    )

    @model_validator(mode="after")
    def _shape(self) -> Self:
        self.to_domain()
        return self

    @classmethod
    def from_domain(cls, curve: ChargeCurve) -> Self:
        """The entry of a charge curve."""
        points = tuple(CurvePointEntry(soc=soc, power_kw=power_kw) for soc, power_kw in curve.points)
        return cls(curve_id=curve.curve_id, points=points)

    def to_domain(self) -> ChargeCurve:
        """The charge curve.

        Raises:
            InputError: The points are not those of one.
        """
        return ChargeCurve(curve_id=self.curve_id, points=tuple((point.soc, point.power_kw) for point in self.points))


class SiteFile(BaseModel):
    """site.json: groups, chargers and other assets."""

    model_config = ConfigDict(frozen=True, extra="allow", validate_by_name=True, validate_by_alias=True)

    # The version comes first: where it is wrong, nothing else said of the file is of use.
    schema_version: Literal[1] = Field(alias="schema", description="Version of this format")
    site_id: Id = Field(description="Name of the site")
    time_zone: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_known_zone)] = Field(
        description="IANA name of the zone of the site's wall clock"
    )
    currency: str = Field(min_length=3, max_length=3, pattern=CURRENCY_PATTERN, description="ISO 4217 code of prices")
    nominal_voltage_v: float = Field(
        default=DEFAULT_NOMINAL_VOLTAGE_V,
        ge=1,
        le=MAX_VOLTAGE_V,
        allow_inf_nan=False,
        description="Voltage from line to neutral, V",
    )
    groups: tuple[GroupEntry, ...] = Field(min_length=1, max_length=MAX_GROUPS, description="Every group once")
    chargers: tuple[ChargerEntry, ...] = Field(max_length=MAX_CHARGERS, description="Every charger once")
    line_limits: tuple[LineLimitEntry, ...] = Field(
        default=(), max_length=MAX_LINE_LIMITS, description="Windings, neutrals and other lines with a limit in A"
    )
    storages: tuple[StorageEntry, ...] = Field(
        default=(), max_length=MAX_ASSETS, description="Stationary batteries; may be left out"
    )
    generators: tuple[GeneratorEntry, ...] = Field(
        default=(), max_length=MAX_ASSETS, description="Sources whose power is forecast; may be left out"
    )
    base_loads: tuple[BaseLoadEntry, ...] = Field(
        default=(), max_length=MAX_ASSETS, description="Consumption that nobody controls; may be left out"
    )
    charge_curves: tuple[ChargeCurveEntry, ...] = Field(
        default=(), max_length=MAX_ASSETS, description="What batteries of vehicles take by their state; may be left out"
    )
    carbon_price_per_kg: float = Field(
        default=0.0,
        ge=0,
        le=MAX_PRICE_PER_KWH,
        allow_inf_nan=False,
        description="What a kg of carbon dioxide counts in the plan, currency per kg",
    )

    @classmethod
    def from_domain(cls, site: Site) -> Self:
        """The file of a site."""
        return cls(
            schema_version=1,
            site_id=site.site_id,
            time_zone=site.time_zone.key,
            currency=site.currency,
            nominal_voltage_v=site.nominal_voltage_v,
            groups=tuple(GroupEntry.from_domain(group) for group in site.groups),
            chargers=tuple(ChargerEntry.from_domain(charger) for charger in site.chargers),
            line_limits=tuple(LineLimitEntry.from_domain(line) for line in site.line_limits),
            storages=tuple(StorageEntry.from_domain(storage) for storage in site.storages),
            generators=tuple(GeneratorEntry.from_domain(generator) for generator in site.generators),
            base_loads=tuple(BaseLoadEntry.from_domain(load) for load in site.base_loads),
            charge_curves=tuple(ChargeCurveEntry.from_domain(curve) for curve in site.charge_curves),
            carbon_price_per_kg=site.carbon_price_per_kg,
        )

    def to_domain(self) -> Site:
        """The site.

        Raises:
            InputError: A group, charger, asset or curve is named twice, a parent or group is unknown, or the parents
                form a cycle.
        """
        return Site(
            site_id=self.site_id,
            groups=tuple(group.to_domain() for group in self.groups),
            chargers=tuple(charger.to_domain() for charger in self.chargers),
            time_zone=ZoneInfo(self.time_zone),
            currency=self.currency,
            nominal_voltage_v=self.nominal_voltage_v,
            line_limits=tuple(line.to_domain() for line in self.line_limits),
            storages=tuple(storage.to_domain() for storage in self.storages),
            generators=tuple(generator.to_domain() for generator in self.generators),
            base_loads=tuple(load.to_domain() for load in self.base_loads),
            charge_curves=tuple(curve.to_domain() for curve in self.charge_curves),
            carbon_price_per_kg=self.carbon_price_per_kg,
        )


class SessionRow(BaseModel):
    """A row of sessions.csv."""

    model_config = ConfigDict(frozen=True)

    session_id: Id = Field(description="Unique within the scenario")
    charger_id: Id = Field(description="Where the vehicle is plugged in")
    arrival: Instant = Field(description="First instant at which it may draw power, ISO 8601 with offset")
    departure: Instant = Field(description="First instant at which it may not any more, ISO 8601 with offset")
    energy_kwh: EnergyKwh = Field(description="What it still asks for, kWh")
    max_power_kw: PowerKw | None = Field(default=None, description="The vehicle's own limit, kW; absent for none")
    priority: float = Field(
        default=1.0,
        ge=MIN_PRIORITY,
        le=MAX_PRIORITY,
        allow_inf_nan=False,
        description="Weight of its unserved energy against that of others",
    )
    vehicle_phases: int | None = Field(
        default=None, ge=1, le=3, description="How many phases the vehicle uses; absent for all its charger has"
    )
    priority_class: int = Field(
        default=0,
        ge=0,
        le=MAX_PRIORITY_CLASS,
        description="Rank before all weights, the lowest number first: nobody is served at the cost of a lower number",
    )
    discharge_power_kw: PowerKw = Field(default=0.0, description="The most it feeds in, kW; 0 where it does not")
    battery_capacity_kwh: (
        Annotated[float, Field(ge=MIN_CAPACITY_KWH, le=MAX_CAPACITY_KWH, allow_inf_nan=False)] | None
    ) = Field(default=None, description="What its battery holds, kWh; needed with any of the fields about its state")
    arrival_soc: StateOfCharge | None = Field(default=None, description="State of charge at arrival, 0 to 1; as needed")
    target_soc: StateOfCharge | None = Field(
        default=None,
        description="State of charge wanted at departure, 0 to 1: what that takes at the plug is asked for where it is "
        "more than energy_kwh",
    )
    min_soc: StateOfCharge = Field(default=0.0, description="State of charge below which it does not feed in, 0 to 1")
    charge_efficiency: Efficiency = Field(default=1.0, description="Energy stored per energy drawn at the plug")
    discharge_efficiency: Efficiency = Field(default=1.0, description="Energy fed in at the plug per energy taken out")
    wear_price_per_kwh: WearPrice = Field(default=0.0, description="What a kWh fed in costs in wear, currency per kWh")
    charge_curve_id: Id | None = Field(
        default=None, description="Charge curve of the site that bounds its power by its state; absent for none"
    )

    @model_validator(mode="after")
    def _battery(self) -> Self:
        if self.model_fields_set.isdisjoint(BATTERY_COLUMNS):
            return self
        for name, asks in (
            ("discharge_power_kw", self.discharge_power_kw > 0),
            ("target_soc", self.target_soc is not None),
            ("charge_curve_id", self.charge_curve_id is not None),
        ):
            for needed in ("battery_capacity_kwh", "arrival_soc"):
                if asks and getattr(self, needed) is None:
                    raise PydanticCustomError("state", "it needs {needed}; fill it", {"field": name, "needed": needed})
        return self

    @model_validator(mode="after")
    def _stay(self) -> Self:
        if self.departure <= self.arrival:
            raise PydanticCustomError(
                "order", "Input should be after the {other}", {"field": "departure", "other": "arrival"}
            )
        if self.departure - self.arrival > MAX_STAY:
            raise PydanticCustomError(
                "long_stay",
                "a stay of {days} days is longer than {limit} days; look for a mistyped month or year",
                {"field": "departure", "days": (self.departure - self.arrival).days, "limit": MAX_STAY.days},
            )
        return self

    @classmethod
    def from_domain(cls, session: ChargingSession) -> Self:
        """The row of a session."""
        return cls(
            session_id=session.session_id,
            charger_id=session.charger_id,
            arrival=session.arrival,
            departure=session.departure,
            energy_kwh=session.energy_kwh,
            max_power_kw=session.max_power_kw,
            priority=session.priority,
            vehicle_phases=session.vehicle_phases,
            priority_class=session.priority_class,
            **{name: getattr(session, name) for name in BATTERY_FIELDS},
        )

    @property
    def asked_energy_kwh(self) -> float:
        """What it asks for at the plug, kWh: as stated, or what the wanted state of charge takes, if that is more."""
        if self.target_soc is None or self.arrival_soc is None or self.battery_capacity_kwh is None:
            return self.energy_kwh
        missing_kwh = (self.target_soc - self.arrival_soc) * self.battery_capacity_kwh
        return max(self.energy_kwh, missing_kwh / self.charge_efficiency)

    def to_domain(self) -> ChargingSession:
        """The session."""
        return ChargingSession(
            session_id=self.session_id,
            charger_id=self.charger_id,
            arrival=self.arrival,
            departure=self.departure,
            energy_kwh=self.asked_energy_kwh,
            max_power_kw=self.max_power_kw,
            priority=self.priority,
            vehicle_phases=self.vehicle_phases,
            priority_class=self.priority_class,
            # Most rows say nothing of a battery, and a million of them are read in seconds.
            **{name: getattr(self, name) for name in self.model_fields_set & BATTERY_FIELDS},
        )


BATTERY_COLUMNS = (
    "discharge_power_kw",
    "battery_capacity_kwh",
    "arrival_soc",
    "target_soc",
    "min_soc",
    "charge_efficiency",
    "discharge_efficiency",
    "wear_price_per_kwh",
    "charge_curve_id",
)
"""Columns of sessions.csv that are about a battery: a file has them where a session needs one."""
BATTERY_FIELDS = frozenset(BATTERY_COLUMNS) - {"target_soc"}
"""Those that a session has; the state wanted becomes the energy asked for."""


class RecordedSessionRow(SessionRow):
    """A row of sessions.csv in a scenario folder: what happened and, where it is known, what the driver said before."""

    estimated_departure: Instant | None = Field(
        default=None,
        description="When the driver said to leave, ISO 8601 with offset; absent where nothing was said",
    )
    requested_kwh: EnergyKwh | None = Field(
        default=None, description="What the driver asked for, kWh; absent where nothing was said"
    )

    @model_validator(mode="after")
    def _stated_stay(self) -> Self:
        if self.estimated_departure is None:
            return self
        if self.estimated_departure <= self.arrival:
            raise PydanticCustomError(
                "order", "Input should be after the {other}", {"field": "estimated_departure", "other": "arrival"}
            )
        if self.estimated_departure - self.arrival > MAX_STAY:
            raise PydanticCustomError(
                "long_stay",
                "a stay of {days} days is longer than {limit} days; look for a mistyped month or year",
                {
                    "field": "estimated_departure",
                    "days": (self.estimated_departure - self.arrival).days,
                    "limit": MAX_STAY.days,
                },
            )
        return self

    @classmethod
    def of(cls, session: ChargingSession, statement: DriverStatement) -> Self:
        """The row of a session whose driver said something."""
        row = SessionRow.from_domain(session)
        return cls(**dict(row), estimated_departure=statement.departure, requested_kwh=statement.energy_kwh)

    @property
    def statement(self) -> DriverStatement | None:
        """What the driver said; None where it was nothing."""
        if self.estimated_departure is None and self.requested_kwh is None:
            return None
        return DriverStatement(departure=self.estimated_departure, energy_kwh=self.requested_kwh)


class PriceRow(BaseModel):
    """A row of prices.csv."""

    model_config = ConfigDict(frozen=True)

    start: Instant = Field(description="First instant at which the price holds, ISO 8601 with offset")
    end: Instant = Field(description="First instant at which it does not hold any more, ISO 8601 with offset")
    import_price_per_kwh: PricePerKwh = Field(description="What a kWh drawn from the grid costs, currency per kWh")
    export_price_per_kwh: PricePerKwh | None = Field(
        default=None, description="What a kWh fed in earns, currency per kWh; absent where nothing is said of it"
    )

    @model_validator(mode="after")
    def _order(self) -> Self:
        require_end_after_start(self.start, self.end)
        return self

    def to_domain(self) -> PriceBlock:
        """The price block."""
        return PriceBlock(
            start=self.start,
            end=self.end,
            import_price_per_kwh=self.import_price_per_kwh,
            export_price_per_kwh=self.export_price_per_kwh,
        )


class RecordedPriceRow(PriceRow):
    """A row of prices.csv in a scenario folder: a price and, where it came later than the day began, since when."""

    known_from: Instant | None = Field(
        default=None, description="When the price came, ISO 8601 with offset; absent where it was known all along"
    )


class ReceivedMessage(UpdateGroupCapacityForecast):
    """An entry of forecasts.json: a message of OSCP 2.0 and, where it came later than the day began, when."""

    received_at: Instant | None = Field(
        default=None,
        description="When it came, ISO 8601 with offset; absent: with the message before it, the first all along",
    )

    @property
    def message(self) -> UpdateGroupCapacityForecast:
        """The message alone."""
        return UpdateGroupCapacityForecast(
            group_id=self.group_id, type=self.type, forecasted_blocks=self.forecasted_blocks
        )


class SurpriseEntry(SiteEntry):
    """One way in which the future may differ from what is believed."""

    probability: float = Field(gt=0, le=1, allow_inf_nan=False, description="How likely it is")
    departure_level: float | None = Field(
        default=None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Quantile of the departure errors at which all vehicles leave; null: as believed",
    )
    capacity_share: float = Field(
        default=1.0, ge=0, le=1, allow_inf_nan=False, description="What is left of every group's limit"
    )

    def to_domain(self) -> Surprise:
        """The surprise."""
        return Surprise(
            probability=self.probability,
            departure_level=self.departure_level,
            capacity_share=self.capacity_share,
        )


class UncertaintyFile(SiteEntry):
    """uncertainty.json: what a plan is to be prepared for."""

    model_config = ConfigDict(frozen=True, extra="allow", validate_by_name=True, validate_by_alias=True)

    schema_version: Literal[1] = Field(alias="schema", description="Version of this format")
    departure_error_hours: tuple[float, ...] | None = Field(
        default=None,
        min_length=2,
        max_length=1_000,
        description="Real departure less stated one, h: quantiles at evenly spread levels from 0 to 1, in order",
    )
    surprises: tuple[SurpriseEntry, ...] = Field(
        min_length=1, max_length=MAX_SURPRISES, description="What may come; the rest of the probability is as believed"
    )

    def to_domain(self) -> Uncertainty:
        """The uncertainty.

        Raises:
            InputError: The errors are not in order, or missing, or probabilities exceed 1 together.
        """
        hours = self.departure_error_hours
        return Uncertainty(
            surprises=tuple(surprise.to_domain() for surprise in self.surprises),
            departure_errors=None if hours is None else DepartureErrors(hours=hours),
        )


def price_rows(tariff: EnergyTariff) -> Iterator[PriceRow]:
    """The rows of a tariff, in order of time."""
    for start_s, end_s, import_price, export_price in zip(
        tariff.start_s.tolist(),
        tariff.end_s.tolist(),
        tariff.import_price_per_kwh.tolist(),
        tariff.export_price_per_kwh.tolist(),
        strict=True,
    ):
        yield PriceRow(
            start=datetime.fromtimestamp(start_s, tz=UTC),
            end=datetime.fromtimestamp(end_s, tz=UTC),
            import_price_per_kwh=import_price,
            export_price_per_kwh=None if math.isnan(export_price) else export_price,
        )
