"""What must hold between the parts of a scenario, and what looks odd in it, wherever the parts were read from."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import islice, pairwise
from typing import Protocol, TypeVar

import numpy as np

from models.domain.capacity import CapacityForecast
from models.domain.connection import CONDUCTORS
from models.domain.day import DriverStatement, ReceivedForecast
from models.domain.demand import DemandCharge, price_blocks
from models.domain.group import Site
from models.domain.series import Series, ValueBlock
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff
from models.domain.time_grid import FloatArray
from models.errors import FileInputError, InputError
from models.oscp.v20 import UpdateGroupCapacityForecast, to_capacity_forecast
from models.units import seconds_to_hours
from optimizer.scenario_io.asset_schemas import AssetPowerRow, CarbonRow, TariffFile
from optimizer.scenario_io.fields import SiteEntry
from optimizer.scenario_io.row_schemas import (
    PriceRow,
    ReceivedMessage,
    RecordedPriceRow,
    RecordedSessionRow,
    SessionRow,
)
from optimizer.scenario_io.site_schemas import AssetEntry, SiteFile

SITE_FILE = "site.json"
FORECASTS_FILE = "forecasts.json"
TARIFF_FILE = "tariff.json"
LAID_OUT = timedelta(days=2)
"""How far beyond what a scenario is about prices that recur are laid out: a window is rounded to whole steps."""

MAX_DEPTH = 100
"""Levels of groups; every level is a row of the problem in every step."""
MAX_LISTED = 20
"""Names in one note."""
MAX_COMPARED = 5_000
"""Names among which one like a mistyped one is looked for; more would take longer than the hint is worth."""
LONG_STAY = timedelta(hours=24)
ENERGY_TOLERANCE_KWH = 1e-6

RowT_co = TypeVar("RowT_co", covariant=True)
SessionT = TypeVar("SessionT", bound=SessionRow)
PriceT = TypeVar("PriceT", bound=PriceRow)


class Rows(Protocol[RowT_co]):
    """Validated rows of one kind, with the place of each for messages."""

    @property
    def name(self) -> str:
        """What they are read from."""

    def rows(self) -> Iterator[tuple[int, RowT_co]]:
        """Every row with its index.

        Raises:
            FileInputError: A row does not hold what it must.
        """

    def row_number(self, index: int) -> int:
        """The number by which a message names the row of an index."""

    def error(self, index: int, reason: str, *, field: str | None = None, value: object = None) -> FileInputError:
        """An error about the row of an index."""


SETTINGS = ("allowed_currents_a", "min_current_a", "power_levels_kw", "min_power_kw")
"""Fields of a charger that say what it can be set to."""


def check_site(site: SiteFile) -> None:
    """Let pass a site whose groups form trees and whose chargers and other assets hang on them, each id once.

    Raises:
        FileInputError: It is another; the message names row, field and value.
    """
    _check_groups(site)
    _check_chargers(site)
    _check_line_limits(site)
    _check_assets(site)


def _check_assets(site: SiteFile) -> None:
    groups = {group.group_id for group in site.groups}
    kind_of: dict[str, str] = {}
    kinds: tuple[tuple[str, Sequence[AssetEntry]], ...] = (
        ("storages", site.storages),
        ("generators", site.generators),
        ("base_loads", site.base_loads),
    )
    for kind, entries in kinds:
        for row, asset in enumerate(entries, start=1):
            if asset.asset_id in kind_of:
                reason = f"one of {kind_of[asset.asset_id]} has the same id; give each asset its own"
                raise FileInputError(SITE_FILE, reason, row=row, field=f"{kind}.asset_id", value=asset.asset_id)
            kind_of[asset.asset_id] = kind
            if asset.group_id not in groups:
                raise FileInputError(
                    SITE_FILE,
                    f"asset {asset.asset_id!r} hangs on a group that is not listed"
                    f"{did_you_mean(asset.group_id, groups)}",
                    row=row,
                    field=f"{kind}.group_id",
                    value=asset.group_id,
                )
    _rows_by_id([curve.curve_id for curve in site.charge_curves], "charge_curves.curve_id")


def _check_groups(site: SiteFile) -> None:
    """Check the tree of groups as the domain does, and name the row."""
    rows = _rows_by_id([group.group_id for group in site.groups], "groups.group_id")
    parents = {group.group_id: group.parent_id for group in site.groups}
    for row, group in enumerate(site.groups, start=1):

        def refusal(reason: str, row: int = row, value: str | None = group.parent_id) -> FileInputError:
            return FileInputError(SITE_FILE, reason, row=row, field="groups.parent_id", value=value)

        if group.parent_id is not None and group.parent_id not in rows:
            raise refusal(f"there is no such group{did_you_mean(group.parent_id, rows)}")
        path = [group.group_id]
        while (parent := parents.get(path[-1])) is not None:
            path.append(parent)
            if parent in path[:-1]:
                cycle = " -> ".join(path[path.index(parent) :])
                raise refusal(f"the groups form a cycle: {cycle}; a group must lead to a root, whose parent_id is null")
            if len(path) > MAX_DEPTH:
                raise refusal(f"the group lies deeper than {MAX_DEPTH} levels")


def _check_chargers(site: SiteFile) -> None:
    _rows_by_id([charger.charger_id for charger in site.chargers], "chargers.charger_id")
    groups = {group.group_id for group in site.groups}
    for row, charger in enumerate(site.chargers, start=1):
        if charger.group_id not in groups:
            raise FileInputError(
                SITE_FILE,
                f"charger {charger.charger_id!r} hangs on a group that is not listed"
                f"{did_you_mean(charger.group_id, groups)}",
                row=row,
                field="chargers.group_id",
                value=charger.group_id,
            )
        try:
            charger.to_domain(site.nominal_voltage_v)
        except InputError as error:
            stated = {name: getattr(charger, name) for name in SETTINGS if getattr(charger, name)}
            field, value = next(iter(stated.items()), ("charger_id", charger.charger_id))
            raise FileInputError(SITE_FILE, str(error), row=row, field=f"chargers.{field}", value=value) from error


def _check_line_limits(site: SiteFile) -> None:
    rows = _rows_by_id([line.line_limit_id for line in site.line_limits], "line_limits.line_limit_id")
    groups = {group.group_id for group in site.groups}
    of_groups = {
        f"{group.group_id} {conductor}": group.group_id
        for group in site.groups
        if group.current_limit_a is not None
        for conductor in CONDUCTORS
    }
    for line in site.line_limits:
        row = rows[line.line_limit_id]
        if line.group_id not in groups:
            raise FileInputError(
                SITE_FILE,
                f"line limit {line.line_limit_id!r} is of a group that is not listed"
                f"{did_you_mean(line.group_id, groups)}",
                row=row,
                field="line_limits.group_id",
                value=line.group_id,
            )
        if line.line_limit_id in of_groups:
            raise FileInputError(
                SITE_FILE,
                f"so is the connection of group {of_groups[line.line_limit_id]!r} called; choose another name",
                row=row,
                field="line_limits.line_limit_id",
                value=line.line_limit_id,
            )


def _rows_by_id(ids: Iterable[str], field: str) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, value in enumerate(ids, start=1):
        if value in rows:
            raise FileInputError(SITE_FILE, f"row {rows[value]} has the same id", row=row, field=field, value=value)
        rows[value] = row
    return rows


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint at the known name most like a mistyped one; empty where none is."""
    alike = difflib.get_close_matches(name, list(islice(known, MAX_COMPARED)), n=1)
    return f"; did you mean {alike[0]!r}?" if alike else ""


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


