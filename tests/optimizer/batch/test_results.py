"""The data set of results: what is in it, who can read it, and that no moment to be killed at is a bad one."""

from __future__ import annotations

import shutil
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.domain import EnergyTariff
from models.errors import InputError
from optimizer import OptimizeOptions, Strategy, optimize
from optimizer.options import SolverOptions
from optimizer.scenario_io.batch_results import open_results
from optimizer.scenario_io.batch_source import open_source
from optimizer.scenario_io.batch_tables import PHASES, SCHEMAS
from optimizer.scenario_io.batch_work import PlanWork
from optimizer.scenario_io.price_checks import read_prices
from optimizer.scenario_io.row_schemas import PriceRow
from optimizer.scenario_io.tables import TableParts
from tests.optimizer.batch.sources import (
    OPTIONS,
    comparable,
    keys,
    plan_all,
    read_tables,
    write_folders,
    write_partitions,
)
from tests.optimizer.scenario_folder import HEADER, write_csv

REAL_DAY = Path(__file__).parents[3] / "benchmarks" / "data" / "jpl-2019-07-24"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The tables of a real day."""
    root = tmp_path_factory.mktemp("real")
    shutil.copytree(REAL_DAY, root / "s" / "copy")
    plan_all(root / "s", root / "r")
    return read_tables(root / "r")


class TestContent:
    def test_figures_are_those_of_the_plan(self, real: dict[str, pd.DataFrame]) -> None:
        """JPL on 24 July 2019 costs 145.40 USD with all 1183.9 kWh served; day and site are known from the plan."""
        (row,) = real["summary"].to_dict("records")

        assert (row["scenario"], row["site_id"], str(row["day"])) == ("copy", "jpl", "2019-07-24")
        assert (row["status"], row["sessions"], row["sessions_short"]) == ("optimal", 82, 0)
        assert row["energy_cost"] == pytest.approx(145.4019, rel=1e-4)
        assert row["delivered_energy_kwh"] == pytest.approx(1183.892, abs=1e-3)
        assert row["peak_import_kw"] == pytest.approx(195.0)
        assert pd.isna(row["error"])

    def test_phases_add_up(self, real: dict[str, pd.DataFrame]) -> None:
        """Seconds of the phases, reading included, are the total."""
        (row,) = real["summary"].to_dict("records")

        parts = sum(row[f"seconds_{phase}"] for phase in (*PHASES, "other"))
        assert row["seconds_total"] == pytest.approx(parts)
        assert row["seconds_read"] > 0
        assert row["seconds_solve"] > 0

    def test_power_times_time_is_the_energy(self, real: dict[str, pd.DataFrame]) -> None:
        """Adding up the schedule gives what each session gets, and what the group draws."""
        schedule, groups = real["schedule"], real["groups"]
        hours = (schedule["end"] - schedule["start"]).dt.total_seconds() / 3600
        delivered = (schedule["power_kw"] * hours).groupby(schedule["session_id"]).sum()
        sessions = real["sessions"].set_index("session_id")["delivered_energy_kwh"]
        step_hours = (groups["end"] - groups["start"]).dt.total_seconds() / 3600

        pd.testing.assert_series_equal(delivered, sessions[delivered.index], check_names=False)
        assert (groups["power_kw"] * step_hours).sum() == pytest.approx(sessions.sum())

    def test_no_number_is_null_not_infinite(self, tmp_path: Path) -> None:
        """Without prices and without a limit there is neither price nor limit: null, which adds up as it should."""
        source = write_folders(tmp_path / "s", ["a"])
        plan_all(source, tmp_path / "r")

        groups = pq.read_table(tmp_path / "r" / "groups")
        assert groups["price_per_kwh"].null_count == groups.num_rows

    def test_a_failed_scenario_is_a_row(self, tmp_path: Path) -> None:
        """What is wrong with it is in the summary; the others have their plans, and it is in no other table."""
        source = write_folders(tmp_path / "s", ["a", "b", "c"], broken=["b"])
        plan_all(source, tmp_path / "r", chunk_size=3)
        tables = read_tables(tmp_path / "r")

        summary = tables["summary"].set_index("scenario")
        assert summary["status"].to_dict() == {"a": "optimal", "b": "failed", "c": "optimal"}
        assert "C9" in str(summary.loc["b", "error"])
        assert summary.loc["b", "error_type"] == "FileInputError"
        for name in ("schedule", "sessions", "groups"):
            assert set(tables[name]["scenario"]) == {"a", "c"}

    def test_a_mistake_of_ours_fails_one_scenario(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An exception that nobody foresaw is a row as well, with its kind."""
        source = write_folders(tmp_path / "s", ["a", "b"])
        calls = [True, False]
        monkeypatch.setattr(
            "optimizer.scenario_io.batch_work.optimize",
            lambda scenario, options: optimize(scenario, options) if calls.pop() else 1 / 0,
        )
        plan_all(source, tmp_path / "r")

        summary = read_tables(tmp_path / "r")["summary"].set_index("scenario")
        assert summary["status"].to_dict() == {"a": "failed", "b": "optimal"}
        assert summary.loc["a", "error_type"] == "ZeroDivisionError"

    def test_site_and_day_of_a_partition(self, tmp_path: Path) -> None:
        """They are those of the partition, in every table, and of one that failed too."""
        root = write_partitions(tmp_path / "s")
        (root / "sessions" / "site_id=depot" / "day=2026-03-03" / "part-0.csv").unlink()
        plan_all(root, tmp_path / "r")
        tables = read_tables(tmp_path / "r")

        assert tables["summary"][["site_id", "status"]].to_numpy().tolist() == [
            ["depot", "optimal"],
            ["depot", "failed"],
        ]
        assert [str(day) for day in tables["summary"]["day"]] == ["2026-03-02", "2026-03-03"]
        assert {str(day) for day in tables["schedule"]["day"]} == {"2026-03-02"}

    def test_a_day_on_which_nobody_comes(self, tmp_path: Path) -> None:
        """It is planned from midnight to midnight of the site, 23 hours in Amsterdam when summer time begins, however
        long there are prices.
        """
        root = write_partitions(tmp_path / "s", days=1)
        folder = root / "sessions" / "site_id=depot" / "day=2026-03-29"
        folder.mkdir()
        write_csv(folder / "part-0.csv", HEADER)
        (root / "prices").mkdir()
        row = "2026-03-01T00:00:00Z,2026-04-09T00:00:00Z,0.3"
        write_csv(root / "prices" / "p.csv", "start,end,import_price_per_kwh", row)
        plan_all(root, tmp_path / "r")

        day = read_tables(tmp_path / "r")["summary"].set_index("scenario").loc["site_id=depot/day=2026-03-29"]
        assert (day["status"], day["sessions"], day["steps"]) == ("optimal", 0, 23 * 4)
        assert day["start"] == pd.Timestamp("2026-03-29T00:00:00+01:00")
        assert day["end"] == pd.Timestamp("2026-03-30T00:00:00+02:00")

    def test_files_that_are_sent_along_give_the_same(self, tmp_path: Path) -> None:
        """A worker that does not see our files plans from what it is sent, shared files once for all."""
        root = write_partitions(tmp_path / "s", days=3)
        (root / "prices").mkdir()
        row = "2026-03-01T00:00:00Z,2026-03-09T00:00:00Z,0.3"
        (root / "prices" / "p.csv").write_text(f"start,end,import_price_per_kwh\n{row}\n", encoding="utf-8")
        source = open_source(root)
        seen, unseen = (
            PlanWork(source=source, options=OPTIONS, send_files=sent).task(keys(source)) for sent in (False, True)
        )
        here = seen()
        root.rename(tmp_path / "gone")

        assert unseen().plans["schedule"] == here.plans["schedule"]
        assert unseen().statuses == {"optimal": 3}

    def test_a_scenario_that_goes_away_before_it_is_sent(self, tmp_path: Path) -> None:
        """It fails, and those beside it do not."""
        source = open_source(write_folders(tmp_path / "s", ["a", "b"]))
        found = keys(source)
        shutil.rmtree(tmp_path / "s" / "a")

        result = PlanWork(source=source, options=OPTIONS, send_files=True).task(found)()

        assert result.statuses == {"optimal": 1, "failed": 1}
        assert f"{str(tmp_path / 's' / 'a')!r} does not exist" in result.first_failure

    @pytest.mark.parametrize("parquet", [False, True])
    def test_files_that_are_sent_along_fail_in_the_same_words(self, tmp_path: Path, parquet: bool) -> None:
        """What is missing or wrong is named as it lies where it was sent from, whoever reads it."""
        root = write_folders(tmp_path / "s", ["good", "row", "no sessions", "no site", "text"], broken=["row"])
        (root / "no sessions" / "sessions.csv").unlink()
        (root / "no site" / "site.json").unlink()
        (root / "text" / "sessions.csv").write_bytes(b"session_id\n\xff")
        (root / "row" / "prices.csv").write_text("no table", encoding="utf-8")
        if parquet:
            (root / "text" / "sessions.csv").rename(root / "text" / "sessions.parquet")
        source = open_source(root)
        seen, unseen = (
            PlanWork(source=source, options=OPTIONS, send_files=sent).task(keys(source))() for sent in (False, True)
        )
        here, there = (pq.read_table(pa.BufferReader(one.failures)).to_pylist() for one in (seen, unseen))

        assert [row["error"] for row in there] == [row["error"] for row in here]
        assert str(root / "no site") in here[0]["error"] + here[1]["error"]
        assert unseen.statuses == {"optimal": 1, "failed": 4}

    def test_a_table_that_tasks_share_is_read_again_when_it_changes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Prices that come along with every task are read once, and anew when they are others."""
        read: list[str] = []

        def counted(table: TableParts[PriceRow], zone: ZoneInfo) -> EnergyTariff:
            read.append(table.name)
            return read_prices(table, zone)

        monkeypatch.setattr("optimizer.scenario_io.batch_source.read_prices", counted)
        root = write_partitions(tmp_path / "s", days=2)
        (root / "prices").mkdir()
        source = open_source(root)
        work = PlanWork(source=source, options=OPTIONS, send_files=True)

        def costs(price_per_kwh: float) -> list[float]:
            row = f"2026-03-01T00:00:00Z,2026-03-09T00:00:00Z,{price_per_kwh}"
            (root / "prices" / "p.csv").write_text(f"start,end,import_price_per_kwh\n{row}\n", encoding="utf-8")
            results = [work.task((key,))() for key in keys(source)]
            return [pq.read_table(pa.BufferReader(one.plans["summary"]))["energy_cost"][0].as_py() for one in results]

        assert costs(0.7) == pytest.approx([7.0, 7.0])
        assert costs(0.9) == pytest.approx([9.0, 9.0])
        assert read == ["p.csv", "p.csv"]


class TestReaders:
    @pytest.fixture
    def results(self, tmp_path: Path) -> Path:
        """Three scenarios in three parts, one of them failed."""
        plan_all(write_folders(tmp_path / "s", ["a", "b", "c"], broken=["b"]), tmp_path / "r")
        return tmp_path / "r"

    def expected(self, name: str) -> set[str]:
        """One that failed is in the summary only."""
        return {"a", "b", "c"} if name == "summary" else {"a", "c"}

    @pytest.mark.parametrize("name", list(SCHEMAS))
    def test_pandas(self, results: Path, name: str) -> None:
        """A folder is a table."""
        assert set(pd.read_parquet(results / name)["scenario"]) == self.expected(name)

    @pytest.mark.parametrize("name", list(SCHEMAS))
    def test_polars(self, results: Path, name: str) -> None:
        """The same with polars."""
        polars = pytest.importorskip("polars")
        table = polars.read_parquet(results / name)

        assert table.columns == SCHEMAS[name].names
        assert set(table["scenario"]) == self.expected(name)

    @pytest.mark.parametrize("name", list(SCHEMAS))
    def test_duckdb(self, results: Path, name: str) -> None:
        """The same with DuckDB, in SQL."""
        duckdb = pytest.importorskip("duckdb")
        rows = duckdb.sql(f"SELECT DISTINCT scenario FROM '{results / name}/*.parquet'").fetchall()  # noqa: S608

        assert {row[0] for row in rows} == self.expected(name)

    def test_nothing_yet(self, tmp_path: Path) -> None:
        """A data set can be read before anything is in it: tables without rows, with their columns."""
        with open_results(tmp_path / "r", OPTIONS, resume=False):
            tables = read_tables(tmp_path / "r")

        assert {name: len(table) for name, table in tables.items()} == dict.fromkeys(SCHEMAS, 0)


class _Killed(BaseException):
    """Stands for the end of the process: nobody catches it."""


class TestKilled:
    @pytest.mark.parametrize("survived", range(13))
    def test_at_every_moment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int) -> None:
        """Killed after any number of files came into view: what is there can be read, nothing is in the summary without
        its plan, and resuming gives what an undisturbed run gives, each scenario once.
        """
        source = write_folders(tmp_path / "s", ["a", "b", "c", "d"], broken=["b"])
        plan_all(source, tmp_path / "whole")
        rename, moves = Path.rename, 0

        def rename_until_killed(path: Path, target: Path) -> Path:
            nonlocal moves
            if path.name.endswith(".parquet"):
                moves += 1
                if moves > survived:
                    raise _Killed
            return rename(path, target)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", rename_until_killed)
            with pytest.raises(_Killed):
                plan_all(source, tmp_path / "r")
        there = read_tables(tmp_path / "r")
        planned = there["summary"].query("status != 'failed'")["scenario"]
        assert planned.is_unique
        for name in ("schedule", "sessions", "groups"):
            assert set(planned) <= set(there[name]["scenario"])

        plan_all(source, tmp_path / "r", resume=True)

        after, whole = comparable(read_tables(tmp_path / "r")), comparable(read_tables(tmp_path / "whole"))
        for name in SCHEMAS:
            pd.testing.assert_frame_equal(after[name], whole[name])

    def test_before_it_was_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Killed while the folder is made: there is none, and the next run begins."""

        def killed(path: Path, target: Path) -> Path:
            raise _Killed

        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", killed)
            with pytest.raises(_Killed), open_results(tmp_path / "r", OPTIONS, resume=False):
                pass
        assert not (tmp_path / "r").exists()

        with open_results(tmp_path / "r", OPTIONS, resume=True) as dataset:
            assert dataset.done == set()


