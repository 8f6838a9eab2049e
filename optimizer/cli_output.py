"""What commands show on a terminal: tables, summaries, progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.comparison import ComparedStrategy
    from optimizer.hindsight import DayFigures

Advance = Callable[[], None]

SHOWN_VIOLATIONS = 10


def print_hindsight(figures: list[DayFigures], currency: str) -> None:
    """Print one line for each policy."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    titles = ("policy", f"cost {currency}", "met %", "unmet kWh", "short", "peak kW", "min over limit")
    for title in (*titles, "changes", "plans", "moved kW", "ms/plan"):
        table.add_column(title, justify="left" if title == "policy" else "right", no_wrap=True)
    for one in figures:
        table.add_row(
            one.policy,
            f"{one.energy_cost:.2f}",
            f"{100 * one.energy_met:.2f}",
            f"{one.unmet_energy_kwh:.1f}",
            str(one.sessions_short),
            f"{one.peak_import_kw:.1f}",
            f"{one.minutes_over_limit:.0f}",
            str(one.pilot_changes),
            str(one.plans),
            f"{one.moved_kw:.1f}",
            f"{1000 * one.seconds:.1f}",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def print_comparison(compared: list[ComparedStrategy], currency: str) -> None:
    """Print one line for each strategy."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for title in ("strategy", f"cost {currency}", "unmet kWh", "short", "peak kW", "min over limit", "s", "status"):
        table.add_column(title, justify="left" if title in ("strategy", "status") else "right", no_wrap=True)
    for result in compared:
        table.add_row(
            result.strategy,
            f"{result.energy_cost:.2f}",
            f"{result.unmet_energy_kwh:.1f}",
            str(result.sessions_short),
            f"{result.peak_import_kw:.1f}",
            f"{result.minutes_over_limit:.0f}",
            f"{result.seconds:.3f}",
            result.status,
        )
    Console(width=None if sys.stdout.isatty() else 100).print(table)


@contextmanager
def progress(*tasks: str, show: bool) -> Iterator[Advance]:
    """A bar over named pieces of work on standard error; nothing where that is not a terminal."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not (show and console.is_terminal)) as bar:
        task = bar.add_task(tasks[0], total=len(tasks))
        upcoming = iter((*tasks[1:], "Done"))
        yield lambda: bar.update(task, advance=1, description=next(upcoming))


def print_summary(summary: dict[str, object], out: Path) -> None:
    """Print what came of a plan.

    Args:
        summary: What summary.json holds.
        out: The folder it is in.
    """
    currency = summary["currency"]
    lines = (
        ("status", f"{summary['status']} ({summary['strategy']}, {summary['objective']})"),
        ("sessions", f"{summary['sessions']} over {summary['steps']} steps"),
        ("requested", f"{summary['requested_energy_kwh']:.1f} kWh"),
        ("delivered", f"{summary['delivered_energy_kwh']:.1f} kWh"),
        ("unmet", f"{summary['unmet_energy_kwh']:.1f} kWh"),
        ("unreachable", f"{summary['unreachable_energy_kwh']:.1f} kWh"),
        ("energy cost", f"{summary['energy_cost']:.2f} {currency}"),
        (
            "fairness",
            f"{summary['fairness']}, lowest share {summary['lowest_share']:.0%}, Jain {summary['jain_index']:.3f}",
        ),
        *_other_costs(summary),
        ("peak import", f"{summary['peak_import_kw']:.1f} kW"),
    )
    for name, text in lines:
        print(f"{name:<12} {text}")
    if summary["sessions_outside_window"]:
        print(f"left out     {summary['sessions_outside_window']} sessions not wholly inside the window")
    for text in _violations(summary):
        print(f"NOT SAFE     {text}")
    notes = summary["notes"]
    for note in notes if isinstance(notes, list) else []:
        print(f"note         {note}")
    print(f"report       {out / 'report.html'}")


def _violations(summary: dict[str, object]) -> Iterator[str]:
    """What the plan exceeds, one sentence each; of many the first ones."""
    found = summary["limit_violations"]
    entries = found if isinstance(found, list) else []
    for one in entries[:SHOWN_VIOLATIONS]:
        direction = "export" if one["type"] == "GENERATION" else "import"
        beyond = ", more than the connection allows" if one["exceeds_connection"] else ""
        yield (
            f"group {one['group_id']!r} {direction} {one['power_kw']:.1f} kW from {one['start']} to {one['end']}, "
            f"limit {one['limit_kw']:.1f} kW{beyond}"
        )
    if len(entries) > SHOWN_VIOLATIONS:
        yield f"and {len(entries) - SHOWN_VIOLATIONS} more times, see limit_violations in summary.json"


def _other_costs(summary: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Costs beside that of energy, as far as there are any."""
    currency = summary["currency"]
    found = [
        (words, float(str(summary[name])))
        for words, name in (("wear", "wear_cost"), ("peaks", "demand_cost"), ("carbon", "carbon_cost"))
    ]
    for words, cost in found:
        if cost:
            yield words, f"{cost:.2f} {currency}"
    if any(cost for _, cost in found):
        yield "total cost", f"{summary['total_cost']:.2f} {currency}"
    if summary["carbon_kg"]:
        yield "carbon", f"{summary['carbon_kg']:.1f} kg"