def read_prices(table: Rows[PriceRow], zone: tzinfo) -> EnergyTariff:
    """Prices as a tariff: at least one, none overlapping another.

    Raises:
        FileInputError: A row is no such price.
    """
    return EnergyTariff.from_blocks(row.to_domain() for row in _checked_prices(table, zone))


def read_recorded_prices(table: Rows[RecordedPriceRow], zone: tzinfo) -> tuple[EnergyTariff, FloatArray | None]:
    """The same, and when each came: (B,), seconds since the epoch, minus infinity for all along; None for all of them.

    Raises:
        FileInputError: A row is no such price.
    """
    rows = _checked_prices(table, zone)
    known_s = None
    if any(row.known_from is not None for row in rows):
        known_s = np.array([-np.inf if row.known_from is None else row.known_from.timestamp() for row in rows])
    return EnergyTariff.from_blocks(row.to_domain() for row in rows), known_s


def _checked_prices(table: Rows[PriceT], zone: tzinfo) -> list[PriceT]:
    """The rows in order of time."""
    rows = sorted(table.rows(), key=lambda item: item[1].start)
    if not rows:
        raise FileInputError(table.name, "it has no prices; fill it, or remove it to plan without prices")
    for (earlier_index, earlier), (later_index, later) in pairwise(rows):
        if later.start < earlier.end:
            raise table.error(
                later_index,
                f"the price overlaps that of row {table.row_number(earlier_index)}, which holds until "
                f"{cell(earlier.end, zone)}; each instant may have one price",
                field="start",
                value=cell(later.start, zone),
            )
    return [row for _, row in rows]


