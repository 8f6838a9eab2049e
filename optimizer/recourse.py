"""What can still be done where the future turns out otherwise: second stages that share a plan's first steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from models.domain.scenario import Scenario
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray, IntArray
from models.domain.uncertainty import Surprise, Uncertainty
from models.units import SECONDS_PER_HOUR
from optimizer.linear_program import ProgramBuilder, Rows, Terms

if TYPE_CHECKING:
    from optimizer.problem import CapacityProblem

SHORTEST_STAY = timedelta(seconds=1)
"""Of somebody who leaves at once."""

OWN = -1
"""Marks a column of a second stage that is no column of the plan."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recourse:
    """One surprise as arrays: its own problem, of whose columns the first ones are the plan's.

    Args:
        probability: Of the surprise.
        problem: What is then to be served, over S sessions as in the plan and K' columns.
        plan_column: (K',), the plan's column that it is; `OWN` after the shared steps.
    """

    probability: float
    problem: CapacityProblem
    plan_column: IntArray

    @property
    def own(self) -> IntArray:
        """(N,), the columns after the shared steps."""
        return np.flatnonzero(self.plan_column == OWN)


def surprised(
    scenario: Scenario, uncertainty: Uncertainty, surprise: Surprise, *, now_s: float, latest: datetime | None
) -> Scenario:
    """The scenario in which one surprise comes true; limits are left as they are.

    Args:
        scenario: What is believed.
        uncertainty: Has the errors of departures.
        surprise: What comes true.
        now_s: The present, at which everybody believed to be there is there, seconds since the epoch.
        latest: End of the window, beyond which nobody stays; None for no end.
    """
    level = surprise.departure_level
    if level is None:
        return scenario
    sessions = []
    for session in scenario.sessions:
        errors = uncertainty.errors_of(session.session_id)
        if errors is None:
            sessions.append(session)
            continue
        # Who has not come yet may be wrong by anything that leaves a stay.
        least_hours = (max(now_s, session.arrival_s) - session.departure_s) / SECONDS_PER_HOUR
        (error_hours,) = errors.later_than(np.array([least_hours]), level).tolist()
        sessions.append(_leaving_later(session, error_hours, latest))
    return replace(scenario, sessions=tuple(sessions))


def _leaving_later(session: ChargingSession, hours: float, latest: datetime | None) -> ChargingSession:
    departure = session.departure + timedelta(hours=hours)
    if latest is not None and departure > latest:
        departure = latest
    return replace(session, departure=max(departure, session.arrival + SHORTEST_STAY))


def recourse_of(plan: CapacityProblem, problem: CapacityProblem, surprise: Surprise, *, shared_s: float) -> Recourse:
    """Tie a surprise's problem to the plan's.

    Args:
        plan: What is believed.
        problem: What comes true, of the same sessions, before its capacity is cut.
        surprise: Its probability and cut.
        shared_s: Steps that begin before this instant are the plan's, seconds since the epoch.
    """
    column_of = {
        (session, start_s): column
        for column, (session, start_s) in enumerate(
            zip(plan.column_session.tolist(), plan.column_start_s.tolist(), strict=True)
        )
        if start_s < shared_s
    }
    plan_column = np.array(
        [
            column_of.get(key, OWN)
            for key in zip(problem.column_session.tolist(), problem.column_start_s.tolist(), strict=True)
        ],
        dtype=np.int64,
    )
    limits = tuple(
        replace(limit, limit_kw=_cut(limit.limit_kw, surprise.capacity_share)) if limit.is_group else limit
        for limit in problem.limits
    )
    return Recourse(probability=surprise.probability, problem=replace(problem, limits=limits), plan_column=plan_column)


def _cut(limit_kw: FloatArray, share: float) -> FloatArray:
    """What is left of a limit; where there is none, none is made."""
    finite = np.isfinite(limit_kw)
    return np.where(finite, np.where(finite, limit_kw, 0.0) * share, np.inf)


