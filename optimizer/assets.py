"""What hangs on a site beside plain charging, as arrays: flows of assets, batteries with a state, meters, peaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.domain.asset import Storage, relief_on, share_on
from models.domain.capacity import Phase
from models.domain.scenario import Scenario
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray, IntArray, TimeGrid
from optimizer.arrays import sums_by

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


@dataclass(frozen=True, kw_only=True, eq=False)
class SessionColumns:
    """K power columns of S sessions: as in `CapacityProblem`.

    Args:
        sessions: (S,).
        groups: (S,), the group of each session's charger.
        phases: (S,), the phases of it.
        charger_power_kw: (S,), kW.
        session: (K,).
        step: (K,).
        hours: (K,), h.
        max_energy_kwh: (K,), kWh.
    """

    sessions: Sequence[ChargingSession]
    groups: Sequence[str]
    phases: Sequence[Phase]
    charger_power_kw: FloatArray
    session: IntArray
    step: IntArray
    hours: FloatArray
    max_energy_kwh: FloatArray

    @cached_property
    def first(self) -> IntArray:
        """(S + 1,), where a session's columns begin."""
        return np.searchsorted(self.session, np.arange(len(self.sessions) + 1))

    def of(self, session: int) -> slice:
        """The columns of a session."""
        return slice(int(self.first[session]), int(self.first[session + 1]))


def asset_arrays(scenario: Scenario, grid: TimeGrid, columns: SessionColumns) -> AssetArrays | None:
    """Put what is beside plain charging into arrays; None where there is nothing.

    Raises:
        InputError: The forecast of an asset leaves a gap in the window.
    """
    site = scenario.site
    known_state = any(session.has_known_state for session in columns.sessions)
    if not (known_state or site.assets):
        return None
    generation = {asset.asset_id: _forecast(scenario, asset.asset_id, grid) for asset in site.generators}
    flows = _flows(scenario, grid, columns, generation)
    fixed = tuple(_fixed(scenario, grid, generation))
    stores = _stores(scenario, grid, columns, flows)
    meters = _meters(scenario, grid, columns, flows, fixed) if flows.count or fixed else None
    return AssetArrays(flows=flows, stores=stores, fixed=fixed, meters=meters)


def _forecast(scenario: Scenario, asset_id: str, grid: TimeGrid) -> FloatArray:
    return scenario.generation_kw[asset_id].on(grid, f"generation of {asset_id!r}")


def _fixed(scenario: Scenario, grid: TimeGrid, generation: Mapping[str, FloatArray]) -> Iterator[FixedPower]:
    for generator in sorted(scenario.site.generators, key=lambda asset: asset.asset_id):
        yield FixedPower(
            asset_id=generator.asset_id,
            group_id=generator.group_id,
            phases=generator.phases,
            power_kw=-generation[generator.asset_id],
            is_generation=True,
        )
    for load in sorted(scenario.site.base_loads, key=lambda asset: asset.asset_id):
        power_kw = scenario.base_load_kw[load.asset_id].on(grid, f"base load of {load.asset_id!r}")
        yield FixedPower(asset_id=load.asset_id, group_id=load.group_id, phases=load.phases, power_kw=power_kw)


class _FlowBuilder:
    """Flows under construction, variable by variable."""

    def __init__(self) -> None:
        self.owners: list[FlowOwner] = []
        self.variables: dict[str, slice] = {}
        self._parts: list[tuple[IntArray, IntArray, FloatArray, FloatArray, FloatArray]] = []
        self._count = 0

    def own(self, owner: FlowOwner) -> int:
        self.owners.append(owner)
        return len(self.owners) - 1

    def add(self, variable: str, *, sign: float, parts: Sequence[tuple[int, IntArray, FloatArray, FloatArray]]) -> None:
        """Flows of a variable: owner, steps, largest energies and hours of each part."""
        if not parts:
            return
        size = 0
        for owner, step, max_kwh, hours in parts:
            self._parts.append((np.full(step.size, owner), step, np.full(step.size, sign), max_kwh, hours))
            size += step.size
        self.variables[variable] = slice(self._count, self._count + size)
        self._count += size

    def flows(self) -> Flows:
        empty = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0), np.zeros(0))
        owner, step, sign, max_kwh, hours = (np.concatenate(arrays) for arrays in zip(empty, *self._parts, strict=True))
        return Flows(
            owners=tuple(self.owners),
            owner=owner,
            step=step,
            sign=sign,
            max_kwh=max_kwh,
            hours=hours,
            variables=self.variables,
        )


