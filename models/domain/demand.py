"""What recurs by season, day and hour of the wall clock: time-of-use prices, and charges on the peak of a month."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

import numpy as np

from models.domain.bounds import check_power_kw
from models.domain.tariff import PriceBlock
from models.domain.time_grid import BoolArray, FloatArray, IntArray, TimeGrid
from models.errors import InputError
from models.units import MINUTES_PER_HOUR

MINUTES_PER_DAY = 24 * 60
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
"""In the order of `datetime.date.weekday`."""
EVERY_DAY = frozenset(DAYS)
LEAP_YEAR = 2000
MAX_PRICE_PER_KW = 1e6

MonthDay = tuple[int, int]
"""Month and day of the month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyWindow:
    """Some hours of some days of a season, by the wall clock.

    Args:
        first_day: First day of the season.
        last_day: Last day of the season, itself included; before the first one where the year ends in between.
        days: Days of the week.
        start_minute: Minutes after midnight at which it begins.
        end_minute: Minutes after midnight at which it ends; 1440 for the end of the day.

    Raises:
        InputError: A day is none, or the window is empty.
    """

    first_day: MonthDay = (1, 1)
    last_day: MonthDay = (12, 31)
    days: frozenset[str] = EVERY_DAY
    start_minute: int = 0
    end_minute: int = MINUTES_PER_DAY

    def __post_init__(self) -> None:
        for name, (month, day) in (("first_day", self.first_day), ("last_day", self.last_day)):
            try:
                date(LEAP_YEAR, month, day)
            except ValueError as error:
                raise InputError(f"{name} {month:02d}-{day:02d} is no day of the year") from error
        if not self.days or not self.days <= EVERY_DAY:
            raise InputError(f"days {sorted(self.days)} must be some of {', '.join(DAYS)}")
        if not 0 <= self.start_minute < self.end_minute <= MINUTES_PER_DAY:
            raise InputError(
                f"a daily window from {_clock_text(self.start_minute)} to {_clock_text(self.end_minute)} is empty or "
                "leaves the day; one over midnight is two"
            )

    def spans_s(self, start_s: float, end_s: float, zone: tzinfo) -> Iterator[tuple[float, float]]:
        """Begin and end of each of its days that share time with an interval, seconds since the epoch."""
        day = datetime.fromtimestamp(start_s, tz=zone).date() - timedelta(days=1)
        last = datetime.fromtimestamp(end_s, tz=zone).date()
        while day <= last:
            if self._has(day):
                begin_s, finish_s = (_at(day, minute, zone) for minute in (self.start_minute, self.end_minute))
                if begin_s < finish_s and begin_s < end_s and finish_s > start_s:
                    yield begin_s, finish_s
            day += timedelta(days=1)

    def _has(self, day: date) -> bool:
        month_day = (day.month, day.day)
        if self.first_day <= self.last_day:
            in_season = self.first_day <= month_day <= self.last_day
        else:
            in_season = month_day >= self.first_day or month_day <= self.last_day
        return in_season and DAYS[day.weekday()] in self.days


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringPrice:
    """A price that holds whenever a daily window comes.

    Args:
        window: When it holds.
        import_price_per_kwh: Currency per kWh.
        export_price_per_kwh: Currency per kWh; None where nothing is said of it.
    """

    window: DailyWindow
    import_price_per_kwh: float
    export_price_per_kwh: float | None = None


