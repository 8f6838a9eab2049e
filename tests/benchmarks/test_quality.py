"""What the quality sweep puts into its table."""

from __future__ import annotations

import pytest

from benchmarks.quality import BUSY_DAYS, Result, recorded_day, table, uncertainty
from optimizer.hindsight import day_figures
from tests.builders import make_schedule


def test_means_over_the_days() -> None:
    """Two days of 10 kWh for 2 USD each, all served: 100 %, 2 USD a day and 0.20 a kWh in one line."""
    figures = day_figures("offline optimum", make_schedule())
    days = [Result(garage="jpl", day=day, capacity_kw=60.0, told="all", figures=figures) for day in BUSY_DAYS["jpl"]]

    header, _, *lines = table(days[:2]).splitlines()

    assert header.startswith("| garage | kW | policy | told | met % |")
    assert lines == ["| jpl | 60 | offline optimum | all | 100.00 | 0.0 | 2.00 | 0.2000 | 10.0 | 1 | 0.00 | 0.0 |"]


@pytest.mark.parametrize("garage", sorted(BUSY_DAYS))
def test_what_a_policy_is_told(garage: str) -> None:
    """Every session of a busy day has a stated departure and no request; errors were measured before that day."""
    day = recorded_day(garage, BUSY_DAYS[garage][0], 60.0)

    assert day.statements.keys() == {session.session_id for session in day.scenario.sessions}
    assert all(said.departure is not None and said.energy_kwh is None for said in day.statements.values())
    ready = uncertainty(garage)
    assert ready.departure_errors is not None
    assert ready.departure_errors.hours[0] < 0 < ready.departure_errors.hours[-1]
