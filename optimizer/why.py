"""Why a plan is what it is: what holds each session back in each step, and what would have served who goes short."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.domain.scenario import Scenario
from models.domain.time_grid import FloatArray, IntArray
from models.domain.why import Holding, ReasonCode, ServingChange, Why
from models.errors import SolverError
from optimizer.explain import FULL_KWH, held_entries
from optimizer.extract import Outcome, flows_of
from optimizer.options import OptimizeOptions, Strategy
from optimizer.problem import CapacityProblem

ScalarT = TypeVar("ScalarT", bound=np.generic)

logger = logging.getLogger(__name__)

SHORT_KWH = 1e-3
"""A session that lacks less is served: a meter shows no more."""

SAME_PRICE = 1e-6
"""Currency per kWh; steps whose prices differ by less make one stretch."""

NOBODY = -1


def why(scenario: Scenario, options: OptimizeOptions, problem: CapacityProblem, outcome: Outcome) -> Why:
    """The reasons of a plan.

    Args:
        scenario: What was planned.
        options: How.
        problem: The scenario as arrays, with all limits that held the plan down.
        outcome: What came of it. Changes are looked for where it is the optimum only: nobody can say what a heuristic
            would do.

    Returns:
        What holds whom back, and the smallest changes that would have served who goes short.
    """
    all_kwh = problem.with_flows(outcome.energy_kwh, flows_of(problem, outcome))
    holdings = tuple(_holdings(problem, outcome, all_kwh))
    if outcome.strategy != Strategy.OPTIMAL:
        return Why(holdings=holdings)
    # The heuristics and the checks do without the solver, which takes a moment to import.
    from optimizer.changes import smallest_changes  # noqa: PLC0415

    deadline = None if options.why_limit_s is None else time.perf_counter() + options.why_limit_s
    delivered_kwh = problem.delivered_kwh(*np.split(all_kwh, [problem.columns]))
    changes: dict[str, tuple[ServingChange, ...]] = {}
    left_out: list[str] = []
    for session in _worst_first(problem, delivered_kwh):
        session_id = problem.sessions[session].session_id
        try:
            changes[session_id] = smallest_changes(scenario, options, problem, all_kwh, session, deadline=deadline)
        except SolverError as error:
            logger.info("site=%s session=%s %s", scenario.site.site_id, session_id, error)
            left_out.append(session_id)
    return Why(holdings=holdings, changes=MappingProxyType(changes), not_searched=tuple(left_out))


def _worst_first(problem: CapacityProblem, delivered_kwh: FloatArray) -> list[int]:
    requested_kwh = np.array([session.energy_kwh for session in problem.sessions])
    missing_kwh = requested_kwh - delivered_kwh
    order = np.argsort(-missing_kwh, kind="stable")
    return [session for session in order.tolist() if missing_kwh[session] > SHORT_KWH]


def _holdings(problem: CapacityProblem, outcome: Outcome, all_kwh: FloatArray) -> Iterator[Holding]:
    """Stretches in which the same holds a session back at the same price, session by session."""
    if not problem.columns:
        return
    energy_kwh = outcome.energy_kwh
    at_bound = energy_kwh >= problem.max_energy_kwh - FULL_KWH
    row = np.where(at_bound, NOBODY, _holding_row(problem, outcome, all_kwh))
    limit = np.where(row == NOBODY, NOBODY, _at(problem.limit_rows.limit_index, row))
    price = np.where(at_bound, _known(outcome.bound_price_per_kwh, problem.columns), 0.0)
    price = np.where(
        row == NOBODY, price, _at(_known(outcome.shadow_price_per_kwh, problem.limit_rows.step_index.size), row)
    )
    unmet_kwh = problem.reachable_energy_kwh - problem.delivered_kwh(*np.split(all_kwh, [problem.columns]))
    new = (np.diff(problem.column_session) != 0) | (np.diff(limit) != 0) | (np.diff(at_bound.astype(np.int8)) != 0)
    new |= (np.diff(problem.column_step) != 1) | ~(np.abs(np.diff(np.nan_to_num(price))) < SAME_PRICE)
    first = np.concatenate(([0], np.flatnonzero(new) + 1))
    last = np.concatenate((first[1:], [problem.columns])) - 1
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        session = int(problem.column_session[begin])
        code, holder = _holder(
            problem,
            session,
            int(limit[begin]),
            at_bound=bool(at_bound[begin]),
            short=bool(unmet_kwh[session] > SHORT_KWH),
        )
        yield Holding(
            session_id=problem.sessions[session].session_id,
            start_s=float(problem.column_start_s[begin]),
            end_s=float(problem.column_end_s[end]),
            code=code,
            holder=holder,
            price_per_kwh=float(price[begin]),
        )


def _holder(
    problem: CapacityProblem, session: int, limit: int, *, at_bound: bool, short: bool
) -> tuple[ReasonCode, str]:
    asked = problem.sessions[session]
    if at_bound:
        own = asked.max_power_kw is not None and asked.max_power_kw <= problem.max_power_kw[session]
        return (
            (ReasonCode.VEHICLE_LIMIT, f"vehicle of {asked.session_id}")
            if own
            else (ReasonCode.CHARGER_LIMIT, f"charger {asked.charger_id}")
        )
    if limit != NOBODY:
        held_by = problem.limits[limit]
        return held_by.code, held_by.label
    return (ReasonCode.STRATEGY if short else ReasonCode.OTHER_TIME), ""


def _holding_row(problem: CapacityProblem, outcome: Outcome, all_kwh: FloatArray) -> IntArray:
    """For each column the full limit row that is dearest, the lowest level first: (K,), -1 where none is full."""
    rows = problem.limit_rows
    row, column = held_entries(problem, all_kwh)
    price = np.nan_to_num(_known(outcome.shadow_price_per_kwh, rows.capacity_kwh.size))[row]
    members = np.array([np.count_nonzero(limit.share) for limit in problem.limits])[rows.limit_index[row]]
    order = np.lexsort((-members, price))
    found = np.full(problem.columns, NOBODY)
    found[column[order]] = row[order]
    return found


def _known(price_per_kwh: FloatArray | None, size: int) -> FloatArray:
    return np.full(size, np.nan) if price_per_kwh is None else price_per_kwh


def _at(values: NDArray[ScalarT], index: IntArray) -> NDArray[ScalarT]:
    """Values at an index; anything where it is -1."""
    return values[index] if values.size else np.zeros(index.size, dtype=values.dtype)
