"""The figures of each scenario of a batch, read from its data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyarrow import ArrowException

from models.errors import InputError
from optimizer.scenario_io.batch_tables import FAILED, SCHEMAS, SUMMARY


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioFigures:
    """A scenario of a batch; the columns of ``summary`` by name, where it failed without figures.

    Args:
        scenario: Its name.
        site_id: Its site; empty where it could not be read.
        day: Its day; None where nobody knows.
        status: Of its plan, or failed.
        error: Why it failed; empty where it did not.
        currency: Of its cost.
        sessions: How many.
        sessions_short: How many of them go short.
        requested_energy_kwh: kWh.
        delivered_energy_kwh: kWh.
        unmet_energy_kwh: kWh.
        unreachable_energy_kwh: kWh.
        energy_cost: In the currency.
        peak_import_kw: kW.
        minutes_over_limit: min.
        seconds_total: Time it took, s.
    """

    scenario: str
    site_id: str
    day: date | None
    status: str
    error: str
    currency: str
    sessions: int
    sessions_short: int
    requested_energy_kwh: float
    delivered_energy_kwh: float
    unmet_energy_kwh: float
    unreachable_energy_kwh: float
    energy_cost: float
    peak_import_kw: float
    minutes_over_limit: float
    seconds_total: float

    @property
    def failed(self) -> bool:
        """Whether it has no plan."""
        return self.status == FAILED


_TEXTS = ("scenario", "site_id", "status", "error", "currency")
_COUNTS = ("sessions", "sessions_short")
_NUMBERS = (
    "requested_energy_kwh",
    "delivered_energy_kwh",
    "unmet_energy_kwh",
    "unreachable_energy_kwh",
    "energy_cost",
    "peak_import_kw",
    "minutes_over_limit",
    "seconds_total",
)


def read_figures(results: Path) -> list[ScenarioFigures]:
    """The figures of every scenario that was tried, in order of site, day and name.

    Raises:
        InputError: There is no such data set, or it cannot be read.
    """
    columns = [*_TEXTS, *_COUNTS, *_NUMBERS, "day"]
    try:
        table = pq.read_table(results / SUMMARY, columns=columns, schema=SCHEMAS[SUMMARY], partitioning=None)
    except (ArrowException, OSError) as error:
        raise InputError(f"batch folder {str(results)!r} cannot be read: {error}") from error
    found = [_figures(row) for row in table.to_pylist()]
    return sorted(found, key=lambda one: (one.site_id, one.day or date.min, one.scenario))


def _figures(row: Mapping[str, Any]) -> ScenarioFigures:
    # What failed has no figures, and may have no site.
    values: dict[str, Any] = {"day": row["day"]}
    for names, nothing in ((_TEXTS, ""), (_COUNTS, 0), (_NUMBERS, 0.0)):
        values |= {name: row[name] or nothing for name in names}
    return ScenarioFigures(**values)
