"""What assets beside plain charging do in a plan, and what it costs: recomputed from the scenario step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from models.domain.asset import Generator, Storage, relief_on, share_on
from models.domain.capacity import Phase
from models.domain.connection import Connection
from models.domain.group import Charger, LimitCounts
from models.domain.scenario import Scenario
from models.domain.schedule import Costs
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray, IntArray, TimeGrid
from models.units import SECONDS_PER_HOUR
from optimizer.arrays import dot, sums_by
from optimizer.options import LimitMode
from optimizer.planned_power import TOLERANCE, PlannedPower

STATE_TOLERANCE_KWH = 1e-5
"""A state is a sum over all steps before it, each of them rounded."""
WHOLE_STEP_HOURS = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetPower:
    """The power of one asset.

    Args:
        group_id: The group it hangs on.
        phases: The phases it is on.
        power_kw: (T,), mean of each step, kW, below zero where it feeds in.
        is_storage: Whether a limit that counts flexible assets counts it.
        left_alone_kw: (T,), what it would be if nobody told it anything, kW.
        least_kw: (T,), what it would be if it fed in as little as it can be told to, kW.
    """

    group_id: str
    phases: Phase
    power_kw: FloatArray
    is_storage: bool
    left_alone_kw: FloatArray
    least_kw: FloatArray


def asset_powers(scenario: Scenario, grid: TimeGrid, planned_kw: Mapping[str, FloatArray]) -> list[AssetPower]:
    """Every asset with its power: planned, or forecast where nobody decides on it."""
    site, nothing = scenario.site, np.zeros(grid.steps)
    powers = [
        AssetPower(
            group_id=storage.group_id,
            phases=storage.phases,
            power_kw=planned_kw.get(storage.asset_id, nothing),
            is_storage=True,
            left_alone_kw=nothing,
            least_kw=nothing,
        )
        for storage in site.storages
    ]
    for generator in site.generators:
        available_kw = _available_kw(scenario, grid, generator)
        powers.append(
            AssetPower(
                group_id=generator.group_id,
                phases=generator.phases,
                power_kw=planned_kw.get(generator.asset_id, -available_kw),
                is_storage=False,
                left_alone_kw=-available_kw,
                least_kw=nothing if generator.curtailable else -available_kw,
            )
        )
    for load in site.base_loads:
        drawn_kw = scenario.base_load_kw[load.asset_id].on(grid, f"base load of {load.asset_id!r}")
        powers.append(
            AssetPower(
                group_id=load.group_id,
                phases=load.phases,
                power_kw=drawn_kw,
                is_storage=False,
                left_alone_kw=drawn_kw,
                least_kw=drawn_kw,
            )
        )
    return powers


def _available_kw(scenario: Scenario, grid: TimeGrid, generator: Generator) -> FloatArray:
    return scenario.generation_kw[generator.asset_id].on(grid, f"generation of {generator.asset_id!r}")


def counted_kw(
    scenario: Scenario, powers: Iterable[AssetPower], group_id: str, phase: Phase, steps: int, *, export: bool
) -> tuple[FloatArray, FloatArray]:
    """What a limit of a group counts of its assets.

    Args:
        scenario: The site.
        powers: Every asset.
        group_id: The group.
        phase: The phase the limit is of.
        steps: T.
        export: Whether it holds down what is fed in.

    Returns:
        Their power as planned, (T,), kW, and the power that no plan can do anything about, (T,), kW; in the limit's
        direction both.
    """
    group = next(group for group in scenario.site.groups if group.group_id == group_id)
    planned, least = np.zeros(steps), np.zeros(steps)
    for one in powers:
        counts = one.is_storage or group.limit_counts is LimitCounts.TOTAL
        if not counts or group_id not in scenario.site.path(one.group_id):
            continue
        share, relief = share_on(one.phases, phase), relief_on(one.phases, phase)
        drawn, fed = (-relief, -share) if export else (share, relief)
        planned += np.where(one.power_kw >= 0, drawn, fed) * one.power_kw
        unavoidable_kw = one.least_kw if export else one.left_alone_kw
        least += np.where(unavoidable_kw >= 0, drawn, fed) * unavoidable_kw
    return planned, least


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SessionPlaces:
    """Where S sessions are: of many sessions few differ in group and conductors.

    Args:
        place: (S,), index of a session's place.
        places: A charger as it is used in each place.
    """

    place: IntArray
    places: tuple[Charger, ...]

    @classmethod
    def of(cls, scenario: Scenario, plan: PlannedPower) -> SessionPlaces:
        """Those of a plan."""
        index_of: dict[tuple[str, Connection | None], int] = {}
        places: list[Charger] = []
        place: list[int] = []
        for session in plan.sessions:
            charger = scenario.site.charger(session.charger_id).used_by(session.vehicle_phases)
            key = (charger.group_id, charger.wiring)
            if key not in index_of:
                index_of[key] = len(places)
                places.append(charger)
            place.append(index_of[key])
        return cls(place=np.array(place, dtype=np.int64), places=tuple(places))

    def of_rows(self, plan: PlannedPower, values: Iterable[float]) -> FloatArray:
        """A figure of each place as one of each row of a plan: (K,)."""
        return np.array(list(values), dtype=np.float64)[self.place[plan.session_index]]


def row_weights(
    scenario: Scenario, plan: PlannedPower, where: SessionPlaces, group_id: str, phase: Phase, *, export: bool
) -> FloatArray:
    """How a limit of a group counts the power of each row of a plan by its direction: (K,), zero for rows elsewhere."""
    below = [one if group_id in scenario.site.path(one.group_id) else None for one in where.places]
    share = where.of_rows(plan, (0.0 if one is None else one.share_on(phase) for one in below))
    relief = where.of_rows(plan, (0.0 if one is None else one.relief_on(phase) for one in below))
    if export:
        return np.where(plan.power_kw < 0, -share, -relief)
    return np.where(plan.power_kw < 0, relief, share)


def row_loads_kw(plan: PlannedPower, weight: FloatArray, limit_mode: LimitMode, *, export: bool) -> FloatArray:
    """Power of all rows as a limit counts it, (T,), kW; at every moment a row makes room only if it fills its step."""
    counted = plan.power_kw * weight
    step_hours = plan.grid.step_hours[plan.step]
    if limit_mode is LimitMode.MEAN:
        counted = counted * plan.hours / step_hours
    else:
        makes_room = (plan.power_kw > 0) if export else (plan.power_kw < 0)
        counted = np.where(makes_room & (plan.hours < step_hours - WHOLE_STEP_HOURS), 0.0, counted)
    return sums_by(plan.step, counted, plan.grid.steps)


def delivered_kwh(plan: PlannedPower) -> FloatArray:
    """Energy of each session, what it feeds in taken off with its losses: (S,), kWh."""
    energy_kwh = plan.power_kw * plan.hours
    if not (energy_kwh < 0).any():
        return sums_by(plan.session_index, energy_kwh, len(plan.sessions))
    loss = np.array([1.0 / (one.charge_efficiency * one.discharge_efficiency) for one in plan.sessions])
    counted = np.where(energy_kwh < 0, energy_kwh * loss[plan.session_index], energy_kwh)
    return sums_by(plan.session_index, counted, len(plan.sessions))


def vehicle_states(plan: PlannedPower, session: int) -> tuple[FloatArray, FloatArray]:
    """States of a vehicle at its arrival and after each of its rows in order of time, kWh, and their powers, kW."""
    one = plan.sessions[session]
    rows = np.flatnonzero(plan.session_index == session)
    rows = rows[np.argsort(plan.start_s[rows], kind="stable")]
    energy_kwh = (plan.power_kw * plan.hours)[rows]
    change = np.where(energy_kwh >= 0, energy_kwh * one.charge_efficiency, energy_kwh / one.discharge_efficiency)
    begin_kwh = (one.arrival_soc or 0.0) * (one.battery_capacity_kwh or 0.0)
    return begin_kwh + np.concatenate(([0.0], np.cumsum(change))), plan.power_kw[rows]


def vehicle_violations(scenario: Scenario, plan: PlannedPower) -> Iterator[str]:
    """Vehicles that are emptied or filled beyond their bounds, or charged faster than their curve lets them."""
    for index, session in enumerate(plan.sessions):
        if session.has_known_state:
            states_kwh, power_kw = vehicle_states(plan, index)
            yield from _battery_violations(session, states_kwh)
            if session.charge_curve_id is not None and session.battery_capacity_kwh is not None:
                curve = scenario.site.charge_curve(session.charge_curve_id)
                most_kw = np.array([curve.power_kw(soc) for soc in states_kwh[1:] / session.battery_capacity_kwh])
                excess_kw = power_kw - most_kw
                worst = int(np.argmax(excess_kw)) if excess_kw.size else 0
                if excess_kw.size and excess_kw[worst] > STATE_TOLERANCE_KWH:
                    yield (
                        f"session {session.session_id!r}: planned {power_kw[worst]:.6f} kW at a state of charge of "
                        f"{states_kwh[worst + 1] / session.battery_capacity_kwh:.4f}, where its curve allows "
                        f"{most_kw[worst]:.6f} kW"
                    )


def _battery_violations(session: ChargingSession, states_kwh: FloatArray) -> Iterator[str]:
    capacity_kwh, soc = session.battery_capacity_kwh or 0.0, session.arrival_soc or 0.0
    least_kwh = min(session.min_soc, soc) * capacity_kwh
    yield from _state_violations(f"session {session.session_id!r}", states_kwh, least_kwh, capacity_kwh)


def _state_violations(name: str, states_kwh: FloatArray, least_kwh: float, most_kwh: float) -> Iterator[str]:
    low, high = float(states_kwh.min()), float(states_kwh.max())
    if low < least_kwh - STATE_TOLERANCE_KWH:
        yield f"{name}: emptied to {low:.6f} kWh, must keep {least_kwh:.6f} kWh"
    if high > most_kwh + STATE_TOLERANCE_KWH:
        yield f"{name}: filled to {high:.6f} kWh, can hold {most_kwh:.6f} kWh"


def storage_states_kwh(storage: Storage, grid: TimeGrid, power_kw: FloatArray) -> FloatArray:
    """State of a storage at every edge of the steps: (T + 1,), kWh."""
    energy_kwh = power_kw * grid.step_hours
    change = np.where(
        energy_kwh >= 0, energy_kwh * storage.charge_efficiency, energy_kwh / storage.discharge_efficiency
    )
    return storage.energy_kwh + np.concatenate(([0.0], np.cumsum(change)))


def asset_violations(scenario: Scenario, grid: TimeGrid, planned_kw: Mapping[str, FloatArray]) -> Iterator[str]:
    """Storages beyond their bounds, generators that give what they do not have, assets that are not the site's."""
    site = scenario.site
    known = {asset.asset_id for asset in site.assets} - {load.asset_id for load in site.base_loads}
    for asset_id, power_kw in planned_kw.items():
        if asset_id not in known:
            yield f"asset {asset_id!r} is not one that the site decides on"
        elif power_kw.shape != (grid.steps,):
            yield f"the plan states {power_kw.size} powers of asset {asset_id!r} for {grid.steps} steps"
    for storage in site.storages:
        if storage.asset_id in planned_kw and planned_kw[storage.asset_id].shape == (grid.steps,):
            yield from _storage_violations(storage, grid, planned_kw[storage.asset_id])
    for generator in site.generators:
        if generator.asset_id in planned_kw and planned_kw[generator.asset_id].shape == (grid.steps,):
            given_kw, available_kw = -planned_kw[generator.asset_id], _available_kw(scenario, grid, generator)
            name = f"generator {generator.asset_id!r}"
            if (given_kw > available_kw + TOLERANCE).any() or (given_kw < -TOLERANCE).any():
                yield f"{name}: planned to give what it does not have, or to draw"
            if not generator.curtailable and (given_kw < available_kw - TOLERANCE).any():
                yield f"{name}: planned to give less, and it cannot be told to"


