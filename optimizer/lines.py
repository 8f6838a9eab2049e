"""Conductors with a limit in ampere: the current that each session puts on them, as phasors.

Currents are held as the power that one conductor would carry at the nominal voltage, so that limits in ampere and in kW
are of one kind; ampere appear again where results are written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.domain.capacity import SINGLE_PHASES, Phase
from models.domain.connection import CONDUCTORS
from models.domain.group import PHASE_CONNECTIONS, Charger, LimitCounts, LineLimit, conductor_weights
from models.domain.scenario import Scenario
from models.domain.session import ChargingSession
from models.domain.time_grid import BoolArray, FloatArray, IntArray, TimeGrid
from models.units import THREE_PHASES, amperes_to_kilowatts
from optimizer.assets import AssetArrays, FlowOwner
from optimizer.options import LimitMode, OptimizeOptions

ComplexArray = NDArray[np.complex128]

SAME_DIRECTION = 1e-9
"""Radians; phasors closer than that point in the same direction."""
NOTHING = 1e-12
"""A phasor that is smaller is none, against one of a kW from line to neutral."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A conductor, winding or fuse with a limit in ampere, over T steps and S sessions.

        max over 0 <= x_s <= power_kw[s] of  |sum_s phasor[s] x_s|  +  sum_s loose[s] power_kw[s]   <=   limit_kw

    The maximum is over what vehicles may leave of their power: currents that cancel one another are never relied on.

    Args:
        line_id: Its name in results.
        group_id: Whose sessions it carries.
        limit_kw: (T,), its current at the nominal voltage, kW; infinite where there is no limit.
        phasor: (S,), current per kW at the nominal voltage, zero for sessions elsewhere.
        loose: (S,), the same for sessions of unknown connection, which count in full whatever their direction.
        every_moment: Whether it holds at every moment; else for the mean over a step.
        beside: What else it carries; None without assets.
    """

    line_id: str
    group_id: str
    limit_kw: FloatArray
    phasor: ComplexArray
    loose: FloatArray
    every_moment: bool
    beside: BesideSessions | None = None

    @cached_property
    def directions(self) -> tuple[FloatArray, IntArray]:
        """The D different directions of its phasors, rad, and (S,) which one a session has (the first for none)."""
        angle = np.round(np.angle(self.phasor) / SAME_DIRECTION) * SAME_DIRECTION
        used = self.phasor != 0
        distinct = np.unique(angle[used])
        return distinct, np.searchsorted(distinct, np.where(used, angle, distinct[0] if distinct.size else 0.0))

    @property
    def is_exact_as_a_sum(self) -> bool:
        """Whether all currents point in one direction, so that amounts add up."""
        return self.directions[0].size <= 1

    @property
    def magnitude(self) -> FloatArray:
        """(S,), amount of the current per kW, whatever its direction."""
        amount: FloatArray = np.abs(self.phasor)
        return amount + self.loose

    def share_towards(self, angle: float) -> FloatArray:
        """What each session adds in one direction, zero for those that would take away: (S,)."""
        towards: FloatArray = np.maximum((self.phasor * np.exp(-1j * angle)).real, 0.0)
        return towards + self.loose


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BesideSessions:
    """What a line carries beside what sessions draw, in amounts, whatever their direction: they are added to it.

    On one conductor what is drawn and what is fed in never add up, for they are at more than a right angle and a half
    to one another: each of both has to fit on its own. On others they may.

    Args:
        amount: (O,), current of a kW of each owner's flows, kW at the nominal voltage.
        draws: (O,), whether an owner's flow of positive sign draws; a generator's, which is curtailed, does not.
        drawn_kw: (T,), what base load draws, kW.
        fed_kw: (T,), what generation feeds in uncurtailed, kW.
        is_conductor: Whether the line is one conductor.
    """

    amount: FloatArray
    draws: BoolArray
    drawn_kw: FloatArray
    fed_kw: FloatArray
    is_conductor: bool

    @property
    def fixed_kw(self) -> FloatArray:
        """(T,), what counts beside what sessions draw and nobody decides on, kW."""
        return self.drawn_kw if self.is_conductor else self.drawn_kw + self.fed_kw

    @property
    def feeds(self) -> bool:
        """Whether anything fed in has to fit on its own."""
        return self.is_conductor and bool(self.fed_kw.any() or self.amount.any())


def largest_sum(amount: FloatArray, direction: FloatArray) -> FloatArray:
    """The largest sum of phasors that can flow while each may be anything up to its amount.

    It is reached by leaving out all that point away from the sum: with D directions there are 2 D ways to do so, one
    between each two directions that are at right angles to one of them.

    Args:
        amount: (T, D).
        direction: (D,), rad.

    Returns:
        (T,).
    """
    if direction.size == 0:
        return np.zeros(amount.shape[0])
    edges = np.unique(np.mod(np.concatenate((direction + np.pi / 2, direction - np.pi / 2)), 2 * np.pi))
    towards = (edges + np.append(edges[1:], edges[0] + 2 * np.pi)) / 2
    phasor = np.exp(1j * direction)
    chosen = (np.exp(-1j * towards)[:, None] * phasor).real > 0
    return np.asarray(np.abs(amount @ (chosen * phasor).T).max(axis=1), dtype=np.float64)


def site_lines(
    scenario: Scenario,
    grid: TimeGrid,
    sessions: Sequence[ChargingSession],
    chargers: Sequence[Charger],
    options: OptimizeOptions,
    assets: AssetArrays | None = None,
) -> tuple[Line, ...]:
    """Every conductor with a limit in ampere that carries what is planned: the site's own, and those of forecasts in A.

    What the site says of its connections and lines follows ``options.current_mode``; what a capacity provider states in
    A is counted like its other blocks.

    Args:
        scenario: Site and forecasts.
        grid: T steps.
        sessions: (S,).
        chargers: (S,), the charger of each session, as its vehicle uses it.
        options: How limits count.
        assets: What is beside plain charging.
    """
    stated, in_amperes = scenario.site.lines(), scenario.forecasts.states_amperes
    if not (stated or in_amperes):
        return ()
    currents = _Currents(scenario, sessions, chargers, assets)
    every_moment = options.current_mode is LimitMode.INSTANTANEOUS
    lines = [
        currents.line(
            line,
            np.full(grid.steps, currents.in_kw(line.limit_a)),
            line.most_per_conductor,
            every_moment=every_moment,
        )
        for line in stated
    ]
    if in_amperes:
        every_moment = options.limit_mode is LimitMode.INSTANTANEOUS
        lines += _forecast_lines(scenario, grid, currents, every_moment=every_moment)
    return tuple(line for line in lines if line.magnitude.any() or (line.beside and line.beside.amount.any()))


class _Currents:
    """What a kW of each session, and of each asset, puts on L1, L2 and L3."""

    def __init__(
        self,
        scenario: Scenario,
        sessions: Sequence[ChargingSession],
        chargers: Sequence[Charger],
        assets: AssetArrays | None,
    ) -> None:
        self._site, self._assets = scenario.site, assets
        self._index_of = {session.session_id: index for index, session in enumerate(sessions)}
        self._voltage_v = scenario.site.nominal_voltage_v
        self._members: dict[str, list[int]] = defaultdict(list)
        self.known = np.zeros(len(chargers), dtype=bool)
        self._per_conductor = np.zeros((len(chargers), len(CONDUCTORS)), dtype=np.complex128)
        for index, charger in enumerate(chargers):
            wiring = charger.wiring
            if wiring is not None:
                self.known[index] = True
                self._per_conductor[index] = wiring.currents_a_per_kw(self._voltage_v, charger.voltage_v)
            for group_id in scenario.site.path(charger.group_id):
                self._members[group_id].append(index)
        self._per_conductor *= self.in_kw(1.0)
        self._chargers = chargers

    def share_on(self, phase: Phase) -> FloatArray:
        """(S,), how much of a session's power a limit in kW counts on a phase."""
        return np.array([charger.share_on(phase) for charger in self._chargers], dtype=np.float64)

    def in_kw(self, current_a: float) -> float:
        """A current as the power of one conductor at the nominal voltage, kW."""
        return amperes_to_kilowatts(current_a, voltage_v=self._voltage_v, conductors=1)

    def line(self, carried: LineLimit, limit_kw: FloatArray, loose: float, *, every_moment: bool) -> Line:
        """A line of the site with what sessions put on it.

        Args:
            carried: The line.
            limit_kw: (T,), its limit at the nominal voltage, kW.
            loose: What a kW of unknown connection counts, as a multiple of its current from line to neutral.
            every_moment: Whether it holds at every moment.
        """
        here = np.zeros(self.known.size)
        here[self._members[carried.group_id]] = 1.0
        phasor = here * (self._per_conductor @ np.array(carried.weights))
        # What cancels on a neutral cancels but for rounding.
        phasor[np.abs(phasor) < NOTHING] = 0.0
        line = Line(
            line_id=carried.line_limit_id,
            group_id=carried.group_id,
            limit_kw=limit_kw,
            phasor=phasor,
            loose=here * ~self.known * loose,
            every_moment=every_moment,
        )
        if self._assets is None:
            return line
        return replace(line, beside=self._beside(self._assets, carried, line.magnitude, loose, limit_kw.size))

    def _beside(
        self, assets: AssetArrays, carried: LineLimit, magnitude: FloatArray, loose: float, steps: int
    ) -> BesideSessions:
        """What a line carries beside sessions: base load and generation where limits of its group count them."""
        group = next(group for group in self._site.groups if group.group_id == carried.group_id)
        counts_all = group.limit_counts is LimitCounts.TOTAL

        def amount(group_id: str, phases: Phase) -> float:
            if carried.group_id not in self._site.path(group_id):
                return 0.0
            wiring = PHASE_CONNECTIONS.get(phases)
            if wiring is None:
                return loose
            per_kw = np.array(wiring.currents_a_per_kw(self._voltage_v)) * self.in_kw(1.0)
            return float(np.abs(per_kw @ np.array(carried.weights)))

        def of_owner(owner: FlowOwner) -> float:
            if owner.charger_id:
                return float(magnitude[self._index_of[owner.name]])
            return amount(owner.group_id, owner.phases) if counts_all or owner.flexible else 0.0

        drawn_kw, fed_kw = np.zeros(steps), np.zeros(steps)
        for one in assets.fixed if counts_all else ():
            current_kw = amount(one.group_id, one.phases) * np.abs(one.power_kw)
            if one.is_generation:
                fed_kw += current_kw
            else:
                drawn_kw += current_kw
        return BesideSessions(
            amount=np.array([of_owner(owner) for owner in assets.flows.owners], dtype=np.float64),
            draws=np.array([owner.flexible for owner in assets.flows.owners], dtype=bool),
            drawn_kw=drawn_kw,
            fed_kw=fed_kw,
            is_conductor=sorted(np.abs(carried.weights).tolist()) == [0.0, 0.0, 1.0],
        )


