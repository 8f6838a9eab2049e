"""What hangs on a group beside chargers: storage, generation, and load that nobody controls."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from models.domain.bounds import check_between, check_power_kw
from models.domain.capacity import Phase
from models.errors import InputError
from models.units import THREE_PHASES

MAX_STORED_KWH = 1e7
"""The largest storages hold a few GWh."""
MIN_EFFICIENCY = 0.05
"""What gives back less is a mistaken unit."""
MAX_WEAR_PRICE_PER_KWH = 1e6


def share_on(connected: Phase, counted: Phase) -> float:
    """How much of a power a value of one phase counts, 0 to 1.

    Args:
        connected: The phases the power is on; UNKNOWN counts in full on each, so that a limit holds whatever it is.
        counted: The phase of the value; UNKNOWN and ALL ask for all phases together.
    """
    if counted in (Phase.ALL, Phase.UNKNOWN) or connected in (counted, Phase.UNKNOWN):
        return 1.0
    return 1.0 / THREE_PHASES if connected is Phase.ALL else 0.0


def relief_on(connected: Phase, counted: Phase) -> float:
    """How much of a power in the other direction makes room for: as `share_on`, but nothing where it is not known."""
    if connected is Phase.UNKNOWN and counted not in (Phase.ALL, Phase.UNKNOWN):
        return 0.0
    return share_on(connected, counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """What hangs on a group and is no charger.

    Args:
        asset_id: Unique among the site's assets.
        group_id: The group it hangs on.
        phases: As of a charger.
    """

    asset_id: str
    group_id: str
    phases: Phase = Phase.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage(Asset):
    """A stationary battery.

        stored(t) = stored(t - 1) + charge_efficiency * charged(t) - discharged(t) / discharge_efficiency

    Args:
        asset_id: As of any asset.
        group_id: As of any asset.
        phases: As of any asset.
        max_charge_kw: The most it draws, kW.
        max_discharge_kw: The most it feeds in, kW.
        energy_kwh: What is in it at the begin of the window, kWh.
        min_energy_kwh: What stays in it at all times, kWh.
        max_energy_kwh: The most it may hold: its usable capacity, kWh.
        final_energy_kwh: What is to be in it at the end of the window, kWh; None for what is in it at the begin.
        charge_efficiency: Stored energy per energy drawn, in (0, 1].
        discharge_efficiency: Energy fed in per energy taken out, in (0, 1].
        wear_price_per_kwh: What a kWh fed in costs in wear, currency per kWh.

    Raises:
        InputError: A value is out of bounds; the message names the storage, the field and the bounds.
    """

    max_charge_kw: float
    max_discharge_kw: float
    energy_kwh: float
    max_energy_kwh: float
    min_energy_kwh: float = 0.0
    final_energy_kwh: float | None = None
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    wear_price_per_kwh: float = 0.0

    def __post_init__(self) -> None:
        name = f"storage {self.asset_id!r}"
        check_power_kw(self.max_charge_kw, f"{name}: max_charge_kw")
        check_power_kw(self.max_discharge_kw, f"{name}: max_discharge_kw")
        check_between(self.max_energy_kwh, 0.0, MAX_STORED_KWH, f"{name}: max_energy_kwh")
        check_between(self.min_energy_kwh, 0.0, self.max_energy_kwh, f"{name}: min_energy_kwh")
        check_between(self.energy_kwh, self.min_energy_kwh, self.max_energy_kwh, f"{name}: energy_kwh")
        if self.final_energy_kwh is not None:
            check_between(self.final_energy_kwh, self.min_energy_kwh, self.max_energy_kwh, f"{name}: final_energy_kwh")
        check_between(self.charge_efficiency, MIN_EFFICIENCY, 1.0, f"{name}: charge_efficiency")
        check_between(self.discharge_efficiency, MIN_EFFICIENCY, 1.0, f"{name}: discharge_efficiency")
        check_between(self.wear_price_per_kwh, 0.0, MAX_WEAR_PRICE_PER_KWH, f"{name}: wear_price_per_kwh")

    @property
    def wanted_energy_kwh(self) -> float:
        """What is to be in it at the end of the window, kWh."""
        return self.energy_kwh if self.final_energy_kwh is None else self.final_energy_kwh


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator(Asset):
    """A source, such as a roof of solar cells, whose power is forecast.

    Args:
        asset_id: As of any asset.
        group_id: As of any asset.
        phases: As of any asset.
        curtailable: Whether it may be told to give less.
    """

    curtailable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseLoad(Asset):
    """Consumption that nobody controls and that is forecast, such as that of a building."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeCurve:
    """The most power a battery takes at a state of charge: flat up to the first point, then from point to point.

        power_kw <= min over the lines of  intercept_kw - slope_kw * soc

    Args:
        curve_id: Unique within the site.
        points: State of charge, 0 to 1, and power, kW; increasing states up to 1, powers that fall ever faster.

    Raises:
        InputError: The points are not such a curve; the message names the curve and the point.
    """

    curve_id: str
    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        name = f"charge curve {self.curve_id!r}"
        if not self.points:
            raise InputError(f"{name} has no points; give at least the power at a state of charge of 1")
        for soc, power_kw in self.points:
            check_between(soc, 0.0, 1.0, f"{name}: soc")
            check_power_kw(power_kw, f"{name}: power at soc {soc:g}")
        states = [soc for soc, _ in self.points]
        if states != sorted(set(states)) or states[-1] != 1.0:
            raise InputError(f"{name}: the states of charge {states} must increase and end at 1")
        slopes = [slope_kw for _, slope_kw in self.lines()]
        if any(slope_kw < 0 for slope_kw in slopes):
            raise InputError(f"{name}: the power rises with the state of charge; it may stay or fall only")
        if any(later < earlier for earlier, later in pairwise(slopes)):
            raise InputError(f"{name}: the power must fall ever faster (a concave curve); leave out a point in between")

    def lines(self) -> tuple[tuple[float, float], ...]:
        """Intercept, kW, and slope, kW per unit of state of charge, of each line, the flat one first."""
        found = [(self.points[0][1], 0.0)]
        for (soc, power_kw), (next_soc, next_kw) in pairwise(self.points):
            slope_kw = (power_kw - next_kw) / (next_soc - soc)
            found.append((power_kw + slope_kw * soc, slope_kw))
        return tuple(found)

    def power_kw(self, soc: float) -> float:
        """The most at a state of charge, kW."""
        return max(0.0, min(intercept_kw - slope_kw * soc for intercept_kw, slope_kw in self.lines()))
