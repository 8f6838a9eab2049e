"""Play pilots in acnportal's simulator: runs in an environment of its own and knows nothing of the optimizer.

    python acnsim_replay.py DAY.json VERDICTS.json

The network is acnportal's own definition of the site with the transformers scaled, or one connection for all chargers.
Its chargers refuse a pilot that they do not have; its vehicles take what the pilot allows until they are full or leave;
its network says which current each line carried.

Source: acnportal 0.3.3, Z. J. Lee et al., "ACN-Sim", IEEE Transactions on Smart Grid 2021.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TypedDict

import numpy as np
from acnportal.acnsim import EV, Battery, ChargingNetwork, Current, EventQueue, PluginEvent, Simulator, analysis
from acnportal.acnsim.models.evse import get_evse_by_type
from acnportal.acnsim.network.sites import caltech_acn, jpl_acn
from acnportal.algorithms import BaseAlgorithm

VOLTAGE_V = 208.0
WATTS_PER_KILOWATT = 1000.0
JPL_TRANSFORMERS_KW = (45.0, 150.0)
DEFAULT_TYPE = "AeroVironment"
"""Of a charger that the site's definition does not have."""


class Stay(TypedDict):
    """A vehicle's day; instants in minutes."""

    session: str
    station: str
    arrival: int
    departure: int
    energy_kwh: float
    max_power_kw: float


class Pilots(TypedDict):
    """A policy's day: charger, first minute, minute behind the last, pilot in A; whether any pilot will do."""

    stepless: bool
    rows: list[tuple[str, int, int, float]]


class Day(TypedDict):
    """What is to be played."""

    site: str
    limit_kw: float
    lines: bool
    start: str
    minutes: int
    stations: list[str]
    sessions: list[Stay]
    replays: list[Pilots]


class Recorded(BaseAlgorithm):  # type: ignore[misc]
    """Sends the pilots of a file, once for the whole day."""

    def __init__(self, pilots_a: dict[str, np.ndarray]) -> None:
        super().__init__()
        self._pilots_a = pilots_a

    def schedule(self, active_sessions: list[object]) -> dict[str, np.ndarray]:  # noqa: ARG002
        """Every pilot from now on at the first call, which is when the first vehicle comes, and nothing new later."""
        now = self.interface.current_time
        pilots_a, self._pilots_a = self._pilots_a, {}
        return {station_id: current_a[now:] for station_id, current_a in pilots_a.items()}

    def run(self) -> dict[str, np.ndarray]:
        """The same without asking who is there."""
        return self.schedule([])


def site(name: str, transformers_kw: float, *, stepless: bool) -> ChargingNetwork:
    """The network of a site by acnportal, its transformers scaled to some kW together."""
    if name == "jpl":
        first_kw, third_fourth_kw = (transformers_kw * kw / sum(JPL_TRANSFORMERS_KW) for kw in JPL_TRANSFORMERS_KW)
        return jpl_acn(stepless, VOLTAGE_V, first_kw, third_fourth_kw)
    return caltech_acn(stepless, VOLTAGE_V, transformers_kw)


def one_connection(name: str, limit_kw: float, station_ids: list[str], *, stepless: bool) -> ChargingNetwork:
    """The chargers of a site behind a single connection, as `acnportal.acnsim.network.sites.simple_acn` has it."""
    known = site(name, limit_kw, stepless=stepless)
    types = {station_id: known._EVSEs[station_id] for station_id in known.station_ids}  # noqa: SLF001
    network = ChargingNetwork()
    for station_id in station_ids:
        evse = types.get(station_id) or get_evse_by_type(station_id, "BASIC" if stepless else DEFAULT_TYPE)
        network.register_evse(evse, VOLTAGE_V, 0)
    network.add_constraint(Current(list(station_ids)), limit_kw * WATTS_PER_KILOWATT / VOLTAGE_V, name="connection")
    return network


def replay(day: Day, chosen: Pilots) -> dict[str, float | str]:
    """What the network made of the pilots of one policy."""
    stepless = chosen["stepless"]
    if day["lines"]:
        network = site(day["site"], day["limit_kw"], stepless=stepless)
    else:
        network = one_connection(day["site"], day["limit_kw"], day["stations"], stepless=stepless)
    # Under pandas 3 the matrix comes out with objects for elements, 20 to 30 times slower to multiply.
    network.constraint_matrix = network.constraint_matrix.astype(float)
    pilots_a = {station_id: np.zeros(day["minutes"]) for station_id in network.station_ids}
    for station_id, begin, end, current_a in chosen["rows"]:
        pilots_a[station_id][begin:end] = current_a
    events = EventQueue([PluginEvent(one["arrival"], vehicle(one)) for one in day["sessions"]])
    start = datetime.fromisoformat(day["start"])
    simulator = Simulator(network, Recorded(pilots_a), events, start, period=1, verbose=False)
    simulator.run()
    return verdict(simulator)


def vehicle(one: Stay) -> EV:
    """A vehicle that takes any pilot up to the most until it has what it wants."""
    battery = Battery(one["energy_kwh"], 0.0, one["max_power_kw"])
    return EV(one["arrival"], one["departure"], one["energy_kwh"], one["station"], one["session"], battery)


def verdict(simulator: Simulator) -> dict[str, float | str]:
    """What was delivered, and what the lines carried."""
    network = simulator.network
    current_a = np.abs(network.constraint_current(simulator.charging_rates))
    limit_a = network.magnitudes[:, None]
    over = current_a > limit_a + np.maximum(network.violation_tolerance, network.relative_tolerance * limit_a)
    power_kw = analysis.aggregate_power(simulator)
    excess = float((current_a / limit_a).max()) - 1.0
    return {
        "delivered_kwh": float(analysis.total_energy_delivered(simulator)),
        "energy_met": float(analysis.proportion_of_energy_delivered(simulator)),
        "sessions_served": round(len(simulator.ev_history) * analysis.proportion_of_demands_met(simulator)),
        "peak_kw": float(power_kw.max()),
        "minutes_over": int(over.any(axis=0).sum()),
        "worst_excess": max(excess, 0.0),
        "fullest_line": network.constraint_index[int(np.argmax((current_a / limit_a).max(axis=1)))],
    }


def main(source: str, target: str) -> None:
    """Replay every policy of a day."""
    day = json.loads(Path(source).read_text(encoding="utf-8"))
    verdicts = [replay(day, chosen) for chosen in day["replays"]]
    Path(target).write_text(json.dumps(verdicts, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
