"""Many scenarios in one place: a folder of scenario folders, or tables partitioned by site and day."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from pydantic import BaseModel, TypeAdapter

from models.domain.asset import Asset
from models.domain.capacity import CapacityForecasts
from models.domain.group import Site
from models.domain.scenario import Scenario
from models.domain.series import Series
from models.domain.tariff import EnergyTariff
from models.errors import FileInputError, InputError
from models.oscp.v20 import UpdateGroupCapacityForecast
from optimizer.scenario_io.asset_schemas import AssetPowerRow, CarbonRow, TariffFile
from optimizer.scenario_io.files import read_json, require_folder
from optimizer.scenario_io.forecast_checks import read_forecast
from optimizer.scenario_io.forecast_table import ForecastRow, to_messages
from optimizer.scenario_io.price_checks import read_prices
from optimizer.scenario_io.row_schemas import PriceRow, SessionRow
from optimizer.scenario_io.scenario_files import SITE_FILE, TARIFF_FILE
from optimizer.scenario_io.scenarios import (
    LoadedScenario,
    ignored_columns_note,
    load_scenario,
    read_messages,
    with_tariff,
)
from optimizer.scenario_io.sent_files import AnyPath, SentFiles, version
from optimizer.scenario_io.series_checks import read_carbon, read_powers
from optimizer.scenario_io.session_checks import read_sessions, session_notes
from optimizer.scenario_io.site_checks import check_site, unknown_fields_note
from optimizer.scenario_io.site_schemas import SiteFile
from optimizer.scenario_io.tables import Table, TableParts

SITES, SESSIONS, PRICES, FORECASTS = "sites", "sessions", "prices", "forecasts"
TARIFFS, GENERATION, BASE_LOAD, CARBON = "tariffs", "generation", "base_load", "carbon"
SITE_KEY, DAY_KEY = "site_id=", "day="
TABLE_SUFFIXES = (".csv", ".parquet")
FORECAST_SUFFIXES = (*TABLE_SUFFIXES, ".json")
SCENARIO_FILES = frozenset({SITE_FILE, *(SESSIONS + suffix for suffix in TABLE_SUFFIXES)})
"""Any of them makes a folder a scenario, so that one without the other is told and not passed over."""
KEPT_PARTS = 4
"""Sites and tariffs that a worker keeps, since the days of a site come one after the other and often share them."""

RowT = TypeVar("RowT", bound=BaseModel)
_Site = TypeAdapter(SiteFile)
_Tariff = TypeAdapter(TariffFile)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioKey:
    """Which scenario of a source.

    Args:
        name: Its folder below the source or below its ``sessions``, with slashes; unique in the source.
        site_id: The site, where the name tells.
        day: The day, where the name tells.
    """

    name: str
    site_id: str | None = None
    day: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSource:
    """Scenario folders at any depth below a folder.

    Args:
        root: The folder.
        sent: The files that came along with a task; None where they lie in the folder.
    """

    root: Path
    sent: SentFiles | None = None

    def walk(self) -> Iterator[ScenarioKey]:
        """Every folder with a site.json or sessions, in the order of the names."""
        for folder, below, files in os.walk(self.root):
            if SCENARIO_FILES.intersection(files):
                below.clear()
                yield ScenarioKey(name=Path(folder).relative_to(self.root).as_posix())
            below[:] = sorted(name for name in below if not _is_hidden(name))

    def load(self, key: ScenarioKey) -> LoadedScenario:
        """As `load_scenario`."""
        return load_scenario(_at(self, key.name))

    def files(self, key: ScenarioKey) -> Iterator[str]:
        """Places of the files of the folder; not what a link has elsewhere, which `load` refuses."""
        folder = self.root / key.name
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.resolve().is_relative_to(folder):
                yield path.relative_to(self.root).as_posix()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionedSource:
    """Tables whose folders are named ``site_id=SITE/day=YYYY-MM-DD``; each partition of ``sessions`` is a scenario.

    All other tables are taken from the first of ``site_id=SITE/day=DAY``, ``site_id=SITE``, ``day=DAY`` and the folder
    of the table itself that holds files: what many scenarios share is there once.

    Args:
        root: The folder above the tables.
        sent: As in `FolderSource`.
    """

    root: Path
    sent: SentFiles | None = None

    def walk(self) -> Iterator[ScenarioKey]:
        """Every partition of the sessions, by site and then by day."""
        for site in _partitions(self.root, SESSIONS, SITE_KEY):
            for day in _partitions(self.root, f"{SESSIONS}/{site}", DAY_KEY):
                text = unquote(day.removeprefix(DAY_KEY))
                try:
                    parsed = date.fromisoformat(text)
                except ValueError as error:
                    place = f"{SESSIONS}/{site}/{day}"
                    raise FileInputError(place, "it is not a date; write it as 2019-07-24", value=text) from error
                site_id = unquote(site.removeprefix(SITE_KEY))
                yield ScenarioKey(name=f"{site}/{day}", site_id=site_id, day=parsed)

    def load(self, key: ScenarioKey) -> LoadedScenario:
        """A partition of the sessions with what belongs to it."""
        site, notes = self._site(key)
        paths = self._found(SESSIONS, key, TABLE_SUFFIXES, levels=1)
        if not paths:
            raise FileInputError(f"{SESSIONS}/{key.name}", "it holds neither CSV nor Parquet; add the sessions")
        with self._naming(paths):
            table = _opened(paths, SessionRow)
            sessions = read_sessions(table, site)
        notes += (*ignored_columns_note(table), *session_notes(sessions, site))
        tariff, price_notes, price_file = self._tariff(key, site.time_zone)
        messages, forecasts = self._forecasts(key, site)
        scenario = Scenario(
            site=site,
            sessions=sessions,
            tariff=tariff,
            forecasts=forecasts,
            generation_kw=self._powers(key, GENERATION, "generator", site.generators, site.time_zone),
            base_load_kw=self._powers(key, BASE_LOAD, "base load", site.base_loads, site.time_zone),
            carbon_kg_per_kwh=self._carbon(key, site.time_zone),
        )
        paths = self._found(TARIFFS, key, (TARIFF_FILE,))
        with self._naming(paths):
            for path in paths:
                scenario, price_file = with_tariff(scenario, read_json(path, _Tariff), price_file)
        return LoadedScenario(scenario=scenario, notes=(*notes, *price_notes), messages=messages, price_file=price_file)

    def files(self, key: ScenarioKey) -> Iterator[str]:
        """Places of the files of each table, shared ones too."""
        found = [
            *self._found(SITES, key, (SITE_FILE,)),
            *self._found(SESSIONS, key, TABLE_SUFFIXES, levels=1),
            *self._found(FORECASTS, key, FORECAST_SUFFIXES),
            *self._found(TARIFFS, key, (TARIFF_FILE,)),
        ]
        for table in (PRICES, GENERATION, BASE_LOAD, CARBON):
            found += self._found(table, key, TABLE_SUFFIXES)
        return map(self._relative, found)

    def _site(self, key: ScenarioKey) -> tuple[Site, tuple[str, ...]]:
        paths = self._found(SITES, key, (SITE_FILE,))
        place = f"{SITES}/{key.name.split('/', maxsplit=1)[0]}/{SITE_FILE}"
        if not paths:
            raise FileInputError(place, "there is no such file; add it")
        with self._naming(paths):
            site, notes = _read_site(paths[0], version(paths[0]))
        if site.site_id != key.site_id:
            reason = f"its folder is that of {key.site_id!r}; call both the same"
            raise FileInputError(self._relative(paths[0]), reason, field="site_id", value=site.site_id)
        return site, notes

    def _tariff(self, key: ScenarioKey, zone: ZoneInfo) -> tuple[EnergyTariff | None, tuple[str, ...], str]:
        paths = self._found(PRICES, key, TABLE_SUFFIXES)
        if not paths:
            return None, (), ""
        with self._naming(paths):
            tariff, notes = _read_tariff(paths, tuple(map(version, paths)), zone)
        return tariff, notes, self._relative(paths[0])

    def _powers(
        self, key: ScenarioKey, table: str, kind: str, assets: Sequence[Asset], zone: ZoneInfo
    ) -> dict[str, Series]:
        """Powers of a site's assets of one kind; what sites share may be there for those that have no such asset."""
        paths = self._found(table, key, TABLE_SUFFIXES) if assets else ()
        with self._naming(paths):
            rows = _opened(paths, AssetPowerRow) if paths else None
            return read_powers(rows, [asset.asset_id for asset in assets], kind, zone)

    def _carbon(self, key: ScenarioKey, zone: ZoneInfo) -> Series | None:
        paths = self._found(CARBON, key, TABLE_SUFFIXES)
        with self._naming(paths):
            return read_carbon(_opened(paths, CarbonRow), zone) if paths else None

    def _forecasts(
        self, key: ScenarioKey, site: Site
    ) -> tuple[tuple[UpdateGroupCapacityForecast, ...], CapacityForecasts]:
        paths = self._found(FORECASTS, key, FORECAST_SUFFIXES)
        with self._naming(paths):
            listed = tuple(path for path in paths if path.suffix == ".json")
            tables = tuple(path for path in paths if path.suffix != ".json")
            if listed and tables:
                raise FileInputError(listed[0].name, f"there is {tables[0].name} as well; keep one kind of them")
            messages = tuple(received.message for path in listed for received in read_messages(path))
            if tables:
                messages = to_messages(_opened(tables, ForecastRow))
            forecasts = [read_forecast(message, row, site) for row, message in enumerate(messages, start=1)]
        return messages, CapacityForecasts.from_messages(forecasts)

    def _found(
        self, table: str, key: ScenarioKey, endings: Sequence[str], *, levels: int | None = None
    ) -> tuple[AnyPath, ...]:
        """Files of a table in the nearest folder that has any."""
        site, day = key.name.split("/")
        for folder in (f"{site}/{day}", site, day, "")[:levels]:
            place = _at(self, f"{table}/{folder}" if folder else table)
            if names := sorted(_files(place, tuple(endings))):
                return tuple(place / name for name in names)
        return ()

    @contextmanager
    def _naming(self, paths: Sequence[AnyPath]) -> Iterator[None]:
        """Let an error name a file by its place below the source."""
        try:
            yield
        except FileInputError as error:
            places = {path.name: self._relative(path) for path in paths}
            place = places.get(error.file) or (self._relative(paths[0]) if paths else error.file)
            raise FileInputError(place, error.reason, row=error.row, field=error.field, value=error.value) from error

    def _relative(self, path: AnyPath) -> str:
        place = path.relative_to(self.root) if isinstance(path, Path) else path.place
        return place.as_posix()


