"""Scenario folders: site.json, sessions, prices and OSCP forecasts, read into a Scenario and written from one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from models.domain.day import DriverStatement, ReceivedForecast, RecordedDay, forecasts_in_force
from models.domain.scenario import Scenario
from models.domain.series import Series
from models.domain.session import ChargingSession
from models.domain.time_grid import FloatArray
from models.domain.uncertainty import Uncertainty
from models.errors import FileInputError, InputError, PriceGapError
from models.oscp.v20 import UpdateGroupCapacityForecast
from optimizer.scenario_io.asset_schemas import AssetPowerRow, CarbonRow, DemandChargeEntry, TariffFile
from optimizer.scenario_io.files import first_problem, locate, new_folder, read_json, require_file, require_folder
from optimizer.scenario_io.forecast_checks import read_received
from optimizer.scenario_io.price_checks import read_recorded_prices, read_tariff
from optimizer.scenario_io.row_schemas import (
    BATTERY_COLUMNS,
    PriceRow,
    ReceivedMessage,
    RecordedPriceRow,
    RecordedSessionRow,
    SessionRow,
    price_rows,
)
from optimizer.scenario_io.rows import cell, listed
from optimizer.scenario_io.scenario_files import FORECASTS_FILE, SITE_FILE, TARIFF_FILE, UNCERTAINTY_FILE
from optimizer.scenario_io.sent_files import AnyPath
from optimizer.scenario_io.series_checks import read_carbon, read_powers
from optimizer.scenario_io.session_checks import read_recorded_sessions, session_notes
from optimizer.scenario_io.site_checks import check_site, unknown_fields_note
from optimizer.scenario_io.site_schemas import SiteFile
from optimizer.scenario_io.tables import Table, TableParts
from optimizer.scenario_io.uncertainty_schema import UncertaintyFile

MAX_MESSAGES = 1_000_000

RowT = TypeVar("RowT", bound=BaseModel)
_Messages = TypeAdapter(Annotated[tuple[ReceivedMessage, ...], Field(max_length=MAX_MESSAGES)])
_Site = TypeAdapter(SiteFile)
_Uncertainty = TypeAdapter(UncertaintyFile)
_Tariff = TypeAdapter(TariffFile)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedScenario:
    """What a scenario folder holds.

    Args:
        scenario: The input of an optimization.
        notes: What was taken as it is although it looks wrong, one sentence each.
        messages: The messages of forecasts.json, in order of arrival.
        price_file: Name of the file with the prices; empty without one.
        statements: What drivers said, by session.
        received: The forecasts of the messages, with the time of their arrival.
        price_known_s: As in `RecordedDay`.
        uncertainty: What a plan is to be prepared for, where it was asked for; None where nothing is said of it.
    """

    scenario: Scenario
    notes: tuple[str, ...] = ()
    messages: tuple[UpdateGroupCapacityForecast, ...] = ()
    price_file: str = ""
    statements: Mapping[str, DriverStatement] = field(default_factory=dict)
    received: tuple[ReceivedForecast, ...] = ()
    price_known_s: FloatArray | None = None
    uncertainty: Uncertainty | None = None

    @property
    def day(self) -> RecordedDay:
        """What happened, and when it became known."""
        return RecordedDay(
            scenario=self.scenario,
            statements=self.statements,
            messages=self.received,
            price_known_s=self.price_known_s,
        )

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


def load_scenario(folder: AnyPath) -> LoadedScenario:
    """Read a scenario folder.

    Args:
        folder: Holds site.json and sessions.csv; prices.csv, tariff.json, forecasts.json, uncertainty.json,
            generation.csv, base_load.csv and carbon.csv where there are any. Every CSV file may be Parquet.

    Returns:
        The scenario, with notes on what looks odd in it.

    Raises:
        InputError: There is no such folder.
        FileInputError: A file is missing or holds what cannot be taken; the message names file, row, field and value.
    """
    require_folder(folder, "scenario")
    site_file = read_json(require_file(folder, SITE_FILE), _Site, strict=True)
    check_site(site_file)
    site = site_file.to_domain()
    notes = unknown_fields_note(site_file)

    sessions_table = _table(folder, "sessions", RecordedSessionRow)
    if sessions_table is None:
        raise FileInputError("sessions.csv", f"there is neither sessions.csv nor sessions.parquet in {folder}; add one")
    sessions, statements = read_recorded_sessions(sessions_table, site)
    notes += ignored_columns_note(sessions_table)
    notes += session_notes(sessions, site)

    tables = _Tables.of(folder)
    tariff, price_known_s = None, None
    if tables.prices is not None:
        tariff, price_known_s = read_recorded_prices(tables.prices, site.time_zone)
    generators = [asset.asset_id for asset in site.generators]
    generation = read_powers(tables.generation, generators, "generator", site.time_zone)
    base_loads = [asset.asset_id for asset in site.base_loads]
    base_load = read_powers(tables.base_load, base_loads, "base load", site.time_zone)
    carbon = None if tables.carbon is None else read_carbon(tables.carbon, site.time_zone)
    notes += tables.notes

    path = locate(folder, FORECASTS_FILE)
    messages = () if path is None else read_messages(path)
    forecasts = read_received(messages, site)
    scenario = Scenario(
        site=site,
        sessions=sessions,
        tariff=tariff,
        forecasts=forecasts_in_force(forecasts),
        generation_kw=generation,
        base_load_kw=base_load,
        carbon_kg_per_kwh=carbon,
    )
    price_file = "" if tables.prices is None else tables.prices.name
    path = locate(folder, TARIFF_FILE)
    if path is not None:
        scenario, price_file = with_tariff(scenario, read_json(path, _Tariff), price_file)
    return LoadedScenario(
        scenario=scenario,
        notes=notes,
        messages=tuple(received.message for received in messages),
        price_file=price_file,
        statements=statements,
        received=forecasts,
        price_known_s=price_known_s,
        uncertainty=_read_uncertainty(folder),
    )


def with_tariff(scenario: Scenario, tariff: TariffFile, price_file: str) -> tuple[Scenario, str]:
    """A scenario with the prices and demand charges of a tariff file, and the file that has its prices.

    Raises:
        FileInputError: Prices are there already, two overlap, or two charges have one id.
    """
    known_s = [*scenario.fixed_edges_s().tolist()]
    known_s += [instant for session in scenario.sessions for instant in (session.arrival_s, session.departure_s)]
    energy, charges = read_tariff(tariff, scenario.tariff, known_s, scenario.site.time_zone)
    changed = replace(scenario, tariff=energy, demand_charges=charges)
    return changed, TARIFF_FILE if tariff.energy else price_file


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    """Files that a scenario may have or not."""

    prices: Table[RecordedPriceRow] | None
    generation: Table[AssetPowerRow] | None
    base_load: Table[AssetPowerRow] | None
    carbon: Table[CarbonRow] | None

    @classmethod
    def of(cls, folder: AnyPath) -> _Tables:
        return cls(
            prices=_table(folder, "prices", RecordedPriceRow),
            generation=_table(folder, "generation", AssetPowerRow),
            base_load=_table(folder, "base_load", AssetPowerRow),
            carbon=_table(folder, "carbon", CarbonRow),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What of them nobody reads."""
        notes: tuple[str, ...] = () if self.prices is None else ignored_columns_note(self.prices)
        for table in (self.generation, self.base_load):
            notes += () if table is None else ignored_columns_note(table)
        return notes + (() if self.carbon is None else ignored_columns_note(self.carbon))


