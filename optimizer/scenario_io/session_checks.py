"""Sessions that must fit their site, and what looks odd in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

from models.domain.day import DriverStatement
from models.domain.group import Site
from models.domain.session import ChargingSession
from models.units import seconds_to_hours
from optimizer.scenario_io.row_schemas import RecordedSessionRow, SessionRow
from optimizer.scenario_io.rows import Rows, did_you_mean
from optimizer.scenario_io.scenario_files import SITE_FILE

LONG_STAY = timedelta(hours=24)
ENERGY_TOLERANCE_KWH = 1e-6
SessionT = TypeVar("SessionT", bound=SessionRow)


def read_sessions(table: Rows[SessionRow], site: Site) -> tuple[ChargingSession, ...]:
    """The sessions of a site, each id once, each at a charger it has.

    Raises:
        FileInputError: A row is no such session.
    """
    return tuple(row.to_domain() for row in _checked_sessions(table, site))


def read_recorded_sessions(
    table: Rows[RecordedSessionRow], site: Site
) -> tuple[tuple[ChargingSession, ...], dict[str, DriverStatement]]:
    """The same, and what the drivers said, by session.

    Raises:
        FileInputError: A row is no such session.
    """
    sessions: list[ChargingSession] = []
    statements: dict[str, DriverStatement] = {}
    for row in _checked_sessions(table, site):
        sessions.append(row.to_domain())
        if (statement := row.statement) is not None:
            statements[row.session_id] = statement
    return tuple(sessions), statements


def _checked_sessions(table: Rows[SessionT], site: Site) -> Iterator[SessionT]:
    chargers = {charger.charger_id for charger in site.chargers}
    curves = {curve.curve_id for curve in site.charge_curves}
    first_with_id: dict[str, int] = {}
    for index, row in table.rows():
        if row.charger_id not in chargers:
            reason = f"{SITE_FILE} has no such charger{did_you_mean(row.charger_id, chargers)}"
            raise table.error(index, reason, field="charger_id", value=row.charger_id)
        if row.charge_curve_id is not None and row.charge_curve_id not in curves:
            reason = f"{SITE_FILE} has no such charge curve{did_you_mean(row.charge_curve_id, curves)}"
            raise table.error(index, reason, field="charge_curve_id", value=row.charge_curve_id)
        first = first_with_id.setdefault(row.session_id, index)
        if first != index:
            reason = f"row {table.row_number(first)} has the same id; give each session its own"
            raise table.error(index, reason, field="session_id", value=row.session_id)
        yield row


def session_notes(sessions: Sequence[ChargingSession], site: Site) -> tuple[str, ...]:
    """What is taken as it is although it looks wrong: overlaps, unreachable energy, long stays."""
    return (*_overlap_note(sessions), *_unreachable_note(sessions, site), *_long_stay_note(sessions))


def _overlap_note(sessions: Sequence[ChargingSession]) -> tuple[str, ...]:
    """Count the sessions that begin while another is still at the same charger."""
    last_at: dict[str, ChargingSession] = {}
    count = 0
    pair = None
    for session in sorted(sessions, key=lambda session: session.arrival):
        last = last_at.get(session.charger_id)
        if last is not None and session.arrival < last.departure:
            count += 1
            pair = pair or (last, session)
        if last is None or session.departure > last.departure:
            last_at[session.charger_id] = session
    if pair is None:
        return ()
    earlier, later = pair
    note = (
        f"sessions that begin while another is at the same charger: {count}, the first {later.session_id!r} during "
        f"{earlier.session_id!r} at charger {later.charger_id!r}; together they get no more than the charger's power"
    )
    return (note,)


def _unreachable_note(sessions: Sequence[ChargingSession], site: Site) -> tuple[str, ...]:
    """Count the sessions that ask for more than their stay allows."""
    short: list[tuple[ChargingSession, float]] = []
    for session in sessions:
        power_kw = site.charger(session.charger_id).used_by(session.vehicle_phases).max_power_kw
        if session.max_power_kw is not None:
            power_kw = min(power_kw, session.max_power_kw)
        stay_hours = seconds_to_hours((session.departure - session.arrival).total_seconds())
        beyond_kwh = session.energy_kwh - power_kw * stay_hours
        if beyond_kwh > ENERGY_TOLERANCE_KWH:
            short.append((session, beyond_kwh))
    if not short:
        return ()
    total_kwh = sum(beyond_kwh for _, beyond_kwh in short)
    note = (
        f"sessions that ask for more than their stay allows: {len(short)}, by {total_kwh:.3f} kWh in all, "
        f"the first {short[0][0].session_id!r}; that energy counts as unreachable"
    )
    return (note,)


def _long_stay_note(sessions: Sequence[ChargingSession]) -> tuple[str, ...]:
    long = [session for session in sessions if session.departure - session.arrival > LONG_STAY]
    if not long:
        return ()
    hours = seconds_to_hours(LONG_STAY.total_seconds())
    return (f"sessions that last more than {hours:g} hours: {len(long)}, the first {long[0].session_id!r}",)
