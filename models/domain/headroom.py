"""What limits leave for the chargers once the non-flexible load that they count too is taken off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from models.domain.bounds import MAX_POWER_KW
from models.domain.capacity import CapacityBlock, CapacityForecasts, CapacityKind, Phase, SeriesKey
from models.domain.group import CapacityGroup, LimitCounts, LineLimit, Site
from models.domain.time_grid import TimeGrid
from models.domain.violation import LimitViolation, violations_of
from models.units import amperes_per_kilowatt

IMPORT_KINDS = (CapacityKind.CONSUMPTION, CapacityKind.FALLBACK_CONSUMPTION)


def headroom(site: Site, forecasts: CapacityForecasts, load_kw: Mapping[str, float]) -> tuple[Site, CapacityForecasts]:
    """Take the non-flexible load off the limits of groups that count everything behind the connection.

        limit' = max(0, limit - load)

    A limit of one phase, or of a line in ampere, loses the whole load, for nothing is known of the phase it is on, and
    gains nothing from generation.

    Args:
        site: Groups with their static limits.
        forecasts: What the groups may draw.
        load_kw: Non-flexible consumption less generation of each group and everything below it, kW; groups that are
            left out have none.

    Returns:
        The site and the forecasts, for the chargers alone. Groups whose limits count FLEXIBLE assets are unchanged.
    """
    counted = {
        group.group_id: load_kw.get(group.group_id, 0.0)
        for group in site.groups
        if group.limit_counts is LimitCounts.TOTAL and load_kw.get(group.group_id, 0.0) != 0
    }
    if not counted:
        return site, forecasts
    groups = tuple(_left_of(group, counted.get(group.group_id, 0.0), site.nominal_voltage_v) for group in site.groups)
    lines = tuple(_left_of_line(line, counted.get(line.group_id, 0.0), site) for line in site.line_limits)
    series = {key: _left_of_blocks(key, blocks, counted.get(key[0], 0.0)) for key, blocks in forecasts.series.items()}
    return replace(site, groups=groups, line_limits=lines), CapacityForecasts(series=series)


def total_load_kw(site: Site, own_load_kw: Mapping[str, float], measured_kw: Mapping[str, float]) -> dict[str, float]:
    """Non-flexible load of each group and everything below it.

    Args:
        site: The tree.
        own_load_kw: What hangs on each group itself, kW; groups that are left out have nothing.
        measured_kw: What was measured of a group as a whole, kW: it stands instead of the sum.

    Returns:
        kW by group, for every group of the site.
    """
    children: dict[str | None, list[str]] = {}
    for group in site.groups:
        children.setdefault(group.parent_id, []).append(group.group_id)
    total: dict[str, float] = {}
    for group_id in sorted((group.group_id for group in site.groups), key=lambda one: -len(site.path(one))):
        below_kw = sum(total[child] for child in children.get(group_id, ()))
        total[group_id] = measured_kw.get(group_id, own_load_kw.get(group_id, 0.0) + below_kw)
    return total


def load_violations(
    site: Site, forecasts: CapacityForecasts, load_kw: Mapping[str, float], grid: TimeGrid
) -> Iterator[LimitViolation]:
    """Where the non-flexible load alone is more than a group may draw, taken to stay as it is.

    Args:
        site: Groups with their static limits.
        forecasts: What the groups may draw.
        load_kw: As in `headroom`.
        grid: The time that is planned.
    """
    for group in site.groups:
        drawn_kw = load_kw.get(group.group_id, 0.0)
        if group.limit_counts is LimitCounts.TOTAL and drawn_kw > 0:
            stated_kw = np.inf if group.import_limit_kw is None else group.import_limit_kw
            allowed_kw = forecasts.import_capacity_on(grid, group.group_id, Phase.ALL)
            yield from violations_of(
                grid,
                group.group_id,
                Phase.ALL,
                is_export=False,
                load_kw=np.full(grid.steps, drawn_kw),
                limit_kw=np.fmin(np.nan_to_num(allowed_kw, nan=np.inf), stated_kw),
                connection_kw=stated_kw,
            )


def _left_of(group: CapacityGroup, load_kw: float, voltage_v: float) -> CapacityGroup:
    if group.import_limit_kw is not None:
        group = replace(group, import_limit_kw=min(max(0.0, group.import_limit_kw - load_kw), MAX_POWER_KW))
    if group.current_limit_a is not None:
        load_a = max(0.0, load_kw) * amperes_per_kilowatt(voltage_v)
        first, second, third = (max(0.0, limit_a - load_a) for limit_a in group.current_limit_a)
        group = replace(group, current_limit_a=(first, second, third))
    return group


def _left_of_line(line: LineLimit, load_kw: float, site: Site) -> LineLimit:
    load_a = max(0.0, load_kw) * amperes_per_kilowatt(site.nominal_voltage_v) * line.most_per_conductor
    return replace(line, limit_a=max(0.0, line.limit_a - load_a))


def _left_of_blocks(key: SeriesKey, blocks: tuple[CapacityBlock, ...], load_kw: float) -> tuple[CapacityBlock, ...]:
    _, kind, phase = key
    counted_kw = load_kw if phase in (Phase.ALL, Phase.UNKNOWN) else max(0.0, load_kw)
    if kind not in IMPORT_KINDS or counted_kw == 0:
        return blocks
    return tuple(replace(block, capacity_kw=max(0.0, block.capacity_kw - counted_kw)) for block in blocks)
