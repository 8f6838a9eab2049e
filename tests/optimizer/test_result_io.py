"""Result folders: what is written, that it appears whole or not at all, and what is refused on reading back."""

from __future__ import annotations

import csv
import json
import math
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import optimizer.scenario_io.results
from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.domain.schedule import GroupResult, Schedule
from models.domain.time_grid import TimeGrid
from models.domain.why import ReasonCode
from models.errors import FileInputError, InputError
from models.oscp.v20 import UpdateGroupCapacityForecast
from optimizer.options import PEAK_OBJECTIVE, LimitMode, OptimizeOptions
from optimizer.scenario_io import read_result, summarize, write_result
from tests.builders import (
    HOUR,
    MORNING,
    make_forecast,
    make_scenario,
    make_schedule,
    make_session,
    make_site,
    make_tariff,
)

OPTIONS = OptimizeOptions()


@pytest.fixture
def scenario() -> Scenario:
    """The scenario that `make_schedule` is a plan of."""
    return make_scenario(tariff=make_tariff())


@pytest.fixture
def folder(tmp_path: Path, scenario: Scenario) -> Path:
    """A written result."""
    write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS)
    return tmp_path / "out"


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file as text."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def edit(path: Path, old: str, new: str) -> None:
    """Replace what is there exactly once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


class TestWriting:
    def test_the_files(self, tmp_path: Path, scenario: Scenario) -> None:
        """Five files and, where one is given, a report; readable for whoever may read the folder beside it."""
        write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS, report_html="<!doctype html>")
        (tmp_path / "beside").mkdir()

        names = ["groups.csv", "optimum.json", "report.html", "schedule.csv", "sessions.csv", "summary.json"]
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
        assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8") == "<!doctype html>"
        assert (tmp_path / "out").stat().st_mode == (tmp_path / "beside").stat().st_mode

    def test_schedule(self, folder: Path) -> None:
        """10 kW from 09:00 to 10:00 on the wall clock of Amsterdam."""
        assert table(folder / "schedule.csv") == [
            {
                "session_id": "S1",
                "charger_id": "C1",
                "start": "2026-03-02T09:00:00+01:00",
                "end": "2026-03-02T10:00:00+01:00",
                "power_kw": "10.0",
            }
        ]

    def test_sessions(self, tmp_path: Path, scenario: Scenario) -> None:
        """Of 10 kWh, 6 are delivered, 3 could have been and 1 could not."""
        schedule = make_schedule()
        result = replace(
            schedule.sessions[0],
            delivered_energy_kwh=6.0,
            unmet_energy_kwh=3.0,
            unreachable_energy_kwh=1.0,
            reason="group main is full",
            reason_codes=(ReasonCode.DEPARTURE_TOO_EARLY, ReasonCode.GROUP_LIMIT),
        )
        write_result(tmp_path / "out", replace(schedule, sessions=(result,)), scenario, OPTIONS)

        assert table(tmp_path / "out" / "sessions.csv") == [
            {
                "session_id": "S1",
                "charger_id": "C1",
                "arrival": "2026-03-02T09:00:00+01:00",
                "departure": "2026-03-02T11:00:00+01:00",
                "priority": "1.0",
                "priority_class": "0",
                "requested_energy_kwh": "10.0",
                "delivered_energy_kwh": "6.0",
                "unmet_energy_kwh": "3.0",
                "unreachable_energy_kwh": "1.0",
                "share": "0.6",
                "reason": "group main is full",
                "reason_codes": "departure_too_early;group_limit",
            }
        ]

    def test_groups(self, tmp_path: Path, scenario: Scenario) -> None:
        """No limit, no price and no shadow price are empty cells; zero is a zero."""
        group = GroupResult(
            group_id="main",
            power_kw=np.array([10.0, -0.0]),
            limit_kw=np.array([100.0, math.inf]),
            shadow_price_per_kwh=np.array([0.05, math.nan]),
        )
        write_result(tmp_path / "a", replace(make_schedule(), groups=(group,)), scenario, OPTIONS)
        write_result(tmp_path / "b", replace(make_schedule(), price_per_kwh=None), scenario, OPTIONS)

        first, second = table(tmp_path / "a" / "groups.csv")
        assert list(first.values()) == [
            "main",
            "2026-03-02T09:00:00+01:00",
            "2026-03-02T10:00:00+01:00",
            "10.0",
            "100.0",
            "0.2",
            "0.05",
            "",
            "",
        ]
        assert list(second.values())[3:] == ["0.0", "", "0.3", "", "", ""]
        assert [row["price_per_kwh"] for row in table(tmp_path / "b" / "groups.csv")] == ["", ""]

    def test_optimum_answers_the_forecast_block_by_block(self, tmp_path: Path) -> None:
        """A limit of 50 kW for two hours in one block is answered with the mean of 10 kW and none: 5 kW."""
        forecast = make_forecast([50.0])
        block = replace(forecast.blocks[0], end=MORNING + 2 * HOUR)
        scenario = make_scenario(tariff=make_tariff(), forecasts=[replace(forecast, blocks=(block,))])
        write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS)

        (written,) = json.loads((tmp_path / "out" / "optimum.json").read_text(encoding="utf-8"))

        message = UpdateGroupCapacityForecast.model_validate(written)
        assert (message.group_id, message.type) == ("main", "OPTIMUM")
        assert [answer.capacity for answer in message.forecasted_blocks] == [5.0]

    @pytest.mark.parametrize(("start", "answered"), [(None, [10.0, 0.0, 0.0]), (MORNING, [10.0, 0.0])])
    def test_blocks_beyond_the_plan(self, tmp_path: Path, start: datetime | None, answered: list[float]) -> None:
        """Of three hours the plan has two; the third is answered with zero, unless somebody chose the window."""
        scenario = make_scenario(tariff=make_tariff(), forecasts=[make_forecast([50.0, 50.0, 50.0])])
        write_result(tmp_path / "out", make_schedule(), scenario, OptimizeOptions(start=start))

        (written,) = json.loads((tmp_path / "out" / "optimum.json").read_text(encoding="utf-8"))

        assert [block["capacity"] for block in written["forecasted_blocks"]] == answered

    def test_a_group_without_forecast_has_no_optimum(self, folder: Path) -> None:
        """Nobody asked."""
        assert json.loads((folder / "optimum.json").read_text(encoding="utf-8")) == []

    def test_the_hour_that_comes_twice(self, tmp_path: Path) -> None:
        """On 25 October 2026 Amsterdam has 02:00 twice: the offset tells them apart, also when read back."""
        night = datetime(2026, 10, 25, 0, tzinfo=UTC)
        edges_s = np.array([(night + hour * HOUR).timestamp() for hour in range(3)])
        session = make_session(arrival=night)
        schedule = replace(
            make_schedule(session=session),
            grid=TimeGrid(edges_s=edges_s, time_zone=ZoneInfo("Europe/Amsterdam")),
            start_s=edges_s[1:2],
            end_s=edges_s[2:],
            step_index=np.array([1]),
        )
        scenario = make_scenario(sessions=[session], tariff=make_tariff(start=night))
        write_result(tmp_path / "out", schedule, scenario, OPTIONS)

        starts = [row["start"] for row in table(tmp_path / "out" / "groups.csv")]
        assert starts == ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]
        assert read_result(tmp_path / "out", scenario).start_s.tolist() == [edges_s[1]]

    def test_many_equal_shares_still_hold_the_limit(self, tmp_path: Path) -> None:
        """10,000 sessions share 6,666 2/3 kW; their powers as written add up to it within 1e-6 kW."""
        count = 10_000
        schedule = make_schedule()
        schedule = replace(
            schedule,
            session_index=np.zeros(count, dtype=np.int64),
            step_index=np.zeros(count, dtype=np.int64),
            start_s=np.repeat(schedule.start_s, count),
            end_s=np.repeat(schedule.end_s, count),
            power_kw=np.full(count, 2 / 3),
        )
        write_result(tmp_path / "out", schedule, make_scenario(), OPTIONS)

        total_kw = math.fsum(float(row["power_kw"]) for row in table(tmp_path / "out" / "schedule.csv"))

        assert total_kw == pytest.approx(count * 2 / 3, abs=1e-6)


class TestSummary:
    def test_the_figures(self, scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
        """10 kWh for 2 EUR in one of two steps; no session left out; notes once, times of all phases."""
        monkeypatch.setattr(optimizer.scenario_io.results, "versions", lambda: {"python": "3"})
        schedule = make_schedule(notes=("odd", "older"))

        summary = summarize(schedule, scenario, OPTIONS, notes=("odd", "first"), seconds={"write": 0.25})

        assert summary == {
            "schema": 1,
            "status": "optimal",
            "strategy": "optimal",
            "objective": "cost",
            "limits": "mean",
            "pilots": "rounded",
            "fairness": "total",
            "currents": "instantaneous",
            "site_id": "depot",
            "currency": "EUR",
            "start": "2026-03-02T09:00:00+01:00",
            "end": "2026-03-02T11:00:00+01:00",
            "sessions": 1,
            "sessions_outside_window": 0,
            "steps": 2,
            "requested_energy_kwh": 10.0,
            "delivered_energy_kwh": 10.0,
            "unmet_energy_kwh": 0.0,
            "unreachable_energy_kwh": 0.0,
            "energy_cost": 2.0,
            "total_cost": 2.0,
            "import_energy_kwh": 0.0,
            "export_energy_kwh": 0.0,
            "export_revenue": 0.0,
            "wear_cost": 0.0,
            "demand_cost": 0.0,
            "carbon_kg": 0.0,
            "carbon_cost": 0.0,
            "curtailed_energy_kwh": 0.0,
            "peak_import_kw": 10.0,
            "lowest_share": 1.0,
            "jain_index": 1.0,
            "minutes_over_limit": 0.0,
            "limit_violations": [],
            "stages": [{"name": "unmet_energy", "value": 0.0, "proved": True}],
            "notes": ["odd", "first", "older"],
            "seconds": {"solve": 0.5, "write": 0.25},
            "versions": {"python": "3"},
        }

    def test_the_words_of_the_options(self, scenario: Scenario) -> None:
        """The objective is called after what comes right after service."""
        options = OptimizeOptions(objective=PEAK_OBJECTIVE, limit_mode=LimitMode.INSTANTANEOUS)

        summary = summarize(make_schedule(), scenario, options)

        assert (summary["objective"], summary["limits"]) == ("peak", "instantaneous")

    def test_sessions_left_out_are_counted(self) -> None:
        """Two of three sessions of the scenario are not in the plan."""
        sessions = [make_session(name) for name in ("S1", "S2", "S3")]

        assert summarize(make_schedule(), make_scenario(sessions=sessions), OPTIONS)["sessions_outside_window"] == 2

    def test_time_over_a_limit(self, scenario: Scenario) -> None:
        """10 kW where 8 kW are allowed, for an hour."""
        group = replace(make_schedule().groups[0], limit_kw=np.array([8.0, 8.0]))

        summary = summarize(replace(make_schedule(), groups=(group,)), scenario, OPTIONS)

        assert summary["minutes_over_limit"] == 60.0

    def test_versions(self, scenario: Scenario) -> None:
        """Whoever reads a result knows what made it."""
        versions = summarize(make_schedule(), scenario, OPTIONS)["versions"]

        assert isinstance(versions, dict)
        assert set(versions) == {"oscp-capacity-optimizer", "pyomo", "highspy", "numpy", "python"}
        assert versions["numpy"] == np.__version__

    def test_it_is_what_is_written(self, tmp_path: Path, scenario: Scenario) -> None:
        """What the caller gets is what the file holds."""
        summary = write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS, notes=("é",))

        assert json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8")) == summary


class TestWholeOrNotAtAll:
    @pytest.mark.parametrize("exists", [False, True])
    def test_a_failed_run_leaves_nothing(
        self, tmp_path: Path, scenario: Scenario, exists: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When the last file cannot be written, an earlier result stays as it was and no other file is left."""
        out = tmp_path / "out"
        if exists:
            write_result(out, make_schedule(notes=("earlier",)), scenario, OPTIONS)
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

        def fail(path: Path, value: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(optimizer.scenario_io.results, "_write_json", fail)
        with pytest.raises(OSError, match="No space left"):
            write_result(out, make_schedule(), scenario, OPTIONS)

        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        assert out.exists() == exists
        assert len(list(tmp_path.iterdir())) == exists

    def test_an_earlier_result_is_replaced_as_a_whole(self, tmp_path: Path, scenario: Scenario) -> None:
        """A report of the earlier run must not stand beside the figures of the later one."""
        write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS, report_html="earlier")
        write_result(tmp_path / "out", make_schedule(notes=("later",)), scenario, OPTIONS)

        assert not (tmp_path / "out" / "report.html").exists()
        assert read_result(tmp_path / "out", scenario).summary.notes == ("later",)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_an_earlier_result_survives_a_failed_move(
        self, folder: Path, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When the new folder cannot be moved into place, the earlier one is put back."""
        rename = Path.rename

        def fail_for_new(self: Path, target: Path) -> Path:
            if self.name.endswith(".partial"):
                raise OSError(16, "Device or resource busy")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", fail_for_new)
        with pytest.raises(InputError, match="cannot be put in place: Device or resource busy"):
            write_result(folder, make_schedule(notes=("later",)), scenario, OPTIONS)

        assert read_result(folder, scenario).summary.notes == ()
        assert [path.name for path in folder.parent.iterdir()] == ["out"]

    def test_an_empty_folder_is_taken(self, tmp_path: Path, scenario: Scenario) -> None:
        """So is one that does not exist yet, with those above it."""
        (tmp_path / "out").mkdir()
        write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS)
        write_result(tmp_path / "a" / "b", make_schedule(), scenario, OPTIONS)

        assert (tmp_path / "out" / "summary.json").exists()
        assert (tmp_path / "a" / "b" / "summary.json").exists()

    @pytest.mark.parametrize(
        ("files", "why"),
        [
            ({"thesis.tex": "years"}, "it holds no earlier result"),
            ({"summary.json": '{"schema": 1}'}, "it holds no earlier result"),
            ({"summary.json": "not ours"}, "it holds no earlier result"),
            ({"summary.json": '{"schema": 1, "status": "", "strategy": ""}', "notes.txt": "mine"}, "holds 'notes.txt'"),
        ],
    )
    def test_a_folder_with_something_else_is_refused(
        self, tmp_path: Path, scenario: Scenario, files: dict[str, str], why: str
    ) -> None:
        """Nothing is deleted but an earlier result, and that only where nothing else lies beside its files."""
        (tmp_path / "out").mkdir()
        for name, text in files.items():
            (tmp_path / "out" / name).write_text(text, encoding="utf-8")

        with pytest.raises(InputError, match=f"is not empty: .*{why}"):
            write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS)

        assert {path.name for path in (tmp_path / "out").iterdir()} == set(files)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_a_file_in_its_place_is_refused(self, tmp_path: Path, scenario: Scenario) -> None:
        """A file is not overwritten."""
        (tmp_path / "out").write_text("mine", encoding="utf-8")

        with pytest.raises(InputError, match="is a file; name a folder"):
            write_result(tmp_path / "out", make_schedule(), scenario, OPTIONS)

    def test_the_current_folder_is_refused(
        self, tmp_path: Path, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever stands in a folder that is replaced would not see the new one."""
        monkeypatch.chdir(tmp_path)

        with pytest.raises(InputError, match="is the current folder"):
            write_result(Path(), make_schedule(), scenario, OPTIONS)

    def test_a_link_to_a_folder_stays_a_link(self, tmp_path: Path, folder: Path, scenario: Scenario) -> None:
        """What it points to is replaced, not the link."""
        (tmp_path / "latest").symlink_to(folder)
        write_result(tmp_path / "latest", make_schedule(notes=("later",)), scenario, OPTIONS)

        assert (tmp_path / "latest").is_symlink()
        assert read_result(folder, scenario).summary.notes == ("later",)


@st.composite
def plans(draw: st.DrawFn) -> tuple[Scenario, Schedule]:
    """A scenario of two groups and a schedule for it that need not hold any limit."""
    steps = draw(st.integers(1, 4))
    edges_s = MORNING.timestamp() + np.cumsum([0, *(draw(st.integers(60, 3600)) for _ in range(steps))]).astype(float)
    groups = [CapacityGroup(group_id="main", import_limit_kw=100.0), CapacityGroup(group_id="row", parent_id="main")]
    sessions = [make_session(name, departure=MORNING + timedelta(hours=4)) for name in ("S1", "S2")]
    rows = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, steps - 1)), unique=True, max_size=8))
    step_index = np.array([step for _, step in rows], dtype=np.int64)
    some_kw = st.floats(0, 1e6)

    def series(values: st.SearchStrategy[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([draw(values) for _ in range(steps)])

    schedule = replace(
        make_schedule(),
        grid=TimeGrid(edges_s=edges_s, time_zone=ZoneInfo("America/New_York")),
        sessions=tuple(replace(make_schedule().sessions[0], session=session) for session in sessions),
        session_index=np.array([session for session, _ in rows], dtype=np.int64),
        step_index=step_index,
        start_s=edges_s[step_index],
        end_s=edges_s[step_index + 1],
        power_kw=np.array([draw(some_kw) for _ in rows]),
        groups=tuple(
            GroupResult(
                group_id=group.group_id,
                power_kw=series(some_kw),
                limit_kw=series(some_kw | st.just(math.inf)),
                shadow_price_per_kwh=series(st.floats(-1e3, 1e3) | st.just(math.nan)),
            )
            for group in groups
        ),
        price_per_kwh=draw(st.none()) if draw(st.booleans()) else series(st.floats(-1e3, 1e3)),
    )
    site = make_site(groups=groups, time_zone="America/New_York")
    return make_scenario(site=site, sessions=sessions), schedule


class TestReading:
    @given(plans())
    def test_what_is_written_is_read_back(self, drawn: tuple[Scenario, Schedule]) -> None:
        """Every instant exactly, every power within 1e-9 kW, what is absent as absent."""
        scenario, schedule = drawn
        with tempfile.TemporaryDirectory() as directory:
            write_result(Path(directory) / "out", schedule, scenario, OPTIONS)
            result = read_result(Path(directory) / "out", scenario)

        ids = [schedule.sessions[index].session.session_id for index in schedule.session_index]
        assert list(result.session_ids) == ids
        assert result.start_s.tolist() == schedule.start_s.tolist()
        assert result.end_s.tolist() == schedule.end_s.tolist()
        np.testing.assert_allclose(result.power_kw, schedule.power_kw, rtol=1e-15, atol=1e-9)
        assert result.edges_s.tolist() == schedule.grid.edges_s.tolist()
        no_price = np.full(schedule.grid.steps, math.nan)
        for read, group in zip(result.groups, schedule.groups, strict=True):
            assert read.group_id == group.group_id
            np.testing.assert_allclose(read.power_kw, group.power_kw, rtol=1e-15, atol=1e-9)
            np.testing.assert_allclose(read.limit_kw, group.limit_kw, rtol=1e-15, atol=1e-9)
            np.testing.assert_allclose(read.shadow_price_per_kwh, group.shadow_price_per_kwh, rtol=1e-15, atol=1e-9)
            price_per_kwh = no_price if schedule.price_per_kwh is None else schedule.price_per_kwh
            np.testing.assert_allclose(read.price_per_kwh, price_per_kwh, rtol=1e-15, atol=1e-9)

    def test_the_figures(self, folder: Path, scenario: Scenario) -> None:
        """The summary and the sessions have the types a recheck computes with."""
        result = read_result(folder, scenario)

        assert result.summary.energy_cost == 2.0
        assert result.summary.start == MORNING
        assert result.summary.limits is LimitMode.MEAN
        (session,) = result.sessions
        assert (session.session_id, session.arrival, session.delivered_energy_kwh) == ("S1", MORNING, 10.0)

    def test_a_plan_without_power(self, tmp_path: Path, scenario: Scenario) -> None:
        """With a capacity of zero all day there are no rows, and that is a result."""
        none = np.array([], dtype=np.int64)
        no_kw = np.array([])
        schedule = replace(
            make_schedule(), session_index=none, step_index=none, start_s=no_kw, end_s=no_kw, power_kw=no_kw
        )
        write_result(tmp_path / "out", schedule, scenario, OPTIONS)

        result = read_result(tmp_path / "out", scenario)

        assert result.session_ids == ()
        assert result.power_kw.shape == (0,)

    def test_a_value_that_breaks_a_limit_is_read(self, folder: Path, scenario: Scenario) -> None:
        """Finding it is what a recheck is for."""
        edit(folder / "schedule.csv", ",10.0\n", ",-999.0\n")

        assert read_result(folder, scenario).power_kw.tolist() == [-999.0]

    def test_missing_folder(self, tmp_path: Path, scenario: Scenario) -> None:
        """A folder that is not there is named."""
        with pytest.raises(InputError, match=r"result folder .*nowhere' does not exist"):
            read_result(tmp_path / "nowhere", scenario)

    @pytest.mark.parametrize("name", ["schedule.csv", "sessions.csv", "groups.csv", "summary.json"])
    def test_missing_file(self, folder: Path, scenario: Scenario, name: str) -> None:
        """Each of the four is needed for a recheck."""
        (folder / name).unlink()

        with pytest.raises(FileInputError, match=rf"^{name}: there is no such file"):
            read_result(folder, scenario)

    @pytest.mark.parametrize(
        ("name", "old", "new", "message"),
        [
            ("schedule.csv", "power_kw", "power", "schedule.csv, field power_kw: the column is missing"),
            ("schedule.csv", "S1", "S9", "schedule.csv, row 2, field session_id, value 'S9': the scenario has no such"),
            ("schedule.csv", "C1", "C9", "schedule.csv, row 2, field charger_id, value 'C9': session 'S1' is at"),
            ("schedule.csv", "10.0", "ten", "schedule.csv, row 2, field power_kw, value 'ten': it is not a number"),
            ("schedule.csv", "10.0", "nan", "schedule.csv, row 2, field power_kw, value 'nan': it must be a finite"),
            (
                "schedule.csv",
                "T10:",
                "T08:",
                "schedule.csv, row 2, field end, value '2026-03-02T08:00:00+01:00'",
            ),
            (
                "schedule.csv",
                "T10:00:00+01:00",
                "T10:00:00",
                "schedule.csv, row 2, field end, value '2026-03-02T10:00:00'",
            ),
            ("sessions.csv", "S1", "S9", "sessions.csv, row 2, field session_id, value 'S9': the scenario has no such"),
            ("groups.csv", "main,2026-03-02T09", "row,2026-03-02T09", "groups.csv, row 2, field group_id, value 'row'"),
            ("groups.csv", "main,2026-03-02T10:0", "main,2026-03-02T10:1", "groups.csv, row 3, field start, value"),
            ("summary.json", '"site_id": "depot"', '"site_id": "home"', "summary.json, field site_id, value 'home'"),
            ("summary.json", '"energy_cost": 2.0', '"energy_cost": "2"', "summary.json, field energy_cost, value '2'"),
            ("summary.json", '"schema": 1', '"schema": 2', "summary.json, field schema, value '2': this program reads"),
            ("summary.json", '"steps": 2,', '"steps": 2', "summary.json: it is not valid JSON: expected"),
        ],
    )
    def test_what_cannot_be_read(
        self, folder: Path, scenario: Scenario, name: str, old: str, new: str, message: str
    ) -> None:
        """A changed cell is refused, and the message names file, row, field and value."""
        edit(folder / name, old, new)

        with pytest.raises(FileInputError) as caught:
            read_result(folder, scenario)

        assert str(caught.value).startswith(message)

    def test_a_session_twice(self, folder: Path, scenario: Scenario) -> None:
        """Which of two rows of a session holds must not be guessed."""
        path = folder / "sessions.csv"
        text = path.read_text(encoding="utf-8")
        path.write_text(text + text.splitlines()[1] + "\n", encoding="utf-8")

        with pytest.raises(FileInputError, match=r"sessions\.csv, row 3, .* 'S1': row 2 has the same id"):
            read_result(folder, scenario)

    def test_a_plan_for_a_session_without_result(self, folder: Path, scenario: Scenario) -> None:
        """Power that no session result accounts for is refused."""
        path = folder / "sessions.csv"
        path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")

        with pytest.raises(FileInputError, match=r"schedule\.csv, row 2, .* 'S1': sessions\.csv has no such session"):
            read_result(folder, scenario)

    @pytest.mark.parametrize(("kept", "why"), [(1, "is missing"), (2, "has other steps than 'main'")])
    def test_groups_that_do_not_match(self, tmp_path: Path, kept: int, why: str) -> None:
        """Every group of the site is there, all with the same steps: here the second loses both or one of its two."""
        groups = [CapacityGroup(group_id="main"), CapacityGroup(group_id="row", parent_id="main")]
        scenario = make_scenario(site=make_site(groups=groups), tariff=make_tariff())
        schedule = make_schedule()
        both = (schedule.groups[0], replace(schedule.groups[0], group_id="row"))
        write_result(tmp_path / "out", replace(schedule, groups=both), scenario, OPTIONS)
        path = tmp_path / "out" / "groups.csv"
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join(lines[: 2 + kept]) + "\n", encoding="utf-8")

        with pytest.raises(FileInputError, match=rf"groups\.csv.*group 'row' .*{why}"):
            read_result(tmp_path / "out", scenario)