def _flows(scenario: Scenario, grid: TimeGrid, columns: SessionColumns, generation: Mapping[str, FloatArray]) -> Flows:
    builder = _FlowBuilder()
    builder.add(VEHICLE_DISCHARGE, sign=-1.0, parts=list(_vehicle_flows(builder, columns)))
    every_step, hours = np.arange(grid.steps), grid.step_hours
    storages = [
        (builder.own(_storage_owner(storage)), storage)
        for storage in sorted(scenario.site.storages, key=lambda asset: asset.asset_id)
    ]
    for variable, sign, powers_kw in (
        (STORAGE_CHARGE, 1.0, [storage.max_charge_kw for _, storage in storages]),
        (STORAGE_DISCHARGE, -1.0, [storage.max_discharge_kw for _, storage in storages]),
    ):
        parts = [
            (owner, every_step, power_kw * hours, hours)
            for (owner, _), power_kw in zip(storages, powers_kw, strict=True)
        ]
        builder.add(variable, sign=sign, parts=parts)
    curtailable = sorted(
        (asset for asset in scenario.site.generators if asset.curtailable), key=lambda asset: asset.asset_id
    )
    parts = [
        (
            builder.own(FlowOwner(name=asset.asset_id, group_id=asset.group_id, phases=asset.phases, flexible=False)),
            every_step,
            generation[asset.asset_id] * hours,
            hours,
        )
        for asset in curtailable
    ]
    builder.add(CURTAILED, sign=1.0, parts=parts)
    return builder.flows()


def _vehicle_flows(
    builder: _FlowBuilder, columns: SessionColumns
) -> Iterator[tuple[int, IntArray, FloatArray, FloatArray]]:
    for index, session in enumerate(columns.sessions):
        if session.discharge_power_kw > 0:
            mine = columns.of(index)
            power_kw = min(session.discharge_power_kw, float(columns.charger_power_kw[index]))
            owner = builder.own(
                FlowOwner(
                    name=session.session_id,
                    group_id=columns.groups[index],
                    phases=columns.phases[index],
                    charger_id=session.charger_id,
                    wear_price_per_kwh=session.wear_price_per_kwh,
                )
            )
            yield owner, columns.step[mine], power_kw * columns.hours[mine], columns.hours[mine]


def _storage_owner(storage: Storage) -> FlowOwner:
    return FlowOwner(
        name=storage.asset_id,
        group_id=storage.group_id,
        phases=storage.phases,
        wear_price_per_kwh=storage.wear_price_per_kwh,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """One battery on its way into arrays."""

    name: str
    session: int
    step: IntArray
    hours: FloatArray
    charge_column: IntArray
    discharge_column: IntArray
    initial_kwh: float
    min_kwh: float
    max_kwh: float
    least_final_kwh: float
    wanted_final_kwh: float
    charge_efficiency: float
    discharge_efficiency: float
    curve: tuple[tuple[float, float], ...]


def _stores(scenario: Scenario, grid: TimeGrid, columns: SessionColumns, flows: Flows) -> Stores:
    found = [*_vehicles(scenario, columns), *_storages(scenario, grid, columns, flows)]

    def each(values: Sequence[float]) -> FloatArray:
        return np.array(values, dtype=np.float64)

    def joined(parts: Sequence[IntArray]) -> IntArray:
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts])

    return Stores(
        names=tuple(store.name for store in found),
        session=np.array([store.session for store in found], dtype=np.int64),
        first=np.concatenate(([0], np.cumsum([store.step.size for store in found], dtype=np.int64))),
        step=joined([store.step for store in found]),
        hours=np.concatenate([np.zeros(0), *(store.hours for store in found)]),
        charge_column=joined([store.charge_column for store in found]),
        discharge_column=joined([store.discharge_column for store in found]),
        initial_kwh=each([store.initial_kwh for store in found]),
        min_kwh=each([store.min_kwh for store in found]),
        max_kwh=each([store.max_kwh for store in found]),
        least_final_kwh=each([store.least_final_kwh for store in found]),
        wanted_final_kwh=each([store.wanted_final_kwh for store in found]),
        charge_efficiency=each([store.charge_efficiency for store in found]),
        discharge_efficiency=each([store.discharge_efficiency for store in found]),
        curves=tuple(store.curve for store in found),
    )


