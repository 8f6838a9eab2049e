"""Limits that a plan cannot keep: entries of summary.json, and the OSCP messages that tell a capacity provider."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from models.domain.capacity import Phase
from models.domain.schedule import Schedule
from models.domain.violation import LimitViolation
from models.oscp.v20 import (
    CapacityForecastType,
    ForecastedBlock,
    ForecastedBlockUnit,
    GroupCapacityComplianceError,
    PhaseIndicator,
)
from optimizer.options import Strategy
from optimizer.scenario_io.fields import Id, Instant

DECIMALS = 6
MAX_FIGURE = 1e12

_Figure = Annotated[float, Field(ge=-MAX_FIGURE, le=MAX_FIGURE, allow_inf_nan=False)]


class LimitViolationEntry(BaseModel):
    """A stretch of time in which a group exceeds a limit."""

    model_config = ConfigDict(frozen=True, strict=True)

    group_id: Id = Field(description="The group")
    type: CapacityForecastType = Field(
        strict=False, description="CONSUMPTION for what is drawn, GENERATION for what is fed in"
    )
    phase: Phase = Field(strict=False, description="The conductor that the limit counts; ALL for all together")
    start: Instant = Field(description="Begin")
    end: Instant = Field(description="End")
    limit_kw: _Figure = Field(description="What is allowed, kW")
    power_kw: _Figure = Field(description="The highest power planned, kW")
    excess_kwh: _Figure = Field(description="Energy above the limit, kWh")
    exceeds_connection: bool = Field(
        description="Whether it is more than the connection allows, not only more than a capacity provider does"
    )

    @classmethod
    def of(cls, violation: LimitViolation) -> LimitViolationEntry:
        """The entry of a violation."""
        return cls(
            group_id=violation.group_id,
            type=_type(violation),
            phase=violation.phase,
            start=violation.start,
            end=violation.end,
            limit_kw=round(violation.limit_kw, DECIMALS),
            power_kw=round(violation.power_kw, DECIMALS),
            excess_kwh=round(violation.excess_kwh, DECIMALS),
            exceeds_connection=violation.exceeds_connection,
        )

    def violation(self) -> LimitViolation:
        """What it says."""
        return LimitViolation(
            group_id=self.group_id,
            phase=self.phase,
            is_export=self.type is CapacityForecastType.GENERATION,
            start=self.start,
            end=self.end,
            limit_kw=self.limit_kw,
            power_kw=self.power_kw,
            excess_kwh=self.excess_kwh,
            exceeds_connection=self.exceeds_connection,
        )


def violation_entries(violations: Iterable[LimitViolation], zone: tzinfo) -> list[dict[str, object]]:
    """Violations as JSON values, their instants in a time zone as those of all results are."""
    return [
        {
            **LimitViolationEntry.of(violation).model_dump(mode="json"),
            "start": violation.start.astimezone(zone).isoformat(),
            "end": violation.end.astimezone(zone).isoformat(),
        }
        for violation in violations
    ]


def compliance_messages(schedule: Schedule) -> list[dict[str, object]]:
    """What to tell the capacity provider of each group whose forecast cannot be kept.

    Args:
        schedule: A plan; uncontrolled charging, which looks at no limits, tells nothing.

    Returns:
        Group, type of the forecast, and the OSCP 2.0 message GroupCapacityComplianceError about it, as JSON values. The
        message names no group: whoever sends it puts the id of the forecast into X-Correlation-ID.
    """
    if schedule.strategy == Strategy.UNCONTROLLED:
        return []
    by_forecast: dict[tuple[str, CapacityForecastType], list[LimitViolation]] = {}
    for violation in schedule.violations:
        by_forecast.setdefault((violation.group_id, _type(violation)), []).append(violation)
    return [
        {"group_id": group_id, "type": kind.value, "error": _compliance_error(found).model_dump(mode="json")}
        for (group_id, kind), found in by_forecast.items()
    ]


def _compliance_error(violations: list[LimitViolation]) -> GroupCapacityComplianceError:
    worst = max(violations, key=lambda one: one.power_kw - one.limit_kw)
    excess_kwh = sum(one.excess_kwh for one in violations)
    return GroupCapacityComplianceError(
        message=f"{worst.label} needs up to {worst.power_kw:.3f} kW where {worst.limit_kw:.3f} kW are allowed; "
        f"{excess_kwh:.3f} kWh in all cannot be avoided",
        forecasted_blocks=tuple(
            ForecastedBlock(
                capacity=one.limit_kw,
                phase=PhaseIndicator(one.phase.value),
                unit=ForecastedBlockUnit.KW,
                start_time=one.start,
                end_time=one.end,
            )
            for one in violations
        ),
    )


def _type(violation: LimitViolation) -> CapacityForecastType:
    return CapacityForecastType.GENERATION if violation.is_export else CapacityForecastType.CONSUMPTION
