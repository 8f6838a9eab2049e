"""OPTIMUM messages of OSCP 2.0: how a plan answers the forecasts it was made under."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain import (
    CapacityBlock,
    CapacityForecast,
    CapacityForecasts,
    CapacityGroup,
    CapacityKind,
    CapacityUnit,
    Charger,
    ChargingSession,
    Phase,
    Schedule,
    ScheduleStatus,
    SessionResult,
    Site,
    TimeGrid,
)
from models.errors import InputError
from models.oscp.v20 import (
    MAX_BLOCKS,
    CapacityForecastType,
    UpdateGroupCapacityForecast,
    to_capacity_forecast,
    to_optimum_messages,
)
from tests.models.oscp_forecast import MIDNIGHT, PHASES, at, make_block, make_body, read

Row = tuple[str, float, float, float]
"""A charger, start and end in hours after midnight, kW."""


def make_site(*chargers: tuple[str, str, Phase]) -> Site:
    """A root with a hall, and a yard beside the hall."""
    return Site(
        site_id="site",
        groups=(
            CapacityGroup(group_id="root"),
            CapacityGroup(group_id="hall", parent_id="root"),
            CapacityGroup(group_id="yard", parent_id="root"),
        ),
        chargers=tuple(
            Charger(charger_id=charger_id, group_id=group_id, max_power_kw=22.0, phases=phases)
            for charger_id, group_id, phases in chargers
        ),
    )


def make_schedule(rows: Sequence[Row], *, start: float = 0, end: float = 2, step_minutes: int = 60) -> Schedule:
    """A plan with one session for each row; the values that no answer depends on are left at nothing."""
    grid = TimeGrid.build(at(start), at(end), raster=timedelta(minutes=step_minutes))
    begin_s = np.array([at(row[1]).timestamp() for row in rows])
    sessions = tuple(
        SessionResult(
            session=ChargingSession(
                session_id=f"s{index}", charger_id=charger_id, arrival=at(start), departure=at(end), energy_kwh=100.0
            ),
            delivered_energy_kwh=0.0,
            unmet_energy_kwh=0.0,
            unreachable_energy_kwh=0.0,
        )
        for index, (charger_id, _, _, _) in enumerate(rows)
    )
    return Schedule(
        grid=grid,
        sessions=sessions,
        session_index=np.arange(len(rows)),
        step_index=np.searchsorted(grid.edges_s, begin_s, side="right") - 1,
        start_s=begin_s,
        end_s=np.array([at(row[2]).timestamp() for row in rows]),
        power_kw=np.array([row[3] for row in rows], dtype=float),
        groups=(),
        price_per_kwh=None,
        energy_cost=0.0,
        peak_import_kw=0.0,
        status=ScheduleStatus.OPTIMAL,
        strategy="test",
    )


def stated(
    *pieces: tuple[float, float, float],
    group_id: str = "root",
    kind: CapacityKind = CapacityKind.CONSUMPTION,
    phase: Phase = Phase.ALL,
    unit: CapacityUnit = CapacityUnit.KW,
) -> CapacityForecast:
    """One message in the domain, a block for each (start, end, kW)."""
    blocks = tuple(
        CapacityBlock(start=at(start), end=at(end), capacity_kw=capacity_kw, phase=phase, unit=unit)
        for start, end, capacity_kw in pieces
    )
    return CapacityForecast(group_id=group_id, kind=kind, blocks=blocks)


def answer(
    rows: Sequence[Row],
    *forecasts: CapacityForecast,
    site: Site | None = None,
    window: tuple[float, float] | None = None,
    schedule: Schedule | None = None,
) -> list[UpdateGroupCapacityForecast]:
    """The answers of a plan to some forecasts, at a site with one balanced charger unless told."""
    return to_optimum_messages(
        schedule or make_schedule(rows),
        site or make_site(("c", "root", Phase.ALL)),
        CapacityForecasts.from_messages(forecasts),
        window=window and (at(window[0]), at(window[1])),
    )


def values(message: UpdateGroupCapacityForecast) -> list[float]:
    """The numbers of a message."""
    return [block.capacity for block in message.forecasted_blocks]


def hours(message: UpdateGroupCapacityForecast) -> list[tuple[float, float]]:
    """Start and end of each block, hours after midnight."""
    hour = timedelta(hours=1)
    return [
        ((block.start_time - MIDNIGHT) / hour, (block.end_time - MIDNIGHT) / hour)
        for block in message.forecasted_blocks
    ]


def test_answer_is_the_mean_power_in_each_block() -> None:
    """10 kW for half of the first hour are 5 kW over it; 6 kW all the second hour are 6 kW."""
    (message,) = answer([("c", 0, 0.5, 10.0), ("c", 1, 2, 6.0)], stated((0, 1, 50.0), (1, 2, 50.0)))

    assert (message.group_id, message.type) == ("root", CapacityForecastType.OPTIMUM)
    assert values(message) == [5.0, 6.0]
    assert hours(message) == [(0, 1), (1, 2)]


def test_answer_is_on_the_blocks_that_hold() -> None:
    """After a day's block and a later one within it the answer has three blocks, in order of time."""
    (message,) = answer([("c", 0, 2, 8.0)], stated((0, 2, 50.0)), stated((0.5, 1, 3.0)))

    assert hours(message) == [(0, 0.5), (0.5, 1), (1, 2)]
    assert values(message) == [8.0, 3.0, 8.0]


