"""Powers of assets and carbon over time: complete, and of each instant one figure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import Protocol, TypeVar

from models.domain.series import Series, ValueBlock
from models.errors import FileInputError
from optimizer.scenario_io.asset_schemas import AssetPowerRow, CarbonRow
from optimizer.scenario_io.rows import Rows, cell, did_you_mean
from optimizer.scenario_io.scenario_files import SITE_FILE


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