def declare_recourse(builder: ProgramBuilder, recourses: Sequence[Recourse], need_kwh: FloatArray) -> None:
    """Add the variables of all second stages: ``recourse_kwh`` and ``recourse_unmet_kwh``, one after the other."""
    energy = [recourse.problem.max_energy_kwh[recourse.own] for recourse in recourses]
    builder.variable("recourse_kwh", upper=np.concatenate(energy))
    builder.variable("recourse_unmet_kwh", upper=np.tile(need_kwh, len(recourses)))


def recourse_balance(builder: ProgramBuilder, recourses: Sequence[Recourse], need_kwh: FloatArray) -> Rows:
    """In every surprise, serve what the shared steps leave, or name what is left.

        sum_(t shared) energy_kwh[s, t] + sum_(t later) recourse_kwh[w, s, t] + recourse_unmet_kwh[w, s]
            =  reachable_energy_kwh[s]                                                   for every surprise w, session s

    Returns:
        Rows indexed by w and s, kWh.
    """
    sessions = need_kwh.size
    terms = []
    for index, (recourse, own) in enumerate(_with_columns(builder, recourses)):
        session, column = _columns(builder, recourse, own)
        terms.append(Terms(row=session + index * sessions, column=column, coefficient=np.ones(column.size)))
    rows = np.arange(sessions * len(recourses))
    unmet = builder.columns("recourse_unmet_kwh")
    terms.append(Terms(row=rows, column=unmet, coefficient=np.ones(rows.size)))
    need = np.tile(need_kwh, len(recourses))
    return Rows.of_terms(terms, lower=need, upper=need)


def recourse_limit(builder: ProgramBuilder, recourses: Sequence[Recourse]) -> Rows:
    """In every surprise, hold every limit that is left after the shared steps.

        sum_(s below g) weight[s, t] * recourse_kwh[w, s, t]  <=  capacity_share[w] * limit_kw[g, t] * step_hours[t]

    Returns:
        Rows of those limits and steps in which somebody has a column of the second stage, kWh.
    """
    parts: list[Terms] = []
    upper: list[FloatArray] = []
    count = 0
    for recourse, own in _with_columns(builder, recourses):
        rows = recourse.problem.limit_rows
        entry_row = np.repeat(np.arange(rows.limit_index.size), np.diff(rows.start))
        column_of = np.full(recourse.problem.columns, OWN)
        column_of[recourse.own] = own
        column = column_of[rows.column]
        mine = column != OWN
        used, row = np.unique(entry_row[mine], return_inverse=True)
        parts.append(Terms(row=row + count, column=column[mine], coefficient=rows.coefficient[mine]))
        upper.append(rows.capacity_kwh[used])
        count += used.size
    return Rows.of_terms(parts, lower=np.full(count, -np.inf), upper=np.concatenate(upper))


def expected_unmet(recourses: Sequence[Recourse], priority: FloatArray) -> dict[str, FloatArray]:
    """Unmet energy over what is believed and every surprise.

        (1 - sum_w probability[w]) * sum_s priority[s] * unmet_kwh[s]
            + sum_(w, s) probability[w] * priority[s] * recourse_unmet_kwh[w, s]

    Returns:
        What a unit of each variable costs, kWh.
    """
    probability = np.array([recourse.probability for recourse in recourses])
    return {
        "unmet_kwh": max(0.0, 1.0 - float(probability.sum())) * priority,
        "recourse_unmet_kwh": np.outer(probability, priority).ravel(),
    }


def _with_columns(builder: ProgramBuilder, recourses: Sequence[Recourse]) -> list[tuple[Recourse, IntArray]]:
    """Each surprise with the program's columns of its own second stage."""
    all_own = builder.columns("recourse_kwh")
    edges = np.cumsum([0, *(recourse.own.size for recourse in recourses)]).tolist()
    return [(recourse, all_own[edges[at] : edges[at + 1]]) for at, recourse in enumerate(recourses)]


def _columns(builder: ProgramBuilder, recourse: Recourse, own: IntArray) -> tuple[IntArray, IntArray]:
    """Session and program column of every column of a surprise, each plan's column once."""
    energy = builder.columns("energy_kwh")
    shared = np.flatnonzero(recourse.plan_column != OWN)
    session = recourse.problem.column_session
    return (
        np.concatenate((session[shared], session[recourse.own])),
        np.concatenate((energy[recourse.plan_column[shared]], own)),
    )