class TestResume:
    def test_failed_ones_are_tried_again(self, tmp_path: Path) -> None:
        """Once what was wrong is put right, resuming plans it, and its error is gone; the others stay as they are."""
        source = write_folders(tmp_path / "s", ["a", "b"], broken=["b"])
        plan_all(source, tmp_path / "r")
        before = (tmp_path / "r" / "summary" / "part-000001.parquet").stat().st_mtime_ns
        (source / "b" / "sessions.csv").write_bytes((source / "a" / "sessions.csv").read_bytes())

        plan_all(source, tmp_path / "r", resume=True)

        summary = read_tables(tmp_path / "r")["summary"]
        assert summary["scenario"].tolist() == ["a", "b"]
        assert set(summary["status"]) == {"optimal"}
        assert (tmp_path / "r" / "summary" / "part-000001.parquet").stat().st_mtime_ns == before

    def test_no_accident(self, tmp_path: Path) -> None:
        """Without resume a data set is not touched."""
        source = write_folders(tmp_path / "s", ["a"])
        plan_all(source, tmp_path / "r")

        with pytest.raises(InputError, match="--resume"):
            plan_all(source, tmp_path / "r")

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            (OptimizeOptions(strategy=Strategy.LEAST_LAXITY), "strategy optimal, now it is llf"),
            (OptimizeOptions(solver=SolverOptions(time_limit_s=1.0)), "time_limit_s None, now it is 1.0"),
        ],
    )
    def test_one_data_set_is_planned_in_one_way(self, tmp_path: Path, options: OptimizeOptions, named: str) -> None:
        """Plans made otherwise are not mixed in; the option is named with both values."""
        plan_all(write_folders(tmp_path / "s", ["a"]), tmp_path / "r")

        with pytest.raises(InputError, match=named), open_results(tmp_path / "r", options, resume=True):
            pass

    def test_one_writer(self, tmp_path: Path) -> None:
        """A second run at the same time is refused, not mixed in."""
        with open_results(tmp_path / "r", OPTIONS, resume=False):  # noqa: SIM117 - the second is what is tested
            with pytest.raises(InputError, match="another run"), open_results(tmp_path / "r", OPTIONS, resume=True):
                pass

    def test_a_folder_with_something_else(self, tmp_path: Path) -> None:
        """What is no batch is neither replaced nor resumed."""
        (tmp_path / "r").mkdir()
        (tmp_path / "r" / "thesis.txt").touch()

        for resume in (False, True):
            with pytest.raises(InputError, match="not empty"), open_results(tmp_path / "r", OPTIONS, resume=resume):
                pass
        assert [path.name for path in (tmp_path / "r").iterdir()] == ["thesis.txt"]
