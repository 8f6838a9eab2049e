"""Measure one plan from scenario to verified schedule against the least that HiGHS alone takes."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.figures import Figures, publish
from benchmarks.floor import HIGHS_DEFAULT, SAME_METHOD, solve_arrays
from models.domain import Scenario
from optimizer import OptimizeOptions, Stage, optimize
from optimizer.bench.machine import machine
from optimizer.bench.synthetic import scenario
from optimizer.options import Backend, SolverOptions

RESULTS = Path("build/benchmark.json")
SEED = 1
SIZES = (50, 500, 5000)
KINDS: dict[str, dict[str, str | float | int]] = {
    "varied price": {"price": "varied"},
    "flat price": {"price": "flat"},
    "negative prices": {"price": "negative"},
    "scarce capacity": {"price": "varied", "limit_share": 0.35},
    "five feeders": {"price": "varied", "feeders": 5},
}
SLOW_WITHOUT_SCALE = ("negative prices", "scarce capacity")
"""Days on which dual simplex on costs as given takes up to a minute."""

ONE_STAGE = OptimizeOptions(objective=(Stage.UNMET_ENERGY, Stage.ENERGY_COST))
ONE_STAGE_OF_ARRAYS = replace(ONE_STAGE, solver=SolverOptions(backend=Backend.ARRAYS))
ALL_STAGES = OptimizeOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Medians of one case; ratios are taken pair by pair, so that they hold when the machine's speed drifts.

    Args:
        kind: Shape of the day.
        sessions: How many.
        one_stage_ms: From scenario to verified schedule with unmet energy and cost only, ms.
        over_floor: The same over arrays straight into HiGHS, same method, options and scale of costs.
        arrays_over_floor: As `over_floor`, with the back end that leaves out Pyomo.
        over_unscaled: The same with costs as given; NaN where that is too slow to repeat.
        over_default: The same with HiGHS's own choice of everything; NaN where that is too slow to repeat.
        all_stages: All stages over one.
        phases_ms: Time of each phase with all stages, ms.
    """

    kind: str
    sessions: int
    one_stage_ms: float
    over_floor: float
    arrays_over_floor: float
    over_unscaled: float
    over_default: float
    all_stages: float
    phases_ms: dict[str, float]


def measure(kind: str, sessions: int, *, repeats: int) -> Measurement:
    """Time one case, the variants in turn."""
    case: Scenario = scenario(sessions, seed=SEED, **KINDS[kind])  # type: ignore[arg-type]
    variants: dict[str, Callable[[], object]] = {
        "plan": lambda: optimize(case, ONE_STAGE),
        "arrays": lambda: optimize(case, ONE_STAGE_OF_ARRAYS),
        "floor": lambda: solve_arrays(case, ONE_STAGE, SAME_METHOD, scaled=True),
        "all": lambda: optimize(case, ALL_STAGES),
    }
    if kind not in SLOW_WITHOUT_SCALE:
        variants["unscaled"] = lambda: solve_arrays(case, ONE_STAGE, SAME_METHOD, scaled=False)
        variants["default"] = lambda: solve_arrays(case, ONE_STAGE, HIGHS_DEFAULT, scaled=False)
    rounds: list[dict[str, float]] = []
    for turn in range(repeats + 1):
        seconds = {name: _seconds(variant) for name, variant in variants.items()}
        if turn:  # the first round imports and warms caches
            rounds.append(seconds)
    phases = optimize(case, ALL_STAGES).seconds
    return Measurement(
        kind=kind,
        sessions=sessions,
        one_stage_ms=_median(rounds, lambda turn: turn["plan"] * 1e3),
        over_floor=_median(rounds, lambda turn: turn["plan"] / turn["floor"]),
        arrays_over_floor=_median(rounds, lambda turn: turn["arrays"] / turn["floor"]),
        over_unscaled=_median(rounds, lambda turn: turn["plan"] / turn.get("unscaled", math.nan)),
        over_default=_median(rounds, lambda turn: turn["plan"] / turn.get("default", math.nan)),
        all_stages=_median(rounds, lambda turn: turn["all"] / turn["plan"]),
        phases_ms={name: value * 1e3 for name, value in phases.items()},
    )


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _median(rounds: list[dict[str, float]], figure: Callable[[dict[str, float]], float]) -> float:
    return statistics.median(figure(turn) for turn in rounds)


def measurements(sizes: tuple[int, ...]) -> Iterator[Measurement]:
    """Every kind of day at every size."""
    cases = [(kind, sessions) for sessions in sizes for kind in KINDS]
    console = Console(stderr=True)
    for kind, sessions in track(cases, "Measuring", console=console, disable=not console.is_terminal):
        yield measure(kind, sessions, repeats=max(3, min(15, 7_500 // sessions)))


def tabulate(results: list[Measurement]) -> tuple[Figures, Figures]:
    """The ratios, and where the time goes."""
    phases = tuple(results[0].phases_ms)
    return (
        Figures(
            "From scenario to verified schedule, one group of 96 steps",
            (
                "day",
                "sessions",
                "ms",
                "over floor",
                "arrays over floor",
                "over unscaled floor",
                "over HiGHS default",
                "all stages / one",
            ),
            tuple(
                (
                    m.kind,
                    str(m.sessions),
                    f"{m.one_stage_ms:.1f}",
                    *(
                        "-" if math.isnan(figure) else f"{figure:.2f}"
                        for figure in (m.over_floor, m.arrays_over_floor, m.over_unscaled, m.over_default, m.all_stages)
                    ),
                )
                for m in results
            ),
        ),
        Figures(
            "Time of each phase with all stages, ms",
            ("day", "sessions", *phases),
            tuple(
                (m.kind, str(m.sessions), *(f"{m.phases_ms.get(name, 0.0):.1f}" for name in phases)) for m in results
            ),
        ),
    )


def _json(measured: Measurement) -> dict[str, object]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(measured).items()
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write the figures where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of sessions")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file for the figures")
    parser.add_argument("--publish", action="store_true", help="put the figures into benchmarks/README.md")
    parsed = parser.parse_args(arguments)
    results = list(measurements(tuple(parsed.sizes)))
    tables = tabulate(results)
    console = Console(width=140)
    for table in tables:
        table.print(console)
    document = {"environment": machine(), "measurements": [_json(result) for result in results]}
    parsed.out.parent.mkdir(parents=True, exist_ok=True)
    parsed.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if parsed.publish:
        publish("\n\n".join(table.markdown() for table in tables), "figures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
