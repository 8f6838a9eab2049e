"""What capacity is worth: by hand, and by planning again with what was asked for or handed back."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.capacity import CapacityBlock, CapacityForecast, CapacityForecasts, CapacityKind
from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.errors import InputError, SolverError
from optimizer.advice import Advice, BlockAdvice, advise
from optimizer.advice_options import AskedBlocks
from optimizer.engine import optimize
from optimizer.options import COST_OBJECTIVE, LimitMode, OptimizeOptions, SolverOptions
from optimizer.scenario_io.advice_document import adjust_messages, write_advice
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
from tests.properties.strategies import Case, cases

HOURLY = OptimizeOptions(raster=HOUR)
LEAST = 0.001


def scenario_of(
    capacities_kw: tuple[float, ...], *, connection_kw: float | None = None, energy_kwh: float = 10.0
) -> Scenario:
    """A session of two hours at 22 kW under forecasts of an hour each; prices 0.2 and 0.3."""
    site = make_site(groups=[CapacityGroup(group_id="main", import_limit_kw=connection_kw)], chargers=[make_charger()])
    return make_scenario(
        site=site,
        sessions=[make_session(energy_kwh=energy_kwh)],
        tariff=make_tariff((0.2, 0.3)),
        forecasts=[make_forecast(capacities_kw)],
    )


def more(block: BlockAdvice) -> list[tuple[float, float]]:
    """The steps of a block's value."""
    return [(round(step.up_to_kw, 5), round(step.value_per_kwh, 5)) for step in block.more or ()]


class TestByHand:
    def test_more_is_worth_first_energy_then_its_price(self) -> None:
        """3 and 4 kW for 10 kWh: 3 more kWh in the cheap hour serve all, at 10 a kWh less 0.2; the next 4 move energy
        from the dear hour, at 0.1. In the dear hour 3 kWh are worth 10 less 0.3, and more nothing.
        """
        cheap, dear = advise(scenario_of((3.0, 4.0)), HOURLY).blocks

        assert more(cheap) == [(3.0, 9.8), (7.0, 0.1)]
        assert more(dear) == [(3.0, 9.7)]

    def test_blocks_that_stand_in_for_each_other_are_not_both_asked_for(self) -> None:
        """7 kW more in the cheap hour make all that the dear hour has unnecessary: worth 3 x 9.8 + 4 x 0.1."""
        advice = advise(scenario_of((3.0, 4.0)), HOURLY)

        assert [round(block.asked_kw, 5) for block in advice.blocks] == [7.0, 0.0]
        assert advice.asked_value == pytest.approx(3 * 9.8 + 4 * 0.1, abs=1e-4)

    def test_what_is_worth_too_little_is_not_asked_for(self) -> None:
        """At 0.15 per kWh only the 3 kW that serve are worth it."""
        advice = advise(scenario_of((3.0, 4.0)), HOURLY, least_value_per_kwh=0.15)

        assert [round(block.asked_kw, 5) for block in advice.blocks] == [3.0, 0.0]

    def test_the_connection_bounds_what_is_asked_for(self) -> None:
        """A forecast of 3 kW on a connection of 5: 2 kW can be asked for, and no more is worth anything."""
        cheap, _ = advise(scenario_of((3.0, 4.0), connection_kw=5.0), HOURLY).blocks

        assert (more(cheap), round(cheap.asked_kw, 5)) == ([(2.0, 9.8)], 2.0)

    def test_what_is_left_can_be_handed_back(self) -> None:
        """12 and 8 kW for 10 kWh: all comes in the cheap hour, 2 and 8 kW are left; nothing is asked for."""
        advice = advise(scenario_of((12.0, 8.0)), HOURLY)

        assert [round(block.hand_back_kw, 5) for block in advice.blocks] == [2.0, 8.0]
        assert [(block.asked_kw, block.more) for block in advice.blocks] == [(0.0, ()), (0.0, ())]

    def test_nobody_there(self) -> None:
        """Without sessions all of every block can be handed back."""
        scenario = replace(scenario_of((12.0, 8.0)), sessions=())

        assert [block.hand_back_kw for block in advise(scenario, HOURLY).blocks] == [12.0, 8.0]

    def test_without_forecasts_there_is_nobody_to_ask(self) -> None:
        """A connection is not negotiated by OSCP."""
        assert advise(make_scenario(), HOURLY) == Advice(blocks=(), asked_value=0.0)

    def test_of_equal_plans_the_one_that_needs_least(self) -> None:
        """In quarters of an hour 10 kWh can come at 12 kW and then less, or at 10 all the time, which leaves 2 kW."""
        advice = advise(scenario_of((12.0, 8.0)), replace(HOURLY, raster=HOUR / 4))

        assert [round(block.hand_back_kw, 5) for block in advice.blocks] == [2.0, 8.0]

    def test_without_steps_the_same_is_asked_for(self) -> None:
        """What each block alone is worth takes most of the time, and nobody needs it to ask."""
        scenario = scenario_of((3.0, 4.0))

        short = advise(scenario, HOURLY, step_by_step=False)

        assert [block.asked_kw for block in short.blocks] == [
            block.asked_kw for block in advise(scenario, HOURLY).blocks
        ]
        assert [(block.more, block.asked_value_per_kwh) for block in short.blocks] == [(None, None), (None, 0.0)]


