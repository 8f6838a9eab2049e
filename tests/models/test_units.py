"""Units: every factor by hand, every conversion there and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import units

EXACT: dict[str, tuple[Callable[[float], float], float, float]] = {
    "W to kW": (units.watts_to_kilowatts, 11_000.0, 11.0),
    "kW to W": (units.kilowatts_to_watts, 3.7, 3_700.0),
    "Wh to kWh": (units.watt_hours_to_kilowatt_hours, 12_500.0, 12.5),
    "kWh to Wh": (units.kilowatt_hours_to_watt_hours, 0.25, 250.0),
    "s to h": (units.seconds_to_hours, 900.0, 0.25),
    "min to s": (units.minutes_to_seconds, 15.0, 900.0),
}
INVERSES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "power": (units.watts_to_kilowatts, units.kilowatts_to_watts),
    "energy": (units.watt_hours_to_kilowatt_hours, units.kilowatt_hours_to_watt_hours),
    "current": (
        partial(units.amperes_to_kilowatts, voltage_v=230.0, conductors=3),
        partial(units.kilowatts_to_amperes, voltage_v=230.0, conductors=3),
    ),
    "mean power": (partial(units.mean_power_kw, hours=0.25), partial(units.energy_at_power_kwh, hours=0.25)),
}


@pytest.mark.parametrize("name", EXACT)
def test_factor(name: str) -> None:
    """The factors are 1000 between W and kW and between Wh and kWh, 3600 s in an hour, 60 s in a minute."""
    convert, value, expected = EXACT[name]

    assert convert(value) == expected


@pytest.mark.parametrize(("conductors", "power_kw"), [(1, 7.36), (3, 22.08)])
def test_current_counts_once_for_each_conductor(conductors: int, power_kw: float) -> None:
    """32 A at 230 V are 7.36 kW on one conductor and 22.08 kW on three."""
    assert units.amperes_to_kilowatts(32.0, voltage_v=230.0, conductors=conductors) == pytest.approx(power_kw)
    assert units.kilowatts_to_amperes(power_kw, voltage_v=230.0, conductors=conductors) == pytest.approx(32.0)


def test_energy_over_a_quarter_is_four_times_its_power() -> None:
    """12.5 kWh within a quarter of an hour are 50 kW; 50 kW for a quarter of an hour are 12.5 kWh."""
    assert units.mean_power_kw(12.5, hours=0.25) == 50.0
    assert units.energy_at_power_kwh(50.0, hours=0.25) == 12.5


@pytest.mark.parametrize("name", INVERSES)
@given(value=st.floats(min_value=0.0, max_value=1e9))
def test_there_and_back_is_the_same_value(name: str, value: float) -> None:
    """A conversion and its inverse together change nothing but the last digits."""
    forth, back = INVERSES[name]

    assert back(forth(value)) == pytest.approx(value, rel=1e-12)
