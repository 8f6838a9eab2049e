"""What energy costs, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from models.domain.time_grid import FloatArray, TimeGrid, require_aware
from models.errors import InputError, PriceGapError


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
        ordered = sorted(blocks, key=lambda block: block.start.timestamp())
        for earlier, later in pairwise(ordered):
            if later.start.timestamp() < earlier.end.timestamp():
                raise InputError(
                    f"the price block from {later.start.isoformat()} overlaps the one from "
                    f"{earlier.start.isoformat()} to {earlier.end.isoformat()}; each instant may have one price"
                )
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

    def import_price_on(self, grid: TimeGrid) -> FloatArray:
        """Import price in each step of a grid that contains the tariff's edges.

        Args:
            grid: Steps that no price block divides.

        Returns:
            (T,), currency per kWh.

        Raises:
            PriceGapError: An instant of the grid has no price; the message names the first such gap.
        """
        begin = grid.edges_s[:-1]
        block = np.searchsorted(self.start_s, begin, side="right") - 1
        covered = (block >= 0) & (self.end_s[block] > begin) if self.start_s.size else np.zeros(begin.size, dtype=bool)
        if not covered.all():
            first = int(np.argmin(covered))
            later = np.flatnonzero(covered[first:])
            gap_end_s = grid.edges_s[first + int(later[0])] if later.size else grid.edges_s[-1]
            gap_start = grid.instant(float(grid.edges_s[first])).isoformat()
            raise PriceGapError(
                gap_start,
                f"no price from {gap_start} to {grid.instant(float(gap_end_s)).isoformat()}; prices must cover the "
                f"whole window from {grid.start.isoformat()} to {grid.end.isoformat()}",
            )
        return self.import_price_per_kwh[block]
