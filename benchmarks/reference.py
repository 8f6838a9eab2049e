"""Rerun every known optimum and print how far we are from it."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from benchmarks.cases import ReferenceCase, reference_cases
from models.domain import Schedule
from optimizer import Stage, optimize

COST_TOLERANCE = 1e-4
"""Relative."""
UNMET_TOLERANCE_KWH = 0.01
PEAK_TOLERANCE_KW = 0.01


def deviations(case: ReferenceCase, schedule: Schedule) -> list[str]:
    """What of a schedule does not agree with the known optimum; empty where all does.

    Where the peak is what was minimised, the known cost is that of some plan with this peak and not the least one: ours
    may be lower. Elsewhere the peak is only bounded by the limit.
    """
    found = []
    peak_minimised = Stage.PEAK_POWER in case.options.objective
    difference = schedule.energy_cost - case.cost
    if (difference if peak_minimised else abs(difference)) > COST_TOLERANCE * abs(case.cost):
        found.append(f"cost {schedule.energy_cost:.4f} instead of {case.cost:.4f}")
    if abs(schedule.unmet_energy_kwh - case.unmet_kwh) > UNMET_TOLERANCE_KWH:
        found.append(f"unmet {schedule.unmet_energy_kwh:.3f} instead of {case.unmet_kwh:.3f} kWh")
    if peak_minimised and abs(schedule.peak_import_kw - case.peak_kw) > PEAK_TOLERANCE_KW:
        found.append(f"peak {schedule.peak_import_kw:.3f} instead of {case.peak_kw:.3f} kW")
    return found


def main() -> int:
    """Print the table; 1 where something disagrees."""
    table = Table(box=None, pad_edge=False)
    for title in ("scenario", "cost", "known", "unmet kWh", "known", "peak kW", "known", "s", ""):
        table.add_column(title, justify="left" if title in ("scenario", "") else "right", no_wrap=True)
    failed = 0
    for case in reference_cases():
        schedule = optimize(case.scenario, case.options)
        found = deviations(case, schedule)
        failed += bool(found)
        table.add_row(
            case.name,
            f"{schedule.energy_cost:.4f}",
            f"{case.cost:.4f}",
            f"{schedule.unmet_energy_kwh:.3f}",
            f"{case.unmet_kwh:.3f}",
            f"{schedule.peak_import_kw:.3f}",
            f"{case.peak_kw:.3f}",
            f"{schedule.seconds['total']:.2f}",
            "; ".join(found) or "agrees",
        )
    Console(width=150).print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
