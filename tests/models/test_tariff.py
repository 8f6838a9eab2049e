"""Prices: every instant has one, and only one."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from models.domain import EnergyTariff, PriceBlock, TimeGrid
from models.errors import InputError

MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)


def at(hour: float) -> datetime:
    """Some hours after midnight."""
    return MIDNIGHT + timedelta(hours=hour)


def make_price(start: float, end: float, price_per_kwh: float = 0.3) -> PriceBlock:
    """One price block."""
    return PriceBlock(start=at(start), end=at(end), import_price_per_kwh=price_per_kwh)


def make_grid(tariff: EnergyTariff, start: float, end: float) -> TimeGrid:
    """Hourly steps and the edges of the prices."""
    return TimeGrid.build(at(start), at(end), raster=timedelta(hours=1), extra_edges_s=tariff.edges_s())


def test_each_step_has_the_price_of_its_block() -> None:
    """A price holds from its start up to, not including, its end; blocks may come in any order and cut the steps."""
    tariff = EnergyTariff.from_blocks([make_price(1.5, 3, 0.2), make_price(0, 1.5, 0.4)])
    grid = make_grid(tariff, 0, 3)

    assert grid.step_hours.tolist() == [1.0, 0.5, 0.5, 1.0]
    assert tariff.import_price_on(grid).tolist() == [0.4, 0.4, 0.2, 0.2]


def test_price_may_be_negative() -> None:
    """On some days a kWh drawn is paid for."""
    tariff = EnergyTariff.from_blocks([make_price(0, 1, -0.05)])

    assert tariff.import_price_on(make_grid(tariff, 0, 1)).tolist() == [-0.05]


def test_gap_is_refused_and_named() -> None:
    """Prices from 0 to 1 and from 3 to 4 leave 01:00 to 03:00 open; no price is made up."""
    tariff = EnergyTariff.from_blocks([make_price(0, 1), make_price(3, 4)])

    with pytest.raises(InputError, match=r"no price from 2026-12-01T01:00:00\+00:00 to 2026-12-01T03:00:00\+00:00"):
        tariff.import_price_on(make_grid(tariff, 0, 4))


@pytest.mark.parametrize(
    ("blocks", "gap"),
    [
        ([(1, 2)], r"T00:00:00\+00:00 to 2026-12-01T01:00:00"),
        ([(0, 1)], r"T01:00:00\+00:00 to 2026-12-01T02:00:00"),
        ([], r"T00:00:00\+00:00 to 2026-12-01T02:00:00"),
    ],
    ids=["before the first", "after the last", "no price at all"],
)
def test_gap_at_an_end_is_refused(blocks: list[tuple[float, float]], gap: str) -> None:
    """The gap may also lie before the first price, after the last, or be the whole window."""
    tariff = EnergyTariff.from_blocks([make_price(start, end) for start, end in blocks])

    with pytest.raises(InputError, match=f"no price from 2026-12-01{gap}"):
        tariff.import_price_on(make_grid(tariff, 0, 2))


def test_overlap_is_refused_and_named() -> None:
    """No instant has two prices, not even two equal ones."""
    with pytest.raises(InputError, match=r"from 2026-12-01T01:00:00\+00:00 overlaps"):
        EnergyTariff.from_blocks([make_price(0, 2), make_price(1, 3)])


def test_blocks_that_touch_do_not_overlap() -> None:
    """The end of a block is not part of it."""
    tariff = EnergyTariff.from_blocks([make_price(0, 1), make_price(1, 2)])

    assert tariff.edges_s().tolist() == [at(0).timestamp(), at(1).timestamp(), at(1).timestamp(), at(2).timestamp()]


def test_the_hour_that_comes_twice_has_two_prices() -> None:
    """When summer time ends, 02:00 to 03:00 comes twice: from 02:00 to the second 02:00 is an hour, and what ends at
    the first 02:45 does not overlap what begins at the second 02:15, half an hour later.
    """
    zone = ZoneInfo("Europe/Amsterdam")
    at_two = datetime(2026, 10, 25, 2, tzinfo=zone)
    quarter_to = at_two.replace(minute=45)
    quarter_past = at_two.replace(minute=15, fold=1)

    hour = EnergyTariff.from_blocks([PriceBlock(start=at_two, end=at_two.replace(fold=1), import_price_per_kwh=0.1)])
    apart = EnergyTariff.from_blocks(
        [
            PriceBlock(start=at_two, end=quarter_to, import_price_per_kwh=0.1),
            PriceBlock(start=quarter_past, end=at_two.replace(hour=3), import_price_per_kwh=0.2),
        ]
    )

    assert (hour.end_s - hour.start_s).tolist() == [3600.0]
    assert apart.start_s[1] - apart.end_s[0] == 1800.0


@pytest.mark.parametrize("price_per_kwh", [math.nan, math.inf, -math.inf])
def test_price_is_a_finite_number(price_per_kwh: float) -> None:
    """A price that is no number would make the whole plan none."""
    with pytest.raises(InputError, match="not a finite number"):
        make_price(0, 1, price_per_kwh)
    with pytest.raises(InputError, match="not a finite number"):
        PriceBlock(start=at(0), end=at(1), import_price_per_kwh=0.3, export_price_per_kwh=price_per_kwh)


def test_price_block_ends_after_its_start() -> None:
    """An empty block states no price."""
    with pytest.raises(InputError, match="is not after its start"):
        make_price(1, 1)


def test_naive_instant_is_refused() -> None:
    """An instant without a time zone is not an instant."""
    with pytest.raises(InputError, match="has no time zone"):
        PriceBlock(start=at(0).replace(tzinfo=None), end=at(1), import_price_per_kwh=0.3)


MORNING, HOUR = at(8), timedelta(hours=1)


def tariff_of(hours: float) -> EnergyTariff:
    """0.2 for the hour from 08:00, 0.3 for the next, some hours later."""
    return EnergyTariff.from_blocks([make_price(8 + hours, 9 + hours, 0.2), make_price(9 + hours, 10 + hours, 0.3)])


class TestExtended:
    """A window reaches further than prices are known."""

    def test_known_prices_stay(self) -> None:
        """Where every instant has a price, nothing is made up."""
        tariff = tariff_of(0)

        extended, note = tariff.extended(MORNING.timestamp(), (MORNING + 2 * HOUR).timestamp(), UTC)

        assert extended is tariff
        assert not note

    def test_the_day_before_stands_in(self) -> None:
        """08:00 to 10:00 is known: 08:00 to 10:00 of the next day costs the same, 10:00 to 08:00 the mean of 0.25."""
        tariff = tariff_of(0)
        end = MORNING + 26 * HOUR

        extended, note = tariff.extended(MORNING.timestamp(), end.timestamp(), UTC)

        grid = TimeGrid.build(MORNING, end, raster=HOUR, extra_edges_s=extended.edges_s())
        prices = extended.import_price_on(grid)
        assert prices[:2].tolist() == [0.2, 0.3]
        assert prices[2:24] == pytest.approx(0.25)
        assert prices[24:].tolist() == [0.2, 0.3]
        assert "24 h" in note

    def test_a_later_day_stands_in_for_an_earlier_one(self) -> None:
        """The window begins before the first price."""
        tariff = tariff_of(24)

        extended, _ = tariff.extended(MORNING.timestamp(), (MORNING + 2 * HOUR).timestamp(), UTC)

        grid = TimeGrid.build(MORNING, MORNING + 2 * HOUR, raster=HOUR)
        assert extended.import_price_on(grid).tolist() == [0.2, 0.3]

    def test_a_gap_inside_is_filled(self) -> None:
        """Prices at 08:00 and 10:00, none at 09:00: the mean of the two."""
        blocks = [
            PriceBlock(start=MORNING, end=MORNING + HOUR, import_price_per_kwh=0.1),
            PriceBlock(start=MORNING + 2 * HOUR, end=MORNING + 3 * HOUR, import_price_per_kwh=0.3),
        ]

        extended, note = EnergyTariff.from_blocks(blocks).extended(
            MORNING.timestamp(), (MORNING + 3 * HOUR).timestamp(), UTC
        )

        grid = TimeGrid.build(MORNING, MORNING + 3 * HOUR, raster=HOUR)
        assert extended.import_price_on(grid) == pytest.approx([0.1, 0.2, 0.3])
        assert "1 h" in note
