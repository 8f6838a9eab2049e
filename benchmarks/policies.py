"""The policies that the quality sweep sets side by side, and the days that it plays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.cases import (
    DATA,
    TRANSFORMERS_KW,
    garage_levels_kw,
    garage_scenario,
    garage_statements,
    garage_table,
    with_lines,
)
from benchmarks.cone import Network as ConeNetwork
from benchmarks.cone import cone_optimum
from benchmarks.judge import Network, Replay
from models.domain import DepartureErrors, DriverStatement, RecordedDay, Schedule, Surprise, Uncertainty
from optimizer.engine import optimize
from optimizer.hindsight import BLIND_RULES, DEADLINE_RULES, DayFigures, blind, day_figures, rolled_figures
from optimizer.options import (
    Backend,
    Foresight,
    LimitMode,
    Occasion,
    OptimizeOptions,
    PilotMode,
    RollOptions,
    SolverOptions,
    Stage,
    Strategy,
)
from optimizer.rolling import roll

LEARNED_UNTIL = "2019-07-01"
"""Departure errors are measured on the months before, the days played are later."""

ALIKE = 150
"""How many earlier stays say when somebody will leave."""
SATURDAY = 5

LEVELS = (0.02, 0.1, 0.5)
"""Quantiles of the departure errors that a prepared plan is ready for, all equally likely."""

PACIFIC = ZoneInfo("America/Los_Angeles")
WINDOW = timedelta(hours=30)

PLAN = OptimizeOptions(
    limit_mode=LimitMode.INSTANTANEOUS,
    pilots=PilotMode.CONTINUOUS,
    solver=SolverOptions(backend=Backend.ARRAYS),
)
"""Limits hold at every moment: whoever judges the plans looks at every minute."""

NAIVE = replace(PLAN, objective=(Stage.UNMET_ENERGY, Stage.ENERGY_COST))
REAL_PILOTS = replace(PLAN, pilots=PilotMode.ROUNDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A day of a garage behind a limit.

    Args:
        garage: ``jpl`` or ``caltech``.
        date: ISO date.
        limit_kw: Of the one connection, or what the transformers are scaled to together.
        has_lines: Whether it is the real network, with its panels, phases and transformers.
    """

    garage: str
    date: str
    limit_kw: float
    has_lines: bool = False

    @property
    def network(self) -> Network:
        """What the simulator is to build."""
        return Network(site=self.garage, limit_kw=self.limit_kw, has_lines=self.has_lines)

    @property
    def limit(self) -> str:
        """The limit in a table."""
        return f"lines {self.limit_kw:g}" if self.has_lines else f"{self.limit_kw:g}"

    @property
    def scale(self) -> float:
        """What the limits of the transformers are multiplied by."""
        return self.limit_kw / TRANSFORMERS_KW[self.garage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What one policy made of a day.

    Args:
        told: What it was told of departures: ``stated``, ``true``, ``all`` of the day, or nothing that matters.
        figures: What came of it.
        replay: The plan, for the simulator; None where there is none to play.
    """

    told: str
    figures: DayFigures
    replay: Replay | None


def recorded_day(case: Case) -> RecordedDay:
    """A day from midnight for 30 h; drivers said when they would leave.

    Requests are what was really drawn: what drivers asked for would lose the same energy to every policy.
    """
    start = datetime.fromisoformat(case.date).replace(tzinfo=PACIFIC)
    levels_kw = garage_levels_kw(case.garage)
    # With lines the transformers' windings are the limit, and nothing besides.
    limit_kw = TRANSFORMERS_KW[case.garage] if case.has_lines else case.limit_kw
    scenario = garage_scenario(case.garage, start, start + WINDOW, limit_kw=limit_kw)
    site = with_lines(scenario.site, case.garage, transformer_scale=case.scale) if case.has_lines else scenario.site
    chargers = tuple(
        replace(
            charger,
            min_power_kw=levels_kw[charger.charger_id][0],
            power_levels_kw=levels_kw[charger.charger_id],
        )
        for charger in site.chargers
        if charger.charger_id in levels_kw
    )
    # A charger that is missing from the network's file has no place in it.
    sessions = tuple(session for session in scenario.sessions if session.charger_id in levels_kw)
    said = garage_statements(case.garage)
    statements = {
        session.session_id: DriverStatement(departure=said[session.session_id].departure) for session in sessions
    }
    scenario = replace(scenario, site=replace(site, chargers=chargers), sessions=sessions)
    return RecordedDay(scenario=scenario, statements=statements)


def departure_errors(garage: str) -> DepartureErrors:
    """How the drivers of a garage erred before July 2019; those who said nothing are left out."""
    table = garage_table(garage)
    table = table[(table["arrival"] < LEARNED_UNTIL) & table["claimed"]]
    pairs = zip(table["departure"], table["estimated_departure"], strict=True)
    return DepartureErrors.measured(
        (datetime.fromisoformat(real) - datetime.fromisoformat(said)).total_seconds() / 3600 for real, said in pairs
    )


def similar_departures(case: Case, day: RecordedDay) -> Uncertainty:
    """Of each session, how the stays before July 2019 turned out that were most like it.

    Alike is who came at about the same hour and said to stay about as long: the sum of both differences, in hours.
    """
    table = garage_table(case.garage)
    table = table[(table["arrival"] < LEARNED_UNTIL) & table["claimed"]]
    arrival, said, left = (
        [datetime.fromisoformat(text).astimezone(PACIFIC) for text in table[name]]
        for name in ("arrival", "estimated_departure", "departure")
    )
    weekday = np.array([at.weekday() < SATURDAY for at in arrival])
    hour = np.array([at.hour + at.minute / 60 for at in arrival])[weekday]
    said_hours = np.array([(b - a).total_seconds() / 3600 for a, b in zip(arrival, said, strict=True)])[weekday]
    error_hours = np.array([(b - a).total_seconds() / 3600 for a, b in zip(said, left, strict=True)])[weekday]
    own = {}
    for session in day.scenario.sessions:
        at, stated = (
            session.arrival.astimezone(PACIFIC),
            day.statements[session.session_id].departure or session.departure,
        )
        stay_hours = (stated - at).total_seconds() / 3600
        distance = np.abs(hour - at.hour - at.minute / 60) + np.abs(said_hours - stay_hours)
        # What counts is when they left: a stay as long as theirs, not an error as large as theirs.
        stays = (said_hours + error_hours)[np.argsort(distance)[:ALIKE]]
        own[session.session_id] = DepartureErrors.measured((stays - stay_hours).tolist())
    return Uncertainty(own_departure_errors=own)


def uncertainty(garage: str) -> Uncertainty:
    """What a prepared plan is ready for: departures at some quantiles of the errors."""
    surprises = tuple(Surprise(probability=1 / len(LEVELS), departure_level=level) for level in LEVELS)
    return Uncertainty(surprises=surprises, departure_errors=departure_errors(garage))


def played(case: Case, occasion: Occasion = Occasion.EVERY_EVENT) -> Iterator[Played]:
    """Every policy on one day, those that plan planning on some occasion."""
    day = recorded_day(case)
    offline = optimize(day.scenario, PLAN)
    yield Played(told="all", figures=day_figures("offline optimum", offline), replay=Replay(schedule=offline))
    if case.has_lines:
        yield Played(told="all", figures=exact_cone(case, day, offline), replay=None)
    if occasion is not Occasion.EVERY_STEP:
        quarters = RollOptions(plan=PLAN, foresight=Foresight.TRUE)
        yield _rolled(day, case, quarters, "rolled every quarter", PLAN)
    for foresight in (Foresight.TRUE, Foresight.STATED):
        options = RollOptions(plan=PLAN, occasion=occasion, foresight=foresight)
        rolled_with = partial(_rolled, day, case, options)
        yield rolled_with("rolled", PLAN)
        yield rolled_with("rolled, real pilots", REAL_PILOTS)
        yield rolled_with("rolled, naive", NAIVE)
        if foresight is Foresight.STATED:
            yield rolled_with("rolled, prepared", replace(PLAN, uncertainty=uncertainty(case.garage)))
            weighed = replace(PLAN, uncertainty=Uncertainty(departure_errors=departure_errors(case.garage)))
            yield rolled_with("rolled, weighed", weighed)
            weighed_alike = replace(PLAN, uncertainty=similar_departures(case, day))
            yield rolled_with("rolled, weighed alike", weighed_alike)
            yield rolled_with("rolled, weighed alike, real pilots", replace(weighed_alike, pilots=PilotMode.ROUNDED))
        for rule in DEADLINE_RULES:
            yield rolled_with(rule.value, replace(PLAN, strategy=rule))
    for rule in BLIND_RULES:
        if rule is not Strategy.EQUAL_SHARE:
            schedule = blind(day, RollOptions(plan=PLAN), rule)
            yield Played(told="", figures=day_figures(rule.value, schedule), replay=Replay(schedule=schedule))


def _rolled(day: RecordedDay, case: Case, options: RollOptions, name: str, plan: OptimizeOptions) -> Played:
    rolled = roll(day, replace(options, plan=plan))
    is_real = plan.pilots is not PilotMode.CONTINUOUS
    return Played(
        told="true" if options.foresight is Foresight.TRUE else "stated",
        figures=rolled_figures(name, rolled),
        replay=Replay(schedule=rolled.schedule, levels_kw=garage_levels_kw(case.garage) if is_real else None),
    )


def exact_cone(case: Case, day: RecordedDay, like: Schedule) -> DayFigures:
    """What the exact limits of the lines allow over the sessions and steps of the offline optimum."""
    tariff, path = day.scenario.tariff, DATA / f"site_{case.garage}.json"
    if tariff is None:
        raise ValueError("the garages' days have prices")
    optimum = cone_optimum(
        ConeNetwork.read(path, transformer_scale=case.scale),
        [result.session for result in like.sessions],
        tariff,
        like.grid,
        TRANSFORMERS_KW[case.garage],
    )
    wanted_kwh = like.delivered_energy_kwh + like.unmet_energy_kwh
    return replace(
        day_figures("offline optimum, exact cone", like),
        energy_cost=optimum.energy_cost,
        delivered_energy_kwh=optimum.delivered_energy_kwh,
        unmet_energy_kwh=wanted_kwh - optimum.delivered_energy_kwh,
        energy_met=optimum.delivered_energy_kwh / wanted_kwh,
        peak_import_kw=math.nan,
        seconds=math.nan,
    )
