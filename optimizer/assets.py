"""What hangs on a site beside plain charging, as arrays: flows of assets, batteries with a state, meters, peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.domain.asset import relief_on, share_on
from models.domain.capacity import Phase
from models.domain.time_grid import FloatArray, IntArray

VEHICLE_DISCHARGE = "vehicle_discharge_kwh"
STORAGE_CHARGE = "storage_charge_kwh"
STORAGE_DISCHARGE = "storage_discharge_kwh"
CURTAILED = "curtailed_kwh"

NOWHERE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowOwner:
    """Who draws or feeds in.

    Args:
        name: Session or asset.
        group_id: The group it hangs on.
        phases: The phases it is on.
        charger_id: The charger of a session; empty for others.
        flexible: Whether a limit that counts the flexible assets counts it.
        wear_price_per_kwh: What a kWh fed in costs in wear, currency per kWh.
    """

    name: str
    group_id: str
    phases: Phase
    charger_id: str = ""
    flexible: bool = True
    wear_price_per_kwh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPower:
    """A power that nobody decides on.

    Args:
        asset_id: Whose it is.
        group_id: The group it hangs on.
        phases: The phases it is on.
        power_kw: (T,), kW, above zero where it draws.
        is_generation: Whether it is a generator's.
    """

    asset_id: str
    group_id: str
    phases: Phase
    power_kw: FloatArray
    is_generation: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Flows:
    """X energies beside those that sessions draw, each of one owner in one step.

    They are numbered on from the K power columns of the problem: flow x is column K + x of a limit row.

    Args:
        owners: (O,), vehicles that feed in, then storages, then generators that may be curtailed.
        owner: (X,), index into the owners.
        step: (X,).
        sign: (X,), 1 where it draws (a generator that is curtailed draws what it does not give), -1 where it feeds in.
        max_kwh: (X,), upper bound, kWh.
        hours: (X,), time within the step in which it may flow, h.
        variables: The flows of each variable of the program.
    """

    owners: tuple[FlowOwner, ...]
    owner: IntArray
    step: IntArray
    sign: FloatArray
    max_kwh: FloatArray
    hours: FloatArray
    variables: Mapping[str, slice]

    @property
    def count(self) -> int:
        """X."""
        return self.owner.size

    def of(self, variable: str) -> IntArray:
        """The flows of a variable, in order; empty where it is absent."""
        found = self.variables.get(variable, slice(0, 0))
        return np.arange(found.start, found.stop)

    @cached_property
    def wear_price_per_kwh(self) -> FloatArray:
        """(X,), currency per kWh fed in."""
        price = np.array([owner.wear_price_per_kwh for owner in self.owners], dtype=np.float64)
        worn = np.zeros(self.count)
        for variable in (VEHICLE_DISCHARGE, STORAGE_DISCHARGE):
            mine = self.of(variable)
            worn[mine] = price[self.owner[mine]]
        return worn


@dataclass(frozen=True, kw_only=True, eq=False)
class Stores:
    """M batteries whose state is followed over N ends of steps.

        stored[n] = stored[n - 1] + charge_efficiency * charged[n] - discharged[n] / discharge_efficiency

    Columns are those of limit rows: a power column of the problem, or K more than a flow.

    Args:
        names: (M,), session or storage.
        session: (M,), index of the session, -1 for a storage.
        first: (M + 1,), where the states of a battery begin.
        step: (N,).
        hours: (N,), time within the step in which it may be charged, h.
        charge_column: (N,), what charges it.
        discharge_column: (N,), what discharges it; -1 where nothing does.
        initial_kwh: (M,), kWh.
        min_kwh: (M,), kWh.
        max_kwh: (M,), kWh.
        least_final_kwh: (M,), what must be in it after its last step, kWh.
        wanted_final_kwh: (M,), what is to be in it then as far as it can be, kWh.
        charge_efficiency: (M,), in (0, 1].
        discharge_efficiency: (M,), in (0, 1].
        curves: (M,), intercepts, kW, and slopes, kW per kWh stored, of what bounds its charging; empty without a curve.
    """

    names: tuple[str, ...]
    session: IntArray
    first: IntArray
    step: IntArray
    hours: FloatArray
    charge_column: IntArray
    discharge_column: IntArray
    initial_kwh: FloatArray
    min_kwh: FloatArray
    max_kwh: FloatArray
    least_final_kwh: FloatArray
    wanted_final_kwh: FloatArray
    charge_efficiency: FloatArray
    discharge_efficiency: FloatArray
    curves: tuple[tuple[tuple[float, float], ...], ...]

    @property
    def count(self) -> int:
        """M."""
        return len(self.names)

    @cached_property
    def store(self) -> IntArray:
        """(N,), which battery a state is of."""
        return np.repeat(np.arange(self.count), np.diff(self.first))

    @cached_property
    def of_session(self) -> Mapping[int, int]:
        """The battery of each session that has one."""
        return {session: store for store, session in enumerate(self.session.tolist()) if session != NOWHERE}

    @cached_property
    def curve_lines(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """The state, intercept, kW, and slope, kW per kWh stored, of each line of a curve in each step: (C,) each."""
        states, intercepts, slopes = [np.zeros(0, dtype=np.int64)], [np.zeros(0)], [np.zeros(0)]
        for store, lines in enumerate(self.curves):
            mine = np.arange(self.first[store], self.first[store + 1])
            for intercept_kw, slope_per_h in lines:
                states.append(mine)
                intercepts.append(np.full(mine.size, intercept_kw))
                slopes.append(np.full(mine.size, slope_per_h))
        return np.concatenate(states), np.concatenate(intercepts), np.concatenate(slopes)

    def stored_kwh(self, flow_kwh: FloatArray) -> FloatArray:
        """State after each step, (N,), kWh, from the energies of all columns."""
        drawn = flow_kwh[self.charge_column]
        fed = np.where(self.discharge_column == NOWHERE, 0.0, flow_kwh[self.discharge_column])
        change = drawn * self.charge_efficiency[self.store] - fed / self.discharge_efficiency[self.store]
        total = np.cumsum(change)
        before = np.concatenate(([0.0], total))[self.first[:-1]]
        return self.initial_kwh[self.store] + total - before[self.store]

    def most_charge_kwh(self, store: int, stored_kwh: float, hours: float) -> float:
        """What a battery takes within some hours from a state on, by its curve and what is still free in it, kWh.

        energy <= hours * (intercept - slope * (stored + efficiency * energy))      for each line of the curve
        """
        efficiency = float(self.charge_efficiency[store])
        most = max(0.0, float(self.max_kwh[store]) - stored_kwh) / efficiency
        for intercept_kw, slope_per_h in self.curves[store]:
            line = hours * (intercept_kw - slope_per_h * stored_kwh) / (1.0 + hours * slope_per_h * efficiency)
            most = min(most, max(0.0, line))
        return most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Meters:
    """R roots, each with a meter that counts what is drawn and what is fed in, in each of T steps.

    Args:
        session_root: (S,), the root that feeds a session.
        owner_root: (O,), the root that feeds an owner of flows.
        fixed_kwh: (R, T), what nobody decides on, kWh, above zero where it is drawn.
        max_import_kwh: (R, T), the most that can be drawn, kWh.
        max_export_kwh: (R, T), the most that can be fed in, kWh.
    """

    session_root: IntArray
    owner_root: IntArray
    fixed_kwh: FloatArray
    max_import_kwh: FloatArray
    max_export_kwh: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AssetArrays:
    """All that is beside plain charging.

    Args:
        flows: Energies to decide on.
        stores: Batteries with a state.
        fixed: Powers that nobody decides on.
        meters: What the site draws and feeds in; None where sessions alone draw.
        keeps_one_way: Whether no battery may charge and discharge at once in any step, not only where that would pay.
    """

    flows: Flows
    stores: Stores
    fixed: tuple[FixedPower, ...]
    meters: Meters | None
    keeps_one_way: bool = False


def fixed_power_kw(
    fixed: Sequence[FixedPower], below: frozenset[str], phase: Phase, steps: int, *, export: bool
) -> FloatArray:
    """What of the fixed powers in some groups a limit counts.

    A power in the limit's direction counts as `share_on` says, one in the other makes room as `relief_on` says.

    Returns:
        (T,), kW, above zero where it is drawn.
    """
    total_kw = np.zeros(steps)
    for one in fixed:
        if one.group_id in below:
            share, relief = share_on(one.phases, phase), relief_on(one.phases, phase)
            drawn, fed = (relief, share) if export else (share, relief)
            total_kw += np.where(one.power_kw >= 0, drawn, fed) * one.power_kw
    return total_kw
