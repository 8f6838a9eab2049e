"""What was measured: readings of energy registers, the energy that flowed between them, power, and stored energy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from models.domain.capacity import Phase
from models.domain.pickling import reduced
from models.domain.time_grid import require_aware
from models.errors import InputError

SAME_START = timedelta(seconds=1)
"""Starts this close are one start: a sender that computes it anew for each reading is off by some milliseconds."""


class AssetCategory(StrEnum):
    """What an asset is. Source: OSCP 2.0 AssetCategory."""

    CHARGING = "CHARGING"
    CONSUMPTION = "CONSUMPTION"
    GENERATION = "GENERATION"
    STORAGE = "STORAGE"


class FlowDirection(StrEnum):
    """Which flow is counted; NET is the import less the export. Source: OSCP 2.0 EnergyFlowDirection."""

    NET = "NET"
    IMPORT = "IMPORT"
    EXPORT = "EXPORT"


class EnergyType(StrEnum):
    """Which part of the energy is counted. Source: OSCP 2.0 EnergyType."""

    FLEXIBLE = "FLEXIBLE"
    NONFLEXIBLE = "NONFLEXIBLE"
    TOTAL = "TOTAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterKey:
    """What an energy register counts; readings of the same key continue each other.

    Args:
        group_id: Group of the asset.
        asset_id: The asset; None where the group as a whole is measured.
        direction: The flow counted.
        phase: The conductor.
        energy_type: The part counted.
    """

    group_id: str
    asset_id: str | None
    direction: FlowDirection
    phase: Phase
    energy_type: EnergyType


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyReading:
    """What an energy register showed; both instants are held in UTC.

    Args:
        key: The register.
        value_kwh: What it showed, kWh.
        measured_at: When it was read.
        started_at: When it last started from zero; None for a register that never does, or of which it is not known.
        category: What the asset is; None where the group as a whole is measured.

    Raises:
        InputError: The value is not finite or an instant is naive.
    """

    key: MeterKey
    value_kwh: float
    measured_at: datetime
    started_at: datetime | None = None
    category: AssetCategory | None = None

    def __post_init__(self) -> None:
        name = _name(self.key.group_id, self.key.asset_id)
        _require_finite(self.value_kwh, f"{name}: value_kwh")
        measured_at = require_aware(self.measured_at, f"{name}: measured_at").astimezone(UTC)
        object.__setattr__(self, "measured_at", measured_at)
        if self.started_at is not None:
            started_at = require_aware(self.started_at, f"{name}: started_at").astimezone(UTC)
            object.__setattr__(self, "started_at", started_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyDelta:
    """Energy that flowed over ``[start, end)``.

    Args:
        key: The register that counted it.
        energy_kwh: kWh; negative only for a NET register, where more was fed in than drawn.
        start: First instant counted.
        end: First instant not counted any more, after the start.
        category: What the asset is; None where the group as a whole is measured.
    """

    key: MeterKey
    energy_kwh: float
    start: datetime
    end: datetime
    category: AssetCategory | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerReading:
    """The power of an asset at one instant.

    Args:
        group_id: Group of the asset.
        asset_id: The asset.
        category: What the asset is.
        power_kw: kW, positive when drawn; of one conductor when ``phase`` names one, else of all together.
        phase: What it counts.
        measured_at: The instant, held in UTC.

    Raises:
        InputError: The power is not finite or the instant is naive.
    """

    group_id: str
    asset_id: str
    category: AssetCategory
    power_kw: float
    phase: Phase
    measured_at: datetime

    def __post_init__(self) -> None:
        name = _name(self.group_id, self.asset_id)
        _require_finite(self.power_kw, f"{name}: power_kw")
        object.__setattr__(self, "measured_at", require_aware(self.measured_at, f"{name}: measured_at").astimezone(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEnergyReading:
    """What a battery held at one instant.

    Args:
        group_id: Group of the asset.
        asset_id: The asset.
        category: What the asset is.
        energy_kwh: kWh.
        measured_at: The instant, held in UTC.

    Raises:
        InputError: The energy is not finite or the instant is naive.
    """

    group_id: str
    asset_id: str
    category: AssetCategory
    energy_kwh: float
    measured_at: datetime

    def __post_init__(self) -> None:
        name = _name(self.group_id, self.asset_id)
        _require_finite(self.energy_kwh, f"{name}: energy_kwh")
        object.__setattr__(self, "measured_at", require_aware(self.measured_at, f"{name}: measured_at").astimezone(UTC))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EnergyMeters:
    """Turns readings into the energy that flowed, whatever the sender's registers count from; immutable.

    Args:
        last: The newest reading of each register.
    """

    last: Mapping[MeterKey, EnergyReading] = field(default_factory=lambda: MappingProxyType({}))

    def __reduce__(self) -> tuple[Callable[[], EnergyMeters], tuple[()]]:
        return reduced(self)

    def updated(
        self, readings: Iterable[EnergyReading], *, not_after: datetime | None = None
    ) -> tuple[EnergyMeters, tuple[EnergyDelta, ...]]:
        """What is known after some more readings, and the energy they tell of.

        Readings that come together are taken in order of time; one that comes later than a newer one of its register,
        or that was there before, changes nothing (see `next_delta`). So no instant of a register is counted twice.

        Args:
            readings: In any order.
            not_after: Readings of a later time change nothing: taken once, one of next year would outdate all others
                until then.

        Returns:
            The meters and the deltas, those of one register in order of time.
        """
        last = dict(self.last)
        deltas: list[EnergyDelta] = []
        for reading in sorted(readings, key=_measured_at):
            previous = last.get(reading.key)
            if _is_news(previous, reading) and (not_after is None or reading.measured_at <= not_after):
                last[reading.key] = reading
                delta = next_delta(previous, reading)
                deltas += [delta] if delta else []
        return EnergyMeters(last=MappingProxyType(last)), tuple(deltas)


def next_delta(previous: EnergyReading | None, reading: EnergyReading) -> EnergyDelta | None:
    """The energy that one reading tells of.

        same start, or both without     value - previous value      over [previous reading, reading)
        a start of its own              value                       over [start, reading)
        first without a start           nothing to compare with: none

    A register that falls was reset or replaced: none, its next readings count from here. Only a NET register may fall.
    A start of its own before the previous reading: the part after that, as if the energy had flowed evenly.

    Args:
        previous: The newest reading of the same register so far; None where there is none.
        reading: One more.

    Returns:
        The energy; None where nothing can be told, in particular for a reading that is not newer than the previous one
        or lies before its own start.

    Source: OSCP 2.0 measurement configurations CONTINUOUS and INTERMITTENT. The standard has no rule for decoding; this
    one is a decision that fits registers that never start anew, registers of a session, and differences over a period.
    """
    if not _is_news(previous, reading):
        return None
    if previous is not None and _continues(previous, reading):
        start, energy_kwh = previous.measured_at, reading.value_kwh - previous.value_kwh
    elif reading.started_at is None or reading.started_at == reading.measured_at:
        return None
    else:
        start = max(reading.started_at, previous.measured_at) if previous else reading.started_at
        energy_kwh = reading.value_kwh * ((reading.measured_at - start) / (reading.measured_at - reading.started_at))
    if energy_kwh < 0 and reading.key.direction is not FlowDirection.NET:
        return None
    return EnergyDelta(
        key=reading.key, energy_kwh=energy_kwh, start=start, end=reading.measured_at, category=reading.category
    )


def _is_news(previous: EnergyReading | None, reading: EnergyReading) -> bool:
    if reading.started_at is not None and reading.started_at > reading.measured_at:
        return False
    return previous is None or reading.measured_at > previous.measured_at


def _continues(previous: EnergyReading, reading: EnergyReading) -> bool:
    """Whether a register has counted on since the previous reading."""
    if previous.started_at is None or reading.started_at is None:
        return previous.started_at is reading.started_at
    return abs(reading.started_at - previous.started_at) <= SAME_START


def _measured_at(reading: EnergyReading) -> datetime:
    return reading.measured_at


def _name(group_id: str, asset_id: str | None) -> str:
    return f"group {group_id!r}" if asset_id is None else f"group {group_id!r}, asset {asset_id!r}"


def _require_finite(value: float, name: str) -> None:
    if not math.isfinite(value):
        raise InputError(f"{name} is {value}; it must be finite")
