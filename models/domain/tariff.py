"""What energy costs, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

import numpy as np

from models.domain.series import blocks_on, in_order
from models.domain.time_grid import FloatArray, IntArray, TimeGrid, require_aware
from models.errors import InputError, PriceGapError
from models.units import SECONDS_PER_HOUR

DAY_S = 24 * SECONDS_PER_HOUR
MAX_SHIFT_DAYS = 7
"""How far away a day may be whose prices stand in for those of another."""

_Gap = tuple[float, float]
_Block = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBlock:
    """The price over ``[start, end)``, in the site's currency per kWh; it may be negative.

    Args:
        start: First instant at which it holds.
        end: First instant at which it does not hold any more.
        import_price_per_kwh: What a kWh drawn from the grid costs.
        export_price_per_kwh: What a kWh fed in earns; None where nothing is said of it.
    """

    start: datetime
    end: datetime
    import_price_per_kwh: float
    export_price_per_kwh: float | None = None

    def __post_init__(self) -> None:
        require_aware(self.start, "price block: start")
        require_aware(self.end, "price block: end")
        name = f"price block from {self.start.isoformat()}"
        # By timestamp: instants of one zone compare by wall clock, which is wrong in the hour that comes twice.
        if self.end.timestamp() <= self.start.timestamp():
            raise InputError(f"{name}: end {self.end.isoformat()} is not after its start")
        for price in (self.import_price_per_kwh, self.export_price_per_kwh):
            if price is not None and not math.isfinite(price):
                raise InputError(f"{name}: the price {price} is not a finite number")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EnergyTariff:
    """B price blocks in order of time.

    Args:
        start_s: (B,), seconds since the epoch, increasing.
        end_s: (B,), seconds since the epoch.
        import_price_per_kwh: (B,), currency per kWh.
        export_price_per_kwh: (B,), currency per kWh, NaN where nothing is said.
    """

    start_s: FloatArray
    end_s: FloatArray
    import_price_per_kwh: FloatArray
    export_price_per_kwh: FloatArray

    @classmethod
    def from_blocks(cls, blocks: Iterable[PriceBlock]) -> EnergyTariff:
        """Put blocks in order.

        Raises:
            InputError: Two blocks overlap.
        """
        ordered = in_order(blocks, block="price block", value="price")
        return cls(
            start_s=np.array([block.start.timestamp() for block in ordered]),
            end_s=np.array([block.end.timestamp() for block in ordered]),
            import_price_per_kwh=np.array([block.import_price_per_kwh for block in ordered]),
            export_price_per_kwh=np.array(
                [math.nan if block.export_price_per_kwh is None else block.export_price_per_kwh for block in ordered]
            ),
        )

    def edges_s(self) -> FloatArray:
        """Every instant at which the price may change, seconds since the epoch."""
        return np.concatenate((self.start_s, self.end_s))

    def extended(self, start_s: float, end_s: float, time_zone: tzinfo) -> tuple[EnergyTariff, str]:
        """The tariff with a price at every instant of a window, as far as any price is known at all.

        Where none is known, that of the same local time one or more days before is taken, else of one or more days
        after, the nearest day first; where no day has one, the mean of what is known. Source: decision; prices of the
        next day come out while the plan already reaches into it.

        Args:
            start_s: Begin of the window, seconds since the epoch.
            end_s: Its end.
            time_zone: Zone of the local time.

        Returns:
            The tariff, and a note on the time for which a price was made up; empty where there is none.
        """
        blocks = list(zip(*(column.tolist() for column in self._columns()), strict=True))
        gaps = missing = _gaps([(start, end) for start, end, _, _ in blocks], start_s, end_s)
        if not (blocks and gaps):
            return self, ""
        known = tuple(blocks)
        for days in (*range(1, MAX_SHIFT_DAYS + 1), *range(-1, -MAX_SHIFT_DAYS - 1, -1)):
            if gaps:
                blocks += _fillings(known, gaps, days, time_zone)
                gaps = _gaps([(start, end) for start, end, _, _ in blocks], start_s, end_s)
        mean = float(np.average(self.import_price_per_kwh, weights=self.end_s - self.start_s))
        blocks += [(start, end, mean, math.nan) for start, end in gaps]
        blocks.sort(key=lambda block: block[0])
        start, end, bought, sold = np.array(blocks, dtype=np.float64).T
        tariff = EnergyTariff(start_s=start, end_s=end, import_price_per_kwh=bought, export_price_per_kwh=sold)
        hours = sum(end - start for start, end in missing) / SECONDS_PER_HOUR
        since = datetime.fromtimestamp(missing[0][0], tz=time_zone).isoformat()
        return tariff, (
            f"no price is known for {hours:g} h of the window, the first from {since}: that of the same time of "
            "another day, or the mean, stands in for it"
        )

    def _columns(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        return self.start_s, self.end_s, self.import_price_per_kwh, self.export_price_per_kwh

    def import_price_on(self, grid: TimeGrid) -> FloatArray:
        """Import price in each step of a grid that contains the tariff's edges.

        Args:
            grid: Steps that no price block divides.

        Returns:
            (T,), currency per kWh.

        Raises:
            PriceGapError: An instant of the grid has no price; the message names the first such gap.
        """
        return self.import_price_per_kwh[self._block_on(grid)]

    def export_price_on(self, grid: TimeGrid) -> FloatArray:
        """What a kWh fed in earns in each step; nothing where nothing is said of it.

        Returns:
            (T,), currency per kWh.

        Raises:
            PriceGapError: As `import_price_on`.
        """
        return np.nan_to_num(self.export_price_per_kwh[self._block_on(grid)], nan=0.0)

    def _block_on(self, grid: TimeGrid) -> IntArray:
        """The block of each step, (T,)."""
        block, gap = blocks_on(self.start_s, self.end_s, grid)
        if gap is not None:
            first, until = (instant.isoformat() for instant in gap)
            raise PriceGapError(
                first,
                f"no price from {first} to {until}; prices must cover the whole window from "
                f"{grid.start.isoformat()} to {grid.end.isoformat()}",
            )
        return block


def _gaps(covered: Iterable[_Gap], start_s: float, end_s: float) -> list[_Gap]:
    """The parts of a window that no interval covers, in order of time."""
    gaps: list[_Gap] = []
    until_s = start_s
    for begin, end in sorted(covered):
        if begin > until_s:
            gaps.append((until_s, min(begin, end_s)))
        until_s = max(until_s, end)
        if until_s >= end_s:
            break
    if until_s < end_s:
        gaps.append((until_s, end_s))
    return [(begin, end) for begin, end in gaps if begin < end]


def _fillings(known: Iterable[_Block], gaps: Iterable[_Gap], days: int, zone: tzinfo) -> list[_Block]:
    """What known prices say of gaps some local days later."""
    found: list[_Block] = []
    for gap_start, gap_end in gaps:
        until_s = gap_start
        for start, end, bought, sold in known:
            # A local day lasts 23 to 25 hours: what is farther away than that need not be reckoned.
            if not (
                start - 2 * SECONDS_PER_HOUR < gap_end - days * DAY_S
                and end + 2 * SECONDS_PER_HOUR > gap_start - days * DAY_S
            ):
                continue
            first = max(until_s, _shifted(start, days, zone))
            last = min(gap_end, _shifted(end, days, zone))
            if first < last:
                found.append((first, last, bought, sold))
                until_s = last
    return found


def _shifted(instant_s: float, days: int, zone: tzinfo) -> float:
    """The same local time some days later, seconds since the epoch."""
    # Arithmetic on an instant of a zone is that of the clock on the wall.
    return (datetime.fromtimestamp(instant_s, tz=zone) + timedelta(days=days)).timestamp()
