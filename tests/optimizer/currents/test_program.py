"""Lines in the program: rows, shadow prices, and polygons against brute force."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.schedule import ScheduleStatus
from models.errors import InputError
from optimizer.currents import SideFinder, side_angles, with_sides
from optimizer.lines import largest_sum
from optimizer.options import Backend, OptimizeOptions, SolverOptions
from optimizer.prepare import prepare
from tests.builders import make_scenario, make_tariff
from tests.optimizer.currents.lines import KW_PER_A, hungry, planned


class TestProgram:
    """What becomes rows."""

    def test_a_site_without_ampere_has_no_lines(self) -> None:
        """No limit, no row, no column is added, and nothing is looked for."""
        problem = prepare(make_scenario(), OptimizeOptions())

        assert problem.lines == ()
        assert problem.curved_lines == ()
        assert not SideFinder(problem).is_needed

    def test_one_direction_is_a_plain_limit(self) -> None:
        """Chargers from L1 to neutral and balanced ones add up as amounts do: no polygon."""
        problem = prepare(hungry(["L1-N", "L1-L2-L3"]), OptimizeOptions())

        assert problem.curved_lines == ()

    def test_a_line_that_cannot_be_exceeded_has_no_row(self) -> None:
        """Two chargers of 150 A on a conductor of 400 A."""
        problem = prepare(hungry(["L1-N"] * 2, (400.0,) * 3, max_a=150 / math.sqrt(3)), OptimizeOptions())

        assert problem.limit_rows.limit_index.size == 0

    def test_sides_that_do_not_bind_are_left_out(self) -> None:
        """Of 3 lines with 48 sides each a handful binds."""
        scenario = hungry(["L1-L2", "L2-L3", "L3-L1"])
        problem = prepare(scenario, OptimizeOptions(raster=timedelta(hours=1)))
        finder = SideFinder(problem)

        exceeded = finder.exceeded(problem.max_energy_kwh)

        assert [side.line for side in exceeded] == [0, 1, 2]
        assert finder.exceeded(problem.max_energy_kwh) == []
        assert len(with_sides(problem, exceeded).limits) == len(problem.limits) + 3

    @pytest.mark.parametrize("options", [SolverOptions(backend=Backend.ARRAYS), SolverOptions(name="appsi_highs")])
    def test_other_ways_to_the_solver(self, options: SolverOptions) -> None:
        """The arrays and a solver of Pyomo's, which is asked anew with every side, find the same."""
        scenario = replace(hungry(["L1-L2", "L3-L1", "L2-N"], hours=2), tariff=make_tariff((0.3, 0.2)))

        plans = [planned(scenario), planned(scenario, solver=options)]

        assert plans[1].status is ScheduleStatus.OPTIMAL
        for one, other in zip(plans[0].stages, plans[1].stages, strict=True):
            assert other.value == pytest.approx(one.value, rel=1e-5)

    @pytest.mark.parametrize("sides", [3, 721])
    def test_sides_out_of_range(self, sides: int) -> None:
        """A polygon has 4 to 720 sides."""
        with pytest.raises(InputError, match="line_sides"):
            OptimizeOptions(line_sides=sides)


class TestShadowPrices:
    """What a further kWh of a line is worth."""

    def test_a_plain_line(self) -> None:
        """A kWh more on L1 serves a kWh more, worth 10."""
        schedule = planned(hungry(["L1-N", "L1-N"]))

        assert schedule.lines[0].shadow_price_per_kwh == pytest.approx([10.0])
        assert schedule.lines[1:] == ()

    @pytest.mark.parametrize("connections", [["L1-L2", "L3-L1"], ["L1-L2", "L3-L1", "L1-N"], ["L1-N", "L2-L1"]])
    def test_a_polygon(self, connections: list[str]) -> None:
        """All sides of a line's polygon together: what a slightly wider line really saves."""
        wider_a = 0.01
        before = planned(hungry(connections, (32.0, 1000.0, 1000.0)))
        after = planned(hungry(connections, (32.0 + wider_a, 1000.0, 1000.0)))

        saved = 10.0 * (before.unmet_energy_kwh - after.unmet_energy_kwh)
        assert before.lines[0].shadow_price_per_kwh[0] * wider_a * KW_PER_A == pytest.approx(saved, rel=1e-3)

    def test_each_line_its_own(self) -> None:
        """Where two lines bind, each has what widening it alone saves."""
        connections, limits_a = ["L1-L2", "L3-L1", "L2-L3", "L2-N"], (32.0, 25.0, 1000.0)
        before = planned(hungry(connections, limits_a))

        for index, line in enumerate(before.lines[:2]):
            wider_a = (limits_a[0] + 0.01 * (index == 0), limits_a[1] + 0.01 * (index == 1), limits_a[2])
            after = planned(hungry(connections, wider_a))
            saved = 10.0 * (before.unmet_energy_kwh - after.unmet_energy_kwh)
            assert saved > 0.0
            assert line.shadow_price_per_kwh[0] * 0.01 * KW_PER_A == pytest.approx(saved, rel=1e-3)


class TestSums:
    """The largest partial sum of phasors, and polygons around it."""

    @given(st.lists(st.tuples(st.floats(0, 50), st.integers(0, 11)), min_size=1, max_size=7))
    def test_brute_force(self, phasors: list[tuple[float, int]]) -> None:
        """It is the largest amount among the sums of all subsets."""
        values = [amount * np.exp(1j * math.pi / 6 * at) for amount, at in phasors]
        subsets = (subset for size in range(len(values) + 1) for subset in combinations(values, size))
        known = max(abs(sum(subset)) for subset in subsets)
        amount = np.zeros((1, 12))
        for value, at in phasors:
            amount[0, at] += value

        found = largest_sum(amount, np.arange(12) * math.pi / 6)

        assert found[0] == pytest.approx(known, abs=1e-9)

    @pytest.mark.parametrize("sides", [4, 8, 16, 32, 48])
    def test_polygon_lies_within_the_circle(self, sides: int) -> None:
        """Corners touch the circle, the middle of a side is cos(pi / sides) from the centre: no more is given away."""
        directions = np.linspace(0, 2 * np.pi, 10_001)
        towards = np.cos(directions[:, None] - side_angles(sides)).max(axis=1)
        reach = np.cos(np.pi / sides) / towards

        assert reach.max() == pytest.approx(1.0, abs=1e-6)
        assert reach.max() <= 1.0 + 1e-12
        assert reach.min() == pytest.approx(np.cos(np.pi / sides), abs=1e-6)

    @pytest.mark.parametrize("sides", [12, 24, 48])
    def test_corners_where_even_loads_are(self, sides: int) -> None:
        """Currents at multiples of 30 degrees lose nothing."""
        directions = np.arange(12) * np.pi / 6
        towards = np.cos(directions[:, None] - side_angles(sides)).max(axis=1)

        assert np.cos(np.pi / sides) / towards == pytest.approx(np.ones(12))
