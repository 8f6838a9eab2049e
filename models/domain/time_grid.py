"""The steps of a plan: instants, possibly unequally spaced, between which power is constant."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError
from models.units import SECONDS_PER_HOUR

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

MIN_RASTER = timedelta(minutes=1)
MAX_RASTER = timedelta(hours=1)


def require_aware(instant: datetime, name: str) -> datetime:
    """The instant itself.

    Raises:
        InputError: It has no time zone.
    """
    if instant.tzinfo is None or instant.utcoffset() is None:
        raise InputError(f"{name} {instant.isoformat()} has no time zone; add an offset such as +00:00")
    return instant


def check_raster(raster: timedelta) -> timedelta:
    """The raster itself.

    Raises:
        InputError: It is not between 1 minute and 1 hour.
    """
    if not MIN_RASTER <= raster <= MAX_RASTER:
        minutes = raster.total_seconds() / 60
        raise InputError(f"step of {minutes:g} minutes is outside 1 to 60 minutes")
    return raster


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimeGrid:
    """T half-open steps ``[edges_s[t], edges_s[t + 1])``; steps may differ in length.

    Args:
        edges_s: (T + 1,), seconds since 1970-01-01T00:00Z, strictly increasing.
        time_zone: Zone in which instants are shown.
    """

    edges_s: FloatArray
    time_zone: tzinfo = UTC

    def __post_init__(self) -> None:
        if self.edges_s.ndim != 1 or self.edges_s.size <= 1 or not (np.diff(self.edges_s) > 0).all():
            raise InputError("a time grid needs at least two edges in strictly increasing order")

    @classmethod
    def build(
        cls,
        start: datetime,
        end: datetime,
        *,
        raster: timedelta,
        extra_edges_s: Iterable[float] = (),
        time_zone: tzinfo = UTC,
    ) -> TimeGrid:
        """Unite a regular raster with further edges; nothing is resampled.

        The raster counts in elapsed time from the local midnight on which the window begins, so that a day of 23 or 25
        hours has 92 or 100 quarters.

        Args:
            start: First edge.
            end: Last edge.
            raster: Longest step, 1 min to 1 h.
            extra_edges_s: Edges of forecast blocks and prices, seconds since the epoch; those outside are dropped.
            time_zone: Zone of the midnight and of what is shown.

        Returns:
            The grid.

        Raises:
            InputError: The window is empty, an instant is naive, or the raster is out of bounds.
        """
        start_s = require_aware(start, "start").timestamp()
        end_s = require_aware(end, "end").timestamp()
        if end_s <= start_s:
            raise InputError(f"window end {end.isoformat()} is not after its start {start.isoformat()}")
        raster_s = check_raster(raster).total_seconds()
        anchor_s = local_midnight_s(start, time_zone)
        first = math.floor((start_s - anchor_s) / raster_s) + 1
        last = math.ceil((end_s - anchor_s) / raster_s)
        regular = anchor_s + raster_s * np.arange(first, last)
        extra = np.fromiter(extra_edges_s, dtype=np.float64)
        inside = extra[(extra > start_s) & (extra < end_s)]
        edges = np.unique(np.concatenate(([start_s], regular[regular < end_s], inside, [end_s])))
        return cls(edges_s=edges, time_zone=time_zone)

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        return self.edges_s.size - 1

    @property
    def step_hours(self) -> FloatArray:
        """(T,), h."""
        return np.diff(self.edges_s) / SECONDS_PER_HOUR

    @property
    def start(self) -> datetime:
        """First edge."""
        return self.instant(float(self.edges_s[0]))

    @property
    def end(self) -> datetime:
        """Last edge."""
        return self.instant(float(self.edges_s[-1]))

    def instant(self, epoch_s: float) -> datetime:
        """An instant in the grid's time zone."""
        return datetime.fromtimestamp(epoch_s, tz=self.time_zone)

    def instants(self) -> list[datetime]:
        """All T + 1 edges in the grid's time zone."""
        return [self.instant(edge_s) for edge_s in self.edges_s.tolist()]


def local_midnight_s(instant: datetime, time_zone: tzinfo) -> float:
    """Seconds since the epoch of the midnight that begins the instant's local day."""
    local = instant.astimezone(time_zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp()


def floor_to_raster(instant: datetime, raster: timedelta, time_zone: tzinfo) -> datetime:
    """The last raster edge not after the instant, counted from local midnight."""
    return _round_to_raster(instant, raster, time_zone, up=False)


def ceil_to_raster(instant: datetime, raster: timedelta, time_zone: tzinfo) -> datetime:
    """The first raster edge not before the instant, counted from local midnight."""
    return _round_to_raster(instant, raster, time_zone, up=True)


def _round_to_raster(instant: datetime, raster: timedelta, time_zone: tzinfo, *, up: bool) -> datetime:
    anchor_s = local_midnight_s(instant, time_zone)
    raster_s = raster.total_seconds()
    count = (instant.timestamp() - anchor_s) / raster_s
    return datetime.fromtimestamp(anchor_s + raster_s * (math.ceil(count) if up else math.floor(count)), tz=time_zone)
