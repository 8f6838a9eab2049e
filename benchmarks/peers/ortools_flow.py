"""OR-tools' minimum-cost flow, in whole tenths of a watt-hour."""

from __future__ import annotations

import numpy as np
from ortools.graph.python import min_cost_flow

from benchmarks.peers.network import columns_of, flow_of
from benchmarks.peers.program import FloatArray, SharedProgram

PACKAGES = ("ortools",)


def solve(program: SharedProgram, _: dict[str, str]) -> FloatArray:
    """Exact in whole units, which are finer than a meter."""
    flow = flow_of(program)
    solver = min_cost_flow.SimpleMinCostFlow()
    arcs = solver.add_arcs_with_capacity_and_unit_cost(flow.tail, flow.head, flow.capacity, flow.unit_cost)
    solver.set_nodes_supplies(np.arange(flow.supply.size), flow.supply)
    status = solver.solve()
    if status != solver.OPTIMAL:
        raise RuntimeError(f"OR-tools ended with {status}")
    return columns_of(program, np.asarray(solver.flows(arcs)))
