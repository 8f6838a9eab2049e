"""What a further kWh of a limit saves: by hand, and as slopes of random problems."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.domain.time_grid import FloatArray
from optimizer.engine import optimize
from optimizer.options import LimitMode, OptimizeOptions, SolverOptions, Stage
from optimizer.solver import solve
from optimizer.stages import Hints
from tests.builders import (
    HOUR,
    MORNING,
    make_charger,
    make_forecast,
    make_scenario,
    make_session,
    make_site,
    make_tariff,
)
from tests.optimizer.programs import program_of, values
from tests.properties.strategies import Case, cases

PLAIN = SolverOptions()
HOURLY = OptimizeOptions(raster=HOUR)
UNSERVED_VALUE = 10.0
"""Currency per kWh in shadow prices, the default."""


class TestShadowPrices:
    """What one more kWh of a limit saves: currency per kWh, whatever the step's length and the meaning of a limit."""

    def test_a_kwh_moved_to_the_cheaper_hour(self) -> None:
        """10 kWh at 0.20 and 0.30 under 6 kW: 6 kWh in the first hour, 4 in the second. A further kWh in the first hour
        saves 0.30 - 0.20; the limit of the second hour does not bind.
        """
        scenario = make_scenario(forecasts=[make_forecast((6.0, 6.0))], tariff=make_tariff())

        plan = optimize(scenario, HOURLY)

        assert plan.energy_cost == pytest.approx(6 * 0.20 + 4 * 0.30)
        assert plan.group("main").shadow_price_per_kwh.tolist() == pytest.approx([0.10, 0.0])

    def test_a_kwh_more_for_those_who_go_short(self) -> None:
        """20 kWh under 6 kW for two hours: 8 stay unmet. A further kWh is one unmet kWh less, worth 10, and costs the
        hour's price: 9.80 and 9.70.
        """
        scenario = make_scenario(
            sessions=[make_session(energy_kwh=20.0)], forecasts=[make_forecast((6.0, 6.0))], tariff=make_tariff()
        )

        plan = optimize(scenario, HOURLY)

        assert plan.unmet_energy_kwh == pytest.approx(8.0)
        assert plan.group("main").shadow_price_per_kwh.tolist() == pytest.approx([9.80, 9.70])

    def test_priority_weighs_in_the_price(self) -> None:
        """The same for a session of priority 3: a kWh of it counts three times."""
        scenario = make_scenario(
            sessions=[make_session(energy_kwh=20.0, priority=3.0)],
            forecasts=[make_forecast((6.0, 6.0))],
            tariff=make_tariff(),
        )

        plan = optimize(scenario, HOURLY)

        assert plan.group("main").shadow_price_per_kwh.tolist() == pytest.approx([29.80, 29.70])

    def test_the_price_is_per_kwh_in_steps_of_any_length(self) -> None:
        """The same hours in steps of 15 minutes and, beyond 08:50, one of 10 and one of 5: still 0.10 per kWh in every
        step of the first hour.
        """
        forecast = make_forecast((6.0, 6.0))
        blocks = [replace(forecast.blocks[0], end=MORNING + HOUR * 5 / 6)]
        blocks += [replace(forecast.blocks[0], start=MORNING + HOUR * 5 / 6), forecast.blocks[1]]
        scenario = make_scenario(forecasts=[replace(forecast, blocks=tuple(blocks))], tariff=make_tariff())

        plan = optimize(scenario, OptimizeOptions())

        assert plan.grid.steps == 9
        assert plan.group("main").shadow_price_per_kwh.tolist() == pytest.approx([0.10] * 5 + [0.0] * 4)

    def test_at_every_moment_half_a_stay_is_worth_half(self) -> None:
        """A session there for half of each hour uses half of a further kWh of the limit when every moment counts: of
        the 9.80 and 9.70 that a kWh delivered is worth, half.
        """
        first = make_session("A", arrival=MORNING + HOUR / 2, departure=MORNING + 1.5 * HOUR, energy_kwh=20.0)
        scenario = make_scenario(sessions=[first], forecasts=[make_forecast((6.0, 6.0))], tariff=make_tariff())

        plan = optimize(scenario, replace(HOURLY, limit_mode=LimitMode.INSTANTANEOUS))

        assert plan.delivered_energy_kwh == pytest.approx(6.0)
        assert plan.group("main").shadow_price_per_kwh.tolist() == pytest.approx([4.90, 4.85])

    def test_parent_and_child_each_have_their_own(self) -> None:
        """A feeder of 4 kW under a root of 6 kW, 20 kWh asked for on the feeder: only the feeder's limit binds."""
        site = make_site()
        root = replace(site.groups[0], group_id="root", import_limit_kw=6.0)
        feeder = replace(site.groups[0], parent_id="root", import_limit_kw=4.0)
        scenario = make_scenario(
            site=replace(site, groups=(root, feeder)), sessions=[make_session(energy_kwh=20.0)], tariff=make_tariff()
        )

        plan = optimize(scenario, HOURLY)

        assert plan.group("main").shadow_price_per_kwh.tolist() == pytest.approx([9.80, 9.70])
        assert plan.group("root").shadow_price_per_kwh.tolist() == pytest.approx([0.0, 0.0])

    @pytest.mark.parametrize("mode", list(LimitMode))
    @pytest.mark.parametrize("minutes", [60, 30, 20])
    @pytest.mark.parametrize("energy_kwh", [10.0, 25.0], ids=["served", "short"])
    def test_it_is_what_raising_the_limit_saves(self, mode: LimitMode, minutes: int, energy_kwh: float) -> None:
        """Raising the limit of one block by 0.01 kW saves the sum over its steps of shadow price x 0.01 kW x length, in
        cost and in unmet energy at 10 per kWh, in either meaning of a limit.
        """
        site = make_site(chargers=[make_charger("C1"), make_charger("C2", max_power_kw=7.0)])
        sessions = [
            make_session("A", energy_kwh=energy_kwh, departure=MORNING + 3 * HOUR),
            make_session("B", charger_id="C2", arrival=MORNING + HOUR * 3 / 4, energy_kwh=6.5),
        ]
        options = OptimizeOptions(raster=HOUR * minutes / 60, limit_mode=mode)

        def planned(first_kw: float) -> tuple[float, FloatArray]:
            forecast = make_forecast((first_kw, 8.1, 7.3))
            plan = optimize(
                make_scenario(site=site, sessions=sessions, forecasts=[forecast], tariff=make_tariff((0.1, 0.2, 0.4))),
                options,
            )
            worth = plan.energy_cost + UNSERVED_VALUE * plan.unmet_energy_kwh
            first = plan.grid.edges_s[:-1] < (MORNING + HOUR).timestamp()
            return worth, (plan.group("main").shadow_price_per_kwh * plan.grid.step_hours)[first]

        before, value_per_kw = planned(5.2)
        after, _ = planned(5.21)

        assert before - after == pytest.approx(0.01 * value_per_kw.sum(), abs=1e-5)
        assert value_per_kw.sum() > 0

    @settings(max_examples=60)
    @given(cases(objectives=[(Stage.UNMET_ENERGY, Stage.ENERGY_COST)]), st.data())
    def test_duals_are_slopes(self, case: Case, data: st.DataObject) -> None:
        """The dual of a limit row in each stage lies between the slopes of the stage's value to either side; that of
        cost only where the slope of unmet energy is the same to both, for at a corner the two duals go together.
        """
        program, weight = program_of(case.scenario, case.options)
        assume("capacity_limit" in program.rows)
        rows = program.rows["capacity_limit"]
        row = data.draw(st.integers(rows.start, rows.stop - 1))
        assume(program.row_upper[row] > 0.02)
        step_kwh = 0.01

        def moved(by_kwh: float) -> list[float]:
            upper = program.row_upper.copy()
            upper[row] += by_kwh
            return values(solve(replace(program, row_upper=upper), PLAIN))

        solution = solve(program, PLAIN, hints=Hints(merge_weight=weight))

        here, more, less = values(solution), moved(step_kwh), moved(-step_kwh)
        right = [(after - now) / step_kwh for after, now in zip(more, here, strict=True)]
        left = [(now - before) / step_kwh for now, before in zip(here, less, strict=True)]
        for number, stage in enumerate(solution.stages):
            assert stage.row_dual is not None
            low, high = sorted((left[number], right[number]))
            assert low - 1e-3 <= stage.row_dual[row] <= high + 1e-3
            if abs(high - low) > 1e-3:
                break
