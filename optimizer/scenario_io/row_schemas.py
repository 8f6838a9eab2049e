"""Rows of tables and received forecasts, field by field, and the way to the domain and back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from models.domain.day import DriverStatement
from models.domain.session import MAX_CAPACITY_KWH, MIN_CAPACITY_KWH, ChargingSession
from models.domain.tariff import EnergyTariff, PriceBlock
from models.oscp.v20 import UpdateGroupCapacityForecast
from optimizer.scenario_io.fields import (
    MAX_PRIORITY,
    MAX_PRIORITY_CLASS,
    MAX_STAY,
    MIN_PRIORITY,
    Efficiency,
    EnergyKwh,
    Id,
    Instant,
    PowerKw,
    PricePerKwh,
    StateOfCharge,
    WearPrice,
    require_end_after_start,
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
