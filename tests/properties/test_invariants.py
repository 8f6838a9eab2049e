"""What holds for the optimum of every scenario, recomputed from rows, blocks and clocks."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.domain.capacity import CapacityForecast, Phase
from models.domain.schedule import Schedule, ScheduleStatus
from models.oscp.v20 import (
    CapacityForecastType,
    ForecastedBlock,
    ForecastedBlockUnit,
    PhaseIndicator,
    UpdateGroupCapacityForecast,
    to_capacity_forecast,
)
from optimizer import verify
from optimizer.engine import optimize
from optimizer.extract import NOTHING_KWH
from optimizer.options import LimitMode, OptimizeOptions, Stage, Strategy
from optimizer.prepare import prepare
from tests.builders import HOUR, MORNING, make_charger, make_session, make_site
from tests.properties.recount import counted_rows, limits_kw, price_at, rows, steps
from tests.properties.strategies import (
    HEURISTICS,
    HOURS,
    MINUTE,
    OBJECTIVES,
    POWERS_KW,
    PRICES,
    TARIFF_HOURS,
    Case,
    cases,
    messages,
    price_blocks,
    session_lists,
    sites,
    tariffs,
)

TOLERANCE = 1e-5
"""kW, kWh or currency: sums of rows that hold to 1e-6 each."""

EXAMPLES = settings(max_examples=100)
"""Each example solves one to five small programs of about 10 ms."""


def solved(case: Case) -> Schedule:
    """The optimum, proved in every stage."""
    schedule = optimize(case.scenario, case.options)
    assert schedule.status is ScheduleStatus.OPTIMAL
    return schedule


def values(schedule: Schedule) -> list[float]:
    """What each stage reached, first stage first."""
    return [stage.value for stage in schedule.stages]


def is_worse(later: list[float], earlier: list[float], tolerance: float = TOLERANCE) -> bool:
    """Whether the first stage in which two vectors differ is higher in the later one; a gain of a hundredth of the
    tolerance is one already, since a later stage may pay for it.
    """
    for new, old in zip(later, earlier, strict=True):
        slack = tolerance * max(1.0, abs(old))
        if new - old > slack:
            return True
        if old - new > slack / 100:
            return False
    return False


class TestEveryPlan:
    """One plan, any scenario."""

    @EXAMPLES
    @given(cases())
    def test_passes_verification(self, case: Case) -> None:
        """What is published was proved optimal and passes the independent check."""
        schedule = solved(case)

        found = verify(case.scenario, schedule, limit_mode=case.options.limit_mode)

        assert found.violations == ()

    @EXAMPLES
    @given(cases())
    def test_no_group_exceeds_its_limit_over_a_step(self, case: Case) -> None:
        """At every level of the tree and on every phase the energy of a step is at most limit x length of the step,
        whatever a limit means: what holds at every moment holds on the mean.
        """
        schedule = solved(case)

        for group in case.site.groups:
            for begin_s, end_s in steps(schedule):
                for phase, limit_kw in limits_kw(case, group.group_id, begin_s).items():
                    counted = counted_rows(case, schedule, group.group_id, phase)
                    energy_kws = sum(kw * (until - since) for since, until, kw in counted if begin_s <= since < end_s)
                    assert energy_kws <= limit_kw * (end_s - begin_s) + TOLERANCE * 3600

    @EXAMPLES
    @given(cases(limit_modes=[LimitMode.INSTANTANEOUS]))
    def test_no_moment_exceeds_a_limit_when_every_moment_counts(self, case: Case) -> None:
        """For instantaneous limits the power of all who draw at a moment is at most the limit at that moment. Load
        only rises where a row begins, so that these moments are all there is to check; limits only fall at edges.
        """
        schedule = solved(case)

        moments = {*schedule.start_s.tolist(), *schedule.grid.edges_s[:-1].tolist()}
        for group in case.site.groups:
            for moment_s in moments:
                for phase, limit_kw in limits_kw(case, group.group_id, moment_s).items():
                    counted = counted_rows(case, schedule, group.group_id, phase)
                    load_kw = sum(kw for since, until, kw in counted if since <= moment_s < until)
                    assert load_kw <= limit_kw + TOLERANCE

    @EXAMPLES
    @given(cases())
    def test_every_row_lies_within_the_stay(self, case: Case) -> None:
        """Nobody draws power before the arrival or after the departure, nor across an edge of the grid."""
        schedule = solved(case)

        sessions = {session.session_id: session for session in case.sessions}
        edges = schedule.grid.edges_s.tolist()
        for session_id, start_s, end_s, _ in rows(schedule):
            assert sessions[session_id].arrival.timestamp() <= start_s < end_s
            assert end_s <= sessions[session_id].departure.timestamp()
            assert not any(start_s < edge < end_s for edge in edges)

    @EXAMPLES
    @given(cases())
    def test_the_grid_holds_every_edge(self, case: Case) -> None:
        """Within a step no price and no limit changes."""
        schedule = solved(case)

        edges = {
            edge.timestamp()
            for message in case.messages
            for block in message.blocks
            for edge in (block.start, block.end)
        } | {block.start.timestamp() for block in case.prices}
        for begin_s, end_s in steps(schedule):
            for inside_s in (edge_s for edge_s in edges if begin_s < edge_s < end_s):
                assert price_at(case, inside_s) == price_at(case, begin_s)
                for group in case.site.groups:
                    assert limits_kw(case, group.group_id, inside_s) == limits_kw(case, group.group_id, begin_s)

    @EXAMPLES
    @given(cases())
    def test_no_session_gets_more_than_it_asks_for_or_can_draw(self, case: Case) -> None:
        """Energy is at most the request, power at most the lower of charger and vehicle; what is delivered, unmet and
        unreachable makes up the request.
        """
        schedule = solved(case)

        chargers = {charger.charger_id: charger for charger in case.site.chargers}
        for session_id, _, _, power_kw in rows(schedule):
            session = next(session for session in case.sessions if session.session_id == session_id)
            limit_kw = chargers[session.charger_id].max_power_kw
            assert 0 < power_kw <= min(limit_kw, session.max_power_kw or math.inf) + TOLERANCE
        for result in schedule.sessions:
            energy_kwh = sum(
                power_kw * (end_s - start_s) / 3600
                for session_id, start_s, end_s, power_kw in rows(schedule)
                if session_id == result.session.session_id
            )
            parts = result.delivered_energy_kwh + result.unmet_energy_kwh + result.unreachable_energy_kwh
            assert energy_kwh == pytest.approx(result.delivered_energy_kwh, abs=TOLERANCE)
            assert energy_kwh <= result.session.energy_kwh + TOLERANCE
            assert parts == pytest.approx(result.session.energy_kwh, abs=TOLERANCE)
            assert result.unmet_energy_kwh == 0.0 or result.unmet_energy_kwh >= NOTHING_KWH

    @EXAMPLES
    @given(cases())
    def test_sessions_at_one_charger_share_its_power(self, case: Case) -> None:
        """In a step in which two stays at one charger overlap, all sessions there together draw on the mean no more
        than the charger delivers.
        """
        schedule = solved(case)

        for charger in case.site.chargers:
            here = [session for session in case.sessions if session.charger_id == charger.charger_id]
            for begin_s, end_s in steps(schedule):
                stays = [
                    (max(s.arrival.timestamp(), begin_s), min(s.departure.timestamp(), end_s))
                    for s in here
                    if s.arrival.timestamp() < end_s and s.departure.timestamp() > begin_s
                ]
                overlap = any(
                    max(one[0], other[0]) < min(one[1], other[1])
                    for index, one in enumerate(stays)
                    for other in stays[:index]
                )
                ids = {session.session_id for session in here}
                energy_kws = sum(
                    kw * (until - since)
                    for session_id, since, until, kw in rows(schedule)
                    if session_id in ids and begin_s <= since < end_s
                )
                if overlap:
                    assert energy_kws <= charger.max_power_kw * (end_s - begin_s) + TOLERANCE * 3600

    @EXAMPLES
    @given(cases())
    def test_cost_and_peak_are_those_of_the_rows(self, case: Case) -> None:
        """Cost is the sum of energy x price; without prices it is zero. The peak is that of the group results' roots
        together.
        """
        schedule = solved(case)

        cost = sum(
            power_kw * (end_s - start_s) / 3600 * (price_at(case, start_s) or 0.0)
            for _, start_s, end_s, power_kw in rows(schedule)
        )
        roots = [group.group_id for group in case.site.groups if group.parent_id is None]
        site_kw = np.sum([schedule.group(group_id).power_kw for group_id in roots], axis=0)
        assert schedule.energy_cost == pytest.approx(cost, abs=TOLERANCE)
        assert schedule.peak_import_kw == pytest.approx(site_kw.max(), abs=TOLERANCE)

    @EXAMPLES
    @given(cases())
    def test_who_goes_short_is_told_why(self, case: Case) -> None:
        """The reason is empty exactly where a session gets all it asks for; an optimum never leaves room unused."""
        schedule = solved(case)

        for result in schedule.sessions:
            is_short = result.unmet_energy_kwh + result.unreachable_energy_kwh > 0
            assert bool(result.reason) == is_short
            assert "not used" not in result.reason

    @EXAMPLES
    @given(cases())
    def test_it_is_the_same_on_every_run(self, case: Case) -> None:
        """Planning the same scenario again gives the same rows to the last bit."""
        first, again = solved(case), solved(case)

        assert rows(first) == rows(again)
        assert values(first) == values(again)

    @EXAMPLES
    @given(st.one_of(cases(), cases(minutes=60)), st.data())
    def test_the_order_of_the_input_does_not_matter(self, case: Case, data: st.DataObject) -> None:
        """Sessions, groups, chargers and prices are sets: listed in another order they give the same rows."""
        shuffled = replace(
            case,
            site=replace(
                case.site,
                groups=tuple(data.draw(st.permutations(case.site.groups))),
                chargers=tuple(data.draw(st.permutations(case.site.chargers))),
            ),
            sessions=tuple(data.draw(st.permutations(case.sessions))),
            prices=tuple(data.draw(st.permutations(case.prices))),
        )

        plan, other = solved(case), solved(shuffled)

        assert rows(plan) == rows(other)
        assert values(plan) == values(other)
        assert {group.group_id: group.power_kw.tolist() for group in plan.groups} == {
            group.group_id: group.power_kw.tolist() for group in other.groups
        }


class TestChange:
    """Two plans whose input differs in one thing."""

    @EXAMPLES
    @given(cases(), st.data())
    def test_more_capacity_is_never_worse(self, case: Case, data: st.DataObject) -> None:
        """Raising a limit never raises the weighted unmet energy, nor at equal service the peak and the cost."""
        limited = [group for group in case.site.groups if group.import_limit_kw is not None]
        assume(limited)
        chosen = data.draw(st.sampled_from(limited))
        more_kw = data.draw(st.floats(0.1, 20.0))
        groups = tuple(
            replace(group, import_limit_kw=(group.import_limit_kw or 0.0) + more_kw) if group is chosen else group
            for group in case.site.groups
        )
        wider = replace(case, site=replace(case.site, groups=groups))

        before, after = solved(case), solved(wider)

        assert not is_worse(values(after), values(before))

    @EXAMPLES
    @given(cases(), st.data())
    def test_a_higher_forecast_is_never_worse(self, case: Case, data: st.DataObject) -> None:
        """The same where a capacity provider allows more in all its blocks."""
        factor = data.draw(st.floats(1.0, 3.0))
        raised = tuple(
            replace(
                message,
                blocks=tuple(replace(block, capacity_kw=block.capacity_kw * factor + 1.0) for block in message.blocks),
            )
            for message in case.messages
        )

        before, after = solved(case), solved(replace(case, messages=raised))

        assert not is_worse(values(after), values(before))

    @EXAMPLES
    @given(cases(per_phase=False, limit_modes=[LimitMode.MEAN]), st.data())
    def test_more_capacity_never_serves_less(self, case: Case, data: st.DataObject) -> None:
        """Where limits are nested and count energy as it is, a higher priority takes energy from others but wastes
        none: without a group's limit the plain unmet energy is no higher either.
        """
        # With forecasts, a group would be held at zero in their gaps once nothing else limits it.
        limited = replace(case, messages=())
        chosen = data.draw(st.sampled_from(case.site.groups))
        groups = tuple(
            replace(group, import_limit_kw=None if group is chosen else group.import_limit_kw)
            for group in case.site.groups
        )

        before, after = solved(limited), solved(replace(limited, site=replace(case.site, groups=groups)))

        assert after.unmet_energy_kwh <= before.unmet_energy_kwh + TOLERANCE

    @EXAMPLES
    @given(cases(), st.lists(st.integers(0, 90), min_size=HOURS, max_size=HOURS), st.data())
    def test_units_agree(self, case: Case, amperes: list[int], data: st.DataObject) -> None:
        """A forecast in A, W, kW, Wh or kWh is the same forecast: at 230 V three phases at I ampere are 0.69 I kW, one
        phase 0.23 I kW; an hour at P kW is P kWh. A current on all phases is one on each of them, which is the same
        where chargers load them alike.
        """
        alike = tuple(replace(charger, phases=Phase.ALL) for charger in case.site.chargers)
        group_id = data.draw(st.sampled_from(case.site.groups)).group_id
        phase = data.draw(st.sampled_from(list(PhaseIndicator)))
        single = phase in (PhaseIndicator.ONE, PhaseIndicator.TWO, PhaseIndicator.THREE)
        watts_per_ampere = 230 if single else 690
        if not single:
            case = replace(case, site=replace(case.site, chargers=alike))
        factors = {
            ForecastedBlockUnit.A: 1.0,
            ForecastedBlockUnit.W: watts_per_ampere,
            ForecastedBlockUnit.KW: watts_per_ampere / 1000,
            ForecastedBlockUnit.WH: watts_per_ampere,
            ForecastedBlockUnit.KWH: watts_per_ampere / 1000,
        }

        plans = [
            solved(replace(case, messages=(hourly_message(group_id, phase, unit, [factor * a for a in amperes]),)))
            for unit, factor in factors.items()
        ]

        for plan in plans[1:]:
            assert values(plan) == pytest.approx(values(plans[0]), abs=TOLERANCE, rel=TOLERANCE)
            assert plan.unmet_energy_kwh == pytest.approx(plans[0].unmet_energy_kwh, abs=1e-3)

    @EXAMPLES
    @given(cases(), st.data())
    def test_a_block_divided_where_a_step_begins_changes_nothing(self, case: Case, data: st.DataObject) -> None:
        """Two blocks of one capacity, one after the other, are one block: every row stays as it is."""
        assume(case.messages)
        plan = solved(case)
        edges = [plan.grid.instant(edge_s).astimezone(UTC) for edge_s in plan.grid.edges_s.tolist()]
        number = data.draw(st.integers(0, len(case.messages) - 1))
        divided = divide(case.messages[number], data.draw(st.sampled_from(edges)))
        received = (*case.messages[:number], divided, *case.messages[number + 1 :])

        again = solved(replace(case, messages=received))

        assert rows(again) == rows(plan)
        assert values(again) == values(plan)

    @EXAMPLES
    @given(st.data())
    def test_a_block_divided_anywhere_changes_no_value(self, data: st.DataObject) -> None:
        """Where everybody is there for whole steps, finer steps change neither unmet energy nor peak nor cost. A stay
        of part of a step may draw its mean over the whole step, which a finer step narrows.
        """
        site = data.draw(sites())
        case = Case(
            site=site,
            sessions=data.draw(session_lists(site, resolution_s=3600)),
            prices=data.draw(tariffs()),
            messages=data.draw(messages(site, minutes=60)),
            options=OptimizeOptions(
                # A quarter, since the clocks of Kathmandu strike the hour at a quarter past.
                raster=15 * MINUTE,
                limit_mode=data.draw(st.sampled_from(LimitMode)),
                objective=tuple(
                    stage for stage in data.draw(st.sampled_from(OBJECTIVES)) if stage is not Stage.EARLIEST_DELIVERY
                ),
            ),
        )
        assume(case.messages)
        instant = MORNING + data.draw(st.integers(1, HOURS * 60 - 1)) * MINUTE
        received = tuple(divide(message, instant) for message in case.messages)

        plan, again = solved(case), solved(replace(case, messages=received))

        assert values(again) == pytest.approx(values(plan), abs=TOLERANCE, rel=TOLERANCE)

    @EXAMPLES
    @given(cases(), st.data())
    def test_later_stages_never_worsen_earlier_ones(self, case: Case, data: st.DataObject) -> None:
        """The first k stages alone reach the same k values as all stages together, for every k; the plan that all
        stages give is worth what they say.
        """
        case = replace(case, previous=data.draw(previous_plans(case)))
        plan = solved(case)
        names = [Stage(stage.name) for stage in plan.stages]

        for count in range(1, len(names)):
            alone = solved(case.with_options(objective=tuple(names[:count])))
            assert values(alone) == pytest.approx(values(plan)[:count], abs=TOLERANCE, rel=TOLERANCE)
        assert [worth(case, plan, stage) for stage in names] == pytest.approx(
            values(plan), abs=TOLERANCE, rel=TOLERANCE
        )

    @EXAMPLES
    @given(cases(), st.sampled_from(HEURISTICS))
    def test_the_optimum_is_never_worse_than_a_heuristic(self, case: Case, strategy: Strategy) -> None:
        """No heuristic under the same limits serves more, or as much with a lower peak or cost, or earlier."""
        plan = solved(case)
        heuristic = optimize(case.scenario, replace(case.options, strategy=strategy))
        names = [Stage(stage.name) for stage in plan.stages]

        reached = [worth(case, heuristic, stage) for stage in names]

        assert not is_worse(values(plan), reached)

    @EXAMPLES
    @given(cases())
    def test_instantaneous_limits_are_the_stricter(self, case: Case) -> None:
        """What holds at every moment holds on the mean: limits on the mean never leave more unmet."""
        mean = solved(case.with_options(limit_mode=LimitMode.MEAN))
        every_moment = solved(case.with_options(limit_mode=LimitMode.INSTANTANEOUS))

        assert mean.stages[0].value <= every_moment.stages[0].value + TOLERANCE

    @EXAMPLES
    @given(cases())
    def test_the_plan_in_force_is_kept_when_nothing_changes(self, case: Case) -> None:
        """An optimum without the stage of earliest delivery, given as the plan in force, is planned again row by row:
        nothing moves where nothing is gained.
        """
        objective = tuple(stage for stage in case.options.objective if stage is not Stage.EARLIEST_DELIVERY)
        first = solved(case.with_options(objective=objective))

        again = solved(replace(case, previous=first).with_options(objective=objective))

        moved_kwh = sum(stage.value for stage in again.stages if stage.name == Stage.PREVIOUS_PLAN)
        assert moved_kwh == pytest.approx(0.0, abs=TOLERANCE)


def hourly_message(
    group_id: str, phase: PhaseIndicator, unit: ForecastedBlockUnit, capacities: list[float]
) -> CapacityForecast:
    """Capacities that hold an hour each, as they come over the wire."""
    message = UpdateGroupCapacityForecast(
        group_id=group_id,
        type=CapacityForecastType.CONSUMPTION,
        forecasted_blocks=tuple(
            ForecastedBlock(
                capacity=capacity,
                phase=phase,
                unit=unit,
                start_time=MORNING + hour * HOUR,
                end_time=MORNING + (hour + 1) * HOUR,
            )
            for hour, capacity in enumerate(capacities)
        ),
    )
    return to_capacity_forecast(message, voltage_v=230.0)


def divide(message: CapacityForecast, instant: datetime) -> CapacityForecast:
    """The same message, each block that holds an instant inside it given as two."""
    blocks = []
    for block in message.blocks:
        if block.start < instant < block.end:
            blocks += [replace(block, end=instant), replace(block, start=instant)]
        else:
            blocks.append(block)
    return replace(message, blocks=tuple(blocks))


@st.composite
def previous_plans(draw: st.DrawFn, case: Case) -> Schedule | None:
    """None, or a plan made some time ago: by a heuristic, on another raster, before the forecasts came."""
    if draw(st.booleans()):
        return None
    raster = draw(st.sampled_from([20, 60])) * MINUTE
    options = replace(case.options, raster=raster, strategy=draw(st.sampled_from(HEURISTICS)))
    return optimize(replace(case, messages=()).scenario, options)


def worth(case: Case, schedule: Schedule, stage: Stage) -> float:
    """A stage's value for any plan, from its rows."""
    problem = prepare(case.scenario, case.options)
    match stage:
        case Stage.UNMET_ENERGY:
            return sum(result.session.priority * result.unmet_energy_kwh for result in schedule.sessions)
        case Stage.PEAK_POWER:
            return schedule.peak_import_kw
        case Stage.ENERGY_COST:
            return schedule.energy_cost
        case Stage.EARLIEST_DELIVERY:
            begin_s = float(schedule.grid.edges_s[0])
            return sum(
                kw * (until - since) / 3600 * ((since + until) / 2 - begin_s) / 3600
                for _, since, until, kw in rows(schedule)
            )
        case Stage.EXPECTED_UNMET | Stage.LIKELY_UNMET | Stage.STEADY_COST:
            raise ValueError(f"no case has surprises, departure errors or a price of moving, and no {stage}")
        case Stage.PREVIOUS_PLAN:
            if problem.previous_energy_kwh is None:
                raise ValueError("there is no previous plan")
            planned = {
                (problem.column_session[k], problem.column_step[k]): kwh
                for k, kwh in enumerate(problem.previous_energy_kwh.tolist())
            }
            energy = zip(
                zip(schedule.session_index.tolist(), schedule.step_index.tolist(), strict=True),
                schedule.energy_kwh.tolist(),
                strict=True,
            )
            for key, kwh in energy:
                planned[key] -= kwh
            return float(sum(map(abs, planned.values())))


