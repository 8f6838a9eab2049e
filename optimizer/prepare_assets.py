"""From a scenario to the arrays of what hangs on its site beside plain charging."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.domain.asset import Storage
from models.domain.capacity import Phase
from models.domain.scenario import Scenario
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray, IntArray, TimeGrid
from optimizer.arrays import sums_by
from optimizer.assets import (
    CURTAILED,
    NOWHERE,
    STORAGE_CHARGE,
    STORAGE_DISCHARGE,
    VEHICLE_DISCHARGE,
    AssetArrays,
    FixedPower,
    FlowOwner,
    Flows,
    Meters,
    Stores,
)


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
