"""The command line as a user meets it: files in, files and exit codes out."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from optimizer.cli import app
from tests.optimizer.scenario_folder import HEADER, ROW, write_csv, write_folder, write_json

REAL_DAY = Path(__file__).parents[2] / "benchmarks" / "data" / "jpl-2019-07-24"


def run(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a real day."""
    out = tmp_path_factory.mktemp("results") / "jpl"
    code, _, _ = run("solve", REAL_DAY, "--out", out, "--quiet")
    assert code == 0
    return out


class TestRoll:
    """A day played again."""

    def test_a_small_day(self, tmp_path: Path) -> None:
        """The driver asked for 4 kWh, would have taken 10, said 10:00 and stayed until 11:00: 4 kWh are given; the
        result rechecks, has a log of its one plan, and the other policies beside it.
        """
        folder = write_folder(tmp_path / "s")
        header = f"{HEADER},estimated_departure,requested_kwh"
        write_csv(folder / "sessions.csv", header, f"{ROW},2026-03-02T10:00:00+01:00,4")

        code, output, _ = run("roll", folder, "--out", tmp_path / "r", "--json")
        checked, _, problems = run("verify", folder, tmp_path / "r", "--quiet")

        policies = {row["policy"]: row for row in json.loads(output)}
        assert (code, checked, problems) == (0, 0, "")
        assert policies["rolled optimal"]["delivered_energy_kwh"] == pytest.approx(4.0)
        assert policies["rolled optimal"]["plans"] == 1
        assert policies["offline optimum"]["delivered_energy_kwh"] == pytest.approx(10.0)
        (plan,) = csv.DictReader((tmp_path / "r" / "replans.csv").read_text(encoding="utf-8").splitlines())
        assert (plan["at"], plan["reason"], plan["status"]) == ("2026-03-02T09:00:00+01:00", "start", "optimal")
        lines = (tmp_path / "r" / "hindsight.csv").read_text(encoding="utf-8").splitlines()
        assert len(lines) == 1 + len(policies)

    def test_told_the_truth(self, tmp_path: Path) -> None:
        """--known actual believes what came to be; on events there are as many plans as events."""
        folder = write_folder(tmp_path / "s")
        write_csv(folder / "sessions.csv", f"{HEADER},requested_kwh", f"{ROW},4")

        code, output, _ = run("roll", folder, "--every-event", "--known", "actual", "--json")

        assert code == 0
        assert json.loads(output)[0]["delivered_energy_kwh"] == pytest.approx(10.0)

    def test_a_table_for_people(self, tmp_path: Path) -> None:
        """One line for each policy under a header."""
        code, output, _ = run("roll", write_folder(tmp_path / "s"))

        assert code == 0
        assert len(output.splitlines()) == 1 + 2 + 6

    def test_prepared_for_surprises(self, tmp_path: Path) -> None:
        """--prepared needs uncertainty.json and says so; with it, solve and roll put its stage first."""
        folder = write_folder(tmp_path / "s")
        refused, _, problem = run("solve", folder, "--prepared", "--out", tmp_path / "r")
        write_json(folder / "uncertainty.json", {"schema": 1, "surprises": [{"probability": 0.1, "capacity_share": 0}]})

        solved, output, _ = run("solve", folder, "--prepared", "--out", tmp_path / "r", "--json")
        rolled, _, _ = run("roll", folder, "--prepared", "--moving-price", "0.01", "--quiet")

        assert (refused, solved, rolled) == (2, 0, 0)
        assert "uncertainty.json" in problem
        assert json.loads(output)["stages"][0]["name"] == "expected_unmet"

    def test_a_failed_day_leaves_nothing(self, tmp_path: Path) -> None:
        """A solver that is not there: code 2 with its name, and no result."""
        code, _, problem = run(
            "roll", write_folder(tmp_path / "s"), "--solver", "nosuchsolver", "--out", tmp_path / "r"
        )

        assert code == 2
        assert "nosuchsolver" in problem
        assert not (tmp_path / "r").exists()


