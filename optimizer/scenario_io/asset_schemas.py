"""What the files beside site, sessions and prices hold: powers of assets, carbon, and tariffs that recur."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from models.domain.demand import EVERY_DAY, MAX_PRICE_PER_KW, DailyWindow, DemandCharge, RecurringPrice
from models.domain.series import ValueBlock
from models.units import MINUTES_PER_HOUR
from optimizer.scenario_io.fields import Id, Instant, PowerKw, PricePerKwh, SiteEntry, require_end_after_start

MAX_CARBON_KG_PER_KWH = 1_000.0
"""Coal emits about 1 kg per kWh; a thousand times that is a mistaken unit."""
MAX_RULES = 1_000

Day = Literal["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
WEEK: tuple[Day, ...] = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MonthDayText = Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]
ClockText = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]


class AssetPowerRow(BaseModel):
    """A row of generation.csv or base_load.csv."""

    model_config = ConfigDict(frozen=True)

    asset_id: Id = Field(description="The generator or base load of site.json")
    start: Instant = Field(description="First instant at which the power holds, ISO 8601 with offset")
    end: Instant = Field(description="First instant at which it does not hold any more, ISO 8601 with offset")
    power_kw: PowerKw = Field(description="Mean power, kW, never below zero: generated, or drawn")

    @model_validator(mode="after")
    def _order(self) -> Self:
        require_end_after_start(self.start, self.end)
        return self

    def to_domain(self) -> ValueBlock:
        """The block."""
        return ValueBlock(start=self.start, end=self.end, value=self.power_kw)


class CarbonRow(BaseModel):
    """A row of carbon.csv."""

    model_config = ConfigDict(frozen=True)

    start: Instant = Field(description="First instant at which the intensity holds, ISO 8601 with offset")
    end: Instant = Field(description="First instant at which it does not hold any more, ISO 8601 with offset")
    carbon_kg_per_kwh: Annotated[
        float, Field(ge=-MAX_CARBON_KG_PER_KWH, le=MAX_CARBON_KG_PER_KWH, allow_inf_nan=False)
    ] = Field(description="Carbon dioxide per kWh drawn from the grid, kg per kWh")

    @model_validator(mode="after")
    def _order(self) -> Self:
        require_end_after_start(self.start, self.end)
        return self

    def to_domain(self) -> ValueBlock:
        """The block."""
        return ValueBlock(start=self.start, end=self.end, value=self.carbon_kg_per_kwh)


class DailyWindowEntry(SiteEntry):
    """Some hours of some days of a season, by the wall clock of the site."""

    first_day: MonthDayText = Field(default="01-01", description="First day of the season, MM-DD")
    last_day: MonthDayText = Field(
        default="12-31", description="Last day of the season, MM-DD; before the first where the year ends in between"
    )
    days: tuple[Day, ...] = Field(
        default=WEEK,
        min_length=1,
        max_length=len(EVERY_DAY),
        description="Days of the week",
    )
    start: ClockText = Field(default="00:00", description="Time of day at which it begins, HH:MM")
    end: ClockText = Field(default="24:00", description="Time of day at which it ends, HH:MM; 24:00 at last")

    @model_validator(mode="after")
    def _window(self) -> Self:
        if _minute(self.end) <= _minute(self.start):
            raise PydanticCustomError(
                "order",
                "a window over midnight is two; Input should be after the {other}",
                {"field": "end", "other": "start"},
            )
        self.window()
        return self

    @classmethod
    def from_window(cls, window: DailyWindow) -> Self:
        """The entry of a window."""
        return cls(
            first_day="{:02d}-{:02d}".format(*window.first_day),
            last_day="{:02d}-{:02d}".format(*window.last_day),
            days=tuple(day for day in WEEK if day in window.days),
            start=_clock(window.start_minute),
            end=_clock(window.end_minute),
        )

    def window(self) -> DailyWindow:
        """The window.

        Raises:
            InputError: A day is none of the year.
        """
        return DailyWindow(
            first_day=_month_day(self.first_day),
            last_day=_month_day(self.last_day),
            days=frozenset(self.days),
            start_minute=_minute(self.start),
            end_minute=_minute(self.end),
        )


class RecurringPriceEntry(DailyWindowEntry):
    """A price of energy that holds whenever its window comes."""

    import_price_per_kwh: PricePerKwh = Field(description="What a kWh drawn from the grid costs, currency per kWh")
    export_price_per_kwh: PricePerKwh | None = Field(
        default=None, description="What a kWh fed in earns, currency per kWh; absent where nothing is said of it"
    )

    def to_domain(self) -> RecurringPrice:
        """The price."""
        return RecurringPrice(
            window=self.window(),
            import_price_per_kwh=self.import_price_per_kwh,
            export_price_per_kwh=self.export_price_per_kwh,
        )


class DemandChargeEntry(SiteEntry):
    """A price on the highest mean import of a step within a calendar month."""

    charge_id: Id = Field(description="Unique within the tariff")
    price_per_kw: float = Field(
        ge=0, le=MAX_PRICE_PER_KW, allow_inf_nan=False, description="Currency per kW of the month's peak"
    )
    peak_so_far_kw: PowerKw = Field(
        default=0.0, description="What the month in which the plan begins has already reached, kW: paid for anyhow"
    )
    windows: tuple[DailyWindowEntry, ...] = Field(
        default=(), max_length=MAX_RULES, description="When the import counts; always where there are none"
    )

    @classmethod
    def from_domain(cls, charge: DemandCharge) -> Self:
        """The entry of a demand charge."""
        return cls(
            charge_id=charge.charge_id,
            price_per_kw=charge.price_per_kw,
            peak_so_far_kw=charge.peak_so_far_kw,
            windows=tuple(DailyWindowEntry.from_window(window) for window in charge.windows),
        )

    def to_domain(self) -> DemandCharge:
        """The demand charge."""
        return DemandCharge(
            charge_id=self.charge_id,
            price_per_kw=self.price_per_kw,
            peak_so_far_kw=self.peak_so_far_kw,
            windows=tuple(window.window() for window in self.windows),
        )


class TariffFile(SiteEntry):
    """tariff.json: prices that recur, and charges on peaks."""

    model_config = ConfigDict(frozen=True, extra="allow", validate_by_name=True, validate_by_alias=True)

    schema_version: Literal[1] = Field(default=1, alias="schema", description="Version of this format")
    name: str = Field(default="", max_length=200, description="What it is called")
    energy: tuple[RecurringPriceEntry, ...] = Field(
        default=(),
        max_length=MAX_RULES,
        description="Prices of energy, one at each time; empty where prices.csv has them",
    )
    demand_charges: tuple[DemandChargeEntry, ...] = Field(
        default=(), max_length=MAX_RULES, description="Charges on peaks of the import"
    )


def _month_day(text: str) -> tuple[int, int]:
    month, day = text.split("-")
    return int(month), int(day)


def _clock(minute: int) -> str:
    return "{:02d}:{:02d}".format(*divmod(minute, int(MINUTES_PER_HOUR)))


def _minute(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * int(MINUTES_PER_HOUR) + int(minute)
