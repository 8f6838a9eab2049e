"""What the files of a result hold, field by field."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.domain.bounds import MAX_POWER_KW
from models.domain.measurement import AssetCategory
from models.domain.schedule import ScheduleStatus
from optimizer.options import Fairness, LimitMode, PilotMode
from optimizer.scenario_io.fields import MAX_ENERGY_KWH, Id, Instant, PricePerKwh, require_end_after_start
from optimizer.scenario_io.violation_document import LimitViolationEntry

MAX_TOTAL = 1e12
MAX_TEXT = 10_000
MAX_ENTRIES = 10_000

# A value that breaks a limit is read all the same: finding it is what a recheck is for.
_Power = Annotated[float, Field(ge=-MAX_POWER_KW, le=MAX_POWER_KW, allow_inf_nan=False)]
_Energy = Annotated[float, Field(ge=-MAX_ENERGY_KWH, le=MAX_ENERGY_KWH, allow_inf_nan=False)]
_Total = Annotated[float, Field(ge=-MAX_TOTAL, le=MAX_TOTAL, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
_LineId = Annotated[str, Field(min_length=1, max_length=160)]
_Text = Annotated[str, Field(max_length=MAX_TEXT)]


class ScheduleRow(BaseModel):
    """A row of schedule.csv: the power of a session over one interval of its presence."""

    model_config = ConfigDict(frozen=True)

    session_id: Id = Field(description="The session")
    charger_id: Id = Field(description="Where the vehicle is plugged in")
    start: Instant = Field(description="First instant at which the power holds")
    end: Instant = Field(description="First instant after it")
    power_kw: _Power = Field(description="kW while present, below zero where it feeds in")

    @model_validator(mode="after")
    def _order(self) -> Self:
        require_end_after_start(self.start, self.end)
        return self


class SessionResultRow(BaseModel):
    """A row of sessions.csv: what one session asked for and gets."""

    model_config = ConfigDict(frozen=True)

    session_id: Id = Field(description="The session")
    charger_id: Id = Field(description="Where the vehicle is plugged in")
    arrival: Instant = Field(description="First instant at which it may draw power")
    departure: Instant = Field(description="First instant at which it may not any more")
    priority: _Total = Field(description="Weight of its unserved energy against that of others")
    priority_class: _Count = Field(default=0, description="Rank before all weights, the lowest number first")
    requested_energy_kwh: _Energy = Field(description="What it asked for, kWh")
    delivered_energy_kwh: _Energy = Field(description="What it gets, kWh")
    unmet_energy_kwh: _Energy = Field(description="What the stay would allow and the plan does not deliver, kWh")
    unreachable_energy_kwh: _Energy = Field(description="What the stay does not allow whatever the plan, kWh")
    share: _Total = Field(default=1.0, description="How much of the request is met, 0 to 1")
    reason: _Text = Field(default="", description="Why it goes short; empty when it does not")
    reason_codes: _Text = Field(
        default="", description="The same for machines, one code after the other, separated by ;"
    )


class GroupRow(BaseModel):
    """A row of groups.csv: one group in one step."""

    model_config = ConfigDict(frozen=True)

    group_id: Id = Field(description="The group")
    start: Instant = Field(description="First instant of the step")
    end: Instant = Field(description="First instant after it")
    power_kw: _Total = Field(description="kW, counted as the limit counts it; below zero where it feeds in")
    limit_kw: _Total | None = Field(default=None, description="kW; empty where nothing limits the group itself")
    price_per_kwh: PricePerKwh | None = Field(default=None, description="Currency per kWh; empty without prices")
    shadow_price_per_kwh: _Total | None = Field(
        default=None, description="Currency saved per further kWh of the limit; empty where no solver said"
    )
    export_limit_kw: _Total | None = Field(
        default=None, description="What it may feed in, kW; empty where nothing limits it or nothing can be fed in"
    )
    export_shadow_price_per_kwh: _Total | None = Field(
        default=None, description="The same as for the limit, of what it may feed in"
    )

    @model_validator(mode="after")
    def _order(self) -> Self:
        require_end_after_start(self.start, self.end)
        return self


class AssetRow(BaseModel):
    """A row of assets.csv: an asset beside the chargers, or a vehicle whose state is followed, in one step."""

    model_config = ConfigDict(frozen=True)

    asset_id: Id = Field(description="The asset, or the session of the vehicle")
    category: AssetCategory = Field(
        description="STORAGE, GENERATION, CONSUMPTION for base load, CHARGING for a vehicle"
    )
    start: Instant = Field(description="First instant of the step")
    end: Instant = Field(description="First instant after it")
    power_kw: _Power = Field(description="Mean power, kW, below zero where it feeds in")
    stored_kwh: _Energy | None = Field(default=None, description="What is in it at the end of the step, kWh")
    available_kw: _Power | None = Field(
        default=None, description="What a generator would give if nothing were curtailed, kW; else empty"
    )

    @model_validator(mode="after")
    def _order(self) -> Self:
        require_end_after_start(self.start, self.end)
        return self


class LineRow(BaseModel):
    """A row of lines.csv: one line in one step."""

    model_config = ConfigDict(frozen=True)

    line_id: _LineId = Field(description="The line limit; of a group's connection, the group and the conductor")
    group_id: Id = Field(description="Whose chargers it carries")
    start: Instant = Field(description="First instant of the step")
    end: Instant = Field(description="First instant after it")
    current_a: _Total = Field(description="A, the most that can flow, whatever vehicles leave of what they may draw")
    limit_a: _Total | None = Field(default=None, description="A; empty where nothing limits it")
    shadow_price_per_kwh: _Total | None = Field(
        default=None,
        description="Currency saved per further kWh of the limit, its current at the nominal voltage; empty where no "
        "solver said",
    )

    @model_validator(mode="after")
    def _order(self) -> Self:
        require_end_after_start(self.start, self.end)
        return self


class StageEntry(BaseModel):
    """What one stage of the objective reached."""

    model_config = ConfigDict(frozen=True, strict=True)

    name: _Text = Field(description="Name of the stage")
    value: _Total | None = Field(description="In the stage's unit; null where it has none")
    proved: bool = Field(description="Whether it was proved to be the best")
    bound: _Total | None = Field(
        default=None, description="What no plan can go below; absent where no whole numbers were sought"
    )


class SummaryFile(BaseModel):
    """summary.json: one plan in figures."""

    model_config = ConfigDict(frozen=True, strict=True)

    schema_version: Literal[1] = Field(alias="schema", description="Version of this format")
    status: ScheduleStatus = Field(description="How good the plan is known to be; every plan was verified")
    strategy: _Text = Field(description="What made it")
    objective: Literal["cost", "peak"] = Field(description="What was minimised after unmet energy")
    limits: LimitMode = Field(description="What a limit in kW held down")
    pilots: PilotMode = Field(
        default=PilotMode.ROUNDED, description="How much the plan cares for powers that chargers can be set to"
    )
    currents: LimitMode = Field(default=LimitMode.INSTANTANEOUS, description="What a limit in A of a line held down")
    fairness: Fairness = Field(default=Fairness.TOTAL, strict=False, description="Who went short")
    site_id: Id = Field(description="The site")
    currency: _Text = Field(description="ISO 4217 code of prices and costs")
    start: Instant = Field(description="First instant of the window")
    end: Instant = Field(description="First instant after the window")
    sessions: _Count = Field(description="Sessions planned")
    sessions_outside_window: _Count = Field(description="Sessions left out: not wholly inside the window")
    steps: _Count = Field(description="Steps of the window")
    requested_energy_kwh: _Total = Field(description="What all sessions asked for, kWh")
    delivered_energy_kwh: _Total = Field(description="What all sessions get, kWh")
    unmet_energy_kwh: _Total = Field(description="Could have been served, was not, kWh")
    unreachable_energy_kwh: _Total = Field(description="What the stays do not allow, kWh")
    energy_cost: _Total = Field(description="Energy drawn less that fed in, currency; zero without prices")
    total_cost: _Total = Field(default=0.0, description="Energy, wear, peaks and carbon together, currency")
    import_energy_kwh: _Total = Field(default=0.0, description="Drawn from the grid, kWh")
    export_energy_kwh: _Total = Field(default=0.0, description="Fed into the grid, kWh")
    export_revenue: _Total = Field(default=0.0, description="What that earns, currency; part of energy_cost")
    wear_cost: _Total = Field(default=0.0, description="Wear of batteries, currency")
    demand_cost: _Total = Field(default=0.0, description="For peaks above those already reached, currency")
    carbon_kg: _Total = Field(default=0.0, description="Carbon dioxide of the energy drawn, kg; zero where unknown")
    carbon_cost: _Total = Field(default=0.0, description="What that counts at the site's price, currency")
    curtailed_energy_kwh: _Total = Field(default=0.0, description="Generation left unused, kWh")
    peak_import_kw: _Total = Field(description="Highest power of the whole site, kW")
    minutes_over_limit: _Total = Field(description="Minutes in which a group or line carries more than its limit, min")
    limit_violations: tuple[LimitViolationEntry, ...] = Field(
        default=(), max_length=1_000_000, description="Where groups exceed a limit; empty where the plan is safe"
    )
    lowest_share: _Total = Field(default=1.0, description="Lowest share of a request that is met, 0 to 1")
    jain_index: _Total = Field(
        default=1.0, description="How equal those shares are: Jain's index, 1 where all are equal"
    )
    stages: tuple[StageEntry, ...] = Field(
        max_length=MAX_ENTRIES, description="What each stage of the objective reached, the first stage first"
    )
    notes: tuple[_Text, ...] = Field(
        max_length=MAX_ENTRIES, description="What was taken as it is although it looks wrong"
    )
    seconds: dict[_Text, _Total] = Field(max_length=MAX_ENTRIES, description="Wall time of each phase, s")
    versions: dict[_Text, _Text] = Field(max_length=MAX_ENTRIES, description="Versions of the software")
