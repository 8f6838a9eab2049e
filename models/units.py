"""Conversions between the units on the wire and the units inside (kW, kWh, hours); their factors stand only here."""

from __future__ import annotations

WATTS_PER_KILOWATT = 1000.0
SECONDS_PER_HOUR = 3600.0
SECONDS_PER_MINUTE = 60.0
MINUTES_PER_HOUR = 60.0
THREE_PHASES = 3
DEFAULT_NOMINAL_VOLTAGE_V = 230.0
"""Line to neutral voltage of the European low-voltage grid. Source: IEC 60038."""


def watts_to_kilowatts(power_w: float) -> float:
    """Convert W to kW."""
    return power_w / WATTS_PER_KILOWATT


def kilowatts_to_watts(power_kw: float) -> float:
    """Convert kW to W."""
    return power_kw * WATTS_PER_KILOWATT


def amperes_to_kilowatts(current_a: float, *, voltage_v: float, conductors: int) -> float:
    """Power of a current on each of some conductors at unity power factor.

        P [kW] = conductors * U [V] * I [A] / 1000

    Args:
        current_a: Current on each conductor, A.
        voltage_v: Voltage from line to neutral, V.
        conductors: How many conductors carry it: 1, or 3 for a balanced three-phase supply.

    Returns:
        Power, kW.
    """
    return watts_to_kilowatts(conductors * voltage_v * current_a)


def kilowatts_to_amperes(power_kw: float, *, voltage_v: float, conductors: int) -> float:
    """Inverse of `amperes_to_kilowatts`: current on each conductor, A."""
    return kilowatts_to_watts(power_kw) / (conductors * voltage_v)


def amperes_per_kilowatt(voltage_v: float) -> float:
    """Current of 1 kW at unity power factor across one load, A."""
    return kilowatts_to_watts(1.0) / voltage_v


def watt_hours_to_kilowatt_hours(energy_wh: float) -> float:
    """Convert Wh to kWh."""
    return energy_wh / WATTS_PER_KILOWATT


def kilowatt_hours_to_watt_hours(energy_kwh: float) -> float:
    """Convert kWh to Wh."""
    return energy_kwh * WATTS_PER_KILOWATT


def mean_power_kw(energy_kwh: float, *, hours: float) -> float:
    """Power, kW, that spends an energy evenly over some hours (above zero)."""
    return energy_kwh / hours


def energy_at_power_kwh(power_kw: float, *, hours: float) -> float:
    """Inverse of `mean_power_kw`: energy, kWh, of a power held for some hours."""
    return power_kw * hours


def seconds_to_hours(seconds: float) -> float:
    """Convert s to h."""
    return seconds / SECONDS_PER_HOUR


def minutes_to_seconds(minutes: float) -> float:
    """Convert min to s."""
    return minutes * SECONDS_PER_MINUTE
