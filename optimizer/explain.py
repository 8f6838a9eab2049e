"""Why a session goes short, in words."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from models.domain.time_grid import BoolArray, FloatArray, IntArray, TimeGrid
from optimizer.problem import CapacityProblem

FULL_KWH = 1e-6
"""A limit or bound with less than this to spare is full."""

RANGES_SHOWN = 3


def explain(
    problem: CapacityProblem, energy_kwh: FloatArray, unmet_kwh: FloatArray, unreachable_kwh: FloatArray
) -> list[str]:
    """One reason for each session, empty where it is served.

    ``departure too early`` where the stay does not allow the energy even at full power; the limits that are full while
    the session could draw more, with their hours; ``outranked by priority`` where sessions of higher priority take
    part in them; ``not used by the strategy`` where a heuristic left room.

    Args:
        problem: The scenario as arrays.
        energy_kwh: (K + X,), kWh, of all columns of limit rows.
        unmet_kwh: (S,), kWh.
        unreachable_kwh: (S,), kWh.

    Returns:
        (S,) texts.
    """
    reasons: list[list[str]] = [[] for _ in problem.sessions]
    for session in np.flatnonzero(unreachable_kwh > 0).tolist():
        reasons[session].append("departure too early")
    short = unmet_kwh > 0
    if short.any():
        blocked = _blocked(problem, energy_kwh, short)
        for session in np.flatnonzero(short).tolist():
            reasons[session].append(blocked.get(session, "not used by the strategy"))
    return ["; ".join(reason) for reason in reasons]


def _blocked(problem: CapacityProblem, energy_kwh: FloatArray, short: BoolArray) -> dict[int, str]:
    """For each short session that a full limit held back, which limits and when."""
    rows = problem.limit_rows
    full = rows.load_kwh(energy_kwh) >= rows.capacity_kwh - FULL_KWH
    by_sessions = (rows.column < problem.columns) & (rows.coefficient > 0)
    row_of_entry = np.repeat(np.arange(rows.capacity_kwh.size), np.diff(rows.start))[by_sessions]
    column = rows.column[by_sessions]
    session_of_entry = problem.column_session[column]
    idle = energy_kwh[column] < problem.max_energy_kwh[column] - FULL_KWH
    held_back = full[row_of_entry] & idle & short[session_of_entry]
    session, row = session_of_entry[held_back], row_of_entry[held_back]
    outranked = np.unique(session[_highest_priority(problem, energy_kwh)[row] > problem.priority[session]])
    limit, step = rows.limit_index[row], rows.step_index[row]
    order = np.lexsort((step, limit, session))
    session, limit, step = session[order], limit[order], step[order]
    ends = np.flatnonzero((np.diff(session) != 0) | (np.diff(limit) != 0)) + 1
    clock = _Clock(problem.grid)
    texts: dict[int, list[str]] = defaultdict(list)
    for steps, first in zip(np.split(step, ends), np.concatenate(([0], ends)).tolist(), strict=True):
        if steps.size:
            texts[int(session[first])].append(f"{problem.limits[limit[first]].label} limit {clock.ranges(steps)}")
    for index in outranked.tolist():
        texts[index].append("outranked by priority")
    return {index: "; ".join(parts) for index, parts in texts.items()}


def _highest_priority(problem: CapacityProblem, energy_kwh: FloatArray) -> FloatArray:
    """The highest priority that draws under each limit row: (R,)."""
    rows = problem.limit_rows
    priority = np.append(problem.priority[problem.column_session], np.zeros(energy_kwh.size - problem.columns))
    drawing = np.where(energy_kwh[rows.column] > FULL_KWH, priority[rows.column], 0.0)
    return np.maximum.reduceat(drawing, rows.start[:-1]) if drawing.size else np.zeros(0)


class _Clock:
    """Local times of a grid's edges, formatted once."""

    def __init__(self, grid: TimeGrid) -> None:
        same_day = grid.start.date() == grid.instant(float(grid.edges_s[-1]) - 1.0).date()
        instants = grid.instants()
        self.ends = [instant.strftime("%H:%M") for instant in instants]
        self.starts = self.ends if same_day else [instant.strftime("%m-%d %H:%M") for instant in instants]

    def ranges(self, steps: IntArray) -> str:
        """Runs of consecutive steps, the first few in full."""
        runs = np.split(steps, np.flatnonzero(np.diff(steps) > 1) + 1)
        texts = [f"{self.starts[run[0]]}-{self.ends[run[-1] + 1]}" for run in runs[:RANGES_SHOWN]]
        more = len(runs) - len(texts)
        return ", ".join(texts) + (f" and {more} more" if more else "")
