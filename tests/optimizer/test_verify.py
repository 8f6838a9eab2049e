"""Every check of the verification, by breaking a valid plan in one place and seeing it refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from models.domain.capacity import Phase
from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.domain.schedule import Schedule, ScheduleStatus
from models.errors import VerificationError
from optimizer.engine import optimize
from optimizer.options import LimitMode, OptimizeOptions, Strategy
from optimizer.verify import Certificate, verify
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_forecast,
    make_scenario,
    make_schedule,
    make_session,
    make_site,
    make_tariff,
)

HOURLY = OptimizeOptions(raster=HOUR)
HALF = HOUR / 2
Corruption = Callable[[Schedule], Schedule]


def checked(scenario: Scenario, schedule: Schedule, limit_mode: LimitMode = LimitMode.MEAN) -> Certificate:
    """What the verification finds, every limit counted."""
    return verify(scenario, schedule, limit_mode=limit_mode)


def with_power(schedule: Schedule, row: int, power_kw: float) -> Schedule:
    """One row at another power; the figures the schedule states stay as they are."""
    changed = schedule.power_kw.copy()
    changed[row] = power_kw
    return replace(schedule, power_kw=changed)


def with_row(schedule: Schedule, *, session: int, start_h: float, end_h: float, power_kw: float) -> Schedule:
    """One more row, in hours from `MORNING`."""
    start_s = MORNING.timestamp() + start_h * 3600
    return replace(
        schedule,
        session_index=np.append(schedule.session_index, session),
        step_index=np.append(schedule.step_index, int(start_h)),
        start_s=np.append(schedule.start_s, start_s),
        end_s=np.append(schedule.end_s, MORNING.timestamp() + end_h * 3600),
        power_kw=np.append(schedule.power_kw, power_kw),
    )


def moved(schedule: Schedule, row: int, *, start_h: float, end_h: float) -> Schedule:
    """One row at another time, in hours from `MORNING`."""
    start_s, end_s = schedule.start_s.copy(), schedule.end_s.copy()
    start_s[row], end_s[row] = MORNING.timestamp() + start_h * 3600, MORNING.timestamp() + end_h * 3600
    return replace(schedule, start_s=start_s, end_s=end_s)


class TestOneSession:
    """10 kWh at 0.20 and 0.30 within two hours: 10 kW in the first hour."""

    scenario = make_scenario(tariff=make_tariff())

    def test_a_valid_plan_is_certified(self) -> None:
        """The builder's plan holds; the certificate has its figures and how near the limit of 100 kW it comes."""
        found = checked(self.scenario, make_schedule())

        assert found.violations == ()
        assert found.delivered_energy_kwh.tolist() == [10.0]
        assert found.unmet_energy_kwh.tolist() == [0.0]
        assert found.unreachable_energy_kwh.tolist() == [0.0]
        assert (found.energy_cost, found.peak_import_kw, found.smallest_margin_kw) == (2.0, 10.0, 90.0)

    @pytest.mark.parametrize(
        ("corrupt", "message"),
        [
            pytest.param(
                lambda plan: with_power(plan, 0, 10.1), r"session 'S1'.*10\.1\d* kWh.*10\.0\d* kWh", id="over request"
            ),
            pytest.param(
                lambda plan: moved(with_power(plan, 0, 22.5), 0, start_h=0.0, end_h=0.4),
                r"session 'S1'.*22\.5\d* kW, may draw 22\.0",
                id="over charger",
            ),
            pytest.param(lambda plan: with_power(plan, 0, -1.0), r"session 'S1'.*-1\.0 kW", id="negative"),
            pytest.param(lambda plan: with_power(plan, 0, np.nan), r"session 'S1'.*nan", id="NaN power"),
            pytest.param(lambda plan: with_power(plan, 0, np.inf), r"session 'S1'.*inf", id="infinite power"),
            pytest.param(
                lambda plan: moved(plan, 0, start_h=-0.5, end_h=0.5), r"session 'S1'.*outside the stay", id="early"
            ),
            pytest.param(
                lambda plan: moved(plan, 0, start_h=1.5, end_h=2.5), r"session 'S1'.*outside the stay", id="late"
            ),
            pytest.param(
                lambda plan: moved(plan, 0, start_h=-3.0, end_h=-2.0), r"session 'S1'.*outside", id="before the window"
            ),
            pytest.param(
                lambda plan: moved(plan, 0, start_h=7.0, end_h=8.0), r"session 'S1'.*outside", id="after the window"
            ),
            pytest.param(
                lambda plan: moved(plan, 0, start_h=0.5, end_h=1.5), r"session 'S1'.*outside a step", id="across steps"
            ),
            pytest.param(
                lambda plan: moved(plan, 0, start_h=0.5, end_h=0.5), r"session 'S1'.*no length", id="no length"
            ),
            pytest.param(
                lambda plan: moved(plan, 0, start_h=0.5, end_h=0.4), r"session 'S1'.*no length", id="backwards"
            ),
            pytest.param(
                lambda plan: moved(plan, 0, start_h=np.nan, end_h=1.0), r"session 'S1'", id="a time that is no number"
            ),
            pytest.param(
                lambda plan: with_row(with_power(plan, 0, 4.0), session=0, start_h=0.0, end_h=1.0, power_kw=6.0),
                r"session 'S1'.*repeats a step",
                id="the same row twice",
            ),
        ],
    )
    def test_a_broken_row_is_refused(self, corrupt: Corruption, message: str) -> None:
        """Power beyond the charger or below zero, energy beyond the request, rows outside stay or step, or double:
        each is refused with the session named.
        """
        with pytest.raises(VerificationError, match=message):
            checked(self.scenario, corrupt(make_schedule()))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"energy_cost": 1.9}, r"energy cost 1\.9\d*, recomputed it is 2\.0"),
            ({"energy_cost": float("nan")}, "energy cost nan"),
            ({"peak_import_kw": 9.0}, r"peak import 9\.0\d*, recomputed it is 10\.0"),
        ],
        ids=["cost", "NaN cost", "peak"],
    )
    def test_a_misstated_figure_is_refused(self, changes: dict[str, float], message: str) -> None:
        """A plan that holds but states another cost or peak than its rows have is refused, with both figures."""
        with pytest.raises(VerificationError, match=message):
            checked(self.scenario, replace(make_schedule(), **changes))  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["delivered", "unmet", "unreachable"])
    def test_misstated_energies_are_refused(self, name: str) -> None:
        """A result that states a kWh too much of any of its energies is refused."""
        plan = make_schedule()
        stated = getattr(plan.sessions[0], f"{name}_energy_kwh")
        wrong = replace(plan.sessions[0], **{f"{name}_energy_kwh": stated + 1.0})

        with pytest.raises(VerificationError, match=f"{name} energy"):
            checked(self.scenario, replace(plan, sessions=(wrong,)))

    def test_energies_booked_on_another_session_are_refused(self) -> None:
        """Right in sum, wrong for each: a kWh delivered to A and booked on B."""
        site = make_site(chargers=[make_charger("C1"), make_charger("C2")])
        scenario = make_scenario(site=site, sessions=[make_session("A"), make_session("B", charger_id="C2")])
        plan = optimize(scenario, HOURLY)
        first, second = plan.sessions
        wrong = (
            replace(first, delivered_energy_kwh=first.delivered_energy_kwh - 1.0),
            replace(second, delivered_energy_kwh=second.delivered_energy_kwh + 1.0),
        )

        with pytest.raises(VerificationError, match=r"delivered energy of session '[AB]'"):
            checked(scenario, replace(plan, sessions=wrong))

    def test_a_misstated_group_is_refused(self) -> None:
        """A group whose stated power is not that of the rows below it is refused, with group and time."""
        plan = make_schedule()
        wrong = replace(plan.groups[0], power_kw=np.array([10.0, 1.0]))

        with pytest.raises(
            VerificationError, match=r"group 'main' from 2026-03-02T10:00.*1\.0\d*, recomputed it is 0\.0"
        ):
            checked(self.scenario, replace(plan, groups=(wrong,)))

    @pytest.mark.parametrize("powers_kw", [[10.0], [10.0, 0.0, 0.0]], ids=["short", "long"])
    def test_a_group_of_another_length_is_refused(self, powers_kw: list[float]) -> None:
        """A group states one power for each step."""
        plan = make_schedule()
        wrong = replace(plan.groups[0], power_kw=np.array(powers_kw))

        with pytest.raises(VerificationError, match="group 'main' for 2 steps"):
            checked(self.scenario, replace(plan, groups=(wrong,)))

    def test_a_group_left_out_is_refused(self) -> None:
        """Every group of the site has a result."""
        with pytest.raises(VerificationError, match="group 'main' is not part of the plan"):
            checked(self.scenario, replace(make_schedule(), groups=()))

    @pytest.mark.parametrize(
        "changes",
        [
            {"energy_kwh": 11.0},
            {"departure": MORNING + 3 * HOUR},
            {"arrival": MORNING - HOUR},
            {"session_id": "S2"},
            {"max_power_kw": 50.0},
            {"priority": 2.0},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_a_session_nobody_asked_for_is_refused(self, changes: dict[str, object]) -> None:
        """A plan is checked against what was asked for, not against what it says was asked for."""
        plan = make_schedule()
        other = replace(plan.sessions[0], session=replace(plan.sessions[0].session, **changes))  # type: ignore[arg-type]

        with pytest.raises(VerificationError, match=f"session '{other.session.session_id}' is not the one"):
            checked(self.scenario, replace(plan, sessions=(other,)))

    def test_a_session_listed_twice_is_refused(self) -> None:
        """Listed twice, a session could draw twice what it asks for."""
        plan = make_schedule()
        twice = with_row(plan, session=1, start_h=1.0, end_h=2.0, power_kw=10.0)

        with pytest.raises(VerificationError, match="session 'S1' is listed twice"):
            checked(self.scenario, replace(twice, sessions=(plan.sessions[0], plan.sessions[0])))

    def test_a_session_left_out_is_refused(self) -> None:
        """A session in the window that the plan does not know would go short without a word."""
        nobody = np.zeros(0, dtype=np.int64)
        empty = replace(
            make_schedule(),
            sessions=(),
            session_index=nobody,
            step_index=nobody,
            start_s=np.zeros(0),
            end_s=np.zeros(0),
            power_kw=np.zeros(0),
        )

        with pytest.raises(VerificationError, match="session 'S1' lies inside the window"):
            checked(self.scenario, empty)

    def test_a_session_beyond_the_window_may_be_left_out(self) -> None:
        """Sessions not wholly inside the window are no part of a plan."""
        stays_on = make_session("S2", departure=MORNING + 3 * HOUR)
        scenario = replace(self.scenario, sessions=(*self.scenario.sessions, stays_on))

        assert checked(scenario, make_schedule()).violations == ()

    def test_a_step_that_a_limit_divides_is_refused(self) -> None:
        """A limit that falls to 1 kW at 08:30 cannot be counted on hourly steps: the plan's own steps are no excuse."""
        forecast = make_forecast((50.0, 1.0), start=MORNING - HALF)

        with pytest.raises(VerificationError, match=r"09:30:00.*within a step"):
            checked(make_scenario(tariff=make_tariff(), forecasts=[forecast]), make_schedule())

    def test_a_step_that_a_price_divides_is_refused(self) -> None:
        """Nor can a price."""
        prices = make_tariff((0.2, 0.9, 0.1), start=MORNING - HALF)

        with pytest.raises(VerificationError, match="within a step"):
            checked(make_scenario(tariff=prices), make_schedule())

    @pytest.mark.parametrize(("excess_kw", "holds"), [(0.9e-6, True), (3e-6, False)])
    def test_the_tolerance_is_a_millionth(self, excess_kw: float, holds: bool) -> None:
        """A limit of 10 kW exceeded by 0.9 W/1000 is rounding, by 3 W/1000 is not."""
        site = make_site()
        limited = replace(site, groups=(replace(site.groups[0], import_limit_kw=10.0 - excess_kw),))
        scenario = replace(self.scenario, site=limited)

        if holds:
            assert checked(scenario, make_schedule()).smallest_margin_kw == pytest.approx(-excess_kw, rel=1e-3)
        else:
            with pytest.raises(VerificationError, match="group 'main'"):
                checked(scenario, make_schedule())

    @pytest.mark.parametrize(("late_s", "holds"), [(5e-7, True), (1e-3, False)])
    def test_times_are_good_to_a_microsecond(self, late_s: float, holds: bool) -> None:
        """A row may end half a microsecond after the departure, not a millisecond."""
        first_hour_only = replace(self.scenario, sessions=(make_session(departure=MORNING + HOUR),))
        plan = make_schedule(session=first_hour_only.sessions[0])
        plan = moved(with_power(plan, 0, 10.0), 0, start_h=0.0, end_h=1.0 + late_s / 3600)

        if holds:
            assert checked(first_hour_only, plan).violations == ()
        else:
            with pytest.raises(VerificationError, match="outside the stay"):
                checked(first_hour_only, plan)


class TestTree:
    """Root (12 kW) over mid (9 kW) over leaf (6 kW), a charger of 11 kW on each; one hour, everything free."""

    groups = (
        CapacityGroup(group_id="leaf", parent_id="mid", import_limit_kw=6.0),
        CapacityGroup(group_id="mid", parent_id="root", import_limit_kw=9.0),
        CapacityGroup(group_id="root", import_limit_kw=12.0),
    )
    site = make_site(
        groups=groups,
        chargers=[
            make_charger(group.group_id, group_id=group.group_id, max_power_kw=11.0, phases=Phase.ONE)
            for group in groups
        ],
    )
    scenario = make_scenario(
        site=site,
        sessions=[
            make_session(group.group_id, charger_id=group.group_id, departure=MORNING + HOUR, energy_kwh=11.0)
            for group in groups
        ],
    )

    def plan(self, leaf_kw: float, mid_kw: float, root_kw: float, scenario: Scenario | None = None) -> Schedule:
        """A schedule of one hour with the figures that belong to these powers."""
        powers = np.array([leaf_kw, mid_kw, root_kw])
        base = optimize(scenario or self.scenario, HOURLY)
        begin_s, end_s = base.grid.edges_s[[0, 1]]
        group_kw = {"leaf": leaf_kw, "mid": leaf_kw + mid_kw, "root": powers.sum()}
        return replace(
            base,
            sessions=tuple(
                replace(result, delivered_energy_kwh=power_kw, unmet_energy_kwh=11.0 - power_kw)
                for result, power_kw in zip(base.sessions, powers.tolist(), strict=True)
            ),
            session_index=np.arange(3),
            step_index=np.zeros(3, dtype=np.int64),
            start_s=np.full(3, begin_s),
            end_s=np.full(3, end_s),
            power_kw=powers,
            groups=tuple(replace(group, power_kw=np.array([group_kw[group.group_id]])) for group in base.groups),
            peak_import_kw=float(powers.sum()),
            costs=None,
        )

    def test_full_at_every_level_holds(self) -> None:
        """6 + 3 + 3: leaf 6 of 6, mid 9 of 9, root 12 of 12."""
        assert checked(self.scenario, self.plan(6.0, 3.0, 3.0)).smallest_margin_kw == pytest.approx(0.0)

    @pytest.mark.parametrize(
        ("powers_kw", "message"),
        [
            ((6.5, 2.0, 3.0), r"group 'leaf': 6\.5\d* kW .* limit of 6\.0"),
            ((5.0, 4.5, 2.0), r"group 'mid': 9\.5\d* kW .* limit of 9\.0"),
            ((5.0, 3.0, 4.5), r"group 'root': 12\.5\d* kW .* limit of 12\.0"),
        ],
        ids=["leaf", "mid", "root"],
    )
    def test_a_limit_at_any_level_is_checked(self, powers_kw: tuple[float, float, float], message: str) -> None:
        """Half a kW too much at one level while the others hold is refused, with group, load and limit."""
        with pytest.raises(VerificationError, match=message):
            checked(self.scenario, self.plan(*powers_kw))

    def test_the_baseline_ignores_groups(self) -> None:
        """Uncontrolled charging may exceed every group, by definition, but no charger."""
        plan = self.plan(11.0, 11.0, 11.0)

        verify(self.scenario, plan, limit_mode=LimitMode.MEAN, group_limits=False)
        with pytest.raises(VerificationError, match=r"session 'leaf'.*11\.5\d* kW"):
            verify(self.scenario, self.plan(11.5, 0.0, 0.0), limit_mode=LimitMode.MEAN, group_limits=False)

    @pytest.mark.parametrize(("phase", "is_held"), [(Phase.ONE, True), (Phase.TWO, False)])
    def test_a_limit_per_phase_counts_who_is_on_it(self, phase: Phase, is_held: bool) -> None:
        """8 kW on phase ONE of the root do not hold 6 + 3 + 3 kW of chargers on that phase; on phase TWO nobody is."""
        forecast = make_forecast((8.0,), group_id="root", phase=phase)
        scenario = make_scenario(site=self.site, sessions=self.scenario.sessions, forecasts=[forecast])
        plan = self.plan(6.0, 3.0, 3.0, scenario)

        if is_held:
            with pytest.raises(VerificationError, match=r"group 'root' phase ONE: 12\.0\d* kW .* limit of 8\.0"):
                checked(scenario, plan)
        else:
            assert checked(scenario, plan).violations == ()

    def test_a_gap_in_the_forecasts_is_zero(self) -> None:
        """A group with forecasts, none of them now and nothing above it limited, may draw nothing."""
        alone = replace(self.site, groups=tuple(replace(group, import_limit_kw=None) for group in self.site.groups))
        later = make_forecast((50.0,), group_id="leaf", start=MORNING + 5 * HOUR)
        scenario = make_scenario(site=alone, sessions=self.scenario.sessions, forecasts=[later])

        with pytest.raises(VerificationError, match=r"group 'leaf': 1\.0\d* kW .* limit of 0\.0"):
            checked(scenario, self.plan(1.0, 3.0, 3.0, scenario))

    def test_the_worst_is_told_first_and_the_rest_is_counted(self) -> None:
        """The error has one sentence for each thing broken."""
        with pytest.raises(VerificationError, match="and 2 more") as error:
            checked(self.scenario, self.plan(7.0, 3.0, 3.0))

        assert [text.split(":")[0] for text in error.value.violations] == [
            "group 'leaf'",
            "group 'mid'",
            "group 'root'",
        ]


class TestMoments:
    """Two sessions of half an hour each in one hourly step, one after the other, under 10 kW."""

    sessions = (
        make_session("A", charger_id="C1", departure=MORNING + HALF, energy_kwh=5.0),
        make_session("B", charger_id="C2", arrival=MORNING + HALF, departure=MORNING + HOUR, energy_kwh=5.0),
    )

    def scenario(self, *, one_charger: bool = False) -> Scenario:
        site = make_site(chargers=[make_charger("C1"), make_charger("C2")])
        sessions = [replace(session, charger_id="C1") if one_charger else session for session in self.sessions]
        return make_scenario(
            site=replace(site, groups=(replace(site.groups[0], import_limit_kw=10.0),)), sessions=sessions
        )

    def test_a_mean_counts_the_length_of_the_presence(self) -> None:
        """10 kW for half an hour, twice, is 10 kW on the mean of the hour: full."""
        plan = optimize(self.scenario(), HOURLY)

        assert plan.power_kw.tolist() == pytest.approx([10.0, 10.0])
        assert checked(self.scenario(), plan).smallest_margin_kw == pytest.approx(0.0)

    def test_every_moment_counts_full_power(self) -> None:
        """The same plan counts 20 kW where every power in a step counts in full."""
        plan = optimize(self.scenario(), HOURLY)

        with pytest.raises(VerificationError, match=r"group 'main': 20\.0\d* kW .* limit of 10\.0"):
            checked(self.scenario(), plan, LimitMode.INSTANTANEOUS)

    def test_one_after_the_other_shares_no_charger(self) -> None:
        """Who leaves as the next arrives does not overlap: the charger's limit is each one's own."""
        scenario = self.scenario(one_charger=True)

        assert checked(scenario, optimize(scenario, HOURLY)).violations == ()

    def test_an_overlapped_charger_is_held(self) -> None:
        """Two sessions that are at a charger of 22 kW for the same hour draw no more than 22 kW between them."""
        both = tuple(
            replace(session, charger_id="C1", arrival=MORNING, departure=MORNING + HOUR, energy_kwh=20.0)
            for session in self.sessions
        )
        apart = make_scenario(
            site=make_site(chargers=[make_charger("C1"), make_charger("C2")]),
            sessions=[both[0], replace(both[1], charger_id="C2")],
        )
        plan = optimize(apart, HOURLY)
        together = make_scenario(site=apart.site, sessions=both)
        same_charger = tuple(
            replace(result, session=session) for result, session in zip(plan.sessions, both, strict=True)
        )

        assert plan.power_kw.tolist() == pytest.approx([20.0, 20.0])
        with pytest.raises(VerificationError, match=r"charger 'C1': 40\.0\d* kW .* limit of 22\.0"):
            checked(together, replace(plan, sessions=same_charger))

    def test_an_overlap_is_found_behind_a_long_stay(self) -> None:
        """A stays four hours, B the second of them, C the fourth: C meets A although B, who came between, is gone. Only
        in the fourth hour do they draw more than the charger's 22 kW between them.
        """
        stays = {"A": (0, 4), "B": (1, 2), "C": (3, 4)}
        sessions = [
            make_session(
                name, charger_id=name, arrival=MORNING + since * HOUR, departure=MORNING + until * HOUR, energy_kwh=20.0
            )
            for name, (since, until) in stays.items()
        ]
        apart = make_scenario(site=make_site(chargers=[make_charger(name) for name in stays]), sessions=sessions)
        plan = optimize(apart, replace(HOURLY, strategy=Strategy.UNCONTROLLED))
        late = moved(plan, 0, start_h=3.0, end_h=4.0)
        one = make_scenario(site=apart.site, sessions=[replace(session, charger_id="A") for session in sessions])
        shared = tuple(replace(result, session=replace(result.session, charger_id="A")) for result in plan.sessions)

        assert plan.session_index.tolist() == [0, 1, 2]
        with pytest.raises(VerificationError, match=r"charger 'A': 40\.0\d* kW from 2026-03-02T12:00"):
            checked(one, replace(late, sessions=shared))


def test_a_plan_for_nobody_holds() -> None:
    """No sessions, no rows: nothing can break."""
    scenario = make_scenario(sessions=[], forecasts=[make_forecast()])
    plan = optimize(scenario, HOURLY)

    found = checked(scenario, plan)

    assert plan.status is ScheduleStatus.OPTIMAL
    assert found.delivered_energy_kwh.size == 0
    assert found.peak_import_kw == 0.0


def test_steps_of_any_length_are_counted_by_their_length() -> None:
    """6 kW for 10 of the 15 minutes of a step is 4 kW on the mean; in a step of 10 minutes it is 6."""
    stay = make_session(departure=MORNING + timedelta(minutes=10), energy_kwh=1.0)
    begin_s = MORNING.timestamp()
    for minutes, mean_kw in ((15, 4.0), (10, 6.0)):
        scenario = make_scenario(sessions=[stay])
        options = OptimizeOptions(raster=timedelta(minutes=minutes))
        plan = optimize(scenario, options)

        assert plan.power_kw.tolist() == pytest.approx([6.0])
        assert checked(scenario, plan).peak_import_kw == pytest.approx(mean_kw)
        assert plan.grid.edges_s.tolist() == [begin_s, begin_s + 60 * minutes]
