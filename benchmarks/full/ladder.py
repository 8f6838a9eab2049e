"""Phases over sizes, one axis at a time: sessions, steps, groups, phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from optimizer.bench.timing import PHASES, Size, Timing, growth, timings
from optimizer.options import Backend

Document = dict[str, object]

BUDGET_S = 4.0
AXES: dict[str, tuple[Size, ...]] = {
    "sessions": tuple(Size(sessions=count) for count in (10, 50, 200, 1000, 5000, 20_000)),
    "steps": tuple(Size(sessions=500, raster=timedelta(minutes=minutes)) for minutes in (60, 15, 5, 1)),
    "groups": tuple(Size(sessions=500, groups=count) for count in (1, 5, 15, 50)),
    "phases": tuple(Size(sessions=500, three_phase=three_phase) for three_phase in (False, True)),
}
"""What grows, and how large it gets."""


def extent(axis: str, timing: Timing) -> int:
    """How large a timed day is on an axis."""
    found = {
        "sessions": timing.size.sessions,
        "steps": timing.steps,
        "groups": timing.size.groups,
        "phases": 3 if timing.size.three_phase else 1,
    }
    return found[axis]


def ladder(chosen: Callable[[str], bool]) -> Iterator[Document]:
    """One document for each axis."""
    for axis, sizes in AXES.items():
        if not chosen(axis):
            continue
        found = list(timings(sizes, budget_s=BUDGET_S))
        yield {
            "case": axis,
            "rungs": [
                {
                    "extent": extent(axis, one),
                    "backend": one.backend.value,
                    "rounds": one.rounds,
                    "phase_seconds": dict(one.phase_seconds),
                }
                for one in found
            ],
            "growth": {
                backend.value: growth(mine, [extent(axis, one) for one in mine])
                for backend in Backend
                if (mine := [one for one in found if one.backend is backend])
            },
            "phases": list(PHASES),
        }