def test_power_is_split_over_the_blocks_a_row_straddles() -> None:
    """12 kW from 00:30 to 01:30 put 6 kWh into each hour: the part of a row in a block counts there."""
    (message,) = answer([("c", 0.5, 1.5, 12.0)], stated((0, 1, 50.0), (1, 2, 50.0)))

    assert values(message) == [6.0, 6.0]


def test_group_counts_all_below_it() -> None:
    """A group's power is that of the chargers on it and on the groups below: 7 + 4 at the root, 4 in the hall."""
    site = make_site(("c", "root", Phase.ALL), ("d", "hall", Phase.ALL))

    messages = answer(
        [("c", 0, 1, 7.0), ("d", 0, 1, 4.0)],
        stated((0, 1, 50.0), group_id="yard"),
        stated((0, 1, 50.0), group_id="hall"),
        stated((0, 1, 50.0)),
        site=site,
    )

    assert [(message.group_id, values(message)) for message in messages] == [
        ("root", [11.0]),
        ("hall", [4.0]),
        ("yard", [0.0]),
    ]


def test_group_without_import_forecast_gets_no_answer() -> None:
    """What was said of generation, or by an optimum, asks for no answer; nor does silence."""
    messages = answer(
        [("c", 0, 1, 7.0)],
        stated((0, 1, 50.0), kind=CapacityKind.GENERATION),
        stated((0, 1, 50.0), kind=CapacityKind.FALLBACK_GENERATION),
        stated((0, 1, 50.0), kind=CapacityKind.OPTIMUM, group_id="hall"),
    )

    assert messages == []


def test_fallback_is_answered_only_where_there_is_nothing_else() -> None:
    """A group that has CONSUMPTION is answered on it alone; one that has only FALLBACK_CONSUMPTION, on that."""
    fallback = CapacityKind.FALLBACK_CONSUMPTION

    only_fallback = answer([("c", 0, 1, 7.0)], stated((0, 2, 50.0), kind=fallback))
    both = answer([("c", 0, 1, 7.0)], stated((0, 2, 50.0), kind=fallback), stated((0, 1, 50.0)))

    assert [(hours(message), values(message)) for message in only_fallback] == [([(0, 2)], [3.5])]
    assert [(hours(message), values(message)) for message in both] == [([(0, 1)], [7.0])]


def test_without_a_window_all_blocks_are_answered() -> None:
    """Blocks before and after the plan are answered with zero."""
    (message,) = answer([("c", 0, 2, 8.0)], stated((-1, 0, 50.0), (0, 2, 50.0), (2, 3, 50.0)))

    assert hours(message) == [(-1, 0), (0, 2), (2, 3)]
    assert values(message) == [0.0, 8.0, 0.0]


def test_block_partly_outside_the_plan_is_answered_by_its_part_inside() -> None:
    """A plan from 00:00 says 8 kW; of the block from 23:00 to 01:00 only the hour inside counts: 8 kW, not 4."""
    (message,) = answer([("c", 0, 2, 8.0)], stated((-1, 1, 50.0)))

    assert hours(message) == [(-1, 1)]
    assert values(message) == [8.0]


def test_window_cuts_and_leaves_out() -> None:
    """In the window 00:30 to 01:30 the block before is left out and those across its ends are cut; 4 kW in the first
    half hour do not count, 8 kW in the second do.
    """
    (message,) = answer(
        [("c", 0, 0.5, 4.0), ("c", 0.5, 2, 8.0)],
        stated((-1, 0, 50.0), (0, 1, 50.0), (1, 2, 50.0), (2, 3, 50.0)),
        window=(0.5, 1.5),
    )

    assert hours(message) == [(0.5, 1), (1, 1.5)]
    assert values(message) == [8.0, 8.0]


def test_no_message_where_the_window_leaves_no_block() -> None:
    """A message needs a block: a group whose blocks all lie outside the window gets none."""
    assert answer([("c", 0, 2, 8.0)], stated((2, 3, 50.0)), window=(0, 2)) == []


