"""Optima of any scenario, and when one is worse than another."""

from __future__ import annotations

from hypothesis import settings

from models.domain.schedule import Schedule, ScheduleStatus
from optimizer.engine import optimize
from tests.properties.strategies import Case

TOLERANCE = 1e-5
"""kW, kWh or currency: sums of rows that hold to 1e-6 each."""

EXAMPLES = settings(max_examples=100)
"""Each example solves one to five small programs of about 10 ms."""


def solved(case: Case) -> Schedule:
    """The optimum, proved in every stage."""
    schedule = optimize(case.scenario, case.options)
    assert schedule.status is ScheduleStatus.OPTIMAL
    return schedule


def values(schedule: Schedule) -> list[float]:
    """What each stage reached, first stage first."""
    return [stage.value for stage in schedule.stages]


def is_worse(later: list[float], earlier: list[float], tolerance: float = TOLERANCE) -> bool:
    """Whether the first stage in which two vectors differ is higher in the later one; a gain of a hundredth of the
    tolerance is one already, since a later stage may pay for it.
    """
    for new, old in zip(later, earlier, strict=True):
        slack = tolerance * max(1.0, abs(old))
        if new - old > slack:
            return True
        if old - new > slack / 100:
            return False
    return False
