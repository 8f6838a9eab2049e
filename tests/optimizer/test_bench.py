"""What a benchmark makes of what it measured, and the command for one's own machine."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from models.domain import Phase
from optimizer.bench.growth import growth_exponent, upper_growth_exponent
from optimizer.bench.synthetic import scenario
from optimizer.bench.timing import PHASES, Size, timings
from optimizer.cli import app
from optimizer.options import Backend


class TestGrowth:
    """The exponent of a power law."""

    @pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5, 2.0])
    def test_of_a_power_law(self, exponent: float) -> None:
        """It is found again, whatever the factor."""
        sizes = [10, 50, 1000]

        assert growth_exponent(sizes, [7.0 * size**exponent for size in sizes]) == pytest.approx(exponent)

    def test_least_squares(self) -> None:
        """At 1, 10 and 100 with 1, 1 and 10: x = -1, 0, 1 and y = 0, 0, 1, so p = (1 * 1) / 2."""
        assert growth_exponent([1, 10, 100], [1.0, 1.0, 10.0]) == pytest.approx(0.5)

    @pytest.mark.parametrize(("sizes", "values"), [([10], [1.0]), ([10, 10], [1.0, 2.0]), ([10, 20], [0.0, 1.0])])
    def test_what_cannot_be_told(self, sizes: list[int], values: list[float]) -> None:
        """One size, or something too short to be measured, has no exponent."""
        assert growth_exponent(sizes, values) is None

    def test_fixed_costs_hide_growth(self) -> None:
        """Of five sizes the upper three count, of one none."""
        values = [5.0, 5.0, 10.0, 100.0, 1000.0]

        assert upper_growth_exponent([1, 5, 10, 100, 1000], values) == pytest.approx(1.0)
        assert upper_growth_exponent([10], [1.0]) is None


class TestSyntheticDays:
    """Days of any size and shape."""

    def test_three_phases(self) -> None:
        """Chargers take L1, L2 and L3 in turn; every group holds each down to a tenth above a third of its limit:
        1.1 * 43.5 kW / 3 at 230 V are 69.35 A.
        """
        made = scenario(30, seed=1, feeders=2, three_phase=True)
        root = made.site.groups[0]

        assert [charger.phases for charger in made.site.chargers[:4]] == [Phase.ONE, Phase.TWO, Phase.THREE, Phase.ONE]
        assert root.current_limit_a == pytest.approx((69.3478,) * 3, abs=1e-3)
        assert all(group.current_limit_a for group in made.site.groups)

    def test_timings(self) -> None:
        """Each size with each back end over the whole day; the parts of a plan make up its time, and arrays leave out
        the translation.
        """
        sizes = [Size(sessions=5, raster=timedelta(hours=1)), Size(sessions=5, groups=3, three_phase=True)]

        found = list(timings(sizes, budget_s=0.0))

        assert [(one.backend, one.steps, one.rounds) for one in found] == [
            (Backend.PYOMO, 24, 1),
            (Backend.ARRAYS, 24, 1),
            (Backend.PYOMO, 96, 1),
            (Backend.ARRAYS, 96, 1),
        ]
        for one in found:
            parts = sum(one.phase_seconds[name] for name in PHASES if name != "total")
            assert parts == pytest.approx(one.phase_seconds["total"], rel=0.05)
            assert (one.phase_seconds["translate"] > 0) is (one.backend is Backend.PYOMO)


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    result = CliRunner().invoke(app, ["bench", *arguments])
    return result.exit_code, result.stdout, result.stderr


class TestCommand:
    """``oscp-optimize bench``."""

    def test_for_machines(self) -> None:
        """What it was measured on, every timing, and the growth of each phase of each back end."""
        code, output, _ = run("--sizes", "2,4", "--seconds", "0", "--step-minutes", "60", "--json")

        told = json.loads(output)
        assert code == 0
        assert told["machine"]["cores"] >= 1
        assert [(one["backend"], one["sessions"], one["steps"]) for one in told["timings"]] == [
            ("pyomo", 2, 24),
            ("arrays", 2, 24),
            ("pyomo", 4, 24),
            ("arrays", 4, 24),
        ]
        assert set(told["growth"]) == {"pyomo", "arrays"}
        assert told["growth"]["arrays"]["translate"] is None
        assert told["growth"]["pyomo"].keys() == set(PHASES)

    def test_for_people(self) -> None:
        """A line for each size and one for the growth, for each back end."""
        code, output, _ = run("--sizes", "2,4", "--seconds", "0")

        assert code == 0
        lines = [line.split()[0] for line in output.splitlines() if line]
        assert [lines.count(name) for name in ("pyomo", "arrays", "growth")] == [2, 2, 2]

    def test_sizes_may_stand_one_after_the_other(self) -> None:
        """With spaces between as with commas."""
        code, output, _ = run("--sizes", "2", "4", "--seconds", "0", "--json")

        assert code == 0
        assert {one["sessions"] for one in json.loads(output)["timings"]} == {2, 4}

    @pytest.mark.parametrize("sizes", ["", "ten", "50,10", "10,10", "0", "100001", "1.5"])
    def test_sizes_that_cannot_be(self, sizes: str) -> None:
        """They are refused by what was given, before anything is planned."""
        code, _, problem = run("--sizes", sizes)

        assert code == 2
        assert f"--sizes is {sizes!r}" in problem
