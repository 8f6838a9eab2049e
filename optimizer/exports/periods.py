"""Power over time as the few periods that a charger holds, never above the plan."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.domain.time_grid import FloatArray

NOTHING_KW = 1e-9


@dataclass(frozen=True, slots=True)
class Period:
    """A power from some second on, until the next period.

    Args:
        offset_s: Whole seconds after the begin.
        power_kw: kW.
    """

    offset_s: int
    power_kw: float


def periods_of(
    start_s: FloatArray, until_s: FloatArray, power_kw: FloatArray, *, begin_s: int, max_periods: int
) -> list[Period]:
    """The power of some rows together, as periods.

    Edges within a second are moved so that the power is never above the plan's. The last period is a stop, for a
    profile without end goes on until another takes its place. Where there are more periods than a charger holds,
    neighbours are put together at the lower power, so that as little energy as can be is lost.

    Args:
        start_s: (K,), begin of each row, seconds since the epoch.
        until_s: (K,), its end.
        power_kw: (K,), kW.
        begin_s: Begin of the profile; nothing lies before it.
        max_periods: The most periods, at least one.

    Returns:
        Periods in order of time, the first at the begin.
    """
    edges_s, position = np.unique(np.concatenate((start_s, until_s)), return_inverse=True)
    change_kw = np.bincount(position, weights=np.concatenate((power_kw, -power_kw)), minlength=edges_s.size)
    level_kw = np.cumsum(change_kw)
    level_kw[level_kw < NOTHING_KW] = 0.0
    periods = [Period(0, 0.0)]
    for edge_s, power in zip((edges_s - begin_s).tolist(), level_kw.tolist(), strict=True):
        _append(periods, edge_s, power)
    return periods if len(periods) <= max_periods else _put_together(periods, max_periods)


def _append(periods: list[Period], edge_s: float, power_kw: float) -> None:
    """Go on with another power: a higher one from the next whole second, a lower one from the last."""
    while True:
        before = periods[-1]
        offset_s = max(math.ceil(edge_s) if power_kw > before.power_kw else math.floor(edge_s), 0)
        if offset_s > before.offset_s or len(periods) == 1:
            break
        periods.pop()
    if offset_s == before.offset_s:
        periods[-1] = Period(offset_s, power_kw)
    elif abs(power_kw - before.power_kw) > NOTHING_KW:
        periods.append(Period(offset_s, power_kw))


def _put_together(periods: list[Period], most: int) -> list[Period]:
    """So many periods, the last one a stop, with the least energy lost: by dynamic programming."""
    if most == 1:
        return [Period(0, 0.0)]
    offset_s = np.array([period.offset_s for period in periods], dtype=np.float64)
    power_kw = np.array([period.power_kw for period in periods[:-1]])
    length_s = np.diff(offset_s)
    count, parts = power_kw.size, most - 1
    lost = _lost(power_kw, length_s)
    best = np.full(count + 1, np.inf)
    best[0] = 0.0
    cuts = []
    for _ in range(parts):
        options = best[:count, None] + lost  # (i, j): the last part reaches from i to j
        cuts.append(options.argmin(axis=0))
        best = np.append(np.inf, options.min(axis=0))
    # The stop at the end may begin earlier, and what is planned then is lost too.
    tail = np.append(np.cumsum((power_kw * length_s)[::-1])[::-1], 0.0)
    bounds = [int(np.argmin(best + tail))]
    for cut in reversed(cuts):
        bounds.append(int(cut[bounds[-1] - 1]))
    merged = [
        Period(periods[first].offset_s, float(power_kw[first:behind].min())) for first, behind in pairwise(bounds[::-1])
    ]
    return [*merged, Period(periods[bounds[0]].offset_s, 0.0)]


def _lost(power_kw: FloatArray, length_s: FloatArray) -> FloatArray:
    """Energy lost where periods i to j become one at their lowest power: (N, N), kW s, infinite where i is after j."""
    lost = np.full((power_kw.size, power_kw.size), np.inf)
    for first in range(power_kw.size):
        lowest_kw = np.minimum.accumulate(power_kw[first:])
        whole = np.cumsum(power_kw[first:] * length_s[first:])
        lost[first, first:] = whole - lowest_kw * np.cumsum(length_s[first:])
    return lost