def _forecast_lines(scenario: Scenario, grid: TimeGrid, currents: _Currents, *, every_moment: bool) -> list[Line]:
    """Lines of forecasts in A, where the limits in kW that these make do not hold the currents already.

    A current for ONE, TWO or THREE is that of a conductor, one for ALL that of each of the three. Of the latter, a
    session of unknown connection counts a third on each conductor, as the provider does who states one figure for all.
    """
    found: list[Line] = []
    for group in scenario.site.groups:
        for phase in (*SINGLE_PHASES, Phase.ALL):
            in_amperes = scenario.forecasts.in_amperes_on(grid, group.group_id, phase)
            if not in_amperes.any():
                continue
            capacity_kw = scenario.forecasts.import_capacity_on(grid, group.group_id, phase)
            each = 1.0 / THREE_PHASES if phase is Phase.ALL else 1.0
            limit_kw = np.where(in_amperes, capacity_kw * each, np.inf)
            for index in range(len(CONDUCTORS)) if phase is Phase.ALL else (SINGLE_PHASES.index(phase),):
                conductor = LineLimit(
                    line_limit_id=f"{group.group_id} {CONDUCTORS[index]} forecast",
                    group_id=group.group_id,
                    limit_a=0.0,
                    weights=conductor_weights(index),
                )
                line = currents.line(conductor, limit_kw, each, every_moment=every_moment)
                counted = currents.share_on(phase) * each
                if (line.magnitude > counted * (1 + SAME_DIRECTION)).any():
                    found.append(line)
    return found
