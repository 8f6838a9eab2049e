"""Tables of what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

from benchmarks.figures import Figures

SAME_OBJECTIVE = 1e-6
"""Relative difference above which an objective is another one."""
TOUCHED_KWH = 1e-6
"""What a solver may break a row by before it is said."""


class Result(TypedDict):
    """How one contestant did on one case; see `benchmarks.full.race.Timed`."""

    name: str
    seconds: float | None
    over_first: float | None
    objective: float | None
    violation: float | None
    failure: str | None


class Compared(TypedDict):
    """One case of a comparison."""

    case: str
    columns: int
    results: list[Result]


def comparison(title: str, cases: Sequence[Compared]) -> Figures:
    """Contestants down, cases across: milliseconds and multiples of the first contestant's; then who was not exact."""
    names = dict.fromkeys(result["name"] for case in cases for result in case["results"])
    by_case = [{result["name"]: result for result in case["results"]} for case in cases]
    return Figures(
        title,
        ("ms (over the first)", *(f"{case['case']} ({case['columns']:,} columns)" for case in cases), "remark"),
        tuple(
            (name, *(_cell(results.get(name)) for results in by_case), _remark(name, by_case))
            for name in names
            if any(_has_time(results.get(name)) for results in by_case)
        ),
    )


def _has_time(result: Result | None) -> bool:
    return result is not None and result["seconds"] is not None


def _cell(result: Result | None) -> str:
    if result is None:
        return "not asked"
    if result["seconds"] is None:
        return "-"
    ratio = "" if result["over_first"] is None else f" ({_three_digits(result['over_first'])})"
    return f"{_three_digits(1e3 * result['seconds'])}{ratio}"


def _three_digits(value: float) -> str:
    digits = 2 if value < 10 else 1 if value < 100 else 0  # noqa: PLR2004 - three digits in all
    return f"{value:,.{digits}f}"


def _remark(name: str, by_case: Sequence[Mapping[str, Result]]) -> str:
    """The farthest that its objective is from the first contestant's, and the worst row it breaks."""
    off, broken, failures = 0.0, 0.0, set[str]()
    for results in by_case:
        mine, first = results.get(name), next(iter(results.values()))
        if mine is None:
            continue
        if mine["failure"]:
            failures.add(mine["failure"])
        best = first["objective"]
        if best and mine["objective"] is not None:
            off = max(off, abs(mine["objective"] - best) / abs(best))
        broken = max(broken, mine["violation"] or 0.0)
    words = []
    if off > SAME_OBJECTIVE:
        words.append(f"objective off by up to {off:.0e}")
    if broken > TOUCHED_KWH:
        words.append(f"rows broken by up to {broken:.0e}")
    return "; ".join((*words, *sorted(failures)))


def not_run(cases: Sequence[Compared]) -> dict[str, str]:
    """Who has no figure in any case, and why."""
    timed = {result["name"] for case in cases for result in case["results"] if result["seconds"] is not None}
    return {
        result["name"]: result["failure"] or ""
        for case in cases
        for result in case["results"]
        if result["name"] not in timed
    }


class Rung(TypedDict):
    """One size of a ladder with one back end."""

    extent: int
    backend: str
    phase_seconds: dict[str, float]


class Axis(TypedDict):
    """One axis of the ladder."""

    case: str
    rungs: list[Rung]
    growth: dict[str, dict[str, float | None]]
    phases: list[str]


def axis_table(axis: Axis) -> Figures:
    """Phases across, sizes down, back end by back end, with the exponent of growth below."""

    def rows() -> Iterator[tuple[str, ...]]:
        for backend, growth in axis["growth"].items():
            for rung in axis["rungs"]:
                if rung["backend"] == backend:
                    times = (f"{1e3 * rung['phase_seconds'][name]:.1f}" for name in axis["phases"])
                    yield (f"{backend}, {rung['extent']:,} {axis['case']}", *times)
            told = (growth[name] for name in axis["phases"])
            yield (f"{backend}, growth", *("-" if one is None else f"{one:.2f}" for one in told))

    return Figures(f"Time by {axis['case']}, ms", ("back end and size", *axis["phases"]), tuple(rows()))


class Weighed(TypedDict):
    """Memory at one size."""

    case: str
    mib: dict[str, float]
    over_floor: dict[str, float]


def memory_table(cases: Sequence[Weighed]) -> Figures:
    """Ways across, sizes down."""
    ways = list(cases[0]["mib"])
    return Figures(
        "Largest resident memory of a process that plans once, MiB (over the floor's)",
        ("size", *ways),
        tuple(
            (case["case"], *(f"{case['mib'][way]:.0f} ({case['over_floor'][way]:.2f})" for way in ways))
            for case in cases
        ),
    )


class Started(TypedDict):
    """Start-up of one program."""

    case: str
    median_s: float
    least_s: float


def startup_table(cases: Sequence[Started]) -> Figures:
    """Programs down."""
    return Figures(
        "Start-up, s",
        ("what", "median", "least"),
        tuple((case["case"], f"{case['median_s']:.2f}", f"{case['least_s']:.2f}") for case in cases),
    )


def notes(cases: Sequence[Compared]) -> str:
    """Who was not run, as a list in Markdown; empty where everybody was."""
    found = not_run(cases)
    if not found:
        return ""
    return "\n".join(("Not run:", "", *(f"* {name}: {reason}" for name, reason in found.items())))
