"""Hungry vehicles under limits of currents, and what their plans put on lines."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from itertools import product

import numpy as np

from models.domain.connection import Connection
from models.domain.group import CapacityGroup, Charger, LineLimit
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule
from optimizer import optimize
from optimizer.options import OptimizeOptions
from tests.builders import HOUR, MORNING, make_charger, make_scenario, make_session, make_site

KW_PER_A = 0.23
"""One ampere from line to neutral at 230 V."""
KW_PER_A_BETWEEN = 0.23 * math.sqrt(3)
"""One ampere between two lines."""


def hungry(
    connections: Iterable[str],
    limit_a: tuple[float, float, float] | None = (16.0, 16.0, 16.0),
    *,
    hours: float = 1,
    vehicle_phases: int | None = None,
    max_a: float = 100.0,
    line_limits: Iterable[LineLimit] = (),
) -> Scenario:
    """One vehicle at each of some chargers for an hour, all with more need than they can get."""
    chargers = [
        make_charger(f"C{index}", max_power_kw=max_a * KW_PER_A_BETWEEN, connection=Connection(text))
        for index, text in enumerate(connections)
    ]
    sessions = [
        make_session(
            f"S{index}",
            charger_id=charger.charger_id,
            departure=MORNING + hours * HOUR,
            energy_kwh=1000.0,
            vehicle_phases=vehicle_phases,
        )
        for index, charger in enumerate(chargers)
    ]
    group = CapacityGroup(group_id="main", current_limit_a=limit_a)
    return make_scenario(site=make_site(groups=[group], chargers=chargers, line_limits=line_limits), sessions=sessions)


def planned(scenario: Scenario, **options: object) -> Schedule:
    """The plan over whole hours."""
    return optimize(scenario, OptimizeOptions(raster=timedelta(hours=1), **options))  # type: ignore[arg-type]


def power_kw(schedule: Schedule) -> list[float]:
    """Power of each session in the only step."""
    return [result.delivered_energy_kwh for result in schedule.sessions]


def worst_excess_a(scenario: Scenario, schedule: Schedule) -> float:
    """By how much any subset of those who draw at any moment exceeds any line; each moment by itself."""
    site = scenario.site
    angle = [0.0, -2 * math.pi / 3, 2 * math.pi / 3]
    voltage = [np.exp(1j * each) for each in angle]

    def phasors(charger: Charger, kw: float, phases: int | None) -> list[complex] | None:
        wiring = charger.used_by(phases).wiring
        if wiring is None:
            return None
        current = [0j, 0j, 0j]
        at = [("L1", "L2", "L3").index(name) for name in wiring.lines]
        if len(at) == 2 and not wiring.has_neutral:
            across = voltage[at[0]] - voltage[at[1]]
            amount = 1000 * kw / (charger.voltage_v or 230 * math.sqrt(3))
            current[at[0]] = amount * across / abs(across)
            current[at[1]] = -current[at[0]]
        else:
            for index in at:
                current[index] = 1000 * kw / len(at) / (charger.voltage_v or 230) * voltage[index]
        return current

    worst = -math.inf
    for moment_s in schedule.start_s:
        drawing = [
            (schedule.sessions[session].session, kw)
            for session, start_s, end_s, kw in zip(
                schedule.session_index.tolist(), schedule.start_s, schedule.end_s, schedule.power_kw, strict=True
            )
            if start_s <= moment_s < end_s
        ]
        for line in site.lines():
            known, unknown_a = [], 0.0
            for session, kw in drawing:
                charger = site.charger(session.charger_id)
                if line.group_id not in site.path(charger.group_id):
                    continue
                currents = phasors(charger, kw, session.vehicle_phases)
                if currents is None:
                    unknown_a += max(map(abs, line.weights)) * kw / KW_PER_A
                else:
                    known.append(sum(w * i for w, i in zip(line.weights, currents, strict=True)))
            sums = (
                abs(sum(z * on for z, on in zip(known, switch, strict=True)))
                for switch in product((0, 1), repeat=len(known))
            )
            worst = max(worst, max(sums) + unknown_a - line.limit_a)
    return worst
