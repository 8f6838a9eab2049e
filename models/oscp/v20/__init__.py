"""OSCP 2.0: its forecast messages, and what they mean in the domain."""

from models.oscp.v20.convert import to_capacity_forecast, to_optimum_messages
from models.oscp.v20.enums import CapacityForecastType, ForecastedBlockUnit, PhaseIndicator
from models.oscp.v20.forecast import MAX_BLOCKS, ForecastedBlock, UpdateGroupCapacityForecast

__all__ = [
    "MAX_BLOCKS",
    "CapacityForecastType",
    "ForecastedBlock",
    "ForecastedBlockUnit",
    "PhaseIndicator",
    "UpdateGroupCapacityForecast",
    "to_capacity_forecast",
    "to_optimum_messages",
]
