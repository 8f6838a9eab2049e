"""What is handed to acnportal's simulator, and what it says of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.full.environments import FOLDER
from benchmarks.judge import Network, Replay, judged, pilots
from models.domain import Schedule
from optimizer import optimize
from optimizer.options import OptimizeOptions, Strategy
from tests.builders import HOUR, MORNING, make_charger, make_scenario, make_session, make_site

CHARGER = "AG-1F10"
WITH_SIMULATOR = pytest.mark.skipif(
    not (FOLDER / "acnportal" / ".installed").exists(),
    reason="make quality puts acnportal into an environment of its own",
)


def hour_at(power_kw: float) -> Schedule:
    """One vehicle at one charger of JPL that takes some power for an hour, in steps of a quarter."""
    site = make_site(chargers=(make_charger(CHARGER, max_power_kw=6.656),))
    session = make_session("S1", charger_id=CHARGER, departure=MORNING + HOUR, energy_kwh=power_kw, max_power_kw=6.656)
    return optimize(make_scenario(site=site, sessions=(session,)), OptimizeOptions(strategy=Strategy.UNCONTROLLED))


def test_a_row_is_a_pilot() -> None:
    """3.328 kW for an hour at 208 V is 16 A; uncontrolled, 6.656 kW for half an hour, 32 A for 30 minutes."""
    schedule = hour_at(3.328)

    rows = list(pilots(Replay(schedule=schedule), MORNING.timestamp()))

    assert sum((end - begin) * current_a for _, begin, end, current_a in rows) == pytest.approx(32 * 30)
    assert [current_a for *_, current_a in rows] == pytest.approx([32.0] * len(rows))


def test_a_power_between_levels_is_the_higher_one_for_less_long() -> None:
    """A quarter of an hour at 2.08 kW on the mean is 10 minutes at 3.12 kW where the charger has 1.248 and 3.12 kW."""
    schedule = hour_at(6.656)
    schedule = replace(schedule, power_kw=np.full_like(schedule.power_kw, 2.08))
    levels_kw = {CHARGER: (1.248, 3.12)}

    rows = list(pilots(Replay(schedule=schedule, levels_kw=levels_kw), MORNING.timestamp()))

    assert [(begin, end) for _, begin, end, _ in rows] == [(0, 10), (15, 25), (30, 40), (45, 55)]
    assert [current_a for *_, current_a in rows] == pytest.approx([15.0] * 4)


@WITH_SIMULATOR
def test_the_simulator_delivers_what_the_plan_gives() -> None:
    """3.328 kWh at 6.656 kW behind 10 kW: all of it, 6.656 kW at most, and no line over its limit."""
    (found,) = judged(Network(site="jpl", limit_kw=10.0, has_lines=False), [Replay(schedule=hour_at(3.328))])

    assert found.delivered_kwh == pytest.approx(3.328)
    assert found.peak_kw == pytest.approx(6.656)
    assert (found.sessions_served, found.minutes_over) == (1, 0)


@WITH_SIMULATOR
def test_the_simulator_finds_what_is_too_much() -> None:
    """6.656 kW behind 5 kW for half an hour: 30 minutes over the limit, by 33 %."""
    (found,) = judged(Network(site="jpl", limit_kw=5.0, has_lines=False), [Replay(schedule=hour_at(3.328))])

    assert found.minutes_over == 30
    assert found.worst_excess == pytest.approx(6.656 / 5 - 1)


@WITH_SIMULATOR
def test_the_simulator_refuses_a_pilot_that_the_charger_does_not_have() -> None:
    """The chargers of JPL have whole amperes from 6 on: 1.04 kW are 5 A."""
    replay = Replay(schedule=hour_at(1.04), levels_kw={CHARGER: (1.04, 6.656)})
    replay = replace(replay, schedule=replace(replay.schedule, power_kw=np.full_like(replay.schedule.power_kw, 1.04)))

    with pytest.raises(RuntimeError, match="not valid"):
        judged(Network(site="jpl", limit_kw=10.0, has_lines=True), [replay])
