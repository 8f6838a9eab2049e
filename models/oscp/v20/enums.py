"""The fixed words of OSCP 2.0 messages, in exact upper case.

Source: JSON schemas of the Open Charge Alliance, capacity-forecast-type, phase-indicator and forecasted-block-unit.
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
