"""Figures that a plan states and its rows do not bear out, in sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

import numpy as np

from models.domain.capacity import Phase
from models.domain.scenario import Scenario
from models.domain.schedule import Costs
from models.domain.time_grid import FloatArray
from models.domain.violation import STATED_KW, LimitViolation
from optimizer.options import LimitMode
from optimizer.planned_power import RELATIVE_TOLERANCE, PlannedPower
from optimizer.verify_assets import (
    SessionPlaces,
    asset_powers,
    counted_kw,
    row_loads_kw,
    row_weights,
    storage_states_kwh,
)


def decided_kw(scenario: Scenario, stated: Iterable[tuple[str, FloatArray]]) -> dict[str, FloatArray]:
    """Of some assets' powers, those that the plan decides on: storages and generators."""
    site = scenario.site
    known = {session.session_id for session in scenario.sessions if session.has_known_state}
    known |= {load.asset_id for load in site.base_loads}
    return {asset_id: power_kw for asset_id, power_kw in stated if asset_id not in known}


def stated_costs(stated: Costs, found: Costs) -> list[tuple[str, float, float]]:
    """Name, figure stated and figure found of each cost."""
    return [
        (item.name.replace("_", " "), getattr(stated, item.name), getattr(found, item.name)) for item in fields(Costs)
    ]


def misstated_assets(
    scenario: Scenario, plan: PlannedPower, stated: Iterable[tuple[str, FloatArray, FloatArray | None]]
) -> list[str]:
    """A sentence for each storage or vehicle whose state is not what its power makes of it, and for what is missing.

    Args:
        scenario: What was asked and allowed.
        plan: What is planned.
        stated: Asset, power in each step, kW, and state at the end of each step, kWh.
    """
    site = scenario.site
    storages = {storage.asset_id: storage for storage in site.storages}
    loads = {load.asset_id for load in site.base_loads}
    missing = {asset.asset_id for asset in site.assets}
    texts: list[str] = []
    for asset_id, power_kw, stored_kwh in stated:
        missing.discard(asset_id)
        if asset_id in loads:
            drawn_kw = scenario.base_load_kw[asset_id].on(plan.grid, f"base load of {asset_id!r}")
            texts += misstatements([(f"power of {asset_id!r}", *_worst_pair(power_kw, drawn_kw))])
        if asset_id in storages and stored_kwh is not None:
            found_kwh = storage_states_kwh(storages[asset_id], plan.grid, power_kw)[1:]
            texts += misstatements([(f"state of storage {asset_id!r}", *_worst_pair(stored_kwh, found_kwh))])
    return texts + [f"asset {asset_id!r} is not part of the plan" for asset_id in sorted(missing)]


def _worst_pair(stated: FloatArray, found: FloatArray) -> tuple[float, float]:
    """Where two arrays differ most, what both say; NaN and zero where they are not of one length."""
    if stated.shape != found.shape:
        return np.nan, 0.0
    worst = int(np.argmax(np.abs(stated - found)))
    return float(stated[worst]), float(found[worst])


def misstated_groups(
    scenario: Scenario, plan: PlannedPower, stated: Iterable[tuple[str, FloatArray]], *, limit_mode: LimitMode
) -> list[str]:
    """A sentence for each group whose stated power is not that of the rows below it, and for each group left out.

    Args:
        scenario: Has the tree.
        plan: The rows.
        stated: Group and its power, (T,), kW.
        limit_mode: How power is counted.
    """
    powers, where = asset_powers(scenario, plan.grid, plan.asset_kw), SessionPlaces.of(scenario, plan)
    texts: list[str] = []
    missing = {group.group_id for group in scenario.site.groups}
    for group_id, power_kw in stated:
        missing.discard(group_id)
        weight = row_weights(scenario, plan, where, group_id, Phase.ALL, export=False)
        of_sessions_kw = row_loads_kw(plan, weight, limit_mode, export=False)
        load_kw = of_sessions_kw + counted_kw(scenario, powers, group_id, Phase.ALL, plan.grid.steps, export=False)[0]
        if power_kw.shape != load_kw.shape:
            texts.append(f"the plan states {power_kw.size} powers of group {group_id!r} for {load_kw.size} steps")
            continue
        worst = int(np.argmax(np.abs(power_kw - load_kw)))
        since = plan.grid.instant(float(plan.grid.edges_s[worst])).isoformat()
        label = f"power of group {group_id!r} from {since}"
        texts += misstatements([(label, float(power_kw[worst]), float(load_kw[worst]))])
    return texts + [f"group {group_id!r} is not part of the plan" for group_id in sorted(missing)]


def misstated_violations(stated: Iterable[LimitViolation], found: Iterable[LimitViolation]) -> list[str]:
    """A sentence for each limit that is exceeded and not stated to be, or the other way round, or by another amount."""
    claims = {_place(one): one for one in stated}
    texts: list[str] = []
    for one in found:
        claim = claims.pop(_place(one), None)
        if claim is None:
            if one.power_kw - one.limit_kw > 2 * STATED_KW:
                texts.append(f"the plan does not say that it exceeds a limit: {one.text}")
            continue
        name = f"{one.label} from {one.start.isoformat()}"
        figures = [("power of", claim.power_kw, one.power_kw), ("excess of", claim.excess_kwh, one.excess_kwh)]
        texts += misstatements([(f"{what} {name}", said, recomputed) for what, said, recomputed in figures])
        if claim.exceeds_connection is not one.exceeds_connection:
            texts.append(f"the plan says wrongly whether {name} is more than the connection allows")
    unfounded = (one for one in claims.values() if one.power_kw - one.limit_kw > 2 * STATED_KW)
    return texts + [f"the plan says it exceeds a limit that it holds: {one.text}" for one in unfounded]


def _place(one: LimitViolation) -> tuple[str, Phase, bool, float]:
    return one.group_id, one.phase, one.is_export, round(one.start.timestamp(), 3)


def misstatements(stated: Iterable[tuple[str, float, float]], *, tolerance: float = 1e-4) -> list[str]:
    """A sentence for each figure that is not what was found.

    Args:
        stated: Name, figure stated, figure found.
        tolerance: Largest difference taken for rounding.
    """
    return [
        f"the plan states {name} {claim:.6f}, recomputed it is {found:.6f}"
        for name, claim, found in stated
        if not abs(claim - found) <= tolerance + RELATIVE_TOLERANCE * abs(found)
    ]