def read_received(messages: Iterable[ReceivedMessage], site: Site) -> tuple[ReceivedForecast, ...]:
    """The forecasts of messages in the order of their arrival; one that says nothing of it came with the one before.

    Raises:
        FileInputError: A message is no forecast of the site, or came before the one above it.
    """
    found: list[ReceivedForecast] = []
    since: datetime | None = None
    for row, message in enumerate(messages, start=1):
        if message.received_at is not None and since is not None and message.received_at < since:
            raise FileInputError(
                FORECASTS_FILE,
                f"the message before it came at {cell(since, site.time_zone)}; put them in the order of their arrival",
                row=row,
                field="received_at",
                value=cell(message.received_at, site.time_zone),
            )
        since = message.received_at or since
        found.append(ReceivedForecast(forecast=read_forecast(message, row, site), received_at=since))
    return tuple(found)


class SeriesRow(Protocol):
    """A row that holds a figure over an interval."""

    @property
    def start(self) -> datetime:
        """First instant at which it holds."""

    @property
    def end(self) -> datetime:
        """First instant at which it does not hold any more."""

    def to_domain(self) -> ValueBlock:
        """The block."""


SeriesRowT = TypeVar("SeriesRowT", bound=SeriesRow)


def read_powers(table: Rows[AssetPowerRow] | None, assets: Sequence[str], kind: str, zone: tzinfo) -> dict[str, Series]:
    """The powers of a site's generators or base loads, each of them with some, none overlapping another.

    Args:
        table: The rows; None without a file.
        assets: Ids of the site's assets of that kind.
        kind: What they are called in messages.
        zone: Zone in which instants are shown.

    Raises:
        FileInputError: A row is of no such asset, two of one asset overlap, or an asset has none.
    """
    rows: dict[str, list[tuple[int, AssetPowerRow]]] = {asset_id: [] for asset_id in assets}
    if table is not None:
        for index, row in table.rows():
            if row.asset_id not in rows:
                reason = f"{SITE_FILE} has no such {kind}{did_you_mean(row.asset_id, rows)}"
                raise table.error(index, reason, field="asset_id", value=row.asset_id)
            rows[row.asset_id].append((index, row))
    series: dict[str, Series] = {}
    for asset_id, mine in rows.items():
        if table is None or not mine:
            name = f"{kind.replace(' ', '_').replace('generator', 'generation')}.csv" if table is None else table.name
            raise FileInputError(
                name, f"it says nothing of {kind} {asset_id!r} of {SITE_FILE}; give its power over the whole window"
            )
        series[asset_id] = _series(table, mine, zone)
    return series


def read_carbon(table: Rows[CarbonRow], zone: tzinfo) -> Series:
    """Carbon intensities: at least one, none overlapping another.

    Raises:
        FileInputError: A row is no such intensity.
    """
    rows = list(table.rows())
    if not rows:
        raise FileInputError(table.name, "it has no rows; fill it, or remove it to plan without")
    return _series(table, rows, zone)


