"""Sites with their sessions and prices, as their peer and the operator state them, and the plans made of them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.context import Context
from api.persistence import ConflictError, NotFoundError, Transaction
from api.records import StoredPlan, StoredSession, StoredSite
from api.rest_schemas import SiteInput
from api.site_state_json import state_from_json
from models.domain import CapacityForecasts, ChargingSession, Site
from models.errors import InputError
from optimizer.scenario_io import SessionRow, SiteFile
from optimizer.scenario_io.documents import read_price_documents, read_session_documents, read_site_document
from optimizer.scenario_io.result_schemas import ScheduleRow
from optimizer.scenario_io.row_schemas import price_rows
from optimizer.scenario_io.site_checks import unknown_fields_note

logger = logging.getLogger(__name__)

CSV_COLUMNS = tuple(ScheduleRow.model_fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was stored.

    Args:
        version: The site's version that knows of it.
        stored: Rows taken.
        notes: What looks odd in them.
    """

    version: int
    stored: int
    notes: tuple[str, ...]


async def put_site(context: Context, site_id: str, value: object) -> tuple[StoredSite, bool, tuple[str, ...]]:
    """Create or replace a site; its sessions, prices and forecasts stay.

    Returns:
        The site, whether it is new, and what of it nobody reads.

    Raises:
        InputError: It is no site.json, names another site, or an unknown peer, or has generators or base loads.
        ConflictError: A group or the site is another's already, or a session is at a charger that is gone.
    """
    given = await asyncio.to_thread(read_site_document, value, SiteInput)
    if given.site_id not in ("", site_id):
        raise InputError(f"field site_id is {given.site_id!r}, the path says {site_id!r}; send one id")
    domain = given.model_copy(update={"site_id": site_id}).to_domain()
    _require_no_forecast_assets(domain)
    document = SiteFile.from_domain(domain).model_dump_json(by_alias=True)
    group_ids = [group.group_id for group in domain.groups]
    now = context.clock.now()

    def put(tx: Transaction) -> tuple[StoredSite, bool]:
        _require_peer(tx, given.peer_id)
        is_new = tx.sites.put(site_id, given.peer_id, document, group_ids, now=now)
        if not is_new:
            _require_chargers(tx.sites.sessions(site_id), domain, now)
        return tx.sites.get(site_id), is_new

    site, is_new = await context.database.write(put)
    context.site_changed.notify()
    logger.info("site=%s of peer=%s put, version %d", site_id, given.peer_id, site.version)
    return site, is_new, unknown_fields_note(given)


async def all_sites(context: Context, viewer: str | None) -> Sequence[StoredSite]:
    """Every site the viewer may see: a peer's own, or, for None, the operator's view, all."""
    return await context.database.read(lambda tx: tx.sites.all(peer_id=viewer))


async def site(context: Context, site_id: str, viewer: str | None) -> StoredSite:
    """One site.

    Raises:
        NotFoundError: There is none of that id that the viewer may see.
    """
    return await context.database.read(lambda tx: visible_site(tx, site_id, viewer))


async def delete_site(context: Context, site_id: str) -> None:
    """Delete a site with all that was said of it.

    Raises:
        NotFoundError: There is none of that id.
    """

    def delete(tx: Transaction) -> None:
        visible_site(tx, site_id, None)
        tx.sites.delete(site_id)

    await context.database.write(delete)
    context.site_changed.notify()
    logger.info("site=%s deleted", site_id)


async def put_sessions(context: Context, site_id: str, viewer: str | None, value: object) -> Written:
    """Create or replace some sessions of a site, all or none.

    Raises:
        NotFoundError: There is no such site that the viewer may see.
        InputError: A row is no session of the site; the message names row, field and value.
        ConflictError: The site was replaced meanwhile.
    """
    stored = await site(context, site_id, viewer)
    sessions, notes = await asyncio.to_thread(lambda: read_session_documents(value, _domain(stored)))
    _require_no_feeding(sessions)
    rows = [
        (session.session_id, SessionRow.from_domain(session).model_dump_json(), session.energy_kwh)
        for session in sessions
    ]
    now = context.clock.now()

    def put(tx: Transaction) -> int:
        _require_unchanged(tx, stored, viewer)
        return tx.sites.put_sessions(site_id, rows, now=now) if rows else stored.version

    version = await context.database.write(put)
    context.site_changed.notify()
    return Written(version=version, stored=len(rows), notes=notes)


