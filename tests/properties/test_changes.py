"""What holds between the optima of two scenarios that differ in one thing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.domain.capacity import CapacityForecast, Phase
from models.domain.schedule import Schedule
from models.oscp.v20 import ForecastedBlockUnit, PhaseIndicator, to_capacity_forecast
from optimizer.engine import optimize
from optimizer.options import LimitMode, OptimizeOptions, Stage, Strategy
from optimizer.prepare import prepare
from tests.builders import MORNING, make_message
from tests.properties.optima import EXAMPLES, TOLERANCE, is_worse, solved, values
from tests.properties.recount import rows
from tests.properties.strategies import (
    HEURISTICS,
    HOURS,
    MINUTE,
    OBJECTIVES,
    Case,
    cases,
    messages,
    session_lists,
    sites,
    tariffs,
)


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
    message = make_message(capacities, group_id=group_id, phase=phase, unit=unit)
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
