"""Currents of lines: cases worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from models.domain.asset import BaseLoad, Generator, Storage
from models.domain.capacity import CapacityUnit, Phase
from models.domain.connection import Connection
from models.domain.group import CapacityGroup, LimitCounts, LineLimit
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from models.oscp.v20 import to_optimum_messages
from optimizer.options import LimitMode, LineForm, OptimizeOptions, PilotMode
from optimizer.prepare import prepare
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_forecast,
    make_scenario,
    make_series,
    make_session,
    make_site,
    make_storage,
)
from tests.optimizer.currents.lines import KW_PER_A, KW_PER_A_BETWEEN, hungry, planned, power_kw, worst_excess_a


class TestByHand:
    """Cases with an answer on the back of an envelope."""

    def test_a_conductor_each(self) -> None:
        """Chargers on L1, L2 and L3 draw 16 A each: 3 x 16 A x 230 V = 11.04 kW."""
        schedule = planned(hungry(["L1-N", "L2-N", "L3-N"]))

        assert power_kw(schedule) == pytest.approx([16 * KW_PER_A] * 3)
        assert [line.current_a[0] for line in schedule.lines] == pytest.approx([16.0] * 3)
        assert schedule.status is ScheduleStatus.OPTIMAL

    def test_three_times_16_a_on_one_conductor_are_not_48_a(self) -> None:
        """All on L1 share its 16 A, whatever the other two conductors could carry."""
        schedule = planned(hungry(["L1-N"] * 3))

        assert sum(power_kw(schedule)) == pytest.approx(16 * KW_PER_A)

    def test_a_balanced_charger_beside_one_on_a_phase(self) -> None:
        """On L1 at 16 A a three-phase charger gets what the other leaves: I1 + I2 <= 16 A, worth 3 and 1 times as much
        in kW, so that all 16 A go to the three-phase one.
        """
        schedule = planned(hungry(["L1-N", "L1-L2-L3"]))

        assert power_kw(schedule) == pytest.approx([0.0, 3 * 16 * KW_PER_A], abs=1e-6)

    def test_two_lines_share_a_conductor_at_60_degrees(self) -> None:
        """Chargers L1-L2 and L3-L1 with I each put sqrt(3) I on L1: 32 A on it allow 18.48 A each, where the sum of
        amounts would allow 16 A.
        """
        scenario = hungry(["L1-L2", "L3-L1"], (32.0, 1000.0, 1000.0))

        exact = 32 / math.sqrt(3) * KW_PER_A_BETWEEN
        assert power_kw(planned(scenario)) == pytest.approx([exact, exact])
        assert sum(power_kw(planned(scenario, line_form=LineForm.MAGNITUDE))) == pytest.approx(32 * KW_PER_A_BETWEEN)

    def test_delta_of_three(self) -> None:
        """Three chargers between lines load each conductor with sqrt(3) I: at 16 A together 3 x 230 V x 16 A."""
        schedule = planned(hungry(["L1-L2", "L2-L3", "L3-L1"]))

        assert sum(power_kw(schedule)) == pytest.approx(3 * 16 * KW_PER_A)

    def test_rotation_spreads_vehicles_of_one_phase(self) -> None:
        """Wired alike, three vehicles of one phase share 16 A on L1; wired in rotation each has its own 16 A."""
        alike = planned(hungry(["L1-L2-L3"] * 3, vehicle_phases=1))
        rotated = planned(hungry(["L1-L2-L3", "L2-L3-L1", "L3-L1-L2"], vehicle_phases=1))

        assert sum(power_kw(alike)) == pytest.approx(16 * KW_PER_A)
        assert power_kw(rotated) == pytest.approx([16 * KW_PER_A] * 3)

    def test_currents_that_cancel_are_not_relied_on(self) -> None:
        """A neutral of 10 A: three phases alike would leave it without current, but any vehicle may draw less, and one
        alone puts all of its own on it.
        """
        neutral = LineLimit(line_limit_id="N", group_id="main", limit_a=10.0, weights=(1.0, 1.0, 1.0))
        schedule = planned(hungry(["L1-N", "L2-N", "L3-N"], None, line_limits=[neutral]))

        assert power_kw(schedule) == pytest.approx([10 * KW_PER_A] * 3)
        assert schedule.lines[0].current_a[0] == pytest.approx(10.0)

    def test_a_charger_of_unknown_connection_counts_on_each(self) -> None:
        """A line that carries I1 - I3 takes twice the current of a charger between L1 and L3, which is lower by
        sqrt(3): of unknown connection 1 kW counts 2 / sqrt(3) times that of a line to neutral.
        """
        winding = LineLimit(line_limit_id="T", group_id="main", limit_a=10.0, weights=(1.0, 0.0, -1.0))
        scenario = hungry(["L1-N"], None, line_limits=[winding])
        unknown = replace(scenario.site, chargers=(make_charger("C0", max_power_kw=40.0),))

        schedule = planned(replace(scenario, site=unknown))

        assert power_kw(schedule) == pytest.approx([10 * KW_PER_A * math.sqrt(3) / 2])

    def test_every_level_of_the_tree(self) -> None:
        """A feeder of 10 A below a connection of 16 A, both on L1: its charger gets 10 A, the other one the rest."""
        groups = [
            CapacityGroup(group_id="main", current_limit_a=(16.0,) * 3),
            CapacityGroup(group_id="row", parent_id="main", current_limit_a=(10.0,) * 3),
        ]
        chargers = [
            make_charger("C0", group_id="row", connection=Connection("L1-N")),
            make_charger("C1", connection=Connection("L1-N")),
        ]
        sessions = [
            make_session("S0", charger_id="C0", departure=MORNING + HOUR, energy_kwh=100, priority=2.0),
            make_session("S1", charger_id="C1", departure=MORNING + HOUR, energy_kwh=100),
        ]

        schedule = planned(make_scenario(site=make_site(groups=groups, chargers=chargers), sessions=sessions))

        assert power_kw(schedule) == pytest.approx([10 * KW_PER_A, 6 * KW_PER_A])
        assert "line row L1 limit" in schedule.sessions[0].reason
        assert "line main L1 limit" in schedule.sessions[1].reason

    def test_every_moment_or_the_mean(self) -> None:
        """Two vehicles that follow one another within an hour on L1: at every moment each may draw 16 A (the hour is
        not looked into, so that both count), on the mean of the hour they share 16 Ah as they like.
        """
        half = timedelta(minutes=30)
        scenario = hungry(["L1-N", "L1-N"])
        first, second = scenario.sessions
        apart = (replace(first, departure=MORNING + half), replace(second, arrival=MORNING + half))
        scenario = replace(scenario, sessions=apart)

        every_moment = planned(scenario)
        mean = planned(scenario, current_mode=LimitMode.MEAN)

        assert every_moment.delivered_energy_kwh == pytest.approx(16 * KW_PER_A / 2)
        assert mean.delivered_energy_kwh == pytest.approx(16 * KW_PER_A)


class TestBesideCars:
    """What a building, the sun and a battery leave of the conductors: a car each on L1, L2 and L3, an hour."""

    def test_a_building_on_one_phase(self) -> None:
        """10 A of 16 A on L1 are the building's: 6 A are left there, 16 A on the others."""
        plan = planned(_with_assets(load=(10 * KW_PER_A, Phase.ONE)))

        assert power_kw(plan) == pytest.approx([6 * KW_PER_A, 16 * KW_PER_A, 16 * KW_PER_A])
        assert [line.current_a[0] for line in plan.lines] == pytest.approx([16.0] * 3)

    def test_a_building_on_three_phases(self) -> None:
        """The same power on three phases takes 3.33 A off each; of unknown phases it may be all on any of them."""
        spread = planned(_with_assets(load=(10 * KW_PER_A, Phase.ALL)))
        unknown = planned(_with_assets(load=(10 * KW_PER_A, Phase.UNKNOWN)))

        assert power_kw(spread) == pytest.approx([(16 - 10 / 3) * KW_PER_A] * 3)
        assert power_kw(unknown) == pytest.approx([6 * KW_PER_A] * 3)

    def test_what_a_group_does_not_count(self) -> None:
        """Limits of the flexible assets alone leave a building out."""
        plan = planned(_with_assets(load=(10 * KW_PER_A, Phase.ONE), counts=LimitCounts.FLEXIBLE))

        assert power_kw(plan) == pytest.approx([16 * KW_PER_A] * 3)

    def test_the_sun_lends_no_conductor(self) -> None:
        """With 10 A of sun on L1 cars get what they get without, and not 26 A: a cloud must not trip a breaker."""
        plan = planned(_with_assets(sun=(10 * KW_PER_A, Phase.ONE)))

        assert power_kw(plan) == pytest.approx([16 * KW_PER_A] * 3)

    def test_a_battery_is_charged_by_what_the_cars_leave(self) -> None:
        """A battery on L1 that is to be filled, 1 kWh, shares 16 A with the car there: 1 kWh more served either way."""
        battery = make_storage(energy_kwh=0.0, max_energy_kwh=1.0, final_energy_kwh=1.0, power_kw=5.0)
        plan = planned(_with_assets(storage=replace(battery, phases=Phase.ONE)))

        stored = next(one for one in plan.assets if one.asset_id == "battery")
        assert power_kw(plan)[0] + stored.power_kw[0] == pytest.approx(16 * KW_PER_A)

    def test_too_much_sun_is_curtailed(self) -> None:
        """20 A of sun on L2 where 16 A fit, whatever the car draws there: 4 A are curtailed."""
        plan = planned(_with_assets(sun=(20 * KW_PER_A, Phase.TWO)))

        assert plan.costs is not None
        assert plan.costs.curtailed_energy_kwh == pytest.approx(4 * KW_PER_A)

    def test_a_neutral_carries_both(self) -> None:
        """On a neutral of 16 A a building on L1 with 10 A and a car on L2 may add up: 6 A for the cars together.

        Two cars at 120 degrees with 6 A each would add up to 6 A, but nobody relies on both drawing.
        """
        neutral = LineLimit(line_limit_id="N", group_id="main", limit_a=16.0, weights=(1.0, 1.0, 1.0))
        scenario = _with_assets(load=(10 * KW_PER_A, Phase.ONE), limit_a=(100.0, 100.0, 100.0))
        plan = planned(replace(scenario, site=replace(scenario.site, line_limits=(neutral,))))

        assert plan.lines[-1].current_a[0] == pytest.approx(16.0, rel=3e-3)

    def test_a_building_that_overloads_a_conductor_is_noted(self) -> None:
        """20 A where 16 A are allowed: no car on L1, and a note that says by how much."""
        plan = planned(_with_assets(load=(20 * KW_PER_A, Phase.ONE)))

        assert power_kw(plan) == pytest.approx([0.0, 16 * KW_PER_A, 16 * KW_PER_A])
        assert any("carries 20.0 A of base load" in note for note in plan.notes)


