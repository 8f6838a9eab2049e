"""What is known of a site at one instant, as a scenario to plan; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta

from api.loads import loads_of
from api.records import SiteWork, StoredSession
from api.settings import Settings
from api.site_state import SiteState
from models.domain import CapacityForecasts, ChargingSession, EnergyTariff, Scenario, Schedule, Site
from models.domain.headroom import IMPORT_KINDS, headroom
from models.domain.time_grid import ceil_to_raster
from optimizer import OptimizeOptions, SolverOptions
from optimizer.options import Fairness
from optimizer.scenario_io import PriceRow, SessionRow, SiteFile

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningRules:
    """How sites are planned; each field as in `Settings`."""

    horizon_hours: float
    step_minutes: float
    drift_kwh: float
    drift_kw: float
    measurement_age_s: float
    solve_deadline_s: float
    fairness: Fairness
    why_limit_s: float

    @classmethod
    def of(cls, settings: Settings) -> PlanningRules:
        """Those of a server."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Situation:
    """What is to be planned.

    Args:
        scenario: With limits as they are for the chargers alone.
        options: Window and step.
        site: With its limits as stated, and its storages as they are.
        forecasts: As stated, without series that are over: what the plan answers.
        load_kw: By group, the non-flexible load that was taken off.
        notes: What was taken as it is although it looks wrong.
    """

    scenario: Scenario
    options: OptimizeOptions
    site: Site
    forecasts: CapacityForecasts
    load_kw: Mapping[str, float]
    notes: tuple[str, ...]


def site_of(work: SiteWork) -> Site:
    """The site."""
    return SiteFile.model_validate_json(work.site.document).to_domain()


def situation_of(
    work: SiteWork, site: Site, state: SiteState, *, now: datetime, rules: PlanningRules, previous: Schedule | None
) -> Situation | None:
    """What is to be planned now; None where nobody charges, no storage has prices, and nothing is allowed from now on.

    The window begins now and ends with the last departure, forecast or, with storages, price, at the horizon at the
    latest. A session that stays beyond the horizon is to be served within it, for nothing is known of what comes after.

    Args:
        work: All that is stored of the site.
        site: The site.
        state: What its messages add up to.
        now: The present.
        rules: Horizon, step, and how long measured generation counts.
        previous: The plan in force.
    """
    start = now.astimezone(UTC).replace(microsecond=0)
    horizon = start + timedelta(hours=rules.horizon_hours)
    notes = list(state.unread)
    sessions = _sessions(work.sessions, site, state, (start, horizon), notes)
    forecasts = _in_force(state.forecasts, site, start)
    site = replace(site, storages=tuple(one.planned_for(start) for one in state.storages_of(site, previous)))
    prices = _prices(work)
    ends = [session.departure for session in sessions] + _ends(forecasts, horizon)
    if site.storages:
        ends += _ends_of_prices(prices, (start, horizon))
    if not ends:
        return None
    raster = timedelta(minutes=rules.step_minutes)
    end = max(ends)
    load_kw = loads_of(
        site,
        state,
        now=now,
        generation_age_s=rules.measurement_age_s,
        generation_counts=not work.peer.offline,
    )
    reduced_site, reduced = headroom(site, _known(forecasts, state.forecasts, site), load_kw)
    scenario = Scenario(
        site=reduced_site,
        sessions=tuple(sessions),
        tariff=_tariff(prices, site, (start, end), notes),
        forecasts=reduced,
        previous=previous,
    )
    return Situation(
        scenario=scenario,
        options=OptimizeOptions(
            start=start,
            end=end,
            raster=raster,
            fairness=rules.fairness,
            why=rules.why_limit_s > 0,
            why_limit_s=rules.why_limit_s,
            solver=SolverOptions(time_limit_s=rules.solve_deadline_s),
        ),
        site=site,
        forecasts=forecasts,
        load_kw=load_kw,
        notes=tuple(notes),
    )


def next_edge(situation: Situation, *, now: datetime) -> datetime:
    """When to plan again though nothing changes: at the next edge of a block, and of a step while power is planned."""
    edges = [
        edge
        for (_, kind, _), blocks in situation.forecasts.series.items()
        if kind in IMPORT_KINDS
        for block in blocks
        for edge in (block.start, block.end)
        if edge > now
    ]
    if situation.scenario.sessions or situation.site.storages or not edges:
        # A second on: a plan made just before an edge is made again just after it.
        raster = situation.options.raster
        edges.append(ceil_to_raster(now + SECOND, raster, situation.site.time_zone))
    return min(edges)