def _storage_violations(storage: Storage, grid: TimeGrid, power_kw: FloatArray) -> Iterator[str]:
    name = f"storage {storage.asset_id!r}"
    if power_kw.max() > storage.max_charge_kw + TOLERANCE or -power_kw.min() > storage.max_discharge_kw + TOLERANCE:
        yield (
            f"{name}: planned between {power_kw.min():.6f} and {power_kw.max():.6f} kW, may feed in "
            f"{storage.max_discharge_kw:.6f} kW and draw {storage.max_charge_kw:.6f} kW"
        )
    states_kwh = storage_states_kwh(storage, grid, power_kw)
    yield from _state_violations(name, states_kwh, storage.min_energy_kwh, storage.max_energy_kwh)
    least_kwh = min(storage.energy_kwh, storage.wanted_energy_kwh)
    if states_kwh[-1] < least_kwh - STATE_TOLERANCE_KWH:
        yield f"{name}: left with {states_kwh[-1]:.6f} kWh, must be left with {least_kwh:.6f} kWh"


def possible_kwh(scenario: Scenario, plan: PlannedPower, power_kw: FloatArray) -> FloatArray:
    """What the stays allow at full power, batteries and their curves heeded: (S,), kWh."""
    possible = power_kw * (plan.departure_s - plan.arrival_s) / SECONDS_PER_HOUR
    for index, session in enumerate(plan.sessions):
        if session.has_known_state and power_kw[index] > 0:
            possible[index] = _fullest_kwh(scenario, plan.grid, session, float(power_kw[index]))
    return possible


