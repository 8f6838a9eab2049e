"""What a capacity provider allows a group, block by block, and how later messages replace earlier ones."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from heapq import heappop, heappush
from itertools import islice, pairwise
from types import MappingProxyType

import numpy as np

from models.domain.pickling import reduced
from models.domain.time_grid import BoolArray, FloatArray, TimeGrid, require_aware
from models.errors import InputError


class Phase(StrEnum):
    """The conductor a value is about. Source: OSCP 2.0 PhaseIndicator."""

    UNKNOWN = "UNKNOWN"
    ONE = "ONE"
    TWO = "TWO"
    THREE = "THREE"
    ALL = "ALL"


SINGLE_PHASES = (Phase.ONE, Phase.TWO, Phase.THREE)


class CapacityKind(StrEnum):
    """What a forecast states. Source: OSCP 2.0 CapacityForecastType."""

    CONSUMPTION = "CONSUMPTION"
    GENERATION = "GENERATION"
    FALLBACK_CONSUMPTION = "FALLBACK_CONSUMPTION"
    FALLBACK_GENERATION = "FALLBACK_GENERATION"
    OPTIMUM = "OPTIMUM"


IMPORT_KINDS = (CapacityKind.CONSUMPTION, CapacityKind.FALLBACK_CONSUMPTION)
"""What a group may draw; the second where the first says nothing."""
EXPORT_KINDS = (CapacityKind.GENERATION, CapacityKind.FALLBACK_GENERATION)
"""What a group may feed in; the second where the first says nothing."""


class CapacityUnit(StrEnum):
    """The unit in which a block was stated and is answered. Source: OSCP 2.0 ForecastedBlockUnit."""

    A = "A"
    W = "W"
    KW = "KW"
    WH = "WH"
    KWH = "KWH"


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityBlock:
    """A capacity over the half-open interval ``[start, end)``; both instants are held in UTC.

    Args:
        start: First instant at which it holds.
        end: First instant at which it does not hold any more.
        capacity_kw: The capacity, kW; of one conductor when ``phase`` names one, else of all together.
        phase: What it counts; UNKNOWN counts like ALL.
        unit: Unit in which it was stated.

    Raises:
        InputError: The end is not after the start, an instant is naive, or the capacity is negative or not finite.
    """

    start: datetime
    end: datetime
    capacity_kw: float
    phase: Phase = Phase.ALL
    unit: CapacityUnit = CapacityUnit.KW

    def __post_init__(self) -> None:
        # Python compares instants of one zone by the clock on the wall, which is wrong in the hour that comes twice.
        start = require_aware(self.start, "block: start_time").astimezone(UTC)
        end = require_aware(self.end, "block: end_time").astimezone(UTC)
        if end <= start:
            raise InputError(f"block: end_time {self.end.isoformat()} is not after start_time {self.start.isoformat()}")
        if not (math.isfinite(self.capacity_kw) and self.capacity_kw >= 0):
            raise InputError(
                f"block from {self.start.isoformat()}: capacity {self.capacity_kw} kW must be finite and not negative"
            )
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)

    @property
    def counted_phase(self) -> Phase:
        """The phase, UNKNOWN taken as ALL."""
        return Phase.ALL if self.phase is Phase.UNKNOWN else self.phase


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityForecast:
    """One message: blocks of one kind for one group, in any order.

    Args:
        group_id: The group meant.
        kind: What the blocks state.
        blocks: At least one; those of one phase may overlap (see `CapacityForecasts.updated`).
    """

    group_id: str
    kind: CapacityKind
    blocks: tuple[CapacityBlock, ...]

    def __post_init__(self) -> None:
        if not self.blocks:
            raise InputError(f"forecast {self.kind} for group {self.group_id!r} has no blocks")


SeriesKey = tuple[str, CapacityKind, Phase]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CapacityForecasts:
    """All that is known of the capacities of some groups; immutable.

    Args:
        series: For each (group, kind, phase) the blocks that hold, in order of time, none overlapping another.
    """

    series: Mapping[SeriesKey, tuple[CapacityBlock, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def __reduce__(self) -> tuple[Callable[[], CapacityForecasts], tuple[()]]:
        return reduced(self)

    @classmethod
    def from_messages(cls, forecasts: Iterable[CapacityForecast]) -> CapacityForecasts:
        """Apply messages in the order of their arrival."""
        known = cls()
        for forecast in forecasts:
            known = known.updated(forecast)
        return known

    def updated(self, forecast: CapacityForecast) -> CapacityForecasts:
        """What is known after one more message.

        A later message replaces earlier blocks of the same group, kind and phase while it covers them; the rest stays.
        Where blocks of one message and phase overlap, the lower capacity holds (for OPTIMUM the later in the list).
        Source: decision; the standard states no rule, a production peer resends parts of a day to change it.
        """
        merged = dict(self.series)
        phases = dict.fromkeys(block.counted_phase for block in forecast.blocks)
        for phase in phases:
            key = (forecast.group_id, forecast.kind, phase)
            incoming = _without_overlap(
                [block for block in forecast.blocks if block.counted_phase is phase],
                keep_later=forecast.kind is CapacityKind.OPTIMUM,
            )
            merged[key] = _overlay(merged.get(key, ()), incoming)
        return CapacityForecasts(series=MappingProxyType(merged))

    def blocks(self, group_id: str, kind: CapacityKind, phase: Phase = Phase.ALL) -> tuple[CapacityBlock, ...]:
        """The blocks that hold for one group, kind and phase, in order of time."""
        return self.series.get((group_id, kind, phase), ())

    def phases(self, group_id: str, kind: CapacityKind) -> tuple[Phase, ...]:
        """The phases for which a group has blocks of one kind."""
        return tuple(phase for (group, known, phase) in self.series if group == group_id and known is kind)

    def has_limits(self, group_id: str, kinds: tuple[CapacityKind, CapacityKind] | None = None) -> bool:
        """Whether anything was ever said of what a group may draw, or of other kinds of capacity."""
        wanted = IMPORT_KINDS if kinds is None else kinds
        return any(group == group_id and kind in wanted for (group, kind, _) in self.series)

    def edges_s(self, *, exports: bool = False) -> FloatArray:
        """Every instant at which an import capacity may change, and an export capacity too where asked for.

        Returns:
            Seconds since the epoch.
        """
        kinds = (*IMPORT_KINDS, *EXPORT_KINDS) if exports else IMPORT_KINDS
        return np.array(
            [
                instant.timestamp()
                for (_, kind, _), blocks in self.series.items()
                if kind in kinds
                for block in blocks
                for instant in (block.start, block.end)
            ]
        )

    @property
    def states_amperes(self) -> bool:
        """Whether any block was stated as a current."""
        return any(block.unit is CapacityUnit.A for blocks in self.series.values() for block in blocks)

    def in_amperes_on(self, grid: TimeGrid, group_id: str, phase: Phase) -> BoolArray:
        """Whether what a group may draw in each step was stated as a current.

        Returns:
            (T,), of the block that `import_capacity_on` reads.
        """
        by_kind = [
            (self.capacity_on(grid, group_id, kind, phase), self._unit_on(grid, group_id, kind, phase))
            for kind in (CapacityKind.CONSUMPTION, CapacityKind.FALLBACK_CONSUMPTION)
        ]
        (stated_kw, stated), (_, fallback) = by_kind
        return np.where(np.isnan(stated_kw), fallback, stated)

    def _unit_on(self, grid: TimeGrid, group_id: str, kind: CapacityKind, phase: Phase) -> BoolArray:
        currents = CapacityForecasts(
            series={
                (group_id, kind, phase): tuple(
                    block for block in self.blocks(group_id, kind, phase) if block.unit is CapacityUnit.A
                )
            }
        )
        return ~np.isnan(currents.capacity_on(grid, group_id, kind, phase))

    def capacity_on(self, grid: TimeGrid, group_id: str, kind: CapacityKind, phase: Phase = Phase.ALL) -> FloatArray:
        """Capacity in each step of a grid that contains the blocks' edges.

        Returns:
            (T,), kW, NaN where no block covers the step.
        """
        capacity_kw = np.full(grid.steps, np.nan)
        blocks = self.blocks(group_id, kind, phase)
        if blocks:
            begin = grid.edges_s[:-1]
            start_s = np.array([block.start.timestamp() for block in blocks])
            end_s = np.array([block.end.timestamp() for block in blocks])
            value = np.array([block.capacity_kw for block in blocks])
            index = np.searchsorted(start_s, begin, side="right") - 1
            covered = (index >= 0) & (end_s[index] > begin)
            capacity_kw[covered] = value[index[covered]]
        return capacity_kw

    def import_capacity_on(self, grid: TimeGrid, group_id: str, phase: Phase = Phase.ALL) -> FloatArray:
        """What a group may draw in each step: CONSUMPTION, else FALLBACK_CONSUMPTION.

        Returns:
            (T,), kW, NaN where neither covers the step.
        """
        return self._first_stated_on(grid, group_id, IMPORT_KINDS, phase)

    def export_capacity_on(self, grid: TimeGrid, group_id: str, phase: Phase = Phase.ALL) -> FloatArray:
        """What a group may feed in in each step: GENERATION, else FALLBACK_GENERATION.

        Returns:
            (T,), kW, NaN where neither covers the step.
        """
        return self._first_stated_on(grid, group_id, EXPORT_KINDS, phase)

    def _first_stated_on(
        self, grid: TimeGrid, group_id: str, kinds: tuple[CapacityKind, CapacityKind], phase: Phase
    ) -> FloatArray:
        stated, fallback = (self.capacity_on(grid, group_id, kind, phase) for kind in kinds)
        return np.where(np.isnan(stated), fallback, stated)


def _without_overlap(blocks: list[CapacityBlock], *, keep_later: bool) -> tuple[CapacityBlock, ...]:
    """Blocks in order of time, where several hold only the lowest, or the last of the list; of equals the last."""
    ordered = sorted(blocks, key=_start)
    if all(earlier.end <= later.start for earlier, later in pairwise(ordered)):
        return tuple(ordered)
    coming = sorted(enumerate(blocks), key=lambda item: item[1].start, reverse=True)
    open_blocks: list[tuple[float, int]] = []
    resolved: list[CapacityBlock] = []
    before: int | None = None
    for start, end in pairwise(sorted({instant for block in blocks for instant in (block.start, block.end)})):
        while coming and coming[-1][1].start <= start:
            index, block = coming.pop()
            heappush(open_blocks, (0.0 if keep_later else block.capacity_kw, -index))
        while open_blocks and blocks[-open_blocks[0][1]].end <= start:
            heappop(open_blocks)
        holding = -open_blocks[0][1] if open_blocks else None
        if holding is not None:
            begun = resolved.pop().start if holding == before else start
            resolved.append(replace(blocks[holding], start=begun, end=end))
        before = holding
    return tuple(resolved)


def _start(block: CapacityBlock) -> datetime:
    return block.start


def _end(block: CapacityBlock) -> datetime:
    return block.end


def _overlay(older: tuple[CapacityBlock, ...], newer: tuple[CapacityBlock, ...]) -> tuple[CapacityBlock, ...]:
    """Newer blocks, and of the older ones what the newer leave uncovered. Both are ordered and free of overlap."""
    if not newer:
        return older
    # Blocks before the first and after the last of the newer stay as they are, of which a group may have thousands.
    first = bisect_right(older, newer[0].start, key=_end)
    last = bisect_left(older, newer[-1].end, lo=first, key=_start)
    kept: list[CapacityBlock] = []
    for block in older[first:last]:
        rest_start = block.start
        # Free of overlap and in order, the newer blocks are in order of their ends too.
        for cover in islice(newer, bisect_right(newer, rest_start, key=_end), None):
            if cover.start >= block.end:
                break
            if cover.start > rest_start:
                kept.append(replace(block, start=rest_start, end=cover.start))
            rest_start = cover.end
            if rest_start >= block.end:
                break
        if rest_start < block.end:
            kept.append(block if rest_start == block.start else replace(block, start=rest_start))
    return older[:first] + tuple(sorted([*kept, *newer], key=_start)) + older[last:]