class TestSolve:
    def test_writes_every_file_of_a_result(self, solved: Path) -> None:
        """A result is complete."""
        assert {path.name for path in solved.iterdir()} == {
            "schedule.csv",
            "sessions.csv",
            "groups.csv",
            "optimum.json",
            "summary.json",
            "report.html",
        }

    def test_known_optimum_of_a_real_day(self, solved: Path) -> None:
        """JPL on 24 July 2019 behind 195 kW costs 145.40 USD with all 1183.9 kWh served."""
        summary = json.loads((solved / "summary.json").read_text(encoding="utf-8"))

        assert summary["status"] == "optimal"
        assert summary["energy_cost"] == pytest.approx(145.4019, rel=1e-4)
        assert summary["delivered_energy_kwh"] == pytest.approx(1183.892, abs=1e-3)
        assert summary["unmet_energy_kwh"] == 0
        assert summary["peak_import_kw"] == pytest.approx(195.0, abs=1e-6)
        assert {"prepare", "build", "translate", "solve", "verify"} <= summary["seconds"].keys()
        assert {"pyomo", "highspy"} <= summary["versions"].keys()

    def test_arrays_give_the_plan_of_pyomo(self, solved: Path, tmp_path: Path) -> None:
        """Both back ends carry the same program, so that the plan is the same to the last digit."""
        code, _, _ = run("solve", REAL_DAY, "--out", tmp_path / "arrays", "--backend", "arrays", "--quiet")

        assert code == 0
        assert (tmp_path / "arrays" / "schedule.csv").read_bytes() == (solved / "schedule.csv").read_bytes()

    def test_power_times_time_is_the_energy(self, solved: Path) -> None:
        """Rows are clipped to the presence, so that adding them up gives what each session gets."""
        from datetime import datetime  # noqa: PLC0415

        delivered: dict[str, float] = {}
        with (solved / "schedule.csv").open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                length = datetime.fromisoformat(row["end"]) - datetime.fromisoformat(row["start"])
                energy_kwh = float(row["power_kw"]) * length.total_seconds() / 3600
                delivered[row["session_id"]] = delivered.get(row["session_id"], 0.0) + energy_kwh

        with (solved / "sessions.csv").open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                assert delivered[row["session_id"]] == pytest.approx(float(row["delivered_energy_kwh"]), abs=1e-6)

    def test_optimum_is_answered_on_the_blocks_of_the_forecast(self, solved: Path) -> None:
        """The provider sent 30 hourly blocks of 195 kW; each is answered, none above its capacity."""
        (message,) = json.loads((solved / "optimum.json").read_text(encoding="utf-8"))
        blocks = message["forecasted_blocks"]

        assert message["type"] == "OPTIMUM"
        assert len(blocks) == 30
        assert max(block["capacity"] for block in blocks) == 195.0
        assert {block["unit"] for block in blocks} == {"KW"}

    def test_json_is_the_summary(self, tmp_path: Path) -> None:
        """What --json prints is what summary.json holds."""
        code, output, _ = run("solve", REAL_DAY, "--out", tmp_path / "r", "--json", "--strategy", "edf")

        assert code == 0
        assert json.loads(output) == json.loads((tmp_path / "r" / "summary.json").read_text(encoding="utf-8"))

    def test_quiet_prints_nothing(self, tmp_path: Path) -> None:
        """--quiet leaves standard output and error empty."""
        assert run("solve", REAL_DAY, "--out", tmp_path / "r", "--quiet") == (0, "", "")

    def test_strict_tells_unmet_energy(self, tmp_path: Path) -> None:
        """One hour at a 3 kW charger behind 1 kW serves 1 of 2 kWh: 3 with --strict, and a plan is there."""
        site = json.loads((write_folder(tmp_path / "s") / "site.json").read_text(encoding="utf-8"))
        site["groups"][0]["import_limit_kw"] = 1
        charger = site["chargers"][0]["charger_id"]
        (tmp_path / "s" / "site.json").write_text(json.dumps(site), encoding="utf-8")
        row = f"S1,{charger},2019-07-24T08:00:00+00:00,2019-07-24T09:00:00+00:00,2"
        write_csv(tmp_path / "s" / "sessions.csv", HEADER, row)
        for optional in ("prices.csv", "forecasts.json"):
            (tmp_path / "s" / optional).unlink(missing_ok=True)

        relaxed, output, _ = run("solve", tmp_path / "s", "--out", tmp_path / "r", "--json")
        strict, _, _ = run("solve", tmp_path / "s", "--out", tmp_path / "r", "--strict", "--quiet")

        assert (relaxed, strict) == (0, 3)
        assert json.loads(output)["unmet_energy_kwh"] == pytest.approx(1.0)
        assert (tmp_path / "r" / "schedule.csv").is_file()

    def test_why(self, tmp_path: Path) -> None:
        """1 kW for an hour gives 1 of 2 kWh: why.json says that the group holds the session back at 10 per kWh, and
        that 1 kW more would serve it; so does the report. A second run without --why replaces the folder as a whole.
        """
        scenario = tmp_path / "s"
        site = json.loads((write_folder(scenario) / "site.json").read_text(encoding="utf-8"))
        site["groups"] = [{"group_id": "main", "parent_id": None, "import_limit_kw": 1}]
        site["chargers"] = [{"charger_id": "C1", "group_id": "main", "max_power_kw": 3}]
        (scenario / "site.json").write_text(json.dumps(site), encoding="utf-8")
        write_csv(scenario / "sessions.csv", HEADER, "S1,C1,2019-07-24T08:00:00+00:00,2019-07-24T09:00:00+00:00,2")
        for optional in ("prices.csv", "forecasts.json"):
            (scenario / optional).unlink(missing_ok=True)

        assert run("solve", scenario, "--out", tmp_path / "r", "--why", "--quiet")[0] == 0

        found = json.loads((tmp_path / "r" / "why.json").read_text(encoding="utf-8"))
        (session,) = found["sessions"]
        assert session["codes"] == ["group_limit"]
        assert [(one["code"], one["holder"], one["shadow_price_per_kwh"]) for one in session["holdings"]] == [
            ("group_limit", "group main", 10.0)
        ]
        assert [change["kind"] for change in session["changes"]] == ["departure", "capacity"]
        assert (session["changes"][1]["limits"], session["changes"][1]["more_kw"]) == (["group main"], 1.0)
        assert found["groups"][0]["binding"][0]["limit_kw"] == 1.0
        report = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
        assert "kW more on group main" in report.replace("&nbsp;", " ")
        assert run("verify", scenario, tmp_path / "r", "--quiet")[0] == 0
        assert run("solve", scenario, "--out", tmp_path / "r", "--quiet")[0] == 0
        assert not (tmp_path / "r" / "why.json").exists()
        assert run("solve", scenario, "--out", tmp_path / "r", "--why", "--why-limit", "-1")[0] == 2

    def test_a_window_leaves_out_and_counts(self, tmp_path: Path) -> None:
        """Sessions not wholly inside a given window are left out and counted."""
        window = ("--start", "2019-07-24T08:00:00-07:00", "--end", "2019-07-24T18:00:00-07:00")

        _, output, _ = run("solve", REAL_DAY, "--out", tmp_path / "r", "--json", *window)
        summary = json.loads(output)

        assert summary["sessions"] + summary["sessions_outside_window"] == 82
        assert summary["sessions_outside_window"] > 0
        assert summary["steps"] == 40

    @pytest.mark.parametrize(
        ("arguments", "names"),
        [
            (("--start", "noon"), ("--start", "noon")),
            (("--start", "2019-07-24T08:00:00"), ("start", "no time zone")),
            (("--start", "2019-07-25T08:00:00Z", "--end", "2019-07-24T08:00:00Z"), ("end", "not after")),
            (("--step-minutes", "0.5"), ("--step-minutes", "0.5", "1 and 60")),
            (("--step-minutes", "61"), ("--step-minutes", "61")),
            (("--pilots", "magic"), ("magic",)),
            (("--minimum-run", "-1"), ("--minimum-run", "-1", "240")),
            (("--solver", "nosuchsolver"), ("nosuchsolver",)),
            (("--solver", "glpk", "--backend", "arrays"), ("glpk", "arrays")),
            (("--time-limit", "-1"), ("time limit", "-1")),
            (("--strategy", "magic"), ("magic",)),
            (("--start", "2018-07-24T08:00:00Z"), ("prices.csv", "no price from 2018-07-24")),
        ],
    )
    def test_bad_options(self, tmp_path: Path, arguments: tuple[str, ...], names: tuple[str, ...]) -> None:
        """A bad option ends with 2, names the option and its value, and leaves no result."""
        code, _, error = run("solve", REAL_DAY, "--out", tmp_path / "r", *arguments)

        assert code == 2
        assert all(name in error for name in names), error
        assert list(tmp_path.iterdir()) == []

    def test_bad_scenario_leaves_no_result(self, tmp_path: Path) -> None:
        """A missing folder ends with 2 and names it."""
        code, _, error = run("solve", tmp_path / "nowhere", "--out", tmp_path / "r")

        assert code == 2
        assert "nowhere" in error
        assert list(tmp_path.iterdir()) == []

    def test_a_failed_run_keeps_the_earlier_result(self, solved: Path, tmp_path: Path) -> None:
        """A result that is there stays as it is when the next run fails."""
        out = tmp_path / "r"
        run("solve", REAL_DAY, "--out", out, "--quiet")
        before = (out / "summary.json").read_bytes()

        code, _, _ = run("solve", REAL_DAY, "--out", out, "--solver", "nosuchsolver")

        assert code == 2
        assert (out / "summary.json").read_bytes() == before

    def test_no_time_gives_a_verified_fallback(self, tmp_path: Path) -> None:
        """With no time for the solver a heuristic's plan under the same limits is written, and says what it is."""
        code, output, _ = run("solve", REAL_DAY, "--out", tmp_path / "r", "--time-limit", "0", "--json")

        assert code == 0
        assert json.loads(output)["status"] == "fallback"
        assert run("verify", REAL_DAY, tmp_path / "r")[0] == 0