def price_blocks(prices: Iterable[RecurringPrice], start_s: float, end_s: float, zone: tzinfo) -> list[PriceBlock]:
    """Recurring prices over an interval, as blocks in order of time."""
    blocks = [
        PriceBlock(
            start=datetime.fromtimestamp(begin_s, tz=zone),
            end=datetime.fromtimestamp(finish_s, tz=zone),
            import_price_per_kwh=price.import_price_per_kwh,
            export_price_per_kwh=price.export_price_per_kwh,
        )
        for price in prices
        for begin_s, finish_s in price.window.spans_s(start_s, end_s, zone)
    ]
    return sorted(blocks, key=lambda block: block.start.timestamp())


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandCharge:
    """A price on the highest mean import of a step within a billing period, the calendar month.

    Args:
        charge_id: Unique within the tariff.
        price_per_kw: Currency per kW of the period's peak.
        peak_so_far_kw: What the period in which the plan begins has already reached, kW: it is paid for anyhow.
        windows: When the import counts; always where there are none.

    Raises:
        InputError: A value is out of bounds.
    """

    charge_id: str
    price_per_kw: float
    peak_so_far_kw: float = 0.0
    windows: tuple[DailyWindow, ...] = ()

    def __post_init__(self) -> None:
        name = f"demand charge {self.charge_id!r}"
        if not (math.isfinite(self.price_per_kw) and 0 <= self.price_per_kw <= MAX_PRICE_PER_KW):
            raise InputError(
                f"{name}: price_per_kw is {self.price_per_kw}; it must be between 0 and {MAX_PRICE_PER_KW:g}"
            )
        check_power_kw(self.peak_so_far_kw, f"{name}: peak_so_far_kw")

    def edges_s(self, start_s: float, end_s: float, zone: tzinfo) -> FloatArray:
        """Every instant of an interval at which it begins or ceases to count or a month begins, s since the epoch."""
        spans = [edge for window in self.windows for span in window.spans_s(start_s, end_s, zone) for edge in span]
        return np.array([*spans, *_month_begins_s(start_s, end_s, zone)], dtype=np.float64)

    def periods_on(self, grid: TimeGrid) -> IntArray:
        """In which billing period each step counts: (T,), 0 for the first, -1 where it does not count.

        Args:
            grid: Steps that contain the charge's edges.
        """
        begin_s, start_s, end_s = grid.edges_s[:-1], float(grid.edges_s[0]), float(grid.edges_s[-1])
        months = np.array(_month_begins_s(start_s, end_s, grid.time_zone), dtype=np.float64)
        period = np.searchsorted(months[months > start_s], begin_s, side="right")
        counted: BoolArray = np.full(grid.steps, not self.windows)
        for window in self.windows:
            for first_s, last_s in window.spans_s(start_s, end_s, grid.time_zone):
                counted |= (begin_s >= first_s) & (begin_s < last_s)
        return np.where(counted, period, -1)

    def peaks_kw(self, grid: TimeGrid, import_kw: FloatArray) -> FloatArray:
        """The peak of each billing period, never below the one already reached: (P,), kW.

        Args:
            grid: The steps.
            import_kw: (T,), mean import of each step, kW.
        """
        period = self.periods_on(grid)
        peaks_kw = np.zeros(int(period.max(initial=-1)) + 1)
        np.maximum.at(peaks_kw, period[period >= 0], import_kw[period >= 0])
        return np.maximum(peaks_kw, self.floors_kw(peaks_kw.size))

    def floors_kw(self, periods: int) -> FloatArray:
        """What is paid for anyhow in each billing period: (P,), kW."""
        return np.where(np.arange(periods) == 0, self.peak_so_far_kw, 0.0)


def _at(day: date, minute: int, zone: tzinfo) -> float:
    """A wall-clock time of a day, seconds since the epoch; 24:00 is the next midnight."""
    if minute == MINUTES_PER_DAY:
        return _at(day + timedelta(days=1), 0, zone)
    hour, rest = divmod(minute, int(MINUTES_PER_HOUR))
    return datetime(day.year, day.month, day.day, hour, rest, tzinfo=zone).timestamp()


def _month_begins_s(start_s: float, end_s: float, zone: tzinfo) -> list[float]:
    first = datetime.fromtimestamp(start_s, tz=zone).date().replace(day=1)
    begins: list[float] = []
    while (begin_s := _at(first, 0, zone)) < end_s:
        begins.append(begin_s)
        first = (first + timedelta(days=31)).replace(day=1)
    return begins


def _clock_text(minute: int) -> str:
    hour, rest = divmod(minute, int(MINUTES_PER_HOUR))
    return f"{hour:02d}:{rest:02d}"
