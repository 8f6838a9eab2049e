"""From energies to what assets do, what meters count and what it costs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from models.domain.measurement import AssetCategory
from models.domain.schedule import AssetResult, Costs
from models.domain.time_grid import FloatArray
from optimizer.arrays import dot, sums_by
from optimizer.asset_formulation import metered_kwh
from optimizer.assets import CURTAILED, NOWHERE, AssetArrays
from optimizer.problem import CapacityProblem


def net_kwh(problem: CapacityProblem, flow_kwh: FloatArray) -> FloatArray:
    """Batteries that charge and discharge at once made ones that do one of both, with the same states.

        with e = charge_efficiency * discharge_efficiency:   charged - min(charged, discharged / e)   and
        discharged - min(charged * e, discharged)

    Less is drawn from the grid by it, and nothing else changes.

    Args:
        problem: The scenario as arrays.
        flow_kwh: (K + X,), kWh.

    Returns:
        (K + X,), kWh.
    """
    if problem.assets is None or not problem.assets.stores.count:
        return flow_kwh
    stores, net = problem.assets.stores, flow_kwh.copy()
    feeds = np.flatnonzero(stores.discharge_column != NOWHERE)
    charge, discharge = stores.charge_column[feeds], stores.discharge_column[feeds]
    efficiency = (stores.charge_efficiency * stores.discharge_efficiency)[stores.store[feeds]]
    drawn, fed = flow_kwh[charge], flow_kwh[discharge]
    net[charge] = np.maximum(drawn - fed / efficiency, 0.0)
    net[discharge] = np.maximum(fed - drawn * efficiency, 0.0)
    return net


def costs_of(problem: CapacityProblem, flow_kwh: FloatArray) -> tuple[float, Costs, float]:
    """What energies cost and move.

    Args:
        problem: The scenario as arrays.
        flow_kwh: (K + X,), kWh.

    Returns:
        Cost of the energy, currency; the rest; and the highest mean net import of the site, kW.
    """
    metered = metered_kwh(problem, flow_kwh)
    drawn, fed = np.maximum(metered, 0.0).sum(axis=0), np.maximum(-metered, 0.0).sum(axis=0)
    site_kw = metered.sum(axis=0) / problem.step_hours
    nothing = np.zeros(problem.grid.steps)
    price = nothing if problem.price_per_kwh is None else problem.price_per_kwh
    earned = nothing if problem.export_price_per_kwh is None else problem.export_price_per_kwh
    carbon = nothing if problem.carbon_kg_per_kwh is None else problem.carbon_kg_per_kwh
    revenue, carbon_kg = dot(earned, fed), dot(carbon, drawn)
    assets = problem.assets
    flows = flow_kwh[problem.columns :]
    costs = Costs(
        import_energy_kwh=float(drawn.sum()),
        export_energy_kwh=float(fed.sum()),
        export_revenue=revenue,
        wear_cost=0.0 if assets is None else dot(assets.flows.wear_price_per_kwh, flows),
        demand_cost=sum(
            charge.price_per_kw * float((peaks - charge.floors_kw(peaks.size)).sum())
            for charge in problem.demand_charges
            for peaks in (charge.peaks_kw(problem.grid, np.maximum(site_kw, 0.0)),)
        ),
        carbon_kg=carbon_kg,
        carbon_cost=problem.carbon_price_per_kg * carbon_kg,
        curtailed_energy_kwh=0.0 if assets is None else float(flows[assets.flows.of(CURTAILED)].sum()),
    )
    return dot(price, drawn) - revenue, costs, float(site_kw.max(initial=0.0))


def asset_results(problem: CapacityProblem, flow_kwh: FloatArray) -> tuple[AssetResult, ...]:
    """What each asset does, from the energies of all columns, (K + X,), kWh."""
    if problem.assets is None:
        return ()
    stored = _stored(problem, problem.assets, flow_kwh)
    return (*stored, *_fixed(problem, problem.assets, flow_kwh))


def _stored(problem: CapacityProblem, assets: AssetArrays, flow_kwh: FloatArray) -> Iterator[AssetResult]:
    stores = assets.stores
    state = np.clip(stores.stored_kwh(flow_kwh), stores.min_kwh[stores.store], stores.max_kwh[stores.store])
    fed = np.where(stores.discharge_column == NOWHERE, 0.0, flow_kwh[stores.discharge_column])
    drawn = flow_kwh[stores.charge_column] - fed
    for store, name in enumerate(stores.names):
        mine = slice(int(stores.first[store]), int(stores.first[store + 1]))
        stored_kwh, power_kw = np.full(problem.grid.steps, np.nan), np.zeros(problem.grid.steps)
        stored_kwh[stores.step[mine]] = state[mine]
        power_kw[stores.step[mine]] = drawn[mine] / problem.step_hours[stores.step[mine]]
        is_storage = stores.session[store] == NOWHERE
        yield AssetResult(
            asset_id=name,
            category=AssetCategory.STORAGE if is_storage else AssetCategory.CHARGING,
            power_kw=power_kw,
            stored_kwh=stored_kwh,
            short_kwh=max(0.0, float(stores.wanted_final_kwh[store] - state[mine][-1])) if is_storage else 0.0,
        )


def _fixed(problem: CapacityProblem, assets: AssetArrays, flow_kwh: FloatArray) -> Iterator[AssetResult]:
    flows = assets.flows
    curtailed = flows.of(CURTAILED)
    generators = {owner.name: index for index, owner in enumerate(flows.owners) if not owner.flexible}
    for one in assets.fixed:
        mine = curtailed[flows.owner[curtailed] == generators.get(one.asset_id, NOWHERE)]
        left_out = sums_by(flows.step[mine], flow_kwh[problem.columns + mine], problem.grid.steps)
        yield AssetResult(
            asset_id=one.asset_id,
            category=AssetCategory.GENERATION if one.is_generation else AssetCategory.CONSUMPTION,
            power_kw=one.power_kw + left_out / problem.step_hours,
            available_kw=-one.power_kw if one.is_generation else None,
        )


def least_curtailment(problem: CapacityProblem) -> FloatArray:
    """Flows with which assets are left alone: only what limits of the export demand is curtailed, the rest is used.

    Group by group from the smallest upwards, in proportion to what each generator would give.

    Returns:
        (X,), kWh.
    """
    if problem.assets is None:
        return np.zeros(0)
    rows, count = problem.limit_rows, problem.columns
    flow_kwh = np.zeros(problem.assets.flows.count)
    forced = np.flatnonzero(rows.capacity_kwh < 0)
    for row in forced[np.argsort(np.diff(rows.start)[forced], kind="stable")].tolist():
        entries = slice(int(rows.start[row]), int(rows.start[row + 1]))
        column, coefficient = rows.column[entries], rows.coefficient[entries]
        relief = (column >= count) & (coefficient < 0)
        mine = column[relief] - count
        is_curtailed = np.isin(mine, problem.assets.flows.of(CURTAILED))
        mine, weight = mine[is_curtailed], -coefficient[relief][is_curtailed]
        room = (problem.assets.flows.max_kwh[mine] - flow_kwh[mine]) * weight
        needed = -rows.capacity_kwh[row] - float((flow_kwh[mine] * weight).sum())
        if needed > 0 and room.sum() > 0:
            flow_kwh[mine] += min(1.0, needed / float(room.sum())) * room / weight
    return flow_kwh
