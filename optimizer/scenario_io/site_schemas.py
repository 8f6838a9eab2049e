"""What site.json holds, field by field, and the way to the domain and back."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from models.domain.asset import (
    BaseLoad,
    ChargeCurve,
    Generator,
    Storage,
)
from models.domain.capacity import Phase
from models.domain.connection import Connection
from models.domain.group import (
    PHASE_CONNECTIONS,
    CapacityGroup,
    Charger,
    LimitCounts,
    LineLimit,
    Site,
)
from models.units import DEFAULT_NOMINAL_VOLTAGE_V
from optimizer.scenario_io.fields import (
    CURRENCY_PATTERN,
    MAX_ASSETS,
    MAX_CHARGERS,
    MAX_GROUPS,
    MAX_LEVELS,
    MAX_LINE_LIMITS,
    MAX_POINTS,
    MAX_PRICE_PER_KWH,
    MAX_VOLTAGE_V,
    ConnectionText,
    CurrentA,
    CurrentLimits,
    Efficiency,
    Id,
    PowerKw,
    SiteEntry,
    StateOfCharge,
    StoredKwh,
    VoltageV,
    WearPrice,
    Weight,
    ZoneName,
)

LEAST_CURRENT_A = 6.0
"""What a charger of alternating current can offer at the least. Source: IEC 61851-1, annex A."""


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
    min_power_kw: PowerKw | None = Field(
        default=None,
        description="The least it delivers when it delivers anything, kW; by default what 6 A are where its conductors "
        "are known and nothing else says what it can be set to, else 0",
    )
    min_current_a: CurrentA | None = Field(
        default=None, description="The same on each of its conductors, A; needs connection or phases"
    )
    power_levels_kw: Annotated[list[PowerKw], Field(max_length=MAX_LEVELS)] = Field(
        default=[], description="The only powers it can be set to besides zero, kW, increasing; empty where any will do"
    )
    allowed_currents_a: Annotated[list[CurrentA], Field(max_length=MAX_LEVELS)] = Field(
        default=[],
        description="The same on each of its conductors, A, 0 may be among them; needs connection or phases",
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
        pairs = (
            ("min_current_a", self.min_current_a is not None, "min_power_kw", self.min_power_kw is not None),
            ("allowed_currents_a", bool(self.allowed_currents_a), "power_levels_kw", bool(self.power_levels_kw)),
        )
        for name, is_given, other, is_other_given in pairs:
            if is_given and is_other_given:
                raise PydanticCustomError(
                    "said_twice", "{other} says it as well; leave out one", {"other": other, "field": name}
                )
            if is_given and self._wiring is None:
                raise PydanticCustomError(
                    "unknown_conductors",
                    "a current says no power without connection or phases; state one",
                    {"field": name},
                )
        return self

    @property
    def _wiring(self) -> Connection | None:
        return PHASE_CONNECTIONS.get(self.phases) if self.connection is None else Connection(self.connection)

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

    def to_domain(self, nominal_voltage_v: float) -> Charger:
        """The charger.

        Args:
            nominal_voltage_v: Of its site, from line to neutral, V.
        """
        min_power_kw, levels_kw = self.min_power_kw, tuple(self.power_levels_kw)
        wiring = self._wiring
        if wiring is not None:
            kw_per_a = 1.0 / max(map(abs, wiring.currents_a_per_kw(nominal_voltage_v, self.voltage_v)))
            levels_kw = levels_kw or tuple(
                current_a * kw_per_a for current_a in self.allowed_currents_a if current_a > 0
            )
            if self.min_current_a is not None:
                min_power_kw = self.min_current_a * kw_per_a
            elif min_power_kw is None and not levels_kw:
                min_power_kw = min(LEAST_CURRENT_A * kw_per_a, self.max_power_kw)
        return Charger(
            charger_id=self.charger_id,
            group_id=self.group_id,
            max_power_kw=self.max_power_kw,
            phases=self.phases,
            min_power_kw=min_power_kw or 0.0,
            power_levels_kw=levels_kw,
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
    time_zone: ZoneName = Field(description="IANA name of the zone of the site's wall clock")
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
            chargers=tuple(charger.to_domain(self.nominal_voltage_v) for charger in self.chargers),
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
