"""What policies make of real days over the capacity: energy met, cost, peak, changes of pilots, and time."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.cases import garage_scenario, garage_statements, garage_table
from benchmarks.figures import publish
from models.domain import DepartureErrors, DriverStatement, RecordedDay, Surprise, Uncertainty
from optimizer.engine import optimize
from optimizer.hindsight import BLIND_RULES, DEADLINE_RULES, DayFigures, baseline, day_figures, rolled_figures
from optimizer.options import (
    Backend,
    Foresight,
    OptimizeOptions,
    RollOptions,
    SolverOptions,
    Stage,
    Strategy,
)
from optimizer.rolling import roll

BUSY_DAYS = {
    "jpl": ("2019-07-22", "2019-08-08", "2019-08-26", "2019-07-24"),
    "caltech": ("2019-08-12", "2019-07-18"),
}
"""Weekdays of July and August 2019 with the most energy; departure errors are measured on the months before."""

CAPACITIES_KW = (30.0, 60.0, 100.0, 150.0)
ALL_CAPACITIES_KW = (20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
LEARNED_UNTIL = "2019-07-01"
LEVELS = (0.02, 0.1, 0.5)
"""Quantiles of the departure errors that a prepared plan is ready for, all equally likely."""
MOVING_PRICE_PER_KWH = 0.01
"""USD; a twentieth of the difference between the dearest and the cheapest hour."""
PACIFIC = ZoneInfo("America/Los_Angeles")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The figures of one policy on one day.

    Args:
        garage: ``jpl`` or ``caltech``.
        day: ISO date.
        capacity_kw: Limit of the connection, kW.
        told: What a policy was told of departures: ``stated``, ``true``, ``all`` of the day, or nothing that matters.
        figures: What came of the day.
    """

    garage: str
    day: str
    capacity_kw: float
    told: str
    figures: DayFigures


def recorded_day(garage: str, date: str, capacity_kw: float) -> RecordedDay:
    """A day of a garage behind one connection, from midnight for 30 h; drivers said when they would leave.

    Requests are what was really drawn: what drivers asked for would lose the same energy to every policy.
    """
    start = datetime.fromisoformat(date).replace(tzinfo=PACIFIC)
    scenario = garage_scenario(garage, start, start + timedelta(hours=30), limit_kw=capacity_kw)
    said = garage_statements(garage)
    statements = {
        session.session_id: DriverStatement(departure=said[session.session_id].departure)
        for session in scenario.sessions
    }
    return RecordedDay(scenario=scenario, statements=statements)


def departure_errors(garage: str) -> DepartureErrors:
    """How the drivers of a garage erred before July 2019; those who said nothing are left out."""
    table = garage_table(garage)
    table = table[(table["arrival"] < LEARNED_UNTIL) & table["claimed"]]
    pairs = zip(table["departure"], table["estimated_departure"], strict=True)
    return DepartureErrors.measured(
        (datetime.fromisoformat(real) - datetime.fromisoformat(said)).total_seconds() / 3600 for real, said in pairs
    )


def uncertainty(garage: str) -> Uncertainty:
    """What a prepared plan is ready for: departures at some quantiles of the errors."""
    surprises = tuple(Surprise(probability=1 / len(LEVELS), departure_level=level) for level in LEVELS)
    return Uncertainty(surprises=surprises, departure_errors=departure_errors(garage))


def results(garage: str, date: str, capacity_kw: float) -> Iterator[Result]:
    """Every policy on one day."""
    day = recorded_day(garage, date, capacity_kw)
    plan = OptimizeOptions(solver=SolverOptions(backend=Backend.ARRAYS))

    def result(told: str, figures: DayFigures) -> Result:
        return Result(garage=garage, day=date, capacity_kw=capacity_kw, told=told, figures=figures)

    yield result("all", day_figures("offline optimum", optimize(day.scenario, plan)))
    for told, foresight in (("true", Foresight.TRUE), ("stated", Foresight.STATED)):
        options = RollOptions(plan=plan, foresight=foresight)
        yield result(told, rolled_figures("rolled", roll(day, options)))
        for rule in DEADLINE_RULES:
            yield result(told, baseline(day, options, rule))
    stated = RollOptions(plan=plan)
    steady = replace(stated, plan=replace(plan, moving_price_per_kwh=MOVING_PRICE_PER_KWH))
    yield result("stated", rolled_figures("rolled, steady", roll(day, steady)))
    naive = replace(plan, objective=(Stage.UNMET_ENERGY, Stage.ENERGY_COST))
    yield result("stated", rolled_figures("rolled, naive", roll(day, replace(stated, plan=naive))))
    ready = replace(stated, plan=replace(plan, uncertainty=uncertainty(garage)))
    yield result("stated", rolled_figures("rolled, prepared", roll(day, ready)))
    for rule in BLIND_RULES:
        if rule is not Strategy.EQUAL_SHARE:
            yield result("", baseline(day, stated, rule))


def table(found: Sequence[Result]) -> str:
    """One line for each garage, capacity and policy: means over the days, as a Markdown table."""
    lines = [
        "| garage | kW | policy | told | met % | short | USD | USD/kWh | peak kW | changes | moved kW | ms/plan |",
        "| --- | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    keys = dict.fromkeys((one.garage, one.capacity_kw, one.figures.policy, one.told) for one in found)
    for key in keys:
        rows = [one.figures for one in found if (one.garage, one.capacity_kw, one.figures.policy, one.told) == key]
        delivered_kwh = sum(row.delivered_energy_kwh for row in rows)
        wanted_kwh = delivered_kwh + sum(row.unmet_energy_kwh for row in rows)
        cost = sum(row.energy_cost for row in rows)
        garage, capacity_kw, policy, told = key
        lines.append(
            f"| {garage} | {capacity_kw:g} | {policy} | {told} | {100 * delivered_kwh / wanted_kwh:.2f} "
            f"| {np.mean([row.sessions_short for row in rows]):.1f} | {cost / len(rows):.2f} "
            f"| {cost / delivered_kwh:.4f} | {max(row.peak_import_kw for row in rows):.1f} "
            f"| {np.mean([row.pilot_changes for row in rows]):.0f} | {np.mean([row.moved_kw for row in rows]):.2f} "
            f"| {1000 * np.mean([row.seconds for row in rows]):.1f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the sweep, print the table and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="every busy day and capacity (an hour)")
    parser.add_argument("--garage", choices=sorted(BUSY_DAYS), action="append", help="of these only")
    parser.add_argument("--capacity-kw", type=float, action="append", help="of these only")
    parser.add_argument("--days", type=int, default=1, help="busy days of each garage")
    parser.add_argument("--out", type=Path, default=Path("build/quality.json"), help="figures as JSON")
    parser.add_argument("--publish", action="store_true", help="put the table into benchmarks/README.md")
    chosen = parser.parse_args(arguments)

    capacities = chosen.capacity_kw or (ALL_CAPACITIES_KW if chosen.full else CAPACITIES_KW)
    found: list[Result] = []
    for garage in chosen.garage or BUSY_DAYS:
        for date in BUSY_DAYS[garage][: None if chosen.full else chosen.days]:
            for capacity_kw in capacities:
                found.extend(results(garage, date, capacity_kw))
                print(f"{garage} {date} {capacity_kw:g} kW", file=sys.stderr)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps([asdict(one) for one in found], indent=2), encoding="utf-8")
    print(table(found))
    if chosen.publish:
        publish(table(found), "quality")
    return 0


if __name__ == "__main__":
    sys.exit(main())
