"""The grid: days of 23 and 25 hours, unequal steps, half-open windows."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain import ChargingSession, TimeGrid
from models.domain.time_grid import ceil_to_raster, floor_to_raster, local_midnight_s
from models.errors import InputError

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
KATHMANDU = ZoneInfo("Asia/Kathmandu")
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """The midnight that begins a day on the wall clock of a zone."""
    return datetime.combine(day, time(), tzinfo=zone)


@pytest.mark.parametrize(
    ("day", "quarters"),
    [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (date(2026, 6, 1), 96)],
    ids=["23 hours", "25 hours", "24 hours"],
)
def test_day_has_as_many_quarters_as_it_lasts(day: date, quarters: int) -> None:
    """In Amsterdam the day summer time begins has 23 hours, the day it ends 25: 92 and 100 quarters, equally long."""
    start, end = (local_midnight(each, AMSTERDAM) for each in (day, day + timedelta(days=1)))

    grid = TimeGrid.build(start, end, raster=QUARTER, time_zone=AMSTERDAM)

    assert grid.steps == quarters
    assert set(grid.step_hours.tolist()) == {0.25}
    assert (grid.start, grid.end) == (start, end)


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (date(2026, 3, 29), ["01:00+01:00", "03:00+02:00", "04:00+02:00"]),
        (date(2026, 10, 25), ["01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00"]),
    ],
    ids=["spring", "autumn"],
)
def test_wall_clock_skips_or_repeats_an_hour(day: date, hours: list[str]) -> None:
    """In spring 01:00 is followed by 03:00, in autumn 02:00 comes twice; each edge shows the offset then."""
    start = local_midnight(day, AMSTERDAM)

    grid = TimeGrid.build(start, start + timedelta(days=1), raster=HOUR, time_zone=AMSTERDAM)

    assert [instant.isoformat(timespec="minutes")[11:] for instant in grid.instants()[1 : 1 + len(hours)]] == hours


def test_raster_counts_from_local_midnight() -> None:
    """Kathmandu is 5:45 ahead: whole hours there are at quarter past in UTC; 00:00Z is 05:45 there."""
    grid = TimeGrid.build(MIDNIGHT, MIDNIGHT + 3 * HOUR, raster=HOUR, time_zone=KATHMANDU)

    assert [instant.strftime("%H:%M") for instant in grid.instants()] == ["05:45", "06:00", "07:00", "08:00", "08:45"]
    assert grid.step_hours.tolist() == [0.25, 1.0, 1.0, 0.75]


def test_raster_of_an_odd_length_is_cut_at_the_window() -> None:
    """From 00:10 to 01:00 in steps of 25 minutes the raster has edges at 00:25 and 00:50; the ends stay."""
    grid = TimeGrid.build(
        MIDNIGHT + timedelta(minutes=10), MIDNIGHT + HOUR, raster=timedelta(minutes=25), time_zone=UTC
    )

    assert [instant.minute for instant in grid.instants()] == [10, 25, 50, 0]


def test_grid_unites_raster_and_further_edges() -> None:
    """Edges of blocks and prices divide steps, equal ones once; steps then differ in length."""
    extra = [MIDNIGHT + timedelta(minutes=minutes) for minutes in (20, 7, 30, 20)]

    grid = TimeGrid.build(
        MIDNIGHT, MIDNIGHT + HOUR, raster=timedelta(minutes=30), extra_edges_s=[each.timestamp() for each in extra]
    )

    assert [instant.minute for instant in grid.instants()] == [0, 7, 20, 30, 0]
    assert (grid.step_hours * 60).tolist() == pytest.approx([7, 13, 10, 30])


def test_edges_at_or_outside_the_window_add_nothing() -> None:
    """The window is half-open: an edge at its start or end is there already, one outside it is dropped."""
    extra = [(MIDNIGHT + hours * HOUR).timestamp() for hours in (-1, 0, 1, 2)]

    grid = TimeGrid.build(MIDNIGHT, MIDNIGHT + HOUR, raster=HOUR, extra_edges_s=extra)

    assert grid.instants() == [MIDNIGHT, MIDNIGHT + HOUR]


@given(
    start_minute=st.integers(0, 2 * 24 * 60),
    length_minutes=st.integers(1, 3 * 24 * 60),
    raster_minutes=st.integers(1, 60),
    extra_minutes=st.lists(st.integers(-100, 4 * 24 * 60), max_size=20),
    zone=st.sampled_from([AMSTERDAM, KATHMANDU, ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Chatham")]),
)
def test_grid_is_the_window_in_steps_no_longer_than_the_raster(
    start_minute: int, length_minutes: int, raster_minutes: int, extra_minutes: list[int], zone: ZoneInfo
) -> None:
    """Whatever the zone and the edges: the steps fill the window, none is longer than the raster, every edge inside
    the window is an edge of the grid.
    """
    origin = datetime(2026, 3, 28, tzinfo=UTC)
    start = origin + timedelta(minutes=start_minute)
    end = start + timedelta(minutes=length_minutes)
    extra_s = [(origin + timedelta(minutes=minute)).timestamp() for minute in extra_minutes]

    grid = TimeGrid.build(start, end, raster=timedelta(minutes=raster_minutes), extra_edges_s=extra_s, time_zone=zone)

    assert (grid.start, grid.end) == (start, end)
    assert (grid.step_hours > 0).all()
    assert (grid.step_hours <= raster_minutes / 60 + 1e-9).all()
    assert {edge for edge in extra_s if start.timestamp() < edge < end.timestamp()} <= set(grid.edges_s.tolist())


@pytest.mark.parametrize("raster", [timedelta(seconds=59), timedelta(minutes=60, seconds=1), -QUARTER, timedelta()])
def test_raster_outside_its_bounds_is_refused(raster: timedelta) -> None:
    """A step is between 1 minute and 1 hour."""
    with pytest.raises(InputError, match="outside 1 to 60 minutes"):
        TimeGrid.build(MIDNIGHT, MIDNIGHT + HOUR, raster=raster)


@pytest.mark.parametrize(("raster", "steps"), [(timedelta(minutes=1), 60), (HOUR, 1)])
def test_bounds_of_the_raster_are_allowed(raster: timedelta, steps: int) -> None:
    """1 minute and 1 hour themselves are steps."""
    assert TimeGrid.build(MIDNIGHT, MIDNIGHT + HOUR, raster=raster).steps == steps


@pytest.mark.parametrize("end", [MIDNIGHT, MIDNIGHT - HOUR], ids=["empty", "backwards"])
def test_window_without_length_is_refused(end: datetime) -> None:
    """A window ends after it starts."""
    with pytest.raises(InputError, match="is not after its start"):
        TimeGrid.build(MIDNIGHT, end, raster=HOUR)


def test_naive_instant_is_refused() -> None:
    """An instant without a time zone is not an instant."""
    with pytest.raises(InputError, match="start 2026-12-01T00:00:00 has no time zone"):
        TimeGrid.build(MIDNIGHT.replace(tzinfo=None), MIDNIGHT + HOUR, raster=HOUR)


@pytest.mark.parametrize("edges_s", [[0.0], [0.0, 0.0], [1.0, 0.0], [0.0, np.nan]])
def test_edges_increase(edges_s: list[float]) -> None:
    """A grid has at least one step, and every step a length above zero."""
    with pytest.raises(InputError, match="strictly increasing"):
        TimeGrid(edges_s=np.array(edges_s))


@pytest.mark.parametrize(
    ("minute", "floor", "ceil"), [(0, "06:00", "06:00"), (1, "06:00", "06:15"), (14, "06:00", "06:15")]
)
def test_rounding_to_the_raster(minute: int, floor: str, ceil: str) -> None:
    """An instant on the raster of the local day stays; another goes to the edge before or after it."""
    instant = datetime(2026, 12, 1, 6, minute, tzinfo=KATHMANDU)

    assert floor_to_raster(instant, QUARTER, KATHMANDU).strftime("%H:%M") == floor
    assert ceil_to_raster(instant, QUARTER, KATHMANDU).strftime("%H:%M") == ceil


@pytest.mark.parametrize(("hour", "fold"), [(2, 0), (2, 1), (23, 0)])
def test_local_midnight_is_the_same_all_day(hour: int, fold: int) -> None:
    """On the day of 25 hours midnight was at 22:00Z the day before, also seen from the hour that comes twice."""
    instant = datetime(2026, 10, 25, hour, 30, tzinfo=AMSTERDAM, fold=fold)

    midnight_s = local_midnight_s(instant, AMSTERDAM)

    assert datetime.fromtimestamp(midnight_s, tz=UTC) == datetime(2026, 10, 24, 22, tzinfo=UTC)


def test_midnight_that_comes_twice_is_the_first() -> None:
    """In Havana the clock goes from 01:00 back to 00:00: the day begins at the first midnight, 04:00Z, for the second
    half past twelve too.
    """
    zone = ZoneInfo("America/Havana")
    instant = datetime(2026, 11, 1, 0, 30, tzinfo=zone, fold=1)

    midnight_s = local_midnight_s(instant, zone)

    assert datetime.fromtimestamp(midnight_s, tz=UTC) == datetime(2026, 11, 1, 4, tzinfo=UTC)


def test_stay_across_the_clock_change_has_a_length() -> None:
    """From the first 02:45 to the second 02:15 is half an hour, though the clock on the wall goes back meanwhile."""
    arrival = datetime(2026, 10, 25, 2, 45, tzinfo=AMSTERDAM)
    departure = datetime(2026, 10, 25, 2, 15, tzinfo=AMSTERDAM, fold=1)

    session = ChargingSession(session_id="s", charger_id="c", arrival=arrival, departure=departure, energy_kwh=1.0)
    grid = TimeGrid.build(session.arrival, session.departure, raster=HOUR, time_zone=AMSTERDAM)

    assert grid.step_hours.sum() == 0.5
    with pytest.raises(InputError, match="is not after arrival"):
        ChargingSession(session_id="s", charger_id="c", arrival=departure, departure=arrival, energy_kwh=1.0)


def test_steps_are_between_neighbouring_edges() -> None:
    """The length of step t is edge t + 1 less edge t."""
    grid = TimeGrid.build(MIDNIGHT, MIDNIGHT + HOUR, raster=timedelta(minutes=25))

    expected = [(later - earlier) / HOUR for earlier, later in pairwise(grid.instants())]

    assert grid.step_hours.tolist() == pytest.approx(expected)
