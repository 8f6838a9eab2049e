"""Lines of a problem as limits in kW: linear forms of their currents, what is drawn and fed in beside sessions too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from models.domain.capacity import Phase
from models.domain.scenario import Scenario
from models.domain.time_grid import FloatArray, TimeGrid
from models.domain.violation import STATED_KW
from models.units import amperes_per_kilowatt
from optimizer.arrays import sums_by
from optimizer.lines import BesideSessions, Line
from optimizer.problem import CapacityLimit, CapacityProblem, CountedAssets


def linear_limits(problem: CapacityProblem) -> list[CapacityLimit]:
    """Limits for all lines whose current is linear, then for all over which something beside sessions feeds in."""
    curved = frozenset(problem.curved_lines)
    held = [
        line_limit(problem, index, line.magnitude) for index, line in enumerate(problem.lines) if index not in curved
    ]
    feeding = [index for index, line in enumerate(problem.lines) if line.beside and line.beside.feeds]
    return [*held, *(_feeding_limit(problem, index) for index in feeding)]


def line_limit(problem: CapacityProblem, index: int, share: FloatArray, slack: float = 1.0) -> CapacityLimit:
    """A limit that holds a line down as far as one linear form of its currents goes.

    Args:
        problem: Has the line.
        index: Which one.
        share: (S,), the linear form, per kW of each session.
        slack: What its limit is multiplied by.

    Returns:
        The limit, infinite in steps in which it holds nobody down even at full power.
    """
    line = problem.lines[index]
    limit_kw = line.limit_kw * slack
    if line.beside is None:
        weight = problem.weight_of(every_moment=line.every_moment)
        most_kwh = share[problem.column_session] * weight * problem.max_energy_kwh
        most_kw = sums_by(problem.column_step, most_kwh, problem.grid.steps) / problem.step_hours
        limit_kw = np.where(most_kw > limit_kw, limit_kw, np.inf)
    return CapacityLimit(
        owner=line.line_id,
        is_group=False,
        phase=Phase.ALL,
        limit_kw=limit_kw,
        share=share,
        line=index,
        every_moment=line.every_moment,
        others=None if line.beside is None else _drawn_beside(line.beside, share.size),
    )


def overload_notes(scenario: Scenario, grid: TimeGrid, lines: Sequence[Line]) -> Iterator[str]:
    """A note for each line that base load alone overloads: no plan can help it."""
    in_amperes = amperes_per_kilowatt(scenario.site.nominal_voltage_v)
    for line in lines:
        over = np.zeros(0) if line.beside is None else line.beside.drawn_kw - line.limit_kw
        if line.beside is not None and over.max(initial=0.0) > STATED_KW:
            worst = int(np.argmax(over))
            drawn_a, limit_a = (kw * in_amperes for kw in (line.beside.drawn_kw[worst], line.limit_kw[worst]))
            yield (
                f"line {line.line_id!r} carries {drawn_a:.1f} A of base load from "
                f"{grid.instant(float(grid.edges_s[worst])).isoformat()}, above its {limit_a:.1f} A: no plan is safe "
                "there, and this one adds nothing"
            )


def _drawn_beside(beside: BesideSessions, sessions: int) -> CountedAssets:
    """What a line counts beside what sessions draw: on one conductor what is drawn, elsewhere what is fed in too."""
    generated = 0.0 if beside.is_conductor else -beside.amount
    return CountedAssets(
        session_relief=np.zeros(sessions),
        share=np.where(beside.draws, beside.amount, generated),
        relief=np.where(beside.is_conductor | ~beside.draws, 0.0, -beside.amount),
        fixed_kw=beside.fixed_kw,
    )


def _feeding_limit(problem: CapacityProblem, index: int) -> CapacityLimit:
    """A limit that holds down what is fed in over one conductor; what is drawn meanwhile makes no room."""
    line = problem.lines[index]
    if line.beside is None:
        raise ValueError(f"nothing is fed in over line {line.line_id!r}")
    sessions = np.zeros(len(problem.sessions))
    return CapacityLimit(
        owner=line.line_id,
        is_group=False,
        phase=Phase.ALL,
        limit_kw=line.limit_kw,
        share=sessions,
        line=index,
        every_moment=line.every_moment,
        is_export=True,
        others=CountedAssets(
            session_relief=sessions,
            share=line.beside.amount,
            relief=np.where(line.beside.draws, 0.0, line.beside.amount),
            fixed_kw=-line.beside.fed_kw,
        ),
    )
