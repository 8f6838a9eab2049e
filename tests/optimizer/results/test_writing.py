"""Result folders: what is written, and what the summary says."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import optimizer.scenario_io.results
from models.domain.scenario import Scenario
from models.domain.schedule import GroupResult
from models.domain.time_grid import TimeGrid
from models.domain.why import ReasonCode
from models.oscp.v20 import UpdateGroupCapacityForecast
from optimizer.options import PEAK_OBJECTIVE, LimitMode, OptimizeOptions
from optimizer.scenario_io import read_result, summarize, write_result
from tests.builders import HOUR, MORNING, make_forecast, make_scenario, make_schedule, make_session, make_tariff
from tests.optimizer.results.files import OPTIONS, table


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
