"""Assets, tariffs and carbon in scenario folders and result folders: read, refused, written, rechecked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.cases import DATA, time_of_use_blocks
from models.domain.scenario import Scenario
from models.errors import FileInputError
from optimizer.cli import app
from optimizer.engine import optimize
from optimizer.options import LimitMode, OptimizeOptions
from optimizer.recheck import recheck
from optimizer.report import render_report
from optimizer.scenario_io import load_scenario, read_result, write_result, write_scenario
from optimizer.scenario_io.plan_document import schedule_from_document, to_plan_document
from optimizer.verify import verify
from tests.builders import HOUR
from tests.optimizer.scenario_folder import HEADER, PRICE_HEADER, ROW, group_json, site_json, write_csv, write_json

BATTERY_HEADER = f"{HEADER},discharge_power_kw,battery_capacity_kwh,arrival_soc,charge_curve_id,target_soc"
VEHICLE = f"{ROW},5,40,0.5,car,0.8"
STORAGE = {
    "asset_id": "battery",
    "group_id": "main",
    "max_charge_kw": 5,
    "max_discharge_kw": 5,
    "energy_kwh": 5,
    "max_energy_kwh": 10,
    "charge_efficiency": 0.9,
    "wear_price_per_kwh": 0.01,
}
CURVE = {"curve_id": "car", "points": [{"soc": 0.5, "power_kw": 20}, {"soc": 1, "power_kw": 2}]}
FIRST, SECOND, THIRD = (f"2026-03-02T{hour:02d}:00:00+01:00" for hour in (9, 10, 11))
POWER_HEADER = "asset_id,start,end,power_kw"
TARIFF = {
    "name": "both hours",
    "energy": [
        {"end": "10:00", "import_price_per_kwh": 0.2, "export_price_per_kwh": 0.05},
        {"start": "10:00", "import_price_per_kwh": 0.3},
    ],
    "demand_charges": [{"charge_id": "peak", "price_per_kw": 0.02, "peak_so_far_kw": 3}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A site with everything."""
    path = tmp_path / "scenario"
    path.mkdir()
    write_json(
        path / "site.json",
        site_json(
            groups=[group_json("main", limit_counts="TOTAL", export_limit_kw=20)],
            storages=[STORAGE],
            generators=[{"asset_id": "roof", "group_id": "main", "curtailable": True}],
            base_loads=[{"asset_id": "building", "group_id": "main"}],
            charge_curves=[CURVE],
            carbon_price_per_kg=0.1,
        ),
    )
    write_csv(path / "sessions.csv", BATTERY_HEADER, VEHICLE)
    write_csv(path / "generation.csv", POWER_HEADER, f"roof,{FIRST},{SECOND},9", f"roof,{SECOND},{THIRD},1")
    write_csv(path / "base_load.csv", POWER_HEADER, f"building,{FIRST},{THIRD},3")
    write_csv(path / "carbon.csv", "start,end,carbon_kg_per_kwh", f"{FIRST},{SECOND},0.5", f"{SECOND},{THIRD},0.1")
    write_json(path / "tariff.json", TARIFF)
    return path


def test_everything_is_read(folder: Path) -> None:
    """The wanted state of 0.8 of 40 kWh from 0.5 takes 12 kWh, more than the 10 that are asked for."""
    scenario = load_scenario(folder).scenario

    (session,) = scenario.sessions
    assert session.energy_kwh == pytest.approx(12.0)
    assert (session.discharge_power_kw, session.arrival_soc, session.charge_curve_id) == (5.0, 0.5, "car")
    assert [asset.asset_id for asset in scenario.site.assets] == ["battery", "roof", "building"]
    assert scenario.site.charge_curve("car").points == ((0.5, 20.0), (1.0, 2.0))
    assert scenario.generation_kw["roof"].value.tolist() == [9.0, 1.0]
    assert scenario.tariff is not None
    assert scenario.demand_charges[0].peak_so_far_kw == 3.0


def test_a_written_scenario_is_read_back(folder: Path, tmp_path: Path) -> None:
    """The plan of what was written is the plan of what was read."""
    first = load_scenario(folder).scenario
    write_scenario(tmp_path / "again", first)
    again = load_scenario(tmp_path / "again").scenario

    def figures(scenario: Scenario) -> list[float]:
        plan = optimize(scenario, OptimizeOptions(raster=HOUR))
        return [plan.total_cost, plan.unmet_energy_kwh, plan.peak_import_kw]

    assert again.site.assets == first.site.assets
    assert again.site.charge_curves == first.site.charge_curves
    assert again.sessions == first.sessions
    assert figures(again) == pytest.approx(figures(first))