def _fullest_kwh(scenario: Scenario, grid: TimeGrid, session: ChargingSession, power_kw: float) -> float:
    """What a vehicle draws that is charged as fast as it can be in every step, kWh.

    Within a step the power is constant and as the curve allows at the state at its end.
    """
    capacity_kwh, soc = session.battery_capacity_kwh or 0.0, session.arrival_soc or 0.0
    lines: tuple[tuple[float, float], ...] = ()
    if session.charge_curve_id is not None:
        lines = scenario.site.charge_curve(session.charge_curve_id).lines()
    drawn_kwh = 0.0
    for first_s, last_s in zip(grid.edges_s[:-1].tolist(), grid.edges_s[1:].tolist(), strict=True):
        hours = (min(last_s, session.departure_s) - max(first_s, session.arrival_s)) / SECONDS_PER_HOUR
        if hours <= 0:
            continue
        gain = session.charge_efficiency / capacity_kwh
        step_kw = min([power_kw, *((a - b * soc) / (1.0 + b * gain * hours) for a, b in lines)])
        energy_kwh = min(max(step_kw, 0.0) * hours, max(0.0, 1.0 - soc) / gain)
        soc += gain * energy_kwh
        drawn_kwh += energy_kwh
    return drawn_kwh


def metered_kw(
    scenario: Scenario, plan: PlannedPower, where: SessionPlaces, powers: Iterable[AssetPower]
) -> FloatArray:
    """Mean net import of each root in each step: (R, T), kW."""
    site, steps = scenario.site, plan.grid.steps
    place = {root: index for index, root in enumerate(site.roots)}
    root = np.array([place[site.path(one.group_id)[-1]] for one in where.places], dtype=np.int64)
    pair = root[where.place[plan.session_index]] * steps + plan.step
    mean_kw = plan.power_kw * plan.hours / plan.grid.step_hours[plan.step]
    net_kw = sums_by(pair, mean_kw, len(place) * steps).reshape(len(place), steps)
    for one in powers:
        net_kw[place[site.path(one.group_id)[-1]]] += one.power_kw
    return net_kw


