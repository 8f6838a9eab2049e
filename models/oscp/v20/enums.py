"""The fixed words of OSCP 2.0 messages, in exact upper case.

Source: JSON schemas of the Open Charge Alliance, each named like the class in small letters with hyphens.
"""

from __future__ import annotations

from enum import StrEnum


class CapacityForecastType(StrEnum):
    """What the blocks of a forecast state."""

    CONSUMPTION = "CONSUMPTION"
    GENERATION = "GENERATION"
    FALLBACK_CONSUMPTION = "FALLBACK_CONSUMPTION"
    FALLBACK_GENERATION = "FALLBACK_GENERATION"
    OPTIMUM = "OPTIMUM"


class PhaseIndicator(StrEnum):
    """Which conductor a block is about."""

    UNKNOWN = "UNKNOWN"
    ONE = "ONE"
    TWO = "TWO"
    THREE = "THREE"
    ALL = "ALL"


class ForecastedBlockUnit(StrEnum):
    """The unit of a block's capacity; the currencies some peers add are not part of the standard."""

    A = "A"
    W = "W"
    KW = "KW"
    WH = "WH"
    KWH = "KWH"


class MeasurementConfiguration(StrEnum):
    """How energy is aggregated: by a register that never starts anew, or by one that does, at known instants."""

    CONTINUOUS = "CONTINUOUS"
    INTERMITTENT = "INTERMITTENT"


class AssetCategory(StrEnum):
    """What an asset is: supply equipment of vehicles, any other load, one-way generation, a stationary battery."""

    CHARGING = "CHARGING"
    CONSUMPTION = "CONSUMPTION"
    GENERATION = "GENERATION"
    STORAGE = "STORAGE"


class EnergyFlowDirection(StrEnum):
    """Which flow an energy register counts; NET is the import less the export."""

    NET = "NET"
    IMPORT = "IMPORT"
    EXPORT = "EXPORT"


class EnergyType(StrEnum):
    """Which part of the energy a register counts."""

    FLEXIBLE = "FLEXIBLE"
    NONFLEXIBLE = "NONFLEXIBLE"
    TOTAL = "TOTAL"


class EnergyMeasurementUnit(StrEnum):
    """The unit of an energy register."""

    WH = "WH"
    KWH = "KWH"


class InstantaneousMeasurementUnit(StrEnum):
    """The unit of an instantaneous value; the energies are the charge of a battery."""

    A = "A"
    W = "W"
    KW = "KW"
    WH = "WH"
    KWH = "KWH"
