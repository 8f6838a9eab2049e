"""Plans timed phase by phase, both back ends in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from models.domain.scenario import Scenario
from optimizer.bench.growth import upper_growth_exponent
from optimizer.bench.synthetic import DAY, scenario
from optimizer.engine import optimize
from optimizer.options import Backend, OptimizeOptions, SolverOptions

PHASES = ("prepare", "build", "translate", "solve", "extract", "verify", "total")
SEED = 1
MOST_ROUNDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a synthetic day is.

    Args:
        sessions: How many.
        raster: Length of a step.
        groups: Groups with a limit of their own, the root included.
        three_phase: Whether there are limits for each phase.
    """

    sessions: int
    raster: timedelta = timedelta(minutes=15)
    groups: int = 1
    three_phase: bool = False

    def scenario(self) -> Scenario:
        """The day."""
        feeders = self.groups - 1
        return scenario(self.sessions, seed=SEED, feeders=feeders, three_phase=self.three_phase)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Medians of one size and back end.

    Args:
        size: How large the day is.
        backend: What carried the program to HiGHS.
        steps: Steps of the plan.
        rounds: How often it was planned.
        phase_seconds: Wall time of each of `PHASES`, s.
    """

    size: Size
    backend: Backend
    steps: int
    rounds: int
    phase_seconds: Mapping[str, float]


def timings(
    sizes: Sequence[Size], *, budget_s: float, backends: Sequence[Backend] = tuple(Backend)
) -> Iterator[Timing]:
    """Plan each size with each back end, in turn, since a machine's speed drifts.

    A plan that is thrown away comes first: it imports what is needed.

    Args:
        sizes: How large.
        budget_s: Wall time after which no further round of a size begins, s; one is made in any case.
        backends: Which.
    """
    for backend in backends:
        optimize(scenario(2, seed=SEED), _options(Size(sessions=2), backend))
    for size in sizes:
        yield from _timed(size, backends, budget_s)


def _timed(size: Size, backends: Sequence[Backend], budget_s: float) -> Iterator[Timing]:
    case = size.scenario()
    steps = 0
    rounds: dict[Backend, list[Mapping[str, float]]] = {backend: [] for backend in backends}
    until = time.perf_counter() + budget_s
    for turn in range(MOST_ROUNDS):
        if turn and time.perf_counter() > until:
            break
        for backend in backends:
            schedule = optimize(case, _options(size, backend))
            steps = schedule.grid.steps
            rounds[backend].append(schedule.seconds)
    for backend, seconds in rounds.items():
        yield Timing(
            size=size,
            backend=backend,
            steps=steps,
            rounds=len(seconds),
            phase_seconds={name: statistics.median(one.get(name, 0.0) for one in seconds) for name in PHASES},
        )


def _options(size: Size, backend: Backend) -> OptimizeOptions:
    return OptimizeOptions(
        start=DAY, end=DAY + timedelta(days=1), raster=size.raster, solver=SolverOptions(backend=backend)
    )


def growth(found: Sequence[Timing], extents: Sequence[float]) -> dict[str, float | None]:
    """How each phase of one back end grows over the larger half of the sizes.

    Args:
        found: By increasing size.
        extents: What grows, of each.

    Returns:
        Exponent by phase; None where it cannot be told.
    """
    return {name: upper_growth_exponent(extents, [one.phase_seconds[name] for one in found]) for name in PHASES}