def _series(table: Rows[SeriesRowT], rows: Sequence[tuple[int, SeriesRowT]], zone: tzinfo) -> Series:
    ordered = sorted(rows, key=lambda item: item[1].start)
    for (earlier_index, earlier), (later_index, later) in pairwise(ordered):
        if later.start < earlier.end:
            raise table.error(
                later_index,
                f"it overlaps row {table.row_number(earlier_index)}, which holds until {cell(earlier.end, zone)}; each "
                "instant may have one value",
                field="start",
                value=cell(later.start, zone),
            )
    return Series.from_blocks(row.to_domain() for _, row in ordered)


def read_tariff(
    tariff: TariffFile, prices: EnergyTariff | None, known_s: Iterable[float], zone: tzinfo
) -> tuple[EnergyTariff | None, tuple[DemandCharge, ...]]:
    """The prices and demand charges of a tariff file.

    Args:
        tariff: The file.
        prices: Those of prices.csv; None without one.
        known_s: Instants the scenario is about, seconds since the epoch: recurring prices are laid out around them.
        zone: Zone of the wall clock.

    Raises:
        FileInputError: Both files have prices, two prices overlap, or two charges have one id.
    """
    seen: set[str] = set()
    for row, charge in enumerate(tariff.demand_charges, start=1):
        if charge.charge_id in seen:
            reason = "another charge has the same id; give each its own"
            raise FileInputError(TARIFF_FILE, reason, row=row, field="demand_charges.charge_id", value=charge.charge_id)
        seen.add(charge.charge_id)
    charges = tuple(charge.to_domain() for charge in tariff.demand_charges)
    if not tariff.energy:
        return prices, charges
    if prices is not None:
        reason = "there are prices of their own as well; give prices of energy in one of the two"
        raise FileInputError(TARIFF_FILE, reason, field="energy")
    instants = list(known_s)
    if not instants:
        return None, charges
    pad_s = LAID_OUT.total_seconds()
    blocks = price_blocks(
        [price.to_domain() for price in tariff.energy], min(instants) - pad_s, max(instants) + pad_s, zone
    )
    try:
        return EnergyTariff.from_blocks(blocks), charges
    except InputError as error:
        raise FileInputError(TARIFF_FILE, str(error), field="energy") from error


def read_forecast(message: UpdateGroupCapacityForecast, row: int, site: Site) -> CapacityForecast:
    """The forecast of a message, whose row is named in errors.

    Raises:
        FileInputError: The site has no such group, or a block cannot be understood.
    """
    try:
        forecast = to_capacity_forecast(message, voltage_v=site.nominal_voltage_v)
    except InputError as error:
        raise FileInputError(FORECASTS_FILE, str(error), row=row, field="forecasted_blocks") from error
    if not site.has_group(forecast.group_id):
        known = [group.group_id for group in site.groups]
        reason = f"{SITE_FILE} has no such group{did_you_mean(forecast.group_id, known)}"
        raise FileInputError(FORECASTS_FILE, reason, row=row, field="group_id", value=forecast.group_id)
    return forecast


def unknown_fields_note(site: SiteFile) -> tuple[str, ...]:
    """What of a site nobody reads."""
    names = dict.fromkeys(site.model_extra or ())
    parts: tuple[tuple[str, Sequence[SiteEntry]], ...] = (
        ("groups", site.groups),
        ("chargers", site.chargers),
        ("line_limits", site.line_limits),
        ("storages", site.storages),
        ("generators", site.generators),
        ("base_loads", site.base_loads),
        ("charge_curves", site.charge_curves),
    )
    for kind, entries in parts:
        names |= dict.fromkeys(f"{kind}.{name}" for entry in entries for name in entry.model_extra or ())
    return (f"{SITE_FILE}: unknown fields are ignored: {listed(list(names))}",) if names else ()


def listed(names: Sequence[str]) -> str:
    """Some names in one text; of many, the first."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


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


def cell(value: object, zone: tzinfo) -> object:
    """A value as a table shows it: an instant in local time."""
    return value.astimezone(zone).isoformat() if isinstance(value, datetime) else value
