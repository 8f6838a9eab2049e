"""Days played again: what was known when, worked out by hand, and what happens when a plan fails."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from models.domain.capacity import CapacityForecast
from models.domain.day import DriverStatement, ReceivedForecast, RecordedDay, forecasts_in_force
from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from models.domain.session import ChargingSession
from models.domain.tariff import EnergyTariff
from models.domain.uncertainty import DepartureErrors, Uncertainty
from models.errors import InputError, RollingError, SolverError
from optimizer import hindsight, rolling
from optimizer.engine import optimize
from optimizer.hindsight import PERFECT_FORESIGHT, in_hindsight, pilot_changes
from optimizer.options import Foresight, Occasion, OptimizeOptions, RollOptions, Strategy
from optimizer.rolling import moved, roll
from tests.builders import HOUR, MORNING, make_charger, make_forecast, make_session, make_site, make_tariff

HOURLY = OptimizeOptions(raster=HOUR)
MINUTE = timedelta(minutes=1)
Stated = Mapping[str, tuple[float | None, float | None]]
"""By session: hours from `MORNING` to the stated departure, and kWh asked for."""


def make_day(
    *sessions: ChargingSession,
    stated: Stated | None = None,
    limit_kw: float | None = 100.0,
    prices: Iterable[float] | None = None,
    messages: Iterable[tuple[datetime | None, CapacityForecast]] = (),
    known_s: Iterable[float] | None = None,
) -> RecordedDay:
    """Sessions at chargers of their own in one group."""
    there = [replace(session, charger_id=f"C-{session.session_id}") for session in sessions]
    received = tuple(ReceivedForecast(forecast=forecast, received_at=at) for at, forecast in messages)
    tariff = None if prices is None else make_tariff(prices)
    return RecordedDay(
        scenario=Scenario(
            site=make_site(
                groups=[CapacityGroup(group_id="main", import_limit_kw=limit_kw)],
                chargers=[make_charger(session.charger_id) for session in there],
            ),
            sessions=tuple(there),
            tariff=tariff,
            forecasts=forecasts_in_force(received),
        ),
        statements={
            session_id: DriverStatement(
                departure=None if hours is None else MORNING + hours * HOUR, energy_kwh=energy_kwh
            )
            for session_id, (hours, energy_kwh) in (stated or {}).items()
        },
        messages=received,
        price_known_s=None if known_s is None else np.array(list(known_s)),
    )


def options(
    *,
    occasion: Occasion = Occasion.EVERY_STEP,
    foresight: Foresight = Foresight.STATED,
    plan: OptimizeOptions = HOURLY,
) -> RollOptions:
    """Hourly steps, and what drivers stated."""
    return RollOptions(plan=plan, occasion=occasion, foresight=foresight)


def by_hour(schedule: Schedule) -> dict[str, list[float]]:
    """Energy of each session in each hour from `MORNING` on, kWh; no row reaches over an hour."""
    hours = math.ceil((float(schedule.grid.edges_s[-1]) - MORNING.timestamp()) / 3600)
    found = {result.session.session_id: [0.0] * hours for result in schedule.sessions}
    for index, start_s, energy_kwh in zip(
        schedule.session_index.tolist(), schedule.start_s.tolist(), schedule.energy_kwh.tolist(), strict=True
    ):
        hour = int((start_s - MORNING.timestamp()) // 3600)
        found[schedule.sessions[index].session.session_id][hour] += energy_kwh
    return found


def approx(expected: dict[str, list[float]]) -> object:
    """The same table within a millionth of a kWh."""
    return {name: pytest.approx(row, abs=1e-6) for name, row in expected.items()}


class TestWhatIsKnown:
    """A plan knows what was known when it was made."""

    def test_who_comes_later_is_unknown(self) -> None:
        """A waits for the cheaper second hour under 10 kW; then B comes, for that hour only, and 10 of 20 kWh stay
        unserved. Foresight serves A in the first hour and all of them.
        """
        a, b = make_session("A"), make_session("B", arrival=MORNING + HOUR, departure=MORNING + 2 * HOUR)
        day = make_day(a, b, limit_kw=10.0, prices=(0.30, 0.20))

        rolled = roll(day, options())
        offline = optimize(day.scenario, HOURLY)

        assert rolled.schedule.unmet_energy_kwh == pytest.approx(10.0)
        assert offline.unmet_energy_kwh == pytest.approx(0.0)
        assert rolled.schedule.status is ScheduleStatus.ROLLED

    def test_a_driver_who_leaves_later_than_stated(self) -> None:
        """Stated 9:00, real 10:00, cheaper from 9:00: 10 kWh go into the first hour at 0.30, since waiting would
        lose them; told the truth, into the second at 0.20.
        """
        day = make_day(make_session(), stated={"S1": (1.0, None)}, prices=(0.30, 0.20))

        stated, true = roll(day, options()), roll(day, options(foresight=Foresight.TRUE))

        assert by_hour(stated.schedule) == approx({"S1": [10.0, 0.0]})
        assert stated.schedule.energy_cost == pytest.approx(3.0)
        assert by_hour(true.schedule) == approx({"S1": [0.0, 10.0]})
        assert true.schedule.energy_cost == pytest.approx(2.0)

    def test_a_driver_who_leaves_earlier_than_stated(self) -> None:
        """Stated 10:00, real 9:00, cheaper from 9:00: the energy was to come in the second hour, and is lost."""
        day = make_day(make_session(departure=MORNING + HOUR), stated={"S1": (2.0, None)}, prices=(0.30, 0.20, 0.20))

        rolled = roll(day, options())

        assert rolled.schedule.delivered_energy_kwh == 0.0
        assert rolled.schedule.unmet_energy_kwh == pytest.approx(10.0)

    def test_who_may_leave_is_served_before_who_stays(self) -> None:
        """A and B say 10:00 and want 10 kWh each under 10 kW, the second hour cheaper. One leaves at 9:00, as its like
        do between 8:30 and 9:30; the other's like stay. In the middle of the first hour both are there, in that of the
        second it is gone: it gets the first hour, whichever of the two it is, and nothing is lost.
        """
        for early, late in (("A", "B"), ("B", "A")):
            leaves = make_session(early, departure=MORNING + HOUR)
            stays = make_session(late, departure=MORNING + 2 * HOUR)
            day = make_day(leaves, stays, stated={early: (2.0, None)}, limit_kw=10.0, prices=(0.30, 0.20))
            likely = Uncertainty(
                departure_errors=DepartureErrors(hours=(0.0, 1.0)),
                own_departure_errors={early: DepartureErrors(hours=(-1.5, -0.5))},
            )

            weighed = roll(day, options(plan=replace(HOURLY, uncertainty=likely)))

            assert by_hour(weighed.schedule) == approx({early: [10.0, 0.0], late: [0.0, 10.0]})

    def test_who_is_overdue_is_served_at_once(self) -> None:
        """Stated 9:00, real 11:00, 22 kWh under 10 kW, the third hour almost free: 10 kWh in each of the first two
        hours, for it may leave any moment, and 2 in the third.
        """
        day = make_day(
            make_session(departure=MORNING + 3 * HOUR, energy_kwh=22.0),
            stated={"S1": (1.0, None)},
            limit_kw=10.0,
            prices=(0.30, 0.30, 0.01),
        )

        rolled = roll(day, options())

        assert by_hour(rolled.schedule) == approx({"S1": [10.0, 10.0, 2.0]})
        assert [replan.overdue for replan in rolled.replans] == [0, 1, 1]

    def test_who_takes_less_than_asked_for_leaves_room(self) -> None:
        """10 kW. A asks for 10 kWh from 8:00 on and takes 4, B takes 6 from 8:30 on; both leave at 9:00. A draws 10 kW
        until it is full at 8:24; B then has 5 kWh, which is all that its half hour allows.
        """
        day = make_day(
            make_session("A", departure=MORNING + HOUR, energy_kwh=4.0),
            make_session("B", arrival=MORNING + HOUR / 2, departure=MORNING + HOUR, energy_kwh=6.0),
            stated={"A": (None, 10.0)},
            limit_kw=10.0,
        )

        rolled = roll(day, options(occasion=Occasion.EVERY_EVENT))

        assert by_hour(rolled.schedule) == approx({"A": [4.0], "B": [5.0]})
        assert [(replan.at, replan.reason) for replan in rolled.replans] == [
            (MORNING, "start"),
            (MORNING + HOUR / 2, "arrival"),
        ]

    def test_no_more_is_given_than_was_asked_for(self) -> None:
        """Who asks for 3 kWh and would take 10 gets 3."""
        day = make_day(make_session(), stated={"S1": (None, 3.0)})

        assert roll(day, options()).schedule.delivered_energy_kwh == pytest.approx(3.0)
        assert roll(day, options(foresight=Foresight.TRUE)).schedule.delivered_energy_kwh == pytest.approx(10.0)

    def test_a_price_is_known_from_its_arrival_on(self) -> None:
        """0.30, then 0.20, the latter known from 9:00 only: at 8:00 the price of the second hour is taken to be the
        mean of what is known, so that all energy is taken at once, for the earlier delivery; known before, it waits.
        """
        late = make_day(make_session(), prices=(0.30, 0.20), known_s=(-math.inf, (MORNING + HOUR).timestamp()))
        early = make_day(make_session(), prices=(0.30, 0.20), known_s=(-math.inf, -math.inf))

        assert by_hour(roll(late, options()).schedule) == approx({"S1": [10.0, 0.0]})
        assert by_hour(roll(early, options()).schedule) == approx({"S1": [0.0, 10.0]})


class TestForecasts:
    """A message holds from its arrival on, and is planned for at once."""

    def test_a_cut_is_known_when_it_comes(self) -> None:
        """10 kW from 8:00 to 10:00, then at 8:30 a message: 2 kW for both hours. Of 10 kWh 5 are served until 8:30, 1
        until 9:00, 2 until 10:00; 2 go unserved, and the first half hour was allowed.
        """
        cut = (MORNING + HOUR / 2, make_forecast((2.0, 2.0)))
        day = make_day(make_session(), messages=[(None, make_forecast((10.0, 10.0))), cut])

        rolled = roll(day, options())

        assert by_hour(rolled.schedule) == approx({"S1": [6.0, 2.0]})
        assert [replan.reason for replan in rolled.replans] == ["start", "forecast", "step"]

    def test_capacity_that_comes_later_is_not_counted_on(self) -> None:
        """3 kW, then at 9:00 a message: 20 kW for the second hour: 3 kWh, then the other 7; with foresight no less."""
        more = (MORNING + HOUR, make_forecast((20.0,), start=MORNING + HOUR))
        day = make_day(make_session(), messages=[(None, make_forecast((3.0, 3.0))), more])

        rolled = roll(day, options())

        assert by_hour(rolled.schedule) == approx({"S1": [3.0, 7.0]})

    def test_a_group_has_no_capacity_before_its_first_message(self) -> None:
        """Without a connection limit and with a message that comes at 9:00: nothing in the first hour."""
        day = make_day(make_session(), limit_kw=None, messages=[(MORNING + HOUR, make_forecast((20.0, 20.0)))])

        rolled = roll(day, options())

        assert by_hour(rolled.schedule) == approx({"S1": [0.0, 10.0]})

    def test_messages_out_of_order_are_refused(self) -> None:
        """The order decides which of two messages holds."""
        later, earlier = (MORNING + HOUR, make_forecast()), (MORNING, make_forecast())

        with pytest.raises(InputError, match="order of their arrival"):
            make_day(make_session(), messages=[later, earlier])

    def test_a_message_does_not_reach_back(self) -> None:
        """What held before a message came is not changed by it."""
        series = forecasts_in_force(
            [
                ReceivedForecast(forecast=make_forecast((10.0, 10.0))),
                ReceivedForecast(forecast=make_forecast((2.0, 2.0)), received_at=MORNING + HOUR / 2),
            ]
        ).series

        (blocks,) = series.values()
        assert [(block.start, block.capacity_kw) for block in blocks] == [
            (MORNING, 10.0),
            (MORNING + HOUR / 2, 2.0),
            (MORNING + HOUR, 2.0),
        ]


class TestOccasions:
    """When a day is planned anew."""

    def test_at_every_step(self) -> None:
        """Four steps of half an hour while somebody is there and wants more: the request is met after three."""
        day = make_day(make_session(energy_kwh=15.0), limit_kw=10.0)

        rolled = roll(day, options(plan=OptimizeOptions(raster=HOUR / 2)))

        assert [replan.at for replan in rolled.replans] == [MORNING + step * HOUR / 2 for step in range(3)]

    def test_at_every_event(self) -> None:
        """A stays from 8:00, B comes at 8:20 and leaves at 9:10, though it had said 9:00; A is planned for at each."""
        day = make_day(
            make_session("A", energy_kwh=40.0),
            make_session("B", arrival=MORNING + 20 * MINUTE, departure=MORNING + 70 * MINUTE, energy_kwh=40.0),
            stated={"B": (1.0, None)},
            limit_kw=10.0,
        )

        rolled = roll(day, options(occasion=Occasion.EVERY_EVENT))

        assert [(replan.at - MORNING, replan.reason) for replan in rolled.replans] == [
            (0 * MINUTE, "start"),
            (20 * MINUTE, "arrival"),
            (60 * MINUTE, "overdue"),
            (70 * MINUTE, "departure"),
        ]
        assert rolled.schedule.delivered_energy_kwh == pytest.approx(20.0)

    def test_a_plan_that_is_cut_short_counts_on_no_mean(self) -> None:
        """Under 6 kW on the mean of an hour A could draw 12 kW for its half hour. On events the plan may be cut short,
        as by B, who comes at 8:30 and gets 6 kW too: both hold 6 kW at every moment.
        """
        a = make_session("A", departure=MORNING + HOUR / 2)
        b = make_session("B", arrival=MORNING + HOUR / 2, departure=MORNING + HOUR)

        rolled = roll(make_day(a, b, limit_kw=6.0), options(occasion=Occasion.EVERY_EVENT))

        assert by_hour(rolled.schedule) == approx({"A": [3.0], "B": [3.0]})

    def test_a_message_within_a_step_counts_on_no_mean(self) -> None:
        """The same at every step, where at 8:30 a message comes that stops everybody: A has drawn 6 kW until then."""
        a = make_session("A", departure=MORNING + HOUR / 2)
        stop = (MORNING + HOUR / 2, make_forecast((0.0,)))
        day = make_day(a, limit_kw=6.0, messages=[(None, make_forecast((6.0,))), stop])

        assert by_hour(roll(day, options()).schedule) == approx({"A": [3.0]})

    def test_nobody_there_is_no_plan(self) -> None:
        """Between two vehicles an hour apart nothing is planned."""
        day = make_day(
            make_session("A", departure=MORNING + HOUR),
            make_session("B", arrival=MORNING + 2 * HOUR, departure=MORNING + 3 * HOUR),
        )

        assert [replan.at - MORNING for replan in roll(day, options()).replans] == [0 * HOUR, 2 * HOUR]


class TestFailure:
    """A day stops where a plan fails."""

    def test_nothing_is_rolled_on_from_an_older_plan(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second plan fails: the error says when, after how many plans, and why; there is no result."""
        calls = 0

        def failing(scenario: Scenario, options: OptimizeOptions) -> Schedule:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise SolverError("the solver is gone")
            return optimize(scenario, options)

        monkeypatch.setattr(rolling, "optimize", failing)

        with pytest.raises(RollingError, match=r"2026-03-02T10:00:00\+01:00, after 1 plans: the solver is gone"):
            roll(make_day(make_session(energy_kwh=30.0)), options(plan=OptimizeOptions(raster=HOUR)))
        assert calls == 2

    def test_a_statement_of_nobody_is_refused(self) -> None:
        """A driver's word belongs to a session."""
        with pytest.raises(InputError, match="'S9'"):
            make_day(make_session(), stated={"S9": (1.0, None)})

    def test_a_negative_request_is_refused(self) -> None:
        """Nobody asks for less than nothing."""
        with pytest.raises(InputError, match=r"-1.0 kWh"):
            DriverStatement(energy_kwh=-1.0)


