"""What a plan is about, in kW, kWh, hours and instants with a time zone; standard library and NumPy only."""

from models.domain.capacity import CapacityBlock, CapacityForecast, CapacityForecasts, CapacityKind, CapacityUnit, Phase
from models.domain.connection import Connection
from models.domain.day import DriverStatement, ReceivedForecast, RecordedDay, forecasts_in_force
from models.domain.group import CapacityGroup, Charger, LimitCounts, LineLimit, Site
from models.domain.scenario import Scenario
from models.domain.schedule import GroupResult, LineResult, Schedule, ScheduleStatus, SessionResult, StageResult
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff, PriceBlock
from models.domain.time_grid import BoolArray, FloatArray, IntArray, TimeGrid
from models.domain.uncertainty import DepartureErrors, Surprise, Uncertainty

__all__ = [
    "BoolArray",
    "CapacityBlock",
    "CapacityForecast",
    "CapacityForecasts",
    "CapacityGroup",
    "CapacityKind",
    "CapacityUnit",
    "Charger",
    "ChargingSession",
    "Connection",
    "DepartureErrors",
    "DriverStatement",
    "EnergyTariff",
    "FloatArray",
    "GroupResult",
    "IntArray",
    "LimitCounts",
    "LineLimit",
    "LineResult",
    "Phase",
    "PriceBlock",
    "ReceivedForecast",
    "RecordedDay",
    "Scenario",
    "Schedule",
    "ScheduleStatus",
    "SessionResult",
    "Site",
    "StageResult",
    "Surprise",
    "TimeGrid",
    "Uncertainty",
    "forecasts_in_force",
]
