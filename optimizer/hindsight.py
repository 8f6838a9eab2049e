"""A day as it was rolled beside what perfect foresight and simpler rules would have made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain

import numpy as np

from models.domain.day import RecordedDay
from models.domain.schedule import Schedule, ScheduleStatus
from optimizer.comparison import SHORT_KWH
from optimizer.currents import with_all_sides
from optimizer.engine import optimize
from optimizer.extract import Outcome, tidy, to_schedule
from optimizer.heuristics import allocate
from optimizer.options import Foresight, RollOptions, Strategy
from optimizer.planned_power import TOLERANCE
from optimizer.prepare import prepare
from optimizer.rolling import RolledDay, roll
from optimizer.verify import verify

PERFECT_FORESIGHT = "offline optimum"

DEADLINE_RULES = (Strategy.EARLIEST_DEADLINE, Strategy.LEAST_LAXITY)
BLIND_RULES = (Strategy.FIRST_COME, Strategy.ROUND_ROBIN, Strategy.EQUAL_SHARE, Strategy.UNCONTROLLED)
"""Rules that look neither ahead nor at departures: to play the day is to go through it once."""

CHANGE_KW = 0.1
"""A smaller change of a charger's power is none that anybody would send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """What came of a day under one policy.

    Args:
        policy: Its name.
        energy_cost: Currency.
        delivered_energy_kwh: kWh.
        unmet_energy_kwh: kWh that vehicles would have taken within their stays and did not get.
        energy_met: Share of what they would have taken, 0 to 1.
        sessions_short: Sessions that lack energy.
        peak_import_kw: kW.
        minutes_over_limit: Minutes in which at least one group exceeds its limit.
        pilot_changes: Changes of a vehicle's power from step to step while it is plugged in.
        plans: How many plans were made; 1 for what is planned once.
        moved_kw: Power that a plan changed at once against the one before, mean over the plans, kW.
        seconds: Wall time of a plan, mean, s.
    """

    policy: str
    energy_cost: float
    delivered_energy_kwh: float
    unmet_energy_kwh: float
    energy_met: float
    sessions_short: int
    peak_import_kw: float
    minutes_over_limit: float
    pilot_changes: int
    plans: int
    moved_kw: float
    seconds: float

    def figures(self) -> dict[str, str | float | int]:
        """The same as a dictionary."""
        return asdict(self)


def in_hindsight(day: RecordedDay, options: RollOptions, rolled: RolledDay) -> Iterator[DayFigures]:
    """Set a rolled day beside others.

    Args:
        day: What happened.
        options: How it was rolled; rules that go by departures are told the same.
        rolled: What came of it.

    Yields:
        The figures of the rolled day, of the optimum under perfect foresight, then of each rule.
    """
    strategy = options.plan.strategy
    yield rolled_figures(f"rolled {strategy}", rolled)
    offline = optimize(day.scenario, replace(options.plan, strategy=Strategy.OPTIMAL))
    yield day_figures(PERFECT_FORESIGHT, offline)
    for rule in chain(DEADLINE_RULES, BLIND_RULES):
        if rule is not strategy:
            yield baseline(day, options, rule)


def baseline(day: RecordedDay, options: RollOptions, rule: Strategy) -> DayFigures:
    """The figures of a day under one rule."""
    if rule in BLIND_RULES:
        return day_figures(rule.value, blind(day, options, rule))
    return rolled_figures(rule.value, roll(day, replace(options, plan=replace(options.plan, strategy=rule))))


def blind(day: RecordedDay, options: RollOptions, rule: Strategy) -> Schedule:
    """What a rule makes of a day that looks neither ahead nor at departures; no more than asked for is given.

    Raises:
        VerificationError: It breaks a limit.
    """
    limited = rule is not Strategy.UNCONTROLLED
    problem = prepare(day.scenario, options.plan.measured)
    problem = with_all_sides(problem) if limited else problem
    asked_kwh = problem.reachable_energy_kwh.copy()
    if options.foresight is Foresight.STATED:
        for index, session in enumerate(problem.sessions):
            statement = day.statements.get(session.session_id)
            if statement is not None and statement.energy_kwh is not None:
                asked_kwh[index] = min(asked_kwh[index], statement.energy_kwh)
    energy_kwh = allocate(replace(problem, reachable_energy_kwh=asked_kwh), rule)
    outcome = Outcome(
        energy_kwh=tidy(problem, energy_kwh) if limited else energy_kwh,
        status=ScheduleStatus.HEURISTIC,
        strategy=rule.value,
    )
    schedule = to_schedule(problem, outcome)
    verify(
        day.scenario,
        schedule,
        limit_mode=options.plan.limit_mode,
        current_mode=options.plan.current_mode,
        group_limits=limited,
        stepless=True,
    )
    return schedule


def rolled_figures(policy: str, rolled: RolledDay) -> DayFigures:
    """The figures of a rolled day."""
    plans = len(rolled.replans)
    return replace(
        day_figures(policy, rolled.schedule),
        plans=plans,
        moved_kw=float(np.mean([replan.moved_kw for replan in rolled.replans])) if plans else 0.0,
        seconds=float(np.mean([replan.seconds for replan in rolled.replans])) if plans else 0.0,
    )


def day_figures(policy: str, schedule: Schedule) -> DayFigures:
    """The figures of a day that was planned once."""
    wanted_kwh = schedule.delivered_energy_kwh + schedule.unmet_energy_kwh
    return DayFigures(
        policy=policy,
        energy_cost=schedule.energy_cost,
        delivered_energy_kwh=schedule.delivered_energy_kwh,
        unmet_energy_kwh=schedule.unmet_energy_kwh,
        energy_met=schedule.delivered_energy_kwh / wanted_kwh if wanted_kwh > 0 else 1.0,
        sessions_short=sum(result.unmet_energy_kwh > SHORT_KWH for result in schedule.sessions),
        peak_import_kw=schedule.peak_import_kw,
        minutes_over_limit=schedule.minutes_over_limit(TOLERANCE),
        pilot_changes=pilot_changes(schedule),
        plans=1,
        moved_kw=0.0,
        seconds=schedule.seconds.get("total", 0.0),
    )


def pilot_changes(schedule: Schedule) -> int:
    """How often a vehicle's power changes from one step to the next while it is plugged in."""
    edges_s = schedule.grid.edges_s
    power_kw = np.zeros((len(schedule.sessions), schedule.grid.steps))
    power_kw[schedule.session_index, schedule.step_index] = schedule.power_kw
    changes = 0
    for row, result in zip(power_kw, schedule.sessions, strict=True):
        first = int(np.searchsorted(edges_s, result.session.arrival_s, side="right")) - 1
        behind = int(np.searchsorted(edges_s, result.session.departure_s, side="left"))
        changes += int((np.abs(np.diff(row[first:behind])) > CHANGE_KW).sum())
    return changes
