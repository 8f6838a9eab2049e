"""Receding horizon: a recorded day played again, planned anew at every step or event from what was known then."""

from __future__ import annotations

import logging
import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from models.domain.day import RecordedDay
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff
from models.domain.time_grid import FloatArray, TimeGrid
from models.errors import CapacityOptimizerError, InputError, RollingError, SolverConfigError
from models.units import SECONDS_PER_HOUR
from optimizer.engine import optimize
from optimizer.extract import NOTHING_KWH, Outcome, to_schedule
from optimizer.options import Foresight, LimitMode, Occasion, RollOptions, Strategy
from optimizer.prepare import prepare
from optimizer.problem import CapacityProblem
from optimizer.verify import verify

logger = logging.getLogger(__name__)

NOTHING_KW = 1e-6
"""A smaller change of power is rounding."""

SAME_INSTANT_S = 1e-6
"""Instants that are closer are one; the resolution of written times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replan:
    """One plan of a day.

    Args:
        at: When it was made.
        reason: What made it necessary.
        sessions: Vehicles planned for.
        overdue: How many of them stay past their stated departure.
        status: How good it is known to be.
        unmet_energy_kwh: What it believes could have been served and is not, kWh.
        moved_kw: Power that it changes at once against the plan before, up or down, of vehicles in both, kW.
        moved_kwh: Energy that it moves over its whole horizon, up or down, of vehicles in both, kWh.
        seconds: Wall time, s.
    """

    at: datetime
    reason: str
    sessions: int
    overdue: int
    status: ScheduleStatus
    unmet_energy_kwh: float
    moved_kw: float
    moved_kwh: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RolledDay:
    """What came of a day.

    Args:
        schedule: What vehicles really drew, verified against the limits that held.
        replans: Every plan, in order.
    """

    schedule: Schedule
    replans: tuple[Replan, ...]


def roll(day: RecordedDay, options: RollOptions | None = None) -> RolledDay:
    """Play a day: plan from what is known, let vehicles draw what they really take until the next plan, and so on.

    A vehicle is planned for from its arrival on, with the departure and energy it is believed to want. It takes what
    the plan gives it until it is full or leaves, which shows only then. One that stays past its stated departure is
    planned for as if it left at the end of the step that begins: it may leave any moment. More than was asked for is
    not given.

    Args:
        day: What happened, and when it became known.
        options: How to play it; the defaults where None.

    Returns:
        What came of it; it passed `optimizer.verify.verify`.

    Raises:
        RollingError: A plan failed. Nothing is rolled on from an older one.
        InputError: The day cannot be planned at all, or it has what is planned as a whole only.
        SolverConfigError: The solver is not there, or refuses an option.
        VerificationError: What was drawn breaks a limit that held.
    """
    _require_plain_charging(day.scenario)
    return _Player(day, options or RollOptions()).play()


def _require_plain_charging(scenario: Scenario) -> None:
    """Let pass a scenario in which nothing but the energy of vehicles is carried from plan to plan.

    Raises:
        InputError: It has more.
    """
    followed = [session.session_id for session in scenario.sessions if session.has_known_state]
    found = [
        *(f"asset {asset.asset_id!r}" for asset in scenario.site.assets),
        *(f"the battery of session {session_id!r}" for session_id in followed),
        *(f"demand charge {charge.charge_id!r}" for charge in scenario.demand_charges),
        *(["carbon.csv"] if scenario.carbon_kg_per_kwh is not None else []),
    ]
    if found:
        raise InputError(
            f"a day is played with plain charging only, and this one has {found[0]}"
            f"{f' and {len(found) - 1} more' if len(found) > 1 else ''}; leave that out, or plan the day as a whole"
        )


@dataclass(slots=True)
class _Vehicle:
    """A vehicle on its day.

    Args:
        session: When it really comes and leaves, and what it really takes.
        stated_departure_s: When it is believed to leave, seconds since the epoch.
        stated_kwh: What it is believed to take.
        drawn_kwh: What it has taken so far.
    """

    session: ChargingSession
    stated_departure_s: float
    stated_kwh: float
    drawn_kwh: float = 0.0

    @property
    def left_kwh(self) -> float:
        """What it would still take."""
        return max(0.0, self.session.energy_kwh - self.drawn_kwh)

    @property
    def is_full(self) -> bool:
        """Whether it has stopped drawing, for everybody to see."""
        return self.left_kwh <= NOTHING_KWH

    def is_there(self, now_s: float) -> bool:
        """Whether it is plugged in."""
        return self.session.arrival_s <= now_s + SAME_INSTANT_S and now_s + SAME_INSTANT_S < self.session.departure_s


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draw:
    """Power drawn by a vehicle from one instant to another, seconds since the epoch, within one interval of the day."""

    session_id: str
    start_s: float
    end_s: float
    power_kw: float

    @property
    def energy_kwh(self) -> float:
        return self.power_kw * (self.end_s - self.start_s) / SECONDS_PER_HOUR


class _Player:
    """One day under way."""

    def __init__(self, day: RecordedDay, options: RollOptions) -> None:
        self._day = day
        self._options = options
        self._truth = prepare(day.scenario, options.plan.measured)
        self._zone = day.scenario.site.time_zone
        self._vehicles = {
            session.session_id: _vehicle(session, day, options.foresight) for session in self._truth.sessions
        }
        grid = self._truth.grid
        self._start_s, self._end_s = float(grid.edges_s[0]), float(grid.edges_s[-1])
        self._known = self._calendar()
        self._instants = sorted(self._known)
        cut_short = self._is_cut_short()
        self._limit_mode = LimitMode.INSTANTANEOUS if cut_short else options.plan.limit_mode
        self._current_mode = LimitMode.INSTANTANEOUS if cut_short else options.plan.current_mode
        self._plan: Schedule | None = None
        self._edges_s: list[float] = [self._start_s]
        self._draws: list[_Draw] = []
        self._replans: list[Replan] = []

    def play(self) -> RolledDay:
        now_s, reason = self._start_s, "start"
        while now_s < self._end_s - SAME_INSTANT_S:
            self._replan(now_s, reason)
            until_s, reason = self._next(now_s)
            self._draw(now_s, until_s)
            self._edges_s.append(until_s)
            now_s = until_s
        schedule = self._what_came()
        logger.info(
            "site=%s rolled plans=%d unmet_kwh=%.3f",
            self._day.scenario.site.site_id,
            len(self._replans),
            schedule.unmet_energy_kwh,
        )
        return RolledDay(schedule=schedule, replans=tuple(self._replans))

    def _calendar(self) -> dict[float, str]:
        """Instants at which the day is planned anew whatever comes of it, and why."""
        found: dict[float, str] = {}
        if self._options.occasion is Occasion.EVERY_STEP:
            found |= dict.fromkeys(self._truth.grid.edges_s.tolist(), "step")
        else:
            for vehicle in self._vehicles.values():
                found[vehicle.session.departure_s] = "departure"
            for vehicle in self._vehicles.values():
                found[vehicle.session.arrival_s] = "arrival"
        found |= dict.fromkeys(self._day.news_s().tolist(), "forecast")
        return {at_s: why for at_s, why in found.items() if self._start_s < at_s < self._end_s}

    def _is_cut_short(self) -> bool:
        """Whether a plan may end within a step: it must not count on what the rest of it would have evened out."""
        if self._options.occasion is Occasion.EVERY_EVENT:
            return True
        # Edges of the truth may come of the very message that no plan before it knew.
        grid = self._truth.grid
        raster = TimeGrid.build(grid.start, grid.end, raster=self._options.plan.raster, time_zone=self._zone)
        news_s = [at_s for at_s, why in self._known.items() if why == "forecast"]
        return not np.isin(news_s, raster.edges_s).all()

    def _replan(self, now_s: float, reason: str) -> None:
        """Plan for those who are there; without anybody there is no plan."""
        believed = tuple(self._believed(now_s))
        if not believed:
            self._plan = None
            return
        previous, self._plan = self._plan, None
        try:
            scenario = self._scenario(now_s, believed, previous)
            plan = optimize(
                scenario,
                replace(
                    self._options.plan,
                    start=self._at(now_s),
                    end=None,
                    limit_mode=self._limit_mode,
                    current_mode=self._current_mode,
                ),
            )
        except SolverConfigError:
            raise
        except CapacityOptimizerError as error:
            raise RollingError(self._at(now_s).isoformat(), len(self._replans), error) from error
        moved_kw, moved_kwh = (0.0, 0.0) if previous is None else moved(previous, plan, now_s)
        self._plan = plan
        self._replans.append(
            Replan(
                at=self._at(now_s),
                reason=reason,
                sessions=len(believed),
                overdue=sum(self._vehicles[s.session_id].stated_departure_s <= now_s for s in believed),
                status=plan.status,
                unmet_energy_kwh=plan.unmet_energy_kwh,
                moved_kw=moved_kw,
                moved_kwh=moved_kwh,
                seconds=plan.seconds["total"],
            )
        )

    def _believed(self, now_s: float) -> Iterator[ChargingSession]:
        """Those who are there and are believed to want more, as they are believed to be."""
        for vehicle in self._vehicles.values():
            wanted_kwh = vehicle.stated_kwh - vehicle.drawn_kwh
            if vehicle.is_there(now_s) and not vehicle.is_full and wanted_kwh > NOTHING_KWH:
                departure_s = vehicle.stated_departure_s
                if departure_s <= now_s + SAME_INSTANT_S:
                    departure_s = now_s + self._options.plan.raster.total_seconds()
                yield replace(
                    vehicle.session,
                    arrival=self._at(now_s),
                    departure=self._at(departure_s),
                    energy_kwh=wanted_kwh,
                )

    def _scenario(self, now_s: float, believed: tuple[ChargingSession, ...], previous: Schedule | None) -> Scenario:
        until_s = max(session.departure_s for session in believed) + self._options.plan.raster.total_seconds()
        return Scenario(
            site=self._day.scenario.site,
            sessions=believed,
            tariff=self._tariff(now_s, until_s),
            forecasts=self._day.forecasts_at(now_s),
            previous=previous,
        )

    def _tariff(self, now_s: float, until_s: float) -> EnergyTariff | None:
        tariff = self._day.tariff_at(now_s)
        return None if tariff is None else tariff.extended(now_s, until_s, self._zone)[0]

    def _next(self, now_s: float) -> tuple[float, str]:
        """When to plan next, and why."""
        at = bisect_right(self._instants, now_s + SAME_INSTANT_S)
        until_s, reason = (self._instants[at], "") if at < len(self._instants) else (self._end_s, "end")
        reason = self._known.get(until_s, reason)
        if self._options.occasion is Occasion.EVERY_EVENT and self._plan is not None:
            for found_s, why in ((self._first_overdue_s(), "overdue"), (self._first_full_s(now_s), "full")):
                if now_s + SAME_INSTANT_S < found_s < until_s - SAME_INSTANT_S:
                    until_s, reason = found_s, why
        return until_s, reason

    def _first_overdue_s(self) -> float:
        """When the first one in the plan is believed to leave and does not."""
        if self._plan is None:
            return math.inf
        return min(
            (
                result.session.departure_s
                for result in self._plan.sessions
                if result.session.departure_s < self._vehicles[result.session.session_id].session.departure_s
            ),
            default=math.inf,
        )

    def _first_full_s(self, now_s: float) -> float:
        """When the first vehicle stops drawing before it has what the plan gives it."""
        first_s = math.inf
        for session_id, draws in self._planned(now_s, self._end_s).items():
            left_kwh = self._vehicles[session_id].left_kwh
            if sum(draw.energy_kwh for draw in draws) > left_kwh + NOTHING_KWH:
                taken = list(_taken(draws, left_kwh))
                first_s = min(first_s, taken[-1].end_s if taken else math.inf)
        return first_s

    def _draw(self, now_s: float, until_s: float) -> None:
        """Let vehicles draw what the plan gives them, as long as they are there and not full."""
        for session_id, draws in self._planned(now_s, until_s).items():
            vehicle = self._vehicles[session_id]
            for draw in _taken(draws, vehicle.left_kwh):
                vehicle.drawn_kwh += draw.energy_kwh
                self._draws.append(draw)

    def _planned(self, now_s: float, until_s: float) -> dict[str, list[_Draw]]:
        """What the plan gives each vehicle between two instants while it is really there, in order of time."""
        found: dict[str, list[_Draw]] = {}
        plan = self._plan
        if plan is None:
            return found
        for index, start_s, end_s, power_kw in zip(
            plan.session_index.tolist(),
            plan.start_s.tolist(),
            plan.end_s.tolist(),
            plan.power_kw.tolist(),
            strict=True,
        ):
            session_id = plan.sessions[index].session.session_id
            begin_s = max(start_s, now_s)
            finish_s = min(end_s, until_s, self._vehicles[session_id].session.departure_s)
            if finish_s > begin_s + SAME_INSTANT_S:
                draw = _Draw(session_id=session_id, start_s=begin_s, end_s=finish_s, power_kw=power_kw)
                found.setdefault(session_id, []).append(draw)
        return found

    def _what_came(self) -> Schedule:
        """All that was drawn as one schedule over the intervals between plans, verified."""
        problem = prepare(self._day.scenario, self._options.plan.measured, edges_s=self._edges_s)
        schedule = to_schedule(
            problem,
            Outcome(
                energy_kwh=_by_column(problem, self._draws),
                status=ScheduleStatus.ROLLED,
                strategy=self._options.plan.strategy.value,
            ),
        )
        verify(
            self._day.scenario,
            schedule,
            limit_mode=self._options.plan.limit_mode,
            current_mode=self._options.plan.current_mode,
            group_limits=self._options.plan.strategy is not Strategy.UNCONTROLLED,
            stepless=True,
        )
        seconds = {"total": sum(replan.seconds for replan in self._replans)}
        return replace(schedule, seconds=seconds)

    def _at(self, instant_s: float) -> datetime:
        return datetime.fromtimestamp(instant_s, tz=self._zone)


def _vehicle(session: ChargingSession, day: RecordedDay, foresight: Foresight) -> _Vehicle:
    statement = day.statements.get(session.session_id) if foresight is Foresight.STATED else None
    departure_s, energy_kwh = session.departure_s, session.energy_kwh
    if statement is not None and statement.departure is not None:
        departure_s = statement.departure.timestamp()
    if statement is not None and statement.energy_kwh is not None:
        energy_kwh = statement.energy_kwh
    return _Vehicle(session=session, stated_departure_s=departure_s, stated_kwh=energy_kwh)


def _taken(draws: list[_Draw], left_kwh: float) -> Iterator[_Draw]:
    """The first of some draws, in order of time, that together make up no more than what is left."""
    for draw in draws:
        if draw.energy_kwh >= left_kwh:
            if left_kwh > 0:
                yield replace(draw, end_s=draw.start_s + left_kwh / draw.power_kw * SECONDS_PER_HOUR)
            return
        left_kwh -= draw.energy_kwh
        yield draw


def _by_column(problem: CapacityProblem, draws: list[_Draw]) -> FloatArray:
    """Energy of each column, (K,), kWh; no draw reaches over an edge of the grid."""
    index_of = {session.session_id: index for index, session in enumerate(problem.sessions)}
    energy_kwh = np.zeros(problem.columns)
    edges_s = problem.grid.edges_s
    for draw in draws:
        session = index_of[draw.session_id]
        step = int(np.searchsorted(edges_s, (draw.start_s + draw.end_s) / 2, side="right")) - 1
        first = int(problem.first_column[session])
        energy_kwh[first + step - int(problem.column_step[first])] += draw.energy_kwh
    return np.minimum(energy_kwh, problem.max_energy_kwh)


def moved(previous: Schedule, plan: Schedule, now_s: float) -> tuple[float, float]:
    """How far a plan is from the one before it, over the vehicles that are in both.

    Args:
        previous: The plan before.
        plan: The plan that takes its place.
        now_s: When it does, seconds since the epoch.

    Returns:
        The sum of all changes of power at once, kW, and of energy from then on, kWh, up and down alike.
    """
    edges_s = np.unique(np.concatenate((previous.grid.edges_s, plan.grid.edges_s, previous.end_s, plan.end_s)))
    grid = TimeGrid(edges_s=np.concatenate(([now_s], edges_s[edges_s > now_s])), time_zone=UTC)
    old, new = _powers(previous, grid), _powers(plan, grid)
    change_kw = np.zeros(grid.steps)
    for session_id in old.keys() & new.keys():
        change_kw += np.abs(new[session_id] - old[session_id])
    change_kw[change_kw < NOTHING_KW] = 0.0
    return float(change_kw[0]), float((change_kw * grid.step_hours).sum())


def _powers(schedule: Schedule, grid: TimeGrid) -> dict[str, FloatArray]:
    """Power of each session at the beginning of each step, (T,), kW."""
    found = {result.session.session_id: np.zeros(grid.steps) for result in schedule.sessions}
    begin_s = grid.edges_s[:-1]
    first = np.searchsorted(begin_s, schedule.start_s - SAME_INSTANT_S)
    behind = np.searchsorted(begin_s, schedule.end_s - SAME_INSTANT_S)
    for row, index in enumerate(schedule.session_index.tolist()):
        session_id = schedule.sessions[index].session.session_id
        found[session_id][first[row] : behind[row]] = schedule.power_kw[row]
    return found
