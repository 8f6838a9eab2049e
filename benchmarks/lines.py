"""What safe linear forms of line currents cost against the exact cone: three real networks, scarce transformers."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.cases import DATA, TRANSFORMERS_KW, garage_scenario, garage_site, with_lines
from benchmarks.cone import ConeOptimum, Network, cone_optimum
from models.domain import Scenario, Schedule
from optimizer import optimize
from optimizer.options import LimitMode, LineForm, OptimizeOptions

CALIFORNIA = ZoneInfo("America/Los_Angeles")
WINDOW = timedelta(hours=30)
SIDES = (8, 16, 32, 48)
PERCENT = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCase:
    """A network on a day, its transformers scaled.

    Args:
        network: ``jpl``, ``caltech`` or ``office001``.
        day: Local midnight at which the window of 30 h begins.
        transformers_kw: What the transformers are scaled to.
    """

    network: str
    day: datetime
    transformers_kw: float

    @property
    def scale(self) -> float:
        """What the limits of transformers are multiplied by."""
        return self.transformers_kw / RATED_KW[self.network]

    @property
    def scenario(self) -> Scenario:
        """The day's sessions; at the office, which has none on record, those of JPL's first chargers."""
        if self.network != "office001":
            limit_kw = TRANSFORMERS_KW[self.network]
            plain = garage_scenario(self.network, self.day, self.day + WINDOW, limit_kw=limit_kw)
            known = {entry.charger_id for entry in plain.site.chargers if entry.charger_id in _evses(self.network)}
            sessions = tuple(session for session in plain.sessions if session.charger_id in known)
            return replace(
                plain, site=with_lines(plain.site, self.network, transformer_scale=self.scale), sessions=sessions
            )
        borrowed = garage_scenario("jpl", self.day, self.day + WINDOW, limit_kw=TRANSFORMERS_KW["jpl"])
        places = sorted({session.charger_id for session in borrowed.sessions})
        at = dict(zip(places, _evses("office001"), strict=False))
        sessions = tuple(
            replace(session, charger_id=at[session.charger_id])
            for session in borrowed.sessions
            if session.charger_id in at
        )
        site = with_lines(garage_site("office001", RATED_KW["office001"]), "office001", transformer_scale=self.scale)
        return replace(borrowed, site=site, sessions=sessions)


RATED_KW = {**TRANSFORMERS_KW, "office001": 50.0}
"""Transformers of the networks: 138.9 A at 208 V on each of three conductors are 50 kW."""


def _evses(network: str) -> list[str]:
    return list(Network.read(DATA / f"site_{network}.json").phasor)


def cases() -> Iterator[LineCase]:
    """Busy days, behind transformers that serve nearly all of the need, or half of it."""
    jpl, caltech = (datetime(2019, *day, tzinfo=CALIFORNIA) for day in ((7, 24), (6, 14)))
    for network, day, powers_kw in (
        ("jpl", jpl, (40.0, 60.0, 100.0)),
        ("caltech", caltech, (20.0, 30.0, 40.0)),
        ("office001", jpl, (5.0, 10.0)),
    ):
        for power_kw in powers_kw:
            yield LineCase(network=network, day=day, transformers_kw=power_kw)


def worst_excess(case: LineCase, schedule: Schedule) -> float:
    """By how much the largest current of any line in any step exceeds its limit, as a share of it.

    Currents are means over steps, as in the cone; those of the network's file and not of the optimizer.
    """
    network = Network.read(DATA / f"site_{case.network}.json", transformer_scale=case.scale)
    grid = schedule.grid
    chargers = [result.session.charger_id for result in schedule.sessions]
    mean_kw = np.zeros((grid.steps, len(chargers)))
    np.add.at(mean_kw, (schedule.step_index, schedule.session_index), schedule.energy_kwh)
    mean_kw /= grid.step_hours[:, None]
    return max(
        abs(network.currents_a(line, chargers, mean_kw[step])) / limit_a - 1.0
        for line, (_, limit_a) in enumerate(network.lines)
        for step in range(grid.steps)
    )


def main() -> int:
    """Print the table; 1 where a line is exceeded."""
    table = Table(box=None, pad_edge=False)
    for title in (
        "network",
        "kW",
        "form",
        "energy met %",
        "points lost",
        "cost USD",
        "fullest line",
        "solve s",
        "total s",
    ):
        table.add_column(title, justify="left" if title in ("network", "form") else "right", no_wrap=True)
    exceeded = False
    for case in cases():
        for row in compare(case):
            table.add_row(*row)
            exceeded |= bool(row[6]) and float(row[6]) > 1.0
    Console(width=110).print(table)
    return 1 if exceeded else 0


def compare(case: LineCase) -> Iterator[tuple[str, ...]]:
    """The cells of a case: the cone first, then every linear form."""
    scenario = case.scenario
    options = OptimizeOptions(start=case.day, end=case.day + WINDOW, current_mode=LimitMode.MEAN)
    forms = [("sum of amounts", replace(options, line_form=LineForm.MAGNITUDE))]
    forms += [(f"polygon of {sides}", replace(options, line_sides=sides)) for sides in SIDES]
    plans = [(name, optimize(scenario, chosen)) for name, chosen in forms]
    first = plans[0][1]
    need_kwh = first.delivered_energy_kwh + first.unmet_energy_kwh
    exact, seconds = exact_optimum(case, scenario, first)
    exact_met = PERCENT * exact.delivered_energy_kwh / need_kwh
    yield (
        case.network, f"{case.transformers_kw:g}", "cone", f"{exact_met:.2f}", "", f"{exact.energy_cost:.2f}", "", "",
        f"{seconds:.2f}",
    )  # fmt: skip
    for name, plan in plans:
        met = PERCENT * plan.delivered_energy_kwh / need_kwh
        yield (
            "", "", name, f"{met:.2f}", f"{abs(round(exact_met - met, 2)):.2f}", f"{plan.energy_cost:.2f}",
            f"{1 + worst_excess(case, plan):.6f}", f"{plan.seconds['solve']:.2f}", f"{plan.seconds['total']:.2f}",
        )  # fmt: skip


def exact_optimum(case: LineCase, scenario: Scenario, like: Schedule) -> tuple[ConeOptimum, float]:
    """The optimum under the cones, over the sessions and steps of a plan, and how long it took, s."""
    if scenario.tariff is None:
        raise ValueError("the networks' days have prices")
    started = time.perf_counter()
    optimum = cone_optimum(
        Network.read(DATA / f"site_{case.network}.json", transformer_scale=case.scale),
        [result.session for result in like.sessions],
        scenario.tariff,
        like.grid,
        scenario.site.groups[0].import_limit_kw or math.inf,
    )
    return optimum, time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
