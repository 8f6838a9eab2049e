"""Everything known at one instant: the input of one optimization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from models.domain.capacity import CapacityForecasts
from models.domain.demand import DemandCharge
from models.domain.group import Site
from models.domain.schedule import Schedule
from models.domain.series import Series
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff
from models.domain.time_grid import FloatArray
from models.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenario:
    """A site, who charges there, what energy costs and what the grid allows.

    Args:
        site: Groups and chargers.
        sessions: In any order; each id once.
        tariff: Prices; None where cost does not matter.
        forecasts: What the capacity providers have said.
        previous: The plan in force, to stay close to; None where there is none.
        generation_kw: What each generator would give uncurtailed, kW, by asset.
        base_load_kw: What each base load draws, kW, by asset; below zero where it is known to feed in on balance.
        demand_charges: Prices on peaks of the import.
        carbon_kg_per_kwh: Carbon dioxide per kWh drawn from the grid; None where nobody counts it.

    Raises:
        InputError: A session id appears twice, or a session names an unknown charger or charge curve, or a forecast an
            unknown group, or an asset has no forecast or the other way round.
    """

    site: Site
    sessions: tuple[ChargingSession, ...]
    tariff: EnergyTariff | None = None
    forecasts: CapacityForecasts = field(default_factory=CapacityForecasts)
    previous: Schedule | None = None
    generation_kw: Mapping[str, Series] = field(default_factory=dict)
    base_load_kw: Mapping[str, Series] = field(default_factory=dict)
    demand_charges: tuple[DemandCharge, ...] = ()
    carbon_kg_per_kwh: Series | None = None

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for session in self.sessions:
            if session.session_id in seen:
                raise InputError(f"session {session.session_id!r} is listed twice")
            seen.add(session.session_id)
            if not self.site.has_charger(session.charger_id):
                raise InputError(
                    f"session {session.session_id!r} is at the unknown charger {session.charger_id!r} "
                    f"of site {self.site.site_id!r}"
                )
        for group_id, _, _ in self.forecasts.series:
            if not self.site.has_group(group_id):
                raise InputError(f"a forecast names the unknown group {group_id!r} of site {self.site.site_id!r}")
        for session in self.sessions:
            if session.charge_curve_id is not None:
                self.site.charge_curve(session.charge_curve_id)
        _check_forecasts("generator", [asset.asset_id for asset in self.site.generators], self.generation_kw)
        _check_forecasts("base load", [asset.asset_id for asset in self.site.base_loads], self.base_load_kw)

    @property
    def can_feed_in(self) -> bool:
        """Whether anything at the site may give power to the grid."""
        return bool(
            self.site.storages
            or self.site.generators
            or any(session.discharge_power_kw > 0 for session in self.sessions)
            or any((series.value < 0).any() for series in self.base_load_kw.values())
        )

    def fixed_edges_s(self) -> FloatArray:
        """Every instant at which a limit, a price or a forecast of the scenario may change, seconds since the epoch.

        Those of demand charges, which recur without end, are left out.
        """
        parts = [self.forecasts.edges_s(exports=self.can_feed_in)]
        if self.tariff is not None:
            parts.append(self.tariff.edges_s())
        series = (*self.generation_kw.values(), *self.base_load_kw.values(), self.carbon_kg_per_kwh)
        return np.concatenate([*parts, *(one.edges_s() for one in series if one is not None)])

    def edges_s(self, start_s: float, end_s: float) -> FloatArray:
        """The same with those of demand charges within an interval."""
        charges = [charge.edges_s(start_s, end_s, self.site.time_zone) for charge in self.demand_charges]
        return np.concatenate([self.fixed_edges_s(), *charges])


def _check_forecasts(kind: str, assets: list[str], forecasts: Mapping[str, Series]) -> None:
    for asset_id in assets:
        if asset_id not in forecasts:
            raise InputError(f"{kind} {asset_id!r} has no forecast of its power; give one")
    for asset_id in forecasts:
        if asset_id not in assets:
            raise InputError(f"a power is forecast for {asset_id!r}, which is no {kind} of the site")
