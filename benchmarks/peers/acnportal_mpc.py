"""One step of model-predictive control in the manner of adaptive charging: acnportal's sessions, cvxpy, HiGHS.

Our own formulation over acnportal's own types: rates in A of every station in every period, bounds by session, its
energy, and the infrastructure's constraints in every period.
"""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from acnportal.acnsim.interface import InfrastructureInfo, SessionInfo

from benchmarks.peers.program import FloatArray, SharedDay

PACKAGES = ("acnportal", "cvxpy", "highspy")
VOLTAGE_V = 208.0
KW_PER_A = VOLTAGE_V / 1000.0
SERVED_PER_KWH = 10.0
"""What a kWh served is worth, above any price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A day as acnportal's interface gives it to an algorithm."""

    sessions: list[SessionInfo]
    infrastructure: InfrastructureInfo
    limit_a: FloatArray
    price_per_kwh: FloatArray
    hours: float


def prepare(day: SharedDay) -> Site:
    """A station for every session, all at one voltage behind one limit."""
    count = day.energy_kwh.size
    sessions = []
    for index, (max_kw, energy_kwh) in enumerate(zip(day.max_kw, day.energy_kwh.tolist(), strict=True)):
        present = np.flatnonzero(max_kw)
        arrival, departure = int(present[0]), int(present[-1]) + 1
        sessions.append(
            SessionInfo(
                station_id=f"s{index}",
                session_id=f"s{index}",
                requested_energy=energy_kwh,
                energy_delivered=0.0,
                arrival=arrival,
                departure=departure,
                max_rates=max_kw[arrival:departure] / KW_PER_A,
            )
        )
    stations = [session.station_id for session in sessions]
    infrastructure = InfrastructureInfo(
        constraint_matrix=np.ones((1, count)),
        constraint_limits=np.array([day.limit_kw.max() / KW_PER_A]),
        phases=np.zeros(count),
        voltages=np.full(count, VOLTAGE_V),
        constraint_ids=["transformer"],
        station_ids=stations,
        max_pilot=day.max_kw.max(axis=1) / KW_PER_A,
        min_pilot=np.zeros(count),
    )
    return Site(
        sessions=sessions,
        infrastructure=infrastructure,
        limit_a=day.limit_kw / KW_PER_A,
        price_per_kwh=day.price_per_kwh,
        hours=float(day.step_hours[0]),
    )


def plan(prepared: Site, _: dict[str, str]) -> FloatArray:
    """Constraint by constraint and session by session, as such algorithms are written."""
    stations, periods = len(prepared.infrastructure.station_ids), prepared.price_per_kwh.size
    index_of = {station: index for index, station in enumerate(prepared.infrastructure.station_ids)}
    kwh_per_a = prepared.infrastructure.voltages / 1000.0 * prepared.hours
    upper = np.zeros((stations, periods))
    rates = cp.Variable((stations, periods))
    constraints = [rates >= 0.0]
    for session in prepared.sessions:
        station, window = index_of[session.station_id], slice(session.arrival, session.departure)
        upper[station, window] = session.max_rates
        energy = kwh_per_a[station] * cp.sum(rates[station, window])
        constraints.append(energy <= session.remaining_demand)
    constraints.append(rates <= upper)
    loading = prepared.infrastructure.constraint_matrix @ rates
    constraints.append(loading <= np.minimum(prepared.infrastructure.constraint_limits[:, None], prepared.limit_a))
    energy_kwh = cp.multiply(kwh_per_a[:, None], rates)
    profit = cp.sum(cp.multiply(SERVED_PER_KWH - prepared.price_per_kwh[None, :], energy_kwh))
    problem = cp.Problem(cp.Maximize(profit), constraints)
    problem.solve(solver=cp.HIGHS)
    if problem.status != cp.OPTIMAL:
        raise RuntimeError(f"cvxpy: {problem.status}")
    return np.asarray(rates.value, dtype=np.float64) * KW_PER_A
