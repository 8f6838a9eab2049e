"""What a scenario allows its groups and shared chargers, as limits of the problem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from models.domain.asset import relief_on, share_on
from models.domain.capacity import EXPORT_KINDS, IMPORT_KINDS, SINGLE_PHASES, Phase
from models.domain.group import Charger, LimitCounts, Site
from models.domain.scenario import Scenario
from models.domain.session import ChargingSession
from models.domain.time_grid import BoolArray, FloatArray, TimeGrid
from optimizer.assets import AssetArrays, fixed_power_kw
from optimizer.problem import CapacityLimit, CountedAssets


def capacity_limits(
    scenario: Scenario,
    grid: TimeGrid,
    sessions: Sequence[ChargingSession],
    chargers: Sequence[Charger],
    assets: AssetArrays | None,
) -> tuple[tuple[CapacityLimit, ...], tuple[str, ...]]:
    """The limits of groups, import before export, and of chargers that sessions share, each in its own order.

    Args:
        scenario: What is known.
        grid: T steps.
        sessions: S sessions, in order of arrival.
        chargers: (S,), the charger of each, as its vehicle uses it.
        assets: What hangs on the site beside plain charging; None where nothing does.

    Returns:
        The limits, and notes on what is not known.
    """
    site = scenario.site
    members: dict[str, list[int]] = defaultdict(list)
    for index, charger in enumerate(chargers):
        for group_id in site.path(charger.group_id):
            members[group_id].append(index)
    stated, notes = _group_limits_kw(scenario, grid, export=False)
    limits: list[CapacityLimit] = []
    for (group_id, phase), limit_kw in sorted(stated.items()):
        if phase is Phase.ALL or np.isfinite(limit_kw).any():
            share = np.zeros(len(sessions))
            share[members[group_id]] = [chargers[index].share_on(phase) for index in members[group_id]]
            limit = CapacityLimit(
                owner=group_id,
                is_group=True,
                phase=phase,
                limit_kw=limit_kw,
                share=share,
                connection_kw=_connection_kw(site, group_id, phase, export=False),
            )
            limits.append(limit if assets is None else _counting(limit, scenario, assets, chargers))
    if assets is not None and scenario.can_feed_in:
        exports, export_notes = _group_limits_kw(scenario, grid, export=True)
        notes += export_notes
        limits += [
            _counting(
                CapacityLimit(
                    owner=group_id,
                    is_group=True,
                    phase=phase,
                    limit_kw=limit_kw,
                    share=np.zeros(len(sessions)),
                    is_export=True,
                    connection_kw=_connection_kw(site, group_id, phase, export=True),
                ),
                scenario,
                assets,
                chargers,
            )
            for (group_id, phase), limit_kw in sorted(exports.items())
            if np.isfinite(limit_kw).any()
        ]
    if any(limit.phase is not Phase.ALL for limit in limits) and any(c.wiring is None for c in chargers):
        notes.append("limits per phase meet chargers of unknown phase, which count in full on each phase")
    shared = _charger_limits(site, grid, sessions)
    if assets is not None:
        shared = [_with_discharge(limit, assets, len(sessions)) for limit in shared]
    return (*limits, *shared), tuple(notes)


def _with_discharge(limit: CapacityLimit, assets: AssetArrays, sessions: int) -> CapacityLimit:
    """A shared charger, which counts what its vehicles feed in like what they draw."""
    here = np.array([float(owner.charger_id == limit.owner) for owner in assets.flows.owners])
    others = CountedAssets(
        session_relief=np.zeros(sessions), share=here, relief=-here, fixed_kw=np.zeros(limit.limit_kw.size)
    )
    return replace(limit, others=others)


def _counting(
    limit: CapacityLimit, scenario: Scenario, assets: AssetArrays, chargers: Sequence[Charger]
) -> CapacityLimit:
    """A limit of a group with what it counts beside the power that sessions draw."""
    site, phase = scenario.site, limit.phase
    below = frozenset(group.group_id for group in site.groups if limit.owner in site.path(group.group_id))
    counts_all = next(g for g in site.groups if g.group_id == limit.owner).limit_counts is LimitCounts.TOTAL
    owners = assets.flows.owners
    counted = [owner.group_id in below and (counts_all or owner.flexible) for owner in owners]
    steps = limit.limit_kw.size

    def of_owners(weight: Callable[[Phase, Phase], float]) -> FloatArray:
        return np.array(
            [weight(owner.phases, phase) if used else 0.0 for owner, used in zip(owners, counted, strict=True)]
        )

    session_relief = [charger.relief_on(phase) if charger.group_id in below else 0.0 for charger in chargers]
    others = CountedAssets(
        session_relief=np.array(session_relief, dtype=np.float64),
        share=of_owners(share_on),
        relief=of_owners(relief_on),
        fixed_kw=fixed_power_kw(assets.fixed, below, phase, steps, export=limit.is_export)
        if counts_all
        else np.zeros(steps),
    )
    return replace(limit, others=others)


def _group_limits_kw(
    scenario: Scenario, grid: TimeGrid, *, export: bool
) -> tuple[dict[tuple[str, Phase], FloatArray], list[str]]:
    """Limit of each group and stated phase, (T,) kW, infinite where there is none.

    The lower of connection limit and forecast holds. Where a group has forecasts but none covers a step, and neither
    the group nor anything that feeds it has a limit then, the limit is zero: a gap never means unlimited.
    """
    site, forecasts = scenario.site, scenario.forecasts
    capacity_on = forecasts.export_capacity_on if export else forecasts.import_capacity_on
    kinds = EXPORT_KINDS if export else IMPORT_KINDS
    limits: dict[tuple[str, Phase], FloatArray] = {}
    limited: dict[str, BoolArray] = {}
    for group in site.groups:
        stated = group.export_limit_kw if export else group.import_limit_kw
        static_kw = np.inf if stated is None else stated
        for phase in (Phase.ALL, *SINGLE_PHASES):
            stated_kw = np.nan_to_num(capacity_on(grid, group.group_id, phase), nan=np.inf)
            limits[group.group_id, phase] = np.minimum(stated_kw, static_kw) if phase is Phase.ALL else stated_kw
        by_phase = [np.isfinite(limits[group.group_id, phase]) for phase in (Phase.ALL, *SINGLE_PHASES)]
        limited[group.group_id] = np.logical_or.reduce(by_phase)
    notes = []
    for group in site.groups:
        if forecasts.has_limits(group.group_id, kinds):
            gap = ~np.logical_or.reduce([limited[group_id] for group_id in site.path(group.group_id)])
            limits[group.group_id, Phase.ALL][gap] = 0.0
            if gap.any():
                field = "export_limit_kw" if export else "import_limit_kw"
                notes.append(
                    f"no {'export ' if export else ''}capacity is known for group {group.group_id!r} in "
                    f"{int(gap.sum())} steps, the first at "
                    f"{grid.instant(float(grid.edges_s[int(np.argmax(gap))])).isoformat()}: planned as 0 kW; state "
                    f"{field} or send {kinds[1]} to allow more"
                )
    return limits, notes


def _connection_kw(site: Site, group_id: str, phase: Phase, *, export: bool) -> float:
    """What the connection of a group allows whatever a capacity provider says, kW; infinite where nobody says."""
    group = next(group for group in site.groups if group.group_id == group_id)
    stated = group.export_limit_kw if export else group.import_limit_kw
    return np.inf if stated is None or phase is not Phase.ALL else stated


def _charger_limits(site: Site, grid: TimeGrid, sessions: Sequence[ChargingSession]) -> list[CapacityLimit]:
    """Where sessions overlap on one charger they share its power; elsewhere the bound of a column is enough."""
    by_charger: dict[str, list[int]] = defaultdict(list)
    for index, session in enumerate(sessions):
        by_charger[session.charger_id].append(index)
    limits = []
    for charger_id, indices in sorted(item for item in by_charger.items() if len(item[1]) > 1):
        shared = np.zeros(grid.steps, dtype=bool)
        busy_until_s = -np.inf
        for session in (sessions[index] for index in indices):
            both_until_s = min(busy_until_s, session.departure_s)
            if session.arrival_s < both_until_s:
                shared |= (grid.edges_s[:-1] < both_until_s) & (grid.edges_s[1:] > session.arrival_s)
            busy_until_s = max(busy_until_s, session.departure_s)
        if shared.any():
            share = np.zeros(len(sessions))
            share[indices] = 1.0
            limit_kw = np.where(shared, site.charger(charger_id).max_power_kw, np.inf)
            limits.append(
                CapacityLimit(owner=charger_id, is_group=False, phase=Phase.ALL, limit_kw=limit_kw, share=share)
            )
    return limits
