"""What is found in a source, and what is said of one that is not as it must be."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.errors import FileInputError, InputError
from optimizer import OptimizeOptions, optimize
from optimizer.scenario_io import load_scenario
from optimizer.scenario_io.batch_source import FolderSource, PartitionedSource, ScenarioKey, open_source
from tests.optimizer.batch.sources import FIRST_DAY, keys, write_folders, write_partitions
from tests.optimizer.scenario_folder import (
    HEADER,
    PRICE_HEADER,
    ROW,
    block_json,
    group_json,
    message_json,
    session_frame,
    site_json,
    write_csv,
    write_folder,
    write_json,
)

KEY = ScenarioKey(name="site_id=depot/day=2026-03-02", site_id="depot", day=FIRST_DAY)
FORECAST_HEADER = "message,group_id,type,capacity,phase,unit,start_time,end_time"


class TestFolders:
    def test_folders_at_any_depth(self, tmp_path: Path) -> None:
        """A scenario is named by its place; hidden folders are passed over, and the order is that of the names."""
        root = write_folders(tmp_path / "s", ["b/2", "b/10", "a", ".trash/x", "_tmp/y"])

        source = open_source(root)

        assert isinstance(source, FolderSource)
        assert [key.name for key in source.walk()] == ["a", "b/10", "b/2"]
        assert source.load(ScenarioKey(name="b/2")).scenario.site.site_id == "depot"

    def test_half_a_scenario_is_not_passed_over(self, tmp_path: Path) -> None:
        """A folder with sessions and no site is a scenario, so that somebody is told what it lacks."""
        root = write_folders(tmp_path / "s", ["a", "b"])
        (root / "b" / "site.json").unlink()
        source = open_source(root)

        assert [key.name for key in source.walk()] == ["a", "b"]
        with pytest.raises(FileInputError, match=r"site\.json"):
            source.load(ScenarioKey(name="b"))

    def test_files_that_go_along(self, tmp_path: Path) -> None:
        """Every file of the folder, but none that a link has elsewhere."""
        root = write_folders(tmp_path / "s", ["a"])
        (root / "a" / "prices.csv").symlink_to(tmp_path / "elsewhere.csv")
        write_csv(tmp_path / "elsewhere.csv", PRICE_HEADER)

        assert [*open_source(root).files(ScenarioKey(name="a"))] == ["a/sessions.csv", "a/site.json"]


class TestRefusedSources:
    def test_a_scenario_folder(self, tmp_path: Path) -> None:
        """One scenario is solved, not batched."""
        with pytest.raises(InputError, match="itself a scenario folder"):
            open_source(write_folder(tmp_path / "s"))

    def test_nothing_there(self, tmp_path: Path) -> None:
        """A missing folder is named."""
        with pytest.raises(InputError, match=r"nowhere.*does not exist"):
            open_source(tmp_path / "nowhere")

    def test_no_sites(self, tmp_path: Path) -> None:
        """Sessions without sites cannot be planned."""
        (tmp_path / "sessions").mkdir()

        with pytest.raises(InputError, match="no folder sites"):
            open_source(tmp_path)

    @pytest.mark.parametrize(
        ("place", "named"),
        [
            ("site=depot/day=2026-03-02", "sessions/site=depot"),
            ("site_id=depot/2026-03-02", "sessions/site_id=depot/2026-03-02"),
            ("site_id=depot/day=02.03.2026", "02.03.2026"),
            ("site_id=/day=2026-03-02", "sessions/site_id="),
        ],
    )
    def test_partitions_that_are_called_otherwise(self, tmp_path: Path, place: str, named: str) -> None:
        """A folder whose name is no partition is named, not passed over: its sessions would be missing."""
        root = write_partitions(tmp_path)
        (root / "sessions" / place).mkdir(parents=True)

        with pytest.raises(FileInputError) as refusal:
            keys(open_source(root))
        assert named in str(refusal.value)

    def test_a_file_among_partitions(self, tmp_path: Path) -> None:
        """A table that is not in a partition is told; marks of other programs are not."""
        root = write_partitions(tmp_path)
        (root / "sessions" / "_SUCCESS").touch()
        assert len(keys(open_source(root))) == 2

        write_csv(root / "sessions" / "all.csv", HEADER, ROW)
        with pytest.raises(FileInputError, match=r"sessions/all\.csv"):
            keys(open_source(root))


class TestPartitions:
    def test_by_site_and_then_by_day(self, tmp_path: Path) -> None:
        """Each partition is a scenario with site and day."""
        source = open_source(write_partitions(tmp_path, sites=("b", "a")))

        assert isinstance(source, PartitionedSource)
        assert [(key.site_id, key.day) for key in source.walk()] == [
            (site_id, day) for site_id in ("a", "b") for day in (date(2026, 3, 2), date(2026, 3, 3))
        ]

    def test_values_are_percent_encoded(self, tmp_path: Path) -> None:
        """What other programs write for a site named `north/1 %` is understood."""
        root = write_partitions(tmp_path, days=1)
        for table in ("sites", "sessions"):
            (root / table / "site_id=depot").rename(root / table / "site_id=north%2F1%20%25")
        write_json(root / "sites" / "site_id=north%2F1%20%25" / "site.json", site_json(site_id="north/1 %"))
        source = open_source(root)

        (key,) = source.walk()
        assert key.site_id == source.load(key).scenario.site.site_id == "north/1 %"

    def test_parts_of_any_kind_belong_together(self, tmp_path: Path) -> None:
        """Several files of a partition are one table, be they CSV or Parquet."""
        root = write_partitions(tmp_path, days=1)
        session_frame(session_id=["S2"]).to_parquet(root / "sessions" / KEY.name / "part-1.parquet")

        scenario = open_source(root).load(KEY).scenario

        assert [session.session_id for session in scenario.sessions] == ["S0", "S2"]

    def test_the_nearest_prices_are_taken(self, tmp_path: Path) -> None:
        """Prices of all, then of the day, then of the site, then of both: each in turn takes the place of the last."""
        root = write_partitions(tmp_path, days=1)
        source = open_source(root)
        assert source.load(KEY).scenario.tariff is None

        for price, folder in enumerate(("", "day=2026-03-02", "site_id=depot", "site_id=depot/day=2026-03-02")):
            place = root / "prices" / folder
            place.mkdir(parents=True, exist_ok=True)
            write_csv(place / "p.csv", PRICE_HEADER, f"2026-03-02T00:00:00Z,2026-03-03T00:00:00Z,{price}")
            loaded = source.load(KEY)

            assert loaded.scenario.tariff is not None
            assert loaded.scenario.tariff.import_price_per_kwh.tolist() == [price]
            assert loaded.price_file == f"prices/{folder}/p.csv".replace("//", "/")

    def test_a_site_may_change_with_the_day(self, tmp_path: Path) -> None:
        """A site.json of the day takes the place of that of the site."""
        root = write_partitions(tmp_path)
        (root / "sites" / KEY.name).mkdir()
        changed = site_json(chargers=[{"charger_id": "C1", "group_id": "main", "max_power_kw": 7}])
        write_json(root / "sites" / KEY.name / "site.json", changed)
        source = open_source(root)

        powers = [source.load(key).scenario.site.charger("C1").max_power_kw for key in source.walk()]
        assert powers == [7, 22]

    def test_what_is_read_again_is_read_anew(self, tmp_path: Path) -> None:
        """Sites and prices that are kept are those of the file as it is."""
        root = write_partitions(tmp_path)
        source = open_source(root)
        source.load(KEY)
        path = root / "sites" / "site_id=depot" / "site.json"
        changed = site_json(chargers=[{"charger_id": "C1", "group_id": "main", "max_power_kw": 7}])
        write_json(path, changed)

        assert source.load(KEY).scenario.site.charger("C1").max_power_kw == 7

    @pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
    def test_forecasts_as_messages_or_as_a_table(self, tmp_path: Path, kind: str) -> None:
        """A table with a row for each block says what the messages say: here 3 kW, and a later message of 2 kW."""
        root = write_partitions(tmp_path, days=1)
        place = root / "forecasts" / KEY.name
        place.mkdir(parents=True)
        capacities = (3.0, 2.0)
        if kind == "json":
            messages = [message_json(blocks=[block_json(capacity=capacity)]) for capacity in capacities]
            write_json(place / "forecasts.json", messages)
        else:
            columns = FORECAST_HEADER.split(",")
            blocks = [block_json(capacity=capacity) for capacity in capacities]
            rows = [{"message": at, "group_id": "main", "type": "CONSUMPTION", **b} for at, b in enumerate(blocks)]
            frame = pd.DataFrame(rows[::-1])[columns]
            if kind == "csv":
                frame.to_csv(place / "f.csv", index=False)
            else:
                times = {name: pd.to_datetime(frame[name]) for name in ("start_time", "end_time")}
                frame.assign(**times).to_parquet(place / "f.parquet")

        loaded = open_source(root).load(KEY)
        schedule = optimize(loaded.scenario, OptimizeOptions())

        assert len(loaded.messages) == 2
        assert schedule.groups[0].limit_kw.min() == 2.0

    def test_a_partition_is_planned_as_its_folder(self, tmp_path: Path) -> None:
        """The same scenario in both layouts has the same plan."""
        root = write_partitions(tmp_path / "set", days=1)
        folder = tmp_path / "folder"
        folder.mkdir()
        write_json(folder / "site.json", site_json())
        (folder / "sessions.csv").write_bytes((root / "sessions" / KEY.name / "part-0.csv").read_bytes())

        one, other = (optimize(loaded.scenario) for loaded in (open_source(root).load(KEY), load_scenario(folder)))

        np.testing.assert_array_equal(one.power_kw, other.power_kw)

    def test_assets_carbon_and_tariffs(self, tmp_path: Path) -> None:
        """A site with the sun, a building, carbon and a demand charge is planned as its folder; others are without."""
        root = write_partitions(tmp_path / "set", days=1)
        folder = tmp_path / "folder"
        folder.mkdir()
        group = {**group_json("main"), "limit_counts": "TOTAL"}
        site = site_json(
            groups=[group],
            generators=[{"asset_id": "sun", "group_id": "main"}],
            base_loads=[{"asset_id": "hall", "group_id": "main"}],
        )
        window = "2026-03-02T00:00:00+01:00,2026-03-04T00:00:00+01:00"
        power = "asset_id,start,end,power_kw"
        tables = {
            "generation": (power, f"sun,{window},3"),
            "base_load": (power, f"hall,{window},5"),
            "carbon": ("start,end,carbon_kg_per_kwh", f"{window},0.4"),
        }
        tariff = {"name": "flat", "energy": [{"import_price_per_kwh": 0.2}]}
        tariff["demand_charges"] = [{"charge_id": "peak", "price_per_kw": 2.0, "peak_so_far_kw": 1.0}]
        site_folder = KEY.name.split("/", maxsplit=1)[0]
        for place in (folder, root / "sites" / site_folder):
            write_json(place / "site.json", site)
        (folder / "sessions.csv").write_bytes((root / "sessions" / KEY.name / "part-0.csv").read_bytes())
        for name, lines in tables.items():
            write_csv(folder / f"{name}.csv", *lines)
            (root / name / site_folder).mkdir(parents=True)
            write_csv(root / name / site_folder / "all.csv", *lines)
        (root / "tariffs").mkdir()
        for path in (folder / "tariff.json", root / "tariffs" / "tariff.json"):
            write_json(path, tariff)

        source = open_source(root)
        one, other = (optimize(loaded.scenario) for loaded in (source.load(KEY), load_scenario(folder)))

        assert one.total_cost == pytest.approx(other.total_cost)
        assert one.costs == other.costs
        assert one.costs is not None
        assert one.costs.demand_cost > 0
        assert one.costs.carbon_kg > 0
        assert [asset.asset_id for asset in one.assets] == ["sun", "hall"]
        assert {*source.files(KEY)} >= {f"base_load/{site_folder}/all.csv", "tariffs/tariff.json"}

    def test_an_asset_of_which_nothing_is_said(self, tmp_path: Path) -> None:
        """The table that lacks is named."""
        root = write_partitions(tmp_path, days=1)
        site = site_json(base_loads=[{"asset_id": "hall", "group_id": "main"}])
        write_json(root / "sites" / KEY.name.split("/", maxsplit=1)[0] / "site.json", site)

        with pytest.raises(FileInputError, match=r"base_load.*hall"):
            open_source(root).load(KEY)

    @pytest.mark.parametrize(
        ("place", "lines", "names"),
        [
            (
                f"sessions/{KEY.name}/part-0.csv",
                (HEADER, "S1,C9,2026-03-02T09:00:00+01:00,2026-03-02T11:00:00+01:00,10"),
                (f"sessions/{KEY.name}/part-0.csv", "row 2", "charger_id", "C9"),
            ),
            (
                f"sessions/{KEY.name}/part-1.csv",
                (HEADER, "S0,C1,2026-03-02T09:00:00+01:00,2026-03-02T11:00:00+01:00,10"),
                (f"sessions/{KEY.name}/part-1.csv", "same id"),
            ),
            (f"sessions/{KEY.name}/part-1.csv", ("",), (f"sessions/{KEY.name}/part-1.csv", "empty")),
            ("prices/p.csv", (PRICE_HEADER, "2026-03-02T00:00:00Z,2026-03-03T00:00:00Z,x"), ("prices/p.csv", "row 2")),
            (
                "forecasts/f.csv",
                (FORECAST_HEADER, "1,attic,CONSUMPTION,3,ALL,KW,2026-03-02T08:00:00Z,2026-03-02T09:00:00Z"),
                ("forecasts/f.csv", "attic"),
            ),
            (
                "forecasts/f.csv",
                (FORECAST_HEADER, "1,main,CONSUMPTION,3,ALL,KW,2026-03-02T09:00:00Z,2026-03-02T08:00:00Z"),
                ("forecasts/f.csv", "row 2", "end_time", "after"),
            ),
            ("forecasts/f.csv", (FORECAST_HEADER,), ("forecasts/f.csv", "no forecasts")),
            (f"sites/{KEY.name}/site.json", ("{",), (f"sites/{KEY.name}/site.json", "JSON")),
            (
                f"sites/{KEY.name}/site.json",
                (json.dumps(site_json(site_id="other")),),
                (f"sites/{KEY.name}/site.json", "other", "depot"),
            ),
        ],
    )
    def test_errors_name_the_place(
        self, tmp_path: Path, place: str, lines: tuple[str, ...], names: tuple[str, ...]
    ) -> None:
        """File below the source, row, field and value: enough to find it among a million."""
        root = write_partitions(tmp_path, days=1)
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        write_csv(root / place, *lines)

        with pytest.raises(FileInputError) as refusal:
            open_source(root).load(KEY)
        assert all(name in str(refusal.value) for name in names), str(refusal.value)

    def test_no_site(self, tmp_path: Path) -> None:
        """A site without site.json is told with the place where it should be."""
        root = write_partitions(tmp_path, days=1)
        (root / "sites" / "site_id=depot" / "site.json").unlink()

        with pytest.raises(FileInputError, match=r"sites/site_id=depot/site\.json"):
            open_source(root).load(KEY)

    def test_both_kinds_of_forecasts(self, tmp_path: Path) -> None:
        """Messages and tables have no order among each other."""
        root = write_partitions(tmp_path, days=1)
        (root / "forecasts").mkdir()
        write_json(root / "forecasts" / "forecasts.json", [message_json()])
        write_csv(root / "forecasts" / "f.csv", FORECAST_HEADER)

        with pytest.raises(FileInputError, match="keep one kind"):
            open_source(root).load(KEY)
