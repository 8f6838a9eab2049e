"""Which time a plan is of, and the steps it is planned in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from models.domain.scenario import Scenario
from models.domain.time_grid import TimeGrid, ceil_to_raster, floor_to_raster
from models.errors import InputError
from optimizer.options import OptimizeOptions


def window(scenario: Scenario, options: OptimizeOptions) -> tuple[datetime, datetime]:
    """First and last instant of the plan.

    Without sessions it is the time for which forecasts and prices, as far as there are any, are both known.

    Raises:
        InputError: Nothing says when the window is, or it is empty.
    """
    zone = scenario.site.time_zone
    if scenario.sessions:
        first = min(scenario.sessions, key=lambda session: session.arrival_s).arrival
        last = max(scenario.sessions, key=lambda session: session.departure_s).departure
    else:
        first, last = _known_time(scenario, options)
    start = options.start or floor_to_raster(first, options.raster, zone)
    end = options.end or ceil_to_raster(last, options.raster, zone)
    if end.timestamp() <= start.timestamp():
        raise InputError(f"window end {end.isoformat()} is not after its start {start.isoformat()}")
    return start, end


def _known_time(scenario: Scenario, options: OptimizeOptions) -> tuple[datetime, datetime]:
    """First and last instant for which every source that says anything says something."""
    sources = [scenario.forecasts.edges_s(exports=scenario.can_feed_in)]
    if scenario.tariff is not None:
        sources.append(scenario.tariff.edges_s())
    sources += [series.edges_s() for series in (*scenario.generation_kw.values(), *scenario.base_load_kw.values())]
    extents = [(float(edges_s.min()), float(edges_s.max())) for edges_s in sources if edges_s.size]
    if extents:
        first_s, last_s = max(first for first, _ in extents), min(last for _, last in extents)
        return datetime.fromtimestamp(first_s, tz=UTC), datetime.fromtimestamp(last_s, tz=UTC)
    if options.start is None or options.end is None:
        raise InputError(
            "there are no sessions, forecasts or prices that say when to plan; give both start and end of the window"
        )
    return options.start, options.end


def plan_grid(
    scenario: Scenario, options: OptimizeOptions, span: tuple[datetime, datetime], edges_s: Sequence[float]
) -> TimeGrid:
    """The steps of a plan.

    Args:
        scenario: Whatever changes in it begins a step.
        options: Have the raster.
        span: First and last instant of the plan.
        edges_s: Further edges, seconds since the epoch; those outside of the span are dropped.
    """
    known_s = scenario.edges_s(*(instant.timestamp() for instant in span))
    return TimeGrid.build(
        *span,
        raster=options.raster,
        extra_edges_s=np.concatenate((known_s, np.array(edges_s, dtype=np.float64))),
        time_zone=scenario.site.time_zone,
    )
