"""The largest currents on lines, recomputed from the rows of a plan with complex numbers, whatever made it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from models.domain.capacity import SINGLE_PHASES, Phase
from models.domain.scenario import Scenario
from models.domain.time_grid import FloatArray
from models.units import amperes_per_kilowatt
from optimizer.options import LimitMode
from optimizer.planned_power import PlannedPower, chargers_as_used

SAME_DIRECTION = 1e-6

DIRECTION_DECIMALS = 9
"""Currents whose directions differ by less are added up as they are."""


def line_currents(
    scenario: Scenario, plan: PlannedPower, *, limit_mode: LimitMode, current_mode: LimitMode
) -> Iterable[tuple[str, FloatArray, FloatArray]]:
    """The largest current on every line, whatever vehicles leave of what they may draw: name, (T,) A, (T,) limit in A.

    Args:
        scenario: Has the lines, and forecasts in A.
        plan: The rows.
        limit_mode: How forecasts in A count.
        current_mode: How the lines' own limits count.
    """
    site, grid = scenario.site, plan.grid
    if site.lines():
        currents = _Currents(scenario, plan)
        for line in site.lines():
            unknown = _most_of_unknown(line.weights)
            found = currents.largest_a(line.group_id, line.weights, unknown, current_mode)
            yield f"line {line.line_limit_id!r}", found, np.full(grid.steps, line.limit_a)
    for group in site.groups if scenario.forecasts.states_amperes else ():
        for phase in (Phase.ALL, *SINGLE_PHASES):
            in_amperes = scenario.forecasts.in_amperes_on(grid, group.group_id, phase)
            if not in_amperes.any():
                continue
            currents = _Currents(scenario, plan)
            conductors = SINGLE_PHASES if phase is Phase.ALL else (phase,)
            limit_kw = scenario.forecasts.import_capacity_on(grid, group.group_id, phase) / len(conductors)
            limit_a = np.where(in_amperes, limit_kw * amperes_per_kilowatt(site.nominal_voltage_v), np.inf)
            for conductor in conductors:
                weights = [float(conductor is each) for each in SINGLE_PHASES]
                # Who states one figure for three conductors takes what is unknown to be balanced.
                found = currents.largest_a(group.group_id, weights, 1.0 / len(conductors), limit_mode)
                yield f"group {group.group_id!r} phase {conductor}", found, limit_a


class _Currents:
    """What sessions put on L1, L2 and L3."""

    def __init__(self, scenario: Scenario, plan: PlannedPower) -> None:
        site = scenario.site
        chargers = chargers_as_used(scenario, plan)
        wirings = [charger.wiring for charger in chargers]
        self._plan = plan
        self._paths = [site.path(charger.group_id) for charger in chargers]
        self._known = np.array([wiring is not None for wiring in wirings], dtype=bool)
        self._nominal_a_per_kw = amperes_per_kilowatt(site.nominal_voltage_v)
        self._a_per_kw = np.array(
            [
                (0, 0, 0) if wiring is None else wiring.currents_a_per_kw(site.nominal_voltage_v, charger.voltage_v)
                for wiring, charger in zip(wirings, chargers, strict=True)
            ],
            dtype=np.complex128,
        ).reshape(-1, len(SINGLE_PHASES))

    def largest_a(self, group_id: str, weights: Sequence[float], unknown: float, mode: LimitMode) -> FloatArray:
        """The largest weighted sum of a group's currents: (T,), A.

        Args:
            group_id: The group.
            weights: Of L1, L2 and L3.
            unknown: What a kW of unknown connection counts, as a multiple of its current from line to neutral.
            mode: How power is counted.
        """
        plan, steps = self._plan, self._plan.grid.steps
        here = np.array([group_id in path for path in self._paths], dtype=np.float64)
        phasor = here * (self._a_per_kw @ np.array(weights, dtype=np.float64))
        amount = np.abs(phasor)
        unit = np.round(phasor / np.where(amount > 0, amount, 1.0), DIRECTION_DECIMALS)
        by_direction = {
            complex(one): plan.load_kw(np.where(unit == one, amount, 0.0), mode) for one in np.unique(unit[amount > 0])
        }
        loose_a_per_kw = here * ~self._known * unknown * self._nominal_a_per_kw
        return _largest_current(by_direction, steps) + plan.load_kw(loose_a_per_kw, mode)


def _most_of_unknown(weights: Sequence[float]) -> float:
    """Current of 1 kW at any connection, as a multiple of that from line to neutral."""
    first, second, third = weights
    across = max(abs(first - second), abs(second - third), abs(third - first)) / math.sqrt(3.0)
    return max(abs(first), abs(second), abs(third), across)


def _largest_current(by_direction: Mapping[complex, FloatArray], steps: int) -> FloatArray:
    """The largest amount of any partial sum of currents: (T,), A.

    What reaches farthest in some direction is the sum of all that point that way. The choice changes only where one of
    the currents is at right angles to the direction; those are left out, and put in on either side.
    """
    largest = np.zeros(steps)
    for turning in by_direction:
        for normal in (turning * 1j, turning * -1j):
            chosen = np.zeros(steps, dtype=np.complex128)
            ahead, behind = chosen.copy(), chosen.copy()
            for direction, amount in by_direction.items():
                along = (direction * normal.conjugate()).real
                if along > SAME_DIRECTION:
                    chosen += direction * amount
                elif abs(along) <= SAME_DIRECTION:
                    target = ahead if (direction * turning.conjugate()).real > 0 else behind
                    target += direction * amount
            for total in (chosen, chosen + ahead, chosen + behind):
                np.maximum(largest, np.abs(total), out=largest)
    return largest
