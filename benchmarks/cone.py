"""The exact limits of line currents as second-order cones, by another solver and straight from the networks' files.

    |sum_j A[i, j] I_j e^(j phi_j)|  <=  magnitude_a[i]          for every line i and step

with I_j the mean current of charger j over the step. Nothing of the optimizer is used but the sessions.
"""

from __future__ import annotations

import cmath
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import clarabel
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csc_matrix

from models.domain import ChargingSession, EnergyTariff, TimeGrid

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

UNSERVED_PRICE = 100.0
"""Per kWh; far above any price of energy, so that as much as possible is served."""
WATTS_PER_KILOWATT = 1000.0
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConeOptimum:
    """What the exact limits allow.

    Args:
        delivered_energy_kwh: kWh.
        energy_cost: Currency.
    """

    delivered_energy_kwh: float
    energy_cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Chargers and lines of a network's file. Source: acnportal 0.3.3.

    Args:
        phasor: Current of 1 kW at each charger, A.
        lines: Coefficients by charger and limit in A of each line.
    """

    phasor: Mapping[str, complex]
    lines: Sequence[tuple[Mapping[str, float], float]]

    @classmethod
    def read(cls, path: Path, *, transformer_scale: float = 1.0) -> Network:
        """The network of a file, the limits of its transformers' windings scaled."""
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            phasor={
                evse["id"]: cmath.rect(WATTS_PER_KILOWATT / evse["voltage_v"], math.radians(evse["phase_angle_deg"]))
                for evse in data["evses"]
            },
            lines=[
                (line["coeffs"], line["limit_a"] * (transformer_scale if "ary " in line["name"] else 1.0))
                for line in data["constraints"]
            ],
        )

    def currents_a(self, line: int, charger_ids: Sequence[str], power_kw: FloatArray) -> complex:
        """The phasor of a line's current while chargers deliver some powers, A."""
        coefficients, _ = self.lines[line]
        return sum(
            (
                coefficients.get(charger_id, 0.0) * self.phasor.get(charger_id, 0.0) * kw
                for charger_id, kw in zip(charger_ids, power_kw.tolist(), strict=True)
            ),
            0j,
        )


def cone_optimum(
    network: Network, sessions: Sequence[ChargingSession], tariff: EnergyTariff, grid: TimeGrid, limit_kw: float
) -> ConeOptimum:
    """As much energy as the cones allow, at the lowest price.

        minimise  sum_k (price[k] - unserved price) e[k]

    Args:
        network: Chargers and lines.
        sessions: Who charges, each with a power limit of its own.
        tariff: Prices.
        grid: Steps.
        limit_kw: Limit of the connection, kW.
    """
    price = tariff.import_price_on(grid)
    session_of, step_of, bound = _columns(sessions, grid)
    rows = _Rows(len(bound))
    need = np.minimum([session.energy_kwh for session in sessions], np.bincount(session_of, bound, len(sessions)))
    for index, energy_kwh in enumerate(need.tolist()):
        mine = np.flatnonzero(session_of == index)
        rows.at_most(mine, np.ones(mine.size), energy_kwh)
    for step in range(grid.steps):
        mine = np.flatnonzero(step_of == step)
        rows.at_most(mine, np.ones(mine.size), limit_kw * float(grid.step_hours[step]))
    rows.bounds(bound)
    for coefficients, limit_a in network.lines:
        per_kw = np.array(
            [coefficients.get(one.charger_id, 0.0) * network.phasor.get(one.charger_id, 0.0) for one in sessions]
        )
        for step in range(grid.steps):
            mine = np.flatnonzero((step_of == step) & (per_kw[session_of] != 0))
            per_kwh = per_kw[session_of[mine]] / grid.step_hours[step]
            if float((np.abs(per_kwh) * bound[mine]).sum()) > limit_a:
                rows.cone(mine, per_kwh, limit_a)
    solution = rows.minimise(price[step_of] - UNSERVED_PRICE)
    return ConeOptimum(delivered_energy_kwh=float(solution.sum()), energy_cost=float(price[step_of] @ solution))


def _columns(sessions: Sequence[ChargingSession], grid: TimeGrid) -> tuple[IntArray, IntArray, FloatArray]:
    """Session, step and highest energy of each pair that shares time."""
    found = []
    for index, session in enumerate(sessions):
        begin = np.maximum(grid.edges_s[:-1], session.arrival_s)
        hours = (np.minimum(grid.edges_s[1:], session.departure_s) - begin) / SECONDS_PER_HOUR
        found += [
            (index, step, (session.max_power_kw or 0.0) * hours[step]) for step in np.flatnonzero(hours > 0).tolist()
        ]
    sessions_of, steps_of, bounds = zip(*found, strict=True)
    return np.array(sessions_of), np.array(steps_of), np.array(bounds)


class _Rows:
    """A x + s = b under construction, s in a product of cones."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._row: list[IntArray] = []
        self._column: list[IntArray] = []
        self._value: list[FloatArray] = []
        self._right: list[float] = []
        self._cones: list[object] = []

    def _add(self, columns: IntArray, values: FloatArray, right: float) -> None:
        self._row.append(np.full(columns.size, len(self._right), dtype=np.int64))
        self._column.append(columns)
        self._value.append(values)
        self._right.append(right)

    def at_most(self, columns: IntArray, values: FloatArray, right: float) -> None:
        """Values . x <= right."""
        self._add(columns, values, right)
        self._cones.append(clarabel.NonnegativeConeT(1))

    def bounds(self, upper: FloatArray) -> None:
        """0 <= x <= upper."""
        for column, value in enumerate(upper.tolist()):
            self.at_most(np.array([column]), np.ones(1), value)
            self.at_most(np.array([column]), -np.ones(1), 0.0)

    def cone(self, columns: IntArray, values: NDArray[np.complex128], right: float) -> None:
        """|values . x| <= right."""
        self._add(columns[:0], np.zeros(0), right)
        self._add(columns, -values.real, 0.0)
        self._add(columns, -values.imag, 0.0)
        self._cones.append(clarabel.SecondOrderConeT(3))

    def minimise(self, cost: FloatArray) -> FloatArray:
        """The x of least cost."""
        entries = (np.concatenate(self._value), (np.concatenate(self._row), np.concatenate(self._column)))
        matrix = coo_matrix(entries, shape=(len(self._right), self._columns)).tocsc()
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        nothing = csc_matrix((self._columns, self._columns))
        solver = clarabel.DefaultSolver(nothing, cost, matrix, np.array(self._right), self._cones, settings)
        solution = solver.solve()
        if solution.status != clarabel.SolverStatus.Solved:
            raise RuntimeError(f"Clarabel ended with {solution.status}")
        return np.array(solution.x)
