"""What plans can be exported as, and how."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.errors import InputError

MAX_PERIODS = 1024
"""Most periods of one schedule. Source: OCPP 2.0.1 JSON schema SetChargingProfileRequest."""


class ExportFormat(StrEnum):
    """The form of an export."""

    OCPP16 = "ocpp16"
    """SetChargingProfile.req of OCPP 1.6, one for each charger."""
    OCPP201 = "ocpp201"
    """SetChargingProfileRequest of OCPP 2.0.1, one for each charger."""
    OCPI = "ocpi"
    """ChargingProfile of OCPI 2.2.1, one for each session."""
    CSV = "csv"
    PARQUET = "parquet"


class RateUnit(StrEnum):
    """The unit of a charging profile."""

    W = "W"
    """Power of all phases together."""
    A = "A"
    """Current of each phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileOptions:
    """How charging profiles are written.

    Args:
        unit: Their unit. Current follows from power at the site's nominal voltage and unity power factor.
        max_periods: The most periods a charger holds (ChargingScheduleMaxPeriods in OCPP 1.6, PeriodsPerSchedule in
            2.0.1), 1 to 1024.
    """

    unit: RateUnit = RateUnit.W
    max_periods: int = MAX_PERIODS

    def __post_init__(self) -> None:
        if not 1 <= self.max_periods <= MAX_PERIODS:
            raise InputError(f"max_periods is {self.max_periods}; it must be between 1 and {MAX_PERIODS}")
