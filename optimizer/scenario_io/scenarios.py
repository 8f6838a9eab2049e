"""Scenario folders: site.json, sessions, prices and OSCP forecasts, read into a Scenario and written from one."""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from models.domain.capacity import CapacityForecast, CapacityForecasts
from models.domain.group import Site
from models.domain.scenario import Scenario
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff
from models.errors import FileInputError, InputError, PriceGapError
from models.oscp.v20 import UpdateGroupCapacityForecast, to_capacity_forecast
from models.units import seconds_to_hours
from optimizer.scenario_io.files import first_problem, locate, new_folder, read_json, require_file, require_folder
from optimizer.scenario_io.schemas import (
    PriceRow,
    SessionRow,
    SiteFile,
    price_rows,
)
from optimizer.scenario_io.tables import Table

SITE_FILE = "site.json"
FORECASTS_FILE = "forecasts.json"

MAX_DEPTH = 100
"""Levels of groups; every level is a row of the problem in every step."""
MAX_MESSAGES = 1_000_000
MAX_LISTED = 20
"""Names in one note."""
LONG_STAY = timedelta(hours=24)
ENERGY_TOLERANCE_KWH = 1e-6

RowT = TypeVar("RowT", bound=BaseModel)
_Messages = TypeAdapter(Annotated[tuple[UpdateGroupCapacityForecast, ...], Field(max_length=MAX_MESSAGES)])
_Site = TypeAdapter(SiteFile)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedScenario:
    """What a scenario folder holds.

    Args:
        scenario: The input of an optimization.
        notes: What was taken as it is although it looks wrong, one sentence each.
        messages: The messages of forecasts.json, in order of arrival.
        price_file: Name of the file with the prices; empty without one.
    """

    scenario: Scenario
    notes: tuple[str, ...] = ()
    messages: tuple[UpdateGroupCapacityForecast, ...] = ()
    price_file: str = ""

    @contextmanager
    def naming_files(self) -> Iterator[None]:
        """Say in which file the cause of an error lies that only shows when the scenario is planned.

        Raises:
            FileInputError: The prices leave a gap in the window.
        """
        try:
            yield
        except PriceGapError as error:
            raise FileInputError(self.price_file, str(error), field="start", value=error.start) from error


def load_scenario(folder: Path) -> LoadedScenario:
    """Read a scenario folder.

    Args:
        folder: Holds site.json and sessions.csv (or sessions.parquet); prices.csv (or prices.parquet) and
            forecasts.json where there are any.

    Returns:
        The scenario, with notes on what looks odd in it.

    Raises:
        InputError: There is no such folder.
        FileInputError: A file is missing or holds what cannot be taken; the message names file, row, field and value.
    """
    require_folder(folder, "scenario")
    site_file = read_json(require_file(folder, SITE_FILE), _Site, strict=True)
    _check_groups(site_file)
    _check_chargers(site_file)
    site = site_file.to_domain()
    notes = _unknown_fields_note(site_file)

    sessions_table = _table(folder, "sessions", SessionRow)
    if sessions_table is None:
        raise FileInputError("sessions.csv", f"there is neither sessions.csv nor sessions.parquet in {folder}; add one")
    sessions = _read_sessions(sessions_table, site)
    notes += _ignored_columns_note(sessions_table)
    notes += _session_notes(sessions, site)

    tariff = None
    prices_table = _table(folder, "prices", PriceRow)
    if prices_table is not None:
        tariff = _read_prices(prices_table, site.time_zone)
        notes += _ignored_columns_note(prices_table)

    messages = _read_messages(folder)
    forecasts = [_forecast(message, row, site) for row, message in enumerate(messages, start=1)]
    scenario = Scenario(
        site=site, sessions=sessions, tariff=tariff, forecasts=CapacityForecasts.from_messages(forecasts)
    )
    return LoadedScenario(
        scenario=scenario,
        notes=notes,
        messages=messages,
        price_file="" if prices_table is None else prices_table.name,
    )


def write_scenario(
    folder: Path, scenario: Scenario, forecast_messages: Sequence[UpdateGroupCapacityForecast] = ()
) -> None:
    """Write a scenario folder that `load_scenario` reads back.

    Args:
        folder: Where; missing or empty. It appears complete or not at all.
        scenario: What to write; its previous plan and its forecasts are not written.
        forecast_messages: The messages its forecasts come from, in order of arrival.

    Raises:
        InputError: The folder is not empty, or a value could not be read back.
    """
    site_file = _written(SiteFile.from_domain, scenario.site, f"site {scenario.site.site_id!r}")
    zone = scenario.site.time_zone
    with new_folder(folder, kind="scenario", objection=lambda _: "a scenario never replaces anything") as partial:
        text = site_file.model_dump_json(by_alias=True, indent=2)
        (partial / SITE_FILE).write_text(text + "\n", encoding="utf-8")
        sessions = (
            _written(SessionRow.from_domain, session, f"session {session.session_id!r}")
            for session in scenario.sessions
        )
        _write_rows(partial / "sessions.csv", SessionRow, sessions, zone)
        if scenario.tariff is not None:
            prices = _written(lambda tariff: list(price_rows(tariff)), scenario.tariff, "tariff")
            _write_rows(partial / "prices.csv", PriceRow, prices, zone)
        if forecast_messages:
            text = json.dumps([_exact(message) for message in forecast_messages], indent=2, ensure_ascii=False)
            (partial / FORECASTS_FILE).write_text(text + "\n", encoding="utf-8")


