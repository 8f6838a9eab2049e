"""Parts of a scenario as JSON values, as they come over a wire: the schemas and checks of the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, TypeAdapter
from pydantic_core import from_json, to_json

from models.domain.capacity import CapacityForecast, CapacityForecasts
from models.domain.group import Site
from models.domain.scenario import Scenario
from models.domain.series import Series
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff
from models.errors import FileInputError, InputError
from models.oscp.v20 import UpdateGroupCapacityForecast
from optimizer.scenario_io.asset_schemas import AssetPowerRow, CarbonRow, TariffFile
from optimizer.scenario_io.fields import meant_field
from optimizer.scenario_io.files import parse_json
from optimizer.scenario_io.forecast_checks import read_forecast
from optimizer.scenario_io.price_checks import read_prices
from optimizer.scenario_io.row_schemas import PriceRow, SessionRow
from optimizer.scenario_io.rows import listed
from optimizer.scenario_io.scenarios import LoadedScenario, with_tariff
from optimizer.scenario_io.series_checks import read_carbon, read_powers
from optimizer.scenario_io.session_checks import read_sessions, session_notes
from optimizer.scenario_io.site_checks import check_site, unknown_fields_note
from optimizer.scenario_io.site_schemas import SiteFile

MAX_ROWS = 100_000
"""Rows of one document; what has more comes in parts."""
MAX_MESSAGES = 1_000
MAX_MESSAGE_BLOCKS = 10_000
"""Blocks of all messages together: each message is laid over all that came before it."""
MAX_UNKNOWN_NAMES = 100
"""Different unknown fields of one document: each is compared with every known one."""

RowT = TypeVar("RowT", bound=BaseModel)
SiteT = TypeVar("SiteT", bound=SiteFile)

_TARIFF = TypeAdapter(TariffFile)
_MESSAGES = TypeAdapter(Annotated[tuple[UpdateGroupCapacityForecast, ...], Field(max_length=MAX_MESSAGES)])


class _StrictSession(SessionRow):
    """A row in which a number in quotes is refused: JSON has numbers, where CSV has texts only."""

    model_config = ConfigDict(strict=True)


class _StrictPrice(PriceRow):
    """The same of a price."""

    model_config = ConfigDict(strict=True)


class _StrictPower(AssetPowerRow):
    """The same of a power."""

    model_config = ConfigDict(strict=True)


class _StrictCarbon(CarbonRow):
    """The same of a carbon intensity."""

    model_config = ConfigDict(strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonRows(Generic[RowT]):
    """An array of objects of one kind; the first is row 1.

    Args:
        name: What the array is called in messages.
        row_type: What each object must hold.
        values: The objects.
    """

    name: str
    row_type: type[RowT]
    values: Sequence[object]

    @classmethod
    def of(cls, name: str, row_type: type[RowT], value: object) -> JsonRows[RowT]:
        """Take an array, with no misspelt field in it.

        Raises:
            FileInputError: It is none, it is too long, or a field is all but named like a known one.
        """
        if not isinstance(value, list):
            raise FileInputError(name, "it must be an array of objects")
        if len(value) > MAX_ROWS:
            raise FileInputError(name, f"it has {len(value)} rows; send at most {MAX_ROWS} at once")
        rows = cls(name=name, row_type=row_type, values=value)
        for field in rows.unknown_fields:
            if meant := meant_field(field, tuple(row_type.model_fields)):
                row = next(at for at, entry in enumerate(value, start=1) if isinstance(entry, dict) and field in entry)
                raise FileInputError(name, f"the field must be called {meant}; rename it", row=row, field=field)
        return rows

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        """Names of fields that no column takes.

        Raises:
            FileInputError: There are too many different ones.
        """
        return _unknown_names(self.name, self.values, self.row_type)

    @property
    def notes(self) -> tuple[str, ...]:
        """What of it nobody reads."""
        unknown = self.unknown_fields
        return (f"{self.name}: unknown fields are ignored: {listed(unknown)}",) if unknown else ()

    def rows(self) -> Iterator[tuple[int, RowT]]:
        """Every row with its index.

        Raises:
            FileInputError: A row does not hold what it must; the message names row, field and value.
        """
        adapter: TypeAdapter[list[RowT]] = _rows_adapter(self.row_type)
        rows = parse_json(self.name, to_json(self.values), adapter)
        yield from enumerate(rows)

    def row_number(self, index: int) -> int:
        """One more than the index."""
        return index + 1

    def error(self, index: int, reason: str, *, field: str | None = None, value: object = None) -> FileInputError:
        """An error about the row of an index."""
        return FileInputError(self.name, reason, row=self.row_number(index), field=field, value=value)


def read_value(text: bytes) -> object:
    """JSON as plain values.

    Raises:
        InputError: It is not JSON, or nested too deeply.
    """
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InputError(f"the body is not valid JSON: {error}") from None


def read_site_document(value: object, kind: type[SiteT]) -> SiteT:
    """A site, checked as `load_scenario` checks site.json.

    Raises:
        FileInputError: It is no such site; the message names row, field and value.
    """
    name = "site"
    if isinstance(value, dict):
        _unknown_names(name, [value], kind)
        for part in ("groups", "chargers", "line_limits", "storages", "generators", "base_loads", "charge_curves"):
            _unknown_names(name, value.get(part), None)
    adapter: TypeAdapter[SiteT] = _site_adapter(kind)
    site = parse_json(name, to_json(value), adapter, strict=True)
    check_site(site)
    return site


def read_session_documents(value: object, site: Site) -> tuple[tuple[ChargingSession, ...], tuple[str, ...]]:
    """Sessions of a site, and what looks odd in them.

    Raises:
        FileInputError: A row is no session of the site; the message names row, field and value.
    """
    rows = JsonRows.of("sessions", _StrictSession, value)
    sessions = read_sessions(rows, site)
    return sessions, (*rows.notes, *session_notes(sessions, site))


def read_price_documents(value: object, site: Site) -> tuple[EnergyTariff, tuple[str, ...]]:
    """Prices of a site, and what of them nobody reads.

    Raises:
        FileInputError: A row is no price, or two overlap; the message names row, field and value.
    """
    rows = JsonRows.of("prices", _StrictPrice, value)
    return read_prices(rows, site.time_zone), rows.notes


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesDocuments:
    """What a scenario may have beside sessions, prices and forecasts, as JSON values; None for what it has not.

    Args:
        generation: An array with the columns of generation.csv.
        base_load: The same of base_load.csv.
        carbon: The same of carbon.csv.
        tariff: As tariff.json.
    """

    generation: object = None
    base_load: object = None
    carbon: object = None
    tariff: object = None


def read_scenario_document(
    site: object,
    sessions: object,
    prices: object,
    forecasts: object,
    series: SeriesDocuments | None = None,
) -> LoadedScenario:
    """A scenario of JSON values.

    Args:
        site: As site.json.
        sessions: An array with the columns of sessions.csv.
        prices: The same of prices.csv; None without prices.
        forecasts: As forecasts.json; None without forecasts.
        series: What else there is; None for nothing.

    Raises:
        FileInputError: A part does not hold what it must; the message names part, row, field and value.
    """
    series = series or SeriesDocuments()
    site_file = read_site_document(site, SiteFile)
    domain = site_file.to_domain()
    stays, notes = read_session_documents(sessions, domain)
    tariff, price_notes = (None, ()) if prices is None else read_price_documents(prices, domain)
    messages = () if forecasts is None else _read_messages(forecasts)
    scenario = Scenario(
        site=domain,
        sessions=stays,
        tariff=tariff,
        forecasts=CapacityForecasts.from_messages(_forecasts(messages, domain)),
        generation_kw=read_power_documents("generation", series.generation, domain),
        base_load_kw=read_power_documents("base_load", series.base_load, domain),
        carbon_kg_per_kwh=None if series.carbon is None else read_carbon_documents(series.carbon, domain),
    )
    price_file = "prices"
    if series.tariff is not None:
        scenario, price_file = with_tariff(scenario, read_tariff_document(series.tariff), price_file)
    return LoadedScenario(
        scenario=scenario,
        notes=(*unknown_fields_note(site_file), *notes, *price_notes),
        messages=messages,
        price_file=price_file,
    )


def read_power_documents(name: str, value: object, site: Site) -> dict[str, Series]:
    """Powers of a site's generators (name ``generation``) or base loads (``base_load``).

    Raises:
        FileInputError: A row is of no such asset, two of one asset overlap, or an asset has none.
    """
    rows = None if value is None else JsonRows.of(name, _StrictPower, value)
    if name == "generation":
        return read_powers(rows, [asset.asset_id for asset in site.generators], "generator", site.time_zone)
    return read_powers(rows, [asset.asset_id for asset in site.base_loads], "base load", site.time_zone)


def read_carbon_documents(value: object, site: Site) -> Series:
    """Carbon intensities.

    Raises:
        FileInputError: A row is none, or two overlap, or there is none.
    """
    return read_carbon(JsonRows.of("carbon", _StrictCarbon, value), site.time_zone)


def read_tariff_document(value: object) -> TariffFile:
    """A tariff of recurring prices and demand charges.

    Raises:
        FileInputError: It is none; the message names field and value.
    """
    return parse_json("tariff", to_json(value), _TARIFF)


def _read_messages(value: object) -> tuple[UpdateGroupCapacityForecast, ...]:
    name = "forecasts"
    messages = parse_json(name, to_json(value), _MESSAGES)
    blocks = sum(len(message.forecasted_blocks) for message in messages)
    if blocks > MAX_MESSAGE_BLOCKS:
        raise FileInputError(name, f"they have {blocks} blocks; send at most {MAX_MESSAGE_BLOCKS} in all")
    return messages


def _forecasts(messages: Iterable[UpdateGroupCapacityForecast], site: Site) -> Iterator[CapacityForecast]:
    for row, message in enumerate(messages, start=1):
        yield read_forecast(message, row, site)


def _unknown_names(name: str, values: object, kind: type[BaseModel] | None) -> tuple[str, ...]:
    """Fields of some objects that a kind does not have, or all where none is given, in order of appearance."""
    known = {field.alias or at for at, field in kind.model_fields.items()} if kind else set()
    entries = [entry for entry in values if isinstance(entry, Mapping)] if isinstance(values, list) else []
    unknown = [field for field in dict.fromkeys(field for entry in entries for field in entry) if field not in known]
    if len(unknown) > MAX_UNKNOWN_NAMES:
        raise FileInputError(name, f"it has {len(unknown)} different unknown fields; leave out what nobody reads")
    return tuple(unknown)


@cache
def _rows_adapter(row_type: type[RowT]) -> TypeAdapter[list[RowT]]:
    # The row type is known at run time only, which type checkers do not follow.
    rows_type = Annotated[list[row_type], FailFast()]  # type: ignore[valid-type]
    return TypeAdapter(rows_type)


@cache
def _site_adapter(kind: type[SiteT]) -> TypeAdapter[SiteT]:
    return TypeAdapter(kind)
