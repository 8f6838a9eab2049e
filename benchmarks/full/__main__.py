"""Run the whole benchmark, or some of its parts or cases, and make tables and plots of what is on file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from rich.console import Console

from benchmarks import again
from benchmarks.figures import Figures, publish
from benchmarks.full.plots import FOLDER, comparison_plot, growth_plot
from benchmarks.full.registry import PARTS, RESULTS, Results
from benchmarks.full.tables import (
    Axis,
    Compared,
    Started,
    Weighed,
    axis_table,
    comparison,
    memory_table,
    notes,
    startup_table,
)

COMPARISONS = ("libraries", "planners", "solvers")
MARKER = "full"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.full", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to measure [default: all]")
    parser.add_argument("--cases", help="measure only cases whose name has this in it")
    parser.add_argument("--no-run", action="store_true", help="measure nothing: what is on file is enough")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file of all that was measured")
    parser.add_argument("--publish", action="store_true", help="put tables and plots into benchmarks/README.md")
    chosen = parser.parse_args(arguments)
    results = Results(chosen.out)
    if not chosen.no_run:
        for name in chosen.only or PARTS:
            for document in PARTS[name].measure(lambda case: (chosen.cases or "") in case):
                results.add(name, document)
                print(f"{name}: {document['case']}", file=sys.stderr, flush=True)
    console = Console(width=200)
    for table in (*tables(results), *again_table(results)):
        table.print(console)
    if chosen.publish:
        publish(page(results), MARKER)
        for table in again_table(results):
            publish(table.markdown(), again.MARKER)
        draw(results, FOLDER)
    return 0


def _compared(results: Results, part: str) -> list[Compared]:
    return sorted(cast("list[Compared]", results.of(part)), key=lambda case: case["columns"])


def tables(results: Results) -> Iterator[Figures]:
    """A table for each part of this section of the page of which there is anything on file."""
    if started := cast("list[Started]", results.of("startup")):
        yield startup_table(started)
    if weighed := cast("list[Weighed]", results.of("memory")):
        yield memory_table(weighed)
    for axis in cast("list[Axis]", results.of("ladder")):
        yield axis_table(axis)
    for part in COMPARISONS:
        if cases := _compared(results, part):
            yield comparison(PARTS[part].title, cases)


def again_table(results: Results) -> Iterator[Figures]:
    """Plans from what the last one left, where any are on file; the page has a section of its own for them."""
    if measured := results.of("again"):
        yield again.tabulate(again.of_documents(measured))


def page(results: Results) -> str:
    """All tables, who was not run, and the plots, in Markdown."""
    parts = [table.markdown() for table in tables(results)]
    parts += [text for part in COMPARISONS if (text := notes(_compared(results, part)))]
    parts += [f"![{title}](plots/{name})" for name, title in _plots(results).items()]
    return "\n\n".join(parts)


def _plots(results: Results) -> dict[str, str]:
    found = {}
    for part, name in (("ladder", "growth.svg"), ("libraries", "libraries.svg"), ("solvers", "solvers.svg")):
        if results.of(part):
            found[name] = PARTS[part].title
    return found


def draw(results: Results, folder: Path) -> None:
    """Draw the plots that `page` names."""
    for axis in cast("list[Axis]", results.of("ladder")):
        if axis["case"] == "sessions":
            growth_plot(axis, folder / "growth.svg")
    for part in ("libraries", "solvers"):
        if cases := _compared(results, part):
            comparison_plot(cases, folder / f"{part}.svg", PARTS[part].title)


if __name__ == "__main__":
    sys.exit(main())