BatchSource = FolderSource | PartitionedSource
"""Where the scenarios of a batch lie."""


def open_source(root: Path) -> BatchSource:
    """What lies in a folder.

    Raises:
        InputError: There is no such folder, or it is neither of the two layouts.
    """
    require_folder(root, "batch source")
    root = root.resolve()
    if (root / SITE_FILE).exists():
        raise InputError(f"{str(root)!r} is itself a scenario folder; name the folder above it, or use solve")
    if (root / SESSIONS).is_dir() and not any((root / SESSIONS / name).exists() for name in SCENARIO_FILES):
        if not (root / SITES).is_dir():
            raise InputError(
                f"{str(root)!r} has a folder {SESSIONS} and no folder {SITES}; add it, one site.json a site"
            )
        return PartitionedSource(root=root)
    return FolderSource(root=root)


def _partitions(root: Path, folder: str, key: str) -> Iterator[str]:
    """Names of the folders below a folder, all of the form KEY=VALUE."""
    for path in sorted((root / folder).iterdir()):
        if _is_hidden(path.name):
            continue
        if not (path.is_dir() and path.name.startswith(key) and path.name != key):
            what = "folder" if path.is_dir() else "file"
            raise FileInputError(f"{folder}/{path.name}", f"a {what} of this name is not expected here; call it {key}…")
        yield path.name


