"""Reports on a month of a site, from what is stored of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from api.context import Context
from api.monthly import SiteReport, site_report
from api.persistence import Transaction
from api.records import Event, StoredPlan, StoredSession, StoredSite
from api.services.sites import visible_site
from api.site_state import SiteState
from models.domain import ChargingSession, Site
from models.errors import InputError
from optimizer.scenario_io import SessionRow, SiteFile

READ_BEFORE = timedelta(hours=26)
"""How long before a session the reading of a register may have come from which its energy is counted."""
LONGEST_STAY = timedelta(days=31)
"""Plans from longer ago than this before the month are not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What is stored of a site and its sessions of some time."""

    site: StoredSite
    sessions: Sequence[StoredSession]
    plans: Sequence[StoredPlan]
    events: Sequence[Event]


async def monthly_report(context: Context, site_id: str, viewer: str | None, month: str | None) -> SiteReport:
    """What became of the sessions of a site that departed within a month of its time zone.

    Args:
        context: What the parts of the server share.
        site_id: The site.
        viewer: Whose site it has to be; None for the operator.
        month: Year and month, 2026-11; None for the present one.

    Raises:
        NotFoundError: There is no such site that the viewer may see.
        InputError: The month has not begun, or is none.
    """
    now = context.clock.now()
    stored_site = await context.database.read(lambda tx: visible_site(tx, site_id, viewer))
    site = SiteFile.model_validate_json(stored_site.document).to_domain()
    start, end = _bounds(month, site, now)

    def read(tx: Transaction) -> _Stored:
        found = visible_site(tx, site_id, viewer)
        sessions = tx.sites.departed(site_id, start, end)
        first = max(start - LONGEST_STAY, min([start, *(_counted(one).arrival for one in sessions)]))
        return _Stored(
            site=found,
            sessions=sessions,
            plans=tx.plans.in_force_between(site_id, first, end),
            events=tx.sites.measurements(site_id, first - READ_BEFORE, end + READ_BEFORE),
        )

    stored = await context.database.read(read)
    report = await asyncio.to_thread(_report, site, stored, start, end)
    oldest = now - timedelta(days=context.settings.retention_days)
    if oldest <= start:
        return report
    note = f"what was deleted after {context.settings.retention_days:g} days is not in it (OSCP_RETENTION_DAYS)"
    return replace(report, notes=(*report.notes, note))


def _report(site: Site, stored: _Stored, start: datetime, end: datetime) -> SiteReport:
    state, charged = SiteState().followed(stored.events, site, stored.sessions)
    measured_kwh = {
        one.session_id: delivered.energy_kwh for one in stored.sessions if (delivered := state.delivered_to(one))
    }
    sessions = [counted for one in stored.sessions if (counted := _counted(one)).energy_kwh > 0]
    return site_report(site, sessions, stored.plans, measured_kwh, charged, start=start, end=end)


def _counted(stored: StoredSession) -> ChargingSession:
    """A session from when its energy was last stated: what it got before is not part of what it asks for."""
    session = SessionRow.model_validate_json(stored.document).to_domain()
    if stored.stated_at >= session.departure:
        return replace(session, energy_kwh=0.0)
    return replace(session, arrival=max(session.arrival, stored.stated_at))


def _bounds(month: str | None, site: Site, now: datetime) -> tuple[datetime, datetime]:
    """Begin of a month, and its end or the present, whichever comes first."""
    local = now.astimezone(site.time_zone)
    try:
        first = date.fromisoformat(f"{month}-01") if month else local.date().replace(day=1)
    except ValueError as error:
        raise InputError(f"month is {month!r}; write year and month, such as 2026-11") from error
    following = (first + timedelta(days=31)).replace(day=1)
    start, end = (
        datetime(one.year, one.month, one.day, tzinfo=site.time_zone).astimezone(now.tzinfo)
        for one in (first, following)
    )
    if start >= now:
        raise InputError(f"month is {month!r}, which has not begun; choose one up to {local:%Y-%m}")
    return start, min(end, now)