def test_window_needs_a_time_zone() -> None:
    """A window without a time zone is refused, not read in the machine's own."""
    naive = (at(0).replace(tzinfo=None), at(1).replace(tzinfo=None))

    with pytest.raises(InputError, match="window 2026-12-01T00:00:00 has no time zone"):
        to_optimum_messages(
            make_schedule([]),
            make_site(),
            CapacityForecasts.from_messages([stated((0, 1, 5.0))]),
            window=naive,
        )


def test_block_too_short_to_be_written_is_left_out() -> None:
    """Half a millisecond would be written with its end at its start, which no peer may take."""
    half_a_millisecond = 0.0005 / 3600

    (message,) = answer([("c", 0, 2, 8.0)], stated((0, half_a_millisecond, 50.0), (1, 2, 50.0)))

    assert hours(message) == [(1, 2)]


@pytest.mark.parametrize(
    ("unit", "phase", "value"),
    [
        (CapacityUnit.KW, Phase.ALL, 6.9),
        (CapacityUnit.W, Phase.ALL, 6_900.0),
        (CapacityUnit.A, Phase.ALL, 10.0),
        (CapacityUnit.A, Phase.UNKNOWN, 10.0),
        (CapacityUnit.A, Phase.ONE, 10.0),
        (CapacityUnit.KWH, Phase.ALL, 3.45),
        (CapacityUnit.WH, Phase.ALL, 3_450.0),
        (CapacityUnit.KW, Phase.TWO, 2.3),
    ],
)
def test_answer_is_in_the_unit_and_phase_of_the_block(unit: CapacityUnit, phase: Phase, value: float) -> None:
    """6.9 kW on three phases for half an hour: 10 A on each conductor, 2.3 kW on one phase, 3.45 kWh."""
    (message,) = answer([("c", 0, 0.5, 6.9)], stated((0, 0.5, 50.0), unit=unit, phase=phase))

    (block,) = message.forecasted_blocks
    assert block.capacity == value
    assert (block.unit.value, block.phase.value) == (unit.value, phase.value)


@pytest.mark.parametrize(
    ("phases", "on_each"),
    [
        (Phase.ALL, [3.0, 3.0, 3.0]),
        (Phase.ONE, [9.0, 0.0, 0.0]),
        (Phase.TWO, [0.0, 9.0, 0.0]),
        (Phase.THREE, [0.0, 0.0, 9.0]),
        (Phase.UNKNOWN, [9.0, 9.0, 9.0]),
    ],
)
def test_answer_for_a_phase_is_what_the_plan_loads_on_it(phases: Phase, on_each: list[float]) -> None:
    """9 kW: a third on each phase where balanced, all on its own where single, in full on each where not known."""
    (message,) = answer(
        [("c", 0, 1, 9.0)],
        *(stated((0, 1, 50.0), phase=Phase(phase)) for phase in PHASES),
        site=make_site(("c", "root", phases)),
    )

    assert [(block.phase.value, block.capacity) for block in message.forecasted_blocks] == list(
        zip(PHASES, on_each, strict=True)
    )


def test_sum_and_phases_are_answered_in_one_message() -> None:
    """Blocks of all phases of a group are one message, in order of time."""
    (message,) = answer(
        [("c", 0, 2, 9.0)],
        stated((0, 1, 50.0), (1, 2, 50.0), phase=Phase.ONE),
        stated((0, 1, 50.0), (1, 2, 50.0)),
    )

    assert hours(message) == [(0, 1), (0, 1), (1, 2), (1, 2)]
    assert values(message) == [3.0, 9.0, 3.0, 9.0]


def test_cut_block_of_energy_is_answered_with_the_energy_of_its_rest() -> None:
    """20 kWh for an hour, cut to its second half, allow 10 kWh; 8 kW planned there are 4 kWh, 30 kW would be 10 kWh."""
    budget = stated((0, 1, 20.0), unit=CapacityUnit.KWH)

    (within,) = answer([("c", 0.5, 1, 8.0)], budget, window=(0.5, 1))
    (above,) = answer([("c", 0.5, 1, 30.0)], budget, window=(0.5, 1))

    assert (values(within), values(above)) == ([4.0], [10.0])


@pytest.mark.parametrize(
    ("limit_kw", "value"),
    [(10.0, 10.0), (96.25, 96.25), (10.0006, 10.0), (0.0, 0.0), (9.9999999999, 9.999)],
)
def test_answer_never_exceeds_the_block(limit_kw: float, value: float) -> None:
    """A plan a hair above its limit is answered with the limit, rounded down: 10.0006 kW gives 10.000, not 10.001."""
    (message,) = answer([("c", 0, 1, limit_kw + 1e-7)], stated((0, 1, limit_kw)))

    assert values(message) == [value]


