"""Result folders read back, and what is refused then."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.group import CapacityGroup
from models.domain.scenario import Scenario
from models.domain.schedule import GroupResult, Schedule
from models.domain.time_grid import TimeGrid
from models.errors import FileInputError, InputError
from optimizer.options import LimitMode
from optimizer.scenario_io import read_result, write_result
from tests.builders import MORNING, make_scenario, make_schedule, make_session, make_site, make_tariff
from tests.optimizer.results.files import OPTIONS, edit


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
