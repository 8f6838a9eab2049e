"""What became of the sessions of some time: what plans gave them, what was measured, and what else could have been."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np

from api.monthly_capacity import CapacityUse, CapacityUses
from api.records import StoredPlan
from api.site_state import Charged
from models.domain import (
    CapacityBlock,
    CapacityForecast,
    CapacityForecasts,
    CapacityKind,
    ChargingSession,
    EnergyTariff,
    FloatArray,
    PriceBlock,
    Scenario,
    Schedule,
    Site,
)
from models.domain.bounds import MAX_POWER_KW
from models.errors import CapacityOptimizerError
from models.units import SECONDS_PER_HOUR
from optimizer import OptimizeOptions, optimize
from optimizer.options import Strategy
from optimizer.scenario_io.plan_document import schedule_from_document

QUARTER_HOUR = timedelta(minutes=15)
QUARTER_HOUR_S = 900.0
BASELINES = (Strategy.UNCONTROLLED, Strategy.EQUAL_SHARE)
SHORT_KWH = 1e-3
"""A session that lacks less than a meter shows got what it asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOutcome:
    """One session that has departed.

    Args:
        session: As stated.
        planned_kwh: What the plans in force gave it, kWh.
        measured_kwh: What was measured of that, kWh; None where nothing was.
        cost: Of the planned energy; None where a price is missing.
    """

    session: ChargingSession
    planned_kwh: float
    measured_kwh: float | None
    cost: float | None

    @property
    def unmet_kwh(self) -> float:
        """What it asked for and did not get, kWh: by measurement, else by plan."""
        got_kwh = self.planned_kwh if self.measured_kwh is None else self.measured_kwh
        return max(0.0, self.session.energy_kwh - got_kwh)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The sessions that departed on one day, local time.

    Args:
        day: The day.
        sessions: How many.
        planned_kwh: kWh.
        unmet_kwh: kWh.
        cost: None where a price is missing.
    """

    day: date
    sessions: int
    planned_kwh: float
    unmet_kwh: float
    cost: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """What the same sessions would have got and cost, all of them known from the start.

    Args:
        strategy: See `optimizer.options.Strategy`.
        energy_kwh: kWh.
        unmet_kwh: kWh that their stays would have allowed.
        cost: None without prices.
        peak_kw: Highest mean of a quarter of an hour, kW.
        minutes_over_limit: Minutes above a limit.
    """

    strategy: str
    energy_kwh: float
    unmet_kwh: float
    cost: float | None
    peak_kw: float
    minutes_over_limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReport:
    """The sessions of a site that departed within some time.

    Args:
        site: The site.
        start: First instant of that time.
        end: First instant after it, or the present.
        sessions: In order of departure.
        plans: How many plans were in force.
        peak_kw: Highest mean of a quarter of an hour that the plans gave these sessions, kW.
        measured_peak_kw: Highest mean of a quarter of an hour that chargers were measured to draw, kW, readings further
            apart spread evenly; None without measurements.
        capacity: What the limits of groups were worth, for each group that had one.
        alternatives: What else could have been; none where it cannot be worked out.
        notes: What is to be known of these figures.
    """

    site: Site
    start: datetime
    end: datetime
    sessions: tuple[SessionOutcome, ...]
    plans: int
    peak_kw: float
    measured_peak_kw: float | None
    capacity: tuple[CapacityUse, ...]
    alternatives: tuple[Alternative, ...]
    notes: tuple[str, ...]

    @property
    def requested_kwh(self) -> float:
        """What was asked for, kWh."""
        return sum(outcome.session.energy_kwh for outcome in self.sessions)

    @property
    def planned_kwh(self) -> float:
        """What the plans gave, kWh."""
        return sum(outcome.planned_kwh for outcome in self.sessions)

    @property
    def measured_kwh(self) -> float | None:
        """What was measured, kWh; None where of no session anything was."""
        measured = [outcome.measured_kwh for outcome in self.sessions if outcome.measured_kwh is not None]
        return sum(measured) if measured else None

    @property
    def unmet_kwh(self) -> float:
        """What was asked for and not got, kWh."""
        return sum(outcome.unmet_kwh for outcome in self.sessions)

    @property
    def cost(self) -> float | None:
        """Of the planned energy; None where a price is missing."""
        return _total(outcome.cost for outcome in self.sessions)

    @property
    def short(self) -> tuple[SessionOutcome, ...]:
        """The sessions that went short, those that lack most first."""
        lacking = [outcome for outcome in self.sessions if outcome.unmet_kwh > SHORT_KWH]
        return tuple(sorted(lacking, key=lambda outcome: (-outcome.unmet_kwh, outcome.session.session_id)))

    @property
    def days(self) -> tuple[Day, ...]:
        """Day by day, without those on which nobody departed."""
        by_day: dict[date, list[SessionOutcome]] = {}
        for outcome in self.sessions:
            by_day.setdefault(outcome.session.departure.astimezone(self.site.time_zone).date(), []).append(outcome)
        return tuple(
            Day(
                day=day,
                sessions=len(found),
                planned_kwh=sum(outcome.planned_kwh for outcome in found),
                unmet_kwh=sum(outcome.unmet_kwh for outcome in found),
                cost=_total(outcome.cost for outcome in found),
            )
            for day, found in sorted(by_day.items())
        )

    def saving(self, alternative: Alternative) -> float | None:
        """What an alternative would have cost more, for each kWh alike; None without prices or energy.

        saving = planned energy * (cost per kWh of the alternative - cost per kWh of the plans)
        """
        if self.cost is None or alternative.cost is None or not alternative.energy_kwh or not self.planned_kwh:
            return None
        return self.planned_kwh * alternative.cost / alternative.energy_kwh - self.cost


def site_report(
    site: Site,
    sessions: Sequence[ChargingSession],
    plans: Sequence[StoredPlan],
    measured_kwh: Mapping[str, float],
    charged: Sequence[Charged],
    *,
    start: datetime,
    end: datetime,
) -> SiteReport:
    """Account for the sessions that departed within some time.

    A plan was in force from when it was made until the next one was made. What those stretches give a session is what
    it was to get; it is priced as its plan was.

    Args:
        site: The site as it is now.
        sessions: Those that departed within that time, from when the energy that they ask for was last stated.
        plans: In the order in which they were made, from the one in force at the first arrival on.
        measured_kwh: By session, what was measured of it.
        charged: What chargers were measured to deliver.
        start: First instant of that time.
        end: First instant after it.
    """
    ordered = sorted(sessions, key=lambda one: (one.departure, one.session_id))
    followed = _Followed(site, ordered)
    for plan, until in zip(plans, [plan.made_at for plan in plans[1:]] + [end], strict=False):
        followed.take(plan, until)
    energy_kwh, cost = followed.totals()
    outcomes = tuple(
        SessionOutcome(
            session=session,
            planned_kwh=energy_kwh[index],
            measured_kwh=measured_kwh.get(session.session_id),
            cost=cost[index] if np.isfinite(cost[index]) else None,
        )
        for index, session in enumerate(ordered)
    )
    alternatives, notes = _alternatives(site, ordered, followed)
    return SiteReport(
        site=site,
        start=start,
        end=end,
        sessions=outcomes,
        plans=len(plans),
        peak_kw=followed.peak_kw(),
        measured_peak_kw=_measured_peak_kw(charged, start.timestamp(), end.timestamp()),
        capacity=followed.capacity.between(site, start.timestamp(), end.timestamp()),
        alternatives=alternatives,
        notes=tuple(notes),
    )


def _total(values: Iterable[float | None]) -> float | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None


@dataclass(slots=True, eq=False)
class _Followed:
    """What plans gave some sessions while each was in force, and the limits and prices that they knew.

    Args:
        site: The site.
        sessions: The sessions.
    """

    site: Site
    sessions: Sequence[ChargingSession]
    rows: list[FloatArray] = field(default_factory=list)
    """For each plan (5, K): session, start and end in seconds, kW, price per kWh."""
    prices: list[tuple[float, float, float]] = field(default_factory=list)
    """Start and end in seconds, price per kWh."""
    limits: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)
    """By group: start and end in seconds, kW, infinite for none."""
    capacity: CapacityUses = field(default_factory=CapacityUses)
    """What was drawn of the limits."""

    def take(self, plan: StoredPlan, until: datetime) -> None:
        """Add a plan, which was in force until an instant."""
        schedule = schedule_from_document(json.loads(plan.document), self.site)
        from_s, until_s = plan.made_at.timestamp(), until.timestamp()
        index_of = {session.session_id: index for index, session in enumerate(self.sessions)}
        session = np.array([index_of.get(one.session.session_id, -1) for one in schedule.sessions], dtype=np.int64)
        arrival_s = np.array([one.arrival_s for one in self.sessions] + [np.inf])[session]
        price = np.full(schedule.grid.steps, np.nan) if schedule.price_per_kwh is None else schedule.price_per_kwh
        rows = np.array(
            [
                session[schedule.session_index],
                np.maximum(schedule.start_s, np.maximum(from_s, arrival_s[schedule.session_index])),
                np.minimum(schedule.end_s, until_s),
                schedule.power_kw,
                price[schedule.step_index],
            ]
        )
        self.rows.append(rows[:, (rows[0] >= 0) & (rows[1] < rows[2])])
        self._take_steps(schedule, price, from_s, until_s)
        self.capacity.take(schedule, from_s, until_s)

    def totals(self) -> tuple[list[float], list[float]]:
        """Energy, kWh, and cost of each session; a cost that is not known is NaN."""
        session, start_s, end_s, power_kw, price = self._all_rows()
        energy_kwh = power_kw * (end_s - start_s) / SECONDS_PER_HOUR
        place, count = session.astype(np.int64), len(self.sessions)
        return (
            np.bincount(place, energy_kwh, minlength=count).tolist(),
            np.bincount(place, energy_kwh * price, minlength=count).tolist(),
        )

    def peak_kw(self) -> float:
        """Highest mean of a quarter of an hour, kW."""
        _, start_s, end_s, power_kw, _ = self._all_rows()
        return quarter_hour_peak_kw(start_s, end_s, power_kw)

    def tariff(self) -> EnergyTariff | None:
        """The prices; None where a plan knew none."""
        if not self.prices or any(np.isnan(price) for _, _, price in self.prices):
            return None
        return EnergyTariff.from_blocks(
            PriceBlock(start=_instant(start_s), end=_instant(end_s), import_price_per_kwh=price)
            for start_s, end_s, price in _merged(self.prices)
        )

    def forecasts(self, start_s: float, end_s: float) -> CapacityForecasts:
        """The limits, each held from when a plan knew it until the next one, and the outermost ones beyond."""
        found = CapacityForecasts()
        for group_id, limits in self.limits.items():
            if not self.site.has_group(group_id) or all(np.isinf(limit_kw) for _, _, limit_kw in limits):
                continue
            blocks = [
                CapacityBlock(start=_instant(begin_s), end=_instant(until_s), capacity_kw=min(limit_kw, MAX_POWER_KW))
                for begin_s, until_s, limit_kw in _merged(_held(limits, start_s, end_s))
            ]
            found = found.updated(
                CapacityForecast(group_id=group_id, kind=CapacityKind.CONSUMPTION, blocks=tuple(blocks))
            )
        return found

    def _take_steps(self, schedule: Schedule, price: FloatArray, from_s: float, until_s: float) -> None:
        steps = [
            (step, max(start_s, from_s), min(end_s, until_s))
            for step, (start_s, end_s) in enumerate(pairwise(schedule.grid.edges_s.tolist()))
            if max(start_s, from_s) < min(end_s, until_s)
        ]
        self.prices += [(start_s, end_s, float(price[step])) for step, start_s, end_s in steps]
        for group in schedule.groups:
            known = self.limits.setdefault(group.group_id, [])
            known += [(start_s, end_s, float(group.limit_kw[step])) for step, start_s, end_s in steps]

    def _all_rows(self) -> FloatArray:
        return np.concatenate(self.rows, axis=1) if self.rows else np.zeros((5, 0))


def quarter_hour_peak_kw(start_s: FloatArray, end_s: FloatArray, power_kw: FloatArray) -> float:
    """The highest mean of a quarter of an hour of what K rows draw together, kW.

    Args:
        start_s: (K,), seconds since the epoch.
        end_s: (K,), seconds since the epoch.
        power_kw: (K,), kW.
    """
    if not power_kw.size:
        return 0.0
    times_s, place = np.unique(np.concatenate((start_s, end_s)), return_inverse=True)
    change_kw = np.bincount(place, np.concatenate((power_kw, -power_kw)))
    # The energy up to each change of the power that all draw together; it is linear in between.
    energy_kws = np.concatenate(([0.0], np.cumsum(np.cumsum(change_kw)[:-1] * np.diff(times_s))))
    first_s = times_s[0] // QUARTER_HOUR_S * QUARTER_HOUR_S
    edges_s = np.arange(first_s, times_s[-1] + QUARTER_HOUR_S, QUARTER_HOUR_S)
    return float(np.diff(np.interp(edges_s, times_s, energy_kws)).max() / QUARTER_HOUR_S)


def _measured_peak_kw(charged: Sequence[Charged], first_s: float, last_s: float) -> float | None:
    """The highest mean of a quarter of an hour of what was measured within some time, kW; None where nothing was."""
    rows = np.array([[one.start.timestamp(), one.end.timestamp(), one.energy_kwh] for one in charged]).reshape(-1, 3)
    start_s, end_s, energy_kwh = rows[rows[:, 1] > rows[:, 0]].T
    power_kw = energy_kwh * SECONDS_PER_HOUR / (end_s - start_s)
    start_s, end_s = np.maximum(start_s, first_s), np.minimum(end_s, last_s)
    inside = start_s < end_s
    if not inside.any():
        return None
    return quarter_hour_peak_kw(start_s[inside], end_s[inside], power_kw[inside])


def _alternatives(
    site: Site, sessions: Sequence[ChargingSession], followed: _Followed
) -> tuple[tuple[Alternative, ...], list[str]]:
    """What else could have been, and why that is not known."""
    placed = [session for session in sessions if site.has_charger(session.charger_id)]
    if not placed or not followed.rows:
        return (), []
    start = min(session.arrival for session in placed)
    end = max(session.departure for session in placed)
    notes = [] if len(placed) == len(sessions) else ["sessions at chargers that are gone are not compared"]
    tariff = followed.tariff()
    if tariff is None:
        notes.append("not every plan knew prices: nothing is said of costs that could have been")
    else:
        tariff, note = tariff.extended(start.timestamp(), end.timestamp(), site.time_zone)
        notes += [note] if note else []
    scenario = Scenario(
        site=site,
        sessions=tuple(placed),
        tariff=tariff,
        forecasts=followed.forecasts(start.timestamp(), end.timestamp()),
    )
    try:
        found = [_alternative(scenario, strategy, start, end) for strategy in BASELINES]
    except CapacityOptimizerError as error:
        return (), [*notes, f"what else could have been is not known: {error}"]
    return tuple(found), notes


def _alternative(scenario: Scenario, strategy: Strategy, start: datetime, end: datetime) -> Alternative:
    options = OptimizeOptions(start=start, end=end, raster=QUARTER_HOUR, strategy=strategy)
    schedule = optimize(scenario, options)
    return Alternative(
        strategy=strategy.value,
        energy_kwh=schedule.delivered_energy_kwh,
        unmet_kwh=schedule.unmet_energy_kwh,
        cost=None if scenario.tariff is None else schedule.energy_cost,
        peak_kw=quarter_hour_peak_kw(schedule.start_s, schedule.end_s, schedule.power_kw),
        minutes_over_limit=schedule.minutes_over_limit(SHORT_KWH),
    )


def _held(
    known: Sequence[tuple[float, float, float]], start_s: float, end_s: float
) -> list[tuple[float, float, float]]:
    """Values that hold until the next one begins, the first from the start on and the last up to the end."""
    begins = [min(start_s, known[0][0]), *(begin_s for begin_s, _, _ in known[1:])]
    ends = [*begins[1:], max(end_s, known[-1][1])]
    return [(begin_s, until_s, value) for begin_s, until_s, (_, _, value) in zip(begins, ends, known, strict=True)]


def _merged(known: Sequence[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """The same with neighbours of one value as one."""
    merged: list[tuple[float, float, float]] = []
    for start_s, end_s, value in known:
        if merged and merged[-1][1] == start_s and merged[-1][2] == value:
            merged[-1] = (merged[-1][0], end_s, value)
        else:
            merged.append((start_s, end_s, value))
    return merged


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
