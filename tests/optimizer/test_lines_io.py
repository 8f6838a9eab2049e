"""Conductors and their limits on the way in and out: scenario folders, result folders, the command line, the report."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.domain.connection import Connection
from models.domain.group import CapacityGroup, LineLimit
from models.domain.scenario import Scenario
from models.errors import FileInputError
from optimizer import optimize
from optimizer.cli import app
from optimizer.options import LimitMode, OptimizeOptions
from optimizer.report import render_report
from optimizer.scenario_io import load_scenario, write_scenario
from tests.builders import HOUR, MORNING, make_charger, make_scenario, make_session, make_site
from tests.optimizer.scenario_folder import HEADER, ROW, group_json, site_json, write_csv, write_folder, write_json

CHARGER = {"charger_id": "C1", "group_id": "main", "max_power_kw": 22}
LINE = {"line_limit_id": "neutral", "group_id": "main", "limit_a": 20, "weights": [1, 1, 1]}


@pytest.fixture
def scenario() -> Scenario:
    """Two vehicles of one phase at rotated chargers on a connection of 16 A with a neutral of 20 A."""
    chargers = [
        make_charger("C1", max_power_kw=22.0, connection=Connection("L1-L2-L3"), voltage_v=230.0),
        make_charger("C2", max_power_kw=22.0, connection=Connection("L2-L3-L1")),
    ]
    sessions = [
        make_session(f"S{n}", charger_id=f"C{n}", departure=MORNING + HOUR, energy_kwh=20.0, vehicle_phases=1)
        for n in (1, 2)
    ]
    neutral = LineLimit(line_limit_id="neutral", group_id="main", limit_a=20.0, weights=(1.0, 1.0, 1.0))
    group = CapacityGroup(group_id="main", current_limit_a=(16.0, 16.0, 10.0))
    return make_scenario(site=make_site(groups=[group], chargers=chargers, line_limits=[neutral]), sessions=sessions)


class TestScenarioFolder:
    """site.json and sessions.csv."""

    def test_there_and_back(self, tmp_path: Path, scenario: Scenario) -> None:
        """What is written is read back as it was; 20 kWh are more than one phase gives in an hour, 7.33 kWh."""
        write_scenario(tmp_path / "scenario", scenario)

        loaded = load_scenario(tmp_path / "scenario")

        assert "2, by 25.333 kWh in all" in loaded.notes[0]
        assert loaded.scenario.site.groups == scenario.site.groups
        assert loaded.scenario.site.chargers == scenario.site.chargers
        assert loaded.scenario.site.line_limits == scenario.site.line_limits
        assert loaded.scenario.sessions == scenario.sessions

    @pytest.mark.parametrize(
        ("entry", "least_kw", "levels_kw"),
        [
            ({"connection": "L1-L2-L3"}, 4.14, ()),
            ({"phases": "ONE"}, 1.38, ()),
            ({"connection": "L1-L2", "voltage_v": 208}, 1.248, ()),
            ({"connection": "L1-N", "max_power_kw": 1.0}, 1.0, ()),
            ({"connection": "L1-N", "min_power_kw": 0}, 0.0, ()),
            ({"connection": "L1-N", "min_current_a": 10}, 2.3, ()),
            ({"connection": "L1-N", "power_levels_kw": [2, 3]}, 0.0, (2.0, 3.0)),
            ({"connection": "L1-L2-L3", "allowed_currents_a": [0, 8, 16]}, 0.0, (5.52, 11.04)),
            ({}, 0.0, ()),
        ],
    )
    def test_currents_that_a_charger_can_be_set_to(
        self, tmp_path: Path, entry: dict[str, object], least_kw: float, levels_kw: tuple[float, ...]
    ) -> None:
        """6 A at 230 V on three conductors are 4.14 kW, on one 1.38 kW, between two at 208 V 1.248 kW.

        They are the least where conductors are known and nothing else is said, but never more than the charger has.
        """
        folder = write_folder(tmp_path / "scenario")
        write_json(folder / "site.json", site_json(chargers=[{**CHARGER, **entry}]))

        (charger,) = load_scenario(folder).scenario.site.chargers
        assert charger.min_power_kw == pytest.approx(least_kw)
        assert charger.power_levels_kw == pytest.approx(levels_kw)

    def test_one_figure_for_all_conductors(self, tmp_path: Path) -> None:
        """A number is the limit of each."""
        folder = write_folder(tmp_path / "scenario")
        write_json(folder / "site.json", site_json(groups=[group_json("main", current_limit_a=63)]))

        assert load_scenario(folder).scenario.site.groups[0].current_limit_a == (63.0, 63.0, 63.0)

    @pytest.mark.parametrize(
        ("part", "entry", "field", "why"),
        [
            ("groups", {"current_limit_a": -1}, "groups.current_limit_a", "greater than or equal to 0"),
            ("groups", {"current_limit_a": [16, 16]}, "groups.current_limit_a", "it is missing"),
            ("groups", {"current_limit_a": "63"}, "groups.current_limit_a", "array"),
            ("groups", {"current_limit_a": [16, 16, 2e6]}, "groups.current_limit_a", "less than or equal to 1000000"),
            ("groups", {"current_limit": 16}, "groups.current_limit", "must be called current_limit_a"),
            ("chargers", {"connection": "L1-L4"}, "chargers.connection", "L1-L2-N (two phases)"),
            ("chargers", {"connection": "L1-N", "phases": "ONE"}, "chargers.connection", "leave out phases"),
            ("chargers", {"connection": 1}, "chargers.connection", "string"),
            ("chargers", {"min_current_a": 6}, "chargers", "no power without connection or phases"),
            ("chargers", {"allowed_currents_a": [6]}, "chargers", "no power without connection or phases"),
            ("chargers", {"phases": "ONE", "min_current_a": 6, "min_power_kw": 1}, "chargers", "leave out one"),
            (
                "chargers",
                {"phases": "ONE", "min_current_a": -1},
                "chargers.min_current_a",
                "greater than or equal to 0",
            ),
            ("chargers", {"voltage_v": 0}, "chargers.voltage_v", "greater than or equal to 1"),
            ("chargers", {"conection": "L1-N"}, "chargers.conection", "must be called connection"),
            ("line_limits", {"group_id": "mane"}, "line_limits.group_id", "did you mean 'main'?"),
            ("line_limits", {"limit_a": -1}, "line_limits.limit_a", "greater than or equal to 0"),
            ("line_limits", {"weights": [0, 0, 0]}, "line_limits.weights", "must differ from 0"),
            ("line_limits", {"weights": [1, 1]}, "line_limits.weights", "it is missing"),
            ("line_limits", {"weights": [1, 1, 1e9]}, "line_limits.weights", "less than or equal to 1000"),
            ("line_limits", {"line_limit_id": "main L2"}, "line_limits.line_limit_id", "choose another name"),
        ],
    )
    def test_refused(self, tmp_path: Path, part: str, entry: dict[str, object], field: str, why: str) -> None:
        """The message names file, row and field."""
        folder = write_folder(tmp_path / "scenario")
        known = {"groups": group_json("main", current_limit_a=63), "chargers": CHARGER, "line_limits": LINE}
        site = site_json(**{name: [value] for name, value in known.items()})
        site[part] = [{**known[part], **entry}]
        write_json(folder / "site.json", site)

        with pytest.raises(FileInputError) as caught:
            load_scenario(folder)

        assert str(caught.value).startswith("site.json, row 1, field " + field)
        assert why in str(caught.value)

    def test_the_same_line_twice(self, tmp_path: Path) -> None:
        """Both rows are named."""
        folder = write_folder(tmp_path / "scenario")
        write_json(folder / "site.json", site_json(line_limits=[LINE, LINE]))

        with pytest.raises(FileInputError, match=r"row 2, field line_limits\.line_limit_id.*row 1 has the same id"):
            load_scenario(folder)

    @pytest.mark.parametrize("phases", ["0", "4", "1.5", "one"])
    def test_phases_of_a_vehicle(self, tmp_path: Path, phases: str) -> None:
        """One to three."""
        folder = write_folder(tmp_path / "scenario")
        write_csv(folder / "sessions.csv", HEADER + ",vehicle_phases", f"{ROW},{phases}")

        with pytest.raises(FileInputError, match="row 2, field vehicle_phases"):
            load_scenario(folder)


class TestResult:
    """lines.csv, the command line and the report."""

    def test_from_folder_to_folder(self, tmp_path: Path, scenario: Scenario) -> None:
        """Planned and rechecked by the command line; on L1 16 A for the first vehicle, on L2 16 A for the second, and
        the neutral carries 16 A of the sum of both, a third of a turn apart.
        """
        write_scenario(tmp_path / "scenario", scenario)
        folders = [str(tmp_path / "scenario"), str(tmp_path / "result")]
        run = CliRunner()

        solved = run.invoke(app, ["solve", folders[0], "--out", folders[1], "--step-minutes", "60", "--json"])
        verified = run.invoke(app, ["verify", *folders])

        assert (solved.exit_code, verified.exit_code) == (0, 0), solved.output + verified.output
        assert json.loads(solved.stdout)["currents"] == "instantaneous"
        with (tmp_path / "result" / "lines.csv").open(encoding="utf-8") as stream:
            rows = {row["line_id"]: row for row in csv.DictReader(stream)}
        assert list(rows) == ["main L1", "main L2", "neutral"]
        assert [float(row["current_a"]) for row in rows.values()] == pytest.approx([16.0] * 3, abs=1e-4)
        assert [float(row["limit_a"]) for row in rows.values()] == pytest.approx([16.0, 16.0, 20.0])
        assert float(rows["main L1"]["shadow_price_per_kwh"]) == pytest.approx(10.0)
        assert float(rows["neutral"]["shadow_price_per_kwh"]) == 0.0

    def test_a_result_over_the_line_is_found(self, tmp_path: Path, scenario: Scenario) -> None:
        """Power raised in schedule.csv by a tenth is a tenth too much on L1."""
        write_scenario(tmp_path / "scenario", scenario)
        folders = [str(tmp_path / "scenario"), str(tmp_path / "result")]
        run = CliRunner()
        run.invoke(app, ["solve", folders[0], "--out", folders[1], "--step-minutes", "60"])
        schedule = tmp_path / "result" / "schedule.csv"
        header, first, *rest = schedule.read_text(encoding="utf-8").splitlines()
        *cells, power_kw = first.split(",")
        more = ",".join([*cells, str(1.1 * float(power_kw))])
        schedule.write_text("\n".join([header, more, *rest]) + "\n", encoding="utf-8")

        verified = run.invoke(app, ["verify", *folders])

        assert verified.exit_code == 1
        assert "line 'main L1': 17.6" in verified.output

    @pytest.mark.parametrize("option", [["--line-sides", "3"], ["--currents", "never"], ["--line-form", "circle"]])
    def test_options_refused(self, tmp_path: Path, scenario: Scenario, option: list[str]) -> None:
        """Exit code 2, and nothing is written."""
        write_scenario(tmp_path / "scenario", scenario)

        answer = CliRunner().invoke(
            app, ["solve", str(tmp_path / "scenario"), "--out", str(tmp_path / "result"), *option]
        )

        assert answer.exit_code == 2
        assert not (tmp_path / "result").exists()

    def test_a_site_without_lines_has_no_file(self, tmp_path: Path) -> None:
        """Nor a card in the report."""
        folder = write_folder(tmp_path / "scenario")

        CliRunner().invoke(app, ["solve", str(folder), "--out", str(tmp_path / "result")])

        assert not (tmp_path / "result" / "lines.csv").exists()
        assert "limits of lines" not in (tmp_path / "result" / "report.html").read_text(encoding="utf-8")

    def test_the_report_names_the_line(self, scenario: Scenario) -> None:
        """The headline says which line binds where no group does, and the lines are listed, the costliest first."""
        schedule = optimize(scenario, OptimizeOptions(current_mode=LimitMode.MEAN))

        page = render_report(schedule, scenario.site)

        assert "The 16 A limit of line main L1 binds" in page.replace('<span class="whole">', "").replace("</span>", "")
        assert "Currents against the limits of lines" in page
        assert page.index("<b>main L1</b>") < page.index("<b>neutral</b>")

    def test_a_broken_line_is_said_so(self, scenario: Scenario) -> None:
        """Uncontrolled charging draws all there is: 31.9 A on a conductor of 16 A."""
        uncontrolled = optimize(scenario, OptimizeOptions())
        lines = tuple(replace(line, current_a=2 * line.limit_a) for line in uncontrolled.lines)

        page = render_report(replace(uncontrolled, lines=lines), scenario.site)

        assert "is exceeded" in page
        assert "exceeded for" in page
