"""What groups and shared chargers carry in a plan, and what they may: recomputed from the scenario."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.domain.capacity import EXPORT_KINDS, IMPORT_KINDS, SINGLE_PHASES, Phase
from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.domain.time_grid import BoolArray, FloatArray, TimeGrid
from models.domain.violation import LimitViolation, violations_of
from optimizer.options import LimitMode
from optimizer.planned_power import PlannedPower
from optimizer.verify_assets import AssetPower, SessionPlaces, counted_kw, row_loads_kw, row_weights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupLoad:
    """One limit of a group with its load.

    Args:
        group: The group.
        phase: Which conductor it counts.
        is_export: Which direction.
        load_kw: (T,), kW, in that direction.
        limit_kw: (T,), kW.
        unavoidable_kw: (T,), what no plan can do anything about, kW.
    """

    group: CapacityGroup
    phase: Phase
    is_export: bool
    load_kw: FloatArray
    limit_kw: FloatArray
    unavoidable_kw: FloatArray

    @property
    def label(self) -> str:
        """What messages call it."""
        name = f"group {self.group.group_id!r}" + (" export" if self.is_export else "")
        return name + ("" if self.phase is Phase.ALL else f" phase {self.phase}")

    def violations(self, grid: TimeGrid) -> Iterable[LimitViolation]:
        """The stretches in which the load exceeds the limit."""
        stated_kw = self.group.export_limit_kw if self.is_export else self.group.import_limit_kw
        return violations_of(
            grid,
            self.group.group_id,
            self.phase,
            is_export=self.is_export,
            load_kw=self.load_kw,
            limit_kw=self.limit_kw,
            connection_kw=np.inf if stated_kw is None or self.phase is not Phase.ALL else stated_kw,
        )


def group_loads(
    scenario: Scenario,
    plan: PlannedPower,
    where: SessionPlaces,
    powers: Sequence[AssetPower],
    limit_mode: LimitMode,
) -> Iterable[GroupLoad]:
    """Every limit of a group in kW with its load.

    Args:
        scenario: What was asked and allowed.
        plan: What is planned.
        where: Where its sessions hang.
        powers: What draws and feeds in beside sessions.
        limit_mode: What a limit holds down.
    """
    for group in scenario.site.groups:
        for export in (False, True) if scenario.can_feed_in else (False,):
            for phase in (Phase.ALL, *SINGLE_PHASES):
                limit_kw = _group_limit_kw(scenario, plan.grid, group.group_id, phase, export=export)
                if limit_kw is None:
                    continue
                weight = row_weights(scenario, plan, where, group.group_id, phase, export=export)
                load_kw = row_loads_kw(plan, weight, limit_mode, export=export)
                of_assets_kw, unavoidable_kw = counted_kw(
                    scenario, powers, group.group_id, phase, plan.grid.steps, export=export
                )
                yield GroupLoad(
                    group=group,
                    phase=phase,
                    is_export=export,
                    load_kw=load_kw + of_assets_kw,
                    limit_kw=limit_kw,
                    unavoidable_kw=unavoidable_kw,
                )


def _group_limit_kw(
    scenario: Scenario, grid: TimeGrid, group_id: str, phase: Phase, *, export: bool
) -> FloatArray | None:
    """What a group may draw or feed in, (T,) kW; None where nothing limits it."""
    forecasts = scenario.forecasts
    group = next(group for group in scenario.site.groups if group.group_id == group_id)
    capacity_on = forecasts.export_capacity_on if export else forecasts.import_capacity_on
    static_kw = group.export_limit_kw if export else group.import_limit_kw
    capacity_kw = capacity_on(grid, group_id, phase)
    if phase is not Phase.ALL:
        return None if np.isnan(capacity_kw).all() else np.nan_to_num(capacity_kw, nan=np.inf)
    if static_kw is not None:
        capacity_kw = np.fmin(capacity_kw, static_kw)
    if forecasts.has_limits(group_id, EXPORT_KINDS if export else IMPORT_KINDS):
        limited = _limited_above(scenario, grid, group_id, export=export)
        capacity_kw = np.where(np.isnan(capacity_kw) & ~limited, 0.0, capacity_kw)
    return None if np.isnan(capacity_kw).all() else np.nan_to_num(capacity_kw, nan=np.inf)


def _limited_above(scenario: Scenario, grid: TimeGrid, group_id: str, *, export: bool) -> BoolArray:
    """In which steps a group's phases, or anything that feeds it, has a limit: (T,) of truth values."""
    forecasts = scenario.forecasts
    capacity_on = forecasts.export_capacity_on if export else forecasts.import_capacity_on
    limited = np.zeros(grid.steps, dtype=bool)
    for name in scenario.site.path(group_id):
        group = next(group for group in scenario.site.groups if group.group_id == name)
        limited |= (group.export_limit_kw if export else group.import_limit_kw) is not None
        for phase in (Phase.ALL, *SINGLE_PHASES):
            limited |= ~np.isnan(capacity_on(grid, name, phase))
    return limited


def shared_chargers(
    scenario: Scenario, plan: PlannedPower, limit_mode: LimitMode
) -> Iterable[tuple[str, FloatArray, FloatArray]]:
    """Chargers at which sessions overlap: their name, load and limit, (T,) kW, infinite where no two share it."""
    visits: dict[str, list[int]] = {}
    for index, session in enumerate(plan.sessions):
        visits.setdefault(session.charger_id, []).append(index)
    for charger_id, indices in ((name, found) for name, found in visits.items() if len(found) > 1):
        shared = np.zeros(plan.grid.steps, dtype=bool)
        stays = sorted((plan.sessions[i].arrival_s, plan.sessions[i].departure_s) for i in indices)
        busy_until_s = -np.inf
        for arrival_s, departure_s in stays:
            both_until_s = min(busy_until_s, departure_s)
            if arrival_s < both_until_s:
                shared |= (plan.grid.edges_s[:-1] < both_until_s) & (plan.grid.edges_s[1:] > arrival_s)
            busy_until_s = max(busy_until_s, departure_s)
        if shared.any():
            share = np.zeros(len(plan.sessions))
            share[indices] = 1.0
            limit_kw = np.where(shared, scenario.site.charger(charger_id).max_power_kw, np.inf)
            either_way = replace(plan, power_kw=np.abs(plan.power_kw))
            yield f"charger {charger_id!r}", either_way.load_kw(share, limit_mode), limit_kw