def test_a_result_holds_what_is_rechecked(folder: Path, tmp_path: Path) -> None:
    """Solve and verify agree from the command line; a battery or a cost that was changed by hand is found out."""
    run = CliRunner().invoke(app, ["solve", str(folder), "--out", str(tmp_path / "out"), "--step-minutes", "60"])
    assert run.exit_code == 0, run.output
    assert "total cost" in run.output
    assert CliRunner().invoke(app, ["verify", str(folder), str(tmp_path / "out")]).exit_code == 0

    scenario = load_scenario(folder).scenario
    path = tmp_path / "out" / "assets.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "asset_id,category,start,end,power_kw,stored_kwh,available_kw"
    index = next(at for at, line in enumerate(lines) if line.startswith("battery,"))
    cells = lines[index].split(",")
    lines[index] = ",".join([*cells[:4], str(float(cells[4]) - 1.0), *cells[5:]])
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    found = recheck(scenario, read_result(tmp_path / "out", scenario))

    assert any("state of storage 'battery'" in text for text in found.violations)
    summary = tmp_path / "out" / "summary.json"
    summary.write_text(summary.read_text(encoding="utf-8").replace('"wear_cost": ', '"wear_cost": 1'), encoding="utf-8")
    found = recheck(scenario, read_result(tmp_path / "out", scenario))
    assert any("wear cost" in text for text in found.violations)


def test_a_plan_document_is_read_back(folder: Path) -> None:
    """States, powers and costs of assets survive, so that a stored plan can be verified again."""
    scenario = load_scenario(folder).scenario
    options = OptimizeOptions(raster=HOUR)
    plan = optimize(scenario, options)

    again = schedule_from_document(to_plan_document(plan, scenario, options), scenario.site)

    assert again.total_cost == pytest.approx(plan.total_cost)
    assert [asset.asset_id for asset in again.assets] == [asset.asset_id for asset in plan.assets]
    for found, known in zip(again.assets, plan.assets, strict=True):
        np.testing.assert_allclose(found.power_kw, known.power_kw)
    verify(scenario, plan, limit_mode=LimitMode.MEAN)


def test_the_report_names_assets_and_costs(folder: Path) -> None:
    """One row for each asset and each cost, ids escaped."""
    scenario = load_scenario(folder).scenario

    page = render_report(optimize(scenario, OptimizeOptions(raster=HOUR)), scenario.site)

    assert "Assets and costs" in page
    for words in ("battery", "storage", "roof", "building", "base load", "vehicle", "Carbon dioxide", "Total"):
        assert words in page


def test_a_result_without_assets_has_no_file_of_them(tmp_path: Path) -> None:
    """Plain charging is written as ever."""
    folder = tmp_path / "plain"
    folder.mkdir()
    write_json(folder / "site.json", site_json())
    write_csv(folder / "sessions.csv", HEADER, ROW)
    scenario = load_scenario(folder).scenario
    options = OptimizeOptions()

    plan = optimize(scenario, options)
    write_result(tmp_path / "out", plan, scenario, options)

    assert not (tmp_path / "out" / "assets.csv").exists()
    assert "Assets and costs" not in render_report(plan, scenario.site)


@pytest.mark.parametrize(
    ("file", "lines", "message"),
    [
        ("generation.csv", [f"shed,{FIRST},{THIRD},1"], r"generation\.csv, row 2.*asset_id.*no such generator"),
        ("generation.csv", [f"roof,{FIRST},{THIRD},-1"], r"generation\.csv, row 2.*power_kw"),
        ("generation.csv", [f"roof,{THIRD},{FIRST},1"], r"generation\.csv, row 2.*end"),
        (
            "generation.csv",
            [f"roof,{FIRST},{THIRD},1", f"roof,{SECOND},{THIRD},2"],
            r"generation\.csv, row 3.*overlaps row 2",
        ),
        ("base_load.csv", [], r"base_load\.csv.*nothing of base load 'building'"),
    ],
    ids=["unknown", "negative", "order", "overlap", "empty"],
)
def test_bad_powers_are_refused(folder: Path, file: str, lines: list[str], message: str) -> None:
    """The message names file, row and field."""
    write_csv(folder / file, POWER_HEADER, *lines)

    with pytest.raises(FileInputError, match=message):
        load_scenario(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"storages": [STORAGE, STORAGE]}, "storages.asset_id.*same id"),
        ({"storages": [STORAGE | {"group_id": "mian"}]}, "storages.group_id.*did you mean 'main'"),
        ({"storages": [STORAGE | {"energy_kwh": 11}]}, "energy_kwh is 11.0; it must be between 0 and 10"),
        ({"storages": [STORAGE | {"charge_efficiency": 90}]}, "charge_efficiency"),
        ({"storages": [STORAGE | {"max_discharge_kW": 5}]}, "must be called max_discharge_kw"),
        ({"charge_curves": [CURVE | {"points": [{"soc": 0.5, "power_kw": 5}]}]}, "end at 1"),
        ({"charge_curves": []}, "charge_curve_id.*no such charge curve"),
        ({"carbon_price_per_kg": -1}, "carbon_price_per_kg"),
    ],
    ids=["twice", "group", "overfull", "percent", "misspelt", "curve", "no curve", "carbon"],
)
def test_a_bad_site_is_refused(folder: Path, changes: dict[str, object], message: str) -> None:
    """The message names the field and what to do."""
    site = site_json(
        groups=[group_json("main")],
        storages=[STORAGE],
        generators=[{"asset_id": "roof", "group_id": "main"}],
        base_loads=[{"asset_id": "building", "group_id": "main"}],
        charge_curves=[CURVE],
    )
    write_json(folder / "site.json", site | changes)

    with pytest.raises(FileInputError, match=message):
        load_scenario(folder)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("5,,0.5,,", "discharge_power_kw.*needs battery_capacity_kwh"),
        ("5,40,,,", "discharge_power_kw.*needs arrival_soc"),
        (",,,car,", "charge_curve_id.*needs battery_capacity_kwh"),
        (",40,,,0.8", "target_soc.*needs arrival_soc"),
        ("5,40,50,car,", "arrival_soc"),
        ("-5,40,0.5,car,", "discharge_power_kw"),
        ("5,40,0.5,cra,", "charge_curve_id.*did you mean 'car'"),
    ],
    ids=["capacity", "state", "curve", "target", "percent", "negative", "misspelt"],
)
def test_a_bad_battery_is_refused(folder: Path, cells: str, message: str) -> None:
    """The message names row, field and what to fill."""
    write_csv(folder / "sessions.csv", BATTERY_HEADER, f"{ROW},{cells}")

    with pytest.raises(FileInputError, match=rf"sessions\.csv, row 2.*{message}"):
        load_scenario(folder)