def write_scenario(
    folder: Path,
    scenario: Scenario,
    forecast_messages: Sequence[UpdateGroupCapacityForecast] = (),
    *,
    statements: Mapping[str, DriverStatement] | None = None,
) -> None:
    """Write a scenario folder that `load_scenario` reads back.

    Args:
        folder: Where; missing or empty. It appears complete or not at all.
        scenario: What to write; its previous plan and its forecasts are not written. Prices that recur are written as
            those they come to, demand charges as tariff.json.
        forecast_messages: The messages its forecasts come from, in order of arrival.
        statements: What drivers said, by session.

    Raises:
        InputError: The folder is not empty, or a value could not be read back.
    """
    site_file = _written(SiteFile.from_domain, scenario.site, f"site {scenario.site.site_id!r}")
    zone = scenario.site.time_zone
    with new_folder(folder, kind="scenario", objection=lambda _: "a scenario never replaces anything") as partial:
        text = site_file.model_dump_json(by_alias=True, indent=2)
        (partial / SITE_FILE).write_text(text + "\n", encoding="utf-8")
        _write_sessions(partial / "sessions.csv", scenario, statements or {})
        if scenario.tariff is not None:
            prices = _written(lambda tariff: list(price_rows(tariff)), scenario.tariff, "tariff")
            _write_rows(partial / "prices.csv", PriceRow, prices, zone)
        _write_series(partial, scenario, zone)
        if forecast_messages:
            text = json.dumps([_exact(message) for message in forecast_messages], indent=2, ensure_ascii=False)
            (partial / FORECASTS_FILE).write_text(text + "\n", encoding="utf-8")


