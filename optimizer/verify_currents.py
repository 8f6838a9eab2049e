"""The largest currents on lines, recomputed from the rows of a plan with complex numbers, whatever made it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from models.domain.capacity import SINGLE_PHASES, Phase
from models.domain.group import PHASE_CONNECTIONS, LimitCounts
from models.domain.scenario import Scenario
from models.domain.time_grid import FloatArray
from models.units import amperes_per_kilowatt
from optimizer.options import LimitMode
from optimizer.planned_power import PlannedPower, chargers_as_used
from optimizer.verify_assets import AssetPower

SAME_DIRECTION = 1e-6

DIRECTION_DECIMALS = 9
"""Currents whose directions differ by less are added up as they are."""


def line_currents(
    scenario: Scenario,
    plan: PlannedPower,
    powers: Sequence[AssetPower] = (),
    *,
    limit_mode: LimitMode,
    current_mode: LimitMode,
) -> Iterable[tuple[str, FloatArray, FloatArray]]:
    """The largest current on every line, whatever vehicles leave of what they may draw: name, (T,) A, (T,) limit in A.

    What assets that nobody decides on put on a line is never too much.

    Args:
        scenario: Has the lines, and forecasts in A.
        plan: The rows.
        powers: Every asset.
        limit_mode: How forecasts in A count.
        current_mode: How the lines' own limits count.
    """
    site, grid = scenario.site, plan.grid
    if site.lines():
        currents = _Currents(scenario, plan, powers)
        for line in site.lines():
            unknown = _most_of_unknown(line.weights)
            found, least = currents.largest_a(line.group_id, line.weights, unknown, current_mode)
            yield f"line {line.line_limit_id!r}", found, np.maximum(line.limit_a, least)
    for group in site.groups if scenario.forecasts.states_amperes else ():
        for phase in (Phase.ALL, *SINGLE_PHASES):
            in_amperes = scenario.forecasts.in_amperes_on(grid, group.group_id, phase)
            if not in_amperes.any():
                continue
            currents = _Currents(scenario, plan, powers)
            conductors = SINGLE_PHASES if phase is Phase.ALL else (phase,)
            limit_kw = scenario.forecasts.import_capacity_on(grid, group.group_id, phase) / len(conductors)
            limit_a = np.where(in_amperes, limit_kw * amperes_per_kilowatt(site.nominal_voltage_v), np.inf)
            for conductor in conductors:
                weights = [float(conductor is each) for each in SINGLE_PHASES]
                # Who states one figure for three conductors takes what is unknown to be balanced.
                found, least = currents.largest_a(group.group_id, weights, 1.0 / len(conductors), limit_mode)
                yield f"group {group.group_id!r} phase {conductor}", found, np.maximum(limit_a, least)


class _Currents:
    """What sessions and assets put on L1, L2 and L3."""

    def __init__(self, scenario: Scenario, plan: PlannedPower, powers: Sequence[AssetPower]) -> None:
        site = scenario.site
        self._site, self._powers = site, powers
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

    def largest_a(
        self, group_id: str, weights: Sequence[float], unknown: float, mode: LimitMode
    ) -> tuple[FloatArray, FloatArray]:
        """The largest weighted sum of a group's currents, and that of those which nobody decides on: (T,) each, A.

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
        found, least = _Sums(steps), _Sums(steps)
        for sums, sign in ((found.drawn, 1.0), (found.fed, -1.0)):
            part = replace(plan, power_kw=np.maximum(sign * plan.power_kw, 0.0))
            for one in np.unique(unit[amount > 0]).tolist():
                sums.add(sign * complex(one), part.load_kw(np.where(unit == one, amount, 0.0), mode))
            sums.loose += part.load_kw(here * ~self._known * unknown * self._nominal_a_per_kw, mode)
        for asset in self._counted(group_id):
            self._add(asset, asset.power_kw, weights, unknown, found)
            if not asset.is_storage:
                self._add(asset, _unavoidable_kw(asset), weights, unknown, least)
        is_conductor = sorted(abs(weight) for weight in weights) == [0.0, 0.0, 1.0]
        return found.largest(is_conductor=is_conductor), least.largest(is_conductor=is_conductor)

    def _counted(self, group_id: str) -> Iterable[AssetPower]:
        """The assets that limits of a group count."""
        group = next(group for group in self._site.groups if group.group_id == group_id)
        for asset in self._powers:
            is_counted = asset.is_storage or group.limit_counts is LimitCounts.TOTAL
            if is_counted and group_id in self._site.path(asset.group_id):
                yield asset

    def _add(
        self, asset: AssetPower, power_kw: FloatArray, weights: Sequence[float], unknown: float, sums: _Sums
    ) -> None:
        """Add a power of an asset, (T,), kW, to the currents that have a direction, or to those that have none."""
        wiring = PHASE_CONNECTIONS.get(asset.phases)
        phasor = 0j
        if wiring is not None:
            per_conductor = wiring.currents_a_per_kw(self._site.nominal_voltage_v)
            phasor = sum((weight * one for weight, one in zip(weights, per_conductor, strict=True)), start=0j)
        for side, sign in ((sums.drawn, 1.0), (sums.fed, -1.0)):
            part_kw = np.maximum(sign * power_kw, 0.0)
            if wiring is None:
                side.loose += part_kw * unknown * self._nominal_a_per_kw
            elif abs(phasor) > SAME_DIRECTION:
                unit = complex(np.round(phasor / abs(phasor), DIRECTION_DECIMALS))
                side.add(sign * unit, part_kw * abs(phasor))


class _Side:
    """Currents over T steps: by direction, and those without a known one, A."""

    def __init__(self, steps: int) -> None:
        self.by_direction: dict[complex, FloatArray] = {}
        self.loose = np.zeros(steps)

    def add(self, direction: complex, current_a: FloatArray) -> None:
        """Add currents of one direction."""
        self.by_direction[direction] = self.by_direction.get(direction, 0.0) + current_a


class _Sums:
    """What is drawn and what is fed in over a line in T steps."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.drawn, self.fed = _Side(steps), _Side(steps)

    def largest(self, *, is_conductor: bool) -> FloatArray:
        """The largest current whatever is left out: (T,), A.

        Currents on one conductor lie within 30 degrees of its voltage, or of the opposite where they feed in. Two sums
        of either kind are at 120 degrees to one another or more, so that neither adds to the other.
        """
        if is_conductor:
            sides = (self.drawn, self.fed)
            return np.maximum(*(_largest_current(side.by_direction, self._steps) + side.loose for side in sides))
        both = {**self.drawn.by_direction}
        for direction, current_a in self.fed.by_direction.items():
            both[direction] = both.get(direction, 0.0) + current_a
        return _largest_current(both, self._steps) + self.drawn.loose + self.fed.loose


def _unavoidable_kw(asset: AssetPower) -> FloatArray:
    """What an asset draws, or feeds in curtailed as far as it can be, (T,), kW."""
    return np.where(asset.left_alone_kw > 0, asset.left_alone_kw, asset.least_kw)


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
