"""What holds for every day that is played again, whatever drivers say and whenever messages come."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.day import DriverStatement, ReceivedForecast, RecordedDay, forecasts_in_force
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule
from models.domain.tariff import EnergyTariff
from optimizer.engine import optimize
from optimizer.options import COST_OBJECTIVE, Backend, Foresight, LimitMode, Occasion, RollOptions, SolverOptions
from optimizer.rolling import roll
from tests.builders import MORNING
from tests.properties.recount import rows
from tests.properties.strategies import HOURS, MINUTE, Case, cases

TOLERANCE = 1e-4
"""kWh or currency: a dozen plans that hold to 1e-6 each."""

EXAMPLES = settings(max_examples=40)
"""Each example makes a dozen plans of about 5 ms."""


@st.composite
def days(draw: st.DrawFn, *, occasions: tuple[Occasion, ...] = tuple(Occasion)) -> tuple[RecordedDay, RollOptions]:
    """A case in which drivers say anything and messages come at any time."""
    case = draw(cases(objectives=[COST_OBJECTIVE], rasters=[30, 60]))
    came = sorted(draw(st.lists(instants(), min_size=len(case.messages), max_size=len(case.messages))))
    known = draw(st.integers(0, len(came)))
    messages = tuple(
        ReceivedForecast(forecast=forecast, received_at=at if index >= known else None)
        for index, (forecast, at) in enumerate(zip(case.messages, came, strict=True))
    )
    statements = {
        session.session_id: DriverStatement(
            departure=session.arrival + draw(st.integers(1, 60 * HOURS)) * MINUTE,
            energy_kwh=draw(st.none() | st.floats(0.0, 60.0)),
        )
        for session in case.sessions
        if draw(st.booleans())
    }
    day = RecordedDay(scenario=truth(case, messages), statements=statements, messages=messages)
    return day, rolling_options(case, draw(st.sampled_from(occasions)), draw(st.sampled_from(list(Foresight))))


def instants() -> st.SearchStrategy[datetime]:
    """A minute within the hours."""
    return st.integers(0, 60 * HOURS).map(lambda minutes: MORNING + timedelta(minutes=minutes))


def truth(case: Case, messages: tuple[ReceivedForecast, ...]) -> Scenario:
    """What happened."""
    return Scenario(
        site=case.site,
        sessions=case.sessions,
        tariff=EnergyTariff.from_blocks(case.prices) if case.prices else None,
        forecasts=forecasts_in_force(messages),
    )


def rolling_options(case: Case, occasion: Occasion, foresight: Foresight) -> RollOptions:
    """Plans that take no time to build."""
    plan = replace(case.options, solver=SolverOptions(backend=Backend.ARRAYS))
    return RollOptions(plan=plan, occasion=occasion, foresight=foresight)


def weighted_unmet_kwh(schedule: Schedule) -> float:
    """What is minimised first."""
    return sum(result.session.priority * result.unmet_energy_kwh for result in schedule.sessions)


@EXAMPLES
@given(days())
def test_no_day_beats_foresight(drawn: tuple[RecordedDay, RollOptions]) -> None:
    """What came of a day passed verification, and leaves at least as much unserved as the optimum that knew it all and
    had limits on means only. Where every moment counts, finer steps can do better: two who share a step and never meet
    both count in it.
    """
    day, options = drawn

    rolled = roll(day, options)

    offline = optimize(day.scenario, replace(options.plan, limit_mode=LimitMode.MEAN))
    assert weighted_unmet_kwh(rolled.schedule) >= weighted_unmet_kwh(offline) - TOLERANCE


@EXAMPLES
@given(days())
def test_nobody_draws_before_a_plan_knows_them(drawn: tuple[RecordedDay, RollOptions]) -> None:
    """Every row begins at or after a plan that was made after the arrival; nobody gets more than believed or taken."""
    day, options = drawn

    rolled = roll(day, options)

    plans_s = [replan.at.timestamp() for replan in rolled.replans]
    sessions = {session.session_id: session for session in day.scenario.sessions}
    drawn_kwh = dict.fromkeys(sessions, 0.0)
    for session_id, start_s, end_s, power_kw in rows(rolled.schedule):
        assert any(sessions[session_id].arrival_s - 1e-3 <= at_s <= start_s + 1e-3 for at_s in plans_s)
        assert end_s <= sessions[session_id].departure_s + 1e-3
        drawn_kwh[session_id] += power_kw * (end_s - start_s) / 3600
    for session_id, energy_kwh in drawn_kwh.items():
        asked_kwh = sessions[session_id].energy_kwh
        statement = day.statements.get(session_id)
        if options.foresight is Foresight.STATED and statement is not None and statement.energy_kwh is not None:
            asked_kwh = min(asked_kwh, statement.energy_kwh)
        assert energy_kwh <= asked_kwh + TOLERANCE


@EXAMPLES
@given(cases(objectives=[COST_OBJECTIVE], rasters=[30, 60], limit_modes=[LimitMode.MEAN]))
def test_without_news_a_day_is_the_plan_of_its_first_instant(case: Case) -> None:
    """Where all are there from the beginning, tell the truth and no message comes, planning anew at every step changes
    neither what is served nor what it costs: the rest of an optimal plan is an optimal plan of the rest.
    """
    sessions = tuple(replace(session, arrival=MORNING) for session in case.sessions)
    case = replace(case, sessions=sessions).with_options(start=MORNING)
    messages = tuple(ReceivedForecast(forecast=forecast) for forecast in case.messages)
    day = RecordedDay(scenario=truth(case, messages), messages=messages)
    options = rolling_options(case, Occasion.EVERY_STEP, Foresight.TRUE)

    rolled, offline = roll(day, options), optimize(day.scenario, options.plan)

    assert weighted_unmet_kwh(rolled.schedule) == pytest.approx(weighted_unmet_kwh(offline), abs=TOLERANCE)
    assert rolled.schedule.energy_cost == pytest.approx(offline.energy_cost, abs=TOLERANCE)
