"""The measurement messages of OSCP 2.0: energy registers, and power, current or charge at one instant."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from models.oscp.v20.enums import (
    AssetCategory,
    EnergyFlowDirection,
    EnergyMeasurementUnit,
    EnergyType,
    InstantaneousMeasurementUnit,
    PhaseIndicator,
)
from models.oscp.v20.fields import PRINTABLE, GroupId, MeasuredValue, WireInstant, is_none, null_as

MAX_MEASUREMENTS = 10_000
"""Most measurements of one message; the largest sites have a few thousand assets."""
MAX_ASSET_ID_LENGTH = 128
"""The schema sets no bound; a charger of a scenario may have an id of this length."""


class EnergyMeasurement(BaseModel):
    """A reading of an energy register; what it counts from, `models.domain.measurement` tells.

    Args:
        value: The reading; of a NET register it may be negative.
        phase: Conductor.
        unit: Unit of the value.
        direction: Whether energy drawn, fed in, or the one less the other is counted.
        energy_type: What part of the energy is counted; TOTAL where left out.
        measure_time: When it was read.
        initial_measure_time: When the register last started from zero; None where it never does.

    Source: OSCP 2.0 JSON schema energy-measurement.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    value: MeasuredValue
    phase: PhaseIndicator
    unit: EnergyMeasurementUnit
    direction: EnergyFlowDirection
    energy_type: Annotated[EnergyType, null_as(EnergyType.TOTAL)] = EnergyType.TOTAL
    measure_time: WireInstant
    initial_measure_time: WireInstant | None = Field(default=None, exclude_if=is_none)


class InstantaneousMeasurement(BaseModel):
    """A value at one instant: a current or power, positive when drawn, or in WH and KWH the charge of a battery.

    Source: OSCP 2.0 JSON schema instantaneous-measurement. The sign is a decision; the message has no direction.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    value: MeasuredValue
    phase: PhaseIndicator
    unit: InstantaneousMeasurementUnit
    measure_time: WireInstant


class AssetMeasurement(BaseModel):
    """What was measured at one asset: energy, an instantaneous value, both or neither.

    Source: OSCP 2.0 JSON schema asset-measurement.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    asset_id: Annotated[str, Field(min_length=1, max_length=MAX_ASSET_ID_LENGTH, pattern=PRINTABLE)]
    asset_category: AssetCategory
    energy_measurement: EnergyMeasurement | None = Field(default=None, exclude_if=is_none)
    instantaneous_measurement: InstantaneousMeasurement | None = Field(default=None, exclude_if=is_none)


class UpdateAssetMeasurements(BaseModel):
    """Measurements at assets of a group; an asset may stand in it more than once.

    Source: OSCP 2.0 JSON schema update-asset-measurements, as corrected: published, it admits no list.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    group_id: GroupId
    measurements: Annotated[tuple[AssetMeasurement, ...], Field(min_length=1, max_length=MAX_MEASUREMENTS)]


class UpdateGroupMeasurements(BaseModel):
    """Energy measured for a group as a whole, or one entry for each asset without its name.

    Source: OSCP 2.0 section 4.5.1 and JSON schema update-group-measurements. The schema wants one measurement at
    least; that none is read too is a decision, as the text that one peer quotes allows it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    group_id: GroupId
    measurements: Annotated[tuple[EnergyMeasurement, ...], Field(max_length=MAX_MEASUREMENTS)]
