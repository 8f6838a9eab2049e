"""The program as a flow of whole watt-hours: from sessions through steps, or past them, to one sink."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.peers.program import FloatArray, IntArray, SharedProgram

UNITS_PER_KWH = 1e4
"""A tenth of a watt-hour."""
COST_UNITS = 1e5
"""Per currency and kWh."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flow:
    """A minimum-cost flow in whole units; nodes are S sessions, then the limits, then one sink.

    The first C arcs are the columns of the program, the others lead from limits to the sink.

    Args:
        tail: (A,), node each arc leaves.
        head: (A,), node it enters.
        capacity: (A,).
        unit_cost: (A,).
        supply: (N,), what enters at each node, below zero at the sink.
    """

    tail: IntArray
    head: IntArray
    capacity: IntArray
    unit_cost: IntArray
    supply: IntArray


def flow_of(program: SharedProgram) -> Flow:
    """Rounded down where capacity is meant, so that no limit is exceeded; what that leaves of a need counts as unmet.

    Raises:
        ValueError: A column stands in more than one limit, or with another coefficient than 1: no such flow.
    """
    sessions, limits = program.session_count, program.row_upper.size - program.session_count
    row = program.entry_row
    if not (program.row_value == 1.0).all():
        raise ValueError("a coefficient is not 1: the program is no flow between sessions and limits")
    of_limit = row >= sessions
    if np.unique(program.row_column[of_limit]).size != int(of_limit.sum()):
        raise ValueError("a column stands in several limits: the program is no flow through one layer of them")
    sink = sessions + limits
    tail = np.zeros(program.cost.size, dtype=np.int64)
    head = np.full(program.cost.size, sink)
    tail[program.row_column[~of_limit]] = row[~of_limit]
    head[program.row_column[of_limit]] = row[of_limit]
    upper = np.floor(program.column_upper * UNITS_PER_KWH).astype(np.int64)
    need = np.round(program.row_upper[:sessions] * UNITS_PER_KWH).astype(np.int64)
    upper[-sessions:] = need
    return Flow(
        tail=np.append(tail, np.arange(sessions, sink)),
        head=np.append(head, np.full(limits, sink)),
        capacity=np.append(upper, np.floor(program.row_upper[sessions:] * UNITS_PER_KWH).astype(np.int64)),
        unit_cost=np.append(np.round(program.cost * COST_UNITS).astype(np.int64), np.zeros(limits, dtype=np.int64)),
        supply=np.concatenate((need, np.zeros(limits, dtype=np.int64), [-need.sum()])),
    )


def columns_of(program: SharedProgram, flow: IntArray) -> FloatArray:
    """(C,), kWh, of the flow on each arc, (A,)."""
    return flow[: program.cost.size] / UNITS_PER_KWH
