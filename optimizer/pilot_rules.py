"""Which powers a session may be given: none, at least a minimum, or one of a list of levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.domain.group import SAME_POWER_KW, Charger
from models.domain.time_grid import BoolArray, FloatArray, IntArray
from models.units import SECONDS_PER_HOUR
from optimizer.options import LimitMode, OptimizeOptions, PilotMode

NOTHING_KWH = 1e-6
"""Less than that is not worth a row: at any charger it lasts some milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PilotRules:
    """What power each of S sessions may be given, besides none.

    Args:
        minimum_kw: (S,), the least, kW.
        maximum_kw: (S,), the most, kW.
        level_kw: (S, L), the only ones, kW, increasing, filled up with infinity; a session without any has its whole
            row infinite and may be given every power from the least to the most.
        minimum_run_hours: How long a session with a least power stays on once it was switched on, h, unless its need is
            met, it leaves, or the limits have no room for it.
        counts_power: Whether any limit counts the power however long it is held; then it is spared under all of them.
        is_exact: Whether the program itself is to decide, instead of rounding its result.
    """

    minimum_kw: FloatArray
    maximum_kw: FloatArray
    level_kw: FloatArray
    minimum_run_hours: float
    counts_power: bool
    is_exact: bool

    @classmethod
    def of(
        cls,
        chargers: Sequence[Charger],
        maximum_kw: FloatArray,
        options: OptimizeOptions,
        *,
        feeds_in: Sequence[bool],
        every_moment: bool = False,
    ) -> PilotRules | None:
        """The rules of sessions at these chargers; None where each of them takes any power.

        Args:
            chargers: (S,), where each session is plugged in.
            feeds_in: (S,), whether its vehicle may feed in: that is given any power, in either direction.
            maximum_kw: (S,), the most that a session may be given, kW.
            options: How much to care, and what limits count.
            every_moment: Whether a limit counts every moment whatever the options say.
        """
        free = [feeds or charger.is_stepless for feeds, charger in zip(feeds_in, chargers, strict=True)]
        if options.is_stepless or all(free):
            return None
        level_kw = np.full((len(chargers), max((len(c.power_levels_kw) for c in chargers), default=0)), np.inf)
        for index, charger in enumerate(chargers):
            if free[index]:
                continue
            levels = [kw for kw in charger.power_levels_kw if kw >= charger.min_power_kw]
            level_kw[index, : len(levels)] = levels
        return cls(
            minimum_kw=np.array(
                [0.0 if free[index] else charger.min_power_kw for index, charger in enumerate(chargers)],
                dtype=np.float64,
            ),
            maximum_kw=maximum_kw,
            level_kw=level_kw,
            minimum_run_hours=options.minimum_run.total_seconds() / SECONDS_PER_HOUR,
            counts_power=every_moment or options.limit_mode is LimitMode.INSTANTANEOUS,
            is_exact=options.pilots is PilotMode.EXACT,
        )

    @property
    def has_levels(self) -> BoolArray:
        """(S,), whether a session is held to levels."""
        return np.asarray(np.isfinite(self.level_kw).any(axis=1))

    def at_most_kw(self, session: IntArray, power_kw: FloatArray) -> FloatArray:
        """The highest power allowed that is not above a given one, zero where there is none: (N,), kW."""
        level_kw = self.level_kw[session]
        padded = np.concatenate((np.zeros((session.size, 1)), level_kw), axis=1)
        position = (level_kw <= power_kw[:, None] + SAME_POWER_KW).sum(axis=1)
        level = padded[np.arange(session.size), position]
        free = np.where(power_kw >= self.minimum_kw[session] - SAME_POWER_KW, power_kw, 0.0)
        return np.where(self.has_levels[session], level, np.minimum(free, self.maximum_kw[session]))

    def above_kw(self, session: IntArray, power_kw: FloatArray) -> FloatArray:
        """The lowest power allowed that is above a given one, infinite where there is none: (N,), kW."""
        level_kw = self.level_kw[session]
        padded = np.concatenate((level_kw, np.full((session.size, 1), np.inf)), axis=1)
        position = (level_kw <= power_kw[:, None] + SAME_POWER_KW).sum(axis=1)
        level = padded[np.arange(session.size), position]
        free = np.where(power_kw < self.minimum_kw[session] - SAME_POWER_KW, self.minimum_kw[session], np.inf)
        return np.where(self.has_levels[session], level, free)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PilotPlan:
    """Energies at powers that the rules allow.

    Args:
        energy_kwh: (K,), kWh.
        full_hours: (K,), the presence, h.
        hours: (K,), how long the power is held, h: the presence, or less in the last row of a session.
    """

    energy_kwh: FloatArray
    full_hours: FloatArray
    hours: FloatArray