class TestTime:
    """All of it keeps to the time limit, not each of its many solutions."""

    def test_what_was_not_looked_at_in_time_is_not_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a clock of which each reading is a second, 2.5 s are enough for two solutions: what is asked for."""
        clock = SimpleNamespace(perf_counter=itertools.count().__next__)
        monkeypatch.setattr("optimizer.advice.time", clock)

        advice = advise(scenario_of((3.0, 4.0)), replace(HOURLY, solver=SolverOptions(time_limit_s=2.5)))

        assert [round(block.asked_kw, 5) for block in advice.blocks] == [7.0, 0.0]
        assert [block.more for block in advice.blocks] == [None, None]

    def test_no_time_for_anything(self) -> None:
        """It is an error, and not advice to ask for nothing."""
        with pytest.raises(SolverError, match="in time"):
            advise(scenario_of((3.0, 4.0)), replace(HOURLY, solver=SolverOptions(time_limit_s=1e-9)))


class TestMessages:
    def test_stated_blocks(self) -> None:
        """The cheap hour is asked for at 10 kW; with what can be handed back, the dear one at nothing."""
        scenario = scenario_of((3.0, 4.0))
        advice = advise(scenario, HOURLY)

        (asked,) = adjust_messages(advice, scenario, blocks=AskedBlocks.STATED, hand_back=False)

        assert (asked.group_id, asked.type) == ("main", "CONSUMPTION")
        assert [(block.start_time, block.capacity) for block in asked.forecasted_blocks] == [(MORNING, 10.0)]

    def test_whole_days_of_a_block_past_midnight(self) -> None:
        """A block of two days, of which one lies behind: 24 hours of the other."""
        start = MORNING + 13 * HOUR
        forecast = CapacityForecast(
            group_id="main",
            kind=CapacityKind.CONSUMPTION,
            blocks=(CapacityBlock(start=start, end=start + 10 * HOUR, capacity_kw=3.0),),
        )
        session = make_session(arrival=start, departure=start + 10 * HOUR, energy_kwh=40.0)
        scenario = replace(make_scenario(sessions=[session]), forecasts=CapacityForecasts.from_messages([forecast]))
        advice = advise(scenario, HOURLY)
        today = start.astimezone(scenario.site.time_zone).date()

        (both,) = adjust_messages(advice, scenario, blocks=AskedBlocks.WHOLE_DAY, hand_back=False)
        (later,) = adjust_messages(advice, scenario, blocks=AskedBlocks.WHOLE_DAY, hand_back=False, after=today)

        assert (len(both.forecasted_blocks), len(later.forecasted_blocks)) == (48, 24)
        assert later.forecasted_blocks == both.forecasted_blocks[24:]

    def test_taipower_asks_for_whole_days(self) -> None:
        """24 blocks of a whole hour of the local day, the stated capacity where nothing is asked for."""
        scenario = scenario_of((3.0, 4.0))
        advice = advise(scenario, HOURLY)

        (asked,) = adjust_messages(advice, scenario, blocks=AskedBlocks.WHOLE_DAY, hand_back=False)

        blocks = asked.forecasted_blocks
        assert len(blocks) == 24
        assert all(block.end_time - block.start_time == HOUR for block in blocks)
        assert blocks[0].start_time == MORNING - 9 * HOUR  # 00:00 in Amsterdam
        assert [block.capacity for block in blocks[9:11]] == [10.0, 4.0]

    def test_files(self, tmp_path: Path) -> None:
        """advice.json has the value beside each block; a folder of something else stays as it is."""
        scenario = scenario_of((12.0, 8.0))
        advice = advise(scenario, HOURLY)

        write_advice(tmp_path / "a", advice, scenario, blocks=AskedBlocks.STATED, hand_back=True)

        document = json.loads((tmp_path / "a" / "advice.json").read_text(encoding="utf-8"))
        assert [block["hand_back_kw"] for block in document["blocks"]] == [2.0, 8.0]
        (message,) = json.loads((tmp_path / "a" / "adjust.json").read_text(encoding="utf-8"))
        assert [block["capacity"] for block in message["forecasted_blocks"]] == [10.0, 0.0]
        (tmp_path / "a" / "mine.txt").write_text("mine", encoding="utf-8")
        with pytest.raises(InputError, match="no advice has"):
            write_advice(tmp_path / "a", advice, scenario, blocks=AskedBlocks.STATED, hand_back=True)


class TestTruth:
    @settings(max_examples=15)
    @given(cases(limit_modes=[LimitMode.MEAN], rasters=[60], per_phase=False, objectives=[COST_OBJECTIVE]), st.data())
    def test_planning_again_gains_what_was_said(self, case: Case, data: st.DataObject) -> None:
        """With any part of one step of one block more, the optimum is worth as much more as the steps say; what is
        handed back costs nothing; what is asked for together is worth what was said.
        """
        scenario = replace(case.scenario, sessions=tuple(replace(one, priority=1.0) for one in case.sessions))
        advice = advise(scenario, case.options)
        before = worth(scenario, case.options)

        assert worth(with_capacity(scenario, handed_back(advice)), case.options) == pytest.approx(before, abs=1e-3)
        asked = {(one.group_id, one.start): one.limit_kw + one.asked_kw for one in advice.blocks}
        assert worth(with_capacity(scenario, asked), case.options) == pytest.approx(
            before + advice.asked_value, abs=1e-3
        )
        worthy = [(block, block.more) for block in advice.blocks if block.more]
        if worthy:
            block, more = data.draw(st.sampled_from(worthy))
            kw = data.draw(st.floats(0.0, 1.2)) * more[-1].up_to_kw
            hours = (block.end - block.start) / HOUR
            raised = {(block.group_id, block.start): block.limit_kw + kw}
            expected = before + sum(
                (min(kw, step.up_to_kw) - low_kw) * step.value_per_kwh * hours
                for low_kw, step in zip([0.0, *(one.up_to_kw for one in more)], more, strict=False)
                if kw > low_kw
            )
            assert worth(with_capacity(scenario, raised), case.options) == pytest.approx(expected, abs=1e-3)


def handed_back(advice: Advice) -> dict[tuple[str, datetime], float]:
    """The capacity of each block without what it has to spare."""
    return {(block.group_id, block.start): min(block.limit_kw, block.planned_kw + 1e-7) for block in advice.blocks}


def with_capacity(scenario: Scenario, capacity_kw: dict[tuple[str, datetime], float]) -> Scenario:
    """The scenario with other capacities in some blocks."""
    forecasts = scenario.forecasts
    known = {key[:2]: blocks for key, blocks in forecasts.series.items()}
    for (group_id, start), kw in capacity_kw.items():
        blocks = tuple(
            replace(block, start=max(block.start, start), capacity_kw=kw)
            for block in known[group_id, CapacityKind.CONSUMPTION]
            if block.start <= start < block.end
        )
        update = CapacityForecast(group_id=group_id, kind=CapacityKind.CONSUMPTION, blocks=blocks)
        forecasts = forecasts.updated(update)
    assert isinstance(forecasts, CapacityForecasts)
    return replace(scenario, forecasts=forecasts)


def worth(scenario: Scenario, options: OptimizeOptions) -> float:
    """What an optimum is worth, currency."""
    schedule = optimize(scenario, options)
    return -10.0 * schedule.unmet_energy_kwh - schedule.energy_cost