def _write_sessions(path: Path, scenario: Scenario, statements: Mapping[str, DriverStatement]) -> None:
    """Write the sessions; without statements also without their columns."""

    def row(session: ChargingSession) -> SessionRow:
        statement = statements.get(session.session_id, DriverStatement())
        return RecordedSessionRow.of(session, statement) if statements else SessionRow.from_domain(session)

    rows = (_written(row, session, f"session {session.session_id!r}") for session in scenario.sessions)
    _write_rows(path, RecordedSessionRow if statements else SessionRow, rows, scenario.site.time_zone)


def _write_series(folder: Path, scenario: Scenario, zone: tzinfo) -> None:
    """Write the powers of assets, carbon and demand charges, as far as there are any."""
    for stem, powers in (("generation", scenario.generation_kw), ("base_load", scenario.base_load_kw)):
        if powers:
            rows = [
                _written(lambda values: AssetPowerRow(**values), values, f"power of {values['asset_id']!r}")
                for asset_id, series in powers.items()
                for values in _blocks(series, "power_kw", asset_id=asset_id)
            ]
            _write_rows(folder / f"{stem}.csv", AssetPowerRow, rows, zone)
    if scenario.carbon_kg_per_kwh is not None:
        blocks = _blocks(scenario.carbon_kg_per_kwh, "carbon_kg_per_kwh")
        carbon = [_written(lambda values: CarbonRow(**values), values, "carbon intensity") for values in blocks]
        _write_rows(folder / "carbon.csv", CarbonRow, carbon, zone)
    if scenario.demand_charges:
        tariff = TariffFile(demand_charges=tuple(map(DemandChargeEntry.from_domain, scenario.demand_charges)))
        text = tariff.model_dump_json(by_alias=True, indent=2)
        (folder / TARIFF_FILE).write_text(text + "\n", encoding="utf-8")


def _blocks(series: Series, field: str, **others: str) -> Iterator[dict[str, Any]]:
    for start_s, end_s, value in zip(
        series.start_s.tolist(), series.end_s.tolist(), series.value.tolist(), strict=True
    ):
        start, end = (datetime.fromtimestamp(second, tz=UTC) for second in (start_s, end_s))
        yield {**others, "start": start, "end": end, field: value}


def _table(folder: AnyPath, stem: str, row_type: type[RowT]) -> Table[RowT] | None:
    names = (f"{stem}.csv", f"{stem}.parquet")
    found = [path for name in names if (path := locate(folder, name)) is not None]
    if len(found) > 1:
        raise FileInputError(names[0], f"there is {names[1]} as well; keep one of them")
    return Table.open(found[0], row_type) if found else None


def read_messages(path: AnyPath) -> tuple[ReceivedMessage, ...]:
    """The OSCP messages of a JSON file.

    Raises:
        FileInputError: It is no such file.
    """
    return read_json(path, _Messages)


def _read_uncertainty(folder: AnyPath) -> Uncertainty | None:
    path = locate(folder, UNCERTAINTY_FILE)
    if path is None:
        return None
    try:
        return read_json(path, _Uncertainty).to_domain()
    except FileInputError:
        raise
    except InputError as error:
        raise FileInputError(UNCERTAINTY_FILE, str(error)) from error


def ignored_columns_note(table: Table[RowT] | TableParts[RowT]) -> tuple[str, ...]:
    """What of a table nobody reads."""
    names = [name or "(without a name)" for name in table.ignored_columns]
    return (f"{table.name}: columns of no use here are ignored: {listed(names)}",) if names else ()


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


def _write_rows(path: Path, row_type: type[BaseModel], rows: Iterable[BaseModel], zone: tzinfo) -> None:
    """Write rows; of the columns about batteries those that a row fills."""
    rows = list(rows)
    columns = [
        name
        for name, field in row_type.model_fields.items()
        if name not in BATTERY_COLUMNS or any(getattr(row, name) != field.default for row in rows)
    ]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([cell(getattr(row, name), zone) for name in columns] for row in rows)