def _with_assets(
    *,
    load: tuple[float, Phase] | None = None,
    sun: tuple[float, Phase] | None = None,
    storage: Storage | None = None,
    counts: LimitCounts = LimitCounts.TOTAL,
    limit_a: tuple[float, float, float] = (16.0, 16.0, 16.0),
) -> Scenario:
    """A hungry car on each phase, and what a test names."""
    scenario = hungry(["L1-N", "L2-N", "L3-N"], limit_a)
    (group,) = scenario.site.groups
    site = replace(
        scenario.site,
        groups=(replace(group, limit_counts=counts),),
        base_loads=() if load is None else (BaseLoad(asset_id="building", group_id="main", phases=load[1]),),
        generators=()
        if sun is None
        else (Generator(asset_id="sun", group_id="main", phases=sun[1], curtailable=True),),
        storages=() if storage is None else (storage,),
    )
    return replace(
        scenario,
        site=site,
        base_load_kw={} if load is None else {"building": make_series([load[0]])},
        generation_kw={} if sun is None else {"sun": make_series([sun[0]])},
    )


class TestForecastsInAmpere:
    """What a capacity provider states in A."""

    def forecast(self, current_a: float, phase: Phase) -> dict[str, object]:
        """One hour of a current."""
        conductors = 3 if phase is Phase.ALL else 1
        message = make_forecast([current_a * conductors * KW_PER_A], phase=phase, unit=CapacityUnit.A)
        return {"forecasts": [message]}

    def scenario(self, connections: Iterable[str], current_a: float, phase: Phase) -> Scenario:
        """Hungry vehicles under a forecast only."""
        base = hungry(connections, None)
        return make_scenario(site=base.site, sessions=base.sessions, **self.forecast(current_a, phase))  # type: ignore[arg-type]

    def test_a_current_for_all_is_one_on_each(self) -> None:
        """16 A for ALL are not 48 A on L1."""
        assert sum(power_kw(planned(self.scenario(["L1-N"] * 3, 16.0, Phase.ALL)))) == pytest.approx(16 * KW_PER_A)

    def test_a_current_between_lines_is_more_than_its_power_on_one(self) -> None:
        """16 A on L1 allow a charger L1-L2 16 A; half of its power is on L1, which in kW would allow 18.5 A."""
        schedule = planned(self.scenario(["L1-L2"], 16.0, Phase.ONE))

        assert power_kw(schedule) == pytest.approx([16 * KW_PER_A_BETWEEN])

    def test_power_on_a_phase_is_power(self) -> None:
        """2 kW on L1 allow a charger L1-L2 4 kW."""
        base = hungry(["L1-L2"], None)
        message = make_forecast([2.0], phase=Phase.ONE)

        schedule = planned(make_scenario(site=base.site, sessions=base.sessions, forecasts=[message]))

        assert power_kw(schedule) == pytest.approx([4.0])

    @pytest.mark.parametrize(
        ("connections", "phase", "stated"),
        [
            (["L1-L2"], Phase.ONE, 16.0),
            (["L1-L2", "L3-L1"], Phase.ONE, 16.0),
            (["L1-N", "L2-N"], Phase.ALL, 16.0),
            (["L1-L2-L3"], Phase.ALL, 16.0),
        ],
    )
    def test_the_answer_is_the_current_on_the_conductor(
        self, connections: list[str], phase: Phase, stated: float
    ) -> None:
        """What was planned up to a limit in A is answered with that limit, for ALL with the fullest conductor."""
        scenario = self.scenario(connections, stated, phase)

        messages = to_optimum_messages(planned(scenario), scenario.site, scenario.forecasts, window=None)

        assert [block.capacity for block in messages[0].forecasted_blocks] == pytest.approx([stated], abs=1e-3)

    def test_balanced_chargers_need_no_lines(self) -> None:
        """Where the limit in kW holds the currents already, nothing is added to the program."""
        scenario = self.scenario(["L1-L2-L3"] * 2, 16.0, Phase.ALL)

        assert prepare(scenario, OptimizeOptions()).lines == ()
        assert sum(power_kw(planned(scenario))) == pytest.approx(3 * 16 * KW_PER_A)


