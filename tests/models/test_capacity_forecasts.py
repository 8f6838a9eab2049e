"""What is known of a group's capacity after several messages: the later replaces the earlier while it covers it."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain import CapacityBlock, CapacityForecast, CapacityForecasts, CapacityKind, Phase, TimeGrid
from models.errors import InputError

MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
GROUP = "transformer-17"
HORIZON_MINUTES = 60

Piece = tuple[float, float, float]
"""Start and end in hours after midnight, capacity in kW."""


def at(hour: float) -> datetime:
    """Some hours after midnight."""
    return MIDNIGHT + timedelta(hours=hour)


def make_forecast(
    *pieces: Piece, kind: CapacityKind = CapacityKind.CONSUMPTION, phase: Phase = Phase.ALL, group_id: str = GROUP
) -> CapacityForecast:
    """One message with a block for each piece."""
    blocks = tuple(
        CapacityBlock(start=at(start), end=at(end), capacity_kw=capacity_kw, phase=phase)
        for start, end, capacity_kw in pieces
    )
    return CapacityForecast(group_id=group_id, kind=kind, blocks=blocks)


def pieces_of(
    forecasts: CapacityForecasts, kind: CapacityKind = CapacityKind.CONSUMPTION, phase: Phase = Phase.ALL
) -> list[Piece]:
    """The blocks that hold, as pieces."""
    hour = timedelta(hours=1)
    return [
        ((block.start - MIDNIGHT) / hour, (block.end - MIDNIGHT) / hour, block.capacity_kw)
        for block in forecasts.blocks(GROUP, kind, phase)
    ]


def hourly_grid(start: float, end: float) -> TimeGrid:
    """Steps of one hour."""
    return TimeGrid.build(at(start), at(end), raster=timedelta(hours=1))


def test_emergency_overrides_the_rest_of_the_day() -> None:
    """A day ahead come 24 hours of 100 kW; at 16:30 an emergency sends one block of 20 kW up to midnight.

    It overrides the hours from 16:30 on, in the middle of a block too, and nothing before. Source: Taipower's ELMO.
    """
    day_ahead = make_forecast(*((hour, hour + 1, 100.0) for hour in range(24)))
    emergency = make_forecast((16.5, 24, 20.0))

    known = CapacityForecasts.from_messages([day_ahead, emergency])

    assert pieces_of(known) == [
        *((hour, hour + 1, 100.0) for hour in range(16)),
        (16, 16.5, 100.0),
        (16.5, 24, 20.0),
    ]


def test_later_message_may_also_raise() -> None:
    """What arrives later holds, not what is lower: 80 kW after 50 kW is 80 kW."""
    known = CapacityForecasts.from_messages([make_forecast((0, 1, 50.0)), make_forecast((0, 1, 80.0))])

    assert pieces_of(known) == [(0, 1, 80.0)]


def test_later_message_splits_a_block_around_it() -> None:
    """A block within an earlier one leaves of it what lies before and after; between two new ones a gap stays old."""
    known = CapacityForecasts.from_messages([make_forecast((0, 10, 50.0)), make_forecast((6, 7, 9.0), (2, 4, 5.0))])

    assert pieces_of(known) == [(0, 2, 50.0), (2, 4, 5.0), (4, 6, 50.0), (6, 7, 9.0), (7, 10, 50.0)]


def test_group_kind_and_phase_are_apart() -> None:
    """A message replaces only blocks of its own group, kind and phase."""
    known = CapacityForecasts.from_messages(
        [
            make_forecast((0, 1, 50.0)),
            make_forecast((0, 1, 1.0), group_id="other"),
            make_forecast((0, 1, 2.0), kind=CapacityKind.GENERATION),
            make_forecast((0, 1, 3.0), phase=Phase.ONE),
        ]
    )

    assert pieces_of(known) == [(0, 1, 50.0)]
    assert pieces_of(known, CapacityKind.GENERATION) == [(0, 1, 2.0)]
    assert pieces_of(known, phase=Phase.ONE) == [(0, 1, 3.0)]
    assert known.phases(GROUP, CapacityKind.CONSUMPTION) == (Phase.ALL, Phase.ONE)


def test_unknown_phase_counts_like_all() -> None:
    """UNKNOWN replaces ALL and is replaced by it; the block keeps the word it was stated with."""
    known = CapacityForecasts.from_messages(
        [make_forecast((0, 2, 50.0)), make_forecast((1, 2, 40.0), phase=Phase.UNKNOWN)]
    )

    assert pieces_of(known) == [(0, 1, 50.0), (1, 2, 40.0)]
    assert [block.phase for block in known.blocks(GROUP, CapacityKind.CONSUMPTION)] == [Phase.ALL, Phase.UNKNOWN]


def test_known_is_not_changed_by_a_further_message() -> None:
    """What was known before a message is still there after it."""
    before = CapacityForecasts.from_messages([make_forecast((0, 1, 50.0))])
    after = before.updated(make_forecast((0, 1, 10.0)))

    assert (pieces_of(before), pieces_of(after)) == ([(0, 1, 50.0)], [(0, 1, 10.0)])


@pytest.mark.parametrize("kind", [kind for kind in CapacityKind if kind is not CapacityKind.OPTIMUM])
def test_overlap_within_a_message_takes_the_lower(kind: CapacityKind) -> None:
    """50 kW from 0 to 3 and 20 kW from 1 to 2 in one message, in either order: 50, 20, 50."""
    pieces = ((0.0, 3.0, 50.0), (1.0, 2.0, 20.0))
    expected = [(0, 1, 50.0), (1, 2, 20.0), (2, 3, 50.0)]

    for order in (pieces, pieces[::-1]):
        known = CapacityForecasts.from_messages([make_forecast(*order, kind=kind)])
        assert pieces_of(known, kind) == expected


def test_overlap_within_an_optimum_takes_the_later_of_the_list() -> None:
    """An optimum is a wish, not a limit: of two for one time the later in the list holds."""
    known = CapacityForecasts.from_messages([make_forecast((0, 2, 20.0), (1, 3, 50.0), kind=CapacityKind.OPTIMUM)])

    assert pieces_of(known, CapacityKind.OPTIMUM) == [(0, 1, 20.0), (1, 3, 50.0)]


def test_lowest_block_stays_whole() -> None:
    """A block that holds all the time is not cut where a higher one begins or ends."""
    known = CapacityForecasts.from_messages([make_forecast((0, 4, 10.0), (1, 2, 30.0), (2, 6, 30.0))])

    assert pieces_of(known) == [(0, 4, 10.0), (4, 6, 30.0)]


def test_blocks_that_touch_do_not_overlap() -> None:
    """A block ends before the instant at which the next begins: at 01:00 the second holds."""
    known = CapacityForecasts.from_messages([make_forecast((1, 2, 20.0), (0, 1, 50.0))])

    capacity_kw = known.capacity_on(hourly_grid(0, 2), GROUP, CapacityKind.CONSUMPTION)

    assert capacity_kw.tolist() == [50.0, 20.0]


def test_gap_has_no_value() -> None:
    """Nothing is known before, between and after the blocks; that is neither zero nor without limit."""
    known = CapacityForecasts.from_messages([make_forecast((1, 2, 50.0), (3, 4, 0.0))])

    capacity_kw = known.capacity_on(hourly_grid(0, 5), GROUP, CapacityKind.CONSUMPTION)

    np.testing.assert_array_equal(capacity_kw, [math.nan, 50.0, math.nan, 0.0, math.nan])


def test_nothing_is_known_of_a_silent_group() -> None:
    """A group without a message has no blocks, no phases, no limits, and no value in any step."""
    known = CapacityForecasts()

    assert known.blocks(GROUP, CapacityKind.CONSUMPTION) == ()
    assert known.phases(GROUP, CapacityKind.CONSUMPTION) == ()
    assert not known.has_limits(GROUP)
    assert np.isnan(known.import_capacity_on(hourly_grid(0, 2), GROUP)).all()


def test_fallback_holds_where_nothing_else_does() -> None:
    """CONSUMPTION from 1 to 2, zero included, goes before FALLBACK_CONSUMPTION from 0 to 3; at 3 neither holds."""
    known = CapacityForecasts.from_messages(
        [make_forecast((1, 2, 0.0)), make_forecast((0, 3, 30.0), kind=CapacityKind.FALLBACK_CONSUMPTION)]
    )

    np.testing.assert_array_equal(known.import_capacity_on(hourly_grid(0, 4), GROUP), [30.0, 0.0, 30.0, math.nan])


@pytest.mark.parametrize(
    ("kind", "limits"),
    [
        (CapacityKind.CONSUMPTION, True),
        (CapacityKind.FALLBACK_CONSUMPTION, True),
        (CapacityKind.GENERATION, False),
        (CapacityKind.FALLBACK_GENERATION, False),
        (CapacityKind.OPTIMUM, False),
    ],
)
def test_only_import_capacities_limit_what_is_drawn(kind: CapacityKind, limits: bool) -> None:
    """CONSUMPTION and its fallback limit imports and give edges to the grid; the other kinds do neither."""
    known = CapacityForecasts.from_messages([make_forecast((0, 1, 10.0), kind=kind)])

    assert known.has_limits(GROUP) is limits
    assert known.edges_s().tolist() == ([at(0).timestamp(), at(1).timestamp()] if limits else [])


def test_past_blocks_are_kept_and_do_not_matter() -> None:
    """A block that began before the grid holds in its first step; one that ended before it holds nowhere."""
    known = CapacityForecasts.from_messages([make_forecast((-5, -4, 9.0), (-1, 2, 50.0))])

    assert known.capacity_on(hourly_grid(1, 2), GROUP, CapacityKind.CONSUMPTION).tolist() == [50.0]
    assert pieces_of(known) == [(-5, -4, 9.0), (-1, 2, 50.0)]


def test_phases_are_limited_apart() -> None:
    """A limit on one phase says nothing of the sum, nor of another phase."""
    known = CapacityForecasts.from_messages([make_forecast((0, 1, 10.0), phase=Phase.ONE)])
    grid = hourly_grid(0, 1)

    assert known.import_capacity_on(grid, GROUP, Phase.ONE).tolist() == [10.0]
    assert np.isnan(known.import_capacity_on(grid, GROUP)).all()
    assert np.isnan(known.import_capacity_on(grid, GROUP, Phase.TWO)).all()


@pytest.mark.parametrize("capacity_kw", [-0.1, math.nan, math.inf])
def test_capacity_is_finite_and_not_negative(capacity_kw: float) -> None:
    """A capacity is a number of kW from zero up."""
    with pytest.raises(InputError, match="must be finite and not negative"):
        make_forecast((0, 1, capacity_kw))


def test_block_ends_after_its_start() -> None:
    """An empty block states nothing."""
    with pytest.raises(InputError, match="is not after start_time"):
        make_forecast((1, 1, 5.0))


def test_naive_instant_is_refused() -> None:
    """An instant without a time zone is not an instant."""
    with pytest.raises(InputError, match="start_time 2026-12-01T00:00:00 has no time zone"):
        CapacityBlock(start=at(0).replace(tzinfo=None), end=at(1), capacity_kw=1.0)


def test_forecast_without_blocks_is_refused() -> None:
    """A message states at least one block."""
    with pytest.raises(InputError, match="has no blocks"):
        make_forecast()


def test_the_hour_that_comes_twice() -> None:
    """When summer time ends, 02:00 to 03:00 comes twice on the wall: two blocks of an hour, in their order of time."""
    zone = ZoneInfo("Europe/Amsterdam")
    first = datetime(2026, 10, 25, 2, tzinfo=zone)
    second = first.replace(fold=1)
    third = datetime(2026, 10, 25, 3, tzinfo=zone)

    known = CapacityForecasts.from_messages(
        [
            CapacityForecast(
                group_id=GROUP,
                kind=CapacityKind.CONSUMPTION,
                blocks=(
                    CapacityBlock(start=second, end=third, capacity_kw=2.0),
                    CapacityBlock(start=first, end=second, capacity_kw=1.0),
                ),
            )
        ]
    )

    blocks = known.blocks(GROUP, CapacityKind.CONSUMPTION)
    assert [(block.start.hour, block.end.hour, block.capacity_kw) for block in blocks] == [(0, 1, 1.0), (1, 2, 2.0)]


Minutes = tuple[int, int, int]
"""Start and length in minutes, capacity in kW."""

message_blocks = st.lists(
    st.tuples(st.integers(0, HORIZON_MINUTES - 1), st.integers(1, 30), st.integers(0, 5)), min_size=1, max_size=8
)


def expected_kw(messages: list[list[Minutes]], minute: int, kind: CapacityKind) -> float:
    """Capacity within one minute by the words of the rule: that of the last message covering it, there the lowest."""
    for message in reversed(messages):
        covering = [kw for start, length, kw in message if start <= minute < start + length]
        if covering:
            return float(covering[-1] if kind is CapacityKind.OPTIMUM else min(covering))
    return math.nan


@given(
    messages=st.lists(message_blocks, min_size=1, max_size=6),
    kind=st.sampled_from([CapacityKind.CONSUMPTION, CapacityKind.GENERATION, CapacityKind.OPTIMUM]),
)
def test_each_instant_follows_the_last_message_that_covers_it(
    messages: list[list[Minutes]], kind: CapacityKind
) -> None:
    """Whatever is sent: the blocks that hold are in order and do not overlap, and in each minute the value is that of
    the last message covering it (of its blocks the lowest, for OPTIMUM the last), or none.
    """
    known = CapacityForecasts.from_messages(
        make_forecast(*((start / 60, (start + length) / 60, float(kw)) for start, length, kw in message), kind=kind)
        for message in messages
    )
    grid = TimeGrid.build(at(0), at(2), raster=timedelta(minutes=1))

    blocks = known.blocks(GROUP, kind)
    assert all(earlier.end <= later.start for earlier, later in pairwise(blocks))
    np.testing.assert_array_equal(
        known.capacity_on(grid, GROUP, kind),
        [expected_kw(messages, minute, kind) for minute in range(grid.steps)],
    )