def costs_of(
    scenario: Scenario, plan: PlannedPower, net_kw: FloatArray, planned_kw: Mapping[str, FloatArray]
) -> tuple[float, Costs]:
    """Cost of the energy, currency, and all other costs of a plan."""
    grid, site, tariff = plan.grid, scenario.site, scenario.tariff
    drawn = (np.maximum(net_kw, 0.0) * grid.step_hours).sum(axis=0)
    fed = (np.maximum(-net_kw, 0.0) * grid.step_hours).sum(axis=0)
    carbon = scenario.carbon_kg_per_kwh
    carbon_kg = 0.0 if carbon is None else dot(carbon.on(grid, "carbon intensity"), drawn)
    revenue = 0.0 if tariff is None else dot(tariff.export_price_on(grid), fed)
    wear = 0.0
    if (plan.power_kw < 0).any():
        row_price = np.array([session.wear_price_per_kwh for session in plan.sessions], dtype=np.float64)
        wear = dot(row_price[plan.session_index], np.maximum(-plan.power_kw, 0.0) * plan.hours)
    for storage in site.storages:
        power_kw = planned_kw.get(storage.asset_id, np.zeros(grid.steps))
        wear += storage.wear_price_per_kwh * dot(np.maximum(-power_kw, 0.0), grid.step_hours)
    curtailed = sum(
        dot(_available_kw(scenario, grid, one) + planned_kw[one.asset_id], grid.step_hours)
        for one in site.generators
        if one.asset_id in planned_kw
    )
    demand = 0.0
    for charge in scenario.demand_charges:
        peaks_kw = charge.peaks_kw(grid, np.maximum(net_kw.sum(axis=0), 0.0))
        demand += charge.price_per_kw * float((peaks_kw - charge.floors_kw(peaks_kw.size)).sum())
    energy_cost = 0.0 if tariff is None else dot(tariff.import_price_on(grid), drawn) - revenue
    return energy_cost, Costs(
        import_energy_kwh=float(drawn.sum()),
        export_energy_kwh=float(fed.sum()),
        export_revenue=revenue,
        wear_cost=wear,
        demand_cost=demand,
        carbon_kg=carbon_kg,
        carbon_cost=site.carbon_price_per_kg * carbon_kg,
        curtailed_energy_kwh=curtailed,
    )