class TestMoved:
    """How far a plan is from the one before it."""

    def test_changes_up_and_down_both_count(self) -> None:
        """10 kWh: 10 kW in the first of two hours, then in the second: 10 kW change at once, 20 kWh over both hours."""
        early = optimize(make_day(make_session(), prices=(0.20, 0.30)).scenario, HOURLY)
        late = optimize(make_day(make_session(), prices=(0.30, 0.20)).scenario, HOURLY)

        assert moved(early, late, MORNING.timestamp()) == pytest.approx((10.0, 20.0))
        assert moved(early, early, MORNING.timestamp()) == (0.0, 0.0)
        assert moved(early, late, (MORNING + HOUR).timestamp()) == pytest.approx((10.0, 10.0))


class TestHindsight:
    """Policies side by side."""

    def test_rules_that_go_by_departures_are_told_the_same(self) -> None:
        """A and B want 10 kWh each under 10 kW, A until 10:00, B until 9:00; A said 9:00 and B 10:00. Earliest deadline
        serves A first, and B loses all; told the truth it serves both.
        """
        day = make_day(
            make_session("A"),
            make_session("B", departure=MORNING + HOUR),
            stated={"A": (1.0, None), "B": (2.0, None)},
            limit_kw=10.0,
        )

        def unmet_kwh(foresight: Foresight) -> dict[str, float]:
            choice = options(foresight=foresight)
            return {one.policy: round(one.unmet_energy_kwh, 6) for one in in_hindsight(day, choice, roll(day, choice))}

        stated, true = unmet_kwh(Foresight.STATED), unmet_kwh(Foresight.TRUE)

        assert (stated["edf"], true["edf"]) == (10.0, 0.0)
        assert stated[PERFECT_FORESIGHT] == true[PERFECT_FORESIGHT] == 0.0
        assert stated["fcfs"] == true["fcfs"]
        assert set(stated) == {"rolled optimal", PERFECT_FORESIGHT, *(s.value for s in Strategy)} - {"optimal"}

    def test_a_blind_rule_gives_no_more_than_asked_for(self) -> None:
        """Uncontrolled charging stops at the request where drivers are believed."""
        day = make_day(make_session(), stated={"S1": (None, 3.0)})

        def given(foresight: Foresight) -> float:
            return hindsight.blind(day, options(foresight=foresight), Strategy.UNCONTROLLED).delivered_energy_kwh

        assert given(Foresight.STATED) == pytest.approx(3.0)
        assert given(Foresight.TRUE) == pytest.approx(10.0)

    def test_changes_of_a_pilot(self) -> None:
        """4 steps: 0, 10, 10, 0 kW are two changes; 10, 10, 0, 0 kW is one: the begin of the stay is none."""
        session = make_session(departure=MORNING + 4 * HOUR, energy_kwh=20.0)
        noon = optimize(make_day(session, limit_kw=10.0, prices=(0.3, 0.1, 0.1, 0.3)).scenario, HOURLY)
        early = optimize(make_day(session, limit_kw=10.0).scenario, HOURLY)

        assert by_hour(noon) == approx({"S1": [0.0, 10.0, 10.0, 0.0]})
        assert by_hour(early) == approx({"S1": [10.0, 10.0, 0.0, 0.0]})
        assert (pilot_changes(noon), pilot_changes(early)) == (2, 1)


def test_a_day_crosses_to_another_process() -> None:
    """Days are rolled on several processors: one comes out of a pickle as it went in."""
    import pickle  # noqa: PLC0415

    day = make_day(make_session(), stated={"S1": (1.0, 5.0)}, messages=[(None, make_forecast())])

    again = pickle.loads(pickle.dumps(day))  # noqa: S301 - our own

    assert again.statements == day.statements
    assert again.messages == day.messages


def test_no_tariff_is_no_tariff() -> None:
    """Before the first price is known, a plan is made without prices."""
    day = make_day(make_session(), prices=(0.3, 0.2), known_s=(MORNING.timestamp() + 1, MORNING.timestamp() + 1))

    assert day.tariff_at(MORNING.timestamp()) is None
    assert isinstance(day.tariff_at(MORNING.timestamp() + 1), EnergyTariff)
