"""OSCP 2.0: its messages, and what they mean in the domain."""

from models.oscp.v20.compliance import GroupCapacityComplianceError
from models.oscp.v20.convert import (
    to_capacity_forecast,
    to_current_per_conductor,
    to_energy_readings,
    to_optimum_messages,
    to_power_readings,
    to_stored_energy_readings,
)
from models.oscp.v20.enums import (
    AssetCategory,
    CapacityForecastType,
    EnergyFlowDirection,
    EnergyMeasurementUnit,
    EnergyType,
    ForecastedBlockUnit,
    InstantaneousMeasurementUnit,
    MeasurementConfiguration,
    PhaseIndicator,
)
from models.oscp.v20.error import ErrorBody
from models.oscp.v20.fields import ReadingContext
from models.oscp.v20.forecast import (
    MAX_BLOCKS,
    AdjustGroupCapacityForecast,
    ForecastedBlock,
    GroupCapacityForecast,
    UpdateGroupCapacityForecast,
)
from models.oscp.v20.handshake import Handshake, HandshakeAcknowledge, RequiredBehaviour
from models.oscp.v20.heartbeat import Heartbeat, offline_after
from models.oscp.v20.measurement import (
    AssetMeasurement,
    EnergyMeasurement,
    InstantaneousMeasurement,
    UpdateAssetMeasurements,
    UpdateGroupMeasurements,
)
from models.oscp.v20.registration import OSCP_VERSION, Register, VersionUrl, absolute_base_url

__all__ = [
    "MAX_BLOCKS",
    "OSCP_VERSION",
    "AdjustGroupCapacityForecast",
    "AssetCategory",
    "AssetMeasurement",
    "CapacityForecastType",
    "EnergyFlowDirection",
    "EnergyMeasurement",
    "EnergyMeasurementUnit",
    "EnergyType",
    "ErrorBody",
    "ForecastedBlock",
    "ForecastedBlockUnit",
    "GroupCapacityComplianceError",
    "GroupCapacityForecast",
    "Handshake",
    "HandshakeAcknowledge",
    "Heartbeat",
    "InstantaneousMeasurement",
    "InstantaneousMeasurementUnit",
    "MeasurementConfiguration",
    "PhaseIndicator",
    "ReadingContext",
    "Register",
    "RequiredBehaviour",
    "UpdateAssetMeasurements",
    "UpdateGroupCapacityForecast",
    "UpdateGroupMeasurements",
    "VersionUrl",
    "absolute_base_url",
    "offline_after",
    "to_capacity_forecast",
    "to_current_per_conductor",
    "to_energy_readings",
    "to_optimum_messages",
    "to_power_readings",
    "to_stored_energy_readings",
]
