"""Prices and demand charges: of each instant one price, and in one place only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta, tzinfo
from itertools import pairwise
from typing import TypeVar

import numpy as np

from models.domain.demand import DemandCharge, price_blocks
from models.domain.tariff import EnergyTariff
from models.domain.time_grid import FloatArray
from models.errors import FileInputError, InputError
from optimizer.scenario_io.asset_schemas import TariffFile
from optimizer.scenario_io.row_schemas import PriceRow, RecordedPriceRow
from optimizer.scenario_io.rows import Rows, cell
from optimizer.scenario_io.scenario_files import TARIFF_FILE

LAID_OUT = timedelta(days=2)
"""How far beyond what a scenario is about prices that recur are laid out: a window is rounded to whole steps."""
PriceT = TypeVar("PriceT", bound=PriceRow)


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