async def put_session(
    context: Context, site_id: str, session_id: str, viewer: str | None, value: object
) -> tuple[StoredSession, bool]:
    """Create or replace one session.

    Returns:
        The session as stored, and whether it is new.

    Raises:
        NotFoundError: There is no such site that the viewer may see.
        InputError: It is no session of the site, or has another id.
        ConflictError: The site was replaced meanwhile.
    """
    if not isinstance(value, dict):
        raise InputError("the body must be an object with the columns of sessions.csv")
    given = value.get("session_id", session_id)
    if given != session_id:
        raise InputError(f"field session_id is {given!r}, the path says {session_id!r}; send one id")
    before = {row.session_id for row in await sessions(context, site_id, viewer)}
    await put_sessions(context, site_id, viewer, [{**value, "session_id": session_id}])
    return await session(context, site_id, session_id, viewer), session_id not in before


async def sessions(context: Context, site_id: str, viewer: str | None) -> Sequence[StoredSession]:
    """Every session of a site, in order of id.

    Raises:
        NotFoundError: There is no such site that the viewer may see.
    """

    def read(tx: Transaction) -> Sequence[StoredSession]:
        visible_site(tx, site_id, viewer)
        return tx.sites.sessions(site_id)

    return await context.database.read(read)


async def session(context: Context, site_id: str, session_id: str, viewer: str | None) -> StoredSession:
    """One session.

    Raises:
        NotFoundError: There is no such site that the viewer may see, or it has no such session.
    """

    def read(tx: Transaction) -> StoredSession:
        visible_site(tx, site_id, viewer)
        return _session(tx, site_id, session_id)

    return await context.database.read(read)


async def delete_session(context: Context, site_id: str, session_id: str, viewer: str | None) -> None:
    """Delete a session.

    Raises:
        NotFoundError: There is no such site that the viewer may see, or it has no such session.
    """
    now = context.clock.now()

    def delete(tx: Transaction) -> None:
        visible_site(tx, site_id, viewer)
        _session(tx, site_id, session_id)
        tx.sites.delete_session(site_id, session_id, now=now)

    await context.database.write(delete)
    context.site_changed.notify()


async def put_prices(context: Context, site_id: str, viewer: str | None, value: object) -> Written:
    """Replace the prices of a site.

    Raises:
        NotFoundError: There is no such site that the viewer may see.
        InputError: A row is no price, two overlap, or there is none; the message names row, field and value.
    """
    stored = await site(context, site_id, viewer)
    tariff, notes = await asyncio.to_thread(lambda: read_price_documents(value, _domain(stored)))
    rows = [row.model_dump(mode="json", exclude_none=True) for row in price_rows(tariff)]
    document = json.dumps(rows, separators=(",", ":"))
    version = await _replace_prices(context, site_id, viewer, document)
    return Written(version=version, stored=len(rows), notes=notes)


async def delete_prices(context: Context, site_id: str, viewer: str | None) -> None:
    """Take the prices of a site away; nothing happens where there are none.

    Raises:
        NotFoundError: There is no such site that the viewer may see.
    """
    if await _prices(context, site_id, viewer) is not None:
        await _replace_prices(context, site_id, viewer, None)


async def prices(context: Context, site_id: str, viewer: str | None) -> list[dict[str, Any]]:
    """The prices of a site as JSON values, in order of time; none where none were given.

    Raises:
        NotFoundError: There is no such site that the viewer may see.
    """
    document = await _prices(context, site_id, viewer)
    rows: list[dict[str, Any]] = json.loads(document or "[]")
    return rows


async def plan(context: Context, site_id: str, viewer: str | None) -> StoredPlan:
    """The plan in force of a site.

    Raises:
        NotFoundError: There is no such site that the viewer may see, or no plan; the message says why.
    """
    now = context.clock.now()

    def read(tx: Transaction) -> StoredPlan:
        found = visible_site(tx, site_id, viewer)
        in_force = tx.plans.in_force(site_id)
        if in_force is None:
            raise NotFoundError(f"site {site_id!r} has no plan: {_why_no_plan(found, tx.sites.sessions(site_id), now)}")
        return in_force

    return await context.database.read(read)


def plan_view(stored: StoredPlan) -> dict[str, Any]:
    """A plan as JSON values."""
    document: dict[str, Any] = json.loads(stored.document)
    return {
        **document,
        "plan_id": stored.plan_id,
        "version": stored.version,
        "made_at": utc_text(stored.made_at),
    }


def session_view(stored: StoredSession) -> dict[str, Any]:
    """A session as JSON values."""
    document: dict[str, Any] = json.loads(stored.document)
    return {**document, "stated_at": utc_text(stored.stated_at)}


def utc_text(instant: datetime) -> str:
    """An instant of UTC as every other answer writes it."""
    return instant.isoformat().replace("+00:00", "Z")