class TestEarliestDelivery:
    """With one price, or none, energy comes as early as the limits let it."""

    @EXAMPLES
    @given(st.data())
    def test_one_session_is_filled_from_the_front(self, data: st.DataObject) -> None:
        """One session in one group at a flat price: each step in turn gives the least of what the session still needs,
        what it can draw while present, and what the group may draw.
        """
        site = make_site(chargers=[make_charger(max_power_kw=data.draw(POWERS_KW))])
        (session,) = data.draw(session_lists(site, most=1).filter(lambda sessions: len(sessions) == 1))
        price = data.draw(st.one_of(st.none(), PRICES))
        case = Case(
            site=site,
            sessions=(session,),
            prices=() if price is None else price_blocks([price] * TARIFF_HOURS),
            messages=data.draw(messages(site, per_phase=False)),
            options=OptimizeOptions(raster=data.draw(st.sampled_from([15, 60])) * MINUTE),
        )

        plan = solved(case)

        power_kw = min(site.chargers[0].max_power_kw, session.max_power_kw or math.inf)
        left_kwh = session.energy_kwh
        expected = []
        for begin_s, end_s in steps(plan):
            present_s = min(end_s, session.departure.timestamp()) - max(begin_s, session.arrival.timestamp())
            limit_kw = limits_kw(case, "main", begin_s)[Phase.ALL]
            given_kwh = min(left_kwh, power_kw * max(present_s, 0.0) / 3600, limit_kw * (end_s - begin_s) / 3600)
            left_kwh -= given_kwh
            expected.append(given_kwh)
        planned = np.zeros(plan.grid.steps)
        np.add.at(planned, plan.step_index, plan.energy_kwh)
        assert planned.tolist() == pytest.approx(expected, abs=TOLERANCE)

    @EXAMPLES
    @given(st.data())
    def test_a_full_group_is_full_from_the_front(self, data: st.DataObject) -> None:
        """Sessions with the same stay in one group at a flat price: up to any instant they get together the least of
        what they need and what the group may draw until then.
        """
        powers_kw = data.draw(st.lists(st.sampled_from([3.7, 11.0, 22.0]), min_size=1, max_size=4))
        site = make_site(chargers=[make_charger(f"c{index}", max_power_kw=kw) for index, kw in enumerate(powers_kw)])
        limit_kw = data.draw(st.floats(1.0, min(powers_kw)))
        energies_kwh = data.draw(st.lists(st.floats(1.0, 20.0), min_size=len(powers_kw), max_size=len(powers_kw)))
        sessions = tuple(
            make_session(f"s{index}", charger_id=f"c{index}", departure=MORNING + HOURS * HOUR, energy_kwh=kwh)
            for index, kwh in enumerate(energies_kwh)
        )
        site = replace(site, groups=(replace(site.groups[0], import_limit_kw=limit_kw),))
        options = OptimizeOptions(raster=timedelta(minutes=30))
        case = Case(
            site=site, sessions=sessions, prices=price_blocks([0.2] * TARIFF_HOURS), messages=(), options=options
        )

        plan = solved(case)

        until_kwh = np.cumsum(plan.group("main").power_kw * 0.5)
        expected = [min(sum(energies_kwh), limit_kw * 0.5 * (step + 1)) for step in range(plan.grid.steps)]
        assert until_kwh.tolist() == pytest.approx(expected, abs=TOLERANCE)
