"""Measure a plan of a site that was planned just before, from what that plan left, against one from scratch."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.figures import Figures, publish
from models.domain import Scenario
from models.domain.schedule import Schedule
from optimizer import OptimizeOptions, optimize
from optimizer.again import Memory
from optimizer.bench.machine import machine
from optimizer.bench.synthetic import scenario
from optimizer.options import Backend, SolverOptions

RESULTS = Path("build/benchmark-again.json")
MARKER = "again"
SEED = 1
SIZES = (50, 500, 5000)
PAIRS = 3
SCARCE = 0.35
"""Share of the comfortable limit that leaves a quarter of the energy unmet."""
SAME_VALUE = 1e-6
"""Relative difference of stages' values that is rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One change at one size; best of several pairs, so that what else the machine does counts least.

    Args:
        change: What is different in the second plan.
        sessions: How many.
        backend: How the program reaches HiGHS.
        again_ms: The second plan from what the first one left, from scenario to verified schedule, ms.
        cold_ms: The same from scratch.
        again_solve_ms: Of `again_ms`, what HiGHS takes.
        cold_solve_ms: Of `cold_ms`, likewise.
    """

    change: str
    sessions: int
    backend: str
    again_ms: float
    cold_ms: float
    again_solve_ms: float
    cold_solve_ms: float

    @property
    def name(self) -> str:
        """The case."""
        return f"{self.change}, {self.sessions:,} sessions, {self.backend}"


def changes(sessions: int, limit_share: float = 1.0) -> dict[str, tuple[Scenario, Scenario]]:
    """What was planned, and what is to be planned next."""
    day = scenario(sessions, seed=SEED, limit_share=limit_share)
    generator = np.random.default_rng(SEED)
    fewer = replace(day, sessions=day.sessions[: sessions // 2] + day.sessions[sessions // 2 + 1 :])
    less = tuple(
        replace(one, energy_kwh=0.8 * one.energy_kwh) if generator.random() < 0.1 else one  # noqa: PLR2004 - a tenth
        for one in day.sessions
    )
    return {
        "limit 3 % lower": (day, _limited(day, 0.97)),
        "limit 20 % lower": (day, _limited(day, 0.8)),
        "energy of a tenth of the sessions": (day, replace(day, sessions=less)),
        "all prices": (day, replace(day, tariff=scenario(sessions, seed=SEED + 1).tariff)),
        "an arrival": (fewer, day),
        "a departure": (day, fewer),
    }


def _limited(day: Scenario, factor: float) -> Scenario:
    groups = tuple(
        replace(group, import_limit_kw=None if group.import_limit_kw is None else factor * group.import_limit_kw)
        for group in day.site.groups
    )
    return replace(day, site=replace(day.site, groups=groups))


def measure(
    change: str, days: tuple[Scenario, Scenario], backend: Backend, *, sessions: int, pairs: int
) -> Measurement:
    """Time one change, both ways in turn.

    Raises:
        AssertionError: They do not reach the same values.
    """
    options = OptimizeOptions(solver=SolverOptions(backend=backend))
    before, after = days
    again, cold = [], []
    for _ in range(pairs):
        memory = Memory()
        optimize(before, options, memory=memory)
        again.append(optimize(after, options, memory=memory))
        cold.append(optimize(after, options))
        _require_same(again[-1], cold[-1])
    return Measurement(
        change=change,
        sessions=sessions,
        backend=backend.value,
        again_ms=_best_ms(again, "total"),
        cold_ms=_best_ms(cold, "total"),
        again_solve_ms=_best_ms(again, "solve"),
        cold_solve_ms=_best_ms(cold, "solve"),
    )


def _best_ms(plans: list[Schedule], phase: str) -> float:
    return 1e3 * min(plan.seconds[phase] for plan in plans)


def _require_same(again: Schedule, cold: Schedule) -> None:
    for one, other in zip(again.stages, cold.stages, strict=True):
        if abs(one.value - other.value) > SAME_VALUE * max(1.0, abs(other.value)):
            raise AssertionError(f"stage {one.name} reaches {one.value} again and {other.value} from scratch")


def cases(sizes: Sequence[int]) -> Iterator[tuple[str, tuple[Scenario, Scenario], Backend, int]]:
    """Every change at every size, with both back ends, and where capacity is scarce."""
    for sessions in sizes:
        for backend in Backend:
            for change, days in changes(sessions).items():
                yield change, days, backend, sessions
        for change, days in changes(sessions, SCARCE).items():
            yield f"{change}, scarce", days, Backend.ARRAYS, sessions


def measurements(
    sizes: Sequence[int], *, pairs: int, chosen: Callable[[str], bool] = lambda _: True
) -> Iterator[Measurement]:
    """Every case whose name is chosen."""
    for change, days, backend, sessions in cases(sizes):
        if chosen(f"{change}, {sessions:,} sessions, {backend.value}"):
            yield measure(change, days, backend, sessions=sessions, pairs=pairs)


def part(chosen: Callable[[str], bool]) -> Iterator[dict[str, object]]:
    """The same as a part of the whole benchmark: one document for each case."""
    for one in measurements(SIZES, pairs=PAIRS, chosen=chosen):
        yield {"case": one.name, **asdict(one)}


def of_documents(documents: Sequence[dict[str, object]]) -> list[Measurement]:
    """What `part` gave, from its documents, which may hold more."""
    names = [field.name for field in fields(Measurement)]
    return [Measurement(**{name: document[name] for name in names}) for document in documents]  # type: ignore[arg-type]


def tabulate(results: Sequence[Measurement]) -> Figures:
    """Times and their ratio."""
    return Figures(
        "A plan from what the last one left, over one from scratch",
        (
            "what changed",
            "sessions",
            "back end",
            "from scratch, ms",
            "again, ms",
            "again / from scratch",
            "solve alone",
        ),
        tuple(
            (
                one.change,
                str(one.sessions),
                one.backend,
                f"{one.cold_ms:.1f}",
                f"{one.again_ms:.1f}",
                f"{one.again_ms / one.cold_ms:.2f}",
                f"{one.again_solve_ms / one.cold_solve_ms:.2f}",
            )
            for one in results
        ),
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write the figures where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of sessions")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="plans each way, the best of which counts")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file for the figures")
    parser.add_argument("--publish", action="store_true", help="put the figures into benchmarks/README.md")
    chosen = parser.parse_args(arguments)
    results = list(measurements(chosen.sizes, pairs=chosen.pairs))
    table = tabulate(results)
    table.print(Console(width=140))
    document = {"environment": machine(), "measurements": [asdict(one) for one in results]}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if chosen.publish:
        publish(table.markdown(), MARKER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