def _at(source: BatchSource, place: str) -> AnyPath:
    return source.root / place if source.sent is None else source.sent.at(place)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _files(folder: AnyPath, endings: tuple[str, ...]) -> Iterator[str]:
    """Names of the files in a folder, which need not be there, that end in one of some ways."""
    return (name for name in _file_names(folder) if name.endswith(endings) and not _is_hidden(name))


def _file_names(folder: AnyPath) -> Iterator[str]:
    if not isinstance(folder, Path):
        yield from (path.name for path in folder.iterdir() if path.is_file())
        return
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file():
                yield entry.name


def _opened(paths: Sequence[AnyPath], row_type: type[RowT]) -> TableParts[RowT]:
    return TableParts(parts=tuple(Table.open(path, row_type) for path in paths))


@lru_cache(maxsize=KEPT_PARTS)
def _read_site(path: AnyPath, _version: int | bytes) -> tuple[Site, tuple[str, ...]]:
    site_file = read_json(path, _Site, strict=True)
    check_site(site_file)
    return site_file.to_domain(), unknown_fields_note(site_file)


@lru_cache(maxsize=KEPT_PARTS)
def _read_tariff(
    paths: tuple[AnyPath, ...], _versions: tuple[int | bytes, ...], zone: ZoneInfo
) -> tuple[EnergyTariff, tuple[str, ...]]:
    table = _opened(paths, PriceRow)
    return read_prices(table, zone), ignored_columns_note(table)
