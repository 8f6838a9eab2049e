"""A charging session: what one vehicle asks for, and when it is there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime

from models.domain.asset import MAX_WEAR_PRICE_PER_KWH, MIN_EFFICIENCY
from models.domain.bounds import check_between, check_power_kw
from models.domain.time_grid import require_aware
from models.errors import InputError
from models.units import THREE_PHASES

MIN_CAPACITY_KWH = 0.1
MAX_CAPACITY_KWH = 1e6
"""The largest traction batteries hold a few MWh; a GWh is a mistaken unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingSession:
    """One vehicle at one charger over the half-open interval ``[arrival, departure)``.

    Args:
        session_id: Unique within a scenario.
        charger_id: Where it is plugged in.
        arrival: First instant at which it may draw power.
        departure: First instant at which it may not any more.
        energy_kwh: What it still asks for, kWh at the plug, as a meter counts it; of a vehicle that also feeds in, what
            it would draw if it did not.
        max_power_kw: The vehicle's own limit, kW; None where only the charger limits it.
        vehicle_phases: How many phases the vehicle uses, 1 to 3; None for all its charger has.
        priority: Weight of its unserved energy against that of others of its class; positive.
        priority_class: Rank before all weights: nobody of a higher number is served at the cost of a lower one.
        discharge_power_kw: The most it feeds in, kW; zero where it does not.
        battery_capacity_kwh: What its battery holds, kWh; needed to feed in and for a charge curve.
        arrival_soc: State of charge at the arrival, 0 to 1; needed as well.
        min_soc: State of charge below which it does not feed in, 0 to 1.
        charge_efficiency: Energy stored per energy drawn at the plug, in (0, 1].
        discharge_efficiency: Energy fed in at the plug per energy taken out, in (0, 1].
        wear_price_per_kwh: What a kWh fed in costs in wear, currency per kWh.
        charge_curve_id: Curve of the site that bounds its power by its state of charge; None for none.

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
    discharge_power_kw: float = 0.0
    battery_capacity_kwh: float | None = None
    arrival_soc: float | None = None
    min_soc: float = 0.0
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    wear_price_per_kwh: float = 0.0
    charge_curve_id: str | None = None
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
        if not self._is_plain:
            self._check_battery(name)

    @property
    def has_known_state(self) -> bool:
        """Whether its state of charge matters to the plan: it feeds in, or its power falls as it fills."""
        return self.discharge_power_kw > 0 or self.charge_curve_id is not None

    @property
    def _is_plain(self) -> bool:
        """Whether nothing is said of a battery, as of most sessions."""
        said = (
            self.discharge_power_kw,
            self.battery_capacity_kwh,
            self.arrival_soc,
            self.min_soc,
            self.charge_curve_id,
        )
        rates = (self.charge_efficiency, self.discharge_efficiency, self.wear_price_per_kwh)
        return said == (0.0, None, None, 0.0, None) and rates == (1.0, 1.0, 0.0)

    def _check_battery(self, name: str) -> None:
        check_power_kw(self.discharge_power_kw, f"{name}: discharge_power_kw")
        check_between(self.min_soc, 0.0, 1.0, f"{name}: min_soc")
        check_between(self.charge_efficiency, MIN_EFFICIENCY, 1.0, f"{name}: charge_efficiency")
        check_between(self.discharge_efficiency, MIN_EFFICIENCY, 1.0, f"{name}: discharge_efficiency")
        check_between(self.wear_price_per_kwh, 0.0, MAX_WEAR_PRICE_PER_KWH, f"{name}: wear_price_per_kwh")
        if self.battery_capacity_kwh is not None:
            check_between(
                self.battery_capacity_kwh, MIN_CAPACITY_KWH, MAX_CAPACITY_KWH, f"{name}: battery_capacity_kwh"
            )
        if self.arrival_soc is not None:
            check_between(self.arrival_soc, 0.0, 1.0, f"{name}: arrival_soc")
        if self.has_known_state and (self.battery_capacity_kwh is None or self.arrival_soc is None):
            needs = "feeds in" if self.discharge_power_kw > 0 else "has a charge curve"
            missing = "battery_capacity_kwh" if self.battery_capacity_kwh is None else "arrival_soc"
            raise InputError(f"{name} {needs}, which needs its {missing}; state it")