def _vehicles(scenario: Scenario, columns: SessionColumns) -> Iterator[_Store]:
    """Sessions that feed in or have a charge curve, as far as they may draw power at all."""
    next_flow = columns.session.size  # what vehicles feed in comes first among the flows
    for index, session in enumerate(columns.sessions):
        mine = np.arange(columns.session.size)[columns.of(index)]
        if not session.has_known_state or not mine.size:
            continue
        capacity_kwh, soc = session.battery_capacity_kwh, session.arrival_soc
        if capacity_kwh is None or soc is None:
            raise ValueError(f"session {session.session_id!r} has no state")
        discharge = np.full(mine.size, NOWHERE)
        if session.discharge_power_kw > 0:
            discharge = np.arange(next_flow, next_flow + mine.size)
            next_flow += mine.size
        lines: tuple[tuple[float, float], ...] = ()
        if session.charge_curve_id is not None:
            curve = scenario.site.charge_curve(session.charge_curve_id)
            lines = tuple((intercept_kw, slope_kw / capacity_kwh) for intercept_kw, slope_kw in curve.lines())
        yield _Store(
            name=session.session_id,
            session=index,
            step=columns.step[mine],
            hours=columns.hours[mine],
            charge_column=mine,
            discharge_column=discharge,
            initial_kwh=soc * capacity_kwh,
            min_kwh=min(session.min_soc, soc) * capacity_kwh,
            max_kwh=capacity_kwh,
            least_final_kwh=0.0,
            wanted_final_kwh=0.0,
            charge_efficiency=session.charge_efficiency,
            discharge_efficiency=session.discharge_efficiency,
            curve=lines,
        )


def _storages(scenario: Scenario, grid: TimeGrid, columns: SessionColumns, flows: Flows) -> Iterator[_Store]:
    power_columns = columns.session.size
    for at, storage in enumerate(sorted(scenario.site.storages, key=lambda asset: asset.asset_id)):
        mine = slice(at * grid.steps, (at + 1) * grid.steps)
        yield _Store(
            name=storage.asset_id,
            session=NOWHERE,
            step=np.arange(grid.steps),
            hours=grid.step_hours,
            charge_column=power_columns + flows.of(STORAGE_CHARGE)[mine],
            discharge_column=power_columns + flows.of(STORAGE_DISCHARGE)[mine],
            initial_kwh=storage.energy_kwh,
            min_kwh=storage.min_energy_kwh,
            max_kwh=storage.max_energy_kwh,
            least_final_kwh=min(storage.energy_kwh, storage.wanted_energy_kwh),
            wanted_final_kwh=storage.wanted_energy_kwh,
            charge_efficiency=storage.charge_efficiency,
            discharge_efficiency=storage.discharge_efficiency,
            curve=(),
        )


def _meters(
    scenario: Scenario, grid: TimeGrid, columns: SessionColumns, flows: Flows, fixed: Sequence[FixedPower]
) -> Meters:
    site = scenario.site
    place = {root: index for index, root in enumerate(site.roots)}
    shape = (len(place), grid.steps)

    def root_of(group_id: str) -> int:
        return place[site.path(group_id)[-1]]

    session_root = np.array([root_of(group_id) for group_id in columns.groups], dtype=np.int64)
    owner_root = np.array([root_of(owner.group_id) for owner in flows.owners], dtype=np.int64)
    fixed_kwh = np.zeros(shape)
    for one in fixed:
        fixed_kwh[root_of(one.group_id)] += one.power_kw * grid.step_hours

    def most(sign: float) -> FloatArray:
        mine = flows.sign == sign
        pair = owner_root[flows.owner[mine]] * grid.steps + flows.step[mine]
        return sums_by(pair, flows.max_kwh[mine], fixed_kwh.size).reshape(shape)

    drawn = sums_by(session_root[columns.session] * grid.steps + columns.step, columns.max_energy_kwh, fixed_kwh.size)
    return Meters(
        session_root=session_root,
        owner_root=owner_root,
        fixed_kwh=fixed_kwh,
        max_import_kwh=np.maximum(drawn.reshape(shape) + most(1.0) + fixed_kwh, 0.0),
        max_export_kwh=np.maximum(most(-1.0) - fixed_kwh, 0.0),
    )


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


def possible_energy_kwh(stores: Stores, columns: SessionColumns) -> FloatArray:
    """What the stays allow, batteries and their charge curves heeded: (S,), kWh.

    Charging as much as it takes in every step gives the most: what it takes by the end of a step grows with what is in
    it at the begin.
    """
    possible_kwh = sums_by(columns.session, columns.max_energy_kwh, len(columns.sessions))
    for session, store in stores.of_session.items():
        stored_kwh, drawn_kwh = float(stores.initial_kwh[store]), 0.0
        for n in range(int(stores.first[store]), int(stores.first[store + 1])):
            most_kwh = float(columns.max_energy_kwh[stores.charge_column[n]])
            energy_kwh = min(most_kwh, stores.most_charge_kwh(store, stored_kwh, float(stores.hours[n])))
            stored_kwh += float(stores.charge_efficiency[store]) * energy_kwh
            drawn_kwh += energy_kwh
        possible_kwh[session] = drawn_kwh
    return possible_kwh