@pytest.mark.parametrize(
    ("tariff", "message"),
    [
        ({"energy": [{"import_price_per_kwh": 1}, {"start": "08:00", "import_price_per_kwh": 2}]}, "overlaps"),
        ({"energy": [{"start": "10:00", "end": "09:00", "import_price_per_kwh": 1}]}, "over midnight is two"),
        ({"energy": [{"first_day": "02-30", "import_price_per_kwh": 1}]}, "02-30 is no day of the year"),
        ({"energy": [{"start": "25:00", "import_price_per_kwh": 1}]}, "energy.*start"),
        ({"energy": [{"days": ["FUN"], "import_price_per_kwh": 1}]}, "energy.*days"),
        ({"demand_charges": [{"charge_id": "a", "price_per_kw": -1}]}, "price_per_kw"),
        ({"demand_charges": [{"charge_id": "a", "price_per_kw": 1}] * 2}, "charge_id.*same id"),
        ({"demand_charge": []}, "must be called demand_charges"),
    ],
    ids=["overlap", "midnight", "day", "hour", "weekday", "negative", "twice", "misspelt"],
)
def test_a_bad_tariff_is_refused(folder: Path, tariff: dict[str, object], message: str) -> None:
    """The message names tariff.json and what is wrong."""
    write_json(folder / "tariff.json", tariff)

    with pytest.raises(FileInputError, match=rf"tariff\.json.*{message}"):
        load_scenario(folder)


def test_prices_are_given_once(folder: Path) -> None:
    """Prices of energy in both files are refused; demand charges beside prices.csv are not."""
    write_csv(folder / "prices.csv", PRICE_HEADER, f"{FIRST},{THIRD},0.25")

    with pytest.raises(FileInputError, match=r"tariff\.json, field energy: there are prices of their own"):
        load_scenario(folder)
    write_json(folder / "tariff.json", {"demand_charges": TARIFF["demand_charges"]})
    assert load_scenario(folder).scenario.demand_charges[0].charge_id == "peak"


def test_a_gap_in_recurring_prices_is_named(folder: Path) -> None:
    """A tariff that says nothing of the second hour: the message names the file and the gap."""
    write_json(folder / "tariff.json", {"energy": [{"end": "10:00", "import_price_per_kwh": 0.2}]})
    loaded = load_scenario(folder)

    with pytest.raises(FileInputError, match=r"tariff\.json.*no price from 2026-03-02T10:00"), loaded.naming_files():
        optimize(loaded.scenario, OptimizeOptions(raster=HOUR))


@pytest.mark.parametrize("month", [1, 6, 10], ids=["winter", "summer", "change of season"])
def test_sce_tou_ev_4_is_what_acnportal_says(tmp_path: Path, month: int) -> None:
    """The tariff as written here gives the prices that its source's own format gives, hour by hour over a week."""
    start, end = datetime(2019, month, 1, tzinfo=UTC), datetime(2019, month, 8, tzinfo=UTC)
    zone = ZoneInfo("America/Los_Angeles")
    path = tmp_path / "scenario"
    path.mkdir()
    write_json(path / "site.json", site_json(time_zone=zone.key))
    write_csv(path / "sessions.csv", HEADER, f"S1,C1,{start.isoformat()},{end.isoformat()},10")
    (path / "tariff.json").write_bytes((DATA / "sce-tou-ev-4.json").read_bytes())

    scenario = load_scenario(path).scenario
    blocks = time_of_use_blocks(start, end, zone)

    assert scenario.tariff is not None
    assert scenario.demand_charges[0].price_per_kw == 15.51
    for hour_s in np.arange(start.timestamp(), end.timestamp(), 3600.0).tolist():
        known = next(b for b in blocks if b.start.timestamp() <= hour_s < b.end.timestamp())
        at = int(np.searchsorted(scenario.tariff.start_s, hour_s, side="right")) - 1
        assert scenario.tariff.import_price_per_kwh[at] == known.import_price_per_kwh
