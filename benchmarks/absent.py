"""What families of constraints cost a site that does not use them: the time spent on asking, beside that of a plan."""

from __future__ import annotations

import importlib
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from optimizer import optimize
from optimizer.bench.synthetic import scenario as synthetic_day
from optimizer.options import OptimizeOptions

SIZES = (50, 500, 5000)
REPEATS = 5

ASKING: dict[str, tuple[tuple[str, str], ...]] = {
    "storages, generation, vehicles that feed in": (
        ("optimizer.prepare", "asset_arrays"),
        ("optimizer.formulation", "declare_assets"),
        ("optimizer.formulation", "add_asset_families"),
        ("optimizer.optimum", "tidy_flows"),
        ("optimizer.extract", "asset_results"),
        ("optimizer.verify", "asset_violations"),
        ("optimizer.verify", "vehicle_violations"),
    ),
    "conductors and lines": (("optimizer.prepare", "site_lines"), ("optimizer.verify", "line_currents")),
    "powers that chargers have": (("optimizer.engine", "settable"),),
    "limits that base load exceeds": (
        ("optimizer.optimum", "with_least_violation"),
        ("optimizer.extract", "limit_violations"),
        ("optimizer.verify", "misstated_violations"),
    ),
}
"""Functions that find out whether a family is used, by where the engine calls them."""


@contextmanager
def counted(seconds: dict[str, float]) -> Iterator[None]:
    """Add up the time spent in each family's functions; one within another counts once."""
    originals: list[tuple[object, str, Callable[..., object]]] = []
    depth = 0

    def timed(family: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **named: object) -> object:
            nonlocal depth
            begun, depth = time.perf_counter(), depth + 1
            try:
                found = function(*args, **named)
                return tuple(found) if isinstance(found, Iterator) else found
            finally:
                depth -= 1
                if depth == 0:
                    seconds[family] += time.perf_counter() - begun

        return call

    for family, places in ASKING.items():
        for module_name, name in places:
            module = importlib.import_module(module_name)
            original = getattr(module, name)
            originals.append((module, name, original))
            setattr(module, name, timed(family, original))
    try:
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def main() -> int:
    """Print the table."""
    table = Table(title="Time spent on families that a site does not use, and its share of a plan's time")
    table.add_column("family")
    for size in SIZES:
        table.add_column(f"{size} sessions", justify="right")
    rows: dict[str, list[str]] = defaultdict(list)
    for size in SIZES:
        scenario = synthetic_day(size, seed=1)
        optimize(scenario, OptimizeOptions())
        best: tuple[float, dict[str, float]] | None = None
        for _ in range(REPEATS):
            seconds: dict[str, float] = defaultdict(float)
            begun = time.perf_counter()
            with counted(seconds):
                optimize(scenario, OptimizeOptions())
            total = time.perf_counter() - begun
            if best is None or total < best[0]:
                best = total, seconds
        total, seconds = best or (1.0, {})
        for family in ASKING:
            spent = seconds.get(family, 0.0)
            rows[family].append(f"{1000 * spent:.2f} ms, {spent / total:.2%}")
    for family, cells in rows.items():
        table.add_row(family, *cells)
    Console(width=130).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
