"""Why a session goes short, by cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from models.domain.capacity import Phase
from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.domain.why import ReasonCode
from optimizer.engine import optimize
from optimizer.explain import explain
from optimizer.options import OptimizeOptions, Strategy
from optimizer.prepare import prepare
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_forecast,
    make_one_limit,
    make_scenario,
    make_session,
    make_site,
)

HOURLY = OptimizeOptions(raster=HOUR)
"""The site is in Amsterdam, where `MORNING` is 09:00."""


def reasons(scenario: Scenario, options: OptimizeOptions = HOURLY) -> dict[str, str]:
    """The reason of each session in the optimum."""
    return {result.session.session_id: result.reason for result in optimize(scenario, options).sessions}


def test_who_is_served_has_no_reason() -> None:
    """10 kWh asked for and given: nothing to explain."""
    assert reasons(make_one_limit(50.0, [make_session()])) == {"S1": ""}


def test_a_stay_too_short_is_named() -> None:
    """50 kWh in two hours at 22 kW: 6 kWh are out of reach although nothing else is short."""
    assert reasons(make_one_limit(None, [make_session(energy_kwh=50.0)])) == {"S1": "departure too early"}


def test_the_limit_and_its_hours_are_named() -> None:
    """3 kW for two hours do not give 10 kWh: the group's limit is full from 09:00 to 11:00."""
    assert reasons(make_one_limit(3.0, [make_session()])) == {"S1": "group main limit 09:00-11:00"}


def test_both_reasons_are_named() -> None:
    """50 kWh asked for, 44 in reach, 6 given."""
    assert reasons(make_one_limit(3.0, [make_session(energy_kwh=50.0)])) == {
        "S1": "departure too early; group main limit 09:00-11:00"
    }


def test_only_hours_in_which_the_limit_is_full_are_named() -> None:
    """Forecasts of 22, 3, 22 and 3 kW for 60 kWh at 22 kW: the limit binds in the second and the fourth hour, in the
    others the charger does.
    """
    scenario = make_one_limit(None, [make_session(departure=MORNING + 4 * HOUR, energy_kwh=60.0)])
    scenario = make_scenario(
        site=scenario.site, sessions=scenario.sessions, forecasts=[make_forecast((22.0, 3.0, 22.0, 3.0))]
    )

    assert reasons(scenario) == {"S1": "group main limit 10:00-11:00, 12:00-13:00"}


def test_more_than_three_stretches_are_counted() -> None:
    """3 kW in every other of ten hours: three stretches in full, two counted."""
    hours = (3.0, 22.0) * 5
    scenario = make_one_limit(None, [make_session(departure=MORNING + 10 * HOUR, energy_kwh=200.0)])
    scenario = make_scenario(site=scenario.site, sessions=scenario.sessions, forecasts=[make_forecast(hours)])

    assert reasons(scenario) == {"S1": "group main limit 09:00-10:00, 11:00-12:00, 13:00-14:00 and 2 more"}


@pytest.mark.parametrize(
    ("root_kw", "leaf_kw", "expected"),
    [
        (50.0, 3.0, "group leaf limit 09:00-11:00"),
        (3.0, 50.0, "group root limit 09:00-11:00"),
        (3.0, 3.0, "group leaf limit 09:00-11:00; group root limit 09:00-11:00"),
    ],
    ids=["child", "parent", "both"],
)
def test_the_level_that_binds_is_named(root_kw: float, leaf_kw: float, expected: str) -> None:
    """Of a leaf under a root, the one that is full; both where both are."""
    site = make_site(
        groups=[
            CapacityGroup(group_id="leaf", parent_id="root", import_limit_kw=leaf_kw),
            CapacityGroup(group_id="root", import_limit_kw=root_kw),
        ],
        chargers=[make_charger(group_id="leaf")],
    )

    assert reasons(make_scenario(site=site)) == {"S1": expected}


def test_a_phase_is_named() -> None:
    """2 kW on phase TWO hold down a charger on that phase."""
    site = make_site(chargers=[make_charger(phases=Phase.TWO)])
    scenario = make_scenario(site=site, forecasts=[make_forecast((2.0, 2.0), phase=Phase.TWO)])

    assert reasons(scenario) == {"S1": "group main phase TWO limit 09:00-11:00"}


