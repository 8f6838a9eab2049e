"""How a load hangs on the conductors L1, L2 and L3, and what current it puts on each: phasors at unity power factor."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from functools import cached_property

from models.errors import InputError
from models.units import THREE_PHASES, amperes_per_kilowatt

CONDUCTORS = ("L1", "L2", "L3")
NEUTRAL = "N"
SEPARATOR = "-"

LINE_VOLTAGES = tuple(cmath.rect(1.0, -2 * math.pi * index / THREE_PHASES) for index in range(THREE_PHASES))
"""Voltages of L1, L2 and L3 against the neutral, as multiples of their amount: each a third of a turn behind."""

Phasors = tuple[complex, complex, complex]
"""Something on L1, L2 and L3."""


@dataclass(frozen=True)
class Connection:
    """The conductors a load is connected to, in the order of its own terminals.

        L1-N          one phase, from line to neutral
        L2-L3         one phase, between two lines (as chargers in North America are)
        L1-L2-N       two phases, half of the power from each line to neutral
        L1-L2-L3      three phases, a third of the power each; star and delta load the lines alike
        L2-L3-L1      the same, rotated: a vehicle that uses one phase only loads L2

    Args:
        text: The names, joined by hyphens; a neutral comes last and may be left out after three lines.

    Raises:
        InputError: The text names no such connection.
    """

    text: str

    def __post_init__(self) -> None:
        lines = self.lines
        known = len(set(lines)) == len(lines) and set(lines) <= set(CONDUCTORS)
        if not known or not lines or (len(lines) == 1 and not self.has_neutral):
            raise InputError(
                f"connection {self.text!r} is none of L1-N (one line), L1-L2 (between two lines), L1-L2-N (two phases) "
                "and L1-L2-L3 (three phases), with the lines in any order"
            )

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, in the order of the terminals."""
        names = tuple(self.text.split(SEPARATOR))
        return names[:-1] if self.has_neutral else names

    @property
    def has_neutral(self) -> bool:
        """Whether the neutral is named."""
        return self.text.split(SEPARATOR)[-1] == NEUTRAL

    @property
    def is_between_lines(self) -> bool:
        """Whether it is a single load from line to line."""
        return len(self.lines) == 2 and not self.has_neutral  # noqa: PLR2004 - a pair

    def used_by(self, phases: int | None) -> Connection:
        """The connection of a vehicle that uses some of the phases only: those of the first terminals.

        Args:
            phases: How many; None for all.
        """
        lines = self.lines
        if phases is None or self.is_between_lines or phases >= len(lines):
            return self
        return Connection(SEPARATOR.join([*lines[:phases], NEUTRAL]))

    @cached_property
    def shares(self) -> tuple[float, float, float]:
        """How much of its power it takes from L1, L2 and L3; together 1."""
        each = 1.0 / len(self.lines)
        first, second, third = (each if name in self.lines else 0.0 for name in CONDUCTORS)
        return first, second, third

    def currents_a_per_kw(self, nominal_voltage_v: float, voltage_v: float | None = None) -> Phasors:
        """Current on L1, L2 and L3 for each kW drawn, against the voltage of L1.

            from line to neutral:   P / U along the voltage of the line
            between two lines:      P / U along the difference of their voltages, out on the one and back on the other

        Args:
            nominal_voltage_v: From line to neutral, V.
            voltage_v: Across the load, V: from line to neutral, or between the lines of a connection such as L1-L2;
                None for what follows from the nominal voltage.
        """
        currents = [0j, 0j, 0j]
        at = [CONDUCTORS.index(name) for name in self.lines]
        if self.is_between_lines:
            out, back = at
            difference = LINE_VOLTAGES[out] - LINE_VOLTAGES[back]
            across_v = nominal_voltage_v * abs(difference) if voltage_v is None else voltage_v
            current = amperes_per_kilowatt(across_v) * difference / abs(difference)
            currents[out], currents[back] = current, -current
        else:
            across_v = nominal_voltage_v if voltage_v is None else voltage_v
            for index in at:
                currents[index] = amperes_per_kilowatt(across_v) / len(at) * LINE_VOLTAGES[index]
        return currents[0], currents[1], currents[2]