def test_sums_of_many_rows_do_not_cost_a_thousandth() -> None:
    """0.1, 2.3 and 7.7 kW in each of 96 quarters are 10.1 kW in each, though sums of floats end in ...99 at times."""
    quarters = [(quarter / 4, (quarter + 1) / 4) for quarter in range(96)]
    rows = [("c", start, end, power_kw) for start, end in quarters for power_kw in (0.1, 2.3, 7.7)]

    (message,) = answer(
        [], stated(*((start, end, 50.0) for start, end in quarters)), schedule=make_schedule(rows, end=24)
    )

    assert values(message) == [10.1] * 96


def test_noise_of_a_solver_does_not_cost_a_thousandth() -> None:
    """A plan is known to a millionth: 10.09999999 kW are 10.1 kW, 10.09999 kW are 10.099 kW."""
    (message,) = answer([("c", 0, 1, 10.09999999), ("c", 1, 2, 10.09999)], stated((0, 1, 50.0), (1, 2, 50.0)))

    assert values(message) == [10.1, 10.099]


@pytest.mark.parametrize("unit", CapacityUnit)
@pytest.mark.parametrize("phase", Phase)
def test_limit_in_full_use_is_answered_with_the_number_that_was_sent(unit: CapacityUnit, phase: Phase) -> None:
    """A capacity of three decimals survives the way to kW and back to the last digit when the plan uses all of it."""
    numbers = [0.001, 0.29, 1.001, 16.667, 63, 110.5, 99_999.999]
    for number in numbers:
        body = make_body(make_block(capacity=number, unit=unit.value, phase=phase.value), group_id="root")
        forecast = to_capacity_forecast(read(body), voltage_v=230.0)

        (message,) = answer([("c", 0, 0.25, 1e9)], forecast)

        assert values(message) == [number]


def test_empty_plan_is_answered_with_zero() -> None:
    """A plan without sessions answers each block with zero."""
    (message,) = answer([], stated((0, 1, 50.0), (1, 2, 50.0)))

    assert values(message) == [0.0, 0.0]


def test_more_blocks_than_a_message_holds_make_a_second_message() -> None:
    """The limit on what we read holds for what we write: 10,001 minutes are answered in two messages."""
    minutes = [(minute / 60, (minute + 1) / 60, 50.0) for minute in range(MAX_BLOCKS + 1)]

    messages = answer([("c", 0, 2, 8.0)], stated(*minutes))

    assert [len(message.forecasted_blocks) for message in messages] == [MAX_BLOCKS, 1]


def test_answers_can_be_written() -> None:
    """An answer is written as the standard's message."""
    (message,) = answer([("c", 0, 2, 8.1)], stated((0, 0.25, 50.0)))

    assert message.model_dump(mode="json") == make_body(make_block(capacity=8.1), group_id="root", type="OPTIMUM")


rows_strategy = st.lists(st.tuples(st.integers(0, 119), st.integers(1, 60), st.floats(0, 50)), min_size=0, max_size=8)
cuts_strategy = st.lists(st.integers(-30, 150), min_size=2, max_size=8, unique=True)


@given(rows=rows_strategy, cuts=cuts_strategy, capacity_kw=st.floats(0, 200), unit=st.sampled_from(CapacityUnit))
def test_answer_by_the_words_of_the_rule(
    rows: list[tuple[int, int, float]], cuts: list[int], capacity_kw: float, unit: CapacityUnit
) -> None:
    """Whatever the plan and the blocks: the value is the energy of all rows within the block, row by row, over its
    hours inside the plan; less than a thousandth below the lower of plan and limit, and above neither.
    """
    plan = [("c", start / 60, min(start + length, 120) / 60, power_kw) for start, length, power_kw in rows]
    edges = sorted(cuts)
    pieces = [(start / 60, end / 60, capacity_kw) for start, end in pairwise(edges)]
    per_kw = {"KW": 1.0, "W": 1000.0, "A": 1000.0 / 690.0, "KWH": 0.0, "WH": 0.0}[unit.value]

    (message,) = answer(plan, stated(*pieces, unit=unit))

    for (start, end, _), value in zip(pieces, values(message), strict=True):
        energy_kwh = sum(
            power_kw * max(0.0, min(end, row_end) - max(start, row_start)) for _, row_start, row_end, power_kw in plan
        )
        inside = max(0.0, min(end, 2.0) - max(start, 0.0))
        if unit in (CapacityUnit.KWH, CapacityUnit.WH):
            scale = 1000.0 if unit is CapacityUnit.WH else 1.0
            planned, limit = energy_kwh * scale, capacity_kw * (end - start) * scale
        else:
            planned, limit = (energy_kwh / inside if inside else 0.0) * per_kw, capacity_kw * per_kw
        assert value <= limit * (1 + 1e-9)
        assert value <= planned + 1e-6
        assert value >= min(planned, limit) - 0.0011
