"""How wrong what is believed may be: departures that come earlier or later, capacity that is cut."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from models.domain.time_grid import FloatArray
from models.errors import InputError

MAX_ERROR_HOURS = 24.0 * 31
"""Nobody errs by more than the longest stay."""

NOBODY = 1e-9
"""A smaller share of drivers is none."""

MAX_SURPRISES = 20
"""Each makes the program larger by the plan's own size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepartureErrors:
    """How drivers' statements turn out: quantiles of the real departure less the stated one.

    Args:
        hours: Q of them at evenly spread levels from 0 to 1, in order, h; at least two.

    Raises:
        InputError: They are too few, not in order, not finite, or farther off than a month.
    """

    hours: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.hours) < 2:  # noqa: PLR2004
            raise InputError(f"departure errors need at least two quantiles; there are {len(self.hours)}")
        if not all(math.isfinite(error) and abs(error) <= MAX_ERROR_HOURS for error in self.hours):
            raise InputError(f"departure errors must be finite and at most {MAX_ERROR_HOURS:g} h: {self.hours}")
        if list(self.hours) != sorted(self.hours):
            raise InputError(f"departure errors must be in order: {self.hours}")

    @classmethod
    def measured(cls, errors_hours: Iterable[float], *, quantiles: int = 21) -> DepartureErrors:
        """The quantiles of errors that were observed, h."""
        levels = np.linspace(0.0, 1.0, quantiles)
        return cls(hours=tuple(np.quantile(np.fromiter(errors_hours, dtype=np.float64), levels).tolist()))

    def later_than(self, least_hours: FloatArray, level: float) -> FloatArray:
        """Quantile of the errors that exceed a least one: how it turns out for somebody who has not left yet.

        Args:
            least_hours: (S,), h.
            level: 0 to 1.

        Returns:
            (S,), h, at least the least one.
        """
        levels = np.linspace(0.0, 1.0, len(self.hours))
        hours = np.array(self.hours)
        gone = np.interp(least_hours, hours, levels)
        found: FloatArray = np.maximum(np.interp(gone + level * (1.0 - gone), levels, hours), least_hours)
        return found

    def staying(self, least_hours: float, hours: FloatArray) -> FloatArray:
        """How likely somebody who has not left yet is still there later.

            (1 - F(hours)) / (1 - F(least_hours))          with F the share of the errors that are not larger

        Args:
            least_hours: The present, from the stated departure on, h.
            hours: (N,), the instants asked for, from the stated departure on, at least the present, h.

        Returns:
            (N,), 0 to 1; 1 for who has stayed longer than anybody ever did.
        """
        levels = np.linspace(0.0, 1.0, len(self.hours))
        still = 1.0 - float(np.interp(least_hours, self.hours, levels))
        if still <= NOBODY:
            return np.ones(hours.size)
        later: FloatArray = 1.0 - np.interp(hours, self.hours, levels)
        return np.minimum(later / still, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surprise:
    """One way in which the future may differ from what is believed.

    Args:
        probability: Above 0, at most 1; what is left of all surprises together is that of what is believed.
        departure_level: Quantile of the departure errors, 0 to 1, at which all vehicles leave; None: as believed.
        capacity_share: What is left of every group's limit, 0 to 1.

    Raises:
        InputError: A value is out of bounds.
    """

    probability: float
    departure_level: float | None = None
    capacity_share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise InputError(f"the probability of a surprise is {self.probability}; it must be above 0 and at most 1")
        if self.departure_level is not None and not 0 <= self.departure_level <= 1:
            raise InputError(f"departure_level is {self.departure_level}; it must be between 0 and 1")
        if not 0 <= self.capacity_share <= 1:
            raise InputError(f"capacity_share is {self.capacity_share}; it must be between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """What a plan is to be prepared for.

    With surprises, each is a future of its own. Without, every kWh of the plan is weighed by how likely the vehicle is
    still there.

    Args:
        surprises: At most 20, with probabilities that do not exceed 1 together.
        departure_errors: What is known of departures; None where no surprise has a departure level.
        own_departure_errors: The same of single sessions, by id, where more is known of them than of all.

    Raises:
        InputError: There are too many surprises, or none and no errors either; their probabilities exceed 1; or errors
            are missing.
    """

    surprises: tuple[Surprise, ...] = ()
    departure_errors: DepartureErrors | None = None
    own_departure_errors: Mapping[str, DepartureErrors] = field(default_factory=dict)

    def errors_of(self, session_id: str) -> DepartureErrors | None:
        """What is known of the departure of a session; None where nothing is."""
        return self.own_departure_errors.get(session_id, self.departure_errors)

    def __post_init__(self) -> None:
        if len(self.surprises) > MAX_SURPRISES:
            raise InputError(f"there are {len(self.surprises)} surprises; there must be at most {MAX_SURPRISES}")
        if not self.surprises and self.departure_errors is None and not self.own_departure_errors:
            raise InputError("there is nothing to be prepared for: name surprises, or departure errors, or both")
        total = sum(surprise.probability for surprise in self.surprises)
        if total > 1 + 1e-9:
            raise InputError(f"the probabilities of the surprises add up to {total:g}; they must not exceed 1")
        timed = any(surprise.departure_level is not None for surprise in self.surprises)
        if timed and self.departure_errors is None and not self.own_departure_errors:
            raise InputError("a surprise has a departure_level, but there are no departure errors for it to refer to")