def test_a_shared_charger_is_named() -> None:
    """Two at one charger of 22 kW for an hour, 20 kWh each: whoever goes short does so because of the charger."""
    sessions = [make_session(name, departure=MORNING + HOUR, energy_kwh=20.0) for name in ("A", "B")]

    found = reasons(make_scenario(sessions=sessions))

    assert set(found.values()) <= {"", "charger C1 limit 09:00-10:00"}
    assert "charger C1 limit 09:00-10:00" in found.values()


def test_who_is_outranked_is_told() -> None:
    """12 kWh for two who ask for 10: the one of priority 1 goes short under a limit that one of priority 2 uses."""
    sessions = [make_session(name, departure=MORNING + HOUR, priority=p) for name, p in (("A", 1.0), ("B", 2.0))]

    assert reasons(make_one_limit(12.0, sessions)) == {
        "A": "group main limit 09:00-10:00; outranked by priority",
        "B": "",
    }


def test_equals_are_not_outranked() -> None:
    """With equal priority, or where the higher one is not there while the limit is full, nobody is outranked."""
    equal = make_one_limit(12.0, [make_session(name, departure=MORNING + HOUR) for name in ("A", "B")])
    later = make_session("B", arrival=MORNING + HOUR, departure=MORNING + 2 * HOUR, priority=2.0)
    apart = make_one_limit(3.0, [make_session("A", departure=MORNING + HOUR), later])

    assert not any("outranked" in reason for reason in reasons(equal).values())
    assert reasons(apart)["A"] == "group main limit 09:00-10:00"


def test_room_left_by_a_heuristic_is_told() -> None:
    """A plan that gives nothing although 50 kW are free uses the room badly; no limit is to blame."""
    problem = prepare(make_one_limit(50.0, [make_session()]), HOURLY)

    (found,) = explain(problem, np.zeros(2), np.array([10.0]), np.array([0.0]))

    assert (found.text, found.codes) == ("not used by the strategy", [ReasonCode.STRATEGY])


def test_a_heuristic_within_a_full_limit_names_the_limit() -> None:
    """Equal shares of 12 kW leave both of 10 kWh short in the hour they have."""
    sessions = [make_session(name, departure=MORNING + HOUR) for name in ("A", "B")]

    found = reasons(make_one_limit(12.0, sessions), replace(HOURLY, strategy=Strategy.EQUAL_SHARE))

    assert found == dict.fromkeys(("A", "B"), "group main limit 09:00-10:00")


def test_over_several_days_the_date_is_named() -> None:
    """A plan that reaches into the next day says which day a stretch begins on."""
    late = MORNING + 13 * HOUR
    stay = make_session(arrival=late, departure=late + 4 * HOUR, energy_kwh=20.0)

    assert reasons(make_one_limit(3.0, [stay])) == {"S1": "group main limit 03-02 22:00-02:00"}


def test_a_day_that_ends_at_midnight_is_one_day() -> None:
    """Until midnight is still today: no date."""
    late = MORNING + 13 * HOUR
    stay = make_session(arrival=late, departure=late + 2 * HOUR, energy_kwh=20.0)

    assert reasons(make_one_limit(3.0, [stay])) == {"S1": "group main limit 22:00-00:00"}


def test_a_part_of_a_step_is_named_by_the_step() -> None:
    """Limits are counted over steps, so a stretch is named by its steps, here the whole hour of a stay of half."""
    stay = make_session(departure=MORNING + timedelta(minutes=30))

    assert reasons(make_one_limit(3.0, [stay])) == {"S1": "group main limit 09:00-10:00"}


def test_the_hour_that_comes_twice_is_named_twice() -> None:
    """From 02:00 the first to 02:00 the second time is an hour by the clock that runs on."""
    first = datetime(2026, 10, 25, 2, tzinfo=ZoneInfo("Europe/Amsterdam"))
    stay = make_session(arrival=first, departure=first.replace(fold=1))

    assert reasons(make_one_limit(3.0, [stay])) == {"S1": "group main limit 02:00-02:00"}