class TestSettings:
    """Lines and chargers that cannot be set to any power."""

    def stepped(self, mode: PilotMode, *, hours: float = 1) -> Schedule:
        """Two chargers L1-L2 and L3-L1 with settings of 6, 10 and 16 A or more on a conductor of 32 A."""
        scenario = hungry(["L1-L2", "L3-L1"], (32.0, 1000.0, 1000.0), hours=hours)
        levels_kw = tuple(current_a * KW_PER_A_BETWEEN for current_a in (6, 10, 16, 20, 32))
        chargers = tuple(
            replace(charger, max_power_kw=levels_kw[-1], min_power_kw=levels_kw[0], power_levels_kw=levels_kw)
            for charger in scenario.site.chargers
        )
        scenario = replace(scenario, site=replace(scenario.site, chargers=chargers))
        schedule = planned(scenario, pilots=mode)
        assert worst_excess_a(scenario, schedule) <= 1e-5
        return schedule

    @pytest.mark.parametrize("mode", [PilotMode.ROUNDED, PilotMode.EXACT])
    def test_settings_within_a_line(self, mode: PilotMode) -> None:
        """16 and 16 A put 27.7 A on the line, 20 and 16 A 31.2 A, 20 and 20 A 34.6 A: 36 A is the most."""
        schedule = self.stepped(mode)

        assert schedule.delivered_energy_kwh <= 36 * KW_PER_A_BETWEEN + 1e-6
        assert schedule.delivered_energy_kwh >= 32 * KW_PER_A_BETWEEN - 1e-6
        if mode is PilotMode.EXACT:
            assert schedule.delivered_energy_kwh == pytest.approx(36 * KW_PER_A_BETWEEN)

    def test_a_row_that_ends_early_counts_in_full(self) -> None:
        """A line knows no mean: who draws 16 A for some minutes draws 16 A."""
        scenario = hungry(["L1-N", "L1-N"], (16.0,) * 3)
        level_kw = 10 * KW_PER_A
        chargers = tuple(
            replace(charger, max_power_kw=level_kw, power_levels_kw=(level_kw,)) for charger in scenario.site.chargers
        )
        sessions = tuple(replace(session, energy_kwh=level_kw / 2) for session in scenario.sessions)
        scenario = replace(scenario, site=replace(scenario.site, chargers=chargers), sessions=sessions)

        schedule = planned(scenario, pilots=PilotMode.ROUNDED)

        assert worst_excess_a(scenario, schedule) <= 1e-5
        assert schedule.delivered_energy_kwh == pytest.approx(level_kw / 2)
