"""A charging session: what one vehicle asks for, and when it is there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime

from models.domain.group import check_power_kw
from models.domain.time_grid import require_aware
from models.errors import InputError
from models.units import THREE_PHASES


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingSession:
    """One vehicle at one charger over the half-open interval ``[arrival, departure)``.

    Args:
        session_id: Unique within a scenario.
        charger_id: Where it is plugged in.
        arrival: First instant at which it may draw power.
        departure: First instant at which it may not any more.
        energy_kwh: What it still asks for, kWh.
        max_power_kw: The vehicle's own limit, kW; None where only the charger limits it.
        vehicle_phases: How many phases the vehicle uses, 1 to 3; None for all its charger has.
        priority: Weight of its unserved energy against that of others of its class; positive.
        priority_class: Rank before all weights: nobody of a higher number is served at the cost of a lower one.

    Attributes:
        arrival_s: The arrival, seconds since the epoch.
        departure_s: The departure, seconds since the epoch. Compare these: instants of one zone compare by wall clock,
            which is wrong in the hour that comes twice.

    Raises:
        InputError: A value is out of bounds; the message names the session, the field and the limit.
    """

    session_id: str
    charger_id: str
    arrival: datetime
    departure: datetime
    energy_kwh: float
    max_power_kw: float | None = None
    priority: float = 1.0
    vehicle_phases: int | None = None
    priority_class: int = 0
    arrival_s: float = field(init=False, repr=False, compare=False)
    departure_s: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        name = f"session {self.session_id!r}"
        require_aware(self.arrival, f"{name}: arrival")
        require_aware(self.departure, f"{name}: departure")
        object.__setattr__(self, "arrival_s", self.arrival.timestamp())
        object.__setattr__(self, "departure_s", self.departure.timestamp())
        if self.departure_s <= self.arrival_s:
            raise InputError(
                f"{name}: departure {self.departure.isoformat()} is not after arrival {self.arrival.isoformat()}"
            )
        if not (math.isfinite(self.energy_kwh) and self.energy_kwh >= 0):
            raise InputError(f"{name}: energy_kwh is {self.energy_kwh}; it must be finite and not negative")
        if not (math.isfinite(self.priority) and self.priority > 0):
            raise InputError(f"{name}: priority is {self.priority}; it must be finite and above 0")
        if self.priority_class < 0:
            raise InputError(f"{name}: priority_class is {self.priority_class}; it must be 0 or more")
        check_power_kw(self.max_power_kw, f"{name}: max_power_kw")
        if self.vehicle_phases is not None and not 1 <= self.vehicle_phases <= THREE_PHASES:
            raise InputError(f"{name}: vehicle_phases is {self.vehicle_phases}; it must be 1, 2 or 3")