class TestVerify:
    def test_a_fresh_result_holds(self, solved: Path) -> None:
        """What was just written passes."""
        code, output, _ = run("verify", REAL_DAY, solved)

        assert code == 0
        assert "holds" in output

    @pytest.mark.parametrize(
        ("file", "old", "new", "named"),
        [
            ("schedule.csv", ",6.656\n", ",9.9\n", "9.9"),
            ("summary.json", '"energy_cost": 145.4', '"energy_cost": 99.4', "energy cost"),
            ("summary.json", '"peak_import_kw": 195.0', '"peak_import_kw": 150.0', "peak"),
        ],
    )
    def test_a_changed_result_is_found_out(
        self, solved: Path, tmp_path: Path, file: str, old: str, new: str, named: str
    ) -> None:
        """A figure changed by hand ends with 1 and is named."""
        copy = tmp_path / "copy"
        copy.mkdir()
        for path in solved.iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        text = (copy / file).read_text(encoding="utf-8")
        assert old in text
        (copy / file).write_text(text.replace(old, new, 1), encoding="utf-8")

        code, _, error = run("verify", REAL_DAY, copy)

        assert code == 1
        assert named in error

    def test_a_lower_limit_is_not_held(self, solved: Path, tmp_path: Path) -> None:
        """Against a scenario with half the limit the plan fails, and the group is named."""
        lowered = tmp_path / "lowered"
        lowered.mkdir()
        for path in REAL_DAY.iterdir():
            (lowered / path.name).write_bytes(path.read_bytes())
        site = json.loads((lowered / "site.json").read_text(encoding="utf-8"))
        site["groups"][0]["import_limit_kw"] = 100
        (lowered / "site.json").write_text(json.dumps(site), encoding="utf-8")

        code, _, error = run("verify", lowered, solved)

        assert code == 1
        assert "group 'jpl'" in error
        assert "100.0" in error

    def test_json(self, solved: Path) -> None:
        """--json says whether it holds, and how tight."""
        code, output, _ = run("verify", REAL_DAY, solved, "--json")

        assert code == 0
        assert json.loads(output)["holds"] is True
        assert json.loads(output)["smallest_margin_kw"] == pytest.approx(0.0, abs=1e-6)

    def test_no_result(self, tmp_path: Path) -> None:
        """A folder that is no result ends with 2."""
        assert run("verify", REAL_DAY, tmp_path)[0] == 2


