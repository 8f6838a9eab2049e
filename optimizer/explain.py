"""Why a session goes short, in words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from models.domain.time_grid import BoolArray, FloatArray, IntArray, TimeGrid
from models.domain.why import ReasonCode
from optimizer.options import Fairness
from optimizer.problem import CapacityProblem

FULL_KWH = 1e-6
"""A limit or bound with less than this to spare is full."""

RANGES_SHOWN = 3


@dataclass(slots=True)
class Reasons:
    """Why one session goes short.

    Args:
        words: One part for each cause.
        codes: The same for machines, each once.
    """

    words: list[str] = field(default_factory=list)
    codes: list[ReasonCode] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All causes in one line; empty where there is none."""
        return "; ".join(self.words)

    def add(self, code: ReasonCode, words: str) -> None:
        """Note a cause."""
        self.words.append(words)
        if code not in self.codes:
            self.codes.append(code)


def explain(
    problem: CapacityProblem, energy_kwh: FloatArray, unmet_kwh: FloatArray, unreachable_kwh: FloatArray
) -> list[Reasons]:
    """The reasons of each session, none where it is served.

    ``departure too early`` where the stay does not allow the energy even at full power; the limits that are full while
    the session could draw more, with their hours; ``outranked by priority`` where sessions of higher priority take
    part in them; ``not used by the strategy`` where a heuristic left room.

    Args:
        problem: The scenario as arrays.
        energy_kwh: (K + X,), kWh, of all columns of limit rows.
        unmet_kwh: (S,), kWh.
        unreachable_kwh: (S,), kWh.

    Returns:
        (S,) reasons.
    """
    reasons = [Reasons() for _ in problem.sessions]
    for session in np.flatnonzero(unreachable_kwh > 0).tolist():
        reasons[session].add(ReasonCode.DEPARTURE_TOO_EARLY, "departure too early")
    short = unmet_kwh > 0
    if short.any():
        blocked = _blocked(problem, energy_kwh, short)
        for session in np.flatnonzero(short).tolist():
            for code, words in blocked.get(session, [(ReasonCode.STRATEGY, "not used by the strategy")]):
                reasons[session].add(code, words)
    return reasons


def full_rows(problem: CapacityProblem, all_kwh: FloatArray) -> BoolArray:
    """Which limit rows have nothing to spare, (R,), at energies of all columns, (K + X,), kWh."""
    rows = problem.limit_rows
    return np.asarray(rows.load_kwh(all_kwh) >= rows.capacity_kwh - FULL_KWH)


def held_entries(problem: CapacityProblem, all_kwh: FloatArray) -> tuple[IntArray, IntArray]:
    """The full rows that hold back power columns: row and column of each such pair."""
    rows = problem.limit_rows
    row_of_entry = np.repeat(np.arange(rows.capacity_kwh.size), np.diff(rows.start))
    holds = (rows.column < problem.columns) & (rows.coefficient > 0) & full_rows(problem, all_kwh)[row_of_entry]
    return row_of_entry[holds], rows.column[holds]


def _blocked(
    problem: CapacityProblem, energy_kwh: FloatArray, short: BoolArray
) -> dict[int, list[tuple[ReasonCode, str]]]:
    """For each short session that a full limit held back, which limits and when."""
    rows = problem.limit_rows
    row, column = held_entries(problem, energy_kwh)
    idle = energy_kwh[column] < problem.max_energy_kwh[column] - FULL_KWH
    held_back = idle & short[problem.column_session[column]]
    session, row = problem.column_session[column][held_back], row[held_back]
    outranked = np.unique(session[_best_rank(problem, energy_kwh)[row] < _ranks(problem)[session]])
    # Sides of a line's polygon are one limit to whoever reads it.
    first_of: dict[str, int] = {}
    same = np.array([first_of.setdefault(limit.label, index) for index, limit in enumerate(problem.limits)], dtype=int)
    limit, step = same[rows.limit_index[row]], rows.step_index[row]
    session, limit, step = np.unique(np.stack((session, limit, step)), axis=1)
    ends = np.flatnonzero((np.diff(session) != 0) | (np.diff(limit) != 0)) + 1
    clock = _Clock(problem.grid)
    found: dict[int, list[tuple[ReasonCode, str]]] = defaultdict(list)
    for steps, first in zip(np.split(step, ends), np.concatenate(([0], ends)).tolist(), strict=True):
        if steps.size:
            held_by = problem.limits[limit[first]]
            found[int(session[first])].append((held_by.code, f"{held_by.label} limit {clock.ranges(steps)}"))
    for index in outranked.tolist():
        found[index].append((ReasonCode.OUTRANKED, "outranked by priority"))
    return found


def _ranks(problem: CapacityProblem) -> IntArray:
    """Who comes before whom: (S,), by class and, where weights count, by weight; equal for equals, the first lowest."""
    weighs = problem.fairness is Fairness.TOTAL
    weight = problem.priority if weighs else np.zeros(problem.priority.size)
    _, rank = np.unique(np.stack((problem.priority_class, -weight)), axis=1, return_inverse=True)
    return np.asarray(rank, dtype=np.int64).reshape(-1)


def _best_rank(problem: CapacityProblem, energy_kwh: FloatArray) -> IntArray:
    """The best rank that draws under each limit row: (R,)."""
    rows = problem.limit_rows
    nobody = len(problem.sessions)
    of_column = np.append(_ranks(problem)[problem.column_session], np.full(energy_kwh.size - problem.columns, nobody))
    drawing = np.where(energy_kwh[rows.column] > FULL_KWH, of_column[rows.column], nobody)
    return np.asarray(np.minimum.reduceat(drawing, rows.start[:-1]) if drawing.size else drawing)


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
