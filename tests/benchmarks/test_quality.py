"""What the quality sweep plays, and what it puts into its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.judge import Verdict
from benchmarks.policies import Case, recorded_day, uncertainty
from benchmarks.quality import BUSY_DAYS, Result, energy_met, kept, sweep_table, table
from optimizer.hindsight import day_figures
from tests.builders import make_schedule

VERDICT = Verdict(
    delivered_kwh=10.0,
    energy_met=1.0,
    sessions_served=1,
    peak_kw=10.0,
    minutes_over=0,
    worst_excess=0.0,
    fullest_line="connection",
)


def result(day: str, *, limit_kw: float = 60.0) -> Result:
    """One vehicle that asks for 10 kWh and gets them for 2 USD."""
    return Result(
        case=Case(garage="jpl", date=day, limit_kw=limit_kw),
        told="all",
        sessions=1,
        figures=day_figures("offline optimum", make_schedule()),
        verdict=VERDICT,
    )


def test_means_over_the_days() -> None:
    """Two days of 10 kWh for 2 USD each, all served: 100 %, 2 USD a day and 0.20 a kWh in one line."""
    header, _, *lines = table([result(day) for day in BUSY_DAYS["jpl"][:2]]).splitlines()

    assert header.startswith("| garage | kW | policy | told | met % |")
    (line,) = lines
    assert line.startswith("| jpl | 60 | offline optimum | all | 100.00 | 100.0 | 2.00 | 0.2000 | 10.0 | 1 |")
    assert line.endswith("| 100.00 | 0 | 0.0 |")


def test_one_column_for_each_limit() -> None:
    """The sweep has a line for a policy, and the energy met at 20 and at 60 kW beside each other."""
    day = BUSY_DAYS["jpl"][0]

    header, _, *lines = sweep_table([result(day, limit_kw=20.0), result(day)]).splitlines()

    assert header == "| garage | policy | told | 20 | 60 |"
    assert lines == ["| jpl | offline optimum | all | 100.00 | 100.00 |"]


def test_a_day_is_played_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stopped sweep has finished is read from its file, figure by figure, and not played again."""
    one = result(BUSY_DAYS["jpl"][0])
    monkeypatch.setattr("benchmarks.quality.results", lambda *_: [one])
    kept(one.case, tmp_path)
    monkeypatch.delattr("benchmarks.quality.results")

    (read,) = kept(one.case, tmp_path)

    assert read == one
    assert energy_met([read]) == pytest.approx(100.0)


@pytest.mark.parametrize("garage", sorted(BUSY_DAYS))
def test_what_a_policy_is_told(garage: str) -> None:
    """Every session of a busy day has a stated departure and no request; errors were measured before that day."""
    day = recorded_day(Case(garage=garage, date=BUSY_DAYS[garage][0], limit_kw=60.0))

    assert day.statements.keys() == {session.session_id for session in day.scenario.sessions}
    assert all(said.departure is not None and said.energy_kwh is None for said in day.statements.values())
    ready = uncertainty(garage)
    assert ready.departure_errors is not None
    assert ready.departure_errors.hours[0] < 0 < ready.departure_errors.hours[-1]
