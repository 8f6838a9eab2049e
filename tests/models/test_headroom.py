"""What limits leave for the chargers once the load they count too is taken off."""

from __future__ import annotations

import pytest

from models.domain import CapacityForecasts, CapacityGroup, CapacityKind, LimitCounts, Phase
from models.domain.headroom import headroom, total_load_kw
from tests.builders import make_forecast, make_site

TOTAL = CapacityGroup(group_id="main", import_limit_kw=100.0, limit_counts=LimitCounts.TOTAL)


def capacities(forecasts: CapacityForecasts, kind: CapacityKind, phase: Phase = Phase.ALL) -> list[float]:
    """The capacities of group main, kW, in order of time."""
    return [block.capacity_kw for block in forecasts.blocks("main", kind, phase)]


@pytest.mark.parametrize("kind", [CapacityKind.CONSUMPTION, CapacityKind.FALLBACK_CONSUMPTION])
def test_load_is_taken_off(kind: CapacityKind) -> None:
    """30 kW of load leave 70 of 100 kW, 20 of 50 kW, and nothing of 20 kW."""
    forecasts = CapacityForecasts.from_messages([make_forecast((50.0, 20.0), kind=kind)])

    site, left = headroom(make_site(groups=[TOTAL]), forecasts, {"main": 30.0})

    assert site.groups[0].import_limit_kw == 70.0
    assert capacities(left, kind) == [20.0, 0.0]


def test_generation_is_added() -> None:
    """10 kW from the roof make 60 of 50 kW."""
    forecasts = CapacityForecasts.from_messages([make_forecast((50.0,))])

    _, left = headroom(make_site(groups=[TOTAL]), forecasts, {"main": -10.0})

    assert capacities(left, CapacityKind.CONSUMPTION) == [60.0]


def test_a_phase_loses_all_of_a_load_and_gains_nothing() -> None:
    """Which phase a load is on is not known: 6 kW are taken off each, 6 kW of generation are added to none."""
    forecasts = CapacityForecasts.from_messages([make_forecast((10.0,), phase=Phase.ONE)])
    site = make_site(groups=[TOTAL])

    _, loaded = headroom(site, forecasts, {"main": 6.0})
    _, generating = headroom(site, forecasts, {"main": -6.0})

    assert capacities(loaded, CapacityKind.CONSUMPTION, Phase.ONE) == [4.0]
    assert capacities(generating, CapacityKind.CONSUMPTION, Phase.ONE) == [10.0]


def test_what_does_not_count_the_load_is_left_alone() -> None:
    """A limit of the flexible assets, the feed-in, and the wish of a peer."""
    flexible = make_site()
    forecasts = CapacityForecasts.from_messages(
        [make_forecast(kind=CapacityKind.GENERATION), make_forecast(kind=CapacityKind.OPTIMUM)]
    )

    assert headroom(flexible, forecasts, {"main": 30.0}) == (flexible, forecasts)
    _, left = headroom(make_site(groups=[TOTAL]), forecasts, {"main": 30.0})
    assert dict(left.series) == dict(forecasts.series)


def test_loads_add_up_to_the_root_unless_measured() -> None:
    """5 + 7 kW below, 3 kW of its own: 15 kW at the root; a row measured as a whole counts 1 kW instead of its 7."""
    site = make_site(
        groups=[
            CapacityGroup(group_id="row-2", parent_id="root"),
            CapacityGroup(group_id="root"),
            CapacityGroup(group_id="row-1", parent_id="root"),
        ],
        chargers=[],
    )
    own = {"row-1": 5.0, "row-2": 7.0, "root": 3.0}

    assert total_load_kw(site, own, {}) == {"row-1": 5.0, "row-2": 7.0, "root": 15.0}
    assert total_load_kw(site, own, {"row-2": 1.0})["root"] == 9.0
    assert total_load_kw(site, own, {"root": 50.0}) == {"row-1": 5.0, "row-2": 7.0, "root": 50.0}