def next_awakening(
    work: SiteWork, site: Site, state: SiteState, *, now: datetime, rules: PlanningRules
) -> datetime | None:
    """When the first that begins beyond the horizon comes within it: a session, a forecast, or prices for a storage.

    Returns:
        The instant; None where nothing begins beyond the horizon.
    """
    horizon_length = timedelta(hours=rules.horizon_hours)
    begins = [SessionRow.model_validate_json(one.document).to_domain().arrival for one in work.sessions] + [
        block.start
        for (group_id, kind, _), blocks in state.forecasts.series.items()
        if kind in IMPORT_KINDS and site.has_group(group_id)
        for block in blocks
    ]
    if site.storages:
        begins += [row.start for row in _prices(work)]
    horizon = now + horizon_length
    return min((begin - horizon_length + SECOND for begin in begins if begin >= horizon), default=None)


def _sessions(
    stored: Sequence[StoredSession],
    site: Site,
    state: SiteState,
    window: tuple[datetime, datetime],
    notes: list[str],
) -> list[ChargingSession]:
    start, horizon = window
    sessions: list[ChargingSession] = []
    unplaced: list[str] = []
    for one in stored:
        session = SessionRow.model_validate_json(one.document).to_domain()
        if session.departure <= start or session.arrival >= horizon:
            continue
        if not site.has_charger(session.charger_id):
            unplaced.append(session.session_id)
            continue
        delivered_kwh = _delivered_kwh(state, one)
        sessions.append(
            replace(
                session,
                arrival=max(session.arrival, start),
                departure=min(session.departure, horizon),
                energy_kwh=max(0.0, session.energy_kwh - delivered_kwh),
                arrival_soc=_soc_after(session, delivered_kwh),
            )
        )
    if unplaced:
        notes.append(
            f"sessions at chargers that the site does not have are not planned: {len(unplaced)}, the first "
            f"{unplaced[0]!r}; delete them or add the charger"
        )
    return sessions


def _soc_after(session: ChargingSession, delivered_kwh: float) -> float | None:
    """State of charge once some energy has been measured at the plug; None where it is not known."""
    if session.arrival_soc is None or session.battery_capacity_kwh is None:
        return session.arrival_soc
    return min(1.0, session.arrival_soc + delivered_kwh * session.charge_efficiency / session.battery_capacity_kwh)


def _delivered_kwh(state: SiteState, stored: StoredSession) -> float:
    delivered = state.delivered_to(stored)
    return 0.0 if delivered is None else delivered.energy_kwh


def _in_force(forecasts: CapacityForecasts, site: Site, start: datetime) -> CapacityForecasts:
    """What of the forecasts lies ahead, of groups that the site has."""
    series = {
        key: left
        for key, blocks in forecasts.series.items()
        if site.has_group(key[0]) and (left := tuple(block for block in blocks if block.end > start))
    }
    return CapacityForecasts(series=series)


def _known(ahead: CapacityForecasts, ever: CapacityForecasts, site: Site) -> CapacityForecasts:
    """The forecasts ahead, and an empty series where all are over: a limit that was stated once leaves a gap."""
    past = {key: () for key in ever.series if site.has_group(key[0])}
    return CapacityForecasts(series={**past, **ahead.series})


def _ends(forecasts: CapacityForecasts, horizon: datetime) -> list[datetime]:
    return [
        min(blocks[-1].end, horizon)
        for (_, kind, _), blocks in forecasts.series.items()
        if kind in IMPORT_KINDS and blocks[0].start < horizon
    ]


def _prices(work: SiteWork) -> list[PriceRow]:
    return [PriceRow.model_validate(row) for row in json.loads(work.prices or "[]")]


def _ends_of_prices(prices: Sequence[PriceRow], window: tuple[datetime, datetime]) -> list[datetime]:
    """The end of what is known of prices, if they say anything of a window; with a storage there is a use for it."""
    start, horizon = window
    return [min(row.end, horizon) for row in prices if row.end > start and row.start < horizon]


def _tariff(
    rows: Sequence[PriceRow], site: Site, window: tuple[datetime, datetime], notes: list[str]
) -> EnergyTariff | None:
    if not rows:
        return None
    start_s, end_s = (instant.timestamp() for instant in window)
    known = EnergyTariff.from_blocks(row.to_domain() for row in rows)
    tariff, note = known.extended(start_s, end_s, site.time_zone)
    notes += [note] if note else []
    return tariff
