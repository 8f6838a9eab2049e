"""What policies make of real days over the capacity: energy met, cost, peak, changes of pilots, and time.

Every policy's pilots are played again in acnportal's simulator, which says what was delivered and what lines carried.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.figures import publish
from benchmarks.judge import Verdict, judged
from benchmarks.policies import Case, played
from optimizer.hindsight import DayFigures
from optimizer.options import Occasion

BUSY_DAYS = {
    "jpl": ("2019-07-22", "2019-08-08", "2019-08-26", "2019-07-24"),
    "caltech": ("2019-08-12", "2019-07-18"),
}
"""Weekdays of July and August 2019 with the most energy; departure errors are measured on the months before."""

CAPACITIES_KW = (30.0, 60.0, 100.0, 150.0)
ALL_CAPACITIES_KW = (20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
LINES_KW = 60.0
"""What the transformers of the real networks are scaled to."""

RESULTS = Path("build/quality")
PERCENT = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The figures of one policy on one day.

    Args:
        case: The day and the limit.
        told: What a policy was told of departures: ``stated``, ``true``, ``all`` of the day, or nothing that matters.
        sessions: Vehicles of the day.
        figures: What came of the day.
        verdict: What the simulator found; None where there was nothing to play.
    """

    case: Case
    told: str
    sessions: int
    figures: DayFigures
    verdict: Verdict | None


def results(case: Case, occasion: Occasion) -> list[Result]:
    """Every policy on one day, judged."""
    found = list(played(case, occasion))
    replays = [one.replay for one in found if one.replay is not None]
    verdicts = iter(judged(case.network, replays))
    return [
        Result(
            case=case,
            told=one.told,
            sessions=len(replays[0].schedule.sessions),
            figures=one.figures,
            verdict=next(verdicts) if one.replay is not None else None,
        )
        for one in found
    ]


def kept(case: Case, folder: Path, occasion: Occasion = Occasion.EVERY_EVENT) -> list[Result]:
    """The same from its file where it has been played before: a long sweep may be stopped and taken up again."""
    path = folder / f"{case.garage}-{case.date}-{case.limit.replace(' ', '-')}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(one) for one in results(case, occasion)], indent=1), encoding="utf-8")
    return [
        Result(
            case=Case(**row["case"]),
            told=row["told"],
            sessions=row["sessions"],
            figures=DayFigures(**row["figures"]),
            verdict=Verdict(**row["verdict"]) if row["verdict"] else None,
        )
        for row in json.loads(path.read_text(encoding="utf-8"))
    ]


Key = tuple[str, str, str, str]
"""Garage, limit, policy, and what it was told."""


def by_key(found: Sequence[Result]) -> dict[Key, list[Result]]:
    """The results over the days of each garage, limit and policy, in order of their first appearance."""
    groups: dict[Key, list[Result]] = {}
    for one in found:
        groups.setdefault((one.case.garage, one.case.limit, one.figures.policy, one.told), []).append(one)
    return groups


def energy_met(rows: Sequence[Result]) -> float:
    """Share of the energy of all days together that was delivered, %."""
    delivered_kwh = sum(row.figures.delivered_energy_kwh for row in rows)
    return (
        PERCENT * delivered_kwh / sum(row.figures.delivered_energy_kwh + row.figures.unmet_energy_kwh for row in rows)
    )


def table(found: Sequence[Result]) -> str:
    """One line for each garage, limit and policy: means over the days, as a Markdown table."""
    numbers = ("met %", "served %", "USD", "USD/kWh", "peak kW", "changes", "moved kW", "ms/plan")
    judged_numbers = ("simulated met %", "minutes over", "most over %")
    titles = ("garage", "kW", "policy", "told", *numbers, *judged_numbers)
    rule = ("---", "---", "---", "---", *("---:" for _ in (*numbers, *judged_numbers)))
    lines = [f"| {' | '.join(cells)} |" for cells in (titles, rule)]
    lines += [_line(key, rows) for key, rows in by_key(found).items()]
    return "\n".join(lines)