def _check_groups(site: SiteFile) -> None:
    """Check the tree of groups as the domain does, and name the row."""
    rows = _rows_by_id([group.group_id for group in site.groups], "groups.group_id")
    parents = {group.group_id: group.parent_id for group in site.groups}
    for row, group in enumerate(site.groups, start=1):

        def refusal(reason: str, row: int = row, value: str | None = group.parent_id) -> FileInputError:
            return FileInputError(SITE_FILE, reason, row=row, field="groups.parent_id", value=value)

        if group.parent_id is not None and group.parent_id not in rows:
            raise refusal(f"there is no such group{_did_you_mean(group.parent_id, rows)}")
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
                f"{_did_you_mean(charger.group_id, groups)}",
                row=row,
                field="chargers.group_id",
                value=charger.group_id,
            )


def _rows_by_id(ids: Iterable[str], field: str) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, value in enumerate(ids, start=1):
        if value in rows:
            raise FileInputError(SITE_FILE, f"row {rows[value]} has the same id", row=row, field=field, value=value)
        rows[value] = row
    return rows


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    alike = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {alike[0]!r}?" if alike else ""


def _table(folder: Path, stem: str, row_type: type[RowT]) -> Table[RowT] | None:
    names = (f"{stem}.csv", f"{stem}.parquet")
    found = [path for name in names if (path := locate(folder, name)) is not None]
    if len(found) > 1:
        raise FileInputError(names[0], f"there is {names[1]} as well; keep one of them")
    return Table.open(found[0], row_type) if found else None


def _read_sessions(table: Table[SessionRow], site: Site) -> tuple[ChargingSession, ...]:
    chargers = {charger.charger_id for charger in site.chargers}
    first_with_id: dict[str, int] = {}
    sessions: list[ChargingSession] = []
    for index, row in table.rows():
        if row.charger_id not in chargers:
            reason = f"{SITE_FILE} has no such charger{_did_you_mean(row.charger_id, chargers)}"
            raise table.error(index, reason, field="charger_id", value=row.charger_id)
        first = first_with_id.setdefault(row.session_id, index)
        if first != index:
            reason = f"row {table.row_number(first)} has the same id; give each session its own"
            raise table.error(index, reason, field="session_id", value=row.session_id)
        sessions.append(row.to_domain())
    return tuple(sessions)


def _read_prices(table: Table[PriceRow], zone: tzinfo) -> EnergyTariff:
    rows = sorted(table.rows(), key=lambda item: item[1].start)
    if not rows:
        raise FileInputError(table.name, "it has no prices; fill it, or remove it to plan without prices")
    for (earlier_index, earlier), (later_index, later) in pairwise(rows):
        if later.start < earlier.end:
            raise table.error(
                later_index,
                f"the price overlaps that of row {table.row_number(earlier_index)}, which holds until "
                f"{_cell(earlier.end, zone)}; each instant may have one price",
                field="start",
                value=_cell(later.start, zone),
            )
    return EnergyTariff.from_blocks(row.to_domain() for _, row in rows)


def _read_messages(folder: Path) -> tuple[UpdateGroupCapacityForecast, ...]:
    path = locate(folder, FORECASTS_FILE)
    return () if path is None else read_json(path, _Messages)


def _forecast(message: UpdateGroupCapacityForecast, row: int, site: Site) -> CapacityForecast:
    try:
        forecast = to_capacity_forecast(message, voltage_v=site.nominal_voltage_v)
    except InputError as error:
        raise FileInputError(FORECASTS_FILE, str(error), row=row, field="forecasted_blocks") from error
    if not site.has_group(forecast.group_id):
        known = [group.group_id for group in site.groups]
        reason = f"{SITE_FILE} has no such group{_did_you_mean(forecast.group_id, known)}"
        raise FileInputError(FORECASTS_FILE, reason, row=row, field="group_id", value=forecast.group_id)
    return forecast


def _unknown_fields_note(site: SiteFile) -> tuple[str, ...]:
    names = dict.fromkeys(site.model_extra or ())
    for kind, entries in (("groups", site.groups), ("chargers", site.chargers)):
        names |= dict.fromkeys(f"{kind}.{name}" for entry in entries for name in entry.model_extra or ())
    return (f"{SITE_FILE}: unknown fields are ignored: {_listed(list(names))}",) if names else ()


def _ignored_columns_note(table: Table[RowT]) -> tuple[str, ...]:
    names = [name or "(without a name)" for name in table.ignored_columns]
    return (f"{table.name}: columns of no use here are ignored: {_listed(names)}",) if names else ()


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


def _session_notes(sessions: Sequence[ChargingSession], site: Site) -> tuple[str, ...]:
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
    power_at = {charger.charger_id: charger.max_power_kw for charger in site.chargers}
    for session in sessions:
        power_kw = power_at[session.charger_id]
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


def _exact(message: UpdateGroupCapacityForecast) -> dict[str, object]:
    """The message as JSON values with every digit of its capacities, which the wire format rounds."""
    values: dict[str, object] = message.model_dump(mode="json")
    blocks = [block.model_dump(mode="json") | {"capacity": block.capacity} for block in message.forecasted_blocks]
    return values | {"forecasted_blocks": blocks}


DomainT = TypeVar("DomainT")
WrittenT = TypeVar("WrittenT")


def _written(convert: Callable[[DomainT], WrittenT], value: DomainT, name: str) -> WrittenT:
    try:
        return convert(value)
    except ValidationError as error:
        problem = first_problem(error)
        raise InputError(f"{name} cannot be written: {problem.field} {problem.value!r}: {problem.reason}") from error


def _write_rows(path: Path, row_type: type[RowT], rows: Iterable[RowT], zone: tzinfo) -> None:
    columns = list(row_type.model_fields)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(getattr(row, name), zone) for name in columns] for row in rows)


def _cell(value: object, zone: tzinfo) -> object:
    return value.astimezone(zone).isoformat() if isinstance(value, datetime) else value
