"""What the comparisons plan: real days and months, and synthetic days of growing size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from benchmarks.cases import ReferenceCase, reference_cases
from models.domain import Charger, ChargingSession, Scenario
from optimizer.bench.synthetic import DAY, scenario
from optimizer.options import COST_OBJECTIVE, OptimizeOptions

SEED = 1
RASTER = timedelta(minutes=15)
WHOLE_DAY = OptimizeOptions(start=DAY, end=DAY + timedelta(days=1), objective=COST_OBJECTIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Something to plan.

    Args:
        name: In tables.
        sessions: How many, for who cannot do many.
        make: Its scenario and how to plan it.
    """

    name: str
    sessions: int
    make: Callable[[], tuple[Scenario, OptimizeOptions]]


def synthetic(sessions: int, **shape: str | float) -> Case:
    """A synthetic day; the shape is that of `optimizer.bench.synthetic.scenario`."""
    words = [f"{name}={value}" for name, value in shape.items()]
    return Case(
        name=" ".join(["synthetic", *words, f"{sessions:,}"]),
        sessions=sessions,
        make=lambda: (scenario(sessions, seed=SEED, **shape), WHOLE_DAY),  # type: ignore[arg-type]
    )


def real(reference: str, name: str, sessions: int) -> Case:
    """A case of ``data/reference_optima.csv``."""

    def make() -> tuple[Scenario, OptimizeOptions]:
        found = _references()[reference]
        return found.scenario, found.options

    return Case(name=name, sessions=sessions, make=make)


@cache
def _references() -> dict[str, ReferenceCase]:
    return {case.name: case for case in reference_cases()}


def whole_steps(copies: int) -> Case:
    """JPL's day with arrivals moved to the begin of their step and departures to the end, some times side by side.

    Planners that know no parts of a step then all have the same day. Each session has a charger of its own.
    """

    def make() -> tuple[Scenario, OptimizeOptions]:
        day = _references()["jpl_2019-07-24_transformers"]
        site = day.scenario.site
        (root,) = site.groups
        power_kw = {charger.charger_id: charger.max_power_kw for charger in site.chargers}
        sessions, chargers = [], []
        for copy in range(copies):
            for stay in day.scenario.sessions:
                charger = Charger(
                    charger_id=f"{stay.session_id}-{copy}",
                    group_id=root.group_id,
                    max_power_kw=stay.max_power_kw or power_kw[stay.charger_id],
                )
                chargers.append(charger)
                sessions.append(_snapped(stay, copy, charger))
        group = replace(root, import_limit_kw=(root.import_limit_kw or 0.0) * copies)
        grown = replace(site, groups=(group,), chargers=tuple(chargers))
        scenario = replace(day.scenario, site=grown, sessions=tuple(sessions))
        return scenario, replace(day.options, raster=RASTER)

    return Case(name=f"JPL, {82 * copies} sessions", sessions=82 * copies, make=make)


def _snapped(stay: ChargingSession, copy: int, charger: Charger) -> ChargingSession:
    return replace(
        stay,
        session_id=f"{stay.session_id}-{copy}",
        charger_id=charger.charger_id,
        arrival=_floor(stay.arrival),
        departure=_floor(stay.departure + RASTER - timedelta(microseconds=1)),
    )


def _floor(instant: datetime) -> datetime:
    seconds = RASTER.total_seconds()
    return datetime.fromtimestamp(instant.timestamp() // seconds * seconds, UTC)


JPL_DAY = real("jpl_2019-07-24_transformers", "JPL, a day", 82)
JPL_SHORT = real("jpl_2019-07-24_infeasible60", "JPL, a day at 60 kW", 82)
JPL_MONTH = real("jpl_2019-07_month", "JPL, a month", 1489)
CALTECH_MONTH = real("caltech_2019-06_month", "Caltech, a month", 882)

SOLVER_CASES = (
    JPL_DAY,
    JPL_SHORT,
    CALTECH_MONTH,
    JPL_MONTH,
    synthetic(50),
    synthetic(500),
    synthetic(5000),
    synthetic(20_000),
    synthetic(5000, price="flat"),
    synthetic(5000, price="negative"),
    synthetic(5000, limit_share=0.35),
    synthetic(5000, three_phase=True),
)
PEER_CASES = (JPL_DAY, JPL_MONTH, synthetic(50), synthetic(500), synthetic(5000), synthetic(20_000))
PLANNER_CASES = (whole_steps(1), whole_steps(6))