def schedule_csv(view: Mapping[str, Any]) -> str:
    """The rows of a plan's schedule as schedule.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([row[name] for name in CSV_COLUMNS] for row in view["schedule"])
    return text.getvalue()


async def forecasts(context: Context, site_id: str, viewer: str | None) -> CapacityForecasts:
    """What the capacity providers have said of a site's groups and what still holds of it.

    Raises:
        NotFoundError: There is no such site that the viewer may see.
    """
    now = context.clock.now()

    def read(tx: Transaction) -> CapacityForecasts:
        visible_site(tx, site_id, viewer)
        work = tx.sites.load(site_id, now=now)
        state = state_from_json(work.snapshot)
        return state.after(work.events, _domain(work.site), work.sessions).forecasts

    return await context.database.read(read)


def visible_site(tx: Transaction, site_id: str, viewer: str | None) -> StoredSite:
    """A site as its peer or the operator sees it; another peer's is as if it were not there.

    Raises:
        NotFoundError: There is none of that id that the viewer may see.
    """
    try:
        found = tx.sites.get(site_id)
    except NotFoundError:
        found = None
    if found is None or viewer not in (None, found.peer_id):
        raise NotFoundError(f"there is no site {site_id!r}")
    return found


def _session(tx: Transaction, site_id: str, session_id: str) -> StoredSession:
    try:
        return tx.sites.session(site_id, session_id)
    except NotFoundError:
        raise NotFoundError(f"site {site_id!r} has no session {session_id!r}") from None


async def _prices(context: Context, site_id: str, viewer: str | None) -> str | None:
    def read(tx: Transaction) -> str | None:
        visible_site(tx, site_id, viewer)
        return tx.sites.prices(site_id)

    return await context.database.read(read)


async def _replace_prices(context: Context, site_id: str, viewer: str | None, document: str | None) -> int:
    now = context.clock.now()

    def put(tx: Transaction) -> int:
        visible_site(tx, site_id, viewer)
        return tx.sites.put_prices(site_id, document, now=now)

    version = await context.database.write(put)
    context.site_changed.notify()
    return version


def _domain(stored: StoredSite) -> Site:
    return SiteFile.model_validate_json(stored.document).to_domain()


def _require_peer(tx: Transaction, peer_id: str) -> None:
    try:
        tx.peers.get(peer_id)
    except NotFoundError:
        raise InputError(
            f"field peer_id is {peer_id!r}; there is no such peer, create it with POST /v1/peers"
        ) from None


def _require_no_forecast_assets(domain: Site) -> None:
    """Let pass a site without assets whose forecasts nobody keeps for it.

    Raises:
        InputError: It has some.
    """
    forecast = (*domain.generators, *domain.base_loads)
    if forecast:
        raise InputError(
            f"site {domain.site_id!r} has the asset {forecast[0].asset_id!r}; generators and base loads are planned by "
            "POST /v1/optimize, with their forecasts. Where limit_counts is TOTAL, what was measured of consumption "
            "and generation counts without them; leave them out"
        )


def _require_no_feeding(sessions: Sequence[ChargingSession]) -> None:
    """Let pass sessions of which a register that counts up tells all.

    Raises:
        InputError: One feeds in.
    """
    feeding = next((session for session in sessions if session.discharge_power_kw > 0), None)
    if feeding is not None:
        raise InputError(
            f"session {feeding.session_id!r} has discharge_power_kw {feeding.discharge_power_kw:g}; vehicles that feed "
            "in are planned by POST /v1/optimize, for no meter tells a site that is planned all the time what they gave"
        )


def _require_chargers(stored: Sequence[StoredSession], domain: Site, now: datetime) -> None:
    """Let no session lose its charger: such a site could not be planned any more."""
    for entry in stored:
        row = SessionRow.model_validate_json(entry.document)
        if row.departure > now and not domain.has_charger(row.charger_id):
            raise ConflictError(
                f"session {row.session_id!r} is at charger {row.charger_id!r}, which the site would lose; "
                "delete or move the session first"
            )


def _require_unchanged(tx: Transaction, known: StoredSite, viewer: str | None) -> None:
    if visible_site(tx, known.site_id, viewer).document != known.document:
        raise ConflictError(f"site {known.site_id!r} was replaced meanwhile; send the sessions again")


def _why_no_plan(found: StoredSite, stored: Sequence[StoredSession], now: datetime) -> str:
    if found.last_error:
        return f"the last attempt to plan failed, and it is tried again: {found.last_error}"
    if found.attended_version < found.version:
        return f"planning waits; version {found.version} has not been looked at"
    if not stored:
        return "nothing asks for one yet; send sessions"
    stays = [SessionRow.model_validate_json(one.document) for one in stored]
    last = max(stays, key=lambda one: one.departure)
    if last.departure <= now:
        return (
            f"nothing asks for one any more: the last of its {len(stays)} sessions, {last.session_id!r}, departed at "
            f"{last.departure.isoformat()}; send sessions that depart later"
        )
    first = min((one for one in stays if one.departure > now), key=lambda one: one.arrival)
    return (
        f"nothing asks for one yet: the next session, {first.session_id!r}, arrives at {first.arrival.isoformat()}, "
        "beyond OSCP_HORIZON_HOURS; it is planned once that comes within"
    )
