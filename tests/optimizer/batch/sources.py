"""Sources of a batch with few and small scenarios, and what is in a data set of results."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from optimizer.options import OptimizeOptions
from optimizer.scenario_io.batch_results import open_results
from optimizer.scenario_io.batch_source import BatchSource, ScenarioKey, open_source
from optimizer.scenario_io.batch_tables import SCHEMAS
from optimizer.scenario_io.batch_work import plan_chunk
from tests.builders import HOUR, MORNING
from tests.optimizer.scenario_folder import HEADER, session_frame, site_json, write_csv, write_folder, write_json

FIRST_DAY = date(2026, 3, 2)
OPTIONS = OptimizeOptions()
BROKEN_ROW = "S1,C9,2026-03-02T09:00:00+01:00,2026-03-02T11:00:00+01:00,10"
"""There is no charger C9."""


def write_folders(root: Path, names: Iterable[str], *, broken: Iterable[str] = ()) -> Path:
    """Scenario folders of one session each, some at a charger that does not exist."""
    root.mkdir()
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_folder(root / name)
    for name in broken:
        write_csv(root / name / "sessions.csv", HEADER, BROKEN_ROW)
    return root


def write_partitions(root: Path, *, days: int = 2, sites: Iterable[str] = ("depot",), parquet: bool = False) -> Path:
    """The smallest set partitioned by site and day: one session of 10 kWh a day, no prices."""
    for site_id in sites:
        site = root / "sites" / f"site_id={site_id}"
        site.mkdir(parents=True)
        write_json(site / "site.json", site_json(site_id=site_id))
        for offset in range(days):
            day = FIRST_DAY + timedelta(days=offset)
            folder = root / "sessions" / f"site_id={site_id}" / f"day={day}"
            folder.mkdir(parents=True)
            if parquet:
                arrival = MORNING + timedelta(days=offset)
                session_frame(arrival=[arrival], departure=[arrival + 2 * HOUR]).to_parquet(folder / "part-0.parquet")
            else:
                row = f"S{offset},C1,{day}T09:00:00+01:00,{day}T11:00:00+01:00,10"
                write_csv(folder / "part-0.csv", HEADER, row)
    return root


def keys(source: BatchSource) -> tuple[ScenarioKey, ...]:
    """All scenarios of a source."""
    return tuple(source.walk())


def plan_all(
    source: Path, results: Path, *, resume: bool = False, chunk_size: int = 1, options: OptimizeOptions = OPTIONS
) -> None:
    """A batch in this process."""
    opened = open_source(source)
    with open_results(results, options, resume=resume) as dataset:
        remaining = [key for key in opened.walk() if key.name not in dataset.done]
        for begin in range(0, len(remaining), chunk_size):
            dataset.add(plan_chunk(opened, tuple(remaining[begin : begin + chunk_size]), options))


def read_tables(results: Path) -> dict[str, pd.DataFrame]:
    """Every table of a data set, in an order that does not depend on who finished first."""
    tables = {name: pd.read_parquet(results / name) for name in SCHEMAS}
    return {
        name: table.sort_values([*_order(name)], ignore_index=True)[[*SCHEMAS[name].names]]
        for name, table in tables.items()
    }


def _order(name: str) -> list[str]:
    rows_of = {"schedule": ["session_id", "start"], "sessions": ["session_id"], "groups": ["group_id", "start"]}
    return ["scenario", *rows_of.get(name, [])]


def comparable(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables without what no two runs have in common: how long it took."""
    summary = tables["summary"]
    timed = [column for column in summary if str(column).startswith("seconds")]
    return tables | {"summary": summary.drop(columns=timed)}