def _line(key: Key, rows: Sequence[Result]) -> str:
    figures = [row.figures for row in rows]
    cost = sum(one.energy_cost for one in figures)
    is_plan = all(row.verdict is not None for row in rows)
    cells = [
        *key,
        f"{energy_met(rows):.2f}",
        f"{PERCENT * (1 - sum(one.sessions_short for one in figures) / sum(row.sessions for row in rows)):.1f}",
        f"{cost / len(rows):.2f}",
        f"{cost / sum(one.delivered_energy_kwh for one in figures):.4f}",
        f"{max(one.peak_import_kw for one in figures):.1f}",
        f"{np.mean([one.pilot_changes for one in figures]):.0f}",
        f"{np.mean([one.moved_kw for one in figures]):.2f}",
        f"{1000 * np.mean([one.seconds for one in figures]):.1f}",
        *(_simulated(rows) if is_plan else ("", "", "")),
    ]
    if not is_plan:
        cells[5] = cells[8] = cells[9] = cells[10] = cells[11] = ""
    return f"| {' | '.join(cells)} |"


def _simulated(rows: Sequence[Result]) -> Iterator[str]:
    verdicts = [row.verdict for row in rows if row.verdict is not None]
    wanted_kwh = sum(one.delivered_kwh / one.energy_met for one in verdicts)
    yield f"{PERCENT * sum(one.delivered_kwh for one in verdicts) / wanted_kwh:.2f}"
    yield f"{sum(one.minutes_over for one in verdicts) / len(verdicts):.0f}"
    yield f"{PERCENT * max(one.worst_excess for one in verdicts):.1f}"


def sweep_table(found: Sequence[Result]) -> str:
    """Energy met, %, over the capacity: one line for each garage and policy, one column for each limit."""
    groups = by_key(found)
    limits = list(dict.fromkeys(limit for _, limit, _, _ in groups))
    lines = [
        f"| garage | policy | told | {' | '.join(limits)} |",
        f"| --- | --- | --- | {' | '.join('---:' for _ in limits)} |",
    ]
    for garage, policy, told in dict.fromkeys((garage, policy, told) for garage, _, policy, told in groups):
        cells = [groups.get((garage, limit, policy, told)) for limit in limits]
        met = " | ".join(f"{energy_met(rows):.2f}" if rows else "" for rows in cells)
        lines.append(f"| {garage} | {policy} | {told} | {met} |")
    return "\n".join(lines)


def cases(chosen: argparse.Namespace) -> Iterator[Case]:
    """What was asked for on the command line."""
    capacities = chosen.capacity_kw or (ALL_CAPACITIES_KW if chosen.full else CAPACITIES_KW)
    for garage in chosen.garage or BUSY_DAYS:
        for date in BUSY_DAYS[garage][: None if chosen.full else chosen.days]:
            for limit_kw in capacities:
                yield Case(garage=garage, date=date, limit_kw=limit_kw)
            if not chosen.capacity_kw:
                yield Case(garage=garage, date=date, limit_kw=LINES_KW, has_lines=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the sweep, print the tables and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="every busy day and capacity (an hour)")
    parser.add_argument("--garage", choices=sorted(BUSY_DAYS), action="append", help="of these only")
    parser.add_argument("--capacity-kw", type=float, action="append", help="of these only, without lines")
    parser.add_argument("--days", type=int, default=1, help="busy days of each garage")
    parser.add_argument(
        "--quarters", action="store_true", help="plan anew every quarter of an hour, not at every event"
    )
    parser.add_argument("--out", type=Path, help="folder of figures; what is there is not played again")
    parser.add_argument("--publish", action="store_true", help="put the tables into benchmarks/README.md")
    chosen = parser.parse_args(arguments)

    occasion = Occasion.EVERY_STEP if chosen.quarters else Occasion.EVERY_EVENT
    folder = chosen.out or RESULTS / occasion.value
    found: list[Result] = []
    for case in cases(chosen):
        found.extend(kept(case, folder, occasion))
        print(f"{case.garage} {case.date} {case.limit} kW", file=sys.stderr, flush=True)
    print(table(found), sweep_table(found), sep="\n\n")
    if chosen.publish:
        if chosen.full:
            publish(sweep_table(found), "quality sweep")
        else:
            publish(table(found), "quality days")
    return 0


if __name__ == "__main__":
    sys.exit(main())