class TestCompare:
    def test_every_strategy_side_by_side(self) -> None:
        """The optimum is cheapest; only uncontrolled charging breaks the limit."""
        code, output, _ = run("compare", REAL_DAY, "--json")
        rows = {row["strategy"]: row for row in json.loads(output)}

        assert code == 0
        assert list(rows) == ["optimal", "uncontrolled", "equal-share", "edf", "llf", "round-robin", "fcfs"]
        assert all(rows["optimal"]["energy_cost"] <= row["energy_cost"] for row in rows.values())
        assert [name for name, row in rows.items() if row["minutes_over_limit"] > 0] == ["uncontrolled"]
        assert rows["uncontrolled"]["peak_import_kw"] == pytest.approx(272.6, abs=0.01)

    def test_table(self) -> None:
        """Without --json a line for each strategy is printed."""
        _, output, _ = run("compare", REAL_DAY)

        assert len([line for line in output.splitlines() if line.startswith(("optimal", "edf", "llf"))]) == 3


def test_version_needs_neither_solver_nor_pandas() -> None:
    """--version and --help answer at once: nothing heavy is imported."""
    code = (
        "import sys; sys.argv = ['oscp-optimize', '--version']\n"
        "from optimizer.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'pyomo', 'highspy', 'pandas', 'plotly', 'pyarrow', 'pydantic', 'distributed', 'optimizer.engine'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=REAL_DAY.parents[2]
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.count(".") == 2


def test_advise_writes_what_to_ask_for(tmp_path: Path) -> None:
    """The command is there: it writes its two files and says how many blocks a little more capacity would help in."""
    code, output, _ = run("advise", REAL_DAY, "--out", tmp_path / "advice", "--json")

    assert code == 0
    assert json.loads(output)["blocks"]
    assert {path.name for path in (tmp_path / "advice").iterdir()} == {"advice.json", "adjust.json"}


class TestNobodyThere:
    @pytest.fixture
    def empty(self, tmp_path: Path) -> Path:
        """The real day without any session."""
        folder = tmp_path / "empty"
        folder.mkdir()
        for name in ("site.json", "prices.csv", "forecasts.json"):
            (folder / name).write_bytes((REAL_DAY / name).read_bytes())
        write_csv(folder / "sessions.csv", HEADER)
        return folder

    @pytest.mark.parametrize("missing", [(), ("forecasts.json",), ("prices.csv",)])
    def test_an_empty_plan(self, empty: Path, tmp_path: Path, missing: tuple[str, ...]) -> None:
        """Nobody there is a plan of zero over what forecasts and prices cover: 30 h, by prices alone 48 h."""
        for name in missing:
            (empty / name).unlink()

        code, output, _ = run("solve", empty, "--out", tmp_path / "r", "--json")
        summary = json.loads(output)

        assert code == 0
        assert (summary["sessions"], summary["peak_import_kw"]) == (0, 0)
        assert summary["steps"] == (120 if "prices.csv" in missing or not missing else 192)
        assert run("verify", empty, tmp_path / "r")[0] == 0

    def test_nothing_says_when(self, empty: Path, tmp_path: Path) -> None:
        """Without forecasts and prices the window has to be given."""
        (empty / "forecasts.json").unlink()
        (empty / "prices.csv").unlink()

        assert run("solve", empty, "--out", tmp_path / "r")[0] == 2
        window = ("--start", "2019-07-24T08:00:00Z", "--end", "2019-07-24T09:00:00Z")
        assert run("solve", empty, "--out", tmp_path / "r", "--quiet", *window)[0] == 0
