"""Fail where a plan has become slower than it was: ratios within one run, against those of a run that was committed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.run import KINDS, Measurement, measure

BASELINE = Path(__file__).parent / "baseline.json"
SIZES = (50, 500)
BAND = 0.15
"""By which share a ratio may exceed that of the baseline before it is more than noise.

Two runs on a quiet machine differed by 6 % at most.
"""
RATIOS = ("over_floor", "arrays_over_floor", "all_stages")
REPEATS = 15

Ratios = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One ratio of one case, then and now.

    Args:
        case: Kind of day and number of sessions.
        ratio: Name of a field of `benchmarks.run.Measurement`.
        before: Of the baseline.
        now: Of this run.
    """

    case: str
    ratio: str
    before: float
    now: float

    @property
    def change(self) -> float:
        """By which share it rose."""
        return self.now / self.before - 1.0


def ratios(measured: Measurement) -> Ratios:
    """What is compared of a case."""
    return {name: float(getattr(measured, name)) for name in RATIOS}


def name_of(kind: str, sessions: int) -> str:
    """A case in words."""
    return f"{kind}, {sessions} sessions"


def compare(baseline: Mapping[str, Ratios], now: Mapping[str, Ratios]) -> list[Compared]:
    """Every ratio that both have.

    Raises:
        KeyError: The baseline lacks a case of this run.
    """
    return [
        Compared(case=case, ratio=name, before=baseline[case][name], now=value)
        for case, values in now.items()
        for name, value in values.items()
    ]


def slower(compared: Sequence[Compared], *, band: float) -> list[Compared]:
    """Those that rose by more than the band."""
    return [one for one in compared if one.change > band]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print then and now, and answer 1 where anything became slower."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of sessions")
    parser.add_argument("--band", type=float, default=BAND, help="by which share a ratio may rise")
    parser.add_argument("--update", action="store_true", help="make this run the baseline")
    chosen = parser.parse_args(arguments)
    now = {
        name_of(kind, sessions): ratios(measure(kind, sessions, repeats=REPEATS))
        for sessions in chosen.sizes
        for kind in KINDS
    }
    if chosen.update:
        rounded = {case: {name: round(value, 3) for name, value in values.items()} for case, values in now.items()}
        BASELINE.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
        return 0
    compared = compare(json.loads(BASELINE.read_text(encoding="utf-8")), now)
    table = Table("case", "ratio", "before", "now", "change", box=None)
    for one in compared:
        table.add_row(one.case, one.ratio, f"{one.before:.2f}", f"{one.now:.2f}", f"{one.change:+.0%}")
    Console(width=120).print(table)
    found = slower(compared, band=chosen.band)
    for one in found:
        print(
            f"{one.case}: {one.ratio} rose from {one.before:.2f} to {one.now:.2f}, by more than {chosen.band:.0%}; "
            "run it again on a quiet machine, and look at what changed",
            file=sys.stderr,
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
