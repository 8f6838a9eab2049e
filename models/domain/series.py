"""A figure that is known block by block: what a generator will give, what a building will draw, how dirty a kWh is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np

from models.domain.time_grid import FloatArray, IntArray, TimeGrid, require_aware
from models.errors import InputError


class Block(Protocol):
    """Something that holds over ``[start, end)``."""

    @property
    def start(self) -> datetime:
        """First instant at which it holds."""

    @property
    def end(self) -> datetime:
        """First instant at which it does not hold any more."""


BlockT = TypeVar("BlockT", bound=Block)


def in_order(blocks: Iterable[BlockT], *, block: str, value: str) -> list[BlockT]:
    """Blocks in order of time, none overlapping another.

    Args:
        blocks: In any order.
        block: What one is called in messages.
        value: What it gives to an instant.

    Raises:
        InputError: Two blocks overlap.
    """
    ordered = sorted(blocks, key=lambda one: one.start.timestamp())
    for earlier, later in pairwise(ordered):
        if later.start.timestamp() < earlier.end.timestamp():
            raise InputError(
                f"the {block} from {later.start.isoformat()} overlaps the one from {earlier.start.isoformat()} to "
                f"{earlier.end.isoformat()}; each instant may have one {value}"
            )
    return ordered


def blocks_on(
    start_s: FloatArray, end_s: FloatArray, grid: TimeGrid
) -> tuple[IntArray, tuple[datetime, datetime] | None]:
    """Which of B blocks holds in each step of a grid that contains their edges.

    Args:
        start_s: (B,), seconds since the epoch, increasing.
        end_s: (B,), seconds since the epoch.
        grid: T steps that no block divides.

    Returns:
        (T,), index of a block, without meaning where none holds; and the first time for which none holds, None where
        there is always one.
    """
    begin = grid.edges_s[:-1]
    block = np.searchsorted(start_s, begin, side="right") - 1
    covered = (block >= 0) & (end_s[block] > begin) if start_s.size else np.zeros(begin.size, dtype=bool)
    if covered.all():
        return block, None
    first = int(np.argmin(covered))
    later = np.flatnonzero(covered[first:])
    until_s = grid.edges_s[first + int(later[0])] if later.size else grid.edges_s[-1]
    return block, (grid.instant(float(grid.edges_s[first])), grid.instant(float(until_s)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueBlock:
    """A figure over ``[start, end)``.

    Args:
        start: First instant at which it holds.
        end: First instant at which it does not hold any more.
        value: The figure, finite.

    Raises:
        InputError: The end is not after the start, an instant is naive, or the figure is not finite.
    """

    start: datetime
    end: datetime
    value: float

    def __post_init__(self) -> None:
        name = f"block from {require_aware(self.start, 'block: start').isoformat()}"
        # By timestamp: instants of one zone compare by wall clock, which is wrong in the hour that comes twice.
        if require_aware(self.end, "block: end").timestamp() <= self.start.timestamp():
            raise InputError(f"{name}: end {self.end.isoformat()} is not after its start")
        if not math.isfinite(self.value):
            raise InputError(f"{name}: the value {self.value} is not a finite number")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """B blocks in order of time, none overlapping another.

    Args:
        start_s: (B,), seconds since the epoch, increasing.
        end_s: (B,), seconds since the epoch.
        value: (B,), in the figure's unit.
    """

    start_s: FloatArray
    end_s: FloatArray
    value: FloatArray

    @classmethod
    def from_blocks(cls, blocks: Iterable[ValueBlock]) -> Series:
        """Put blocks in order.

        Raises:
            InputError: Two blocks overlap.
        """
        ordered = in_order(blocks, block="block", value="value")
        return cls(
            start_s=np.array([block.start.timestamp() for block in ordered], dtype=np.float64),
            end_s=np.array([block.end.timestamp() for block in ordered], dtype=np.float64),
            value=np.array([block.value for block in ordered], dtype=np.float64),
        )

    def edges_s(self) -> FloatArray:
        """Every instant at which the figure may change, seconds since the epoch."""
        return np.concatenate((self.start_s, self.end_s))

    def on(self, grid: TimeGrid, name: str) -> FloatArray:
        """The figure in each step of a grid that contains the series' edges.

        Args:
            grid: Steps that no block divides.
            name: What it is called in messages.

        Returns:
            (T,), in the figure's unit.

        Raises:
            InputError: An instant of the grid has none; the message names the first such gap.
        """
        block, gap = blocks_on(self.start_s, self.end_s, grid)
        if gap is not None:
            first, until = (instant.isoformat() for instant in gap)
            raise InputError(
                f"{name}: nothing is said from {first} to {until}; it must cover the whole window from "
                f"{grid.start.isoformat()} to {grid.end.isoformat()}"
            )
        return self.value[block]
